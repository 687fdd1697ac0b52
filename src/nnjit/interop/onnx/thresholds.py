"""Classifiers with a threshold of their own in ONNX; skl2onnx's converter leaves it out."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV

from nnjit.interop.onnx import pipelines
from nnjit.interop.onnx.graph import Graph, Value
from nnjit.interop.onnx.labels import as_tensor
from nnjit.interop.onnx.outputs import Output, Outputs
from nnjit.interop.onnx.pipelines import inputs, least_opset, metadata

__all__ = ["THRESHOLDS", "emit", "inputs", "least_opset", "metadata"]

THRESHOLDS = (FixedThresholdClassifier, TunedThresholdClassifierCV)


def emit(estimator: Any, graph: Graph, X: Value | dict[str, Value]) -> Outputs:
    """Write a fitted `FixedThresholdClassifier` or `TunedThresholdClassifierCV`.

    Raises
    ------
    ValueError
        If what is compared with the threshold is a decision function.
    """
    inside = getattr(estimator, "estimator_", estimator.estimator)
    method = estimator.response_method
    if method == "decision_function" or not hasattr(inside, "predict_proba"):
        raise ValueError(
            f"{type(estimator).__name__} of a decision function has no form in ONNX: one of "
            "probabilities has."
        )
    found = pipelines.emit_part(inside, graph, X)
    classes = as_tensor(estimator.classes_, type(estimator).__name__)
    threshold, positive = _asked(estimator)
    place = 1 if positive is None else int(np.flatnonzero(estimator.classes_ == positive)[0])
    p = graph.columns(found["probabilities"].value, place, place + 1)
    if isinstance(threshold, np.floating):  # as NumPy compares them
        p = graph.cast(p, np.float64)
    reached = graph.reshape(p, -1) >= threshold
    numbers = graph.where(reached, graph.constant(np.int64(place)), graph.constant(1 - place))
    return {
        "label": Output(graph.take(classes, numbers, 0), ("n",)),
        "probabilities": found["probabilities"],
    }


def _asked(estimator: Any) -> tuple[Any, Any]:
    """Return the threshold, and the label that is told where it is reached."""
    if isinstance(estimator, TunedThresholdClassifierCV):
        return estimator.best_threshold_, estimator._curve_scorer._get_pos_label()
    threshold = 0.5 if estimator.threshold == "auto" else estimator.threshold
    return threshold, estimator.pos_label
