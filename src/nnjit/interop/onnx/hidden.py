"""Hidden layers as transformers, in ONNX."""

from __future__ import annotations

from typing import Any

from nnjit.estimators._hidden import up_to
from nnjit.interop.fitted import fitted_network
from nnjit.interop.onnx.chain import run_layers
from nnjit.interop.onnx.graph import Dimension, Graph, Value
from nnjit.interop.onnx.outputs import Output, Outputs

__all__ = ["emit", "inputs"]


def inputs(estimator: Any, X: Any) -> dict[str, tuple[Any, tuple[Dimension, ...]]]:
    """Return type and shape of the input, which are those of the network inside."""
    fitted = fitted_network(_inside(estimator))
    return {"X": (fitted.dtype, ("n", fitted.n_features_in))}


def emit(estimator: Any, graph: Graph, X: Value) -> Outputs:
    """Write a fitted `HiddenFeatures`: the network up to the end of its hidden layer."""
    fitted = fitted_network(_inside(estimator))
    part = up_to(fitted.network, estimator.layer)
    h, _ = run_layers(fitted, graph, X, len(part.layers))
    units = int(part.sizes[-1])
    return {"features": Output(graph.reshape(h, 0, units), ("n", units))}


def _inside(estimator: Any) -> Any:
    return getattr(estimator, "estimator_", estimator.estimator)
