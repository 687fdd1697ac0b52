"""A fitted estimator of layers and their parameters that were read of modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin

from nnjit._types import Array, OutputName, names
from nnjit.estimators._cases import shape_asked
from nnjit.estimators._label_columns import columns_of_classes
from nnjit.estimators._labels import fit_binarizer
from nnjit.estimators._layered import LayeredNetwork
from nnjit.estimators.mlp import BaseMultilayerPerceptron, MLPClassifier, MLPRegressor
from nnjit.estimators.radial import RadialNetwork, RBFClassifier, RBFRegressor
from nnjit.estimators.stack import NetworkClassifier, NetworkRegressor
from nnjit.formulas import default_output, losses_of, outputs_of, regression_losses
from nnjit.interop.torch.perceptron import perceptron_parameters
from nnjit.interop.torch.read_network import ReadNetwork
from nnjit.layers.layer import Layer
from nnjit.layers.network import Network
from nnjit.training.quantiles import checked_quantiles

__all__ = ["built"]

_CLASSES = (
    MLPClassifier,
    MLPRegressor,
    NetworkClassifier,
    NetworkRegressor,
    RBFClassifier,
    RBFRegressor,
)


@dataclass
class _Ending:
    """What becomes of the logits, and the last layer for it."""

    layer: Any
    weights: Array
    biases: Array
    output: str
    binarizer: Any = None  # of a classifier
    parameters: Mapping[str, Any] = ()  # type: ignore[assignment]


def built(read: ReadNetwork, cls: type | None, classes: Any, parameters: Mapping[str, Any]) -> Any:
    """Return the estimator; see `nnjit.interop.from_torch`."""
    if cls is not None and cls not in _CLASSES:
        raise ValueError(
            f"cls is one of {', '.join(one.__name__ for one in _CLASSES)}, got {cls!r}."
        )
    ending = _ending(read, cls, classes, parameters.get("loss"))
    layers = (*read.layers[:-1], ending.layer)
    values = [*read.arrays[:-1], {"weights": ending.weights, "biases": ending.biases}]
    if ending.layer.kind == "tied":
        values[-1].pop("weights")
    cls, made = _chosen(read, cls, layers, ending)
    derived = {**made, **dict(ending.parameters)}
    if double := sorted({*derived} & {*parameters}):
        raise ValueError(f"{', '.join(double)} cannot be given: the module says it.")
    estimator = cls(**derived, **parameters)
    _set_fitted(estimator, read, ending, layers, values)
    return estimator


# The last layer and the output activation


def _ending(read: ReadNetwork, cls: Any, classes: Any, loss: Any) -> _Ending:
    last = read.layers[-1] if read.layers else None
    if last is None or last.kind not in ("dense", "convolution", "tied"):
        raise ValueError(
            "A network ends in a dense layer, a Linear, whose outputs are the logits"
            + (f"; here the last one is {last}." if last is not None else ".")
        )
    if read.by_points != (last.kind == "convolution"):
        raise ValueError(
            f"The last layer, {last}, has {read.shape} outputs for each row: end in Flatten() and "
            "Linear, or where each point of a series has a target in what to_torch writes for it."
        )
    output = last.activation
    arrays = read.arrays[-1]
    weights = arrays.get("weights", np.empty(0, np.float32))
    ending = _Ending(replace(last, activation="identity"), weights, arrays["biases"], output)
    sorts = read.head in ("softmax", "two", "groups") or output == "logistic"
    is_classifier = sorts or classes is not None
    if cls is not None:
        is_classifier = issubclass(cls, ClassifierMixin)
    if is_classifier:
        _end_in_classes(ending, read, classes)
    else:
        _end_in_values(ending, read, classes, loss)
    return ending


def _end_in_values(ending: _Ending, read: ReadNetwork, classes: Any, loss: Any) -> None:
    if classes is not None or read.head not in ("", "quantiles"):
        raise ValueError("A regressor has no classes, and no softmax at its end.")
    output = ending.output
    if output not in names(OutputName):
        raise ValueError(
            f"A regressor ends in one of the activations {list(names(OutputName))}, not {output!r}."
        )
    found: dict[str, Any] = {}
    if read.head == "quantiles":
        found |= {"loss": "quantile", "quantile": [*read.quantiles]}
        loss = None
    elif loss is None and output not in outputs_of("squared_error"):
        fitting = [name for name in losses_of(output) if name in regression_losses()]
        found["loss"] = fitting[0]
    used = found.get("loss", loss or "squared_error")
    if output != default_output(used):
        found["output_activation"] = output
    ending.parameters = found


def _end_in_classes(ending: _Ending, read: ReadNetwork, classes: Any) -> None:
    """Have the logits be those of sorted classes, as an estimator has them."""
    count, output, head = len(ending.biases), ending.output, read.head
    ending.parameters = {}
    if head == "quantiles" or (output != "identity" and (output != "logistic" or head)):
        raise ValueError(f"A classifier does not end in {output!r} and what is behind it.")
    if head == "groups":
        _end_in_columns(ending, read.groups, classes)
    elif output == "logistic" and count > 1:
        if classes is not None and not np.array_equal(classes, np.arange(count)):
            raise ValueError(
                "A Sigmoid of several outputs is that of as many labels, which are told by their "
                "numbers: classes cannot be given."
            )
        ending.binarizer = fit_binarizer(np.eye(count, dtype=int))
    else:
        _end_in_labels(ending, head, classes)


def _end_in_labels(ending: _Ending, head: str, classes: Any) -> None:
    count = len(ending.biases)
    if (head == "softmax" and count == 1) or (head == "two" and count != 1):
        raise ValueError(f"{count} logits do not go with what is behind them.")
    labels = np.arange(max(count, 2)) if classes is None else np.asarray(classes)
    if not _are_different(labels, max(count, 2)):
        raise ValueError(
            f"classes are {max(count, 2)} different labels, in the order of the outputs, got "
            f"{classes!r}."
        )
    order = np.argsort(labels, kind="stable")
    ending.binarizer = fit_binarizer(labels[order])
    if len(labels) > 2:
        _rearrange(ending, [lambda a, k=k: a[..., k] for k in order])
    elif count == 2:  # softmax(z)[1] is the logistic function of the difference
        first, second = order
        _rearrange(ending, [lambda a: a[..., second] - a[..., first]])
    elif order[0] == 1:
        _rearrange(ending, [lambda a: -a[..., 0]])
    ending.output = "softmax" if len(labels) > 2 else "logistic"


def _are_different(labels: Array, count: int) -> bool:
    """Whether there are so many labels, no two of them the same, in some order."""
    try:
        return labels.shape == (count,) and len(np.unique(labels)) == count
    except TypeError:  # of several kinds, which have no order
        return False


def _end_in_columns(ending: _Ending, sizes: tuple[int, ...], classes: Any) -> None:
    columns = [*map(np.arange, sizes)]
    if classes is not None:
        columns = [*map(np.asarray, classes)] if isinstance(classes, Iterable) else []
    if len(columns) != len(sizes) or not all(map(_are_different, columns, sizes)):
        raise ValueError(
            f"classes are a list with those of each column, {list(sizes)} different ones, got "
            f"{classes!r}."
        )
    orders = [np.argsort(one, kind="stable") for one in columns]
    columns = [one[order] for one, order in zip(columns, orders, strict=True)]
    ending.binarizer = columns_of_classes(columns)
    firsts = np.cumsum([0, *sizes[:-1]])
    places = np.concatenate([first + order for first, order in zip(firsts, orders, strict=True)])
    _rearrange(ending, [lambda a, k=k: a[..., k] for k in places])
    ending.output = "softmax"


def _rearrange(ending: _Ending, outputs: list[Any]) -> None:
    """Have each output be what a function makes of the last axis of weights and biases."""
    if ending.layer.kind == "tied":
        raise ValueError("The last layer has another one's weights, which cannot be rearranged.")
    ending.weights = np.stack([one(ending.weights) for one in outputs], axis=-1)
    ending.biases = np.stack([one(ending.biases) for one in outputs], axis=-1)
    size = {"dense": "units", "convolution": "filters"}[ending.layer.kind]
    ending.layer = replace(ending.layer, **{size: len(outputs)})


# The estimator


def _chosen(
    read: ReadNetwork, cls: Any, layers: tuple[Layer, ...], ending: _Ending
) -> tuple[Any, dict[str, Any]]:
    """Return the class, and the parameters that make its network one of these layers."""
    sorts = ending.binarizer is not None
    if cls is None and read.origin is not None:
        cls = RBFClassifier if sorts else RBFRegressor
    perceptron = None if read.input_shape else perceptron_parameters(read.inputs, layers)
    if cls is None and perceptron is not None:
        cls = MLPClassifier if sorts else MLPRegressor
    if cls is None:
        cls = NetworkClassifier if sorts else NetworkRegressor
    if issubclass(cls, RadialNetwork):
        return cls, _radial_parameters(layers)
    if read.origin is not None:
        raise ValueError("Rows of a radial network are standardized by RBF* alone.")
    if issubclass(cls, BaseMultilayerPerceptron):
        if perceptron is None:
            raise ValueError(f"The layers are not those of an MLP: {[*map(str, layers)]}.")
        return cls, perceptron
    made: dict[str, Any] = {"layers": [*layers[:-1]]}
    if read.by_points:
        made["targets"] = "sequence"
    if read.input_shape:
        made |= _shape_parameters(read)
    return cls, made


def _radial_parameters(layers: tuple[Layer, ...]) -> dict[str, Any]:
    if [layer.kind for layer in layers] != ["radial", "dense"]:
        raise ValueError(
            "An RBF network is a radial layer and a linear one; here the layers are "
            f"{[*map(str, layers)]}."
        )
    radial: Any = layers[0]
    return {"n_centers": radial.centers, "normalized": radial.normalized}


def _shape_parameters(read: ReadNetwork) -> dict[str, Any]:
    """Return `input_shape`, where that means to the estimator what it is."""
    shape = read.input_shape
    given = (*shape[1:], shape[0]) if read.channels_last else shape
    made: dict[str, Any] = {"channels_last": True} if read.channels_last else {}
    return made | (
        {"input_shape": given} if shape_asked(given, read.channels_last) == shape else {}
    )


def _set_fitted(
    estimator: Any,
    read: ReadNetwork,
    ending: _Ending,
    layers: tuple[Layer, ...],
    values: list[dict[str, Array]],
) -> None:
    """Set the attributes that a fit sets, as far as they are known."""
    estimator._validate_params()
    if ending.binarizer is not None:
        estimator._label_binarizer = ending.binarizer
        estimator.classes_ = ending.binarizer.classes_
    if read.quantiles:
        estimator.quantiles_ = checked_quantiles(read.quantiles)
    if read.input_shape:
        estimator.input_shape_ = read.input_shape
    if isinstance(estimator, RadialNetwork):
        _set_units(estimator, read)
    outputs = len(ending.biases)
    estimator.n_features_in_, estimator.n_outputs_ = read.inputs, outputs
    estimator.n_iter_, estimator.t_, estimator.loss_curve_ = 0, 0, []
    estimator.out_activation_ = ending.output
    network = _network_of(estimator, read, layers, outputs)
    estimator.n_layers_ = len(network.widths)
    if isinstance(estimator, LayeredNetwork):
        estimator._take_layers(network)
    dtypes = [one.dtype for own in values for one in own.values()]
    dtype = np.float64 if np.dtype(np.float64) in dtypes else np.float32
    arrays = [values[number][one.name].astype(dtype) for number, one in network.parameters()]
    estimator._take_parameters(arrays)
    estimator._check_output()
    estimator._give_parameters()


def _network_of(
    estimator: Any, read: ReadNetwork, layers: tuple[Layer, ...], outputs: int
) -> Network:
    """Return the network that the estimator's parameters ask for, which is that of the layers."""
    if isinstance(estimator, RadialNetwork):
        radial: Any = layers[0]
        return estimator._bumps(read.inputs, radial.centers, outputs)
    network: Network = estimator._network(read.inputs, outputs)
    settled = Network(read.inputs, layers, "", "identity", shape=read.input_shape).layers
    if network.layers != settled:
        raise ValueError(f"The layers that were read, {settled}, are not those of {network}.")
    return network


def _set_units(estimator: Any, read: ReadNetwork) -> None:
    origin = read.origin
    if origin is None:
        origin = np.zeros(read.inputs, read.arrays[0]["centers"].dtype)
    estimator._origin, estimator._unit = origin, read.unit
