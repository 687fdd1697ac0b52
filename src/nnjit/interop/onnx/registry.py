"""What is written for which kind of layer and for which estimator, found when it is needed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from nnjit.interop.onnx.graph import Value

if TYPE_CHECKING:
    from nnjit.interop.onnx.chain import Chain

__all__ = ["find_emitter", "find_layer", "layer"]

# (chain, number of the layer, what comes into it) -> what comes out
LayerFunction: TypeAlias = "Callable[[Chain, int, Value], Value]"

_LAYERS: dict[str, LayerFunction] = {}
# Modules of this package with functions decorated by `layer`.
_FAMILIES = (
    "dense",
    "embeddings",
    "points",
    "radial",
    "recurrent",
    "training_only",
    "units",
    "windows",
)

# The module that writes an estimator, by its class or a base of that; the first in the order of the
# bases counts. A module has a function ``emit(estimator, graph, X)`` (see network.py), and where
# the inputs are not one array of rows as a network takes them, ``inputs(estimator, X)``, which
# returns (type, shape) of each by name.
EMITTERS = {
    "nnjit.agents._base.Agent": "nnjit.interop.onnx.network",
    "nnjit.estimators._base.NetworkEstimator": "nnjit.interop.onnx.network",
    "nnjit.estimators._tabular.TabularEstimator": "nnjit.interop.onnx.tables",
    "nnjit.estimators.hidden_features.HiddenFeatures": "nnjit.interop.onnx.hidden",
    "nnjit.estimators.self_organizing_map.SelfOrganizingMap": "nnjit.interop.onnx.maps",
    "nnjit.estimators.series_scaler.SeriesScaler": "nnjit.interop.onnx.series",
    "sklearn.calibration.CalibratedClassifierCV": "nnjit.interop.onnx.calibration",
    "sklearn.ensemble._bagging.BaggingClassifier": "nnjit.interop.onnx.ensembles",
    "sklearn.ensemble._bagging.BaggingRegressor": "nnjit.interop.onnx.ensembles",
    "sklearn.ensemble._stacking.StackingClassifier": "nnjit.interop.onnx.ensembles",
    "sklearn.ensemble._stacking.StackingRegressor": "nnjit.interop.onnx.ensembles",
    "sklearn.ensemble._voting.VotingClassifier": "nnjit.interop.onnx.ensembles",
    "sklearn.ensemble._voting.VotingRegressor": "nnjit.interop.onnx.ensembles",
    "sklearn.model_selection._classification_threshold.FixedThresholdClassifier": (
        "nnjit.interop.onnx.thresholds"
    ),
    "sklearn.model_selection._classification_threshold.TunedThresholdClassifierCV": (
        "nnjit.interop.onnx.thresholds"
    ),
    "sklearn.base.BaseEstimator": "nnjit.interop.onnx.pipelines",
}


def layer(*kinds: str) -> Callable[[LayerFunction], LayerFunction]:
    """Register the decorated function for kinds of layers."""

    def register(function: LayerFunction) -> LayerFunction:
        _LAYERS.update(dict.fromkeys(kinds, function))
        return function

    return register


def find_layer(kind: str) -> LayerFunction:
    """Return the function that writes layers of a kind.

    Raises
    ------
    ValueError
        If there is none.
    """
    for family in _FAMILIES:
        importlib.import_module(f"nnjit.interop.onnx.{family}")
    if kind not in _LAYERS:
        raise ValueError(f"Layers of kind {kind!r} cannot be written as ONNX.")
    return _LAYERS[kind]


def find_emitter(estimator: Any) -> Any:
    """Return the module that writes an estimator.

    Raises
    ------
    TypeError
        If there is none.
    """
    for cls in type(estimator).__mro__:
        name = f"{cls.__module__}.{cls.__qualname__}"
        if name in EMITTERS:
            return importlib.import_module(EMITTERS[name])
    raise TypeError(f"{type(estimator).__name__} cannot be written as ONNX.")
