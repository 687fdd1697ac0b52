"""Dense layers behind arrays of channels, where one row is predicted along the units."""

import numpy as np
import pytest

from nnjit.backends.select import make_engine
from nnjit.layers.dense.spec import Dense
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.network import Network

DTYPES = [np.float32, np.float64]


def series_network(points, hidden, outputs, activation):
    """Vectors of series: a layer for each number of hidden units."""
    layers = [Flatten(), *(Dense(units, activation) for units in hidden)]
    layers.append(Dense(outputs, "identity"))
    return Network(points, tuple(layers), "log_loss", "softmax", shape=(1, points))


def engine_with_parameters(network, dtype):
    rng = np.random.default_rng(0)
    engine = make_engine(network, dtype)
    arrays = [rng.standard_normal(one.shape) for _, one in network.parameters()]
    engine.pack([(a / np.sqrt(a.shape[0])).astype(dtype) for a in arrays])
    return engine


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("points", [1, 7, 300])  # more than a block of the sum
@pytest.mark.parametrize("hidden", [(), (1,), (15, 17), (16,), (128, 33)])
def test_one_row_has_the_bits_that_it_has_among_others(dtype, activation, points, hidden):
    engine = engine_with_parameters(series_network(points, hidden, 3, activation), dtype)
    X = np.random.default_rng(1).standard_normal((20, points)).astype(dtype)
    whole = engine.predict(X)
    for k in (0, 7, 19):
        np.testing.assert_array_equal(engine.predict(X[k : k + 1]), whole[k : k + 1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("outputs", [1, 2, 9, 16, 100])
def test_weights_are_not_read_behind_the_parameters(dtype, outputs):
    network = series_network(5, (), outputs, "relu")
    if outputs == 1:
        network = Network(5, network.layers, "squared_error", "identity", shape=(1, 5))
    engine = engine_with_parameters(network, dtype)
    program = engine._program(False, training=False)
    (step,) = (step for step in program.of_layer[1:])
    weights = engine.layout.of(1)[0]
    lanes = program.lanes
    end = weights.stop - weights.row + -(-outputs // lanes) * lanes
    own = step["forward_at"] != engine._program(False, training=True).of_layer[1]["forward_at"]
    assert bool(own.all()) == (end <= engine.layout.n_flat)
