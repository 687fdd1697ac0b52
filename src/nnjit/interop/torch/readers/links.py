"""Modules that go by a layer further in front: they add what came into it, or use its weights."""

from __future__ import annotations

from nnjit.interop.torch.arrays import as_array
from nnjit.interop.torch.leaves import Leaf
from nnjit.interop.torch.read_network import ReadNetwork, words
from nnjit.layers import Residual, TiedDense

__all__ = ["residual", "tied"]


def residual(read: ReadNetwork, leaf: Leaf) -> None:
    first = _first_layer(read, leaf, leaf.module.span)
    shapes = read.shapes()
    if shapes[first] != shapes[-1]:
        raise ValueError(f"it adds {words(shapes[first])} to {words(shapes[-1])}")
    read.add(Residual(len(read.layers) - first))


def tied(read: ReadNetwork, leaf: Leaf) -> None:
    first = _first_layer(read, leaf, leaf.module.back)
    bias = as_array(leaf.module.bias)
    read.add(TiedDense(len(read.layers) - first, "identity", len(bias)), biases=bias)


def _first_layer(read: ReadNetwork, leaf: Leaf, back: int) -> int:
    """Return the number of the layer with which the module so many before it begins."""
    owner, number = leaf.position or (0, -1)
    first = read.starts.get((owner, number - back), len(read.layers))
    if first >= len(read.layers):
        raise ValueError(f"no layer begins {back} modules before it")
    return first
