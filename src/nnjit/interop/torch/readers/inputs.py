"""Modules in front of all layers, which say what rows are."""

from __future__ import annotations

from typing import Any

from nnjit.interop.torch.arrays import as_array
from nnjit.interop.torch.read_network import ReadNetwork

__all__ = ["images", "series", "standardize", "unflatten"]


def unflatten(read: ReadNetwork, module: Any) -> None:
    kinds = [layer.kind for layer in read.layers]
    if module.dim != 1 or kinds not in ([], ["flatten"]):
        raise ValueError("rows can be given a shape in front of all layers only")
    read.layers.clear()  # Flatten, where input_shape said that there is something to flatten
    read.arrays.clear()
    read.take_shape(module.unflattened_size)


def series(read: ReadNetwork, module: Any) -> None:
    if not read.input_shape:
        read.take_shape((module.channels, module.points))
    read.take_channels(module.channels)
    read.channels_last = module.channels_last


def images(read: ReadNetwork, module: Any) -> None:
    read.take_shape(module.shape)
    read.channels_last = True


def standardize(read: ReadNetwork, module: Any) -> None:
    if read.layers or read.shape is not None:
        raise ValueError("it comes in front of all others")
    read.origin, read.unit = as_array(module.origin), float(module.unit)
    read.take_width(len(read.origin))
