"""When to stop: watching the training loss or a validation score for a plateau."""

from __future__ import annotations

import math
from typing import TypeAlias

from nnjit._types import Array
from nnjit.training.engine import Engine
from nnjit.training.watching import Watch


class _PlateauCounter:
    """Counts consecutive epochs without an improvement."""

    watched: str
    tol: float
    patience: float
    count: int
    watch: Watch | None
    best_weights: list[Array] | None
    restore: bool

    @property
    def score_now(self) -> float | None:
        """Validation score after the last epoch, None where there are no validation rows."""
        return None if self.watch is None else self.watch.scores[-1]

    @property
    def loss_now(self) -> float | None:
        """Validation loss after the last epoch, None where none is recorded."""
        curve = None if self.watch is None else self.watch.curve
        return None if curve is None else curve[-1]

    @property
    def on_plateau(self) -> bool:
        """Whether the count is above the patience."""
        return self.count > self.patience

    def plateau_text(self) -> str:
        """Return the sentence that explains the plateau."""
        return (
            f"{self.watched} did not improve more than tol={self.tol:f}"
            f" for {self.patience:d} consecutive epochs."
        )


class LossMonitor(_PlateauCounter):
    """Counts consecutive epochs whose training loss did not fall by at least `tol`.

    As in scikit-learn, the plateau is reached when the count is above `patience`, so after
    ``patience + 1`` epochs, and the loss is compared with the best one, not with the last.

    Parameters
    ----------
    tol : float
        The least fall that counts.
    patience : int or inf
        ``n_iter_no_change``.
    best : float, default=inf
        Lowest loss so far.
    count : int, default=0
        Epochs without improvement so far.
    watch : Watch, default=None
        Validation rows whose scores are recorded and change nothing.
    best_weights : list of ndarray, default=None
        What ``engine.unpack()`` returned when `best` was reached; None where nobody wants it.
    """

    watched = "Training loss"

    def __init__(
        self,
        tol: float,
        patience: float,
        best: float = math.inf,
        count: int = 0,
        watch: Watch | None = None,
        best_weights: list[Array] | None = None,
    ) -> None:
        self.tol = tol
        self.patience = patience
        self.best = best
        self.count = count
        self.watch = watch
        self.best_weights = best_weights
        self.restore = best_weights is not None

    def after_epoch(self, engine: Engine, loss: float, verbose: bool) -> None:
        """Take the loss of the epoch just done into account."""
        if self.watch is not None:
            self.watch.after_epoch(engine, verbose)
        if loss > self.best - self.tol:
            self.count += 1
        else:
            self.count = 0
        if loss < self.best:
            self.best = loss
            if self.restore:
                self.best_weights = engine.unpack()

    def on_divergence(self, verbose: bool) -> bool:
        """Return whether training can end in good order although the loss is not finite."""
        return False


class ScoreMonitor(_PlateauCounter):
    """Counts consecutive epochs whose validation score did not rise, and keeps the best weights.

    Parameters
    ----------
    watch : Watch
        The validation rows.
    tol, patience
        As in `LossMonitor`.
    best_weights : list of ndarray
        What ``engine.unpack()`` returned when `best` was reached.
    best : float, default=-inf
        Highest score so far.
    count : int, default=0
        Epochs without improvement so far.
    restore : bool, default=True
        Whether the best weights are wanted at all.
    """

    watched = "Validation score"
    watch: Watch
    best_weights: list[Array]

    def __init__(
        self,
        watch: Watch,
        tol: float,
        patience: float,
        *,
        best_weights: list[Array],
        best: float = -math.inf,
        count: int = 0,
        restore: bool = True,
    ) -> None:
        self.watch = watch
        self.tol = tol
        self.patience = patience
        self.best_weights = best_weights
        self.best = best
        self.count = count
        self.restore = restore

    def after_epoch(self, engine: Engine, loss: float, verbose: bool) -> None:
        """Score the validation rows and keep the weights if they are the best so far."""
        score = self.watch.after_epoch(engine, verbose)
        self._count(score)
        if score > self.best:
            self.best = score
            if self.restore:
                self.best_weights = engine.unpack()

    def on_divergence(self, verbose: bool) -> bool:
        """Record a NaN score; the best weights are there to be restored."""
        self._count(self.watch.on_divergence(verbose))
        return True

    def _count(self, score: float) -> None:
        if score < self.best + self.tol:
            self.count += 1
        else:
            self.count = 0


Monitor: TypeAlias = LossMonitor | ScoreMonitor
