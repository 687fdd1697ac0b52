"""Validation rows, and what is measured on them after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from nnjit._types import Array
from nnjit.training.engine import Engine
from nnjit.training.reading import outputs_of

__all__ = ["Measure", "Watch"]

# Of the network's outputs for the rows, and the engine that holds the network.
Measure: TypeAlias = Callable[[Array, Engine], float]


class Watch:
    """Rows that are not trained on, with their score and loss after each epoch.

    Parameters
    ----------
    X : array of shape (n_validation_samples, n_features)
        Rows as the engine takes them.
    score : callable or None
        Maps (outputs, engine) to a float; higher is better. None for minus the loss.
    loss : callable or None
        Maps the same to the loss, which is not recorded if this is None.
    scores, losses : list of float
        Those of earlier epochs; extended in place.
    """

    def __init__(
        self,
        X: Any,
        score: Measure | None,
        loss: Measure | None = None,
        *,
        scores: list[float],
        losses: list[float] | None = None,
    ) -> None:
        self.X = X
        self.score = score
        self.loss = loss
        self.scores = scores
        self.losses = [] if losses is None else losses

    @property
    def curve(self) -> list[float] | None:
        """Loss of all epochs, None where it is not recorded."""
        return None if self.loss is None else self.losses

    def evaluate(self, engine: Engine) -> tuple[float, float]:
        """Return score and loss of the engine's present weights; a NaN loss if not recorded.

        Both are NaN if a logit overflows: labels would be told from infinities of either sign.
        """
        outputs, finite = outputs_of(engine, self.X)
        if not finite and not np.isfinite(outputs_of(engine, self.X, "logits")[0]).all():
            return math.nan, math.nan
        loss = math.nan if self.loss is None else float(self.loss(outputs, engine))
        return -loss if self.score is None else float(self.score(outputs, engine)), loss

    def after_epoch(self, engine: Engine, verbose: bool) -> float:
        """Record score and loss of an epoch; return the score."""
        return self._record(*self.evaluate(engine), verbose)

    def on_divergence(self, verbose: bool) -> float:
        """Record NaN."""
        return self._record(math.nan, math.nan, verbose)

    def _record(self, score: float, loss: float, verbose: bool) -> float:
        self.scores.append(score)
        if self.loss is not None:
            self.losses.append(loss)
        if verbose:
            print(f"Validation score: {score:f}")
        if verbose and self.loss is not None:
            print(f"Validation loss: {loss:f}")
        return score
