"""The one mutable object of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nnjit.training.solvers import StochasticSolver
from nnjit.training.stopping import Monitor


@dataclass(frozen=True)
class EpochPlan:
    """What does not change during a run.

    Attributes
    ----------
    batch_size : int
        Rows in each minibatch but perhaps the last.
    alpha : float
        L2 penalty.
    shuffle : bool
        Whether the rows are shuffled before each epoch.
    max_epochs : int
        Epochs after which the run ends, with a warning unless it `ends_by_itself`.
    single_epoch : bool
        Run one epoch and stop without a warning (``partial_fit``).
    verbose : int
        2 prints a table, any other level each epoch's loss as scikit-learn does.
    ends_by_itself : bool
        Whether the run is meant to take all epochs: no plateau is waited for.
    """

    batch_size: int
    alpha: float
    shuffle: bool
    max_epochs: int
    single_epoch: bool
    verbose: int
    ends_by_itself: bool = False


@dataclass
class TrainingState:
    """Everything that a run changes, and so everything that a checkpoint has to hold.

    Attributes
    ----------
    rng : numpy.random.RandomState
        Source of the shuffles.
    solver : StochasticSolver
        Learning rate and moments.
    monitor : LossMonitor or ScoreMonitor
        Best value, count of epochs without improvement, best weights.
    order : ndarray of int64, shape (n_samples,)
        The rows in the order of the last epoch; each shuffle starts from the one before. Empty
        where rows are read in blocks, whose order is drawn anew.
    n_rows : int or None
        Rows of an epoch where they are read in blocks; else None.
    epoch : int
        Epochs completed in this run.
    samples_seen : int
        Rows trained on so far, over all runs.
    loss : float or None
        Mean loss of the last epoch completed.
    loss_curve : list of float
        Loss of every epoch, over all runs.
    rate_curve : list of float or None
        Learning rate of each epoch's last step, over all runs; None where it is not kept.
    skipped_batches : int
        Minibatches of this run whose sample weights sum to zero.
    converged, interrupted, diverged : bool
        How the run ended.
    """

    rng: np.random.RandomState
    solver: StochasticSolver
    monitor: Monitor
    order: NDArray[np.int64]
    epoch: int = 0
    samples_seen: int = 0
    loss: float | None = None
    loss_curve: list[float] = field(default_factory=list)
    rate_curve: list[float] | None = None
    skipped_batches: int = 0
    n_rows: int | None = None
    converged: bool = False
    interrupted: bool = False
    diverged: bool = False

    @property
    def n_rows_of_epoch(self) -> int:
        return len(self.order) if self.n_rows is None else self.n_rows

    def record(self, loss: float, rate: float) -> None:
        """Count an epoch that has been run, the last step of which had this rate."""
        self.epoch += 1
        self.loss = loss
        self.samples_seen += self.n_rows_of_epoch
        self.loss_curve.append(loss)
        if self.rate_curve is not None:
            self.rate_curve.append(rate)
