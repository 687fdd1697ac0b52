"""Pipelines in ONNX: scikit-learn's parts by skl2onnx's converters, nnjit's by those here."""

from __future__ import annotations

import importlib
import re
import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier, is_clusterer, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectorMixin
from sklearn.pipeline import FeatureUnion, Pipeline

from nnjit.estimators._tabular import TabularEstimator
from nnjit.interop.holders import bare
from nnjit.interop.onnx import export, tables
from nnjit.interop.onnx.columns import METADATA, TableInput, frame_inputs, in_metadata, label_of
from nnjit.interop.onnx.converters import conversions, gives_maps, parsers, register
from nnjit.interop.onnx.graph import Dimension, Graph, Value, needed
from nnjit.interop.onnx.outputs import Output, Outputs
from nnjit.interop.onnx.registry import find_emitter
from nnjit.interop.onnx.steps import joined

__all__ = ["emit", "emit_part", "inputs", "least_opset", "metadata"]

_ML_VERSION = 3  # of scikit-learn's operators, which skl2onnx writes


def inputs(estimator: Any, X: Any) -> dict[str, tuple[Any, tuple[Dimension, ...]]]:
    """Return type and shape of each input.

    A frame has an input for each column, unless its columns are all numbers and the estimator does
    not pick some of them; then, and for arrays, it is one.

    Raises
    ------
    ValueError
        If X is needed, or has columns that have no type in ONNX.
    """
    columns = _columns(estimator, X)
    if columns is not None:
        return {one.name: (one.dtype, ("n", 1)) for one in columns}
    return {"X": (_type_of_rows(X), ("n", estimator.n_features_in_))}


def metadata(estimator: Any, X: Any) -> dict[str, str]:
    """Return what the model says about its inputs."""
    columns = _columns(estimator, X)
    return {} if columns is None else {METADATA: in_metadata(columns)}


def least_opset(estimator: Any) -> int:
    """Return the version of ONNX's operators that the parts need."""
    return max((tables.least_opset(one) for one in _parts(estimator) if _is_table(one)), default=0)


def emit(estimator: Any, graph: Graph, X: Value | dict[str, Value]) -> Outputs:
    """Write a fitted estimator of scikit-learn, in which nnjit's may be.

    Parameters
    ----------
    estimator : estimator
        A pipeline, a search, a regressor of transformed targets and the like.
    graph : Graph
    X : Value or dict of str to Value
        Rows (n, n_features), or the columns of a frame by name.
    """
    _refuse_predictors_in_front(estimator)
    front, last = _split(estimator)
    if last is not None:
        features = X if front is None else emit(front, graph, X)["features"].value
        return emit_part(last, graph, features)
    _refuse_text(estimator)
    given = {"X": X} if isinstance(X, Value) else {label_of(name): one for name, one in X.items()}
    # truth as 0 and 1, for there are encoders that know no other
    given = {
        name: graph.cast(one, np.int64) if one.dtype == bool else one for name, one in given.items()
    }
    width = estimator.n_features_in_ if isinstance(X, Value) else 1
    types = [(name, _declared(one.dtype, width)) for name, one in given.items()]
    made = _written(estimator, types, graph.opset)
    names_there = [one.name for one in made.graph.input]  # skl2onnx keeps letters and digits alone
    values = graph.inline(made, dict(zip(names_there, given.values(), strict=True)))
    names = _output_names(estimator, [*values])
    found = {
        names[one.name]: Output(values[one.name], _shape(one), extra=names[one.name] == "scores")
        for one in made.graph.output
    }
    if "prediction" in found and found["prediction"].shape[1:] == (1,):
        flat = graph.reshape(found["prediction"].value, -1)
        found["prediction"] = Output(flat, ("n",))
    return found


def _written(estimator: Any, types: list[Any], opset: int) -> Any:
    """Return the model that skl2onnx writes.

    Raises
    ------
    ValueError
        If it writes none, or none that is valid.
    """
    skl2onnx: Any = needed("skl2onnx")
    register()
    newest = int(skl2onnx.__max_supported_opset__)
    if opset > newest:
        raise ValueError(f"skl2onnx writes pipelines up to opset={newest}, not {opset}.")
    convert, types_of = conversions()
    try:
        made = skl2onnx.convert_sklearn(
            estimator,
            initial_types=types,
            target_opset={"": opset, "ai.onnx.ml": _ML_VERSION},
            options={
                id(one): {"zipmap": False}
                for one in _parts(estimator, members=False)
                if gives_maps(one)
            },
            custom_parsers=parsers(),
            custom_conversion_functions=convert,
            custom_shape_calculators=types_of,
        )
        if made.functions:
            raise ValueError(
                f"skl2onnx writes this {type(estimator).__name__} with functions of its own, which "
                "cannot be a part of another model."
            )
        needed("onnx.checker").check_model(made, full_check=True)
    except Exception as error:  # of many types, its own and ONNX's
        if isinstance(error, ValueError) and _raised_here(error):  # and names what has no form
            raise
        said = str(error).strip().partition("\n")[0].rstrip(".")
        advice = ""
        if unknown := re.search(r"shape calculator for type '<class '[\w.]*?(\w+)'>'", said):
            said = f"it has no converter of {unknown[1]}"
        elif any(type(one).__name__ == "DoubleTensorType" for _, one in types):
            advice = " Some of its converters know no float64: give to_onnx rows of float32."
        raise ValueError(
            f"skl2onnx cannot write this {type(estimator).__name__}: {said}.{advice}"
        ) from error
    return made


def _raised_here(error: Exception) -> bool:
    """Whether a function of this package raised an error."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", "")).startswith("nnjit.")


def _refuse_predictors_in_front(estimator: Any, in_front: bool = False) -> None:
    """Raise if what predicts is used as a transformer: skl2onnx goes on with what it predicts."""
    if isinstance(estimator, Pipeline):
        *before, (_, last) = estimator.steps
        inner = [(step, True) for _, step in before] + [(last, in_front)]
    elif isinstance(estimator, FeatureUnion):
        inner = [(one, True) for _, one in estimator.transformer_list]
    elif isinstance(estimator, ColumnTransformer):
        inner = [(one, True) for _, one, _ in estimator.transformers_]
    else:
        if in_front and _predicts(estimator):
            raise ValueError(
                f"{type(estimator).__name__} as a transformer, in front of another step, has no "
                "form in ONNX."
            )
        return
    for one, is_in_front in inner:
        _refuse_predictors_in_front(one, is_in_front)


def _predicts(estimator: Any) -> bool:
    """Whether an estimator of scikit-learn's is one whose transform is beside the point."""
    ours = any(cls.__module__.startswith("nnjit.") for cls in type(estimator).__mro__)
    if ours or not isinstance(estimator, BaseEstimator) or isinstance(estimator, SelectorMixin):
        return False
    return bool(is_classifier(estimator) or is_regressor(estimator) or is_clusterer(estimator))


def _refuse_text(estimator: Any) -> None:
    """Raise if text comes in that ONNX reads otherwise.

    A missing one that is a category skl2onnx would call "nan", and nothing is so; words are split
    at other places.
    """
    for part in _parts(estimator):
        if isinstance(part, CountVectorizer):
            raise ValueError(
                f"{type(part).__name__} has no form in ONNX, which splits text at other places: "
                "count the words in front of the model."
            )
        for categories in getattr(part, "categories_", ()):
            texts = [isinstance(one, str) for one in np.asarray(categories).tolist()]
            if any(texts) and not all(texts):
                raise ValueError(
                    f"{type(part).__name__} has a category for missing text, which ONNX has none "
                    'of: put SimpleImputer(strategy="constant") in front.'
                )


def emit_part(estimator: Any, graph: Graph, X: Value | dict[str, Value]) -> Outputs:
    """Write an estimator that is a part of another; one of ours gets its columns together."""
    estimator = bare(estimator)
    if isinstance(X, dict) and not hasattr(find_emitter(estimator), "metadata"):
        X = joined(graph, [*X.values()])
    return export.emit(estimator, graph, X)


def _split(estimator: Any) -> tuple[Any, Any]:
    """Return a pipeline without its last step, and that step, where it is written by itself.

    So it may have all outputs that it has by itself. None stands for nothing that is left.
    """
    if not isinstance(estimator, Pipeline):
        return None, None
    steps = [(name, step) for name, step in estimator.steps if isinstance(step, BaseEstimator)]
    last = steps[-1][1] if steps else None
    is_whole = last is not None and len(steps) == 1
    if not is_whole and (last is None or not _writes_itself(last)):
        return None, None
    return (None if is_whole else Pipeline(steps[:-1])), last


def _writes_itself(estimator: Any) -> bool:
    """Whether it is one of nnjit's, or a pipeline that ends with one."""
    here = importlib.import_module(__name__)
    if isinstance(estimator, Pipeline):
        return _split(estimator)[1] is not None
    return find_emitter(estimator) is not here


def _columns(estimator: Any, X: Any) -> list[TableInput] | None:
    """Return the columns that are inputs of their own, None if there is one input."""
    picks = any(isinstance(one, ColumnTransformer) for one in _parts(estimator))
    picks = picks or any(_is_table(one) and one._encoder.names for one in _parts(estimator))
    if X is None:
        if picks and hasattr(estimator, "feature_names_in_"):
            raise ValueError(
                "to_onnx needs X, some rows of the frame, for the types of its columns."
            )
        return None
    if not hasattr(X, "columns") and not hasattr(X, "column_names"):
        return None
    columns = frame_inputs(X)
    places = {name: k for k, name in enumerate(getattr(estimator, "feature_names_in_", ()))}
    # some may be picked by place
    columns.sort(key=lambda one: places.get(one.column, len(places)))
    if not picks and all(one.role == "number" for one in columns):
        return None
    return columns


def _type_of_rows(X: Any) -> np.dtype[Any]:
    """Return the type of rows in one array, float32 if there are none to tell it."""
    if X is None:
        return np.dtype(np.float32)
    kind = np.asarray(X).dtype
    if kind.kind not in "fiub":
        raise ValueError(
            f"X is an array of {kind}: give to_onnx a frame, whose columns have types."
        )
    if kind.kind in "iu":
        return np.dtype(np.int64)
    return kind if kind in (np.float32, bool) else np.dtype(np.float64)


def _declared(kind: np.dtype[Any], width: int) -> Any:
    """Return a type of skl2onnx's."""
    types: Any = needed("skl2onnx.common.data_types")
    name = {"float32": "Float", "float64": "Double", "int64": "Int64", "bool": "Boolean"}
    return getattr(types, f"{name.get(kind.name, 'String')}TensorType")([None, width])


def _is_table(estimator: Any) -> bool:
    return isinstance(estimator, TabularEstimator)


def _parts(estimator: Any, members: bool = True) -> Iterator[Any]:
    """Yield the fitted estimators that an estimator consists of, itself included.

    Parameters
    ----------
    estimator : estimator
    members : bool, default=True
        Whether those of votes, stacks and bags are among them.
    """
    yield estimator
    inner: list[Any] = []
    for name in ("best_estimator_", "estimator_", "regressor_", "final_estimator_"):
        inner.append(getattr(estimator, name, None))
    inner += [one.estimator for one in getattr(estimator, "calibrated_classifiers_", ())]
    if isinstance(estimator, ColumnTransformer):
        inner += [one for _, one, _ in estimator.transformers_]
    for name in ("steps", "transformer_list"):
        inner += [one for _, one in getattr(estimator, name, ())]
    if members:
        inner += [*np.ravel(np.asarray(getattr(estimator, "estimators_", ()), dtype=object))]
    for one in inner:
        if isinstance(one, BaseEstimator):
            yield from _parts(one, members)


def _shape(one: Any) -> tuple[Dimension, ...]:
    """Return the shape of an output."""
    dims = one.type.tensor_type.shape.dim
    return ("n", *(dim.dim_value or f"{one.name}_{k}" for k, dim in enumerate(dims[1:])))


def _output_names(estimator: Any, names: list[str]) -> dict[str, str]:
    if len(names) == 1:
        return {names[0]: "prediction" if is_regressor(estimator) else "features"}
    if len(names) == 2 and is_classifier(estimator):
        second = "probabilities" if hasattr(estimator, "predict_proba") else "scores"
        return dict(zip(names, ("label", second)))
    return {name: name for name in names}
