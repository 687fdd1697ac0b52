"""The CPU's engine with every entry of the registries, and with some that nobody has added yet."""

import functools
import json

import numba
import numpy as np
import pytest
import torch_losses

import naive
from engine_problems import DTYPES, some_differences, tolerance
from entries_of_tests import HIDDEN, JOINED, PAIRS, add_entries, targets
from nnjit.backends.cpu import CpuEngine
from nnjit.formulas import ACTIVATIONS, SOLVERS, find_loss, known_pairs
from nnjit.formulas.registry import Activation
from nnjit.layers.dense.spec import Dense
from nnjit.layers.network import Network, mlp

# those by row have tests of their own
BY_DEFAULT = [pair for pair in known_pairs() if not find_loss(*pair).by_row]
ROWS = 21 if numba.config.DISABLE_JIT else 300


@pytest.fixture
def more_entries(monkeypatch):
    add_entries(monkeypatch)


def row_losses(engine, X, y):
    """Loss of every row by the entry's NumPy formulas."""
    entry, z = engine.loss_entry, engine.predict(X, "logits").astype(np.float64)
    p, outputs = engine.predict(X).astype(np.float64), engine.network.outputs
    columns = zip(*entry.settings(engine.network.loss_parameters, outputs), strict=True)
    given = {name: np.array(column) for name, column in zip(entry.parameters, columns, strict=True)}
    if entry.classes:
        given = {name: column[0] for name, column in given.items()}
        known = {"p": p[np.arange(len(y)), y], **given}
        return entry.numpy().value(*(known[name] for name in entry.value_reads))
    choices = outputs if entry.labels else 2
    y = np.eye(outputs)[y] if entry.labels else y
    known = {"y": y, "z": z, "p": p, "choices": choices, **given}
    values = entry.numpy().value(*(known[name] for name in entry.value_reads))
    return values.mean(axis=1) if entry.mean_over_outputs else values.sum(axis=1)


def pack_vector(engine, theta):
    """Parameters from one vector, in packing order."""
    arrays, start = engine.unpack(), 0
    for number in engine.network.packing():
        size = arrays[number].size
        arrays[number] = theta[start : start + size].reshape(arrays[number].shape)
        start += size
    engine.pack(arrays)


def vector_of(engine):
    arrays = engine.unpack()
    return np.concatenate([arrays[number].ravel() for number in engine.network.packing()])


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_gradient_of_every_entry_is_that_of_differences(pair, more_entries):
    """All activations in one network, each layer with its own; some keep z, some do not."""
    hidden = [*HIDDEN, "silu", "softplus", "relu"]
    layers = [Dense(2 + number % 2, name) for number, name in enumerate(hidden)]
    engine = CpuEngine(Network(3, (*layers, Dense(2, "identity")), *pair), np.float64)
    rng, n = np.random.default_rng(0), 4
    size = engine.network.n_parameters
    theta, X, w = rng.normal(0, 0.8, size), rng.normal(size=(n, 3)), np.array([1.0, 0.0, 2.0, 1.0])
    dataset = engine.dataset(X, targets(engine.loss_entry, n, 2), w)
    value, gradient = engine.loss_gradient(theta, dataset, 0.3)
    assert np.isfinite(value)
    # the derivative of a mean over the outputs is that of the mean for L-BFGS
    some, numeric = some_differences(
        lambda t: engine.loss_gradient(t, dataset, 0.3)[0], theta, step=1e-6
    )
    np.testing.assert_allclose(gradient[some], numeric, rtol=1e-5, atol=1e-7)


OPTIONS = {  # parameters of losses away from their defaults; a tuple is one for each output
    "huber": [{"huber_delta": 0.3}, {"huber_delta": (0.5, 2.0, 0.1)}],
    "masked_huber": [{"huber_delta": (0.5, 2.0, 0.1)}],
    "quantile": [{"quantile": 0.95}, {"quantile": (0.9, 0.1, 0.5)}],
    "squared_error_of_classes": [{"label_smoothing": 0.2}],
    "smoothed_log_loss": [{"label_smoothing": 0.3}],
    "focal": [{"focal_gamma": 0.0}, {"focal_gamma": 0.5}, {"focal_gamma": 1.0}],
}
EVERY_CASE = [(*pair, {}) for pair in JOINED] + [
    (name, output, options)
    for name, output in JOINED
    for options in OPTIONS.get(name, ())
    if output != "softmax" or not any(isinstance(value, tuple) for value in options.values())
]


def named(case):
    name, output, options = case
    return "-".join([name, output, *(f"{key}={value}" for key, value in options.items())])


# Every pair in float64, and in float32 those that estimators make by default: a unit each.
CASES = [
    pytest.param(case, dtype, id=f"{dtype.__name__}-{named(case)}")
    for dtype in DTYPES
    for case in EVERY_CASE
    if dtype == np.float64 or case[:2] in known_pairs()
]


def output_layer(case, dtype, n, outputs=3, seed=4):
    """(engine of a linear network, its packed parameters, X, y, weights) for a loss."""
    name, output, options = case
    network = Network(4, (Dense(outputs, "identity"),), name, output, tuple(options.items()))
    engine, rng = CpuEngine(network, dtype), np.random.default_rng(seed)
    theta = rng.normal(0, 0.6, network.n_parameters).astype(dtype).astype(float)
    X, w = rng.normal(size=(n, 4)).astype(dtype), rng.integers(0, 3, n).astype(dtype)
    w[0] = 1
    y = targets(engine.loss_entry, n, outputs)
    return engine, theta, X, y if engine.loss_entry.labels else y.astype(dtype), w


def oracles_loss(case, theta, X, y, w, outputs=3):
    """Mean loss by the oracle, in float64."""
    name, output, options = case
    weights, biases = theta[: 4 * outputs].reshape(4, outputs), theta[4 * outputs :]
    dense = np.eye(outputs)[y] if output == "softmax" else y.astype(float)
    options = {key: np.asarray(value, float) for key, value in options.items()}
    rows = naive.losses_of_rows(name, output, dense, X.astype(float) @ weights + biases, **options)
    return (w * rows).sum() / w.sum()


@pytest.mark.parametrize(("case", "dtype"), CASES)
def test_loss_and_gradient_are_the_oracles_with_every_option(case, dtype):
    if case[0] not in naive.ELEMENTS:
        pytest.skip("the oracle does not have it")
    for n in (1, 7, 8, 17) if numba.config.DISABLE_JIT else (1, 7, 8, 17, 255, 257, 600):
        engine, theta, X, y, w = output_layer(case, dtype, n)
        value, gradient = engine.loss_gradient(theta, engine.dataset(X, y, w), 0.0)
        expected = oracles_loss(case, theta, X, y, w)
        np.testing.assert_allclose(value, expected, rtol=tolerance(dtype), atol=tolerance(dtype))
        if n == 17:
            oracle = functools.partial(oracles_loss, case, X=X, y=y, w=w)
            differences = naive.central_differences(oracle, theta)
            atol = 1e-4 if dtype == np.float32 else 1e-8
            np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=atol)


@pytest.mark.parametrize(("case", "dtype"), CASES)
def test_a_minibatchs_gradient_is_that_of_the_loss_shown(case, dtype):
    """But for the mean over the outputs of scikit-learn's squared error, which it adds up."""
    engine, theta, X, y, w = output_layer(case, dtype, 40)
    dataset, optimizer = engine.dataset(X, y, w), engine.optimizer("sgd", momentum=0.0)
    _, gradient = engine.loss_gradient(theta, dataset, 0.1)
    pack_vector(engine, theta)
    optimizer.learning_rate = 0.25
    engine.train(dataset, np.arange(40), 40, optimizer, 0.1, 0, 1)
    if engine.loss_entry.gradient_of_sum:  # the penalty is that of the loss all the same
        penalty = np.r_[0.1 * theta[:12] / w.sum(), np.zeros(3)]
        gradient = 3 * (gradient - penalty) + penalty
    moved = (theta - vector_of(engine)) / 0.25
    np.testing.assert_allclose(moved, gradient, rtol=tolerance(dtype), atol=tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_target_column_serves_all_outputs(dtype):
    case = ("quantile", "identity", {"quantile": (0.9, 0.1, 0.5)})
    engine, theta, X, y, w = output_layer(case, dtype, 300)
    column = y[:, :1]
    losses = [
        engine.loss_gradient(theta, engine.dataset(X, target, w), 0.0)
        for target in (column, np.repeat(column, 3, axis=1))
    ]
    assert losses[0][0] == losses[1][0]
    np.testing.assert_array_equal(losses[0][1], losses[1][1])
    with pytest.raises(ValueError, match=r"The target has shape \(300, 2\)"):
        engine.dataset(X, y[:, :2], w)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_masked_loss_of_one_target_a_row_is_the_plain_loss_of_that_output(dtype):
    """As of the value of the action that was taken."""
    engine, theta, X, _, w = output_layer(("masked_huber", "identity", {}), dtype, 40)
    rng = np.random.default_rng(5)
    actions, values = rng.integers(0, 3, 40), rng.normal(size=40).astype(dtype)
    y = np.full((40, 3), np.nan, dtype)
    y[np.arange(40), actions] = values
    loss, gradient = engine.loss_gradient(theta, engine.dataset(X, y, w), 0.0)
    expected, slopes = 0.0, np.zeros((5, 3))
    for action in range(3):
        options = (("huber_delta", 1.0),)
        layers, rows = (Dense(1, "identity"),), actions == action
        alone = CpuEngine(Network(4, layers, "huber", "identity", options), dtype)
        own = theta.reshape(5, 3)[:, action]
        data = alone.dataset(X[rows], values[rows, np.newaxis], w[rows])
        value, slopes[:, action] = alone.loss_gradient(own, data, 0.0)
        expected += value * w[rows].sum() / w.sum()
        slopes[:, action] *= w[rows].sum() / w.sum()
    np.testing.assert_allclose(loss, expected, rtol=tolerance(dtype))
    np.testing.assert_allclose(gradient, slopes.ravel(), rtol=tolerance(dtype), atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_masked_mean_of_targets_that_are_all_known_is_the_squared_error_to_the_bit(dtype):
    moved = []
    for name in ("masked_mean_squared_error", "squared_error"):
        engine, theta, X, _, w = output_layer((name, "identity", {}), dtype, 40)
        y = np.random.default_rng(6).normal(size=(40, 3)).astype(dtype)
        pack_vector(engine, theta)
        dataset, optimizer = engine.dataset(X, y, w), engine.optimizer("sgd", momentum=0.0)
        optimizer.learning_rate = 0.25
        result = engine.train(dataset, np.arange(40), 10, optimizer, 0.1, 0, 4)
        moved.append((result.loss, vector_of(engine).tobytes()))
    assert moved[0] == moved[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((("delta", 1.0),), "parameters .*huber_delta.*, got 'delta'"),
        ((("huber_delta", (1.0, 2.0)),), "for each of 3 outputs"),
    ],
)
def test_unknown_parameters_of_a_loss_are_refused(options, message):
    network = Network(4, (Dense(3, "identity"),), "huber", "identity", options)
    with pytest.raises(ValueError, match=message):
        _ = CpuEngine(network, np.float64).loss_parameters


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pair", [*BY_DEFAULT, *PAIRS[-2:]], ids="-".join)
def test_loss_of_every_entry_is_that_of_its_formulas(pair, dtype, more_entries):
    engine = CpuEngine(Network(5, (Dense(9, "silu"), Dense(3, "identity")), *pair), dtype)
    rng = np.random.default_rng(1)
    theta = rng.normal(0, 0.5, engine.network.n_parameters)
    X = rng.normal(size=(ROWS, 5)).astype(dtype)
    y, w = targets(engine.loss_entry, ROWS, 3), rng.integers(0, 3, ROWS).astype(dtype)
    value, _ = engine.loss_gradient(theta, engine.dataset(X, y.astype(dtype), w), 0.0)
    expected = (w * row_losses(engine, X, y)).sum() / w.sum()
    np.testing.assert_allclose(value, expected, rtol=tolerance(dtype))


@pytest.mark.parametrize("solver", [*SOLVERS, "plain", "three"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [4, 260], ids=["summed", "fused"])
def test_steps_of_every_solver_are_those_of_its_formulas(width, solver, dtype, more_entries):
    """Whatever vectors and powers it has, and on from a state that was kept."""
    if width > 4 and numba.config.DISABLE_JIT:
        pytest.skip("minutes without the JIT")
    engine = CpuEngine(
        Network(70, (Dense(width, "silu"), Dense(3, "identity")), "log_loss", "softmax"), dtype
    )
    rng, n = np.random.default_rng(3), 24
    X = rng.normal(size=(n, 70)).astype(dtype)
    dataset = engine.dataset(X, rng.integers(0, 3, n))
    expected = rng.normal(0, 0.1, engine.network.n_parameters).astype(dtype)
    optimizer = engine.optimizer(solver)
    entry, powers = optimizer.solver, [1.0] * len(optimizer.solver.powers)
    vectors = [np.zeros(expected.size)] * len(entry.vectors)
    parameters = [one for _, one in engine.network.parameters()]
    penalized = np.concatenate(
        [np.full(parameters[k].size, float(parameters[k].penalized))
         for k in engine.network.packing()]
    )  # fmt: skip
    for step in range(3):
        _, gradient = engine.loss_gradient(expected, dataset, 0.1)
        pack_vector(engine, expected)
        optimizer.learning_rate = 0.01
        engine.train(dataset, np.arange(n), n, optimizer, 0.1, 0, 1)
        settings = entry.hyperparameters
        powers = [p * settings[name] for p, name in zip(powers, entry.powers, strict=True)]
        rates = entry.step_rates(0.01, settings, powers)
        reals = [value * (penalized if name in entry.penalized else 1)
                 for name, value in settings.items()]  # fmt: skip
        expected, *vectors = entry.numpy().step(expected, gradient, *vectors, *rates, *reals)
        limits = {"rtol": tolerance(dtype), "atol": tolerance(dtype)}
        np.testing.assert_allclose(vector_of(engine), expected, **limits)
        state = optimizer.state()
        assert list(state["vectors"]) == list(entry.vectors)
        assert state["steps"] == step + 1
        np.testing.assert_allclose(state["powers"], powers, rtol=1e-15)
        for ours, theirs in zip(state["vectors"].values(), vectors, strict=True):
            np.testing.assert_allclose(ours, theirs, **limits)
        optimizer = engine.optimizer(solver)
        optimizer.load_state(state)


def test_an_entry_that_replaces_another_of_its_name_is_the_one_that_runs(monkeypatch):
    """As in a notebook, whose cell with the formula runs again; a former network stays as it is."""

    def times(factor):
        def make(m):
            by = m.real(factor)
            return (lambda z: by * z), (lambda z: by), (lambda delta: by * delta)

        return Activation("mine", make)

    X, engines = np.array([[1.0, -2.0]]), []
    for factor in (2.0, 5.0):
        monkeypatch.setitem(ACTIVATIONS, "mine", times(factor))
        network = Network(2, (Dense(1, "mine"), Dense(1, "identity")), "squared_error", "identity")
        engines.append(CpuEngine(network, np.float64))
        engines[-1].pack([np.ones((2, 1)), np.zeros(1), np.ones((1, 1)), np.zeros(1)])
        assert engines[-1].predict(X) == -factor
    assert engines[0].predict(X) == -2.0


@pytest.mark.parametrize("case", torch_losses.CASES, ids=torch_losses.name_of)
def test_50_steps_are_pytorchs(case):
    """With the same weights and minibatches."""
    expected = json.loads(torch_losses.KEPT.read_text(encoding="utf-8"))
    assert list(expected) == [torch_losses.name_of(one) for one in torch_losses.CASES]
    np.testing.assert_allclose(
        trained_as_torch(case), expected[torch_losses.name_of(case)], rtol=1e-8, atol=1e-12
    )


def trained_as_torch(case):
    name, output, options = case
    X, y, arrays = torch_losses.problem(name, output)
    sizes = (torch_losses.INPUTS, (torch_losses.HIDDEN,), torch_losses.outputs_of(name))
    network = mlp(*sizes, "tanh", name, output, loss_parameters=tuple(options.items()))
    engine = CpuEngine(network, np.float64)
    engine.pack(arrays)
    dataset, order = engine.dataset(X, y), np.arange(torch_losses.ROWS)
    optimizer = engine.optimizer("sgd", momentum=0.0)
    optimizer.learning_rate = torch_losses.RATE
    for _ in range(torch_losses.EPOCHS):
        batches = torch_losses.ROWS // torch_losses.BATCH
        engine.train(dataset, order, torch_losses.BATCH, optimizer, 0.0, 0, batches)
    return np.concatenate([array.ravel() for array in engine.unpack()])


def test_stored_steps_are_those_of_the_pytorch_that_is_installed():
    pytest.importorskip("torch")
    kept = json.loads(torch_losses.KEPT.read_text(encoding="utf-8"))
    for name, expected in torch_losses.computed().items():
        np.testing.assert_allclose(kept[name], expected, rtol=1e-9, atol=1e-13)
