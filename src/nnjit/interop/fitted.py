"""A fitted estimator read as data: all that a prediction needs, in one place for every export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from nnjit._types import Array
from nnjit.estimators._arrays import common_dtype
from nnjit.estimators._assigned import refuse_non_finite
from nnjit.estimators._label_columns import LabelColumns
from nnjit.layers.layer import Layer, Shape
from nnjit.layers.network import Network

__all__ = ["FittedLayer", "FittedNetwork", "fitted_network"]


@dataclass(frozen=True, eq=False)
class FittedLayer:
    """A layer with its parameters.

    Attributes
    ----------
    layer : Layer
        One of those in `nnjit.layers`.
    inputs, outputs : int or tuple of int
        Shapes of what comes into it and out of it for each row, as `nnjit.layers.layer.Shape`.
    parameters : dict of str to ndarray
        By the names in ``layer.parameters(inputs)``, of the network's type. A ``TiedDense`` has its
        biases alone; see `FittedNetwork.tied_weights`.
    trained : tuple of str
        Names of those that a solver moves; the others are state, such as running statistics.
    """

    layer: Layer
    inputs: Shape
    outputs: Shape
    parameters: Mapping[str, Array]
    trained: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The layer's kind."""
        return self.layer.kind


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A fitted network, and what is made of its rows and of its outputs.

    A prediction casts rows to `dtype`, has a radial network's go through
    ``(x - origin) * (1 / unit)``, passes `layers`, then `output`, and makes of these outputs what
    `target` says.

    Attributes
    ----------
    estimator : str
        Name of the estimator's class.
    network : Network
    layers : tuple of FittedLayer
        The output layer, whose outputs are the logits, last.
    dtype : dtype
        float32 or float64.
    input_shape : tuple of int
        (channels, time) or (channels, height, width) of a row; ``()`` for a vector.
    channels_last : bool
        Whether the values of a row lie in X with the channels last, unlike in the network.
    has_lengths : bool
        Whether rows are series that may be shorter, behind whose ends all channels are NaN; then
        ``network.lengths`` tells how many points are left behind each layer. What lies behind an
        end is 0 in front of the first layer, and 0 again behind every layer that gives out series.
    output : str
        The output activation, of all logits, or of each of `groups`.
    groups : tuple of int
        Numbers of logits of each column of classes; ``()`` where `target` is not 'columns'.
    by_points : bool
        Whether each point of a series has a target; outputs are (n, n_outputs, time) then.
    target : str
        'binary': one logistic output, the probability of ``classes[0][1]``, if above `threshold`;
        or two outputs. A single class is predicted whatever comes out. 'multiclass': the class of
        the largest output. 'multilabel': each label whose output is above `threshold`. 'columns':
        the largest output of each of `groups`. 'values': the outputs; if `quantiles` are several,
        sorted so that they ascend with the quantiles. 'reconstruction': the rows. 'best': the
        number of the largest output, from the space's start on. 'means': the first half of the
        outputs, in units in which bounds of `action_space` that are finite are -1 and 1, cut off
        there.
    classes : tuple of ndarray
        Of the one target, or of each column; empty for values.
    threshold : float
        0.5, unless labels were encoded otherwise.
    quantiles : tuple of float
        Of the outputs of a quantile network.
    n_features_in : int
    feature_names : tuple of str or None
    origin : ndarray of shape (n_features,) or None
        Of a radial network.
    unit : float
        Of a radial network; else 1.
    code_layer : int or None
        Number of the layer whose outputs are an autoencoder's code.
    members : tuple of FittedNetwork
        The networks beside an autoencoder's first, which share in scores alone.
    error_scale : ndarray of shape (n_features,) or None
        By which an autoencoder divides the error of each value in its scores.
    offset : float or None
        Score below which an autoencoder calls a row an outlier.
    action_space : nnjit.agents._spaces.Space or None
        What an agent chooses from: its `kind`, and `start` or the bounds `low` and `high`.
    """

    estimator: str
    network: Network
    layers: tuple[FittedLayer, ...]
    dtype: np.dtype[Any]
    input_shape: tuple[int, ...]
    channels_last: bool
    has_lengths: bool
    output: str
    groups: tuple[int, ...]
    by_points: bool
    target: str
    classes: tuple[Array, ...]
    threshold: float
    quantiles: tuple[float, ...]
    n_features_in: int
    feature_names: tuple[str, ...] | None
    origin: Array | None
    unit: float
    code_layer: int | None
    members: tuple[FittedNetwork, ...]
    error_scale: Array | None
    offset: float | None
    action_space: Any

    @property
    def n_outputs(self) -> int:
        """Outputs of a target."""
        return self.network.outputs

    def tied_weights(self, number: int) -> Array:
        """Return the weights (inputs, units) of the ``TiedDense`` layer of a number."""
        layer: Any = self.layers[number].layer
        weights: Array = self.layers[number - layer.back].parameters["weights"]
        return np.ascontiguousarray(weights.T)


def fitted_network(estimator: Any) -> FittedNetwork:
    """Read a fitted network.

    Parameters
    ----------
    estimator : estimator
        A fitted network of the package (MLP, convolutional, recurrent, radial, of your own layers,
        autoencoder), or an agent.

    Returns
    -------
    FittedNetwork
        Its arrays may be the estimator's own.

    Raises
    ------
    TypeError
        If the estimator is no single network.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If something was assigned that is no network, or has NaN or infinities.
    """
    if not hasattr(type(estimator), "_give_parameters"):
        raise TypeError(
            f"{type(estimator).__name__} is none of nnjit's networks, whose layers could be read."
        )
    check_is_fitted(estimator)
    network, arrays = estimator._give_parameters()
    named = getattr(estimator, "_as_attributes", lambda given: {"parameters": given})
    refuse_non_finite(named(arrays))
    dtype = common_dtype(arrays)
    shape = tuple(network.shape)
    names = getattr(estimator, "feature_names_in_", None)
    radial = hasattr(estimator, "centers_")
    return FittedNetwork(
        estimator=type(estimator).__name__,
        network=network,
        layers=_layers(network, arrays, dtype),
        dtype=dtype,
        input_shape=shape,
        channels_last=bool(shape and getattr(estimator, "channels_last", False)),
        has_lengths=len(shape) == 2,
        output=estimator.out_activation_,
        groups=tuple(network.groups),
        by_points=bool(network.target_shape),
        n_features_in=int(network.inputs),
        feature_names=None if names is None else tuple(map(str, names)),
        origin=np.asarray(estimator._origin, dtype) if radial else None,
        unit=float(estimator._unit) if radial else 1.0,
        action_space=getattr(estimator, "action_space_", None),
        **_target(estimator, network),
        **_autoencoding(estimator),
    )


def _layers(network: Network, arrays: list[Array], dtype: np.dtype[Any]) -> tuple[FittedLayer, ...]:
    """Return the layers, each with its own of a network's arrays."""
    given = zip(network.parameters(), arrays, strict=True)
    own: list[dict[str, Array]] = [{} for _ in network.layers]
    trained: list[list[str]] = [[] for _ in network.layers]
    for (number, parameter), array in given:
        own[number][parameter.name] = np.asarray(array, dtype)
        if parameter.trained:
            trained[number].append(parameter.name)
    shapes = network.shapes
    return tuple(
        FittedLayer(layer, shapes[k], shapes[k + 1], own[k], tuple(trained[k]))
        for k, layer in enumerate(network.layers)
    )


# What is made of the outputs


def _target(estimator: Any, network: Network) -> dict[str, Any]:
    """Return what is predicted, and all that makes it of the outputs."""
    found: dict[str, Any] = {"classes": (), "threshold": 0.5, "quantiles": ()}
    if hasattr(estimator, "_code_layer"):
        return found | {"target": "reconstruction"}
    if hasattr(estimator, "action_space_"):
        discrete = estimator.action_space_.kind == "discrete"
        return found | {"target": "best" if discrete else "means"}
    if not hasattr(type(estimator), "predict_proba"):
        quantiles = tuple(map(float, estimator.__dict__.get("quantiles_", ())))
        return found | {"target": "values", "quantiles": quantiles}
    return found | _labels(getattr(estimator, "_label_binarizer", None), network.outputs)


def _labels(binarizer: Any, outputs: int) -> dict[str, Any]:
    """Return which labels outputs stand for.

    Raises
    ------
    ValueError
        If the binarizer was assigned and does not go with the network's outputs.
    """
    if isinstance(binarizer, LabelColumns):
        if outputs == sum(binarizer.sizes):
            return {"target": "columns", "classes": tuple(map(np.asarray, binarizer.classes_))}
        kind: Any = binarizer.y_type_
    else:
        kind = getattr(binarizer, "y_type_", None)
        classes = np.asarray(getattr(binarizer, "classes_", None))
        target = {"multilabel-indicator": "multilabel"}.get(kind, kind)
        known = len(classes) if classes.ndim == 1 else 0
        fits = outputs == known or (kind == "binary" and 1 <= known <= 2 and outputs == 1)
        if target in ("binary", "multiclass", "multilabel") and known and fits:
            middle = (binarizer.neg_label + binarizer.pos_label) / 2
            return {"target": target, "classes": (classes,), "threshold": float(middle)}
    raise ValueError(
        f"The network has {outputs} outputs, which its labels (_label_binarizer, of kind {kind!r}) "
        "do not go with."
    )


def _autoencoding(estimator: Any) -> dict[str, Any]:
    """Return what only an autoencoder has."""
    if not hasattr(estimator, "_code_layer"):
        return {"code_layer": None, "members": (), "error_scale": None, "offset": None}
    return {
        "code_layer": int(estimator._code_layer),
        "members": tuple(map(fitted_network, getattr(estimator, "members_", ()))),
        "error_scale": getattr(estimator, "scale_", None),
        "offset": getattr(estimator, "offset_", None),
    }
