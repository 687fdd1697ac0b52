"""The network on the device against the oracle and against the CPU engine."""

import itertools
import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from device_arrays import Foreign, to_device
from scipy import sparse

import naive
from engine_problems import (
    ACTIVATIONS,
    DTYPES,
    LOSSES,
    assert_epochs_equal_the_oracle,
    in_layers,
    network,
    packed,
    problem,
    tolerance,
)
from entries_of_tests import HIDDEN, PAIRS, add_entries, targets
from nnjit.backends import select
from nnjit.backends.cpu import CpuEngine
from nnjit.backends.cuda import choice, memory, plan
from nnjit.backends.cuda.engine import CudaEngine
from nnjit.backends.cuda.products import Tile
from nnjit.formulas import SOLVERS
from nnjit.layers.dense.spec import Dense
from nnjit.layers.network import Network, mlp
from nnjit.layers.radial.spec import RadialBasis


@dataclass(frozen=True)
class MadeUp:
    """A kind of layer that nobody has written."""

    units: int
    kind: ClassVar[str] = "made_up"

    def outputs(self, inputs):
        return self.units

    def parameters(self, inputs):
        return ()

    def kept(self, inputs):
        return 0

    def work(self, inputs):
        return 0


FORMS = ["one block", "slices", "grid", "phases"]
BLOCKS = 3


@pytest.fixture
def form(request, monkeypatch):
    """Have every network trained in one form, in tiny tiles."""
    return use_form(request.param, monkeypatch)


def use_form(name, monkeypatch):
    tile = Tile(2, 2, 2, 2, 3) if name in ("grid", "phases") else Tile(2, 3, 1, 1, 2)
    monkeypatch.setattr(choice, "tile_for", lambda *arguments: tile)
    monkeypatch.setattr(choice, "ONE_BLOCK_WORK", 1e9 if name == "one block" else -1)
    monkeypatch.setattr(choice, "MOST_SLICES", 64 if name == "slices" else 0)
    # The grid takes 5 rows at a time and cuts them into partial sums of 3 and 2.
    monkeypatch.setattr(choice, "GRID_ROWS", 5)
    monkeypatch.setattr(choice, "LEAST_STEP", 2)
    # The simulator as the tests run it has grids of several blocks that wait for each other.
    monkeypatch.setattr(plan, "most_blocks", lambda *arguments: 0 if name == "phases" else BLOCKS)
    monkeypatch.setattr(plan, "MOST_PHASE_BLOCKS", BLOCKS)
    return name


def engines(loss, activation, units, dtype):
    arguments = network(units, activation, loss), dtype
    return CudaEngine(*arguments), CpuEngine(*arguments)


def cuda_engine(*arguments):
    return engines(*arguments)[0]


@pytest.mark.parametrize("form", FORMS, indirect=True)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_equals_the_oracle(form, loss, dtype):
    units, n = (3, 5, 2, 1 if loss == "poisson" else 2), 8
    activation = ACTIVATIONS[list(LOSSES).index(loss)]
    coefs, intercepts, X, y, dense, w = problem(loss, dtype, n, units, True, seed=1)
    engine = cuda_engine(loss, activation, units, dtype)
    theta, dataset = packed(coefs, intercepts), engine.dataset(X, y, w)
    value, gradient = engine.loss_gradient(theta, dataset, 0.3)
    arguments = coefs, intercepts, X, dense, loss, activation, 0.3, w
    expected = packed(*naive.network_gradient(*arguments))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance(dtype) * scale)
    np.testing.assert_allclose(value, naive.network_loss(*arguments), rtol=tolerance(dtype))
    again = engine.loss_gradient(theta, dataset, 0.3)
    assert again[0] == value
    np.testing.assert_array_equal(again[1], gradient)


@pytest.mark.parametrize("form", FORMS, indirect=True)
@pytest.mark.parametrize("solver", ["sgd", "nesterov", "adam"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_epochs_equal_the_oracle(form, solver, dtype):
    """Weighted rows, a short last minibatch, and one whose weights are all zero."""
    units, n, batch, loss = (3, 4, 3), 10, 4, "multinomial"
    data = problem(loss, dtype, n, units, True, seed=3)
    w = data[-1]
    w[:] = 1 + w
    w[8:] = 0
    rng = np.random.default_rng(1)
    orders = [np.arange(n), rng.permutation(n)]
    engine = cuda_engine(loss, "tanh", units, dtype)
    assert_epochs_equal_the_oracle(engine, solver, loss, data, orders, batch)


@pytest.mark.parametrize("form", FORMS, indirect=True)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_trajectory_is_that_of_the_cpu(form, solver):
    """In float64 to 1e-8 after every single step."""
    units, n, batch, loss = (3, 4, 2), 9, 4, "squared_error"
    coefs, intercepts, X, y, _, _ = problem(loss, np.float64, n, units)
    order, states = np.random.default_rng(0).permutation(n), []
    for engine in engines(loss, "logistic", units, np.float64):
        engine.pack(in_layers(coefs, intercepts))
        dataset, optimizer = engine.dataset(X, y), engine.optimizer(solver)
        optimizer.learning_rate = 0.05
        steps = []
        for step in [0, 1, 2, 0, 1, 2]:
            result = engine.train(dataset, order, batch, optimizer, 0.1, step, step + 1)
            state = optimizer.state()
            steps.append([*engine.unpack(), *state["vectors"].values(), state["steps"],
                          state["powers"], result.loss])  # fmt: skip
        states.append(steps)
    for ours, theirs in zip(*states, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-14)


def trained(units, dtype, cuts):
    coefs, intercepts, X, y, _, w = problem("multinomial", dtype, 11, units, True, seed=2)
    engine = cuda_engine("multinomial", "relu", units, dtype)
    engine.pack(in_layers(coefs, intercepts))
    dataset, optimizer = engine.dataset(X, y, w), engine.optimizer("adam")
    optimizer.learning_rate = 0.01
    order = np.random.default_rng(0).permutation(11)
    for first, last in itertools.pairwise(cuts):
        engine.train(dataset, order, 4, optimizer, 0.1, first, last)
    return [*engine.unpack(), *optimizer.state()["vectors"].values()]


@pytest.mark.parametrize("form", FORMS, indirect=True)
@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_are_repeated_however_an_epoch_is_cut(form, dtype):
    units = (3, 4, 3)
    whole = trained(units, dtype, [0, 3])
    for cuts in ([0, 3], [0, 1, 3]):
        for a, b in zip(trained(units, dtype, cuts), whole, strict=True):
            np.testing.assert_array_equal(a, b)


def test_bits_do_not_depend_on_blocks_or_launches(monkeypatch):
    units, dtype = (3, 4, 3), np.float32
    for forms in (["slices"], ["grid", "phases"]):
        results = []
        for name, blocks in itertools.product(forms, (1, 2, 5)):
            monkeypatch.setattr(sys.modules[__name__], "BLOCKS", blocks)
            use_form(name, monkeypatch)
            results.append(trained(units, dtype, [0, 3]))
        for other in results[1:]:
            for a, b in zip(other, results[0], strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("form", FORMS, indirect=True)
def test_several_epochs_in_one_launch_give_the_same_bits(form):
    units, n, batch = (3, 4, 3), 7, 3
    coefs, intercepts, X, y, _, _ = problem("multinomial", np.float32, n, units)
    rng, results = np.random.default_rng(0), []
    orders = np.array([rng.permutation(n) for _ in range(4)])
    for together in (False, True):
        engine = cuda_engine("multinomial", "relu", units, np.float32)
        engine.pack(in_layers(coefs, intercepts))
        dataset, optimizer = engine.dataset(X, y), engine.optimizer("adam")
        optimizer.learning_rate = 0.01
        arguments = batch, optimizer, 0.1
        if together:
            losses = engine.train_epochs(dataset, orders[:3], *arguments)
            losses += engine.train_epochs(dataset, orders[3:], *arguments)
        else:
            losses = [engine.train(dataset, o, *arguments, 0, 3).loss for o in orders]
        state = optimizer.state()
        results.append(
            [*engine.unpack(), *state["vectors"].values(), state["steps"], state["powers"], losses]
        )
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator's threads are NumPy's
def test_epochs_end_with_a_loss_that_is_not_finite():
    coefs, intercepts, X, y, _, _ = problem("squared_error", np.float64, 6, (2, 3, 1))
    X[4] = np.inf
    engine = cuda_engine("squared_error", "relu", (2, 3, 1), np.float64)
    engine.pack(in_layers(coefs, intercepts))
    optimizer, dataset = engine.optimizer("sgd"), engine.dataset(X, y)
    orders = np.array([[0, 1, 2, 3], [3, 2, 1, 0], [0, 1, 4, 5], [0, 1, 2, 3]])
    losses = engine.train_epochs(dataset, orders, 2, optimizer, 0.1)
    assert len(losses) == 3
    assert np.isfinite(losses[:2]).all() and np.isnan(losses[2])
    assert optimizer.t == 5


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator's threads are NumPy's
@pytest.mark.parametrize("form", FORMS, indirect=True)
def test_a_loss_that_is_not_finite_stops_before_the_update(form):
    units = (2, 3, 1)
    coefs, intercepts, X, y, _, _ = problem("squared_error", np.float64, 8, units)
    X[5] = np.inf
    engine = cuda_engine("squared_error", "relu", units, np.float64)
    engine.pack(in_layers(coefs, intercepts))
    optimizer = engine.optimizer("sgd")
    dataset = engine.dataset(X, y)
    result = engine.train(dataset, np.arange(8), 2, optimizer, 0.1, 0, 4)
    assert not result.finite
    assert optimizer.t == 2
    for a, b in zip(engine.unpack()[0::2], coefs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("form", ["one block", "phases"], indirect=True)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_kind_of_input_gives_the_same_bits(form, dtype):
    """C and Fortran order, CSR, and device arrays of two kinds; predictions in the kind given."""
    units, n = (9, 3, 2), 6
    coefs, intercepts, X, y, _, w = problem("multinomial", dtype, n, units, True)
    X[np.random.default_rng(0).random(X.shape) < 0.7] = 0
    duplicates = sparse.csr_matrix(X)
    duplicates.data[0] /= 2
    duplicates = sparse.csr_matrix(
        (np.append(duplicates.data[0], duplicates.data), np.append(duplicates.indices[0],
         duplicates.indices), duplicates.indptr + (np.arange(n + 1) > 0)), X.shape)  # fmt: skip
    theta, results = packed(coefs, intercepts), []
    host = [X, np.asfortranarray(X), sparse.csr_array(X), duplicates]
    for given in [*host, to_device(X), Foreign(X), Foreign(np.asfortranarray(X))]:
        engine = cuda_engine("multinomial", "relu", units, dtype)
        loss, gradient = engine.loss_gradient(theta, engine.dataset(given, y, w), 0.1)
        if isinstance(given, Foreign):
            given.shape = X.shape
        outputs = engine.predict(given)
        assert isinstance(outputs, np.ndarray) == any(given is form for form in host)
        outputs = outputs if isinstance(outputs, np.ndarray) else outputs.copy_to_host()
        results.append((loss, gradient, outputs))
    for loss, gradient, outputs in results:
        assert loss == results[0][0]
        np.testing.assert_array_equal(gradient, results[0][1])
        np.testing.assert_array_equal(outputs, results[0][2])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_predictions_are_the_oracles_in_any_company(dtype, loss, monkeypatch):
    units = (4, 3, 2)
    coefs, intercepts, X, *_ = problem(loss, dtype, 7, units)
    engine = cuda_engine(loss, "tanh", units, dtype)
    engine.pack(in_layers(coefs, intercepts))
    whole = engine.predict(X)
    outputs = naive.network_forward(coefs, intercepts, X, "tanh", LOSSES[loss][1])
    np.testing.assert_allclose(whole, outputs[-1], rtol=tolerance(dtype), atol=1e-6)
    logits = naive.dense_forward(outputs[-2], coefs[-1], intercepts[-1], "identity")
    np.testing.assert_allclose(
        engine.predict(X, output="logits"), logits, rtol=tolerance(dtype), atol=1e-6
    )
    np.testing.assert_array_equal(engine.predict(X[3:4]), whole[3:4])
    monkeypatch.setattr(choice, "PREDICTION_ELEMENTS", 3 * sum(units))  # three rows at a time
    np.testing.assert_array_equal(engine.predict(X), whole)
    np.testing.assert_array_equal(engine.predict(sparse.csr_array(X)), whole)
    np.testing.assert_array_equal(engine.predict(engine.rows(X[::-1])), whole[::-1])
    assert engine.predict(X[:0]).shape == (0, 2)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_cpu_and_gpu_take_over_from_each_other(kind):
    """An optimizer's state and the weights go from one engine to the other and on."""
    units, n = (3, 4, 2), 8
    coefs, intercepts, X, y, _, _ = problem("bernoulli", np.float64, n, units)
    ends = []
    for order in itertools.product((0, 1), repeat=2):
        weights, state = in_layers(coefs, intercepts), None
        for number, half in enumerate(order):
            engine = engines("bernoulli", "tanh", units, np.float64)[half]
            engine.pack(weights)
            optimizer = engine.optimizer(kind)
            if state is not None:
                optimizer.load_state(state)
            optimizer.learning_rate = 0.01
            engine.train(engine.dataset(X, y), np.arange(n), 4, optimizer, 0.1, number, number + 1)
            weights, state = engine.unpack(), optimizer.state()
        ends.append([*weights, *state["vectors"].values(), state["powers"]])
    for end in ends[1:]:
        for a, b in zip(end, ends[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-14)
    with pytest.raises(ValueError, match="another network or solver"):
        optimizer.load_state({**state, "vectors": {"first": np.zeros(3)}})


def test_a_poisson_mean_that_underflows_costs_a_finite_loss():
    engine = cuda_engine("poisson", "identity", (1, 1), np.float64)
    X, y = np.ones((4, 1)), np.full((4, 1), 3.0)
    loss, gradient = engine.loss_gradient(np.array([0.0, -1000.0]), engine.dataset(X, y), 0.0)
    np.testing.assert_allclose(loss, 3 * np.log(3 / np.finfo(float).tiny) - 3, rtol=1e-5)
    np.testing.assert_allclose(gradient, [-3, -3])


@pytest.fixture
def more_entries(monkeypatch):
    add_entries(monkeypatch)


@pytest.mark.parametrize("form", ["one block", "grid"], indirect=True)
def test_gradient_through_every_activation_is_that_of_differences(form, more_entries):
    """All in one network, each layer with its own; some keep z, some do not."""
    hidden = dict.fromkeys([*HIDDEN, "silu", "softplus"])
    assert_gradient_is_that_of_differences([*hidden, "relu"], ("squared_error", "identity"))


@pytest.mark.parametrize("form", ["one block"], indirect=True)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_gradient_of_every_loss_and_output_is_that_of_differences(form, pair, more_entries):
    assert_gradient_is_that_of_differences(["silu", "relu"], pair)


def assert_gradient_is_that_of_differences(hidden, pair):
    layers = [Dense(2 + number % 2, name) for number, name in enumerate(hidden)]
    engine = CudaEngine(Network(3, (*layers, Dense(2, "identity")), *pair), np.float64)
    rng, n = np.random.default_rng(0), 4
    size = engine.network.n_parameters
    theta, X, w = rng.normal(0, 0.8, size), rng.normal(size=(n, 3)), np.array([1.0, 0.0, 2.0, 1.0])
    dataset = engine.dataset(X, targets(engine.formulas.loss, n, 2), w)
    value, gradient = engine.loss_gradient(theta, dataset, 0.3)
    assert np.isfinite(value)
    for i in range(0, size, 5):  # of weights and biases of every layer
        step = np.zeros(size)
        step[i] = 1e-6
        above, below = (engine.loss_gradient(theta + s, dataset, 0.3)[0] for s in (step, -step))
        np.testing.assert_allclose(gradient[i], (above - below) / 2e-6, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("form", ["slices", "phases"], indirect=True)
@pytest.mark.parametrize("solver", [*SOLVERS, "plain", "three"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_steps_of_every_solver_are_those_of_its_formulas(form, solver, dtype, more_entries):
    """Whatever vectors, powers and rates it has, and what is of penalized parameters alone.

    Cut into calls, and on from a state that was kept.
    """
    coefs, intercepts, X, y, _, _ = problem("multinomial", dtype, 8, (3, 4, 3))
    engine = cuda_engine("multinomial", "silu", (3, 4, 3), dtype)
    engine.pack(in_layers(coefs, intercepts))
    dataset, optimizer = engine.dataset(X, y), engine.optimizer(solver)
    entry, expected = optimizer.solver, packed(coefs, intercepts)
    vectors, powers = [np.zeros(expected.size)] * len(entry.vectors), [1.0] * len(entry.powers)
    penalized = np.arange(expected.size) < sum(coef.size for coef in coefs)
    for step in range(3):
        _, gradient = engine.loss_gradient(expected, dataset, 0.1)
        engine.pack(in_layers(*apart_of(engine, expected)))
        optimizer.learning_rate = 0.01
        engine.train(dataset, np.arange(8), 8, optimizer, 0.1, 0, 1)
        settings, powers = (
            entry.hyperparameters,
            [power * entry.hyperparameters[name] for power, name in zip(powers, entry.powers)],
        )
        rates = entry.step_rates(0.01, settings, powers)
        own = [
            np.where(penalized, value, 0.0) if name in entry.penalized else value
            for name, value in settings.items()
        ]
        expected, *vectors = entry.numpy().step(expected, gradient, *vectors, *rates, *own)
        got = np.concatenate([a.ravel() for a in in_packing(engine)])
        limits = {"rtol": tolerance(dtype), "atol": tolerance(dtype)}
        np.testing.assert_allclose(got, expected, **limits)
        state = optimizer.state()
        assert list(state["vectors"]) == list(entry.vectors) and state["steps"] == step + 1
        np.testing.assert_allclose(state["powers"], powers, rtol=1e-15)
        for ours, theirs in zip(state["vectors"].values(), vectors, strict=True):
            np.testing.assert_allclose(ours, theirs, **limits)
        optimizer = engine.optimizer(solver)
        optimizer.load_state(state)


@pytest.mark.parametrize("form", FORMS, indirect=True)
@pytest.mark.parametrize("solver", ["sgd", "adamw"])
def test_each_minibatch_may_have_a_rate_of_its_own(form, solver):
    units, n, batch, results = (3, 4, 2), 9, 4, []
    rates, runs = np.array([0.1, 0.01, 0.05, 0.02, 0.2]), [(0, 2), (2, 3), (1, 3)]
    coefs, intercepts, X, y, _, _ = problem("squared_error", np.float64, n, units)
    for together in (False, True):
        engine = cuda_engine("squared_error", "tanh", units, np.float64)
        engine.pack(in_layers(coefs, intercepts))
        dataset, optimizer = engine.dataset(X, y), engine.optimizer(solver)
        assert optimizer.rates is None
        arguments, left = (dataset, np.arange(n), batch, optimizer, 0.1), list(rates)
        for first, last in runs:
            here = [left.pop(0) for _ in range(first, last)]
            if together:
                optimizer.rates = np.array(here)
                engine.train(*arguments, first, last)
            else:
                for number, optimizer.learning_rate in enumerate(here, first):
                    engine.train(*arguments, number, number + 1)
        results.append(engine.unpack())
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="2 rates for 3 minibatches"):
        engine.train(*arguments, 0, 3)


def in_packing(engine):
    arrays = engine.unpack()
    return [arrays[number] for number in engine.network.packing()]


def apart_of(engine, theta):
    """Weights and biases in a packed vector of one hidden layer."""
    shapes = [a.shape for a in in_packing(engine)]
    parts = np.split(theta, np.cumsum([np.prod(shape) for shape in shapes])[:-1])
    arrays = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    return arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :]


def test_only_what_a_derivative_needs_is_kept(more_entries):
    def row_values(*names):
        layers = [Dense(3, name) for name in names]
        network = Network(2, (*layers, Dense(1, "identity")), "squared_error", "identity")
        return CudaEngine(network, np.float32).net.row_values

    units = 2 + 3 + 3 + 1
    assert row_values("relu", "tanh") == units + 2 * 3
    assert row_values("silu", "relu") == row_values("relu", "softplus") == units + 2 * 3 + 3
    assert row_values("silu", "silu") == units + 2 * 3 + 2 * 3


@pytest.mark.parametrize("hidden", [(RadialBasis(4),), (Dense(3, "relu"), MadeUp(2))], ids=str)
def test_a_kind_without_device_code_is_refused_by_name(hidden, monkeypatch):
    network = Network(3, (*hidden, Dense(1, "identity")), "squared_error", "identity")
    kind = hidden[-1].kind
    message = f"there is no device code for {kind} layers, which work with device='cpu'"
    with pytest.raises(ValueError, match=message):
        CudaEngine(network, np.float64)
    with pytest.raises(ValueError, match=f"device='cuda:0' cannot be used: {message}"):
        select.make_engine(network, np.float64, "cuda:0")
    monkeypatch.setattr("nnjit.backends.cpu.CpuEngine", lambda *arguments: arguments)
    for arguments in (("auto",), ("cuda", True)):  # whatever can will do
        monkeypatch.setattr(select, "_said", set())
        with pytest.warns(UserWarning, match=f"runs on the CPU: {message}"):
            assert select.make_engine(network, np.float64, *arguments) == (network, np.float64)


def test_unknown_names_and_pairs_are_errors_that_list_what_there_is():
    def made(activation, loss, output):
        return CudaEngine(mlp(2, (3,), 1, activation, loss, output), np.float64)

    with pytest.raises(ValueError, match=r"activation must be one of .*'tanh'.*, got 'tanh2'"):
        made("tanh2", "squared_error", "identity")
    with pytest.raises(ValueError, match=r"'poisson' does not go with .*'identity'; it goes w"):
        made("tanh", "poisson", "identity")
    engine = made("tanh", "squared_error", "identity")
    with pytest.raises(ValueError, match=r"solver must be one of .*'adam'.*, got 'gradient'"):
        engine.optimizer("gradient")
    with pytest.raises(TypeError, match="'sgd' has no hyperparameter beta_1"):
        engine.optimizer("sgd", beta_1=0.5)


def test_out_of_memory_names_the_bytes_and_keeps_nothing(monkeypatch):
    made = []

    class Small:
        """A device with room for three arrays."""

        @staticmethod
        def device_array(n, dtype):
            if len(made) == 3:
                raise RuntimeError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")
            made.append(np.empty(n, dtype))
            return made[-1]

    monkeypatch.setattr(memory, "cuda", Small)
    sizes = dict.fromkeys("abcde", (10, np.float64))
    with pytest.raises(MemoryError, match=r"Training needs 400 bytes of GPU memory.*batch_size"):
        memory.allocate("Training", **sizes)
    monkeypatch.setattr(Small, "device_array", lambda n, dtype: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # other errors are not called lack of memory
        memory.allocate("Training", **sizes)


def test_sizes_choose_the_form(monkeypatch):
    monkeypatch.setattr(choice, "SIMULATED", False)

    def chosen(*arguments):
        result = choice.choose(*arguments)
        return result.form, result.slots

    assert chosen((4, 10, 3), 32, np.float32) == ("slices", 1)
    assert chosen((64, 100, 10), 200, np.float32)[0] == "slices"
    assert chosen((784, 512, 512, 10), 128, np.float32) == ("grid", 1)
    assert chosen((784, 512, 512, 10), 128, np.float32, False) == ("phases", 1)
    assert chosen((8, 64, 64, 1), 60_000, np.float32)[1] > 1  # a few tiles, many rows
    large = choice.choose((784, 2048, 2048, 10), 4096, np.float32)
    assert (large.form, large.tile) == ("grid", choice.LARGE_TILE)
    assert choice.choose((784, 2048, 2048, 10), 4096, np.float64).tile == choice.GRID_TILE
    for units, rows in [((784, 512, 512, 10), 128), ((784, 100, 10), 200)]:
        made = choice.choose(units, rows, np.float32)
        assert (made.form, made.tile) == ("grid", choice.SMALL_TILE)
    assert choice.choose((64, 100, 10), 200, np.float32).form == "slices"
    assert choice.choose((784, 512, 512, 10), 1024, np.float32).tile == choice.GRID_TILE
    assert choice.prediction_tile(65536, 100, True) == choice.LARGE_TILE
    assert choice.prediction_tile(65536, 10, True) == choice.GRID_TILE
    for units in [(4, 10, 3), (7, 16, 16, 3), (8, 64, 64, 1), (784, 100, 10)]:
        for dtype in DTYPES:
            made = choice.choose(units, 32, dtype)
            assert made.shared_bytes <= choice.SHARED_BYTES
            assert made.shared_params == (made.shared_bytes > 0) or made.shared_work
