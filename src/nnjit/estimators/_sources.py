"""Which X is read in blocks, as a source of rows, and which is an array in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnjit.estimators._advice import advise
from nnjit.rows._source import RowSource, source_of

__all__ = ["source_for_fit", "source_for_prediction"]

# Bytes from which it is said that a file is read whole.
_LARGE = 1 << 30


def source_for_fit(estimator: Any, X: Any) -> RowSource | None:
    """Return X as rows to be read in blocks, None where it is to be an array.

    Raises
    ------
    ValueError
        If X gives blocks only and the fit needs all rows at once.
    """
    in_blocks = estimator.shuffle == "blocks"
    if not estimator._reads_blocks(fitting=True):
        if in_blocks:
            raise ValueError(f"shuffle='blocks' cannot be used with {_what(estimator)}.")
        _refuse_blocks(estimator, X)
        return None
    source = source_of(X, memmaps=in_blocks)
    if source is None or in_blocks or not estimator.shuffle:
        return source
    if _gives_blocks_only(X):
        raise ValueError(
            f"shuffle=True visits rows in any order, but {type(X).__name__} is read block by block:"
            " use shuffle='blocks', or pass an array, such as X[:]."
        )
    _advise_on_size(X)
    return None


def source_for_prediction(estimator: Any, X: Any) -> RowSource | None:
    """Return X as rows to be read in blocks, None where it is an array; not so small memmaps."""
    if not estimator._reads_blocks(fitting=False):
        _refuse_blocks(estimator, X)
        return None
    large = False
    if isinstance(X, np.memmap):
        from nnjit.training.blocks import BUFFER_BYTES

        large = X.nbytes > BUFFER_BYTES
    return source_of(X, memmaps=large)


def _gives_blocks_only(X: Any) -> bool:
    """Whether X cannot be read whole as any array-like can."""
    return isinstance(X, RowSource) or not hasattr(X, "__array__")


def _refuse_blocks(estimator: Any, X: Any) -> None:
    if source_of(X) is not None and _gives_blocks_only(X):
        raise ValueError(
            f"{type(X).__name__} is read block by block, but {_what(estimator)} looks at all rows "
            "at once: pass an array, such as X[:]."
        )


def _what(estimator: Any) -> str:
    """Return what about an estimator needs all rows at once."""
    if getattr(estimator, "targets", "one") == "sequence":
        return "targets='sequence'"
    return type(estimator).__name__


def _advise_on_size(X: Any) -> None:
    size = int(np.prod(X.shape)) * np.dtype(X.dtype).itemsize
    if size > _LARGE:
        advise(
            f"X, an array in a file, is read into memory whole, {size / 1e9:.3g} GB, since "
            "shuffle=True visits rows in any order. shuffle='blocks' reads it block by block."
        )
