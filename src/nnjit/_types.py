"""Types that signatures share."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Array", "FloatArray", "MatrixLike", "SparseMatrix"]

Array: TypeAlias = NDArray[Any]
FloatArray: TypeAlias = NDArray[np.floating[Any]]


class SparseMatrix(Protocol):
    """A SciPy sparse matrix or array, whether or not the checker has SciPy's types."""

    def tocsr(self) -> Any:
        """Return it in compressed sparse row format."""


MatrixLike: TypeAlias = ArrayLike | SparseMatrix
