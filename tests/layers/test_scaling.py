"""Layers with one learned number a unit, factors and shares of activations: oracle and PyTorch."""

import numba
import numpy as np
import pytest
from packed import OneLayer
from pytorch_scaling import (
    ALPHA,
    BATCH,
    CLASSES,
    DECAY,
    EPSILON,
    FEATURES,
    FIRST,
    MOMENTUM,
    RATE,
    ROWS,
    SECOND,
    SHOWN,
    SOLVERS,
    STEPS,
    problem,
    stored,
)

import naive
from engine_problems import some_differences
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
from nnjit.layers.parametric.spec import ParametricActivation
from nnjit.layers.residual.spec import Residual
from nnjit.layers.scaling.spec import Scaling

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
DTYPES = [np.float32, np.float64]
every_precision = pytest.mark.parametrize("dtype", DTYPES)
WIDTH = TILE.bytes // 4  # rows of a vector of float32
# Of those that read nothing, z, h and both for their derivative, and one that is not 0 at 0.
PHIS = ["identity", "mish", "selu", "gelu", "logistic"]
LAYERS = [Scaling(), *map(ParametricActivation, PHIS)]
every_layer = pytest.mark.parametrize("layer", LAYERS, ids=str)


def limit(dtype):
    return 1e-12 if dtype == np.float64 else 2e-5


def values_of_problem(rows, shape, dtype, seed=0):
    """(Inputs, deltas, numbers of the units)."""
    rng = np.random.default_rng(seed)
    whole = (rows, *(shape if isinstance(shape, tuple) else (shape,)))
    given = rng.standard_normal(whole), rng.standard_normal(whole), rng.normal(0.7, 0.5, whole[1])
    return [one.astype(dtype) for one in given]


def oracle(layer, x, delta, numbers):
    """Outputs, and gradients by the inputs and by the numbers, in float64."""
    given = [one.astype(np.float64) for one in (x, delta, numbers)]
    x, delta, numbers = given
    if layer.kind == "scaling":
        return naive.scaling_forward(x, numbers), *naive.scaling_backward(delta, x, numbers)
    phi = layer.activation
    gradients = naive.parametric_backward(delta, x, numbers, phi)
    return naive.parametric_forward(x, numbers, phi), *gradients


def assert_passes_are_those_of_the_oracle(layer, shape, rows, dtype):
    x, delta, numbers = values_of_problem(rows, shape, dtype)
    one = OneLayer(layer, shape, dtype, rows, parameters=[numbers])
    found = one.forward(x), one.backward(delta), one.gradient(0)
    expected = oracle(layer, x, delta, numbers)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=limit(dtype) * max(1, np.abs(b).max()))
    more = one.gradient(0, added_to=numbers)
    np.testing.assert_allclose(more, found[2] + numbers, rtol=1e-6)


@every_precision
@every_layer
@pytest.mark.parametrize("rows", [1, WIDTH - 1, WIDTH + 1, 257])
def test_passes_over_vectors_are_those_of_the_oracle(layer, rows, dtype):
    if numba.config.DISABLE_JIT and rows > WIDTH + 1:
        rows = 2 * WIDTH
    for units in (1, WIDTH + 1):
        assert_passes_are_those_of_the_oracle(layer, units, rows, dtype)


@every_precision
@every_layer
@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (3, 2, 5)])
def test_a_channel_is_a_unit_of_arrays(layer, shape, dtype):
    for rows in (1, WIDTH + 1):
        assert_passes_are_those_of_the_oracle(layer, shape, rows, dtype)


@every_precision
@every_layer
def test_points_that_a_series_does_not_have_count_nowhere(layer, dtype):
    rows, shape = 5, (2, 9)
    lengths = np.array([9, 1, 4, 8, 3])
    x, delta, numbers = values_of_problem(rows, shape, dtype)
    there = np.broadcast_to((np.arange(9) < lengths[:, None])[:, None], x.shape)
    one = OneLayer(layer, shape, dtype, rows, parameters=[numbers])
    x[~there] = 0
    found = one.forward(x, lengths), one.backward(delta), one.gradient(0)
    h, dx, _ = oracle(layer, x, delta, numbers)
    d_numbers = oracle(layer, x, delta * there, numbers)[2]
    np.testing.assert_allclose(found[0], h * there, rtol=0, atol=limit(dtype))
    np.testing.assert_allclose(found[1][there], dx[there], rtol=0, atol=limit(dtype))
    np.testing.assert_allclose(found[2], d_numbers, rtol=0, atol=10 * limit(dtype))


@jit_only
@pytest.mark.parametrize("layer", [Scaling(), ParametricActivation("relu")], ids=str)
def test_sums_over_very_many_values_keep_the_digits_of_float32(layer):
    shape, rows = (1, 20_000), 50
    x, delta, numbers = values_of_problem(rows, shape, np.float32)
    delta, x = np.abs(delta), np.abs(x) * (1 if layer.kind == "scaling" else -1)
    one = OneLayer(layer, shape, np.float32, rows, parameters=[numbers])
    one.forward(x), one.backward(delta)
    np.testing.assert_allclose(one.gradient(0), oracle(layer, x, delta, numbers)[2], rtol=2e-7)


# -- in a network -----------------------------------------------------------------------


def tabular(activation="selu", rate=1.0):
    """Factors for the features, and behind dense layers shares of an activation."""
    layers = (
        Scaling(rate), Dense(FIRST, "identity"), ParametricActivation(activation, rate),
        Dense(SECOND, "identity"), ParametricActivation("mish"), Dense(CLASSES, "identity"),
    )  # fmt: skip
    return Network(FEATURES, layers, "log_loss", "softmax")


def engine_of(network, arrays, dtype):
    engine = make_engine(network, dtype)
    engine.pack([one.astype(dtype) for one in arrays])
    return engine


@pytest.mark.parametrize("solver", SOLVERS)
def test_twenty_steps_are_those_of_pytorch(solver):
    arrays, X, y, orders = problem()
    engine = engine_of(tabular(), arrays, np.float64)
    options = {"sgd": {"momentum": MOMENTUM}, "adamw": {"epsilon": EPSILON, "weight_decay": DECAY}}
    optimizer, done = engine.optimizer(solver, **options[solver]), 0
    optimizer.learning_rate = RATE
    dataset, batches = engine.dataset(X, y), -(-ROWS // BATCH)
    for order in orders:
        engine.train(dataset, order, BATCH, optimizer, ALPHA, 0, min(batches, STEPS - done))
        done += batches
    *expected, logits = stored()[solver]
    for a, b in zip(engine.unpack(), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-8)
    found = engine.predict(X[:SHOWN], output="logits")
    np.testing.assert_allclose(found, logits, rtol=0, atol=1e-8)


@jit_only
@every_precision
@pytest.mark.parametrize("fused", [0, 10**9])
def test_steps_in_blocks_parts_and_threads_have_the_same_bits(dtype, fused, monkeypatch):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 0)
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", fused)
    monkeypatch.setattr(plan, "BLOCK_ROWS", 16)
    arrays, X, y, orders = problem()
    results = []
    for threads in (1, 2, 4):
        monkeypatch.setattr(plan.threads, "thread_count", lambda threads=threads: threads)
        parallel = min(threads, numba.config.NUMBA_NUM_THREADS) > 1

        def always(self, function, first, last, parallel=parallel):
            function(parallel, first, last)

        monkeypatch.setattr(tuner.Tuner, "run", always)
        engine = engine_of(tabular(), arrays, dtype)
        optimizer = engine.optimizer("adam")
        optimizer.learning_rate = RATE
        losses = engine.train_epochs(engine.dataset(X.astype(dtype), y), orders, 40, optimizer, 0.1)
        results.append([*engine.unpack(), np.array(losses)])
    for found in results[1:]:
        for a, b in zip(found, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


CHAINS = {
    "above a ReLU": (Dense(6, "relu"), Scaling(), Dense(5, "relu"), ParametricActivation("tanh")),
    "in place of a ReLU": (Dense(6, "identity"), ParametricActivation("relu"), Dense(5, "relu")),
    "first": (ParametricActivation("tanh"), Scaling(), Dense(6, "tanh")),
    "under what lies in place": (Dense(6, "tanh"), Scaling(), Dropout(0.3),
                                 ParametricActivation("softplus"), GaussianNoise(0.2)),
    "in and under shortcuts": (Dense(6, "tanh"), Scaling(), ParametricActivation("elu"),
                               Residual(1), Residual(3)),
    "among normalizations": (Normalization("layer"), Scaling(), Dense(6, "identity"),
                             Normalization("batch"), ParametricActivation("gelu")),
}  # fmt: skip


def assert_gradient_is_that_of_differences(network):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(one.shape) / 2 for _, one in network.parameters()]
    arrays = [np.abs(a) + 0.3 if a.ndim == 1 else a for a in arrays]  # variances are positive
    x, y = rng.standard_normal((20, network.inputs)), rng.standard_normal((20, 2))
    engine = make_engine(network, np.float64)
    dataset = engine.dataset(x, y)
    theta = np.concatenate([arrays[number].ravel() for number in network.packing()])
    trained = sum(one.size for _, one in network.parameters() if one.trained)
    _, found = engine.loss_gradient(theta, dataset, 0.1)
    some, numeric = some_differences(
        lambda t: engine.loss_gradient(t, dataset, 0.1)[0], theta, 1e-6, trained
    )
    np.testing.assert_allclose(found[some], numeric, rtol=0, atol=1e-6 * np.abs(found).max())


@pytest.mark.parametrize("layers", CHAINS.values(), ids=CHAINS)
def test_gradient_in_any_place(layers):
    """Also where a layer above could take the outputs for those of a ReLU."""
    assert_gradient_is_that_of_differences(
        Network(6, (*layers, Dense(2, "identity")), "squared_error", "identity")
    )


def test_gradient_between_convolutions():
    layers = Scaling(), Conv(3, 3, "identity"), ParametricActivation(), Conv(2, 3), Scaling()
    layers = *layers, ParametricActivation("logistic"), Flatten(), Dense(2, "identity")
    assert_gradient_is_that_of_differences(
        Network(12, layers, "squared_error", "identity", shape=(2, 6))
    )


@every_precision
def test_at_their_start_they_change_no_bit(dtype):
    """Numbers of 1 give the values themselves, and the activation itself."""
    rng = np.random.default_rng(0)
    x, y = (4 * rng.standard_normal((WIDTH + 3, k)).astype(dtype) for k in (6, 2))
    weights = [rng.standard_normal(n).astype(dtype) for n in ((6, 5), (5,), (5, 2), (2,))]
    ones = [np.ones(n, dtype) for n in (6, 5)]
    for name in (*PHIS, "relu"):
        plain = Dense(5, name), Dense(2, "identity")
        layers = Scaling(), Dense(5, "identity"), ParametricActivation(name), Dense(2, "identity")
        found = []
        for chain, arrays in (
            (plain, weights), (layers, [ones[0], *weights[:2], ones[1], *weights[2:]])
        ):  # fmt: skip
            network = Network(6, chain, "squared_error", "identity")
            engine = engine_of(network, arrays, dtype)
            theta = np.concatenate([arrays[k].ravel() for k in network.packing()]).astype(float)
            _, gradient = engine.loss_gradient(theta, engine.dataset(x, y), 0.1)
            found.append((engine.predict(x), gradient[:40]))  # that by the weights is first
        for a, b in zip(*found, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)


def test_nobody_waits_for_what_it_does_not_read():
    """Outputs are not read again, so that dropout lies in their place; a prediction keeps none."""
    layers = (
        Dense(4, "identity"), ParametricActivation(), Dropout(0.1), Scaling(), Dropout(0.1),
        Dense(2, "identity"),
    )  # fmt: skip
    network = Network(3, layers, "squared_error", "identity")
    program = make_program(network, np.float32, False, True)
    for number in (2, 4):
        assert program.of_layer[number]["input_row"] == program.of_layer[number]["output_row"]
    assert program.of_layer[1]["kept_row"] >= 0
    predicting = make_program(network, np.float32, False, False)
    assert predicting.of_layer[1]["kept_row"] == -1 and predicting.of_layer[1]["backward_at"] == 0


def test_their_numbers_are_not_penalized_start_at_1_and_have_the_rate():
    network = tabular(rate=6.0)
    learned = [one for _, one in network.parameters() if one.name in ("factors", "shares")]
    assert [one.shape for one in learned] == [(FEATURES,), (FIRST,), (SECOND,)]
    assert [one.rate for one in learned] == [6.0, 6.0, 1.0]
    assert all(one.trained and not one.penalized and one.start == 1.0 for one in learned)
    (factors,) = Scaling(2).parameters((3, 4, 5))
    assert factors.shape == (3,) and factors.rate == 2


def test_they_belong_to_the_hidden_layer_below():
    assert tabular().hidden_ends == (3, 5) and tabular().widths == (7, 9, 6, 3)


@pytest.mark.parametrize("rate", [-0.1, np.nan, np.inf, "1", None, True])
def test_a_rate_is_a_factor(rate):
    with pytest.raises(ValueError, match="rate of a scaling layer is a factor of at least 0 on"):
        Scaling(rate)
    with pytest.raises(ValueError, match="rate of a parametric layer is a factor of at least 0"):
        ParametricActivation("selu", rate)
