"""Recurrent modules: what to_torch writes, and PyTorch's own, which are given in a list."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from nnjit.interop.torch.cells import cells_of
from nnjit.interop.torch.leaves import Leaf
from nnjit.interop.torch.read_network import ReadNetwork

__all__ = ["CELLS", "cells", "recurrent"]

CELLS = (nn.RNN, nn.GRU, nn.LSTM)


def recurrent(read: ReadNetwork, module: Any) -> None:
    layer: Any
    ((layer, arrays),) = cells_of(module.rnn, module.return_sequences)
    read.take_channels(arrays["weights"].shape[0])
    more = {"recurrent_dropout": module.recurrent_dropout, "truncate": module.truncate}
    read.add(replace(layer, **more), **arrays)


def cells(read: ReadNetwork, leaf: Leaf, following: list[Leaf]) -> None:
    if not leaf.listed:
        raise ValueError(
            "of a Sequential it gives a tuple to the next module; give from_torch a list of modules"
        )
    again = next((one for one in following if type(one.module) is not nn.Dropout), None)
    is_before_others = again is not None and type(again.module) in CELLS
    for layer, arrays in cells_of(leaf.module, is_before_others):
        read.take_channels(arrays["weights"].shape[0] if arrays else None)
        read.add(layer, **arrays)
