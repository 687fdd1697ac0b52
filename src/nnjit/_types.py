"""Types that signatures share, and the names that parameters take, listed once."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Array",
    "FloatArray",
    "ActivationName",
    "CellName",
    "ClassificationLossName",
    "MatrixLike",
    "NormalizationName",
    "OutputName",
    "PaddingName",
    "PoolName",
    "RegressionLossName",
    "ScheduleName",
    "SolverName",
    "SparseMatrix",
    "StatePoolName",
    "StochasticSolverName",
    "TargetsName",
    "names",
]

Array: TypeAlias = NDArray[Any]
FloatArray: TypeAlias = NDArray[np.floating[Any]]


class SparseMatrix(Protocol):
    """A SciPy sparse matrix or array, whether or not the checker has SciPy's types."""

    def tocsr(self) -> Any:
        """Return it in compressed sparse row format."""


MatrixLike: TypeAlias = ArrayLike | SparseMatrix

NormalizationName: TypeAlias = Literal["batch", "layer"]
ActivationName: TypeAlias = Literal[
    "identity",
    "logistic",
    "tanh",
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "hard_tanh",
    "softsign",
]
RegressionLossName: TypeAlias = Literal[
    "squared_error", "poisson", "absolute_error", "huber", "quantile", "gamma", "log_cosh"
]
ClassificationLossName: TypeAlias = Literal["log_loss", "squared_error", "focal"]
# Output activations that a regressor may be given.
OutputName: TypeAlias = Literal["identity", "logistic", "tanh", "softplus", "exp"]
PaddingName: TypeAlias = Literal["same", "valid"]
PoolName: TypeAlias = Literal["max", "mean"]
CellName: TypeAlias = Literal["gru", "lstm", "tanh", "relu"]
# What is read of a series of states.
StatePoolName: TypeAlias = Literal["last", "mean", "max"]
StochasticSolverName: TypeAlias = Literal["sgd", "adam", "adamw", "rmsprop", "lion", "adagrad"]
SolverName: TypeAlias = Literal[StochasticSolverName, "lbfgs"]
TargetsName: TypeAlias = Literal["one", "sequence"]
ScheduleName: TypeAlias = Literal[
    "constant",
    "invscaling",
    "adaptive",
    "plateau",
    "cosine",
    "one_cycle",
    "coslog",
    "exponential",
    "step",
]


def names(choice: Any) -> tuple[str, ...]:
    """Return the names in one of the lists above."""
    return get_args(choice)
