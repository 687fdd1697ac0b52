"""What a stochastic solver carries from one call of fit or partial_fit to the next."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.formulas import find_solver
from nnjit.training.engine import Engine, Optimizer
from nnjit.training.schedules import (
    ConstantRate,
    PlateauAction,
    Schedule,
    UserRate,
    make_schedule,
)

# scikit-learn's schedules, which apply to the solvers that have them there.
SCIKIT_LEARNS = ("constant", "invscaling", "adaptive")


def averages_of(optimizer: Optimizer, engine: Engine) -> list[Array] | None:
    """Return the averages of an engine's parameters, None where none are kept.

    What no solver trains, such as running statistics, is as it is: it is an average already.
    """
    averages = optimizer.averages()
    if averages is None:
        return None
    trained = [parameter.trained for _, parameter in engine.network.parameters()]
    present = averages if all(trained) else engine.unpack()
    return [a if own else p for a, own, p in zip(averages, trained, present, strict=True)]


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
    options : dict of str to float
        What else the engine's optimizer is asked for: 'clip_norm', 'clip_value', 'average'.
    warmup : int or float, default=0
        Steps in which the rate rises, or their share of all steps; see `StepRates`.

    Attributes
    ----------
    rate : float
        Base rate of the next epoch.
    last_rate : float or None
        Base rate of the last step, where it is another one than that of the epoch.
    steps : int
        Number of parameter updates done.
    arrays : dict of ndarray or None
        The engine optimizer's moments or velocities; None before the first call.
    parameters : list of ndarray or None
        Those that the steps have reached, where what is fitted are their averages; else None.
    seed : int
        Of what layers draw at random; 0 where there are none that do.
    """

    # What pickles of the versions before do not have.
    options: Mapping[str, float] = MappingProxyType({})
    parameters: list[Array] | None = None
    seed = 0
    warmup: float = 0
    last_rate: float | None = None

    def __init__(
        self,
        name: str,
        hyperparameters: dict[str, Any],
        learning_rate_init: float,
        schedule: Schedule,
        options: Mapping[str, float] | None = None,
        warmup: float = 0,
    ) -> None:
        self.name = name
        self.hyperparameters = dict(hyperparameters)
        self.options = dict(options or {})
        self.schedule = schedule
        self.warmup = warmup
        self.rate = float(learning_rate_init)
        self.steps = 0
        self.arrays: dict[str, Any] | None = None

    @property
    def learning_rate(self) -> float:
        """Rate that multiplied the last update: for Adam with its bias corrections."""
        base = self.rate if self.last_rate is None else self.last_rate
        if self.steps == 0:
            return base
        entry = find_solver(self.name)
        settings = {name: float(value) for name, value in self.hyperparameters.items()}
        powers = [settings[name] ** self.steps for name in entry.powers]
        return float(entry.step_rates(base, settings, powers)[0])

    @property
    def vector_names(self) -> tuple[str, ...]:
        """Names of the vectors in an engine optimizer's state."""
        average = ("average",) if "average" in self.options else ()
        return *find_solver(self.name).vectors, *average

    def start(self, engine: Engine) -> Optimizer:
        """Return an optimizer of `engine` that goes on where this solver stands."""
        seed = {"seed": self.seed} if self.seed else {}
        optimizer = engine.optimizer(self.name, **self.options, **self.hyperparameters, **seed)
        if self.arrays is not None:
            optimizer.load_state({**self.arrays, **seed})
        optimizer.learning_rate = self.rate
        return optimizer

    @property
    def varies(self) -> bool:
        """Whether not all steps have the same rate."""
        return self.schedule.varies or bool(self.warmup)

    def keep(self, optimizer: Optimizer, engine: Engine) -> None:
        """Take over the steps and arrays of an engine's optimizer.

        Where averages of the parameters are kept the engine is left with these, and the parameters
        are kept here.
        """
        self.steps = int(optimizer.t)
        self.arrays = optimizer.state()
        self.last_rate = None if optimizer.rates is None else float(optimizer.rates[-1])
        averages = averages_of(optimizer, engine)
        self.parameters = None if averages is None else engine.unpack()
        if averages is not None:
            engine.pack(averages)

    def average_from(self, packed: Array) -> None:
        """Go on from other parameters, given in the network's packing, and so their averages."""
        if self.arrays is not None:
            vectors = self.arrays["vectors"]
            packed = packed.astype(vectors["average"].dtype)
            self.arrays = {**self.arrays, "vectors": {**vectors, "average": packed}}
        self.parameters = None

    def copy(self) -> StochasticSolver:
        """Return a solver that can go on without changing this one (the arrays are shared)."""
        twin = StochasticSolver(
            self.name, self.hyperparameters, self.rate, self.schedule, self.options, self.warmup
        )
        twin.steps, twin.last_rate = self.steps, self.last_rate
        twin.arrays, twin.parameters = self.arrays, self.parameters
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
    learning_rate: str | UserRate = "constant",
    power_t: float = 0.5,
    options: Mapping[str, float] | None = None,
    warmup: float = 0,
    learning_rate_decay: float = 0.1,
    learning_rate_step: float = 10,
    **hyperparameters: Any,
) -> StochasticSolver:
    """Return a solver by the name of its entry in `nnjit.formulas`.

    Parameters
    ----------
    name : str
    learning_rate_init : float
        Rate of the first epoch.
    learning_rate : str or callable
        Schedule of the rate, see `make_schedule`; scikit-learn's are without effect on a solver
        that has none there.
    power_t, learning_rate_decay, learning_rate_step : float
        Settings of the schedules.
    warmup : int or float
        Steps in which the rate rises, or their share of all steps.
    options : dict of str to float, optional
        See `StochasticSolver`.
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
    if entry.scheduled or learning_rate not in SCIKIT_LEARNS:
        schedule = make_schedule(
            learning_rate, learning_rate_init, power_t, learning_rate_decay, learning_rate_step
        )
    return StochasticSolver(name, given, learning_rate_init, schedule, options, warmup)
