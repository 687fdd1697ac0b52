"""Dropout on the device: the CPU's bits, whatever form, blocks and launches."""

import numpy as np
import pytest
import test_cuda_engine
from test_cuda_engine import FORMS, use_form

import naive
from engine_problems import DTYPES, in_layers, packed, problem, tolerance
from nnjit.backends.cpu import CpuEngine
from nnjit.backends.cuda.engine import CudaEngine
from nnjit.formulas import find_activation, random
from nnjit.layers.network import Network, mlp

pytest.importorskip("nnjit.layers.dropout.spec")

SEED, RATES = 2**40 + 17, (0.5, 0.25)
UNITS = (3, 4, 5, 2)
# Dense layers are 1, 3 and 5 of the network, dropout is 0, 2 and 4.
DROPOUT = {0: 0.2, 2: RATES[0], 4: RATES[1]}


@pytest.fixture
def form(request, monkeypatch):
    return use_form(request.param, monkeypatch)


def network(activation="tanh", dropout=RATES, input_dropout=0.2):
    return mlp(
        3, (4, 5), 2, activation, "squared_error", "identity", dropout=dropout,
        input_dropout=input_dropout,
    )  # fmt: skip


def mask(step, layer, rows, units):
    """What dropout multiplies by in one minibatch."""
    draws, rate = random.arrays(), DROPOUT[layer]
    first, second = draws.key(SEED, step, layer)
    drawn = [
        [draws.bits(*draws.unit_key(first, second, k), np.uint32(j)) for k in range(units)]
        for j in range(rows)
    ]
    return (np.array(drawn) >= random.threshold_of(rate)) / (1 - rate)


def gradient(theta, X, y, step, activation):
    """Of half the mean squared error (the sum over the outputs), by NumPy."""
    coefs, intercepts = parameters(theta)
    phi, below, kept = find_activation(activation).numpy(), X, []
    for number, (w, b) in enumerate(zip(coefs, intercepts, strict=True)):
        drop = mask(step, 2 * number, *below.shape)
        inputs = below * drop
        z = inputs @ w + b
        kept.append((drop, inputs, z))
        below = z if number == 2 else phi.value(z)
    delta, weights, biases = (below - y) / len(X), [], []
    for w, (drop, inputs, _), (_, _, z_below) in zip(
        coefs[::-1], kept[::-1], [*kept[-2::-1], kept[0]], strict=True
    ):
        weights.append(inputs.T @ delta)
        biases.append(delta.sum(axis=0))
        if w is not coefs[0]:
            delta = (delta @ w.T) * drop * phi.derivative(z_below)
    return packed(weights[::-1], biases[::-1])


def parameters(theta):
    shapes = [(3, 4), (4, 5), (5, 2), (4,), (5,), (2,)]
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    parts = [part.reshape(s) for part, s in zip(np.split(theta, ends[:-1]), shapes, strict=True)]
    return parts[:3], parts[3:]


@pytest.mark.parametrize("form", FORMS, indirect=True)
@pytest.mark.parametrize("activation", ["relu", "tanh", "silu"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_steps_with_dropout_are_those_of_the_formula(form, activation, dtype, monkeypatch):
    """A short last minibatch, several calls; some activations read what dropout has changed."""
    test_cuda_engine.add_entries(monkeypatch)
    coefs, intercepts, X, y, _, _ = problem("squared_error", dtype, 11, UNITS, seed=4)
    engine = CudaEngine(network(activation), dtype)
    engine.pack(in_layers(coefs, intercepts))
    dataset, optimizer = engine.dataset(X, y), engine.optimizer("sgd", momentum=0.0, seed=SEED)
    optimizer.learning_rate = 0.1
    order = np.random.default_rng(0).permutation(11)
    for first, last in [(0, 2), (2, 3)]:
        engine.train(dataset, order, 6 - 1, optimizer, 0.0, first, last)
    theta = packed(coefs, intercepts)
    for step in range(3):
        rows = order[5 * step : 5 * step + 5]
        theta = theta - 0.1 * gradient(theta, X[rows], y[rows], step, activation)
    np.testing.assert_allclose(
        packed(*[engine.unpack()[k::2] for k in (0, 1)]), theta,
        rtol=tolerance(dtype), atol=tolerance(dtype),
    )  # fmt: skip


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_training_with_dropout_is_that_of_the_cpu(solver):
    coefs, intercepts, X, y, _, w = problem("squared_error", np.float64, 11, UNITS, True, seed=5)
    w[:4] = 0  # a minibatch that is left out counts no step
    results = []
    for kind in (CudaEngine, CpuEngine):
        engine = kind(network(), np.float64)
        engine.pack(in_layers(coefs, intercepts))
        dataset, optimizer = engine.dataset(X, y, w), engine.optimizer(solver, seed=SEED)
        optimizer.learning_rate = 0.02
        orders = np.array([np.arange(11), np.arange(11)[::-1]])
        losses = engine.train_epochs(dataset, orders, 4, optimizer, 0.1)
        results.append([*engine.unpack(), losses])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-13)


def test_bits_with_dropout_do_not_depend_on_blocks_or_launches(monkeypatch):
    coefs, intercepts, X, y, _, _ = problem("squared_error", np.float32, 11, UNITS, seed=6)
    for forms in (["slices"], ["grid", "phases"]):
        results = []
        for name in forms:
            for blocks in (1, 3):
                monkeypatch.setattr(test_cuda_engine, "BLOCKS", blocks)
                use_form(name, monkeypatch)
                engine = CudaEngine(network(), np.float32)
                engine.pack(in_layers(coefs, intercepts))
                optimizer = engine.optimizer("adam", seed=SEED)
                optimizer.learning_rate = 0.01
                engine.train(engine.dataset(X, y), np.arange(11), 7, optimizer, 0.1, 0, 2)
                results.append(engine.unpack())
        for other in results[1:]:
            for a, b in zip(other, results[0], strict=True):
                np.testing.assert_array_equal(a, b)


def test_predictions_leave_dropout_out():
    coefs, intercepts, X, *_ = problem("squared_error", np.float64, 7, UNITS)
    engine = CudaEngine(network(), np.float64)
    engine.pack(in_layers(coefs, intercepts))
    expected = naive.network_forward(coefs, intercepts, X, "tanh", "identity")[-1]
    np.testing.assert_allclose(engine.predict(X), expected, rtol=1e-12)


def test_dropout_behind_dropout_is_refused():
    plain = network(dropout=0.5)
    layers = plain.layers
    twice = Network(3, (layers[0], layers[0], *layers[1:]), "squared_error", "identity")
    with pytest.raises(ValueError, match="no device code for dropout behind dropout"):
        CudaEngine(twice, np.float64)
