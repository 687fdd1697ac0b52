"""Convolutions against PyTorch's, in float64: outputs, gradients, and twenty steps of training."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_convolution import (
    EPSILON,
    LAYERS,
    NETWORKS,
    OUTPUTS,
    RATE,
    SHOWN,
    all_of_pytorch,
    brief,
    layer_of_pytorch,
    layer_problem,
    network_problem,
    stored,
)

from nnjit.backends.select import make_engine
from nnjit.layers.convolution.spec import Conv
from nnjit.layers.dense.spec import Dense
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.layer import size_of
from nnjit.layers.network import Network


def layer_of_ours(layer, seed=0):
    """Outputs, and gradients by x, weights and biases, of the sum of outputs times dz."""
    shape, filters, *options = layer
    kernel, stride, dilation, groups, padding = options
    x, weights, biases, dz = layer_problem(layer, seed)
    made = Conv(filters, kernel, "identity", stride, dilation, groups, padding)
    alone = Network(size_of(shape), (made, Flatten()), "", "identity", shape=shape)
    engine = make_engine(alone, np.float64)
    engine.pack([weights, biases])
    z = engine.predict(x.reshape(len(x), -1)).reshape(dz.shape)
    rows = [gradients_of_row(made, *row, weights, biases) for row in zip(x, dz, strict=True)]
    dx, dw, db = zip(*rows, strict=True)
    return [z, np.array(dx), sum(dw), sum(db)]


def gradients_of_row(layer, x, dz, weights, biases):
    """Gradients of the sum of one row's outputs times dz.

    What a layer reads is what a convolution below it has as weights, whose gradients are then
    those by it: its input is 0 but for the first point, which is 1.
    """
    shape, points = (1, *x.shape[1:]), x.shape[1:]
    below = Conv(len(x), tuple(2 * n - 1 for n in points), "identity")
    layers = below, layer, Flatten(), Dense(1, "identity")
    made = Network(size_of(points), layers, "squared_error", "identity", shape=shape)
    held = np.zeros((*below.kernel_size, 1, len(x)))
    part = (*(slice(n - 1, None, -1) for n in points), 0)
    held[part] = np.moveaxis(x, 0, -1)
    arrays = [held, np.zeros(len(x)), weights, biases, dz.reshape(-1, 1), np.zeros(1)]
    engine = make_engine(made, np.float64)
    engine.pack(arrays)
    one = np.zeros((1, made.inputs))
    one[0, 0] = 1.0
    dataset = engine.dataset(one, engine.predict(one) - 1.0)  # so that p - y is 1
    packed = np.concatenate([arrays[number].ravel() for number in made.packing()])
    engine.loss_gradient(packed, dataset, 0.0)
    gradients = engine.layout.views(engine._full_batch.vector)
    return np.moveaxis(gradients[0][part], -1, 0), gradients[2].copy(), gradients[3].copy()


def network_of_ours(name):
    """Parameters after the steps, the loss of the last one, and outputs of some rows then."""
    shape, activation, solver, convolutions = NETWORKS[name]
    arrays, X, y, steps = network_problem(name)
    layers = [
        Conv(filters, kernel, activation, stride, dilation, groups, padding)
        for filters, kernel, stride, dilation, groups, padding in convolutions
    ]
    layers += [Flatten(), Dense(OUTPUTS, "identity")]
    engine = make_engine(
        Network(size_of(shape), tuple(layers), "log_loss", "softmax", shape=shape), np.float64
    )
    engine.pack(arrays)
    dataset = engine.dataset(X, y)
    options = {
        "sgd": {"momentum": 0.9, "nesterov": 0.0},
        "adamw": {"epsilon": EPSILON, "weight_decay": 0.0},
    }
    optimizer = engine.optimizer(solver, **options[solver])
    optimizer.learning_rate = RATE
    for rows in steps:
        result = engine.train(dataset, rows, len(rows), optimizer, 0.0, 0, 1)
    loss = np.array(result.loss / len(rows))
    return [*engine.unpack(), loss, engine.predict(X[:SHOWN])]


def assert_agree(found, expected, limit):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=limit, atol=limit)


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients_are_those_of_pytorch(name):
    found = layer_of_ours(LAYERS[name])
    assert_agree([brief(array) for array in found], stored()[name], 1e-10)


@pytest.mark.parametrize("name", NETWORKS)
def test_twenty_steps_are_those_of_pytorch(name):
    found = network_of_ours(name)
    assert_agree([brief(array) for array in found], stored()[name], 1e-8)


def test_what_is_stored_is_what_pytorch_finds():
    pytest.importorskip("torch")
    found, kept = all_of_pytorch(), stored()
    assert list(found) == list(kept) == [*LAYERS, *NETWORKS]
    for name, arrays in found.items():
        assert_agree([brief(array) for array in arrays], kept[name], 1e-9)


@st.composite
def odd_layers(draw):
    """As those of LAYERS."""
    axes, groups = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    each = [st.integers(1, most) for most in (8, 5, 3, 3)]
    points, kernel, stride, dilation = (draw(st.tuples(*[one] * axes)) for one in each)
    fits = all(n > d * (k - 1) for n, k, d in zip(points, kernel, dilation, strict=True))
    channels, filters = groups * draw(st.integers(1, 4)), groups * draw(st.integers(1, 9))
    padding = draw(st.sampled_from(["same", "valid"])) if fits else "same"
    return (channels, *points), filters, kernel, stride, dilation, groups, padding


def test_outputs_and_gradients_are_those_of_pytorch_at_odd_shapes():
    pytest.importorskip("torch")

    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(odd_layers(), st.integers(0, 9))
    def check(layer, seed):
        assert_agree(layer_of_ours(layer, seed), layer_of_pytorch(layer, seed), 1e-10)

    check()
