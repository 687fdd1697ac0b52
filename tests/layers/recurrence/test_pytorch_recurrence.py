"""Recurrent layers against PyTorch's, in float64: states, gradients, twenty steps of training."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed import OneLayer
from pytorch_recurrence import (
    CHANNELS,
    EPSILON,
    GATES,
    LAYERS,
    MOMENTUM,
    NETWORKS,
    POINTS,
    RATE,
    SOLVERS,
    all_of_pytorch,
    brief,
    from_pytorch,
    layer_of_pytorch,
    layer_problem,
    module_of_pytorch,
    network_problem,
    stored,
    to_pytorch,
    torch_on_one_thread,
)

import naive_recurrence
from nnjit.backends.select import make_engine
from nnjit.layers import GRU, LSTM, RNN, Conv, Dense, GlobalPool
from nnjit.layers.network import Network

CELLS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


def layer_of_ours(kind, *options):
    if kind in CELLS:
        units, both, every, activation = options
        more = {} if activation is None else {"activation": activation}
        return CELLS[kind](units, both, every, **more)
    return {"convolution": Conv, "global_pooling": GlobalPool, "dense": Dense}[kind](*options)


def layer_by_kernels(layer, lengths, channels=CHANNELS, seed=0):
    """Outputs, and gradients by x and by each parameter."""
    x, arrays, delta = layer_problem(layer, lengths, channels, seed)
    one = OneLayer(layer_of_ours(*layer), x.shape[1:], np.float64, len(x), parameters=arrays)
    return [one.forward(x, lengths), one.backward(delta), *one.gradients()]


def layer_by_oracle(layer, lengths, channels=CHANNELS, seed=0):
    x, arrays, delta = layer_problem(layer, lengths, channels, seed)
    made = layer_of_ours(*layer)
    outputs, _, kept = naive_recurrence.recurrent_forward(made, x, arrays, lengths)
    dx, gradients = naive_recurrence.recurrent_backward(made, delta, x, arrays, kept)
    return [outputs, dx, *gradients]


def steps_of_ours(name, solver):
    """Parameters after the steps, the loss of the last one, and the outputs of all rows then."""
    arrays, X, _, y, steps = network_problem(name)
    layers = tuple(layer_of_ours(*layer) for layer in NETWORKS[name][1])
    shape = CHANNELS, POINTS
    made = Network(CHANNELS * POINTS, layers, "log_loss", "softmax", shape=shape)
    engine, X = make_engine(made, np.float64), X.reshape(len(X), -1)
    engine.pack([one for own in arrays for one in own])
    options = {
        "sgd": {"momentum": MOMENTUM, "nesterov": 0.0},
        "adamw": {"epsilon": EPSILON, "weight_decay": 0.0},
    }
    dataset, optimizer = engine.dataset(X, y), engine.optimizer(solver, **options[solver])
    optimizer.learning_rate = RATE
    for rows in steps:
        result = engine.train(dataset, rows, len(rows), optimizer, 0.0, 0, 1)
    return [*engine.unpack(), np.array(result.loss / len(rows)), engine.predict(X)]


def assert_agree(found, expected, limit):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=limit, atol=limit)


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("ours", [layer_by_kernels, layer_by_oracle])
def test_states_and_gradients_are_those_of_pytorch(kind, ours):
    kept = stored()
    for name, (layer, lengths) in LAYERS.items():
        if layer[0] == kind:
            found = [brief(array) for array in ours(layer, lengths)]
            assert_agree(found, kept[name], 1e-10)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_twenty_steps_are_those_of_pytorch(name, solver):
    found = [brief(array) for array in steps_of_ours(name, solver)]
    assert_agree(found, stored()[f"{name}, {solver}"], 1e-8)


def test_what_is_stored_is_what_pytorch_finds():
    pytest.importorskip("torch")
    found, kept = all_of_pytorch(), stored()
    assert list(found) == list(kept)
    assert len(found) == len(LAYERS) + len(NETWORKS) * len(SOLVERS)
    for name, arrays in found.items():
        assert_agree([brief(array) for array in arrays], kept[name], 1e-9)


@pytest.mark.parametrize("kind", GATES)
def test_parameters_of_a_module_of_pytorch_are_converted_and_back(kind):
    pytest.importorskip("torch")
    torch, layer = torch_on_one_thread(), (kind, 4, True, True, "tanh" if kind == "rnn" else None)
    module, again = (module_of_pytorch(torch, layer, CHANNELS) for _ in range(2))
    arrays = from_pytorch(kind, {name: one.detach() for name, one in module.named_parameters()})
    x = np.random.default_rng(0).normal(size=(5, CHANNELS, 7))
    outputs = module(torch.tensor(x).transpose(1, 2))[0].transpose(1, 2).detach().numpy()
    one = OneLayer(layer_of_ours(*layer), x.shape[1:], np.float64, 5, parameters=arrays)
    np.testing.assert_allclose(one.forward(x), outputs, rtol=0, atol=1e-12)
    again.load_state_dict(to_pytorch(torch, kind, [torch.tensor(one.copy()) for one in arrays]))
    found = again(torch.tensor(x).transpose(1, 2))[0].transpose(1, 2).detach().numpy()
    np.testing.assert_allclose(found, outputs, rtol=0, atol=1e-12)


def test_states_and_gradients_are_those_of_pytorch_at_odd_shapes():
    pytest.importorskip("torch")

    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(
        kind=st.sampled_from(sorted(GATES)),
        units=st.integers(1, 20),
        both=st.booleans(),
        every=st.booleans(),
        phi=st.sampled_from(["tanh", "relu"]),
        lengths=st.lists(st.integers(1, 12), min_size=1, max_size=20),
        channels=st.integers(1, 20),
        seed=st.integers(0, 9),
    )
    def check(kind, units, both, every, phi, lengths, channels, seed):
        layer = kind, units, both, every, phi if kind == "rnn" else None
        given = layer, sorted(lengths, reverse=True), channels, seed
        expected = layer_of_pytorch(*given)
        most = max(1.0, *(np.abs(one).max() for one in expected))
        assert_agree(layer_by_kernels(*given), expected, 1e-10 * most)
        assert_agree(layer_by_oracle(*given), expected, 1e-10 * most)

    check()
