"""The learning rate of each epoch, worked out again from what a fit recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnjit.formulas import find_solver
from nnjit.training.schedules import make_schedule
from nnjit.training.solvers import SCIKIT_LEARNS


def learning_rates(network: Any) -> NDArray[np.float64] | None:
    """Return the base rate of each epoch, of its last step if they differ.

    Of scikit-learn's networks, and those of nnjit that did not record it, the schedule is run again
    over the recorded losses or scores. Where these span several fits (warm start, ``partial_fit``)
    a rate that depends on plateaus is not known.

    Parameters
    ----------
    network : estimator
        An MLP fitted by a stochastic solver.

    Returns
    -------
    ndarray, of the last epochs if it is shorter than ``loss_curve_``, or None
    """
    recorded = getattr(network, "learning_rate_curve_", None)
    if recorded is not None:
        return np.array(recorded, dtype=np.float64)
    n_epochs = len(network.loss_curve_)
    start = network.learning_rate_init
    if not find_solver(network.solver).scheduled or network.learning_rate == "constant":
        return np.full(n_epochs, start, dtype=np.float64)
    if network.learning_rate == "adaptive" and network.n_iter_ != n_epochs:
        return None
    if network.learning_rate not in SCIKIT_LEARNS:  # set since
        return None
    schedule = make_schedule(network.learning_rate, start, network.power_t)
    rows = network.t_ // n_epochs
    plateaus = _plateaus(network)
    rates = [float(start)]
    for epoch in range(1, n_epochs):
        rate = schedule.after_epoch(rates[-1], epoch * rows)
        if next(plateaus):
            rate = schedule.on_plateau(rate).rate
        rates.append(rate)
    return np.array(rates)


def _plateaus(network: Any) -> Any:
    """Yield after each epoch whether the count of epochs without improvement ran out."""
    scores = getattr(network, "validation_scores_", None)
    values = network.loss_curve_ if not scores else [-score for score in scores]
    best, count = np.inf, 0
    for value in values:
        count = count + 1 if value > best - network.tol else 0
        best = min(best, value)
        reached = count > network.n_iter_no_change
        count = 0 if reached else count
        yield reached
