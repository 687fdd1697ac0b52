"""What the emitters of all kinds share: the layer that they get, and pieces of C."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

from nnjit._types import Array
from nnjit.interop.c.source import Source
from nnjit.layers.layer import Shape, size_of

__all__ = ["Given", "activate", "body", "elementwise", "points_of"]


class Given(NamedTuple):
    """A layer as an emitter gets it.

    Attributes
    ----------
    layer : Layer
    inputs, outputs : int or tuple of int
        Shapes of a row.
    arrays : dict of str to ndarray
        Its parameters, with `weights` of the layer that a tied one has them from.
    number : int
        Among the network's layers.
    counts : bool
        Whether what comes in are series that may be shorter.
    """

    layer: Any
    inputs: Shape
    outputs: Shape
    arrays: Mapping[str, Array]
    number: int
    counts: bool

    @property
    def size(self) -> int:
        """Values that come out."""
        return size_of(self.outputs)

    def label(self, name: str) -> str:
        """Return what an array, or a function, of the layer is called."""
        return f"{name}_{self.number}"


def body(text: str) -> list[str]:
    """Return the lines of a function's body."""
    return textwrap.dedent(text).strip("\n").splitlines()


def activate(source: Source, name: str, count: str, at: str = "h") -> list[str]:
    """Return the lines that have so many values go through an activation, where they are."""
    phi = source.activation(name)
    return [] if phi is None else [f"for (i = 0; i < {count}; i++) {at}[i] = {phi}({at}[i]);"]


def points_of(shape: Shape) -> int:
    """Return the points of a channel; 1 of a vector's value."""
    return size_of(shape) // shape[0] if isinstance(shape, tuple) else 1


def elementwise(source: Source, given: Given, label: str, value: str, of: str) -> str:
    """Return a function that makes each value h of the same value x, which lies in a channel c.

    Parameters
    ----------
    source : Source
    given : Given
    label : str
    value : str
        The C expression of x and c.
    of : str
        What it computes.
    """
    real = source.real.name
    if not isinstance(given.inputs, tuple):
        lines = body(f"""
            int32_t c;
            for (c = 0; c < {given.inputs}; c++) h[c] = {value.replace("{x}", "x[c]")};
            """)
        return source.function(given.label(label), f"const {real} *x, {real} *h", lines, of=of)
    channels, points = given.inputs[0], points_of(given.inputs)
    end = "n" if given.counts else str(points)
    rest = f"for (; p < {points}; p++) h[c * {points} + p] = {source.real.literal(0.0)};"
    lines = body(f"""
        int32_t c, p;
        for (c = 0; c < {channels}; c++) {{
            for (p = 0; p < {end}; p++) h[c * {points} + p] = {
        value.replace("{x}", f"x[c * {points} + p]")
    };
        }}
        """)
    if given.counts:
        lines[-1:] = [f"    {rest}", lines[-1]]
    parameters = f"const {real} *x, {real} *h" + ", int32_t n" * given.counts
    return source.function(given.label(label), parameters, lines, of=of)
