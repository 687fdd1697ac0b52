"""What a stochastic solver carries from one call of fit or partial_fit to the next."""

from __future__ import annotations

import math
from typing import Any

from nnjit.training.engine import Engine, Optimizer
from nnjit.training.schedules import ConstantRate, PlateauAction, Schedule, make_schedule


class StochasticSolver:
    """Settings, learning rate and moments of SGD or Adam, apart from any compiled object.

    An engine's optimizer lives for one call and holds the arrays that compiled code updates. This
    object holds the same things between the calls: it is plain Python and NumPy, so it can be
    pickled, copied and written to a checkpoint.

    Parameters
    ----------
    name : {'sgd', 'adam'}
        Which update rule the engine runs.
    hyperparameters : dict
        Keyword arguments of the engine's optimizer.
    learning_rate_init : float
        Rate of the first epoch.
    schedule : Schedule
        Which rate follows which.

    Attributes
    ----------
    rate : float
        Base rate of the next epoch.
    steps : int
        Number of parameter updates done.
    arrays : dict of ndarray or None
        The engine optimizer's moments or velocities; None before the first call.
    """

    def __init__(
        self,
        name: str,
        hyperparameters: dict[str, Any],
        learning_rate_init: float,
        schedule: Schedule,
    ) -> None:
        self.name = name
        self.hyperparameters = dict(hyperparameters)
        self.schedule = schedule
        self.rate = float(learning_rate_init)
        self.steps = 0
        self.arrays: dict[str, Any] | None = None

    @property
    def learning_rate(self) -> float:
        """Rate that multiplied the last update: for Adam with its bias corrections."""
        if self.name != "adam" or self.steps == 0:
            return self.rate
        correction_1: float = 1.0 - self.hyperparameters["beta_1"] ** self.steps
        correction_2: float = 1.0 - self.hyperparameters["beta_2"] ** self.steps
        return self.rate * math.sqrt(correction_2) / correction_1

    def start(self, engine: Engine) -> Optimizer:
        """Return an optimizer of `engine` that goes on where this solver stands."""
        optimizer = engine.optimizer(self.name, **self.hyperparameters)
        if self.arrays is not None:
            optimizer.load_state(self.arrays)
        optimizer.learning_rate = self.rate
        return optimizer

    def keep(self, optimizer: Optimizer) -> None:
        """Take over the steps and arrays of an engine's optimizer."""
        self.steps = int(optimizer.t)
        self.arrays = optimizer.state()

    def copy(self) -> StochasticSolver:
        """Return a solver that can go on without changing this one (the arrays are shared)."""
        twin = StochasticSolver(self.name, self.hyperparameters, self.rate, self.schedule)
        twin.steps = self.steps
        twin.arrays = self.arrays
        return twin

    def after_epoch(self, samples_seen: int) -> None:
        """Set the rate of the next epoch."""
        self.rate = self.schedule.after_epoch(self.rate, samples_seen)

    def on_plateau(self) -> PlateauAction:
        """Let the schedule answer a plateau; returns its `PlateauAction`."""
        action = self.schedule.on_plateau(self.rate)
        self.rate = action.rate
        return action


def make_sgd(
    *,
    learning_rate_init: float,
    learning_rate: str,
    power_t: float,
    momentum: float,
    nesterovs_momentum: bool,
) -> StochasticSolver:
    """Return a solver for gradient descent with (Nesterov) momentum."""
    hyperparameters = {"momentum": float(momentum), "nesterov": bool(nesterovs_momentum)}
    schedule = make_schedule(learning_rate, learning_rate_init, power_t)
    return StochasticSolver("sgd", hyperparameters, learning_rate_init, schedule)


def make_adam(
    *, learning_rate_init: float, beta_1: float, beta_2: float, epsilon: float
) -> StochasticSolver:
    """Return a solver for Adam (D. Kingma and J. Ba, arXiv:1412.6980)."""
    hyperparameters = {
        "beta_1": float(beta_1),
        "beta_2": float(beta_2),
        "epsilon": float(epsilon),
    }
    return StochasticSolver("adam", hyperparameters, learning_rate_init, ConstantRate())
