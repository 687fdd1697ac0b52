"""Modules of PyTorch as layers: one after the other, with the shape of what comes into each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from nnjit.interop.torch.activations import activation_name
from nnjit.interop.torch.leaves import Leaf, leaves_of, refusal
from nnjit.interop.torch.read_network import ReadNetwork
from nnjit.interop.torch.readers.recurrent import CELLS, cells
from nnjit.interop.torch.readers.registry import LINKS, READERS
from nnjit.interop.torch.readers.units import activate

__all__ = ["read_modules"]


def read_modules(module: Any, input_shape: Sequence[int] | None) -> ReadNetwork:
    """Read a module, or several in order; see `nnjit.interop.from_torch`."""
    read = ReadNetwork()
    if input_shape is not None:
        read.take_shape(input_shape)
    leaves = [*leaves_of(module)]
    for number, leaf in enumerate(leaves):
        try:
            _read_leaf(read, leaf, leaves[number + 1 :])
        except ValueError as error:
            raise ValueError(
                f"Module {leaf.place!r}, {_text(leaf.module)}, cannot be taken over: "
                f"{str(error).removesuffix('.')}."
            ) from None
    if read.padded is not None or read.pooled:
        raise ValueError("The last module is one that needs another behind it.")
    if read.shape is None:
        raise ValueError(f"There is no layer with weights in {_text(module)}.")
    return read


def _text(module: Any) -> str:
    text = " ".join(repr(module).split())
    return text if len(text) <= 120 else f"{text[:117]}..."


def _read_leaf(read: ReadNetwork, leaf: Leaf, following: list[Leaf]) -> None:
    """Add what a module is, and remember which layer it begins.

    Raises
    ------
    ValueError
        That says why it is none of ours.
    """
    _check(read, leaf)
    layers, padded = len(read.layers), read.padded
    kind, name = type(leaf.module), activation_name(leaf.module)
    if name is not None:
        activate(read, name)
    elif kind in CELLS:
        cells(read, leaf, following)
    elif kind in LINKS:
        LINKS[kind](read, leaf)
    elif kind in READERS:
        READERS[kind](read, leaf.module)
    elif kind is not nn.Identity:
        raise ValueError("nnjit has no layer that does the same")
    begins = len(read.layers) > layers or read.padded is not None
    if leaf.position is not None and begins and padded is None:
        read.starts[leaf.position] = layers


def _check(read: ReadNetwork, leaf: Leaf) -> None:
    """Refuse a module where it cannot be."""
    kind = type(leaf.module)
    for inner in leaf.module.modules():
        if why := refusal(inner):
            raise ValueError(why)
    if read.head and kind is not nn.Identity:
        raise ValueError("it stands behind what makes predictions of the logits")
    if read.padded is not None and kind not in (nn.Conv1d, nn.Conv2d):
        raise ValueError("a convolution has to follow the padding in front of it")
    if read.pooled and kind is not nn.Flatten:
        raise ValueError("Flatten() has to follow the pooling in front of it")
