"""Small networks with data, for the tests of every engine."""

import itertools

import numba
import numpy as np

import naive
from nnjit.layers.network import mlp

DTYPES = [np.float32, np.float64]
ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]
LOSSES = {  # loss of the oracle -> (loss, output activation) of the engine
    "squared_error": ("squared_error", "identity"),
    "poisson": ("poisson", "exp"),
    "multinomial": ("log_loss", "softmax"),
    "bernoulli": ("log_loss", "logistic"),
}


def some_differences(function, theta, step, first=None):
    """Slopes of a function by central differences: (numbers of the parameters, slopes).

    Of all parameters, or of the `first` so many; plain Python, a hundred times slower, has the time
    for a dozen of them.
    """
    n = len(theta) if first is None else first
    count = min(n, 12) if numba.config.DISABLE_JIT else n
    some = np.unique(np.linspace(0, n - 1, count).astype(int))

    def at(values):
        moved = theta.copy()
        moved[some] = values
        return function(moved)

    return some, naive.central_differences(at, theta[some], step=step)


def tolerance(dtype):
    return 3e-4 if dtype == np.float32 else 1e-11


def problem(loss, dtype, n, units, weighted=False, seed=0):
    """(coefs, intercepts, X, targets of the engine, targets of the oracle, weights)."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, units[0])).astype(dtype)
    k = units[-1]
    if loss == "multinomial":
        y = rng.integers(0, k, n)
        dense = np.eye(k, dtype=dtype)[y]
    elif loss == "bernoulli":
        y = dense = rng.integers(0, 2, (n, k)).astype(dtype)
    elif loss == "poisson":
        y = dense = rng.poisson(2.0, (n, k)).astype(dtype)
    else:
        y = dense = rng.standard_normal((n, k)).astype(dtype)
    coefs = [
        (rng.standard_normal((a, b)) / np.sqrt(a)).astype(dtype)
        for a, b in itertools.pairwise(units)
    ]
    intercepts = [rng.standard_normal(b).astype(dtype) / 4 for b in units[1:]]
    w = rng.integers(0, 4, n).astype(dtype) if weighted else None
    return coefs, intercepts, X, y, dense, w


def network(units, activation, loss):
    """The engine's network for a loss of the oracle."""
    inputs, *hidden, outputs = units
    return mlp(inputs, hidden, outputs, activation, *LOSSES[loss])


def in_layers(coefs, intercepts):
    """Parameters in the order that an engine has them: weights and biases of each layer in turn."""
    return [array for layer in zip(coefs, intercepts, strict=True) for array in layer]


def apart(arrays):
    """All weights and all biases of an engine's parameters."""
    return arrays[0::2], arrays[1::2]


def packed(coefs, intercepts):
    return np.concatenate([part.ravel() for part in [*coefs, *intercepts]]).astype(float)


def assert_epochs_equal_the_oracle(engine, solver, loss, data, orders, batch):
    """Train an engine of tanh units on the `data` of a problem, one epoch for each order of rows.

    The first epoch must skip one minibatch.
    """
    coefs, intercepts, X, y, dense, w = data
    limit = tolerance(X.dtype)
    engine.pack(in_layers(coefs, intercepts))
    dataset = engine.dataset(X, y, w)
    if solver == "adam":
        optimizer, reference = engine.optimizer("adam"), naive.Adam(0.01)
    else:
        optimizer = engine.optimizer("sgd", momentum=0.9, nesterov=solver == "nesterov")
        reference = naive.SGD(0.01, 0.9, solver == "nesterov")
    optimizer.learning_rate = 0.01
    skipped = []
    for order in orders:
        result = engine.train(dataset, order, batch, optimizer, 0.1, 0, -(-len(order) // batch))
        expected = naive.train_epoch(
            coefs, intercepts, X, dense, order, batch, reference, loss, "tanh", 0.1, w
        )
        np.testing.assert_allclose(result.loss, expected, rtol=limit)
        assert result.finite
        skipped.append(result.skipped)
    assert skipped[0] == 1
    for got, wanted in zip(apart(engine.unpack()), (coefs, intercepts), strict=True):
        for a, b in zip(got, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=limit, atol=limit)
