"""What writes each kind of layer; the test over `nnjit.layers` says if one is forgotten."""

from __future__ import annotations

from collections.abc import Callable

from nnjit.interop.c.chain import Step
from nnjit.interop.c.layers.channels import convolution, global_pooling, pooling
from nnjit.interop.c.layers.dense import dense, radial, tied
from nnjit.interop.c.layers.recurrent import recurrent
from nnjit.interop.c.layers.values import (
    embedding,
    normalization,
    parametric,
    periodic,
    piecewise,
    residual,
    scaling,
)
from nnjit.interop.c.layers.writing import Given
from nnjit.interop.c.source import Source

__all__ = ["EMITTERS", "VANISHING"]

EMITTERS: dict[str, Callable[[Source, Given], Step]] = {
    "convolution": convolution,
    "dense": dense,
    "embedding": embedding,
    "global_pooling": global_pooling,
    "gru": recurrent,
    "lstm": recurrent,
    "normalization": normalization,
    "parametric": parametric,
    "periodic": periodic,
    "piecewise": piecewise,
    "pooling": pooling,
    "radial": radial,
    "residual": residual,
    "rnn": recurrent,
    "scaling": scaling,
    "tied": tied,
}
# Those that a prediction leaves out; of a flattened array the values lie as before.
VANISHING = ("augmentation", "dropout", "flatten", "noise")
