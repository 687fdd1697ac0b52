"""How a network is trained, whatever it is and whatever its target: what a fit leaves to solvers.

Glue only. Initialization, schedules, stopping, the loop and L-BFGS are in `nnjit.training`.
"""

from __future__ import annotations

import inspect
import operator
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from nnjit._types import Array
from nnjit._warnings import warn
from nnjit.estimators._advice import advise_on_classes, advise_on_input, advise_on_outcome
from nnjit.estimators._arrays import pack_parameters, unpack_parameters
from nnjit.estimators._callbacks import current_report
from nnjit.estimators._checkpoint import open_checkpoint, refuse_checkpoint
from nnjit.estimators._fitted_network import FittedNetwork
from nnjit.estimators._training_call import RowsInMemory, TrainingCall
from nnjit.estimators._validation import weights_of_rows
from nnjit.estimators._watching import ValidationRows, held_out_rows, make_watch
from nnjit.formulas import SOLVERS, find_solver, offered_solvers
from nnjit.layers.network import Network
from nnjit.training.engine import Engine
from nnjit.training.lbfgs import Objective, minimize_lbfgs, objective_of
from nnjit.training.loop import run_epochs
from nnjit.training.reading import are_read
from nnjit.training.solvers import SCIKIT_LEARNS, StochasticSolver, draw_seed, make_solver
from nnjit.training.state import EpochPlan, TrainingState
from nnjit.training.stopping import LossMonitor, Monitor, ScoreMonitor
from nnjit.training.validation import Rows, ValidationSplit, split_rows

if TYPE_CHECKING:
    from nnjit.training.checkpoint import Checkpoint

NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may"
    " contain large values and need to be preprocessed."
)

# Where an estimator's parameter has another name than the hyperparameter of a solver's entry.
_PARAMETER_OF = {"nesterov": "nesterovs_momentum"}


class TrainableNetwork(FittedNetwork):
    """A network whose parameters a solver moves; see `NetworkEstimator`."""

    # What does not go together

    def _check_solver(self) -> bool:
        if self.solver not in offered_solvers():
            raise AttributeError(
                "partial_fit is only available for stochastic"
                f" optimizers. {self.solver} is not stochastic."
            )
        return True

    def _check_solver_options(self) -> None:
        """Refuse options that do not go with the solver, or with each other."""
        self._solver_entry()
        options = self._solver_options()
        if self.solver not in SOLVERS:
            declared = inspect.signature(type(self)).parameters  # a default is nothing asked for
            for name, value in options.items():
                if name in declared and value == declared[name].default:
                    continue
                raise ValueError(
                    f"{name} needs a stochastic solver, got {name}={value!r} with "
                    f"solver={self.solver!r}."
                )
        if {"clip_norm", "clip_value"} <= options.keys():
            raise ValueError(
                "Only one of clip_norm and clip_value can be given, got "
                f"clip_norm={self.clip_norm!r} and clip_value={self.clip_value!r}."
            )

    def _check_schedule(self) -> None:
        """Refuse a schedule where there are no steps.

        scikit-learn's own are not looked at, nor is a default.
        """
        if self.solver in SOLVERS:
            return
        ignored = {"learning_rate": SCIKIT_LEARNS, "warmup": (0,)}
        declared = inspect.signature(type(self)).parameters  # a default is nothing asked for
        for name, values in ignored.items():
            if getattr(self, name) not in (*values, declared[name].default):
                raise ValueError(
                    f"{name} needs a stochastic solver, got {name}={getattr(self, name)!r} with "
                    f"solver={self.solver!r}."
                )

    def _random_option(self) -> str:
        """Return what makes the network draw at random, as the user wrote it."""
        layers = enumerate(self._give_parameters()[0].layers)
        return next(f"layers_[{i}], {one}" for i, one in layers if getattr(one, "random", False))

    def _refuse_for_lbfgs(self, network: Network) -> None:
        """Refuse layers whose gradients are not those of one function of the weights."""
        if network.is_random:
            raise ValueError(
                f"solver='lbfgs' cannot be used with {self._random_option()}, which draws anew in "
                "every step."
            )
        if network.joins_rows:
            way_out = "" if network.shape else "; normalization='layer' can"
            raise ValueError(
                "solver='lbfgs' cannot be used with normalization='batch', whose statistics are "
                f"those of minibatches{way_out}."
            )
        if any(getattr(layer, "truncate", None) for layer in network.layers):
            raise ValueError(
                "solver='lbfgs' cannot be used with truncate, which leaves out a part of the "
                "gradient that it follows."
            )

    # All rows at once

    def _train_lbfgs(self, call: TrainingCall) -> None:
        refuse_checkpoint(self)
        self._refuse_for_lbfgs(self._give_parameters()[0])
        engine = self._make_engine()
        try:
            if are_read(call.X):
                from nnjit.estimators._blocked_fit import objective_in_blocks

                objective = objective_in_blocks(engine, call, self.alpha)
            else:
                dataset = engine.dataset(call.X, call.target, call.sample_weight)
                objective = objective_of(engine, dataset, self.alpha)
            self._minimize(engine, objective)
        finally:
            engine.release()

    def _minimize(self, engine: Engine, objective: Objective) -> None:
        """Set the parameters, which an engine of the network has, to those of the least loss."""
        network = engine.network
        outcome = minimize_lbfgs(
            objective,
            pack_parameters(network, self._give_parameters()[1]),
            max_iter=self.max_iter,
            max_fun=self.max_fun,
            tol=self.tol,
            verbose=self.verbose,
            hook=current_report(self),
        )
        self.n_iter_ = outcome.n_iter
        if outcome.loss is not None:
            if not np.isfinite(outcome.loss):
                raise ValueError(
                    f"{NON_FINITE} The loss is not finite. {self._divergence_advice()}"
                )
            self.loss_ = outcome.loss
        self._take_parameters(unpack_parameters(network, outcome.parameters, engine.dtype))

    # Minibatches

    def _train_stochastic(self, call: TrainingCall) -> None:
        if self.early_stopping and call.incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        engine = self._make_engine()
        rows, watched, checkpoint = self._divide(call, engine.network)
        monitor = self._make_monitor(engine, call._replace(watched=watched))
        state = self._begun(engine, monitor, rows.order, call.incremental, rows.n_rows)
        plan = self._plan(state.n_rows_of_epoch, call.incremental)
        if state.solver.parameters is not None:
            engine.pack(state.solver.parameters)
        if checkpoint is not None:
            checkpoint.resume(engine, state)
            self._random_state = state.rng
        dataset = rows.dataset(engine, plan.shuffle)
        if not call.incremental:
            advise_on_input(self, call.X)
            advise_on_classes(self, call.target, rows.numbers, call.sample_weight)
        report = None if call.incremental else current_report(self)
        row_weight = weights_of_rows(call.sample_weight)
        run_epochs(engine, dataset, state, plan, row_weight, report, checkpoint)
        self._take_over(engine, state)
        if not (call.incremental or state.diverged):
            losses = state.loss_curve[len(state.loss_curve) - state.epoch :]
            advise_on_outcome(self, engine, call.X, losses)

    def _divide(
        self, call: TrainingCall, network: Network
    ) -> tuple[Any, ValidationRows | None, Checkpoint | None]:
        """Return the rows to train on, those to validate on, and the checkpoint of the fit."""
        if self.shuffle == "blocks" or are_read(call.X):
            from nnjit.estimators._blocked_fit import divide, rows_in_blocks

            read = rows_in_blocks(call.X, network)
            checkpoint = self._open_checkpoint(call._replace(X=read))
            return *divide(self, call, read, checkpoint), checkpoint
        checkpoint, watched = self._open_checkpoint(call), call.watched
        X, target, sample_weight = call[:3]
        order = np.arange(X.shape[0])
        if self.early_stopping and watched is None:
            row_weight = weights_of_rows(sample_weight)
            rows, held_out = self._hold_out(target, row_weight, checkpoint)
            order = rows.astype(np.int64)
            watched = held_out_rows(X, target, sample_weight, held_out, call.given)
        return RowsInMemory(call, order), watched, checkpoint

    def _open_checkpoint(self, call: TrainingCall) -> Checkpoint | None:
        return None if call.incremental else open_checkpoint(self, call)

    def _begun(
        self,
        engine: Engine,
        monitor: Monitor,
        order: Any,
        incremental: bool,
        n_rows: int | None = None,
    ) -> TrainingState:
        """Return the state in which a run begins, going on from the last one where there was one.

        `n_rows` are those of an epoch where `order` does not tell.
        """
        solver = self._make_solver(incremental)
        if engine.network.is_random and not solver.seed:  # partial_fit goes on with its own
            solver.seed = draw_seed(self._random_state)
        return TrainingState(
            rng=self._random_state,
            solver=solver,
            monitor=monitor,
            order=order,
            samples_seen=getattr(self, "t_", 0),
            loss_curve=list(getattr(self, "loss_curve_", ())),
            rate_curve=self._rate_curve(solver),
            skipped_batches=getattr(self, "n_skipped_batches_", 0) if incremental else 0,
            n_rows=n_rows,
        )

    def _plan(self, n_rows: int, incremental: bool) -> EpochPlan:
        """Return how epochs over so many rows go."""
        return EpochPlan(
            batch_size=self._minibatch_rows(n_rows),
            alpha=self.alpha,
            shuffle=bool(self.shuffle),
            max_epochs=self.max_iter,
            single_epoch=incremental,
            # partial_fit does not validate parameters again: anything true may be here.
            verbose=int(self.verbose if isinstance(self.verbose, Integral) else bool(self.verbose)),
            ends_by_itself=self._ends_by_itself(),
        )

    def _minibatch_rows(self, n_samples: int) -> int:
        if self.batch_size == "auto":
            return min(200, n_samples)
        batch_size = operator.index(self.batch_size)  # partial_fit does not validate it again
        if batch_size > n_samples:
            warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped"
            )
        return int(np.clip(batch_size, 1, max(n_samples, 1)))

    def _ends_by_itself(self) -> bool:
        """Whether a fit that takes all epochs is as it should be, and nothing to warn of."""
        return False

    def _rate_curve(self, solver: StochasticSolver) -> list[float] | None:
        """Return the rates recorded so far, None where none are to be recorded."""
        kept = getattr(self, "learning_rate_curve_", None)
        return None if kept is None and not solver.varies else list(kept or ())

    def _make_solver(self, incremental: bool) -> StochasticSolver:
        if incremental and hasattr(self, "_optimizer"):
            return self._optimizer.copy()
        entry = self._solver_entry()
        hyperparameters = {
            name: self._number(_PARAMETER_OF.get(name, name), default)
            for name, default in find_solver(entry).hyperparameters.items()
        }
        return make_solver(
            entry,
            learning_rate_init=self.learning_rate_init,
            learning_rate=self.learning_rate,
            power_t=self.power_t,
            options=self._solver_options(),
            warmup=self.warmup,
            learning_rate_decay=self.learning_rate_decay,
            learning_rate_step=self.learning_rate_step,
            **hyperparameters,
        )

    def _number(self, name: str, default: Any) -> Any:
        """Return the parameter of a name if there is one and it is a number, else the default."""
        value = getattr(self, name, default)
        return value if isinstance(value, Real) else default

    def _leave_averages(self) -> None:
        """Have the solver go on from what has been assigned since the averages were fitted.

        Where nothing has, it goes on from the parameters that its last step reached.
        """
        solver: StochasticSolver | None = getattr(self, "_optimizer", None)
        if solver is None or solver.arrays is None or solver.parameters is None:
            return
        network, given = self._give_parameters()
        average = solver.arrays["vectors"]["average"]
        if len(average) == network.n_parameters:  # else something has, of another shape
            averages = unpack_parameters(network, average, average.dtype)
            trained = [parameter.trained for _, parameter in network.parameters()]
            left = [a if own else p for a, own, p in zip(averages, trained, given)]
            # the attributes: of what they hold a parameter may be another function
            fitted = self._as_attributes(left)
            if all(_equal(value, getattr(self, name)) for name, value in fitted.items()):
                return
        self._optimizer = solver.copy()
        self._optimizer.average_from(pack_parameters(network, given))

    # Rows that are held out, and what watches them

    def _hold_out(
        self, target: Array, sample_weight: Array | None, checkpoint: Checkpoint | None
    ) -> Rows:
        """Return training and validation rows; a warm start finds those of the last fit again.

        Rows of weight 0 are in neither.
        """
        if checkpoint is None:
            rows, held_out = self._draw_split(target, sample_weight)
        else:
            rows, held_out = checkpoint.split(lambda: self._draw_split(target, sample_weight))
        if not self._keeps_split(target):
            self._validation_split = ValidationSplit(held_out, len(target))
        return rows, held_out

    def _keeps_split(self, target: Array) -> bool:
        kept: ValidationSplit | None = getattr(self, "_validation_split", None)
        return kept is not None and kept.n_samples == len(target)

    def _draw_split(self, target: Array, sample_weight: Array | None) -> Rows:
        if self._keeps_split(target):
            return self._validation_split.rows(sample_weight)
        return split_rows(
            len(target),
            self.validation_fraction,
            self._random_state,
            labels=self._stratification(target),
            sample_weight=sample_weight,
        )

    def _make_monitor(self, engine: Engine, call: TrainingCall) -> Monitor:
        """Return what watches for a plateau, going on from the last call where there was one."""
        incremental, watched = call.incremental, call.watched
        # After a plateau a further fit has the full patience again.
        restart = getattr(self, "_converged", False) and not incremental
        count = 0 if restart else getattr(self, "_no_improvement_count", 0)
        scores, losses = (
            getattr(self, name, None) for name in ("validation_scores_", "validation_loss_curve_")
        )
        watch = None if watched is None else make_watch(self, engine, watched, scores, losses)
        if watch is None or not self.early_stopping:
            best = getattr(self, "best_loss_", None)
            if restart or best is None:
                best = np.inf
            keeps = self.restore_best == "loss" and not incremental
            weights = self._give_parameters()[1] if keeps else None
            return LossMonitor(self.tol, self.n_iter_no_change, best, count, watch, weights)
        monitor = ScoreMonitor(
            watch,
            self.tol,
            self.n_iter_no_change,
            best_weights=self._give_parameters()[1],
            count=count,
            restore=bool(self.restore_best),
        )
        if not call.fresh:
            # The weights that are there are the ones to beat, on these rows.
            score, _ = watch.evaluate(engine)
            monitor.best = score if np.isfinite(score) else -np.inf
        return monitor

    # What comes of it

    def _take_over(self, engine: Engine, state: TrainingState) -> None:
        """Set the fitted attributes from a run that has ended."""
        monitor = state.monitor
        self.n_iter_ = state.epoch
        self.t_ = state.samples_seen
        self.loss_curve_ = state.loss_curve
        if state.loss is not None:
            self.loss_ = state.loss
        self.n_skipped_batches_ = state.skipped_batches
        self._optimizer = state.solver
        self._no_improvement_count = monitor.count
        self._converged = state.converged
        self.learning_rate_curve_ = state.rate_curve
        watch = monitor.watch
        self.validation_scores_ = None if watch is None else watch.scores
        self.validation_loss_curve_ = None if watch is None else watch.curve
        scored = isinstance(monitor, ScoreMonitor)
        self.best_validation_score_ = monitor.best if scored else None
        self.best_loss_ = None if scored else monitor.best
        best = monitor.best_weights if monitor.restore else None
        self._take_parameters(engine.unpack() if best is None else best)
        if state.diverged:
            self._report_divergence(state)
        elif scored and state.epoch and not np.isfinite(monitor.best):
            warn(
                "No epoch could be scored: the outputs for the validation rows overflow. The "
                f"weights are the {'initial' if monitor.restore else 'last'} ones. "
                f"{self._divergence_advice()}",
                ConvergenceWarning,
            )

    def _report_divergence(self, state: TrainingState) -> None:
        where = f"The loss was not finite in epoch {state.epoch}."
        scored = isinstance(state.monitor, ScoreMonitor)
        if not state.monitor.restore or not (scored or np.isfinite(state.monitor.best)):
            raise ValueError(f"{NON_FINITE} {where} {self._divergence_advice()}")
        restored = (
            "The weights of the best epoch before it are restored."
            if np.isfinite(state.monitor.best)
            else "No epoch before it could be scored; the weights are the initial ones."
        )
        warn(
            f"Training has diverged. {where} {restored} {self._divergence_advice()}",
            ConvergenceWarning,
        )

    def _divergence_advice(self) -> str:
        if self.solver == "lbfgs":
            return "Scale the inputs (and the targets of a regression)."
        return (
            "Scale the inputs (and the targets of a regression) or lower learning_rate_init "
            f"(now {self.learning_rate_init})."
        )


def _equal(value: Any, other: Any) -> bool:
    """Whether two fitted attributes, arrays or lists or dicts of these, hold the same numbers."""
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(
            _equal(one, other[k]) for k, one in value.items()
        )
    if isinstance(value, list):
        return len(value) == len(other) and all(map(_equal, value, other))
    return np.array_equal(value, other)
