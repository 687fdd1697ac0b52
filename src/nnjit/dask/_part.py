"""A part of the rows on its worker, and what is computed there."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nnjit._types import Array
from nnjit.backends import select
from nnjit.core.jobs.threads import OpenCompany
from nnjit.dask._rows import Rows, bytes_of
from nnjit.estimators._arrays import engine_input, pack_parameters, unpack_parameters
from nnjit.formulas import find_solver
from nnjit.formulas.own import import_modules
from nnjit.layers.network import Network
from nnjit.training.loop import batches_per_call, train_epoch
from nnjit.training.schedules import StepRates
from nnjit.training.solvers import StochasticSolver
from nnjit.training.state import EpochPlan, TrainingState

__all__ = [
    "LocalEpochs",
    "Part",
    "Round",
    "Setting",
    "Sum",
    "company",
    "loss_gradient",
    "prepare",
    "train",
]


class Setting(NamedTuple):
    """What an engine needs on another machine beside the network.

    Formulas of the user's own are known by the names in `named` after `modules` are imported.
    """

    dtype: str
    named: dict[str, Any]
    modules: tuple[str, ...]


class Part:
    """Rows as an engine takes them.

    The engine is made where it is missing: after the part has come to another worker.
    """

    def __init__(
        self, X: Any, target: Any, weight: Array | None, network: Network, setting: Setting
    ) -> None:
        self.X, self.target, self.weight = X, target, weight
        self.network, self.setting = network, setting
        self.dtype = np.dtype(setting.dtype)

    def __len__(self) -> int:
        return 0 if self.X is None else int(self.X.shape[0])

    def __sizeof__(self) -> int:  # which Dask goes by
        return bytes_of(self.X, self.target, self.weight)

    @property
    def total_weight(self) -> float:
        """Sum of the weights of the rows."""
        return float(len(self) if self.weight is None else self.weight.sum(dtype=float))


class _Ready(NamedTuple):
    """An engine with a part's rows, which serves one task at a time."""

    engine: Any
    dataset: Any
    lock: threading.Lock


_READY: weakref.WeakKeyDictionary[Part, _Ready] = weakref.WeakKeyDictionary()
_COMPANIES: dict[str, OpenCompany] = {}
_lock = threading.Lock()


def prepare(rows: Rows, shell: Any, network: Network, setting: Setting) -> Part:
    """Return checked rows as an engine of the network takes them.

    Parameters
    ----------
    rows : Rows
    shell : estimator
        The estimator without its parameters: it encodes y and weighs the classes.
    network : Network
    setting : Setting
    """
    if not len(rows):
        return Part(None, None, None, network, setting)
    target, weight = shell._target_and_weight(rows, np.dtype(setting.dtype))
    return Part(engine_input(rows.X, np.dtype(setting.dtype)), target, weight, network, setting)


def _ready(part: Part) -> _Ready:
    with _lock:
        found = _READY.get(part)
        if found is None:
            import_modules(part.setting.named, part.setting.modules)
            engine = select.make_engine(part.network, part.dtype)
            dataset = engine.dataset(part.X, part.target, part.weight)
            found = _READY[part] = _Ready(engine, dataset, threading.Lock())
        return found


def company() -> OpenCompany:
    """Return the company of the tasks of this worker: together they have its cores."""
    from distributed import get_worker

    worker = get_worker()
    with _lock:
        found = _COMPANIES.get(worker.address)
        if found is None:
            found = _COMPANIES[worker.address] = OpenCompany(worker.state.nthreads)
        return found


def _alone(compute: Callable[[Any, Any], Any], part: Part) -> Any:
    """Return what is computed by the part's engine on the cores that other tasks leave."""
    ready = _ready(part)
    with ready.lock, company().joined():
        return compute(ready.engine, ready.dataset)


class Sum(NamedTuple):
    """Loss and gradient of a part: means by the weights of its rows, and these together."""

    loss: float
    gradient: Array | None  # None where no row has a weight
    weight: float


def loss_gradient(part: Part, packed: Array, number: int) -> Sum:
    """Return the loss of a part without the penalty, and its gradient at packed parameters."""
    weight = part.total_weight
    if not weight:
        return Sum(0.0, None, 0.0)
    loss, gradient = _alone(
        lambda engine, dataset: engine.loss_gradient(packed, dataset, 0.0), part
    )
    return Sum(loss, gradient.astype(part.dtype), weight)


class Round(NamedTuple):
    """Where all parts begin a round of training, and how it goes."""

    packed: Array
    solver: StochasticSolver  # with vectors, or none yet
    plan: EpochPlan
    n_rows: int | None  # of all parts, where they share the minibatches of the plan
    first: int  # number of the round's first epoch
    epochs: int  # to train before parameters are averaged
    seed: int


class LocalEpochs(NamedTuple):
    """What has become of the parameters in some epochs on one part."""

    packed: Array | None  # None where there was nothing to train on
    vectors: dict[str, Array]
    losses: list[float]  # of each epoch
    rate: float  # of the last step
    steps: int
    skipped: int
    weight: float
    n_rows: int


def train(part: Part, given: Round, number: int) -> LocalEpochs:
    """Train some epochs on a part by itself, from where all parts begin.

    Everything follows from what is given and from the number of the part, so that it comes out the
    same wherever, and however often, it is computed.
    """
    if not part.total_weight:
        return LocalEpochs(None, {}, [0.0] * given.epochs, 0.0, 0, 0, 0.0, 0)
    found: LocalEpochs = _alone(
        lambda engine, dataset: _train(engine, dataset, part, given, number), part
    )
    return found


def _train(engine: Any, dataset: Any, part: Part, given: Round, number: int) -> LocalEpochs:
    n_rows, network = len(part), part.network
    plan = _plan_here(given, n_rows)
    n_batches = -(-n_rows // plan.batch_size)
    engine.pack(unpack_parameters(network, given.packed, part.dtype))
    seeds = np.random.SeedSequence([given.seed, number, given.first])
    rng = np.random.RandomState(seeds.generate_state(4))
    solver = _solver_here(given, n_batches, rng)
    optimizer = solver.start(engine)
    before = optimizer.t
    state: Any = TrainingState(rng, solver, None, np.arange(n_rows))  # type: ignore[arg-type]
    rates = StepRates(solver.schedule, solver.warmup, plan.max_epochs, n_batches)
    calls, losses = batches_per_call(engine, plan.batch_size), []
    try:
        for _ in range(given.epochs):
            if plan.shuffle:
                rng.shuffle(state.order)
            losses.append(
                train_epoch(engine, dataset, state, plan, optimizer, calls, part.weight, rates)
            )
            if not np.isfinite(losses[-1]):
                break
        last = optimizer.learning_rate if optimizer.rates is None else optimizer.rates[-1]
        return LocalEpochs(
            pack_parameters(network, engine.unpack()).astype(part.dtype),
            optimizer.state()["vectors"],
            losses,
            float(last),
            optimizer.t - before,
            state.skipped_batches,
            part.total_weight,
            n_rows,
        )
    finally:
        engine.release()


def _plan_here(given: Round, n_rows: int) -> EpochPlan:
    """Return the plan for a part, with its share of each minibatch where parts share them.

    All parts then make about as many steps as one machine would, with the same penalty: a step
    divides it by the rows of its minibatch.
    """
    plan = given.plan
    size, alpha = min(plan.batch_size, n_rows), plan.alpha
    if given.n_rows is not None:
        size = -(-plan.batch_size * n_rows // given.n_rows)
        alpha *= size / plan.batch_size
    return EpochPlan(size, alpha, plan.shuffle, plan.max_epochs, plan.single_epoch, 0)


def _solver_here(given: Round, n_batches: int, rng: np.random.RandomState) -> StochasticSolver:
    """Return the solver as if its steps so far had been made on this part.

    Parts have different numbers of minibatches, and so of steps; the vectors are those of all.
    """
    solver = given.solver.copy()
    steps = solver.steps + given.first * n_batches
    if solver.arrays is not None:
        settings = {name: float(value) for name, value in solver.hyperparameters.items()}
        powers = [settings[name] ** steps for name in find_solver(solver.name).powers]
        solver.arrays = {**solver.arrays, "steps": steps, "powers": np.array(powers)}
    if solver.seed:  # of masks, which are others in each part and round
        solver.seed = int(rng.randint(1, 2**31 - 1))
    return solver
