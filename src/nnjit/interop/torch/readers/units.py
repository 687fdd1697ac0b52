"""Modules that take each unit, a value of a vector or a channel: normalization, activations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from nnjit.interop.torch.arrays import array_or, as_array
from nnjit.interop.torch.read_network import ReadNetwork, words
from nnjit.layers import Dropout, GaussianNoise, Normalization, ParametricActivation, Scaling

__all__ = [
    "activate",
    "batch_normalization",
    "dropout",
    "layer_normalization",
    "noise",
    "parametric",
    "scaling",
]

# Layers whose own activation is that of a module right behind them.
_ACTIVATED = ("convolution", "dense", "normalization", "tied")


def activate(read: ReadNetwork, name: str) -> None:
    last = read.layers[-1] if read.layers else None
    if last is not None and last.kind in _ACTIVATED and last.activation == "identity":
        read.layers[-1] = replace(last, activation=name)
        return
    if read.shape is None:
        raise ValueError(
            "nothing tells how many values come into it: that takes a layer with weights in front, "
            "or input_shape where rows are series or images"
        )
    count = read.shape[0] if isinstance(read.shape, tuple) else read.shape
    # phi with a share of 1 that is not trained
    read.add(ParametricActivation(name, rate=0.0), shares=np.ones(count, read.dtype()))


def batch_normalization(read: ReadNetwork, module: Any) -> None:
    if module.running_mean is None or module.momentum is None:
        raise ValueError("it has no running statistics that follow with a momentum")
    images = isinstance(read.shape, tuple) and len(read.shape) == 3
    if images != (type(module) is nn.BatchNorm2d):
        what = "the rows" if read.shape is None else words(read.shape)
        raise ValueError(f"it is no normalization of {what}")
    read.take_units(module.num_features)
    shape, dtype = tuple(module.running_mean.shape), as_array(module.running_mean).dtype
    read.add(
        Normalization("batch", "identity", float(module.momentum), float(module.eps)),
        scale=array_or(module.weight, 1.0, shape, dtype),
        shift=array_or(module.bias, 0.0, shape, dtype),
        mean=module.running_mean,
        variance=module.running_var,
    )


def layer_normalization(read: ReadNetwork, module: Any) -> None:
    if len(module.normalized_shape) != 1 or isinstance(read.shape, tuple):
        raise ValueError("only vectors are normalized by rows")
    scale = array_or(module.weight, 1.0, module.normalized_shape, np.float32)
    read.take_width(len(scale))
    read.add(
        Normalization("layer", "identity", epsilon=float(module.eps)),
        scale=scale,
        shift=array_or(module.bias, 0.0, scale.shape, scale.dtype),
    )


def scaling(read: ReadNetwork, module: Any) -> None:
    read.take_units(len(module.factors))
    read.add(Scaling(module.rate), factors=module.factors)


def parametric(read: ReadNetwork, module: Any) -> None:
    read.take_units(len(module.shares))
    read.add(ParametricActivation(module.name, module.rate), shares=module.shares)


def dropout(read: ReadNetwork, module: Any) -> None:
    read.add(Dropout(float(module.p)))


def noise(read: ReadNetwork, module: Any) -> None:
    read.add(GaussianNoise(module.scale))
