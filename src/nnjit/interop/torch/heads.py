"""What of an estimator becomes a module: which layers, and what is made of their outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from torch import nn

from nnjit.estimators._arrays import common_dtype
from nnjit.estimators._hidden import up_to
from nnjit.estimators._label_columns import LabelColumns
from nnjit.estimators._tabular import TabularEstimator
from nnjit.estimators.hidden_features import HiddenFeatures
from nnjit.interop.fitted import FittedNetwork, fitted_network
from nnjit.interop.holders import bare
from nnjit.interop.torch import outputs
from nnjit.interop.torch.activations import activation_module
from nnjit.interop.torch.arrays import as_tensor
from nnjit.interop.torch.chain import ChannelsLastRows, PointsLast, SeriesRows
from nnjit.interop.torch.writing import sequence_of

__all__ = ["module_of"]

# What an estimator with this kind of target gives out, the first being what it predicts.
_OUTPUTS = {
    "binary": ("probabilities", "logits"),
    "multiclass": ("probabilities", "logits"),
    "multilabel": ("probabilities", "logits"),
    "columns": ("probabilities", "logits"),
    "values": ("values", "logits"),
    "reconstruction": ("reconstruction", "logits", "code"),
}


def module_of(estimator: Any, output: str | None) -> Any:
    """Return the module of an estimator; see `nnjit.interop.to_torch`."""
    estimator = bare(estimator)
    if isinstance(estimator, Pipeline):
        raise TypeError(
            "to_torch takes a network alone, no Pipeline: give it the last step, pipeline[-1], and "
            "the module rows that went through the steps before, pipeline[:-1].transform(X)."
        )
    if isinstance(estimator, TabularEstimator):
        return _table_module(estimator, output)
    if isinstance(estimator, HiddenFeatures):
        return _feature_module(estimator, output)
    fitted = fitted_network(estimator)
    if fitted.action_space is not None:
        return _agent_module(estimator, fitted, output)
    asked = _asked(output, _OUTPUTS[fitted.target], estimator)
    if asked == "code":
        assert fitted.code_layer is not None
        return sequence_of(fitted, fitted.code_layer + 1)
    module = sequence_of(fitted, behind=_head(fitted, asked))
    if fitted.classes:
        module.classes_ = _classes_of(estimator)
    return module


def _asked(output: str | None, known: tuple[str, ...], estimator: Any) -> str:
    """Return the name of what is to be given out.

    Raises
    ------
    ValueError
        If the estimator has none of that name.
    """
    if output is not None and output not in known:
        raise ValueError(
            f"output={output!r} is nothing that {type(estimator).__name__} gives out; it has "
            f"{', '.join(map(repr, known))}."
        )
    return output or known[0]


def _classes_of(estimator: Any) -> Any:
    classes = estimator.classes_
    return [*map(np.array, classes)] if isinstance(classes, list) else np.array(classes)


def _head(fitted: FittedNetwork, asked: str) -> list[Any]:
    """Return the modules behind the last layer."""
    modules: list[Any] = [PointsLast()] if fitted.by_points else []
    if asked == "logits":
        return modules
    if fitted.target == "binary" and fitted.n_outputs == 1 and fitted.output == "logistic":
        return [*modules, outputs.TwoClasses()]
    modules += _output_activation(fitted)
    if fitted.target == "binary" and fitted.n_outputs == 1:
        modules.append(outputs.Complement())
    if len(fitted.quantiles) == fitted.n_outputs > 1:
        modules.append(outputs.Uncrossed(fitted.quantiles))
    if asked == "reconstruction" and fitted.has_lengths:
        modules.append(SeriesRows(fitted.input_shape[0]))
    if asked == "reconstruction" and fitted.channels_last:
        modules.append(ChannelsLastRows(fitted.input_shape))
    return modules


def _output_activation(fitted: FittedNetwork) -> list[Any]:
    if fitted.output == "softmax" and fitted.groups:
        return [outputs.GroupedSoftmax(fitted.groups)]
    if fitted.output == "softmax":
        return [nn.Softmax(dim=-1)]
    return [] if fitted.output == "identity" else [activation_module(fitted.output)]


# Estimators that are not one network


def _feature_module(estimator: Any, output: str | None) -> Any:
    check_is_fitted(estimator)
    _asked(output, ("features",), estimator)
    fitted = fitted_network(estimator._network())
    count = len(up_to(fitted.network, estimator.layer).layers)
    flat = [nn.Flatten()] if isinstance(fitted.layers[count - 1].outputs, tuple) else []
    return sequence_of(fitted, count, flat)


def _agent_module(agent: Any, fitted: FittedNetwork, output: str | None) -> Any:
    """Return the module of the network that acts, or of the critic, for rows of observations."""
    has_critic = hasattr(agent, "critic_coefs_")
    names = ("logits", "values") if has_critic else ("logits",)
    if has_critic and fitted.target == "best":
        names = ("probabilities", *names)
    asked = _asked(output, names, agent)
    if asked == "values":
        return sequence_of(_critic(agent, fitted))
    return sequence_of(fitted, behind=[nn.Softmax(dim=-1)] if asked == "probabilities" else ())


def _critic(agent: Any, fitted: FittedNetwork) -> FittedNetwork:
    """Return the critic, whose layers are those of the actor but for their numbers."""
    arrays = iter(agent._arrays_of("critic"))
    layers = []
    for layer in fitted.layers:
        weights, biases = next(arrays), next(arrays)
        spec = replace(layer.layer, units=len(biases))  # type: ignore[type-var]
        layers.append(replace(layer, layer=spec, parameters={"weights": weights, "biases": biases}))
    return replace(fitted, layers=tuple(layers), dtype=common_dtype([*agent._arrays_of("critic")]))


def _table_module(estimator: Any, output: str | None) -> Any:
    """Return the mean of a table's members, for encoded rows."""
    check_is_fitted(estimator)
    is_classifier = hasattr(type(estimator), "predict_proba")
    _asked(output, ("probabilities",) if is_classifier else ("values",), estimator)
    members = [fitted_network(member) for member in estimator.members_]
    modules = [sequence_of(one, behind=_output_activation(one)) for one in members]
    if is_classifier:
        module = nn.Sequential(*_mean_probabilities(estimator, members[0], modules)).eval()
        module.classes_ = _classes_of(estimator)
    else:
        module = nn.Sequential(outputs.MemberMean(modules), *_in_units(estimator)).eval()
    module.encoder_ = estimator._encoder
    return module


def _mean_probabilities(estimator: Any, member: FittedNetwork, modules: list[Any]) -> list[Any]:
    binarizer, n_outputs = estimator._label_binarizer, member.n_outputs
    if isinstance(binarizer, LabelColumns):
        return [outputs.MemberMean(modules, binarizer.sizes)]
    if binarizer.y_type_.startswith("multilabel"):
        return [outputs.MemberMean(modules)]
    if len(estimator.classes_) == 1:
        raise ValueError("There is a single class, which is predicted whatever comes in.")
    if n_outputs == 1:
        return [outputs.MemberMean(modules), outputs.Complement()]
    return [outputs.MemberMean(modules, (n_outputs,))]


def _in_units(estimator: Any) -> list[Any]:
    """Return what makes values of the standardized ones that members give out."""
    numbers = (estimator._shift, estimator._scale, estimator._mean)
    modules = [outputs.Unscaled(*(as_tensor(np.asarray(one, np.float64)) for one in numbers))]
    quantiles = estimator.__dict__.get("quantiles_", ())
    if len(quantiles) > 1:
        modules.append(outputs.Uncrossed([*map(float, quantiles)]))
    if estimator._clip:
        modules.append(outputs.Clipped(*(as_tensor(np.asarray(one)) for one in estimator._range)))
    return modules
