"""Gaussian noise against the oracle, which draws the same: anywhere in a network."""

import numba
import numpy as np
import pytest
from comparing import assert_agree
from comparing import tolerance_of_noise as tolerance
from packed import REMAINS, OneLayer
from scipy import stats

import naive
from nnjit.backends import plan, tuner
from nnjit.backends.program import make_program
from nnjit.backends.select import make_engine
from nnjit.core.simd import TILE
from nnjit.layers.convolution.spec import Conv
from nnjit.layers.dense.spec import Dense
from nnjit.layers.dropout.spec import Dropout
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.network import Network
from nnjit.layers.noise.spec import GaussianNoise
from nnjit.layers.normalization.spec import Normalization
from nnjit.layers.residual.spec import Residual

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
DTYPES = [np.float32, np.float64]
every_precision = pytest.mark.parametrize("dtype", DTYPES)
SEED = 2**33 + 7
WIDTH = TILE.bytes // 4  # rows of a vector of float32
LEAST = 1e-4  # p-value of a test with fixed numbers


def noisy(x, step, layer, scale):
    """Rows of vectors with the oracle's noise."""
    return naive.noise(x[:, np.newaxis], SEED, step, layer, scale)[:, 0]


def alone(units, scale, dtype):
    """An engine whose dense layer is the identity."""
    layers = GaussianNoise(scale), Dense(units, "identity")
    engine = make_engine(Network(units, layers, "squared_error", "identity"), dtype)
    engine.pack([np.eye(units, dtype=dtype), np.zeros(units, dtype)])
    return engine


@every_precision
@pytest.mark.parametrize("units", [1, 6, WIDTH + 1])
@pytest.mark.parametrize("rows", [1, WIDTH - 1, WIDTH + 1, 257])
def test_vectors_are_those_of_the_oracle(dtype, units, rows):
    if numba.config.DISABLE_JIT and rows * units > 300:
        rows = 2 * WIDTH
    x = np.random.default_rng(rows).standard_normal((rows, units)).astype(dtype)
    found = alone(units, 0.5, dtype).predict_samples(x, 2, SEED)
    expected = [noisy(x, number, 0, 0.5) for number in range(2)]
    np.testing.assert_allclose(found, expected, **tolerance(dtype))


@every_precision
@pytest.mark.parametrize("shape", [(2, 9), (3, 3, 5), (1, 1)])
@pytest.mark.parametrize("rows", [1, WIDTH + 1])
def test_arrays_are_those_of_the_oracle(dtype, shape, rows):
    x = np.random.default_rng(0).standard_normal((rows, *shape)).astype(dtype)
    one = OneLayer(GaussianNoise(0.5), shape, dtype, rows)
    found = one.forward(x, None, SEED, 3, 40)
    np.testing.assert_allclose(found, naive.noise(x, SEED, 3, 0, 0.5, first=40), **tolerance(dtype))
    if rows > 1:
        start, size = int(one.step["output_row"][0]) * one.stride, x[0].size
        assert (one.work[start + size * rows : start + size * one.stride] == REMAINS).all()
    lengths = np.arange(rows) % shape[-1] + 1
    if len(shape) == 2:
        x[np.broadcast_to((np.arange(shape[1]) >= lengths[:, None])[:, None], x.shape)] = 0
        found = one.forward(x, lengths, SEED, 3)
        expected = naive.noise(x, SEED, 3, 0, 0.5, lengths)
        np.testing.assert_allclose(found, expected, **tolerance(dtype))


@jit_only
@every_precision
def test_noise_is_normal_and_of_that_deviation(dtype):
    found = alone(64, 0.25, dtype).predict_samples(np.zeros((256, 64), dtype), 8, 3)
    values = found.astype(np.float64).ravel() / 0.25
    assert abs(values.mean()) < 4.5 / np.sqrt(values.size)
    assert abs(values.var() - 1) < 4.5 * np.sqrt(2 / values.size)
    assert stats.kstest(values, "norm").pvalue > LEAST
    columns = np.corrcoef(found.reshape(-1, 64).astype(np.float64), rowvar=False)
    assert np.abs(columns[np.triu_indices(64, 1)]).max() < 5.5 / np.sqrt(8 * 256)


@every_precision
def test_samples_follow_from_seed_number_and_row(dtype):
    x = np.random.default_rng(0).standard_normal((2 * WIDTH + 3, 5)).astype(dtype)
    engine = alone(5, 0.5, dtype)
    found = engine.predict_samples(x, 3, 5)
    np.testing.assert_array_equal(engine.predict_samples(x, 2, 5), found[:2])
    for rows in (1, WIDTH + 1):
        np.testing.assert_array_equal(engine.predict_samples(x[:rows], 3, 5), found[:, :rows])
    assert (engine.predict_samples(x, 3, 6) != found).any(axis=2).all()
    assert (found[1:] != found[:-1]).any(axis=2).all()


# -- in a network -----------------------------------------------------------------------


def problem(network, n, seed=0):
    """Parameters, rows and targets."""
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(one.shape) / 2 for _, one in network.parameters()]
    return arrays, rng.standard_normal((n, network.inputs)), rng.standard_normal((n, 2))


def epoch(network, arrays, x, y, batch, dtype):
    """Parameters after one epoch of gradient descent, and its loss."""
    engine = make_engine(network, dtype)
    engine.pack([one.astype(dtype) for one in arrays])
    optimizer = engine.optimizer("sgd", momentum=0.0, nesterov=0.0, seed=SEED)
    optimizer.learning_rate = 0.05
    dataset, orders = engine.dataset(x.astype(dtype), y.astype(dtype)), np.arange(len(x))[None]
    losses = engine.train_epochs(dataset, orders, batch, optimizer, 0.1)
    return engine.unpack(), losses


def perceptron(scale=0.3, activation="relu"):
    """Noise at the inputs, and between two layers with parameters."""
    layers = (
        GaussianNoise(scale), Dense(7, activation), GaussianNoise(scale), Dense(2, "identity")
    )  # fmt: skip
    return Network(5, layers, "squared_error", "identity")


def epoch_of_the_oracle(activation, arrays, x, y, batch, scale=0.3, alpha=0.1):
    (w1, b1, w2, b2), total = [one.copy() for one in arrays], 0.0
    for step, start in enumerate(range(0, len(x), batch)):
        rows, wanted = x[start : start + batch], y[start : start + batch]
        n, first = len(rows), noisy(rows, step, 0, scale)
        hidden = naive.dense_forward(first, w1, b1, activation)
        second = noisy(hidden, step, 2, scale)
        error = naive.dense_forward(second, w2, b2, "identity") - wanted
        penalty = alpha / 2 * sum((w**2).sum() for w in (w1, w2)) / n
        total += ((error**2).mean() / 2 + penalty) * n
        delta = error / n
        below = delta @ w2.T * naive.DERIVATIVES[activation](hidden)
        moves = (
            first.T @ below + alpha * w1 / n, below.sum(axis=0),
            second.T @ delta + alpha * w2 / n, delta.sum(axis=0),
        )  # fmt: skip
        for value, move in zip((w1, b1, w2, b2), moves, strict=True):
            value -= 0.05 * move
    return [w1, b1, w2, b2], [total]


@every_precision
@pytest.mark.parametrize("activation", ["identity", "tanh", "relu"])
def test_steps_are_those_of_the_oracle(dtype, activation):
    """Also above a ReLU, whose derivative is that of the value without the noise."""
    network = perceptron(activation=activation)
    arrays, x, y = problem(network, 50)
    expected = epoch_of_the_oracle(activation, arrays, x, y, 20)
    assert_agree(epoch(network, arrays, x, y, 20, dtype), expected, dtype)


@jit_only
@every_precision
@pytest.mark.parametrize("fused", [0, 10**9])
def test_steps_in_blocks_parts_and_threads_have_the_same_bits(dtype, fused, monkeypatch):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 0)
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", fused)
    monkeypatch.setattr(plan, "BLOCK_ROWS", 32)
    network, results = perceptron(), []
    arrays, x, y = problem(network, 100)
    for threads in (1, 2, 4):
        monkeypatch.setattr(plan.threads, "thread_count", lambda threads=threads: threads)
        parallel = min(threads, numba.config.NUMBA_NUM_THREADS) > 1

        def always(self, function, first, last, parallel=parallel):
            function(parallel, first, last)

        monkeypatch.setattr(tuner.Tuner, "run", always)
        results.append(epoch(network, arrays, x, y, 60, dtype))
    assert_agree(results[0], epoch_of_the_oracle("relu", arrays, x, y, 60), dtype)
    for found, losses in results[1:]:
        assert losses == results[0][1]
        for a, b in zip(found, results[0][0], strict=True):
            np.testing.assert_array_equal(a, b)


CHAINS = {
    "among other noise": (Dropout(0.3), GaussianNoise(0.5), GaussianNoise(0.5), Dense(6, "relu"),
                          GaussianNoise(0.5), Dropout(0.5)),
    "under a shortcut": (Dense(6, "relu"), GaussianNoise(0.3), Dense(6, "tanh"), Residual(2)),
    "in a shortcut": (Dense(6, "identity"), GaussianNoise(0.3), Residual(1), Dense(5, "tanh")),
    "behind a normalization": (Dense(6, "identity"), Normalization("batch", "relu"),
                               GaussianNoise(0.3), Dense(5, "tanh")),
}  # fmt: skip


@pytest.mark.parametrize("layers", CHAINS.values(), ids=CHAINS)
def test_gradient_in_any_place(layers):
    """Where it may write over nothing that a layer beside it reads later."""
    assert_gradient_is_that_of_differences(
        Network(6, (*layers, Dense(2, "identity")), "squared_error", "identity")
    )


def test_gradient_between_convolutions():
    layers = Conv(3, 3, "relu"), GaussianNoise(0.3), Conv(2, 3, "tanh"), Flatten()
    assert_gradient_is_that_of_differences(
        Network(12, (*layers, Dense(2, "identity")), "squared_error", "identity", shape=(2, 6))
    )


def assert_gradient_is_that_of_differences(network):
    arrays, x, y = problem(network, 20)
    arrays = [np.abs(a) + 0.3 if a.ndim == 1 else a for a in arrays]  # variances are positive
    engine = make_engine(network, np.float64)
    dataset = engine.dataset(x, y)
    theta = np.concatenate([arrays[number].ravel() for number in network.packing()])
    _, found = engine.loss_gradient(theta, dataset, 0.1)
    trained = sum(one.size for _, one in network.parameters() if one.trained)
    some = np.unique(np.linspace(0, trained - 1, 40).astype(int))

    def loss(values):
        moved = theta.copy()
        moved[some] = values
        return engine.loss_gradient(moved, dataset, 0.1)[0]

    numeric = naive.central_differences(loss, theta[some], step=1e-6)
    np.testing.assert_allclose(found[some], numeric, rtol=0, atol=1e-6 * np.abs(found).max())


@every_precision
def test_predictions_take_values_as_they_are(dtype):
    network = perceptron()
    layers = tuple(layer for layer in network.layers if layer.kind != "noise")
    plain = Network(5, layers, "squared_error", "identity")
    arrays, x, _ = problem(network, 40)
    outputs = []
    for one in (network, plain):
        engine = make_engine(one, dtype)
        engine.pack([array.astype(dtype) for array in arrays])
        outputs.append(engine.predict(x.astype(dtype)))
    np.testing.assert_array_equal(*outputs)
    program, same = (make_program(one, dtype, False, False) for one in (network, plain))
    assert len(program.steps) == len(same.steps) and program.rows == same.rows


@pytest.mark.parametrize(("activation", "apart"), [("identity", 0), ("relu", 1), ("tanh", 1)])
def test_values_lie_in_place_where_the_layer_below_reads_not_even_their_signs(activation, apart):
    program = make_program(perceptron(activation=activation), np.float64, False, True)
    inputs, between = program.of_layer[0], program.of_layer[2]
    assert inputs["input_row"] == inputs["output_row"]
    assert (between["input_row"] != between["output_row"]) == apart
    assert between["delta_row"] == between["input_delta_row"] and between["backward_at"] == 0
    assert (program.of_layer[1]["derivative_at"] != 0) == apart  # nobody else does it


def test_it_belongs_to_the_hidden_layer_below():
    assert perceptron().hidden_ends == (3,)


@pytest.mark.parametrize("scale", [-0.1, np.nan, np.inf, "0.5", None])
def test_a_scale_is_a_standard_deviation(scale):
    with pytest.raises(ValueError, match="a standard deviation of at least 0, got"):
        GaussianNoise(scale)
