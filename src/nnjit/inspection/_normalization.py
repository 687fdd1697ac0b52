"""Normalizations in plain NumPy; the formulas are in `nnjit.layers.normalization.spec`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nnjit.layers.normalization.spec import Normalization

__all__ = ["Standardized", "normalize"]


class Standardized(NamedTuple):
    """Standardized values, and what the way back needs.

    Attributes
    ----------
    y : ndarray of shape (n_samples, units)
    scale : ndarray of shape (units,)
    factor : ndarray
        1 / d for each unit or row.
    axis : int or None
        Along which y was averaged; None where running statistics were used.
    """

    y: Any
    scale: Any
    factor: Any
    axis: int | None

    def backward(self, delta: Any) -> Any:
        """Return the delta of what was normalized."""
        scaled = delta * self.scale
        if self.axis is None:
            return scaled * self.factor
        mean = scaled.mean(axis=self.axis, keepdims=True)
        slope = (scaled * self.y).mean(axis=self.axis, keepdims=True)
        return (scaled - mean - self.y * slope) * self.factor


def normalize(entry: Mapping[str, Any], x: Any, training: bool) -> tuple[Any, Standardized]:
    """Return scaled and shifted values, and what the way back needs.

    Parameters
    ----------
    entry : dict
        One of an estimator's `normalization_`.
    x : ndarray of shape (n_samples, units)
    training : bool
        Whether the statistics of batch normalization are those of these rows.
    """
    given = {name: np.asarray(values, dtype=np.float64) for name, values in entry.items()}
    axis = 1 if "mean" not in given else 0 if training else None
    if axis is None:
        mean, variance = given["mean"], given["variance"]
    else:
        mean, variance = x.mean(axis=axis, keepdims=True), x.var(axis=axis, keepdims=True)
    factor = 1.0 / np.sqrt(variance + Normalization.epsilon)
    y = (x - mean) * factor
    return y * given["scale"] + given["shift"], Standardized(y, given["scale"], factor, axis)
