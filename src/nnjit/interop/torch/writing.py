"""A fitted network as modules of PyTorch: a function for each kind of layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from nnjit._types import Array
from nnjit.interop.fitted import FittedLayer, FittedNetwork
from nnjit.interop.torch import chain, units, vectors
from nnjit.interop.torch.activations import activation_module
from nnjit.interop.torch.arrays import as_tensor
from nnjit.interop.torch.recurrent import Recurrent

__all__ = ["KINDS", "sequence_of"]


@dataclass
class _Written:
    """Modules so far, and with which one each layer begins."""

    modules: list[Any] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def back(self, layers: int) -> int:
        """Return how many modules before the next one the layer begins so many before this one."""
        return len(self.modules) - self.starts[len(self.starts) - 1 - layers]


Write = Callable[[FittedLayer, _Written], list[Any]]


def _filled(make: Callable[[], Any], arrays: Mapping[str, Array]) -> Any:
    """Return a new module with these parameters; PyTorch's random numbers are left as they were."""
    with torch.random.fork_rng(devices=[]):
        module = make()
    first = next(iter(arrays.values()))
    module.to(as_tensor(first[:0]).dtype)
    with torch.no_grad():
        for name, array in arrays.items():
            getattr(module, name).copy_(as_tensor(array))
    return module


def _activated(layer: FittedLayer, module: Any) -> list[Any]:
    """Return a module, and the activation of the layer behind it if it has one."""
    name: str = layer.layer.activation  # type: ignore[attr-defined]
    return [module] if name == "identity" else [module, activation_module(name)]


def _dense(layer: FittedLayer, _: _Written) -> list[Any]:
    weights, biases = layer.parameters["weights"], layer.parameters["biases"]
    module = _filled(lambda: nn.Linear(*weights.shape), {"weight": weights.T, "bias": biases})
    return _activated(layer, module)


def _tied(layer: FittedLayer, written: _Written) -> list[Any]:
    spec: Any = layer.layer
    bias = as_tensor(layer.parameters["biases"])
    return _activated(layer, vectors.TiedLinear(written.back(spec.back), bias))


def _convolution(layer: FittedLayer, _: _Written) -> list[Any]:
    spec: Any = layer.layer
    weights, inputs = layer.parameters["weights"], layer.inputs
    assert isinstance(inputs, tuple)
    kernel, stride, dilation = [*zip(*spec.axes(inputs), strict=True)][1:]
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    padding, before = [0] * len(reach), []
    if spec.padding == "same" and all(one % 2 == 0 for one in reach):
        padding = [one // 2 for one in reach]
    elif spec.padding == "same":  # one more behind than in front; PyTorch begins with the last axis
        sides = [side for one in reversed(reach) for side in (one // 2, one - one // 2)]
        before = [(nn.ZeroPad1d, nn.ZeroPad2d)[len(reach) - 1](tuple(sides))]
    make = (nn.Conv1d, nn.Conv2d)[len(reach) - 1]
    axes = len(reach)
    arrays = {
        "weight": weights.transpose(axes + 1, axes, *range(axes)),
        "bias": layer.parameters["biases"],
    }
    module = _filled(
        lambda: make(
            inputs[0], spec.filters, kernel, stride, tuple(padding), dilation, spec.groups
        ),
        arrays,
    )
    return [*before, *_activated(layer, module)]


def _pooling(layer: FittedLayer, _: _Written) -> list[Any]:
    spec: Any = layer.layer
    axes = spec.axes(layer.inputs)
    kinds = {
        "max": (nn.MaxPool1d, nn.MaxPool2d),
        "mean": (nn.AvgPool1d, nn.AvgPool2d),
    }
    make: Any = kinds[spec.method][len(axes) - 1]
    size, stride = [*zip(*axes, strict=True)][1:]
    return [make(size, stride) if len(axes) > 1 else make(size[0], stride[0])]


def _global_pooling(layer: FittedLayer, _: _Written) -> list[Any]:
    kinds = {
        "max": (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d),
        "mean": (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
    }
    spec: Any = layer.layer
    assert isinstance(layer.inputs, tuple)
    make: Any = kinds[spec.method][len(layer.inputs) - 2]
    return [make(1), nn.Flatten()]


def _flatten(layer: FittedLayer, _: _Written) -> list[Any]:
    return [nn.Flatten()]


def _normalization(layer: FittedLayer, _: _Written) -> list[Any]:
    spec: Any = layer.layer
    own, inputs = layer.parameters, layer.inputs
    arrays = {"weight": own["scale"], "bias": own["shift"]}
    features = len(own["scale"])
    if spec.method == "layer":
        module = _filled(lambda: nn.LayerNorm(features, spec.epsilon), arrays)
        return _activated(layer, module)
    is_image = isinstance(inputs, tuple) and len(inputs) == 3
    make = nn.BatchNorm2d if is_image else nn.BatchNorm1d
    arrays |= {"running_mean": own["mean"], "running_var": own["variance"]}
    module = _filled(lambda: make(features, spec.epsilon, spec.momentum), arrays)
    return _activated(layer, module)


def _recurrent(layer: FittedLayer, _: _Written) -> list[Any]:
    spec: Any = layer.layer
    own = layer.parameters
    arrays: dict[str, Array] = {}
    for prefix, suffix in (("", ""), ("reverse_", "_reverse"))[: spec.directions]:
        biases = own[f"{prefix}biases"]
        second = np.zeros_like(biases)  # PyTorch adds two
        if spec.recurrent_gates:
            second[-spec.units * spec.recurrent_gates :] = own[f"{prefix}recurrent_biases"]
        arrays |= {
            f"weight_ih_l0{suffix}": own[f"{prefix}weights"].T,
            f"weight_hh_l0{suffix}": own[f"{prefix}recurrent_weights"].T,
            f"bias_ih_l0{suffix}": biases,
            f"bias_hh_l0{suffix}": second,
        }
    make: Any = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[spec.kind]
    options = {"nonlinearity": spec.activation} if spec.kind == "rnn" else {}
    channels = own["weights"].shape[0]

    def made() -> Any:
        both = spec.bidirectional
        return make(channels, spec.units, batch_first=True, bidirectional=both, **options)

    inner = _filled(made, arrays)
    return [Recurrent(inner, spec.return_sequences, spec.recurrent_dropout, spec.truncate)]


def _dropout(layer: FittedLayer, _: _Written) -> list[Any]:
    return [nn.Dropout(layer.layer.rate)]  # type: ignore[attr-defined]


def _noise(layer: FittedLayer, _: _Written) -> list[Any]:
    return [units.GaussianNoise(layer.layer.scale)]  # type: ignore[attr-defined]


def _augmentation(layer: FittedLayer, _: _Written) -> list[Any]:
    spec: Any = layer.layer
    return [units.Augmentation(spec.shift, spec.flip, spec.crop, spec.noise)]


def _residual(layer: FittedLayer, written: _Written) -> list[Any]:
    return [chain.Residual(written.back(layer.layer.span))]  # type: ignore[attr-defined]


def _scaling(layer: FittedLayer, _: _Written) -> list[Any]:
    spec: Any = layer.layer
    return [units.Scaling(as_tensor(layer.parameters["factors"]), spec.rate)]


def _parametric(layer: FittedLayer, _: _Written) -> list[Any]:
    spec: Any = layer.layer
    shares = as_tensor(layer.parameters["shares"])
    return [units.ParametricActivation(spec.activation, shares, spec.rate)]


def _radial(layer: FittedLayer, _: _Written) -> list[Any]:
    spec: Any = layer.layer
    own = {name: as_tensor(array) for name, array in layer.parameters.items()}
    return [vectors.RadialBasis(**own, normalized=spec.normalized)]


def _embedding(layer: FittedLayer, _: _Written) -> list[Any]:
    spec: Any = layer.layer
    vectors_ = as_tensor(layer.parameters["vectors"])
    return [vectors.CategoryEmbedding(spec.levels, vectors_, spec.rate)]


def _periodic(layer: FittedLayer, _: _Written) -> list[Any]:
    spec: Any = layer.layer
    own = {name: as_tensor(array) for name, array in layer.parameters.items()}
    return [vectors.PeriodicEmbedding(**own, scale=spec.scale, rate=spec.rate)]


def _piecewise(layer: FittedLayer, _: _Written) -> list[Any]:
    return [vectors.PiecewiseLinear(as_tensor(layer.parameters["edges"]))]


KINDS: dict[str, Write] = {
    "augmentation": _augmentation,
    "convolution": _convolution,
    "dense": _dense,
    "dropout": _dropout,
    "embedding": _embedding,
    "flatten": _flatten,
    "global_pooling": _global_pooling,
    "gru": _recurrent,
    "lstm": _recurrent,
    "noise": _noise,
    "normalization": _normalization,
    "parametric": _parametric,
    "periodic": _periodic,
    "piecewise": _piecewise,
    "pooling": _pooling,
    "radial": _radial,
    "residual": _residual,
    "rnn": _recurrent,
    "scaling": _scaling,
    "tied": _tied,
}


def sequence_of(fitted: FittedNetwork, count: int | None = None, behind: Any = ()) -> Any:
    """Return the module of the first so many layers, of all if None, and others behind them.

    Parameters
    ----------
    fitted : FittedNetwork
    count : int or None
    behind : iterable of torch.nn.Module

    Returns
    -------
    torch.nn.Sequential
        A `Chain` where a plain one cannot do what the layers do. In evaluation mode.
    """
    written = _Written(_input_modules(fitted))
    for layer in fitted.layers[:count]:
        written.starts.append(len(written.modules))
        written.modules += KINDS[layer.kind](layer, written)
    modules = [*written.modules, *behind]
    needing = (chain.SeriesInput, chain.Residual, vectors.TiedLinear)
    linked = any(isinstance(module, needing) for module in modules)
    return (chain.Chain if linked else nn.Sequential)(*modules).eval()


def _input_modules(fitted: FittedNetwork) -> list[Any]:
    """Return what makes of rows what the first layer takes."""
    shape = fitted.input_shape
    if len(shape) == 2:
        return [chain.SeriesInput(*shape, fitted.channels_last)]
    if shape and fitted.channels_last:
        return [chain.ChannelsFirst(*shape)]
    if shape:
        return [nn.Flatten(), nn.Unflatten(1, shape)]
    if fitted.origin is not None:
        return [vectors.Standardize(as_tensor(fitted.origin), fitted.unit)]
    return []
