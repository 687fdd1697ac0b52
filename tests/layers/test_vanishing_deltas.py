"""Deltas that vanish over many points of time become 0, and not numbers that are not normal."""

import numpy as np
import pytest

from nnjit.backends.cpu import CpuEngine
from nnjit.layers.dense.spec import Dense
from nnjit.layers.gru.spec import GRU
from nnjit.layers.lstm.spec import LSTM
from nnjit.layers.network import Network
from nnjit.layers.rnn.spec import RNN

ROWS, TIME = 8, 300


def trained(layer, weights):
    """The engine after one step over series of noise, with weights of this size, and the result."""
    network = Network(
        2 * TIME, (layer, Dense(2, "identity")), "log_loss", "softmax", shape=(2, TIME)
    )
    # float64 does not become as small over so many points
    engine, rng = CpuEngine(network, np.float32), np.random.default_rng(0)
    engine.pack([weights * rng.uniform(-1, 1, one.shape) for _, one in network.parameters()])
    X = rng.standard_normal((ROWS, 2 * TIME)).astype(np.float32)
    dataset = engine.dataset(X, rng.integers(0, 2, ROWS))
    optimizer = engine.optimizer("sgd", momentum=0.0)
    optimizer.learning_rate = 0.1
    result = engine.train(dataset, np.arange(ROWS), ROWS, optimizer, 0.0, 0, 1)
    return engine, result


@pytest.mark.parametrize("layer", [RNN(16), GRU(16), LSTM(16), GRU(16, bidirectional=True)])
def test_no_values_are_left_that_are_not_normal(layer):
    engine, _ = trained(layer, 0.1)
    values = np.abs(engine._current._kept["work"])
    not_normal = (values > 0) & (values < np.finfo(np.float32).tiny)
    assert not_normal.sum() <= 4 * ROWS  # whole numbers of rows lie there too


@pytest.mark.parametrize("layer", [RNN(5), GRU(5), LSTM(5)])
def test_what_is_not_a_number_stays_so(layer):
    engine, result = trained(layer, np.nan)
    assert not result.finite
    theta = np.full(engine.network.n_parameters, np.nan)
    X = np.ones((ROWS, 2 * TIME), np.float32)
    _, gradient = engine.loss_gradient(theta, engine.dataset(X, np.zeros(ROWS, int)), 0.0)
    assert np.isnan(gradient).all()
