"""What is given out of a model."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from nnjit.interop.onnx.graph import Dimension, Value

__all__ = ["Output", "Outputs"]


class Output(NamedTuple):
    """A value that a model gives out.

    Attributes
    ----------
    value : Value
    shape : tuple of int or str
        Its dimensions; "n" is the number of rows.
    extra : bool
        Whether it is left out unless it is asked for.
    """

    value: Value
    shape: tuple[Dimension, ...]
    extra: bool = False


Outputs: TypeAlias = dict[str, Output]
