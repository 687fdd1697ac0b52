"""Several quantiles of one target: which are asked for, in which order, and their intervals.

Separately fitted quantiles may cross. Sorting the values of a row, so that they ascend with the
quantile, brings each nearer to the true one: V. Chernozhukov, I. Fernandez-Val and A. Galichon,
"Quantile and probability curves without crossing", Econometrica 78, 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from sklearn.metrics import d2_pinball_score, r2_score

from nnjit._types import Array, FloatArray

__all__ = ["checked_quantiles", "columns_of_interval", "score_of_values", "uncrossed"]

# By how much a quantile may differ from the one that a coverage asks for.
TOLERANCE = 1e-9


def checked_quantiles(quantile: Any) -> FloatArray:
    """Return the quantiles that a parameter asks for.

    Raises
    ------
    ValueError
        If they are not numbers above 0 and below 1, or not distinct.
    """
    try:
        quantiles = np.atleast_1d(np.asarray(quantile, dtype=np.float64))
    except (TypeError, ValueError):
        quantiles = np.empty((0, 0))
    inside = quantiles.ndim == 1 and quantiles.size and ((quantiles > 0) & (quantiles < 1)).all()
    if not inside or len(np.unique(quantiles)) < len(quantiles):
        raise ValueError(
            "quantile must be a number above 0 and below 1, or several distinct ones, got "
            f"{quantile!r}."
        )
    return quantiles


def uncrossed(values: Array, quantiles: Sequence[float] | FloatArray) -> Array:
    """Return the values of each row, (..., n_samples, n_quantiles), in the order of the quantiles.

    The columns stay where they are: the smallest value goes to that of the lowest quantile.
    """
    if values.shape[-1] != len(quantiles):  # other weights were assigned
        return values
    ordered = np.empty_like(values)
    ordered[..., np.argsort(quantiles)] = np.sort(values, axis=-1)
    return ordered


def columns_of_interval(quantiles: FloatArray, coverage: Any) -> tuple[int, int]:
    """Return the columns of the ends of the interval of a coverage.

    Raises
    ------
    ValueError
        That lists the coverages there are, if this one is not among them.
    """
    share = float(coverage) if isinstance(coverage, Real) else np.nan
    if 0 < share < 1:
        ends = [(1 - share) / 2, (1 + share) / 2]
        gaps = np.abs(quantiles - np.array(ends)[:, np.newaxis])
        if (gaps.min(axis=1) <= TOLERANCE).all():
            low, high = gaps.argmin(axis=1)
            return int(low), int(high)
    known = [
        f"{1 - 2 * low:.10g}"
        for low in sorted(quantiles)
        if low < 0.5 and np.abs(quantiles - (1 - low)).min() <= TOLERANCE
    ]
    raise ValueError(
        f"coverage={coverage!r} needs the quantiles (1 - coverage) / 2 and (1 + coverage) / 2. The "
        f"network was fitted to the quantiles {quantiles.tolist()}, which give the coverages: "
        f"{', '.join(known) or 'none'}."
    )


def score_of_values(
    y: Any, predicted: Array, quantiles: FloatArray | None, sample_weight: Any = None
) -> float:
    """Return R2 of predictions, or of quantiles the mean D2 of their quantile losses.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    predicted : ndarray
        As y, or with a column for each of several quantiles.
    quantiles : ndarray of shape (n_quantiles,) or None
    sample_weight : array-like of shape (n_samples,), default=None
    """
    if quantiles is None:
        return float(r2_score(y, predicted, sample_weight=sample_weight))
    columns = [predicted] if len(quantiles) == 1 else predicted.T
    scores = [
        d2_pinball_score(y, column, alpha=quantile, sample_weight=sample_weight)
        for quantile, column in zip(quantiles, columns, strict=True)
    ]
    return float(np.mean(scores))
