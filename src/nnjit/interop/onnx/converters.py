"""What skl2onnx has to know of nnjit's estimators, and of some of scikit-learn's."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.svm import LinearSVC

from nnjit.interop.holders import found_by
from nnjit.interop.onnx.graph import Graph, needed
from nnjit.interop.onnx.imputing import imputed
from nnjit.interop.onnx.inverses import inverse_target
from nnjit.interop.onnx.one_hot import indicators
from nnjit.interop.onnx.outputs import Outputs
from nnjit.interop.onnx.prefixes import prefixed
from nnjit.interop.onnx.rescaling import RESCALERS, rescaled
from nnjit.interop.onnx.steps import STEPS, Given, step_outputs

__all__ = ["conversions", "gives_maps", "parsers", "register"]

_ALIAS = "Nnjit"
_HOLDERS = (
    ("sklearn.model_selection", "GridSearchCV"),
    ("sklearn.model_selection", "RandomizedSearchCV"),
    ("sklearn.model_selection._search_successive_halving", "HalvingGridSearchCV"),
    ("sklearn.model_selection._search_successive_halving", "HalvingRandomSearchCV"),
    ("sklearn.frozen", "FrozenEstimator"),
)
_CLASSIFIER_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
}


def register() -> None:
    """Have skl2onnx know nnjit's estimators, searches, and regressors of transformed targets.

    From then on ``skl2onnx.to_onnx`` converts pipelines in which they are steps, and estimators of
    scikit-learn that hold them. `to_onnx` calls it by itself.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import skl2onnx
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import nnjit
    >>> from nnjit.interop.onnx import register
    >>> X, y = load_iris(return_X_y=True)
    >>> network = nnjit.MLPClassifier((8,), solver="lbfgs", tol=0.01, random_state=0)
    >>> model = make_pipeline(StandardScaler(), network).fit(X, y)
    >>> register()
    >>> graph = skl2onnx.to_onnx(model, X[:1].astype(np.float32), options={"zipmap": False})
    >>> [output.name for output in graph.graph.output]
    ['label', 'probabilities']
    """
    skl2onnx: Any = needed("skl2onnx")
    nnjit: Any = importlib.import_module("nnjit")
    update = skl2onnx.update_registered_converter
    for name in STEPS:
        one = getattr(nnjit, name)
        classifies = hasattr(one, "predict_proba")
        update(
            one,
            _ALIAS + name,
            _set_types,
            _convert,
            options=_CLASSIFIER_OPTIONS if classifies else None,
            parser=None if classifies else _parse_one_output,
        )
    for module, name in _HOLDERS:
        holder = getattr(importlib.import_module(module), name)
        update(holder, _ALIAS + name, _set_types, _convert, parser=_parse_held,
               options=_CLASSIFIER_OPTIONS)  # fmt: skip
    update(
        TransformedTargetRegressor,
        _ALIAS + "TransformedTarget",
        _set_target_type,
        _convert_target,
        parser=_parse_target,
    )


# Parsers: what outputs an estimator has


def parsers() -> dict[type, Any]:
    """Return what goes through estimators of scikit-learn's in place of skl2onnx's own."""
    return {
        ColumnTransformer: _parse_columns,
        FeatureUnion: _parse_union,
        Pipeline: _parse_pipeline,
    }


def gives_maps(estimator: Any) -> bool:
    """Whether probabilities are maps unless skl2onnx is told otherwise.

    LinearSVC has none, selectors only say that they are classifiers, and a Pipeline hands on what
    it is told.
    """
    others = LinearSVC | SelectorMixin | Pipeline
    return is_classifier(estimator) and not isinstance(estimator, others)


def _parse_columns(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Go through a ColumnTransformer whose columns are said by names or places from the left.

    skl2onnx takes a mask for places 0 and 1, and knows no places from the right.
    """
    parse: Any = importlib.import_module("skl2onnx._parse")._parse_sklearn_column_transformer
    names, there = getattr(model, "feature_names_in_", None), {one.raw_name for one in inputs}
    said = []
    for name, transformer, _ in model.transformers_:
        places = model._transformer_to_input_indices[name]
        if names is not None and {*names[places]} <= there:
            places = names[places].tolist()
        said.append((name, transformer, places))
    plain = copy.copy(model)
    plain.transformers_ = said
    return parse(scope, plain, inputs, custom_parsers=custom_parsers)


def _parse_union(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Go through a FeatureUnion without what is dropped."""
    parse: Any = importlib.import_module("skl2onnx._parse")._parse_sklearn_feature_union
    plain = copy.copy(model)
    plain.transformer_list = [
        (name, FunctionTransformer() if one == "passthrough" else one)
        for name, one in model.transformer_list
        if one != "drop"
    ]
    return parse(scope, plain, inputs, custom_parsers=custom_parsers)


def _parse_pipeline(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Go through the steps, without those that do nothing."""
    parse: Any = importlib.import_module("skl2onnx._parse")._parse_sklearn
    for _, step in model.steps:
        if not isinstance(step, BaseEstimator):
            continue
        if gives_maps(step):
            scope.add_options(id(step), {"zipmap": False})
        inputs = parse(scope, step, inputs, custom_parsers=custom_parsers)
    return inputs


def _parse_one_output(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Declare one output: values of a regressor, features of anything else."""
    types: Any = importlib.import_module("skl2onnx.common.data_types")
    operator = scope.declare_local_operator(_ALIAS + type(model).__name__, model)
    operator.inputs = inputs
    variable = scope.declare_local_variable("variable", types.guess_tensor_type(inputs[0].type))
    operator.outputs.append(variable)
    return operator.outputs


def _parse_held(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Go on with the estimator that was found, or is held."""
    parse: Any = importlib.import_module("skl2onnx._parse")._parse_sklearn
    found = found_by(model)
    options = scope.get_options(model, fail=False)
    if options:
        scope.add_options(id(found), options)
    return parse(scope, found, inputs, custom_parsers=custom_parsers)


def _parse_target(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Go on with the regressor, and lead its values back."""
    parse: Any = importlib.import_module("skl2onnx._parse")._parse_sklearn
    values = parse(scope, model.regressor_, inputs, custom_parsers=custom_parsers)
    operator = scope.declare_local_operator(_ALIAS + "TransformedTarget", model)
    operator.inputs = values
    operator.outputs.append(scope.declare_local_variable("variable", type(values[0].type)()))
    return operator.outputs


# Converters


def conversions() -> tuple[dict[type, Any], dict[type, Any]]:
    """Return what writes estimators of scikit-learn's, and tells the types of their outputs.

    skl2onnx's own converters of these are wrong, or know less; see the modules that do it.
    """
    room = "nnjit.interop.onnx"  # whose modules call this one
    steps = [
        *importlib.import_module(f"{room}.ensembles").ENSEMBLES,
        *importlib.import_module(f"{room}.thresholds").THRESHOLDS,
    ]
    convert: dict[type, Any] = dict.fromkeys(steps, _convert)
    types: dict[type, Any] = dict.fromkeys(steps, _set_types)
    writers: dict[type, Any] = {SimpleImputer: imputed, OneHotEncoder: indicators}
    for kind, write in (writers | dict.fromkeys(RESCALERS, rescaled)).items():
        convert[kind], types[kind] = partial(_convert_by, write), partial(_set_types_by, write)
    return convert, types


def _convert_by(write: Any, scope: Any, operator: Any, container: Any) -> None:
    _embed(_model_by(write, operator), scope, operator, container)


def _set_types_by(write: Any, operator: Any) -> None:
    _take_types(operator, _model_by(write, operator))


def _model_by(write: Any, operator: Any) -> Any:
    return _built(operator, lambda graph, given: write(graph, operator.raw_operator, given))


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Put the nodes of one of our estimators into a model that skl2onnx builds."""
    _embed(_model_of(operator), scope, operator, container)


def _set_types(operator: Any) -> None:
    """Tell types and shapes of what an estimator gives out."""
    _take_types(operator, _model_of(operator))


def _convert_target(scope: Any, operator: Any, container: Any) -> None:
    _embed(_target_model(operator), scope, operator, container)


def _set_target_type(operator: Any) -> None:
    _take_types(operator, _target_model(operator))


def _target_model(operator: Any) -> Any:
    return _built(
        operator,
        lambda graph, given: {
            "prediction": inverse_target(
                graph, operator.raw_operator, given[0].value, given[0].width
            )
        },
    )


def _model_of(operator: Any) -> Any:
    """Return the model of an estimator as a step, with inputs and outputs of a pipeline's types."""
    return _built(operator, lambda graph, given: step_outputs(graph, operator.raw_operator, given))


def _built(operator: Any, outputs_of: Callable[[Graph, list[Given]], dict[str, Any]]) -> Any:
    if "_nnjit_model" in vars(operator):
        return operator._nnjit_model
    asked = operator.target_opset
    graph = Graph(asked[""] if isinstance(asked, dict) else asked)
    given = []
    for k, variable in enumerate(operator.inputs):
        tensor = variable.type.to_onnx_type().tensor_type
        kind = needed("onnx.helper").tensor_dtype_to_np_dtype(tensor.elem_type)
        width = variable.type.shape[1] if len(variable.type.shape) > 1 else 1
        given.append(
            Given(variable.raw_name, graph.input(f"in{k}", kind, ["n", width or "w"]), width)
        )
    found = outputs_of(graph, given)
    floats = np.float64 if any(one.value.dtype == np.float64 for one in given) else np.float32
    names = _names_of(found, len(operator.outputs))
    for name in names:
        value, shape, _ = found[name]
        if name == "prediction" and len(shape) == 1:  # as skl2onnx has it
            value, shape = graph.reshape(value, -1, 1), ("n", 1)
        if value.dtype.kind == "f":
            value = graph.cast(value, floats)
        graph.output(name, value, shape)
    operator._nnjit_model = graph.model(type(operator.raw_operator).__name__)
    return operator._nnjit_model


def _names_of(found: Outputs, count: int) -> list[str]:
    """Return the names of the outputs of a step, of which there are so many."""
    if count == 2 and {"label", "probabilities"} <= found.keys():
        return ["label", "probabilities"]
    single = next((name for name in ("prediction", "features") if name in found), None)
    if count == 1 and single is not None:
        return [single]
    raise ValueError(f"The outputs {[*found]} of a step have no place in a pipeline of ONNX.")


def _take_types(operator: Any, model: Any) -> None:
    types: Any = importlib.import_module("skl2onnx.common.data_types")
    for variable, one in zip(operator.outputs, model.graph.output, strict=True):
        tensor = one.type.tensor_type
        shape = [None, *(dim.dim_value or None for dim in tensor.shape.dim[1:])]
        variable.type = types._guess_type_proto(tensor.elem_type, shape)


def _embed(model: Any, scope: Any, operator: Any, container: Any) -> None:
    """Put a model's nodes between the variables of an operator."""
    prefix = scope.get_unique_operator_name(type(operator.raw_operator).__name__) + "_"
    taken = prefixed(model.graph, prefix)
    for one in model.opset_import:
        container.node_domain_version_pair_sets.add((one.domain, one.version))
    for inner, variable in zip(model.graph.input, operator.inputs, strict=True):
        container.add_node("Identity", variable.full_name, prefix + inner.name,
                           name=scope.get_unique_operator_name("Identity"))  # fmt: skip
    container.initializers.extend(taken.initializer)
    container.nodes.extend(taken.node)
    for inner, variable in zip(model.graph.output, operator.outputs, strict=True):
        container.add_node("Identity", prefix + inner.name, variable.full_name,
                           name=scope.get_unique_operator_name("Identity"))  # fmt: skip
