"""A fitted network in plain NumPy: the values of its layers and its gradient.

Everything is computed in float64 from public attributes (`coefs_`, `intercepts_`,
`normalization_`, `activation`, `residual`, `out_activation_`, `classes_`), so that scikit-learn's
own MLPs can be looked at as well.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.compose import TransformedTargetRegressor
from sklearn.preprocessing import label_binarize
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from nnjit.estimators._assigned import (
    checked_normalization,
    checked_parameters,
    refuse_non_finite,
    units_of,
)
from nnjit.estimators._base import NetworkEstimator
from nnjit.estimators._dates import refuse_dates
from nnjit.estimators._label_columns import LabelColumns
from nnjit.estimators._names import hidden_layer_activations
from nnjit.formulas import find_activation, find_loss, outputs_of
from nnjit.inspection._normalization import Standardized, normalize


class Gradient(NamedTuple):
    """Gradient of the mean loss by each layer's weights and biases."""

    weights: list[NDArray[np.float64]]
    biases: list[NDArray[np.float64]]


def find_network(
    estimator: Any, X: Any = None, y: Any = None, *, weights: bool = True, any_kind: bool = False
) -> tuple[Any, Any, Any]:
    """Return the fitted MLP inside other estimators, and rows and targets as that MLP gets them.

    Parameters
    ----------
    estimator : estimator
        A fitted MLP, or a Pipeline that ends in one, a TransformedTargetRegressor of one or a
        search whose `best_estimator_` is one, nested as they like.
    X, y : array-like, optional
        Rows and targets as `estimator` takes them.
    weights : bool, default=True
        Whether the weights are looked at and so have to be those of a network.
    any_kind : bool, default=False
        Whether every network of nnjit will do.

    Returns
    -------
    network : estimator
        A shallow copy where its weights were assigned in another form than as arrays of floats.
    X : ndarray, CSR matrix or None
    y : array-like or None

    Raises
    ------
    TypeError
        If there is no MLP.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If its weights, or X, do not make a network.
    """
    for part in unwrapped(estimator):
        if X is not None and len(getattr(part, "steps", ())) > 1:
            X = part[:-1].transform(X)
        if y is not None and isinstance(part, TransformedTargetRegressor):
            y = _transformed_target(part, y)
    other_kind = any_kind and isinstance(part, NetworkEstimator)
    if not (other_kind or is_mlp(part)):
        raise TypeError(
            "A multi-layer perceptron is needed (MLPClassifier or MLPRegressor), alone or in a "
            f"Pipeline, a TransformedTargetRegressor or a search; got {type(part).__name__}."
        )
    check_is_fitted(part, "coefs_")
    if X is not None:
        X = _checked_rows(part, X)
    return _with_plain_weights(part, X) if weights else part, X, y


def is_mlp(part: Any) -> bool:
    """Whether an estimator is a multi-layer perceptron, of nnjit or scikit-learn."""
    return hasattr(part, "hidden_layer_sizes") and not _is_stack(part)


def _is_stack(part: Any) -> bool:
    """Whether an estimator is a network of layers of any kinds, for series, images or vectors."""
    return isinstance(part, NetworkEstimator) and hasattr(part, "input_shape")


def holds_stack(estimator: Any) -> bool:
    """Whether there is such a network inside an estimator."""
    return _is_stack(innermost(estimator))


def _checked_rows(part: Any, X: Any) -> Any:
    """Return rows as a network gets them; series and images as rows, the channels first."""
    if getattr(part, "input_shape_", ()):
        return part._given_rows(X)
    refuse_dates(X, "X")
    sparse = getattr(part, "_accepted_sparse", True) and "csr"
    return validate_data(part, X, accept_sparse=sparse, dtype=np.float64, reset=False)


def innermost(estimator: Any) -> Any:
    """Return the last estimator inside Pipelines, searches and the like."""
    *_, part = unwrapped(estimator)
    return part


def unwrapped(estimator: Any) -> Iterator[Any]:
    """Yield an estimator, what it wraps, and so on to the innermost."""
    yield estimator
    inner = None
    if hasattr(estimator, "best_estimator_"):
        inner = estimator.best_estimator_
    elif hasattr(estimator, "steps"):
        inner = estimator.steps[-1][1]
    elif isinstance(estimator, TransformedTargetRegressor):
        check_is_fitted(estimator, "regressor_")
        inner = estimator.regressor_
    if inner is not None:
        yield from unwrapped(inner)


def _transformed_target(estimator: TransformedTargetRegressor, y: Any) -> Any:
    """Return the target as the regressor inside was fitted to it."""
    y = check_array(y, input_name="y", ensure_2d=False)
    transformed = estimator.transformer_.transform(y.reshape(-1, 1) if y.ndim == 1 else y)
    if transformed.ndim == 2 and transformed.shape[1] == 1:
        transformed = transformed.squeeze(axis=1)
    return transformed


def _with_plain_weights(network: Any, X: Any) -> Any:
    """Return the network, or a copy of it, with weights that are finite arrays of floats."""
    if not is_mlp(network):
        _, arrays = network._give_parameters(None if X is None else X.shape[1])
        refuse_non_finite(network._as_attributes(arrays))
        return network
    coefs, intercepts = checked_parameters(network, None if X is None else X.shape[1])
    entries = [{**entry} for entry in getattr(network, "normalization_", ())]
    checked_normalization(network, units_of(coefs))
    refuse_non_finite({"coefs_": coefs, "intercepts_": intercepts, "normalization_": entries})
    given = (*network.coefs_, *network.intercepts_)
    if any(a is not b for a, b in zip(given, (*coefs, *intercepts))):
        network = copy.copy(network)
        network.coefs_, network.intercepts_ = coefs, intercepts
    return network


def layer_units(network: Any) -> list[int]:
    """Return the number of units of each layer, the inputs first."""
    return [network.coefs_[0].shape[0], *(weights.shape[1] for weights in network.coefs_)]


def layer_names(network: Any) -> list[str]:
    """Return 'input', 'hidden 1', ..., 'output'."""
    hidden = [f"hidden {i + 1}" for i in range(len(network.coefs_) - 1)]
    return ["input", *hidden, "output"]


def known_names(estimator: Any, inputs: int | None = None) -> Any:
    """Return the names of a network's inputs if it, or the steps before it, know them.

    Parameters
    ----------
    estimator : estimator
        What was handed to `find_network`.
    inputs : int, optional
        Their number, if the first weights or centres do not tell it.

    Returns
    -------
    array of str, or None
    """
    names = None
    for part in unwrapped(estimator):
        names = getattr(part, "feature_names_in_", names)
        if len(getattr(part, "steps", ())) > 1 and names is not None:
            # Without names of the columns the steps would only number the features.
            try:
                names = part[:-1].get_feature_names_out(names)
            except (AttributeError, ValueError):  # a step that cannot say
                names = None
    if inputs is None:
        inputs = len(part.centers_[0] if hasattr(part, "centers_") else part.coefs_[0])
    return names if names is None or len(names) == inputs else None


def layer_values(network: Any, X: Any) -> list[Any]:
    """Return X and the values of every layer, each (n_samples, units), in float64."""
    return [X, *(layer.value for layer in _layers(network, X))]


def hidden_activations(network: Any, X: Any) -> list[Any]:
    """Return what the activation of every hidden layer gives, in float64.

    With residual layers these are not yet the values that the next layer reads.
    """
    return [layer.h for layer in _layers(network, X)][:-1]


class _Layer(NamedTuple):
    """What a layer computes.

    Attributes
    ----------
    activation : str
    z, h : ndarray of shape (n_samples, units)
        Pre-activations and activations.
    value : ndarray of shape (n_samples, units)
        What the next layer reads.
    standardized : Standardized or None
        Of a normalization in front of the activation.
    residual : bool
        Whether its inputs are added to h.
    """

    activation: str
    z: Any
    h: Any
    value: Any
    standardized: Standardized | None
    residual: bool


def _layers(network: Any, X: Any, training: bool = False) -> Iterator[_Layer]:
    """Yield what every layer computes, as in training or as in predictions."""
    value, last = X, len(network.coefs_) - 1
    entries = [*getattr(network, "normalization_", [None] * last), None]
    hidden = hidden_layer_activations(network.activation, last)
    for depth, (weights, biases) in enumerate(zip(network.coefs_, network.intercepts_)):
        name = network.out_activation_ if depth == last else hidden[depth]
        z = np.asarray(value @ weights.astype(np.float64)) + biases
        standardized, entry = None, entries[depth]
        if entry is not None:
            z, standardized = normalize(entry, z, training)
        columns = label_columns(network) if depth == last else None
        parts = [z] if columns is None else columns.split(z)
        h = np.hstack([activated(name, part) for part in parts])
        residual = depth < last and _adds_inputs(network, weights)
        below, value = value, h
        if residual:
            value = h + (below.toarray() if sp.issparse(below) else below)
        yield _Layer(name, z, h, value, standardized, residual)


def _adds_inputs(network: Any, weights: Any) -> bool:
    """Whether a hidden layer adds its inputs to its outputs."""
    return bool(getattr(network, "residual", False)) and weights.shape[0] == weights.shape[1]


def label_columns(network: Any) -> LabelColumns | None:
    """Return the classes of several columns of labels, None where there is one column."""
    found = getattr(network, "_label_binarizer", None)
    return found if isinstance(found, LabelColumns) else None


def output_names(network: Any) -> Any:
    """Return the classes that the outputs stand for, one by one, or None where they do not."""
    if (columns := label_columns(network)) is not None:
        return [
            f"{number}: {label}"
            for number, classes in enumerate(columns.classes_)
            for label in classes
        ]
    classes = getattr(network, "classes_", None)
    named = classes is not None and len(classes) == network.coefs_[-1].shape[1]
    return classes if named else None


def activated(name: str, logits: NDArray[np.float64]) -> Any:
    """Return an activation, or the softmax of each row."""
    if name == "softmax":
        return softmax(logits, axis=1)
    return find_activation(name).numpy().value(logits)


def encode_target(network: Any, y: Any, n_outputs: int | None = None) -> NDArray[np.float64]:
    """Return the target as the output layer should give it, (n_samples, n_outputs).

    The number of outputs is that of an MLP if none is given.
    """
    target = _encoded(network, y)
    if target.shape[1] == 1 and len(getattr(network, "quantiles_", ())) > 1:
        target = np.repeat(target, len(network.quantiles_), axis=1)  # an output for each
    n_outputs = n_outputs or network.coefs_[-1].shape[1]
    if target.shape[1] == 1 and n_outputs == 2 and hasattr(network, "classes_"):
        target = np.hstack([1.0 - target, target])  # two outputs for two classes
    if target.shape[1] != n_outputs:
        raise ValueError(
            f"The target has {target.shape[1]} columns, but the network {n_outputs} outputs."
        )
    return target


def check_loss(network: Any) -> None:
    """Refuse a loss and an output activation that do not go together."""
    if network.out_activation_ not in outputs_of(_loss_name(network)):
        raise ValueError(
            f"out_activation_={network.out_activation_!r} does not go with loss={network.loss!r}."
        )


def _loss_name(network: Any) -> str:
    """Return what the registry calls the loss of a network, which may be scikit-learn's."""
    name: str = network._loss_name() if hasattr(network, "_loss_name") else network.loss
    return name


def _encoded(network: Any, y: Any) -> NDArray[np.float64]:
    if not hasattr(network, "classes_"):
        target = np.asarray(y, dtype=np.float64)
        return target[:, np.newaxis] if target.ndim == 1 else target
    if (columns := label_columns(network)) is not None:
        y = np.asarray(y)
        columns.check(y, all_present=False)
        each = zip(columns.sizes, columns.encode(y).T)
        return np.hstack([np.eye(size)[numbers] for size, numbers in each])
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

    .. math:: \delta_L = \nabla_z C / n, \quad
        \delta_l = \delta_{l+1} W_{l+1}^T \circ \varphi'(z_l), \quad
        \nabla W_l = a_{l-1}^T \delta_l, \quad \nabla b_l = 1^T \delta_l

    with :math:`\nabla_z C = o - y` for squared error and identity, Poisson and exp, log loss and
    logistic or softmax; else :math:`\nabla_z C = \nabla_o C \circ \varphi'(z)`, or the product
    of :math:`\nabla_o C` with the Jacobian of the softmax. It is what the minibatch solvers
    follow: that of the loss, but of the squared error added up over the outputs of an identity, as
    scikit-learn has it. A batch normalization takes the rows for a minibatch.

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
    check_loss(network)
    layers = [*_layers(network, X, training=True)]
    values = [X, *(layer.value for layer in layers)]
    ends = [encode_target(network, y), layers[-1].z, layers[-1].h]
    columns = label_columns(network)
    parts = zip(*([end] if columns is None else columns.split(end) for end in ends))
    delta = np.hstack([_loss_slope(network, *part) for part in parts]) / X.shape[0]
    gradient = Gradient([], [])
    for depth in range(len(layers) - 1, -1, -1):
        if depth < len(layers) - 1:
            whole = delta
            delta = _inner_delta(layers[depth], whole)
        gradient.weights.insert(0, np.asarray(values[depth].T @ delta))
        gradient.biases.insert(0, delta.sum(axis=0))
        if depth:
            delta = delta @ network.coefs_[depth].T
            delta = delta + whole if layers[depth].residual else delta
    return gradient


def _inner_delta(layer: _Layer, delta: Any) -> Any:
    """Return the delta of a hidden layer's sums from that of what the next one reads."""
    activation = find_activation(layer.activation)
    known = {"z": layer.z, "h": layer.h}
    delta = activation.numpy().backward(delta, *[known[name] for name in activation.reads])
    return delta if layer.standardized is None else layer.standardized.backward(delta)


def _loss_slope(network: Any, y: Any, z: Any, p: Any) -> NDArray[np.float64]:
    """Return the derivative of each row's loss by the logits z of the outputs p."""
    entry = find_loss(_loss_name(network), network.out_activation_)
    formulas = entry.numpy()
    known = {"y": y, "z": z, "p": p, "choices": float(z.shape[1]) if entry.labels else 2.0}
    known |= {
        name: np.asarray(getattr(network, name, value), dtype=np.float64)
        for name, value in entry.parameters.items()
    }
    if entry.classes:
        known["p"] = (p * y).sum(axis=1, keepdims=True)
        slope = p - y
        if formulas.factor is not None:
            slope = slope * formulas.factor(*[known[name] for name in entry.slope_reads])
        return np.asarray(slope)
    slope = np.asarray(formulas.slope(*[known[name] for name in entry.slope_reads]))
    if entry.gradient_of_mean:
        slope = slope / z.shape[1]
    if not entry.by_output:
        return np.asarray(slope)
    if entry.link is None:
        return np.asarray(p * (slope - (p * slope).sum(axis=1, keepdims=True)))
    behind = {"z": z, "h": p}
    backward = entry.link.numpy().backward
    return np.asarray(backward(slope, *[behind[name] for name in entry.link.reads]))
