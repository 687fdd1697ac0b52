"""Periodic embeddings against the oracle, alone and in networks."""

import numba
import numpy as np
import pytest
from numeric_layers import NumericLayer, tolerance

import naive
from nnjit.backends import plan, program, tuner
from nnjit.backends.program import make_program
from nnjit.backends.select import make_engine
from nnjit.core.simd import TILE
from nnjit.layers import Dense, Dropout, PeriodicEmbedding
from nnjit.layers.network import Network
from nnjit.layers.periodic import cpu

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
DTYPES = [np.float32, np.float64]
every_precision = pytest.mark.parametrize("dtype", DTYPES)
WIDTH = TILE.bytes // 4  # rows of a vector of float32
# features, other values, cosines, units
SIZES = [(1, 0, 1, 1), (3, 2, 5, 2), (2, 1, WIDTH + 1, 9)]


def parameters(layer, dtype, seed=0):
    rng = np.random.default_rng(seed)
    shapes = [one.shape for one in layer.parameters(layer.features)]
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def wide(arrays):
    return [array.astype(np.float64) for array in arrays]


@every_precision
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("rows", [1, WIDTH - 1, WIDTH + 1, 100])
def test_values_deltas_and_gradients_are_those_of_the_oracle(dtype, sizes, rows):
    features, others, cosines, units = sizes
    rng, layer = np.random.default_rng(rows), PeriodicEmbedding(features, cosines, units)
    arrays = parameters(layer, dtype)
    one = NumericLayer(layer, features + others, dtype, rows, parameters=arrays)
    x = rng.standard_normal((rows, features + others)).astype(dtype)
    delta = rng.standard_normal((rows, layer.outputs(features + others))).astype(dtype)
    expected = naive.periodic_forward(x.astype(float), *wide(arrays))
    np.testing.assert_allclose(one.forward(x), expected, **tolerance(dtype))
    dx, *gradients = naive.periodic_backward(delta.astype(float), x.astype(float), *wide(arrays))
    limit = {"rtol": 0, "atol": 30 * tolerance(dtype)["atol"]}
    np.testing.assert_allclose(one.backward(delta), dx, **limit)
    for found, gradient in zip(one.gradients(), gradients, strict=True):
        np.testing.assert_allclose(found, gradient.reshape(found.shape), **limit)


@every_precision
def test_gradients_of_some_rows_are_added_to_those_of_other_blocks(dtype):
    layer = PeriodicEmbedding(3, 4, 2)
    one = NumericLayer(layer, 4, dtype, 9, parameters=parameters(layer, dtype))
    one.forward(np.random.default_rng(0).standard_normal((9, 4)).astype(dtype))
    one.backward(np.ones((9, 10), dtype))
    for number, first, rows in ((0, 1, 2), (1, 0, 1), (2, 5, 4), (3, 2, 1)):
        alone, before = one.gradient(number, first, rows), np.arange(rows, dtype=dtype)
        np.testing.assert_array_equal(alone, one.gradient(number)[first : first + rows])
        before = np.repeat(before, alone.shape[1])
        added = one.gradient(number, first, rows, added_to=before)
        np.testing.assert_allclose(added, alone + before.reshape(alone.shape), rtol=1e-6)


@every_precision
def test_far_values_keep_what_they_are_beside_whole_periods(dtype):
    layer = PeriodicEmbedding(1, 1, 1)
    arrays = [np.full(one.shape, 1.0) for one in layer.parameters(1)]
    arrays[1][:], arrays[3][:] = 0, 0
    one = NumericLayer(layer, 1, dtype, 3, parameters=arrays)
    x = np.array([[1000.25], [2.0**20 + 0.125], [np.finfo(dtype).max]], dtype)
    np.testing.assert_allclose(one.forward(x)[:, 1], [0, np.sqrt(0.5), 1], atol=1e-6)


def network(layers):
    return Network(4, layers, "squared_error", "identity")


def trained(made, dtype, n=300, batch=40):
    rng, engine = np.random.default_rng(3), make_engine(made, dtype)
    arrays = [rng.standard_normal(one.shape) / 3 for _, one in made.parameters()]
    engine.pack([array.astype(dtype) for array in arrays])
    x, y = rng.standard_normal((n, 4)).astype(dtype), rng.standard_normal((n, 1)).astype(dtype)
    optimizer = engine.optimizer("adam", seed=5)
    optimizer.learning_rate = 0.01
    losses = engine.train_epochs(
        engine.dataset(x, y), np.tile(np.arange(n), (2, 1)), batch, optimizer, 0.1
    )
    return losses, engine.unpack()


@jit_only
@every_precision
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("batch", [40, 300])
def test_bits_do_not_depend_on_threads(dtype, fused, batch, monkeypatch):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 0)
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", 0 if fused else 10**9)
    made = network((PeriodicEmbedding(3, 9), Dense(20, "relu"), Dense(1, "identity")))
    before, results = numba.get_num_threads(), []
    try:
        for count in (1, 2, min(4, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))

            def always(self, function, first, last, count=count):
                function(count > 1, first, last)

            monkeypatch.setattr(tuner.Tuner, "run", always)
            results.append(trained(made, dtype, batch=batch))
    finally:
        numba.set_num_threads(before)
    for losses, arrays in results[1:]:
        assert losses == results[0][0]
        for a, b in zip(arrays, results[0][1], strict=True):
            np.testing.assert_array_equal(a, b)


def test_dropout_takes_the_place_of_what_it_makes(monkeypatch):
    """Nothing that the backward pass reads stands there."""
    layers = (Dense(4, "tanh"), PeriodicEmbedding(3, 4, 2), Dropout(0.5), Dense(1, "identity"))
    results, made = [], network(layers)
    for reads in (False, True):
        monkeypatch.setattr(cpu, "reads_outputs", lambda layer, reads=reads: reads)
        program._make_program.cache_clear()
        _, embedded, dropped, _ = make_program(made, np.float64, False, True).of_layer
        assert (dropped["output_row"] != embedded["output_row"]) == reads
        results.append(trained(made, np.float64, 60))
    program._make_program.cache_clear()
    (losses, arrays), (other_losses, others) = results
    assert losses == other_losses
    for a, b in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"features": 0}, "features is an int of at least 1, got 0"),
        ({"features": 2, "frequencies": 0}, "frequencies is an int of at least 1, got 0"),
        ({"features": 2, "units": 1.5}, "units is an int of at least 1, got 1.5"),
        ({"features": 2, "scale": -1}, "scale is a finite number of at least 0, got -1"),
        ({"features": 2, "rate": np.inf}, "rate is a finite number of at least 0, got inf"),
    ],
)
def test_what_is_no_embedding_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PeriodicEmbedding(**options)


def test_rows_with_too_few_values_and_arrays_are_refused():
    with pytest.raises(ValueError, match="of 3 features takes at least as many values, got 2"):
        PeriodicEmbedding(3).outputs(2)
    with pytest.raises(ValueError, match="A periodic layer takes vectors, but it gets arrays"):
        PeriodicEmbedding(3).outputs((3, 4))
