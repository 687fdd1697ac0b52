"""Copies of parameters from one library to the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nnjit._types import Array

__all__ = ["array_or", "as_array", "as_tensor"]


def as_tensor(array: Any) -> Any:
    """Return a copy of an array as a tensor."""
    return torch.from_numpy(np.array(array, order="C"))


def as_array(values: Any) -> Array:
    """Return a copy of a tensor or an array, a precision below float32 as that.

    Raises
    ------
    ValueError
        If there are complex numbers, or none.
    """
    if not isinstance(values, torch.Tensor):
        return np.array(values)
    if values.is_meta:
        raise ValueError("its weights have no numbers: it is on the device 'meta'")
    values = values.detach().cpu()
    if values.is_complex():
        raise ValueError("it has complex numbers")
    if values.is_floating_point() and values.element_size() < 4:
        values = values.float()
    return np.array(values.numpy(), order="C")


def array_or(values: Any, default: float, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return a copy of a tensor as an array, or if there is none an array of a number."""
    return np.full(shape, default, dtype) if values is None else as_array(values)
