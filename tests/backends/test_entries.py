"""The CPU's engine with every entry of the registries, and with some that nobody has added yet."""

import numba
import numpy as np
import pytest

from engine_problems import DTYPES, tolerance
from entries_of_tests import HIDDEN, PAIRS, add_entries, targets
from nnjit.backends.cpu import CpuEngine
from nnjit.formulas import ACTIVATIONS, SOLVERS
from nnjit.formulas.registry import Activation
from nnjit.layers.dense.spec import Dense
from nnjit.layers.network import Network

ROWS = 21 if numba.config.DISABLE_JIT else 300


@pytest.fixture
def more_entries(monkeypatch):
    add_entries(monkeypatch)


def row_losses(engine, X, y):
    """Loss of every row by the entry's NumPy formulas."""
    entry, z = engine.loss_entry, engine.predict(X, "logits").astype(np.float64)
    p = engine.predict(X).astype(np.float64)
    known = {"y": y, "z": z, "p": p, **entry.parameters}
    if entry.classes:
        known["p"] = p[np.arange(len(y)), y]
        return entry.numpy().value(*(known[name] for name in entry.value_reads))
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
    engine = CpuEngine(Network(3, (*layers, Dense(2)), *pair), np.float64)
    rng, n = np.random.default_rng(0), 4
    size = engine.network.n_parameters
    theta, X, w = rng.normal(0, 0.8, size), rng.normal(size=(n, 3)), np.array([1.0, 0.0, 2.0, 1.0])
    dataset = engine.dataset(X, targets(engine.loss_entry, n, 2), w)
    value, gradient = engine.loss_gradient(theta, dataset, 0.3)
    assert np.isfinite(value)
    # the derivative of a mean over the outputs is that of the mean for L-BFGS
    for i in range(size):
        step = np.zeros(size)
        step[i] = 1e-6
        above, below = (engine.loss_gradient(theta + s, dataset, 0.3)[0] for s in (step, -step))
        np.testing.assert_allclose(gradient[i], (above - below) / 2e-6, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_loss_of_every_entry_is_that_of_its_formulas(pair, dtype, more_entries):
    engine = CpuEngine(Network(5, (Dense(9, "silu"), Dense(3)), *pair), dtype)
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
    engine = CpuEngine(Network(70, (Dense(width, "silu"), Dense(3)), "log_loss", "softmax"), dtype)
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
        network = Network(2, (Dense(1, "mine"), Dense(1)), "squared_error", "identity")
        engines.append(CpuEngine(network, np.float64))
        engines[-1].pack([np.ones((2, 1)), np.zeros(1), np.ones((1, 1)), np.zeros(1)])
        assert engines[-1].predict(X) == -factor
    assert engines[0].predict(X) == -2.0
