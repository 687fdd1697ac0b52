"""A fitted network in plain NumPy: the values of its layers and its gradient.

Everything is computed in float64 from public attributes (`coefs_`, `intercepts_`, `activation`,
`out_activation_`, `classes_`), so that scikit-learn's own MLPs can be looked at as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.preprocessing import label_binarize
from sklearn.utils.validation import check_is_fitted, validate_data

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "identity": lambda z: z,
    "logistic": expit,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0.0),
    "softmax": lambda z: softmax(z, axis=1),
    "exp": np.exp,
}
# As functions of the activation's value a.
DERIVATIVES: dict[str, Callable[[Any], Any]] = {
    "identity": np.ones_like,
    "logistic": lambda a: a * (1.0 - a),
    "tanh": lambda a: 1.0 - a * a,
    "relu": lambda a: (a > 0.0).astype(np.float64),
}


class Gradient(NamedTuple):
    """Gradient of the mean loss by each layer's weights and biases."""

    weights: list[NDArray[np.float64]]
    biases: list[NDArray[np.float64]]


def find_network(estimator: Any, X: Any = None) -> tuple[Any, Any]:
    """Return the fitted MLP inside a search or pipeline, and the rows as that MLP gets them.

    Parameters
    ----------
    estimator : estimator
        A fitted MLP, a Pipeline that ends in one, or a search whose `best_estimator_` is either.
    X : array-like, optional
        Rows as `estimator` takes them.

    Returns
    -------
    network : estimator
    X : ndarray, CSR matrix or None

    Raises
    ------
    TypeError
        If there is no MLP.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    while hasattr(estimator, "best_estimator_") or hasattr(estimator, "steps"):
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
            continue
        if X is not None and len(estimator.steps) > 1:
            X = estimator[:-1].transform(X)
        estimator = estimator.steps[-1][1]
    if not hasattr(estimator, "hidden_layer_sizes"):
        raise TypeError(
            "A multi-layer perceptron is needed (MLPClassifier or MLPRegressor), alone or as the "
            f"last step of a Pipeline; got {type(estimator).__name__}."
        )
    check_is_fitted(estimator, "coefs_")
    if X is not None:
        X = validate_data(estimator, X, accept_sparse="csr", dtype=np.float64, reset=False)
    return estimator, X


def layer_units(network: Any) -> list[int]:
    """Return the number of units of each layer, the inputs first."""
    return [network.coefs_[0].shape[0], *(weights.shape[1] for weights in network.coefs_)]


def layer_names(network: Any) -> list[str]:
    """Return 'input', 'hidden 1', ..., 'output'."""
    hidden = [f"hidden {i + 1}" for i in range(len(network.coefs_) - 1)]
    return ["input", *hidden, "output"]


def known_names(estimator: Any, network: Any) -> Any:
    """Return the names of a network's inputs if it, or the steps before it, know them.

    Parameters
    ----------
    estimator : estimator
        What was handed to `find_network`.
    network : estimator
        What that returned.

    Returns
    -------
    array of str, or None
    """
    names = getattr(network, "feature_names_in_", None)
    estimator = getattr(estimator, "best_estimator_", estimator)
    if names is None and len(getattr(estimator, "steps", ())) > 1:
        steps = estimator[:-1]
        # Without names of their own the steps would only number the features.
        if hasattr(steps[0], "feature_names_in_") and hasattr(steps, "get_feature_names_out"):
            names = steps.get_feature_names_out()
    return names


def layer_values(network: Any, X: Any) -> list[Any]:
    """Return X and the activations of every layer, each (n_samples, units), in float64."""
    values = [X]
    last = len(network.coefs_) - 1
    for depth, (weights, biases) in enumerate(zip(network.coefs_, network.intercepts_)):
        name = network.out_activation_ if depth == last else network.activation
        logits = np.asarray(values[-1] @ weights.astype(np.float64)) + biases
        values.append(ACTIVATIONS[name](logits))
    return values


def encode_target(network: Any, y: Any) -> NDArray[np.float64]:
    """Return the target as the output layer should give it, (n_samples, n_outputs)."""
    if not hasattr(network, "classes_"):
        target = np.asarray(y, dtype=np.float64)
        return target[:, np.newaxis] if target.ndim == 1 else target
    y = y.toarray() if sp.issparse(y) else np.asarray(y)
    if y.ndim == 2 and y.shape[1] > 1:
        return np.asarray(y, dtype=np.float64)
    y = y.ravel()
    unknown = np.setdiff1d(y, network.classes_)
    if len(unknown):
        raise ValueError(f"y has classes that the network was not fitted on: {unknown}.")
    return np.asarray(label_binarize(y, classes=network.classes_), dtype=np.float64)


def loss_gradient(network: Any, X: Any, y: Any) -> Gradient:
    r"""Return the gradient of the mean loss over the rows, L2 term left out.

    .. math:: \delta_L = (o - y) / n, \quad
        \delta_l = \delta_{l+1} W_{l+1}^T \circ \varphi'(z_l), \quad
        \nabla W_l = a_{l-1}^T \delta_l, \quad \nabla b_l = 1^T \delta_l

    The first holds for every pair of loss and output activation that an MLP has (squared error
    and identity, Poisson and exp, log loss and logistic or softmax). As scikit-learn's minibatch
    solvers do, it adds up the squared error over the outputs.

    Parameters
    ----------
    network : estimator
        A fitted MLP.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)

    Returns
    -------
    Gradient
    """
    values = layer_values(network, X)
    delta = (values[-1] - encode_target(network, y)) / X.shape[0]
    gradient = Gradient([], [])
    for depth in range(len(network.coefs_) - 1, -1, -1):
        gradient.weights.insert(0, np.asarray(values[depth].T @ delta))
        gradient.biases.insert(0, delta.sum(axis=0))
        if depth:
            slope = DERIVATIVES[network.activation](values[depth])
            delta = (delta @ network.coefs_[depth].T) * slope
    return gradient
