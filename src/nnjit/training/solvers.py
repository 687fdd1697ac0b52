"""What a stochastic solver carries from one call of fit or partial_fit to the next."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnjit.formulas import find_solver
from nnjit.training.engine import Engine, Optimizer
from nnjit.training.schedules import ConstantRate, PlateauAction, Schedule, make_schedule


class StochasticSolver:
    """Settings, learning rate and moments of a solver, apart from any compiled object.

    An engine's optimizer lives for one call and holds the arrays that compiled code updates. This
    object holds the same things between the calls: it is plain Python and NumPy, so it can be
    pickled, copied and written to a checkpoint.

    Parameters
    ----------
    name : str
        Which update rule the engine runs; an entry of `nnjit.formulas`.
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
    seed : int
        Of what layers draw at random; 0 where there are none that do.
    """

    seed = 0  # of a solver that an earlier version has pickled

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
        entry = find_solver(self.name)
        rate = entry.numpy().rate
        if rate is None or self.steps == 0:
            return self.rate
        settings = [float(self.hyperparameters[name]) for name in entry.hyperparameters]
        powers = [float(self.hyperparameters[name]) ** self.steps for name in entry.powers]
        return float(rate(self.rate, *settings, *powers))

    def start(self, engine: Engine) -> Optimizer:
        """Return an optimizer of `engine` that goes on where this solver stands."""
        seed = {"seed": self.seed} if self.seed else {}
        optimizer = engine.optimizer(self.name, **self.hyperparameters, **seed)
        if self.arrays is not None:
            optimizer.load_state({**self.arrays, **seed})
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
        twin.seed = self.seed
        return twin

    def after_epoch(self, samples_seen: int) -> None:
        """Set the rate of the next epoch."""
        self.rate = self.schedule.after_epoch(self.rate, samples_seen)

    def on_plateau(self) -> PlateauAction:
        """Let the schedule answer a plateau; returns its `PlateauAction`."""
        action = self.schedule.on_plateau(self.rate)
        self.rate = action.rate
        return action


def draw_seed(rng: np.random.RandomState) -> int:
    """Return a seed, above 0, of what layers draw at random."""
    return int(rng.randint(1, 2**31 - 1))


def make_solver(
    name: str,
    *,
    learning_rate_init: float,
    learning_rate: str = "constant",
    power_t: float = 0.5,
    **hyperparameters: Any,
) -> StochasticSolver:
    """Return a solver by the name of its entry in `nnjit.formulas`.

    Parameters
    ----------
    name : str
    learning_rate_init : float
        Rate of the first epoch.
    learning_rate, power_t : str and float
        Schedule of the rate, see `make_schedule`; without effect on a solver without schedules.
    **hyperparameters : float
        Those of the entry; it has defaults for the ones that are left out.

    Returns
    -------
    StochasticSolver

    Raises
    ------
    ValueError
        If there is no such solver, or it has no such hyperparameter.
    """
    entry = find_solver(name)
    unknown = sorted(hyperparameters.keys() - entry.hyperparameters.keys())
    if unknown:
        raise ValueError(
            f"The solver {name!r} has the hyperparameters {sorted(entry.hyperparameters)}, not "
            f"{', '.join(unknown)}."
        )
    given = {
        key: value if isinstance(value, bool) else float(value)
        for key, value in {**entry.hyperparameters, **hyperparameters}.items()
    }
    schedule: Schedule = ConstantRate()
    if entry.scheduled:
        schedule = make_schedule(learning_rate, learning_rate_init, power_t)
    return StochasticSolver(name, given, learning_rate_init, schedule)
