"""What the functions share: when two threads repay, and small helpers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from nnjit._arrays import output
from nnjit._types import Array

_Choice = TypeVar("_Choice")

# From here on two threads repay their start: a millisecond of work, since a join on a busy machine
# can cost several. In elements, of copy-like operations and of exponentials; in multiply-adds
# of register tiles, and of loops along the rows of images.
PARALLEL_COPY, PARALLEL_EXP, PARALLEL_PRODUCT, PARALLEL_LOOPS = 1 << 22, 1 << 20, 1 << 25, 1 << 22


def flat(array: Array) -> Array:
    return array.reshape(-1)


def choice(value: str, name: str, choices: Mapping[str, _Choice]) -> _Choice:
    """choices[value], or an error that lists them."""
    try:
        return choices[value]
    except (KeyError, TypeError):
        raise ValueError(f"{name} must be one of {sorted(choices)}, got {value!r}") from None


def single(array: Array) -> bool:
    return array.itemsize == 4


def three_outputs(
    out: Any, names: str, shapes: tuple[tuple[int, ...], ...], delta: Array, *inputs: Array
) -> list[tuple[Array, Array]]:
    """What `output` gives for each array of an optional `out` of a backward pass."""
    if out is None:
        out = (None, None, None)
    if not isinstance(out, (tuple, list)) or len(out) != 3:
        raise ValueError(f"out must be three arrays, for {names}")
    return [output(array, shape, delta.dtype, *inputs, delta) for array, shape in zip(out, shapes)]
