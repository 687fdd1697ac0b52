"""The parameters that training of a periodic embedding starts from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.layers.layer import Parameter

__all__ = ["periodic_arrays"]


def periodic_arrays(
    layer: Any,
    parameters: Sequence[Parameter],
    rng: np.random.RandomState,
    dtype: np.dtype[Any],
) -> list[Array]:
    """Return frequencies, phases, amplitudes and offsets, drawn in this order in float64.

    Parameters
    ----------
    layer : nnjit.layers.periodic.spec.PeriodicEmbedding
    parameters : sequence of Parameter
    rng : numpy.random.RandomState
    dtype : numpy dtype
        Of the arrays.

    Returns
    -------
    list of ndarray
    """
    frequencies, *others = (one.shape for one in parameters)
    bound = layer.frequencies**-0.5
    bounds = (np.pi, bound, bound)
    arrays = [layer.scale * rng.standard_normal(frequencies)]
    arrays += [rng.uniform(-most, most, shape) for most, shape in zip(bounds, others, strict=True)]
    return [array.astype(dtype, copy=False) for array in arrays]
