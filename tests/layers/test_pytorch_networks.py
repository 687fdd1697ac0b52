"""Whole networks against PyTorch's, in float64: outputs, loss, all gradients, and twenty steps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_networks import (
    END,
    EPSILON,
    MOMENTUM,
    NETWORKS,
    RATE,
    SOLVERS,
    all_of_pytorch,
    brief,
    gradients_of_pytorch,
    problem,
    seed_of,
    shape_after,
    steps_of_pytorch,
    stored,
)

from nnjit.backends.select import make_engine
from nnjit.layers.convolution.spec import Conv
from nnjit.layers.dense.spec import Dense
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.global_pooling.spec import GlobalPool
from nnjit.layers.layer import size_of
from nnjit.layers.network import Network
from nnjit.layers.normalization.spec import Normalization
from nnjit.layers.pooling.spec import Pool
from nnjit.layers.residual.spec import Residual


def layer_of_ours(kind, *options):
    if kind == "convolution":
        filters, kernel, stride, dilation, groups, padding, activation = options
        return Conv(filters, kernel, activation, stride, dilation, groups, padding)
    if kind == "normalization":
        return Normalization("batch", *options)
    kinds = {
        "pooling": Pool, "global_pooling": GlobalPool, "residual": Residual, "flatten": Flatten,
        "dense": Dense,
    }  # fmt: skip
    return kinds[kind](*options)


def engine_of_ours(shape, layers, arrays):
    made = tuple(layer_of_ours(*layer) for layer in layers)
    network = Network(size_of(shape), made, "log_loss", "softmax", shape=shape)
    engine = make_engine(network, np.float64)
    engine.pack([one for held in arrays for one in held])
    return engine


def gradients_of_ours(shape, layers, seed):
    """[outputs, loss of a minibatch, gradient by each parameter that is trained]."""
    arrays, X, y, steps = problem(shape, layers, seed)
    engine = engine_of_ours(shape, layers, arrays)
    network, outputs, arrays = engine.network, engine.predict(X), engine.unpack()
    packed = np.concatenate([arrays[number].ravel() for number in network.packing()])
    loss, found = engine.loss_gradient(packed, engine.dataset(X[steps[0]], y[steps[0]]), 0.0)
    ends = np.cumsum([arrays[number].size for number in network.packing()])
    parts = dict(zip(network.packing(), np.split(found, ends[:-1]), strict=True))
    trained = [number for number, (_, one) in enumerate(network.parameters()) if one.trained]
    return [outputs, np.array(loss), *(parts[n].reshape(arrays[n].shape) for n in trained)]


def steps_of_ours(shape, layers, seed, solver):
    """Parameters and statistics after the steps, the loss of the last one, and outputs then."""
    arrays, X, y, steps = problem(shape, layers, seed)
    engine = engine_of_ours(shape, layers, arrays)
    dataset = engine.dataset(X, y)
    options = {
        "sgd": {"momentum": MOMENTUM, "nesterov": 0.0},
        "adamw": {"epsilon": EPSILON, "weight_decay": 0.0},
    }
    optimizer = engine.optimizer(solver, **options[solver])
    optimizer.learning_rate = RATE
    for rows in steps:
        result = engine.train(dataset, rows, len(rows), optimizer, 0.0, 0, 1)
    return [*engine.unpack(), np.array(result.loss / len(rows)), engine.predict(X)]


def assert_agree(found, expected, limit):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=limit, atol=limit)


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_loss_and_gradients_are_those_of_pytorch(name):
    found = gradients_of_ours(*NETWORKS[name], seed_of(name))
    assert_agree([brief(array) for array in found], stored()[name], 1e-10)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_twenty_steps_are_those_of_pytorch(name, solver):
    found = steps_of_ours(*NETWORKS[name], seed_of(name), solver)
    assert_agree([brief(array) for array in found], stored()[f"{name}, {solver}"], 1e-8)


def test_what_is_stored_is_what_pytorch_finds():
    pytest.importorskip("torch")
    found, kept = all_of_pytorch(), stored()
    assert list(found) == list(kept)
    assert len(found) == len(NETWORKS) * (1 + len(SOLVERS))
    for name, arrays in found.items():
        assert_agree([brief(array) for array in arrays], kept[name], 1e-9)


@st.composite
def convolutions(draw, axes):
    kernel, stride, dilation = (
        draw(st.tuples(*[st.integers(1, most)] * axes)) for most in (4, 2, 2)
    )
    filters, groups = draw(st.integers(1, 9)), draw(st.sampled_from([1, 1, 2, 3]))
    padding, activation = draw(st.sampled_from(["same", "valid"])), draw(activations)
    return "convolution", filters, kernel, stride, dilation, groups, padding, activation


activations = st.sampled_from(["relu", "tanh", "identity"])
methods = st.sampled_from(["max", "mean"])


@st.composite
def residual_blocks(draw, channels, axes):
    """Layers that keep the shape, and what leads around them."""
    layers = []
    for _ in range(draw(st.integers(1, 2))):
        kernel = draw(st.tuples(*[st.integers(1, 4)] * axes))
        once = (1,) * axes
        layers.append(("convolution", channels, kernel, once, once, 1, "same", draw(activations)))
        if draw(st.booleans()):
            layers.append(("normalization", draw(activations)))
    return [*layers, ("residual", len(layers))]


@st.composite
def stacks(draw):
    """(shape of a row, layers), as those of NETWORKS."""
    axes = draw(st.integers(1, 2))
    shape = start = (draw(st.integers(1, 4)), *draw(st.tuples(*[st.integers(3, 10)] * axes)))
    layers = []
    for kind in draw(st.lists(st.sampled_from("cccnpr"), min_size=1, max_size=5)):
        if kind == "c":
            part = [draw(convolutions(axes))]
        elif kind == "n":
            part = [("normalization", draw(activations))]
        elif kind == "p":
            sizes = (draw(st.tuples(*[st.integers(1, most)] * axes)) for most in (3, 2))
            part = [("pooling", draw(methods), *sizes)]
        else:
            part = draw(residual_blocks(shape[0], axes))
        after = shape_after(part[0], shape)
        if after is not None:  # else it does not fit there, and is left out
            layers, shape = layers + part, after
    ends = st.one_of(st.just(("flatten",)), st.tuples(st.just("global_pooling"), methods))
    return start, [*layers, draw(ends), END]


def test_random_stacks_are_those_of_pytorch():
    pytest.importorskip("torch")

    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(stacks(), st.integers(0, 9))
    def check(stack, seed):
        expected = gradients_of_pytorch(*stack, seed)
        most = max(1.0, *(np.abs(one).max() for one in expected))
        assert_agree(gradients_of_ours(*stack, seed), expected, 1e-10 * most)

    check()


def test_twenty_steps_of_random_stacks_are_those_of_pytorch():
    pytest.importorskip("torch")

    @settings(max_examples=10, deadline=None, derandomize=True, database=None)
    @given(stacks(), st.integers(0, 9), st.sampled_from(SOLVERS))
    def check(stack, seed, solver):
        assert_agree(
            steps_of_ours(*stack, seed, solver), steps_of_pytorch(*stack, seed, solver), 1e-8
        )

    check()
