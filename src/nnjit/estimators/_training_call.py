"""What one call of fit or partial_fit trains on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnjit._types import Array
from nnjit.estimators._watching import Given, ValidationRows
from nnjit.training.engine import Engine

__all__ = ["RowsInMemory", "TrainingCall"]


class TrainingCall(NamedTuple):
    """Checked rows and all that belongs to them, as the engine takes them."""

    X: Any
    target: Array
    sample_weight: Array | None
    incremental: bool  # one epoch, of partial_fit
    fresh: bool  # the parameters are those that training starts from
    given: Given
    watched: ValidationRows | None


class RowsInMemory:
    """Rows that epochs visit by their numbers; those held out stay where they are.

    Parameters
    ----------
    call : TrainingCall
    order : ndarray of int64
        Numbers of the rows trained on.
    """

    n_rows = None  # of an epoch, where `order` does not tell

    def __init__(self, call: TrainingCall, order: NDArray[np.int64]) -> None:
        self.call, self.order = call, order

    @property
    def numbers(self) -> Any:
        """Numbers of the rows whose targets advice is given on."""
        return self.order

    def dataset(self, engine: Engine, shuffle: bool) -> Any:
        """Return what the training loop goes through."""
        wrap: Any = engine.dataset if engine.network.window is None else engine.windows
        return wrap(self.call.X, self.call.target, self.call.sample_weight)
