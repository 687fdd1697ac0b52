"""Normalization and residual layers against PyTorch's, in float64, after fifty steps."""

import numpy as np
import pytest
from pytorch_normalization import (
    ARRAY_CASES,
    CASES,
    CLASSES,
    MOMENTUM,
    RATE,
    ROWS,
    SHOWN,
    STEPS,
    UNITS,
    all_of_pytorch,
    array_problem,
    problem,
    stored,
)

from nnjit.backends.select import make_engine
from nnjit.layers.dense.spec import Dense
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.network import Network, mlp
from nnjit.layers.normalization.spec import Normalization


def steps_of_ours(name):
    """Parameters after the steps, the loss of the last one, and outputs of some rows then."""
    method, residual, activation, weighted, batch = CASES[name]
    arrays, X, y, w, orders = problem(method, batch)
    inputs, *hidden, outputs = UNITS
    network = mlp(
        inputs, hidden, outputs, activation, "log_loss", "softmax",
        normalization=method, residual=residual,
    )  # fmt: skip
    return after_steps(network, arrays, X, y, w if weighted else None, orders, batch)


def after_steps(network, arrays, X, y, w, orders, batch):
    """The same of a network."""
    engine = make_engine(network, np.float64)
    engine.pack(arrays)
    dataset = engine.dataset(X, y, w)
    optimizer = engine.optimizer("sgd", momentum=MOMENTUM, nesterov=0.0)
    optimizer.learning_rate = RATE
    left, batches = STEPS, -(-ROWS // batch)
    for order in orders:
        done = min(left, batches)
        engine.train(dataset, order, batch, optimizer, 0.0, 0, done - 1)
        result = engine.train(dataset, order, batch, optimizer, 0.0, done - 1, done)
        left -= done
        if not left:
            break
    rows = min(batch, ROWS - (done - 1) * batch)
    return [*engine.unpack(), np.array(result.loss / rows), engine.predict(X[:SHOWN])]


def assert_agree(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_fifty_steps_are_those_of_pytorch(name):
    assert_agree(steps_of_ours(name), stored()[name])


def network_on_arrays(shape, activation):
    layers = (
        Normalization("batch", activation), Normalization("batch", activation), Flatten(),
        Dense(CLASSES, "identity"),
    )  # fmt: skip
    return Network(int(np.prod(shape)), layers, "log_loss", "softmax", shape=shape)


@pytest.mark.parametrize("name", ARRAY_CASES)
def test_loss_and_gradients_on_series_and_images_are_those_of_pytorch(name):
    shape, activation, weighted, batch = ARRAY_CASES[name]
    arrays, X, y, w, orders = array_problem(shape, batch)
    network, rows = network_on_arrays(shape, activation), orders[0][:batch]
    engine = make_engine(network, np.float64)
    weights = w[rows] if weighted else None
    dataset = engine.dataset(X[rows].reshape(batch, -1), y[rows], weights)
    theta = np.concatenate([arrays[number].ravel() for number in network.packing()])
    loss, found = engine.loss_gradient(theta, dataset, 0.0)
    trained = [n for n in network.packing() if network.parameters()[n][1].trained]
    loss_of_pytorch, *slopes = stored()[name][:7]
    names = [n for n, (_, one) in enumerate(network.parameters()) if one.trained]
    expected = np.concatenate([slopes[names.index(number)].ravel() for number in trained])
    np.testing.assert_allclose(loss, loss_of_pytorch, rtol=1e-10)
    most = np.abs(expected).max()
    np.testing.assert_allclose(found[: len(expected)], expected, rtol=0, atol=1e-10 * most)


@pytest.mark.parametrize("name", ARRAY_CASES)
def test_fifty_steps_on_series_and_images_are_those_of_pytorch(name):
    shape, activation, weighted, batch = ARRAY_CASES[name]
    arrays, X, y, w, orders = array_problem(shape, batch)
    found = after_steps(
        network_on_arrays(shape, activation), arrays, X.reshape(ROWS, -1), y,
        w if weighted else None, orders, batch,
    )  # fmt: skip
    assert_agree(found, stored()[name][7:])


def test_what_is_stored_is_what_pytorch_finds():
    pytest.importorskip("torch")
    found, kept = all_of_pytorch(), stored()
    assert list(found) == list(kept) == [*CASES, *ARRAY_CASES]
    for name in found:
        assert_agree(found[name], kept[name])
