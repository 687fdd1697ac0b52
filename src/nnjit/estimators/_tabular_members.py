"""The networks of a table's estimator: each with rows of its own to find its best epoch by."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.estimators._base import NetworkEstimator
from nnjit.estimators._device import to_host
from nnjit.estimators._tabular_recipe import Recipe, epochs, minibatch_rows
from nnjit.estimators._training_call import TrainingCall
from nnjit.estimators._watching import Given
from nnjit.estimators.stack import NetworkClassifier, NetworkRegressor
from nnjit.layers.layer import Layer
from nnjit.training.engine import Engine
from nnjit.training.members import Members
from nnjit.training.state import TrainingState
from nnjit.training.stopping import Monitor, ScoreMonitor
from nnjit.training.validation import Rows

__all__ = ["ClassMember", "LeastLoss", "MemberFit", "ValueMember", "ended", "member_parameters"]

# What a member does not need once it is trained, and a pickle would carry.
_OF_TRAINING = ("_optimizer", "_rows")
# Loss of a row that tells no epochs apart.
_NEXT_TO_NOTHING = 1e-5


class LeastLoss(ScoreMonitor):
    """Keeps the weights of the epoch of least validation loss, and never ends a fit.

    A loss that is less by next to nothing is not less: where the rows held out are told apart, or
    others hardly count, epochs that follow learn the training rows by heart.
    """

    best_epoch = 0

    def after_epoch(self, engine: Engine, loss: float, verbose: bool) -> None:
        """Score the validation rows and keep the weights if they are the best so far."""
        score = self.watch.after_epoch(engine, verbose)
        if score > self.best + _NEXT_TO_NOTHING:
            self.best, self.best_epoch = score, len(self.watch.scores)
            self.best_weights = engine.unpack()


class _HoldsOut(NetworkEstimator):
    """A network that is told which rows to hold out, and trains to its last epoch."""

    best_epoch_: int  # whose weights it has, from 1; 0 for the initial ones
    _rows: Rows

    def _hold_out(self, target: Array, sample_weight: Array | None, checkpoint: Any) -> Rows:
        return self._rows

    def _ends_by_itself(self) -> bool:
        return True

    def _make_monitor(self, engine: Engine, call: TrainingCall) -> Monitor:
        monitor = super()._make_monitor(engine, call)
        if isinstance(monitor, ScoreMonitor):
            return LeastLoss(monitor.watch, self.tol, np.inf, best_weights=monitor.best_weights)
        return monitor

    def _take_over(self, engine: Engine, state: TrainingState) -> None:
        super()._take_over(engine, state)
        monitor = state.monitor
        self.best_epoch_ = monitor.best_epoch if isinstance(monitor, LeastLoss) else state.epoch


class ClassMember(_HoldsOut, NetworkClassifier):
    """A member of a `TabularClassifier`."""


class ValueMember(_HoldsOut, NetworkRegressor):
    """A member of a `TabularRegressor`."""


def member_parameters(recipe: Recipe, layers: list[Layer], n_rows: int) -> dict[str, Any]:
    """Return the parameters of members that train on so many rows, but for their seeds."""
    return {
        "layers": layers,
        "parametrization": recipe.parametrization,
        "solver": "adamw",
        "alpha": 0.0,
        "weight_decay": recipe.weight_decay,
        "beta_2": recipe.beta_2,
        "learning_rate": recipe.learning_rate,
        "learning_rate_init": recipe.learning_rate_init,
        "batch_size": minibatch_rows(recipe, n_rows),
        "max_iter": epochs(recipe, n_rows),
        "n_iter_no_change": np.inf,
        "tol": 0.0,
        "scoring": "loss",
    }


@dataclass
class MemberFit:
    """A member's training, and what it makes of the rows that it has not trained on."""

    member: Any  # a new network
    rows: Rows  # those it trains on, and those it holds out
    data: Given  # of all members
    validation: Given | None  # rows in place of held-out ones
    seconds: float = 0.0
    # of the rows held out, or those in `validation`
    outputs: Any = field(default=None)
    score: float | None = None

    def __call__(self) -> MemberFit:
        """Train it."""
        begun, member = time.perf_counter(), self.member
        member._rows = self.rows
        member.early_stopping = self.validation is not None or bool(len(self.rows[1]))
        member._fit(*self.data[:2], self.data.sample_weight, False, self.validation)
        for name in _OF_TRAINING:
            member.__dict__.pop(name, None)
        self._look_at_unseen()
        self.seconds = time.perf_counter() - begun
        return self

    def _look_at_unseen(self) -> None:
        held_out = self.rows[1]
        if self.validation is None and not len(held_out):
            return
        unseen = self.validation or self.data.part(held_out)
        self.outputs = to_host(self.member._forward(unseen.X)[2])
        if len(unseen.X) > 1:  # R2 of one row is none
            self.score = self.member.score(*unseen)

    @property
    def validation_loss(self) -> float | None:
        """Loss of the rows it did not train on, None where there are none."""
        best = self.member.best_validation_score_
        return None if best is None else -float(best)


def ended(fits: Members[MemberFit]) -> list[MemberFit]:
    """Return the members that came to their own end, or if none did those that had begun.

    One that was broken off at a high learning rate would make the mean of the others worse.
    """
    complete = [fit for fit, whole in zip(fits.results, fits.complete) if whole]
    return complete or fits.results
