"""The lecture's worked examples, step by step, with its misprints put right.

The slides: Module 2, Artificial Neural Networks. Where they err, the correction stands beside
the test: products, softmax per row, log(1 - o), natural logarithms, phi'(A W + b), and the
order of factors in the backward recursion.
"""

import numpy as np
import pytest

import naive
from nnjit import functional as F

# The slides' network: 4 inputs, hidden layers of 3 and 4 units, 2 outputs; ReLU in the first
# hidden layer, sigmoid in the second, softmax at the output.
ETA = 0.01


@pytest.fixture
def network():
    rng = np.random.default_rng(42)
    sizes = (4, 3, 4, 2)
    weights = [rng.normal(size=shape) for shape in zip(sizes[:-1], sizes[1:])]
    biases = [rng.normal(size=n) for n in sizes[1:]]
    return weights, biases


@pytest.fixture
def batch():
    rng = np.random.default_rng(7)
    return rng.normal(size=(5, 4)), np.eye(2)[[0, 1, 1, 0, 1]]


PHI = ["relu", "logistic", "softmax"]


def forward(x, weights, biases):
    """H1 = phi(I W1 + B1), H2 = phi(H1 W2 + B2), O = phi(H2 Wo + Bo)."""
    layers = [x]
    for w, b, phi in zip(weights, biases, PHI):
        layers.append(F.dense_forward(layers[-1], w, b, phi))
    return layers


def backward(layers, weights, gradient):
    """(dW, db) of every layer, and the gradient by the inputs, from that by the outputs."""
    updates = []
    for number in reversed(range(3)):
        gradient, dw, db = F.dense_backward(
            gradient, layers[number], weights[number], layers[number + 1], PHI[number]
        )
        updates.insert(0, (dw, db))
    return updates, gradient


def test_product_of_2x3_and_3x2():
    """The slide's line for p22 misprints the 4; its results are right."""
    product = F.dense_forward([[1, 2, 3], [4, 5, 6]], [[7, 8], [9, 10], [11, 12]])
    np.testing.assert_array_equal(product, [[58, 64], [139, 154]])
    assert 1 * 7 + 2 * 9 + 3 * 11 == 58
    assert 4 * 8 + 5 * 10 + 6 * 12 == 154


def test_product_of_3x4_and_4x2():
    left = np.arange(1, 13).reshape(3, 4)
    right = np.arange(13, 21).reshape(4, 2)
    expected = [[170, 180], [426, 452], [682, 724]]
    np.testing.assert_array_equal(F.dense_forward(left, right), expected)


def test_first_hidden_layer_unit_by_unit(network):
    """h11 = phi(i1 w11 + i2 w21 + i3 w31 + i4 w41 + b1), and so on; the input's phi is identity."""
    weights, biases = network
    i = [0.5, -1.0, 2.0, 0.25]
    (w, *_), (b, *_) = weights, biases
    by_hand = [max(0.0, sum(i[k] * w[k, j] for k in range(4)) + b[j]) for j in range(3)]
    np.testing.assert_allclose(F.dense_forward([i], w, b, "relu"), [by_hand], rtol=1e-14)


def test_network_layer_by_layer(network, batch):
    """Rows are samples, so the layers are 1 x 3, 1 x 4 and 1 x 2 (the slide lists W's sizes)."""
    weights, biases = network
    x, _ = batch
    h1, h2, o = forward(x[:1], weights, biases)[1:]
    assert (h1.shape, h2.shape, o.shape) == ((1, 3), (1, 4), (1, 2))
    z1 = x[:1] @ weights[0] + biases[0]
    np.testing.assert_allclose(h1, F.relu(z1), rtol=1e-13)
    np.testing.assert_allclose(h1, np.maximum(z1, 0), rtol=1e-13)
    z2 = h1 @ weights[1] + biases[1]
    np.testing.assert_allclose(h2, F.sigmoid(z2), rtol=1e-13)
    np.testing.assert_allclose(h2, 1 / (1 + np.exp(-z2)), rtol=1e-13)
    z3 = h2 @ weights[2] + biases[2]
    np.testing.assert_allclose(o, F.softmax(z3), rtol=1e-13)
    np.testing.assert_allclose(o, np.exp(z3) / np.exp(z3).sum(), rtol=1e-13)


def test_one_sample_is_the_same_alone_and_in_a_batch(network, batch):
    weights, biases = network
    x, _ = batch
    together = forward(x, weights, biases)[-1]
    for i in range(len(x)):
        np.testing.assert_array_equal(forward(x[i : i + 1], weights, biases)[-1][0], together[i])


def test_softmax_is_normalized_per_row():
    """The slide's Softmax divides by the sum over the whole batch: rows would not sum to 1."""
    z = np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    np.testing.assert_allclose(F.softmax(z).sum(axis=1), [1, 1], rtol=1e-15)
    exponentials = np.exp(z - np.max(z))
    slide = exponentials / np.sum(exponentials)
    assert not np.allclose(slide.sum(axis=1), 1)
    np.testing.assert_allclose(F.softmax(z)[1], [1 / 3] * 3, rtol=1e-15)


def test_softmax_derivative_is_the_jacobian_of_two_einsums():
    """The slide's SoftmaxDerivative, with the softmax per row."""
    z = np.random.default_rng(0).normal(size=(6, 5))
    s = F.softmax(z)
    einsums = np.einsum("ij,jk->ijk", s, np.eye(5)) - np.einsum("ij,ik->ijk", s, s)
    np.testing.assert_allclose(F.softmax_jacobian(z), einsums, atol=1e-16)
    # The slide's column shows the diagonal: e^z_i (sum of the others) / (sum of all)^2.
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    diagonal = np.einsum("ijj->ij", F.softmax_jacobian(z))
    np.testing.assert_allclose(diagonal, e * (total - e) / total**2, rtol=1e-13)


def test_relu_derivative_returns_and_leaves_its_argument():
    """The slide's ReLUDerivative overwrites Z and returns nothing."""
    z = np.array([[-1.0, 0.0, 2.0]])
    np.testing.assert_array_equal(F.relu_derivative(z), [[0, 0, 1]])
    np.testing.assert_array_equal(z, [[-1, 0, 2]])


def test_sigmoid_derivative():
    """phi' = phi (1 - phi); np.sub of the slide is np.subtract."""
    z = np.linspace(-4, 4, 9)
    s = F.sigmoid(z)
    np.testing.assert_allclose(F.sigmoid_derivative(z), np.multiply(s, np.subtract(1, s)))


def test_log_loss_of_one_sample():
    """-(1/K) sum y log o + (1 - y) log(1 - o): the first slide has (1 - log o) for log(1 - o)."""
    y, o = np.array([[1.0, 0.0]]), np.array([[0.82, 0.31]])
    expected = -(np.log(0.82) + np.log(1 - 0.31)) / 2
    assert F.cross_entropy(y, o, kind="multilabel") / 2 == pytest.approx(expected, rel=1e-14)
    slide = -(np.log(0.82) + 1 - np.log(0.31)) / 2
    assert not np.isclose(slide, expected)


def test_derivative_of_the_log_loss_is_by_natural_logarithms():
    """-y/o + (1 - y)/(1 - o): the slide divides by ln 10, as if log had base 10."""
    y, o = np.array([[1.0, 0.0]]), np.array([[0.82, 0.31]])
    gradient = F.cross_entropy_gradient(y, o, kind="multilabel")
    np.testing.assert_allclose(gradient, -y / o + (1 - y) / (1 - o), rtol=1e-14)
    difference = naive.central_differences(
        lambda p: F.cross_entropy(y, p, kind="multilabel"), o, step=1e-5
    )
    np.testing.assert_allclose(gradient, difference, rtol=1e-8)


def test_squared_error_of_one_sample():
    """SE = 1/2 sum (y - o)^2 of the slide is K times the mean over the outputs."""
    y, o = np.array([[1.0, 0.0]]), np.array([[0.82, 0.31]])
    assert 2 * F.squared_error(y, o) == pytest.approx(0.5 * (0.18**2 + 0.31**2), rel=1e-13)
    np.testing.assert_allclose(2 * F.squared_error_gradient(y, o), o - y, rtol=1e-14)


def test_backward_recursion(network, batch):
    """delta_l = (delta_{l+1} W^T) o phi'(A W + B): the Hadamard product comes after the matrix one.

    The slide writes {phi'(W + B) o W^T} delta, which has neither the argument nor the order.
    """
    weights, biases = network
    x, y = batch
    layers = forward(x, weights, biases)
    z = [a @ w + b for a, w, b in zip(layers, weights, biases)]
    by_outputs = F.cross_entropy_gradient(y, layers[3])

    delta3 = F.softmax_vjp(layers[3], by_outputs)
    delta2 = F.hadamard(delta3 @ weights[2].T, F.sigmoid_derivative(z[1]))
    delta1 = F.hadamard(delta2 @ weights[1].T, F.relu_derivative(z[0]))

    updates, by_inputs = backward(layers, weights, by_outputs)
    for (dw, db), below, delta in zip(updates, layers, (delta1, delta2, delta3)):
        np.testing.assert_allclose(dw, below.T @ delta, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(db, delta.sum(axis=0), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(by_inputs, delta1 @ weights[0].T, rtol=1e-12, atol=1e-15)
    # with softmax and the log loss the output's delta is what one expects
    np.testing.assert_allclose(delta3, (layers[3] - y) / len(x), atol=1e-15)


def test_gradients_are_those_of_the_loss(network, batch):
    weights, biases = network
    x, y = batch
    layers = forward(x, weights, biases)
    updates, by_inputs = backward(layers, weights, F.cross_entropy_gradient(y, layers[3]))

    def loss(x, weights, biases):
        return F.cross_entropy(y, forward(x, weights, biases)[-1])

    def swapped(parameters, number, value):
        return [value if i == number else p for i, p in enumerate(parameters)]

    for number, (dw, db) in enumerate(updates):
        by_w = naive.central_differences(
            lambda v, n=number: loss(x, swapped(weights, n, v), biases), weights[number]
        )
        by_b = naive.central_differences(
            lambda v, n=number: loss(x, weights, swapped(biases, n, v)), biases[number]
        )
        np.testing.assert_allclose(dw, by_w, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(db, by_b, rtol=1e-6, atol=1e-9)
    by_x = naive.central_differences(lambda v: loss(v, weights, biases), x)
    np.testing.assert_allclose(by_inputs, by_x, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rows", [1, 5])
def test_one_gradient_step(network, batch, rows):
    """W <- W - eta dW with eta = 0.01, on one pair and on a batch, lowers the loss as foreseen."""
    weights, biases = network
    x, y = (array[:rows] for array in batch)
    layers = forward(x, weights, biases)
    before = F.cross_entropy(y, layers[-1])
    updates, _ = backward(layers, weights, F.cross_entropy_gradient(y, layers[-1]))
    new_weights = [w - ETA * dw for w, (dw, _) in zip(weights, updates)]
    new_biases = [b - ETA * db for b, (_, db) in zip(biases, updates)]
    after = F.cross_entropy(y, forward(x, new_weights, new_biases)[-1])
    # to first order the loss falls by eta times the squared length of the gradient
    squares = sum((dw**2).sum() + (db**2).sum() for dw, db in updates)
    assert after < before
    assert before - after == pytest.approx(ETA * squares, rel=0.05)

    # the oracle takes the same step
    layers = [x]
    for w, b, phi in zip(weights, biases, PHI):
        layers.append(naive.dense_forward(layers[-1], w, b, phi))
    gradient = naive.loss_gradient("multinomial", y, layers[-1])
    for number in (2, 1, 0):
        gradient, dw, db = naive.dense_backward(
            gradient, layers[number], weights[number], layers[number + 1], PHI[number]
        )
        np.testing.assert_allclose(new_weights[number], weights[number] - ETA * dw, rtol=1e-12)
        np.testing.assert_allclose(new_biases[number], biases[number] - ETA * db, rtol=1e-12)
