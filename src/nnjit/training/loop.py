"""The loop over epochs: a few compiled calls for a large one, one for several small ones."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from nnjit._logging import epochs_are_logged, log_epoch
from nnjit._types import Array
from nnjit._warnings import warn
from nnjit.core.compiler.interrupts import Interrupts
from nnjit.training.engine import Engine, Optimizer
from nnjit.training.members import interrupted, stop_if_asked
from nnjit.training.progress import EpochTable
from nnjit.training.schedules import StepRates
from nnjit.training.solvers import StochasticSolver, averages_of
from nnjit.training.state import EpochPlan, TrainingState
from nnjit.training.stopping import LossMonitor, Monitor

if TYPE_CHECKING:
    from nnjit.training.checkpoint import Checkpoint

# Compiled code cannot be interrupted, so one call is given at most about this much arithmetic: some
# 20 ms on two recent cores, 0.8 s on a slow one. The bound depends on shapes alone and never on the
# clock: the epoch's loss is the sum of the calls' sums and has to come out the same each time.
WORK_PER_CALL = 4e9
# Rows of epochs that are run in one call at most: their orders, 256 kB, should be small beside
# the data, and a call for each longer epoch costs nothing.
ROWS_AHEAD = 32_768
# Arithmetic per row and multiply-add of the forward pass (a multiply and an add in each of three
# passes), which every output of a layer counts for as well; per row (gathering, loss); and per
# parameter and minibatch (the update).
_WORK_PER_PRODUCT = 6
_WORK_PER_ROW = 2000
_WORK_PER_PARAMETER = 30


# Runs epochs and yields each one's loss, NaN for the last if it was not finite, and last rate.
EpochLosses: TypeAlias = Callable[[Optimizer], Generator[tuple[float, float], None, None]]


class EpochHook(Protocol):
    """Who is told of each epoch."""

    def begin(self) -> None:
        """Hear that an epoch begins."""

    def end(self, engine: Engine, state: TrainingState) -> bool:
        """Hear that it is over; return whether training is to stop."""


def batches_per_call(engine: Engine, batch_size: int, share: float = 1.0) -> int:
    """Return how many minibatches one compiled call may run, at least 1.

    `share` is that of a row of the network which a row of a minibatch is.
    """
    network = engine.network
    products = share * (engine.work_per_row + sum(network.sizes[1:]))
    per_row = _WORK_PER_PRODUCT * products + _WORK_PER_ROW
    per_batch = batch_size * per_row + _WORK_PER_PARAMETER * network.n_parameters
    return max(1, int((engine.work_per_call or WORK_PER_CALL) / per_batch))


def train_epoch(
    engine: Engine,
    dataset: Any,
    state: TrainingState,
    plan: EpochPlan,
    optimizer: Optimizer,
    call_size: int,
    sample_weight: Array | None,
    rates: StepRates,
) -> float:
    """Run one epoch.

    Returns
    -------
    loss : float
        Mean over the rows trained on of their minibatch's loss, NaN if some loss was not finite.
    """
    windows = windows_of(dataset)
    order = state.order if windows is None else windows.order(state.order, plan.batch_size)
    if state.n_rows is None:
        pieces = [(dataset, order, sample_weight)]
        return _train_pieces(pieces, engine, state, plan, optimizer, call_size, rates)
    with contextlib.closing(dataset.epoch(state.rng, plan.batch_size)) as found:
        return _train_pieces(found, engine, state, plan, optimizer, call_size, rates)


def _train_pieces(
    pieces: Iterable[tuple[Any, NDArray[np.int64], Array | None]],
    engine: Engine,
    state: TrainingState,
    plan: EpochPlan,
    optimizer: Optimizer,
    call_size: int,
    rates: StepRates,
) -> float:
    """Run an epoch whose rows are in one data set after the other; see `train_epoch`."""
    total, n_samples, begun = 0.0, 0, False
    for dataset, order, sample_weight in pieces:
        n_batches, skipped = -(-len(order) // plan.batch_size), 0
        for first in range(0, n_batches, call_size):
            if begun:
                stop_if_asked()
            begun = True
            last = min(first + call_size, n_batches)
            moving = _moving(sample_weight, order, plan.batch_size, first, last)
            optimizer.rates = rates.of(optimizer.t, last - first, state.solver.rate, moving)
            result = engine.train(
                dataset, order, plan.batch_size, optimizer, plan.alpha, first, last
            )
            if not result.finite:
                return math.nan
            total += result.loss
            skipped += result.skipped
        n_samples += len(order)
        if skipped:
            state.skipped_batches += skipped
            n_samples += _rows_trained(sample_weight, order, plan.batch_size) - len(order)
    return float(total / n_samples) if n_samples else 0.0


def windows_of(dataset: Any) -> Any:
    """Return what says how series are gone through window by window; None where they are not."""
    return getattr(dataset, "windows", None)


def _rows_trained(sample_weight: Any, order: NDArray[np.int64], batch_size: int) -> int:
    """Return the number of rows in minibatches whose weights do not sum to zero."""
    starts = np.arange(0, len(order), batch_size)
    sizes = np.diff(np.append(starts, len(order)))
    return int(sizes[_weight_sums(sample_weight, order, batch_size) != 0].sum())


def _weight_sums(sample_weight: Any, order: NDArray[np.int64], batch_size: int) -> Any:
    """Return the sum of the weights of each minibatch."""
    return np.add.reduceat(sample_weight[order], np.arange(0, len(order), batch_size))


def _moving(
    sample_weight: Array | None,
    order: NDArray[np.int64],
    batch_size: int,
    first: int,
    last: int,
) -> Callable[[], NDArray[np.bool_]] | None:
    """Return what says which of the minibatches have weight; None where all do."""
    if sample_weight is None:
        return None
    rows = order[first * batch_size : last * batch_size]
    return lambda: np.asarray(_weight_sums(sample_weight, rows, batch_size) != 0)


def run_epochs(
    engine: Engine,
    dataset: Any,
    state: TrainingState,
    plan: EpochPlan,
    sample_weight: Array | None = None,
    hook: EpochHook | None = None,
    checkpoint: Checkpoint | None = None,
    epochs: EpochLosses | None = None,
) -> None:
    """Train until a plateau, the last epoch, a loss that is not finite, or Ctrl-C.

    Parameters
    ----------
    engine : engine
        Holds the parameters, which are updated in place; in the end their averages, if the solver
        keeps such.
    dataset : object
        What ``engine.dataset`` returned for the training rows, or `BlockedRows`.
    state : TrainingState
        Updated in place; its flags tell how the run ended.
    plan : EpochPlan
        The settings.
    sample_weight : ndarray of shape (n_samples,) or None
        The weights in `dataset`, needed only to count rows where minibatches were skipped.
    hook : object or None
        Its ``begin()`` is called before each epoch and its ``end(engine, state)`` after; if that
        returns true, training stops.
    checkpoint : Checkpoint or None
        Told when an epoch is over and everything about it is settled.
    epochs : callable or None
        Called with the optimizer, returns what yields each epoch's loss and last rate after it has
        been run; by default one after the other in the engine, on `dataset`.

    Warns
    -----
    ConvergenceWarning
        If `plan.max_epochs` epochs went by without a plateau.
    UserWarning
        If Ctrl-C ended the run, also that of a whole crew of members. The parameters are those of
        the last minibatch done.
    """
    optimizer = state.solver.start(engine)
    if windows_of(dataset) is not None:
        sample_weight = None  # no minibatch is skipped
    watched = bool(plan.verbose) or hook is not None or checkpoint is not None
    watched, interrupts = watched or epochs_are_logged(), Interrupts()
    losses = (
        _epoch_losses(engine, dataset, state, plan, optimizer, sample_weight, watched, interrupts)
        if epochs is None
        else epochs(optimizer)
    )
    try:
        if not state.converged:  # else a checkpoint says that this run has ended
            with contextlib.closing(losses):
                ended = _epochs(losses, engine, state, plan, optimizer, hook, checkpoint)
            interrupts.deliver()
            if not (ended or plan.ends_by_itself):
                _warn_of_the_last_epoch(plan)
    except KeyboardInterrupt as reason:
        state.interrupted = True
        if not (state.epoch or math.isfinite(state.monitor.best)):
            state.monitor.restore = False  # nothing was scored yet: better this than the start
        interrupted(reason)
    finally:
        engine.release()  # before the optimizer's arrays are copied out
        state.solver.keep(optimizer, engine)


@contextlib.contextmanager
def averaged(engine: Engine, optimizer: Optimizer) -> Iterator[None]:
    """Have an engine hold the averages of its parameters in the block, where there are such."""
    averages = averages_of(optimizer, engine)
    if averages is None:
        yield
        return
    parameters = engine.unpack()
    engine.pack(averages)
    try:
        yield
    finally:
        engine.pack(parameters)


def _as_it_is(engine: Engine, optimizer: Optimizer) -> contextlib.nullcontext[None]:
    """Have an engine hold its parameters themselves."""
    return _NOTHING


_NOTHING: contextlib.nullcontext[None] = contextlib.nullcontext()


def _epochs(
    losses: Iterator[tuple[float, float]],
    engine: Engine,
    state: TrainingState,
    plan: EpochPlan,
    optimizer: Optimizer,
    hook: EpochHook | None,
    checkpoint: Checkpoint | None,
) -> bool:
    """Train; return whether something else than the last epoch ended that."""
    solver, monitor = state.solver, state.monitor
    table = EpochTable() if plan.verbose == 2 else None
    verbose = bool(plan.verbose) and table is None
    holding = averaged if "average" in solver.options else _as_it_is
    while state.epoch < plan.max_epochs:
        if hook is not None:
            hook.begin()
        loss, rate = next(losses)
        state.record(loss, rate)
        if verbose:
            print(f"Iteration {state.epoch:d}, loss = {loss:.8f}")
        if loss != loss:  # NaN
            state.diverged = True
            monitor.on_divergence(verbose)
            return True
        with holding(engine, optimizer):
            monitor.after_epoch(engine, loss, verbose)
        _tell(state, table, loss, rate)
        solver.after_epoch(state.samples_seen)
        stop = False
        if hook is not None:
            with holding(engine, optimizer):
                stop = hook.end(engine, state)
        if monitor.on_plateau and _stops(monitor, solver, plan.verbose):
            state.converged = True
        else:
            optimizer.learning_rate = solver.rate
        over = state.converged or stop or plan.single_epoch
        if checkpoint is not None:
            checkpoint.after_epoch(engine, state, optimizer, over or state.epoch == plan.max_epochs)
        if over:
            return True
    return False


def _warn_of_the_last_epoch(plan: EpochPlan) -> None:
    warn(
        f"Stochastic Optimizer: Maximum iterations ({plan.max_epochs:d}) "
        "reached and the optimization hasn't converged yet.",
        ConvergenceWarning,
    )


def _tell(state: TrainingState, table: EpochTable | None, loss: float, rate: float) -> None:
    """Print and log what came of an epoch."""
    score, loss_now = state.monitor.score_now, state.monitor.loss_now
    if table is not None:
        table.row(state.epoch, loss, score, rate, loss_now)
    log_epoch(
        state.epoch, loss, learning_rate=rate, validation_score=score, validation_loss=loss_now
    )


def _epoch_losses(
    engine: Engine,
    dataset: Any,
    state: TrainingState,
    plan: EpochPlan,
    optimizer: Optimizer,
    sample_weight: Array | None,
    watched: bool,
    interrupts: Interrupts,
) -> Generator[tuple[float, float], None, None]:
    """Run epochs and yield each one's loss, NaN for the last if it was not finite, and last rate.

    Where nobody looks at the network in between, several are run in one call, and Ctrl-C waits
    until all of them are accounted for. The caller has to deliver one that came among the last.
    """
    run = _Run(engine, dataset, state, plan, optimizer, sample_weight)
    n_samples, most = state.n_rows_of_epoch, 1 if watched else run.most_at_once()
    orders = np.empty((most if most > 1 else 0, n_samples), np.int64)
    begun = False
    while True:
        if begun:
            stop_if_asked()
        begun = True
        ahead = min(most, plan.max_epochs - state.epoch, _epochs_alike(state, state.monitor.count))
        if ahead <= 1:
            yield run.epoch()
            continue
        with interrupts:
            yield from run.epochs(orders[:ahead])
        interrupts.deliver()


class _Run:
    """What the epochs of one run have in common."""

    def __init__(
        self,
        engine: Engine,
        dataset: Any,
        state: TrainingState,
        plan: EpochPlan,
        optimizer: Optimizer,
        sample_weight: Array | None,
    ) -> None:
        self.engine, self.dataset, self.state, self.plan = engine, dataset, state, plan
        self.optimizer, self.sample_weight = optimizer, sample_weight
        self.windows, share = windows_of(dataset), 1.0
        self.n_batches = -(-state.n_rows_of_epoch // plan.batch_size)
        if self.windows is not None:
            self.n_batches = self.windows.count_batches(state.order, plan.batch_size)
            share = self.windows.points / engine.network.shape[1]
        schedule, warmup = state.solver.schedule, state.solver.warmup
        self.rates = StepRates(schedule, warmup, plan.max_epochs, self.n_batches)
        self.call_size = batches_per_call(engine, plan.batch_size, share)
        # The same swaps as shuffling a fresh range and indexing the last order with it. Rows in
        # blocks draw their order themselves.
        shuffles = plan.shuffle and state.n_rows is None
        self.shuffle: Callable[[Any], None] = state.rng.shuffle if shuffles else _leave

    def most_at_once(self) -> int:
        """Return how many epochs one call may run."""
        state, plan, n_samples = self.state, self.plan, self.state.n_rows_of_epoch
        whole = self.windows is None and self.sample_weight is None and state.n_rows is None
        if not (n_samples and whole) or plan.single_epoch:
            return 1
        most = min(self.call_size // self.n_batches, ROWS_AHEAD // n_samples)
        return min(most, plan.max_epochs - state.epoch, _epochs_alike(state, 0))

    def epoch(self) -> tuple[float, float]:
        """Run one epoch and return its loss and last rate."""
        state, optimizer = self.state, self.optimizer
        self.shuffle(state.order)
        loss = train_epoch(
            self.engine,
            self.dataset,
            state,
            self.plan,
            optimizer,
            self.call_size,
            self.sample_weight,
            self.rates,
        )
        given = optimizer.rates
        return loss, optimizer.learning_rate if given is None else float(given[-1])

    def epochs(self, orders: NDArray[np.int64]) -> list[tuple[float, float]]:
        """Run epochs in one call, with a place for the order of each; return losses and rates."""
        state, plan, optimizer, n_batches = self.state, self.plan, self.optimizer, self.n_batches
        n_samples = state.n_rows_of_epoch
        optimizer.rates = self.rates.of(optimizer.t, len(orders) * n_batches, state.solver.rate)
        for order in orders:
            self.shuffle(state.order)
            order[:] = state.order
        totals = self.engine.train_epochs(
            self.dataset, orders, plan.batch_size, optimizer, plan.alpha
        )
        rates: Any = itertools.repeat(optimizer.learning_rate)
        if optimizer.rates is not None:  # those of all steps
            rates = optimizer.rates[n_batches - 1 :: n_batches].tolist()
        means = [total / n_samples if math.isfinite(total) else math.nan for total in totals]
        return [*zip(means, rates)]


def _leave(order: Any) -> None:
    """Shuffle nothing."""


def _epochs_alike(state: TrainingState, count: int) -> int:
    """Return after how many epochs training may stop or change its rate at the earliest.

    `count` is the number of epochs without an improvement so far.
    """
    if not isinstance(state.monitor, LossMonitor) or not state.solver.schedule.steady:
        return 1
    if state.monitor.watch is not None or state.monitor.restore:
        return 1
    return int(min(state.monitor.patience, ROWS_AHEAD)) + 1 - count


def _stops(monitor: Monitor, solver: StochasticSolver, verbose: int) -> bool:
    """Answer a plateau by the solver's schedule; return whether training is to stop."""
    action = solver.on_plateau()
    if verbose:
        print(monitor.plateau_text() + action.text)
    if not action.stop:
        monitor.count = 0
    return action.stop
