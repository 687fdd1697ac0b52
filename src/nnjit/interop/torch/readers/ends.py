"""Modules behind all layers, which make predictions of the logits."""

from __future__ import annotations

from typing import Any

from nnjit.interop.torch.read_network import ReadNetwork

__all__ = ["groups", "points", "quantiles", "softmax", "two_classes"]


def points(read: ReadNetwork, module: Any) -> None:
    read.take_channels()
    read.by_points = True


def softmax(read: ReadNetwork, module: Any) -> None:
    if module.dim not in (None, -1, 2 if read.by_points else 1):
        raise ValueError("it goes over another axis than that of the outputs")
    read.head = "softmax"


def two_classes(read: ReadNetwork, module: Any) -> None:
    read.head = "two"


def groups(read: ReadNetwork, module: Any) -> None:
    read.head, read.groups = "groups", module.sizes


def quantiles(read: ReadNetwork, module: Any) -> None:
    read.head, read.quantiles = "quantiles", module.quantiles
