"""When to stop: watching the training loss or a validation score for a plateau."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from nnjit._types import Array
from nnjit.training.engine import Engine


class _PlateauCounter:
    """Counts consecutive epochs without an improvement."""

    watched: str
    tol: float
    patience: float
    count: int

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
    """

    watched = "Training loss"
    score_now: float | None = None  # there are no validation rows

    def __init__(self, tol: float, patience: float, best: float = math.inf, count: int = 0) -> None:
        self.tol = tol
        self.patience = patience
        self.best = best
        self.count = count

    def after_epoch(self, engine: Engine, loss: float, verbose: bool) -> None:
        """Take the loss of the epoch just done into account."""
        if loss > self.best - self.tol:
            self.count += 1
        else:
            self.count = 0
        if loss < self.best:
            self.best = loss

    def on_divergence(self, verbose: bool) -> bool:
        """Return whether training can end in good order although the loss is not finite."""
        return False


class ScoreMonitor(_PlateauCounter):
    """Counts consecutive epochs whose validation score did not rise, and keeps the best weights.

    Parameters
    ----------
    score : callable
        Maps the network's output on the validation rows to a float; higher is better.
    X : array of shape (n_validation_samples, n_features)
        Validation rows as the engine takes them.
    tol, patience
        As in `LossMonitor`.
    scores : list of float
        Scores of earlier epochs; extended in place.
    best_weights : list of ndarray
        What ``engine.unpack()`` returned when `best` was reached.
    best : float, default=-inf
        Highest score so far.
    count : int, default=0
        Epochs without improvement so far.
    """

    watched = "Validation score"

    def __init__(
        self,
        score: Callable[[Array], float],
        X: Any,
        tol: float,
        patience: float,
        *,
        scores: list[float],
        best_weights: list[Array],
        best: float = -math.inf,
        count: int = 0,
    ) -> None:
        self.score = score
        self.X = X
        self.tol = tol
        self.patience = patience
        self.scores = scores
        self.best_weights = best_weights
        self.best = best
        self.count = count

    @property
    def score_now(self) -> float:
        """Score after the last epoch."""
        return self.scores[-1]

    def evaluate(self, engine: Engine) -> float:
        """Return the score of the engine's present weights on the validation rows.

        It is NaN if a logit overflows: labels would be told from infinities of either sign.
        """
        outputs, finite = engine.predict_checked(self.X)
        if not finite and not np.isfinite(engine.predict(self.X, output="logits")).all():
            return math.nan
        return float(self.score(outputs))

    def after_epoch(self, engine: Engine, loss: float, verbose: bool) -> None:
        """Score the validation rows and keep the weights if they are the best so far."""
        self._record(self.evaluate(engine), verbose)
        if self.scores[-1] > self.best:
            self.best = self.scores[-1]
            self.best_weights = engine.unpack()

    def on_divergence(self, verbose: bool) -> bool:
        """Record a NaN score; the best weights are there to be restored."""
        self._record(math.nan, verbose)
        return True

    def _record(self, score: float, verbose: bool) -> None:
        self.scores.append(score)
        if verbose:
            print(f"Validation score: {score:f}")
        if score < self.best + self.tol:
            self.count += 1
        else:
            self.count = 0


Monitor: TypeAlias = LossMonitor | ScoreMonitor
