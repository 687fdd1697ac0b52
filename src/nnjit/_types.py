"""Types that signatures share, and the names that parameters take, listed once."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Array",
    "FloatArray",
    "ActivationName",
    "MatrixLike",
    "RegressionLossName",
    "ScheduleName",
    "SolverName",
    "SparseMatrix",
    "StochasticSolverName",
    "names",
]

Array: TypeAlias = NDArray[Any]
FloatArray: TypeAlias = NDArray[np.floating[Any]]


class SparseMatrix(Protocol):
    """A SciPy sparse matrix or array, whether or not the checker has SciPy's types."""

    def tocsr(self) -> Any:
        """Return it in compressed sparse row format."""


MatrixLike: TypeAlias = ArrayLike | SparseMatrix

ActivationName: TypeAlias = Literal["identity", "logistic", "tanh", "relu"]
RegressionLossName: TypeAlias = Literal["squared_error", "poisson"]
StochasticSolverName: TypeAlias = Literal["sgd", "adam", "adamw", "rmsprop", "lion", "adagrad"]
SolverName: TypeAlias = Literal[StochasticSolverName, "lbfgs"]
ScheduleName: TypeAlias = Literal["constant", "invscaling", "adaptive"]


def names(choice: Any) -> tuple[str, ...]:
    """Return the names in one of the lists above."""
    return get_args(choice)
