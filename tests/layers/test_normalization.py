"""Normalization and residual layers: the oracle, running statistics, blocks and threads."""

import itertools

import numba
import numpy as np
import pytest
from comparing import packed
from scipy import sparse

import naive
from engine_problems import ACTIVATIONS, DTYPES, LOSSES, some_differences
from nnjit.backends import plan, tuner
from nnjit.backends.cpu import CpuEngine
from nnjit.layers.dense.spec import Dense
from nnjit.layers.network import Network, mlp
from nnjit.layers.normalization.spec import Normalization
from nnjit.layers.residual.spec import Residual

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
METHODS = ["batch", "layer"]
# Which layers a network has beside dense ones.
OPTIONS = list(itertools.product([None, *METHODS], [False, True]))[1:]
every_option = pytest.mark.parametrize("method, residual", OPTIONS)
every_precision = pytest.mark.parametrize("dtype", DTYPES)


def tolerance(dtype):
    return 1e-3 if dtype == np.float32 else 1e-10


def network(units, activation, loss, method, residual):
    inputs, *hidden, outputs = units
    return mlp(
        inputs, hidden, outputs, activation, *LOSSES[loss], normalization=method, residual=residual
    )


def parameters(made, dtype, seed=0):
    """Random parameters in the order of the network's, and the same by dense layers."""
    rng, found = np.random.default_rng(seed), []
    for _, one in made.parameters():
        values = rng.standard_normal(one.shape) / np.sqrt(one.shape[0] if one.shape[1:] else 4)
        values = 1 + values / 2 if one.name == "scale" else values
        found.append((values**2 if one.name == "variance" else values).astype(dtype))
    return found


def by_layers(arrays):
    starts = [i for i, array in enumerate(arrays) if array.ndim == 2]
    return [arrays[i:j] for i, j in zip(starts, [*starts[1:], len(arrays)])]


def samples(n, units, loss, dtype, seed=1):
    rng = np.random.default_rng(seed)
    X, w = rng.standard_normal((n, units[0])).astype(dtype), rng.integers(0, 3, n).astype(dtype)
    w[0] = 1
    if loss == "multinomial":
        y = rng.integers(0, units[-1], n)
        return X, y, np.eye(units[-1], dtype=dtype)[y], w
    y = rng.standard_normal((n, units[-1])).astype(dtype)
    return X, y, y, w


def trained(engine, data, batch, epochs=2, solver="sgd", **hyperparameters):
    """Losses of some epochs."""
    X, y, _, w = data
    optimizer = engine.optimizer(solver, **hyperparameters)
    optimizer.learning_rate = 0.05
    orders = np.array([np.random.default_rng(k).permutation(len(X)) for k in range(epochs)])
    return engine.train_epochs(engine.dataset(X, y, w), orders, batch, optimizer, 0.1)


def with_parameters(made, dtype, seed=0):
    engine = CpuEngine(made, dtype)
    arrays = parameters(made, dtype, seed)
    engine.pack(arrays)
    return engine, arrays


# The oracle


@every_option
@pytest.mark.parametrize("activation", ACTIVATIONS)
@every_precision
def test_gradient_equals_the_oracle(method, residual, activation, dtype):
    """At sizes around those of vectors, tiles and blocks."""
    shapes = [(5, (3, 4, 4, 2)), (33, (17, 17, 16, 16, 3)), (300, (9, 9, 31, 2))]
    if numba.config.DISABLE_JIT:
        shapes = shapes[:1]
    for seed, (n, units) in enumerate(shapes):
        loss = ("multinomial", "squared_error")[seed % 2]
        made = network(units, activation, loss, method, residual)
        arrays = parameters(made, dtype, seed)
        X, y, dense, w = samples(n, units, loss, dtype, seed)
        engine = CpuEngine(made, dtype)
        value, gradient = engine.loss_gradient(packed(made, arrays), engine.dataset(X, y, w), 0.3)
        learned = [layer[:4] for layer in by_layers([a.astype(float) for a in arrays])]
        expected_value, expected = naive.blocks_gradient(
            learned, X.astype(float), dense.astype(float), loss, activation, method, residual, 0.3,
            w.astype(float),
        )  # fmt: skip
        found = unpacked(made, gradient)
        scale = max(np.abs(one).max() for one in expected)
        running = [one for one, (_, p) in zip(found, made.parameters()) if not p.trained]
        assert all(not one.any() for one in running)
        found = [one for one, (_, p) in zip(found, made.parameters()) if p.trained]
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance(dtype) * scale)
        np.testing.assert_allclose(value, expected_value, rtol=tolerance(dtype))


def unpacked(made, vector):
    shapes = [one.shape for _, one in made.parameters()]
    found, start = [None] * len(shapes), 0
    for number in made.packing():
        size = int(np.prod(shapes[number]))
        found[number] = vector[start : start + size].reshape(shapes[number])
        start += size
    return found


@every_option
@every_precision
def test_predictions_equal_the_oracle(method, residual, dtype):
    """By running statistics, whatever rows stand together."""
    units = (9, 9, 20, 20, 3)
    made = network(units, "tanh", "multinomial", method, residual)
    engine, arrays = with_parameters(made, dtype)
    X = samples(20 if numba.config.DISABLE_JIT else 700, units, "multinomial", dtype)[0]
    layers = by_layers([a.astype(float) for a in arrays])
    logits = naive.blocks_forward(layers, X.astype(float), "tanh", method, residual)[2]
    found = engine.predict(X, "logits")
    np.testing.assert_allclose(found, logits, rtol=tolerance(dtype), atol=tolerance(dtype))
    for start, stop in [(0, 1), (3, 4), (1, 17), (2, len(X))]:
        np.testing.assert_array_equal(engine.predict(X[start:stop], "logits"), found[start:stop])


@pytest.mark.parametrize("method, residual", OPTIONS)
@pytest.mark.parametrize("batch", [1, 7, 300])
@every_precision
def test_steps_and_running_statistics_equal_the_oracle(method, residual, batch, dtype):
    """Sample weights count in the loss and not in the statistics; the penalty is of weights."""
    units, n = (6, 8, 8, 2), 8 if batch == 1 or numba.config.DISABLE_JIT else 330
    made = network(units, "relu", "squared_error", method, residual)
    engine, arrays = with_parameters(made, dtype)
    X, y, dense, w = data = samples(n, units, "squared_error", dtype)
    w[:] += 1
    trained(engine, data, batch, epochs=1, momentum=0.0)
    layers = by_layers([a.astype(float) for a in arrays])
    order = np.random.default_rng(0).permutation(n)
    for start in range(0, n, batch):
        rows = order[start : start + batch]
        follow(layers, X[rows].astype(float), dense[rows].astype(float), w[rows].astype(float),
               method, residual)  # fmt: skip
    for a, b in zip(engine.unpack(), itertools.chain(*layers), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance(dtype), atol=tolerance(dtype))


def follow(layers, x, y, w, method, residual):
    """One step of SGD without momentum, and of the running statistics, in place."""
    learned = [layer[:4] for layer in layers]
    arguments = learned, x, y, "squared_error", "relu", method, residual, 0.1, w
    if method == "batch":
        for layer, (_, sums, *_) in zip(
            layers, naive.blocks_forward(learned, x, "relu", method, residual)[0], strict=False
        ):
            layer[4] += 0.1 * (sums.mean(axis=0) - layer[4])
            layer[5] += 0.1 * (sums.var(axis=0) * len(x) / max(len(x) - 1, 1) - layer[5])
    _, gradient = naive.blocks_gradient(*arguments)
    penalty = [
        0.1 * array / w.sum() if array.ndim == 2 else 0 for array in itertools.chain(*learned)
    ]
    for array, slope, decay in zip(itertools.chain(*learned), gradient, penalty, strict=True):
        # the squared error's delta in a minibatch is that of the sum over both outputs
        array -= 0.05 * (2 * (slope - decay) + decay)


# Statistics


@pytest.mark.parametrize("method", METHODS)
def test_a_variance_that_is_small_beside_the_mean_is_not_lost_in_float32(method):
    """x = 10000 + noise, of which a sum of squares in float32 keeps nothing."""
    rng, n = np.random.default_rng(0), 8
    made = Network(
        n, (Normalization(method), Dense(n, "identity")), "squared_error", "identity"
    )  # fmt: skip
    X = (1e4 + rng.standard_normal((200, n))).astype(np.float32)
    losses = []
    for dtype in DTYPES:
        engine = CpuEngine(made, dtype)
        start = [np.ones(n), np.zeros(n), *[np.zeros(n), np.ones(n)] * (method == "batch")]
        arrays = [*start, np.eye(n), np.zeros(n)]
        y = np.zeros((200, n), dtype)
        dataset = engine.dataset(X.astype(dtype), y)
        losses.append(engine.loss_gradient(packed(made, arrays), dataset, 0.0)[0])
    assert losses[1] == pytest.approx(0.5, rel=1e-4)  # half the variance that it makes
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_minibatch_of_one_row_has_no_variance():
    made = Network(3, (Normalization("batch"), Dense(2, "identity")), "squared_error", "identity")
    engine, arrays = with_parameters(made, np.float64)
    X, y = np.array([[1.0, -2.0, 3.0]]), np.zeros((1, 2))
    _, shift, mean, variance, weights, biases = arrays
    value, _ = engine.loss_gradient(packed(made, arrays), engine.dataset(X, y), 0.0)
    np.testing.assert_allclose(value, np.square(shift @ weights + biases).mean() / 2)
    optimizer = engine.optimizer("sgd")
    engine.train(engine.dataset(X, y), np.arange(1), 1, optimizer, 0.0, 0, 1)
    np.testing.assert_allclose(engine.unpack()[2], 0.9 * mean + 0.1 * X[0])
    np.testing.assert_allclose(engine.unpack()[3], 0.9 * variance)


def test_a_gradient_for_its_own_sake_leaves_running_statistics_alone():
    made = network((5, 6, 2), "relu", "squared_error", "batch", False)
    engine, arrays = with_parameters(made, np.float64)
    X, y, _, w = samples(40, (5, 2), "squared_error", np.float64)
    engine.loss_gradient(packed(made, arrays), engine.dataset(X, y, w), 0.1)
    for a, b in zip(engine.unpack(), arrays, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_no_solver_moves_running_statistics(solver):
    """Whatever it carries along for them stays 0, and a layer of momentum 0 leaves them alone."""
    layers = (
        Dense(6, "identity"),
        Normalization("batch", "relu", momentum=0.0),
        Dense(2, "identity"),
    )
    made = Network(5, layers, "squared_error", "identity")
    engine, arrays = with_parameters(made, np.float64)
    X, y, _, w = samples(40, (5, 2), "squared_error", np.float64)
    optimizer = engine.optimizer(solver)
    optimizer.learning_rate = 0.1
    engine.train(engine.dataset(X, y, w), np.arange(40), 8, optimizer, 0.1, 0, 5)
    found = engine.unpack()
    names = [one.name for _, one in made.parameters()]
    for name, a, b in zip(names, found, arrays, strict=True):
        assert np.array_equal(a, b) == (name in ("mean", "variance")), name
    for vector in optimizer.state()["vectors"].values():
        assert vector[:-12].any() and not vector[-12:].any()


def test_what_is_no_normalization_is_refused():
    with pytest.raises(ValueError, match="A normalization is 'batch' or 'layer', got 'group'"):
        Normalization("group")
    for wrong in ({"momentum": 1.5}, {"momentum": -0.1}, {"epsilon": 0.0}):
        with pytest.raises(ValueError, match="momentum from 0 to 1 and an epsilon above 0"):
            Normalization("batch", **wrong)


# Residual layers

BLOCKS = {
    "after the input": (Dense(4, "relu"), Residual(1)),
    "in a row": (Dense(5, "relu"), Dense(5, "relu"), Residual(1), Dense(5, "relu"), Residual(1)),
    "nested": (
        Dense(5, "relu"), Dense(5, "relu"), Dense(5, "relu"), Residual(1), Dense(5, "identity"),
        Residual(4),
    ),
    "from one layer": (
        Dense(5, "relu"), Dense(5, "relu"), Residual(1), Dense(5, "tanh"), Residual(3),
    ),
    "around a residual alone": (Dense(5, "relu"), Dense(5, "relu"), Residual(1), Residual(1)),
    "of normalized layers": (
        Dense(5, "identity"), Normalization("batch", "relu"),
        Dense(5, "identity"), Normalization("layer", "relu"),
        Residual(2), Normalization("batch", "relu"), Dense(5, "relu"), Residual(1),
    ),
    "around other widths": (Dense(5, "relu"), Dense(9, "relu"), Dense(5, "relu"), Residual(2)),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
def test_gradient_of_blocks_by_differences(name):
    made = Network(4, (*BLOCKS[name], Dense(2, "identity")), "squared_error", "identity")
    engine = CpuEngine(made, np.float64)
    X, y, _, w = samples(20, (4, 2), "squared_error", np.float64)
    dataset, theta = engine.dataset(X, y, w), packed(made, parameters(made, np.float64))
    _, found = engine.loss_gradient(theta, dataset, 0.1)
    some, numeric = some_differences(
        lambda t: engine.loss_gradient(t, dataset, 0.1)[0], theta, step=1e-6
    )
    np.testing.assert_allclose(found[some], numeric, rtol=0, atol=1e-6 * np.abs(found).max())


@pytest.mark.parametrize("name", BLOCKS)
@every_precision
def test_sparse_rows_go_around_blocks_as_dense_ones(name, dtype):
    made = Network(4, (*BLOCKS[name], Dense(2, "identity")), "squared_error", "identity")
    engine, arrays = with_parameters(made, dtype)
    X, y, _, w = samples(30, (4, 2), "squared_error", dtype)
    X[np.random.default_rng(0).random(X.shape) < 0.5] = 0
    limit = {"rtol": 10 * tolerance(dtype), "atol": tolerance(dtype)}
    np.testing.assert_allclose(engine.predict(sparse.csr_array(X)), engine.predict(X), **limit)
    expected, found = (
        engine.loss_gradient(packed(made, arrays), engine.dataset(form, y, w), 0.1)[1]
        for form in (X, sparse.csr_array(X))
    )
    np.testing.assert_allclose(found, expected, **limit)


@pytest.mark.parametrize(
    "layers",
    [
        (Residual(1),),
        (Dense(4, "identity"), Residual(2)),
        (Dense(4, "identity"), Residual(0)),
        (Dense(5, "relu"), Residual(1)),
        (Dense(4, "identity"), Dense(5, "identity"), Residual(1)),
    ],
)
def test_a_residual_of_no_block_or_of_another_width_is_refused(layers):
    with pytest.raises(ValueError, match="adds what came into a layer below it, of as many value"):
        Network(4, (*layers, Dense(2, "identity")), "squared_error", "identity")


# Threads


@jit_only
@every_option
@pytest.mark.parametrize("batch", [40, 300, 700])
@pytest.mark.parametrize("fused", [False, True])
@every_precision
def test_bits_do_not_depend_on_threads(method, residual, batch, fused, dtype, monkeypatch):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 0)
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", 0 if fused else 10**9)
    units, before, results = (20, 40, 40, 3), numba.get_num_threads(), []
    made = network(units, "relu", "multinomial", method, residual)
    data = samples(700, units, "multinomial", dtype)
    try:
        for count in (1, 2, min(4, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))

            def always(self, function, first, last, count=count):
                function(count > 1, first, last)

            monkeypatch.setattr(tuner.Tuner, "run", always)
            engine, _ = with_parameters(made, dtype)
            losses = trained(engine, data, batch, solver="adam")
            results.append((losses, engine.unpack()))
    finally:
        numba.set_num_threads(before)
    for losses, arrays in results[1:]:
        assert losses == results[0][0]
        for a, b in zip(arrays, results[0][1], strict=True):
            np.testing.assert_array_equal(a, b)
