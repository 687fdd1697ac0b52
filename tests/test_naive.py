"""The oracle itself: against scikit-learn, and its gradients against differences."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

import naive


def problem(loss, rows=23, features=4, outputs=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features))
    if loss == "squared_error":
        return x, rng.normal(size=(rows, outputs))
    if loss == "poisson":
        return x, rng.poisson(2.0, size=(rows, outputs)).astype(float)
    if loss == "multinomial":
        return x, np.eye(outputs)[rng.permutation(np.arange(rows) % outputs)]
    return x, rng.integers(0, 2, size=(rows, outputs)).astype(float)


def network(sizes, seed=1):
    rng = np.random.default_rng(seed)
    coefs = [rng.normal(size=shape) / 2 for shape in zip(sizes[:-1], sizes[1:])]
    return coefs, [rng.normal(size=n) for n in sizes[1:]]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("loss", sorted(naive.PAIRS))
def test_gradient_is_that_of_the_loss(loss, activation, weighted):
    x, y = problem(loss)
    coefs, intercepts = network((4, 5, 3))
    w = np.random.default_rng(2).uniform(0.5, 2, len(x)) if weighted else None
    grads = naive.network_gradient(coefs, intercepts, x, y, loss, activation, 0.3, w)
    for kind, params in enumerate((coefs, intercepts)):
        for number, param in enumerate(params):

            def value(changed, kind=kind, number=number):
                changed_net = [list(coefs), list(intercepts)]
                changed_net[kind][number] = changed
                return naive.network_loss(*changed_net, x, y, loss, activation, 0.3, w)

            expected = naive.central_differences(value, param)
            error = np.abs(grads[kind][number] - expected).max()
            assert error < 1e-6 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("loss", ["squared_error", "multinomial", "bernoulli"])
def test_epochs_follow_scikit_learn(loss, solver):
    """Same start, same order: same weights and loss after each of three epochs."""
    x, y = problem(loss, rows=50)
    settings = {
        "hidden_layer_sizes": (6,),
        "activation": "tanh",
        "solver": solver,
        "alpha": 0.1,
        "batch_size": 16,
        "learning_rate_init": 0.01,
        "momentum": 0.8,
        "shuffle": False,
        "random_state": 0,
    }
    targets = y.argmax(axis=1) if loss == "multinomial" else y
    model = MLPRegressor if loss == "squared_error" else MLPClassifier
    fits = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for epochs in (1, 2, 3):
            fits.append(model(max_iter=epochs, **settings).fit(x, targets))
    if solver == "sgd":
        step = naive.SGD(0.01, 0.8, nesterov=True)
    else:
        step = naive.Adam(0.01)
    # The weights that scikit-learn starts from, drawn as it draws them.
    rng = np.random.RandomState(0)
    coefs, intercepts = [], []
    for fan_in, fan_out in ((4, 6), (6, 3)):
        bound = np.sqrt(6 / (fan_in + fan_out))
        coefs.append(rng.uniform(-bound, bound, (fan_in, fan_out)))
        intercepts.append(rng.uniform(-bound, bound, fan_out))
    for fit in fits:
        total = naive.train_epoch(
            coefs, intercepts, x, y, np.arange(50), 16, step, loss, "tanh", 0.1
        )
        assert fit.loss_ == pytest.approx(total / 50, rel=1e-10)
        for ours, theirs in zip([*coefs, *intercepts], [*fit.coefs_, *fit.intercepts_]):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("normalized", [False, True])
def test_radial_layer_backward_is_the_derivative_of_its_forward(normalized):
    rng = np.random.default_rng(3)
    x, dh = rng.normal(size=(7, 3)), rng.normal(size=(7, 4))
    start = [x, rng.normal(size=(4, 3)), rng.normal(size=4) / 2]
    h = naive.radial_forward(*start, normalized)
    grads = naive.radial_backward(dh, *start, h, normalized)
    for number, (argument, grad) in enumerate(zip(start, grads)):

        def value(changed, number=number):
            arguments = [changed if k == number else a for k, a in enumerate(start)]
            return (dh * naive.radial_forward(*arguments, normalized)).sum()

        expected = naive.central_differences(value, argument)
        np.testing.assert_allclose(grad, expected, rtol=1e-6, atol=1e-8)


def test_embedding_backward_is_the_derivative_of_its_forward():
    rng, levels = np.random.default_rng(4), (3, 2)
    x, dh, vectors = rng.normal(size=(9, 4)), rng.normal(size=(9, 6)), rng.normal(size=(5, 2))
    x[:, 2:] = rng.uniform(-0.9, 3.9, (9, 2))
    plain, grads = x[:, :2], naive.embed_backward(dh, x, vectors, levels)
    assert not grads[0][:, 2:].any()

    def value(plain, vectors):
        return (dh * naive.embed(np.hstack([plain, x[:, 2:]]), vectors, levels)).sum()

    by_numbers = naive.central_differences(lambda changed: value(changed, vectors), plain)
    by_vectors = naive.central_differences(lambda changed: value(plain, changed), vectors)
    np.testing.assert_allclose(grads[0][:, :2], by_numbers, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(grads[1], by_vectors, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("loss", sorted(naive.PAIRS))
def test_gradient_of_a_radial_network_is_that_of_the_loss(loss, normalized, weighted):
    x, y = problem(loss)
    rng = np.random.default_rng(4)
    parameters = [rng.normal(size=shape) for shape in ((5, 4), (5,), (5, 3), (3,))]
    w = rng.uniform(0.5, 2, len(x)) if weighted else None
    grads = naive.rbf_network_gradient(parameters, x, y, loss, normalized, 0.3, w)
    for number, (parameter, grad) in enumerate(zip(parameters, grads)):

        def value(changed, number=number):
            others = [changed if k == number else p for k, p in enumerate(parameters)]
            return naive.rbf_network_loss(others, x, y, loss, normalized, 0.3, w)

        expected = naive.central_differences(value, parameter)
        error = np.abs(grad - expected).max()
        assert error < 1e-6 * max(1.0, np.abs(expected).max())


def test_normalized_radial_units_add_up_to_one():
    rng = np.random.default_rng(5)
    x, centers = rng.normal(size=(6, 2)), rng.normal(size=(3, 2))
    h = naive.radial_forward(100 * x, centers, np.zeros(3), normalized=True)
    np.testing.assert_allclose(h.sum(axis=1), 1)


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (2, 3, 2, 4)])
@pytest.mark.parametrize("activation", [None, "tanh", "selu", "mish"])
def test_backward_with_a_number_for_each_unit_is_the_derivative(activation, shape):
    """Of scaling, and of activations that are mixed with the values themselves."""
    rng = np.random.default_rng(0)
    x, numbers, dh = rng.normal(0, 1, shape), rng.normal(0, 1, 3), rng.normal(0, 1, shape)
    forward, backward, more = naive.scaling_forward, naive.scaling_backward, ()
    if activation:
        forward, backward = naive.parametric_forward, naive.parametric_backward
        more = (activation,)
    dx, d_numbers = backward(dh, x, numbers, *more)
    found = naive.central_differences(
        lambda flat: (forward(flat.reshape(shape), numbers, *more) * dh).sum(), x.ravel()
    )
    np.testing.assert_allclose(dx.ravel(), found, atol=1e-8)
    found = naive.central_differences(lambda flat: (forward(x, flat, *more) * dh).sum(), numbers)
    np.testing.assert_allclose(d_numbers, found, atol=1e-8)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("points", [(7,), (5, 4)])
def test_convolution_backward_is_the_derivative_of_its_forward(points, padding):
    rng, axes = np.random.default_rng(0), len(points)
    x, b = rng.normal(size=(2, 4, *points)), rng.normal(size=6)
    w = rng.normal(size=(*(3, 2)[:axes], 2, 6))
    options = (2, 1)[:axes], (1, 2)[:axes], 2, padding
    z = naive.convolve(x, w, b, *options)
    dz = rng.normal(size=z.shape)
    found = naive.convolve_backward(dz, x, w, *options)
    for number, (array, gradient) in enumerate(zip((x, w, b), found)):

        def value(changed, number=number):
            arrays = [x, w, b]
            arrays[number] = changed
            return (naive.convolve(*arrays, *options) * dz).sum()

        expected = naive.central_differences(value, array)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7)


def test_a_convolution_of_one_channel_is_a_correlation():
    rng = np.random.default_rng(1)
    x, w, zero = rng.normal(size=(1, 1, 20)), rng.normal(size=(5, 1, 1)), np.zeros(1)
    for padding in ("same", "valid"):
        found = naive.convolve(x, w, zero, (1,), (1,), 1, padding)
        np.testing.assert_allclose(found[0, 0], np.correlate(x[0, 0], w[:, 0, 0], padding))
