"""One of nnjit's estimators as a step of a pipeline that another converter writes."""

from __future__ import annotations

from typing import Any, NamedTuple

from nnjit.estimators._table.columns import Column
from nnjit.estimators._tabular import TabularEstimator
from nnjit.interop.holders import bare
from nnjit.interop.onnx.export import emit
from nnjit.interop.onnx.graph import Graph, Value
from nnjit.interop.onnx.outputs import Outputs
from nnjit.interop.onnx.tables import emit_places, least_opset

__all__ = ["STEPS", "Given", "joined", "step_outputs"]

# Names of the estimators in `nnjit` that may be steps.
STEPS = (
    *("MLPClassifier", "MLPRegressor", "RBFClassifier", "RBFRegressor"),
    *("ConvClassifier", "ConvRegressor"),
    *("RecurrentClassifier", "RecurrentRegressor", "NetworkClassifier", "NetworkRegressor"),
    *("TabularClassifier", "TabularRegressor", "AutoEncoder", "SelfOrganizingMap"),
    *("HiddenFeatures", "SeriesScaler"),
)


class Given(NamedTuple):
    """What comes into a step: some columns, (n, width), and what they are called."""

    name: str
    value: Value
    width: int | None


def step_outputs(graph: Graph, estimator: Any, given: list[Given]) -> Outputs:
    """Write a fitted estimator behind what comes into it.

    Parameters
    ----------
    graph : Graph
    estimator : estimator
    given : list of Given
        Columns of numbers, of any types, which are joined; or of an estimator of tables the columns
        that it was fitted on.
    """
    estimator = bare(estimator)
    if isinstance(estimator, TabularEstimator):
        least = least_opset(estimator)
        if graph.opset < least:
            raise ValueError(
                f"{type(estimator).__name__} with columns of text needs opset {least}."
            )
        columns = _one_by_one(graph, estimator._encoder, given)
        return emit_places(estimator, graph, columns)
    return emit(estimator, graph, joined(graph, [one.value for one in given]))


def joined(graph: Graph, values: list[Value]) -> Value:
    """Return columns of numbers as one matrix of the widest type among theirs."""
    wanted = max((one.dtype for one in values), key=lambda kind: (kind.kind == "f", kind.num))
    return graph.concatenate([graph.cast(one, wanted) for one in values], 1)


def _one_by_one(graph: Graph, encoder: Any, given: list[Given]) -> dict[int, Value]:
    """Return the used columns of a table, each by itself."""
    used = [k for k, column in enumerate(encoder.columns) if isinstance(column, Column)]
    if encoder.names is not None and {encoder.names[k] for k in used} <= {g.name for g in given}:
        by_name = {one.name: one.value for one in given}
        return {k: by_name[encoder.names[k]] for k in used}
    found: dict[int, Value] = {}
    place = 0
    for one in given:
        width = one.width or 1
        for k in range(width):
            if place in used:
                found[place] = one.value if width == 1 else graph.columns(one.value, k, k + 1)
            place += 1
    if place != len(encoder.columns):
        raise ValueError(
            f"The table has {len(encoder.columns)} columns, but {place} come from the step before."
        )
    return found
