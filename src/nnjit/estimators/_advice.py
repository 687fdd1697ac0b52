"""Warnings that say what to do, each text once per process.

They look at a sample of the data and at what the fit recorded, so that they cost next to nothing,
and speak only where something is plainly wrong.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp

from nnjit._warnings import MLP_MODULE, warn
from nnjit.estimators._device import first_rows
from nnjit.exceptions import TrainingWarning
from nnjit.formulas import ACTIVATIONS

# Inputs of this root mean square are not scaled. (Pixels to 16 or counts to 50 do no harm.)
LARGE_INPUT = 100.0
SAMPLE_VALUES = 1 << 13
SAMPLE_ROWS = 64
_ROWS_AT_ONCE = 1 << 20
# The loss has risen if after this many epochs it is this many times the first.
RISEN_AFTER, RISEN_TIMES = 5, 2.0
# Texts that this process has shown.
_said: set[str] = set()


def advise(text: str) -> None:
    """Warn with a `TrainingWarning`, once per process unless the user's filter says always.

    Python itself would repeat it: whoever changes the filters, as scikit-learn does for every fit
    of a search, makes it forget what it has shown. A filter that makes errors of all warnings, or
    of scikit-learn's, must not fail a fit that scikit-learn would not fail, so that the advice is
    an error only where a filter names it.
    """
    action, category = _filter_of(text)
    if action == "error" and not issubclass(category, TrainingWarning):
        return
    if action in ("default", "module", "once"):
        if text in _said:
            return
        _said.add(text)
    warn(text, TrainingWarning)


def _filter_of(text: str) -> tuple[str, Any]:
    """Return the action and the category of the filter that the text meets first."""
    for action, message, category, module, line in warnings.filters:
        if (
            not line
            and issubclass(TrainingWarning, category)
            and (message is None or message.match(text))
            and (module is None or module.match(MLP_MODULE))
        ):
            return action, category
    return "default", Warning


def advise_on_input(network: Any, X: Any) -> None:
    """Warn if a feature is so large that the network will hardly learn.

    Parameters
    ----------
    network : estimator
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    """
    if sp.issparse(X):
        sample = X.data[:SAMPLE_VALUES, np.newaxis]
        where = "The input"
    else:
        sample = first_rows(X, max(1, SAMPLE_VALUES // X.shape[1]))
        sample = sample[:, : sample.shape[1] - _codes(network)]
        sample = np.nan_to_num(sample)  # behind the end of a series there is NaN
        where = ""
    if not sample.size:
        return
    unit = max(1.0, float(np.abs(sample).max()))  # so that no square overflows
    size = unit * np.sqrt(np.square(sample / unit, dtype=np.float64).mean(axis=0))
    largest = int(size.argmax())
    if size[largest] <= LARGE_INPUT:
        return
    names = getattr(network, "feature_names_in_", None)
    scaler = "StandardScaler()"
    if shape := getattr(network, "input_shape_", ()):
        where, scaler = "The input", f"SeriesScaler(input_shape={shape})"
    where = where or f"Feature {largest if names is None else repr(str(names[largest]))}"
    # No more digits, so that all fits of a search have the same to say.
    magnitude = 10.0 ** np.round(np.log10(size[largest]))
    advise(
        f"{where} has values of the order of {magnitude:g}. Networks learn slowly or not at all "
        "from inputs that are not scaled. Put a scaler in front: "
        f"make_pipeline({scaler}, {type(network).__name__}(...))."
    )


def _codes(network: Any) -> int:
    """Return how many of the features, the last ones, are codes of categories."""
    layers = getattr(network, "layers_", ())
    return next((len(layer.levels) for layer in layers if layer.kind == "embedding"), 0)


def advise_on_classes(network: Any, target: Any, rows: Any, sample_weight: Any) -> None:
    """Warn of classes that no training row, or none with a weight, belongs to.

    Parameters
    ----------
    network : estimator
    target : ndarray
        Class numbers, or one column of zeros and ones, of rows or of all points of series; other
        targets are not looked at.
    rows : ndarray of int
        The rows trained on.
    sample_weight : ndarray of shape (n_samples,) or (n_samples, time) or None
    """
    per_point = getattr(network, "targets", "one") == "sequence"
    if not hasattr(network, "classes_") or (not per_point and target.shape[1:] not in ((), (1,))):
        return
    target = target.reshape(len(target), -1)
    if len(rows) < len(target):
        target = target[rows]
        sample_weight = None if sample_weight is None else sample_weight[rows]
    if sample_weight is not None:
        weights = sample_weight.reshape(len(target), -1)
        sample_weight = np.broadcast_to(weights, target.shape).ravel()
    target, totals = target.ravel(), np.zeros(len(network.classes_))
    for start in range(0, len(target), _ROWS_AT_ONCE):  # whose numbers are a copy
        part = slice(start, start + _ROWS_AT_ONCE)
        weights = None if sample_weight is None else sample_weight[part]
        totals += np.bincount(target[part].astype(np.intp, copy=False), weights, len(totals))
    absent = network.classes_[totals == 0]
    if len(absent):
        advise(
            f"No training row with a positive weight belongs to the classes {absent.tolist()}, so "
            "they will not be predicted. Leave them out, lower validation_fraction, or give their "
            "rows a weight."
        )


def advise_on_outcome(network: Any, engine: Any, X: Any, losses: list[float]) -> None:
    """Warn of a loss that rose, or of a network whose output is the same for all rows.

    Parameters
    ----------
    network : estimator
        Fitted.
    engine : engine
        Holds its weights.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Training rows.
    losses : list of float
        Training loss of each epoch of this fit.
    """
    lower = f"learning_rate_init={network.learning_rate_init / 10:g}"
    if len(losses) > RISEN_AFTER and losses[-1] > RISEN_TIMES * losses[0] > 0:
        advise(
            "The training loss rose (see loss_curve_): the learning rate "
            f"({network.learning_rate_init:g}) is too large. Try {lower}."
        )
        return
    # dropout is none of the layers: predictions leave it out
    hidden = [one for one in engine.network.layers[:-1] if not getattr(one, "random", False)]
    if any(layer.kind != "dense" for layer in hidden):
        return
    entries = [ACTIVATIONS[layer.activation] for layer in hidden]
    if not any(entry.dies for entry in entries):
        return
    if len(losses) <= RISEN_AFTER or X.shape[0] < 2:
        return
    rows = first_rows(X, SAMPLE_ROWS)
    outputs = engine.predict(rows, output="logits")
    if (outputs != outputs[0]).any():
        return
    depth = _dead_layer(network._give_parameters()[1], entries, rows)
    if depth is not None:
        advise(
            f"All units of hidden layer {depth} are 0 for every row (dead), so the output is "
            f"constant and no gradient passes. Try a lower rate ({lower}), scaled inputs, or "
            "activation='tanh'."
        )


def _dead_layer(parameters: list[Any], activations: list[Any], values: Any) -> int | None:
    """Return the number of the first hidden layer whose units are dead for all rows, from 1.

    The parameters are those of dense layers with these activations: weights and biases in turn.
    """
    layers = zip(parameters[:-2:2], parameters[1:-2:2], activations)
    for depth, (weights, biases, activation) in enumerate(layers, start=1):
        values = activation.numpy().value(np.asarray(values @ weights) + biases)
        if activation.dies and not values.any():
            return depth
    return None
