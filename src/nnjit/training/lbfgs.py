"""Full-batch training by SciPy's L-BFGS-B."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from nnjit._logging import log_epoch
from nnjit._types import Array
from nnjit._warnings import warn
from nnjit.training.blas import single_threaded_blas
from nnjit.training.members import Stopped, interrupted, stop_if_asked
from nnjit.training.progress import EpochTable

# Loss and its gradient, the penalty included, at packed parameters.
Objective: TypeAlias = Callable[[Array], tuple[float, Array]]


class LbfgsOutcome(NamedTuple):
    """Where the solver stopped: packed parameters, objective there, iterations done.

    The objective is None if the solver was interrupted before its first iterate; `by_user` says
    whether it was by Ctrl-C.
    """

    parameters: Array
    loss: float | None
    n_iter: int
    by_user: bool = False


class HasLoss(Protocol):
    """What has a loss to minimize: an engine, or one over rows in blocks."""

    def loss_gradient(self, packed: Array, dataset: Any, alpha: float) -> tuple[float, Array]:
        """Return the loss over all samples and its gradient at the packed parameters."""


class IterationHook(Protocol):
    """Who is told of each iteration."""

    def iteration(self, packed: Array, loss: float, n_iter: int) -> bool:
        """Return whether the solver is to stop."""


def objective_of(engine: HasLoss, dataset: Any, alpha: float) -> Objective:
    """Return the penalized loss over all rows of a data set that an engine made."""
    return lambda packed: engine.loss_gradient(packed, dataset, alpha)


def minimize_lbfgs(
    objective: Objective,
    start: Array,
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
    verbose: int,
    hook: IterationHook | None = None,
) -> LbfgsOutcome:
    """Minimize the penalized loss over all rows.

    Parameters
    ----------
    objective : callable
        Of the packed parameters, a vector; returns the loss and its gradient, both float64.
    start : ndarray of shape (n_parameters,)
        Packed parameters to begin with.
    max_iter, max_fun : int
        Bounds on the iterations and on the evaluations.
    tol : float
        The solver stops when the largest component of the gradient is below it.
    verbose : bool or int
        2 prints a table; any other level is passed to SciPy where it prints (before 1.15).
    hook : object or None
        Its ``iteration(parameters, loss, n_iter)`` is called after each iteration; if that
        returns true, the solver stops.

    Returns
    -------
    LbfgsOutcome

    Warns
    -----
    ConvergenceWarning
        If a bound was reached first.
    UserWarning
        If a KeyboardInterrupt ended the run; the outcome is the last iterate.
    """
    from scipy.optimize import minimize

    reached = _LastIterate(start, hook, EpochTable() if verbose == 2 else None)
    try:
        with single_threaded_blas():
            result = minimize(
                lambda packed: _evaluate(objective, packed, reached),
                np.asarray(start, dtype=np.float64),
                method="L-BFGS-B",
                jac=True,
                callback=reached.accept,
                options={
                    "maxfun": max_fun,
                    "maxiter": max_iter,
                    "gtol": tol,
                    **_print_option(verbose),
                },
            )
    except KeyboardInterrupt as reason:
        interrupted(reason)
        by_user = not isinstance(reason, Stopped)
        return LbfgsOutcome(reached.parameters, reached.loss, reached.n_iter, by_user)
    if reached.stopped:
        return LbfgsOutcome(reached.parameters, reached.loss, reached.n_iter)
    if result.status != 0:
        warn(_failure(result, max_iter), ConvergenceWarning)
    return LbfgsOutcome(result.x, float(result.fun), int(result.nit))


def _failure(result: Any, max_iter: int) -> str:
    """Return what scikit-learn says of a SciPy result that is not a minimum."""
    more = ""
    if result.nit == max_iter:
        more = (
            f"\nIncrease the number of iterations to improve the convergence (max_iter={max_iter})."
        )
    return (
        f"lbfgs failed to converge after {result.nit} iteration(s) (status={result.status}):\n"
        f"{result.message}\n{more}\n"
        "You might also want to scale the data as shown in:\n"
        "    https://scikit-learn.org/stable/modules/preprocessing.html"
    )


class _LastIterate:
    """Remembers the solver's last accepted point, for when it is interrupted, and reports it."""

    def __init__(self, start: Array, hook: IterationHook | None, table: EpochTable | None) -> None:
        self.hook, self.table = hook, table
        self.stopped = False
        self.parameters = np.array(start, dtype=np.float64)
        self.loss: float | None = None
        self.n_iter = 0
        self.evaluated_loss = math.nan

    def accept(self, packed: Array) -> None:
        self.parameters = np.array(packed)
        loss = self.loss = self.evaluated_loss
        self.n_iter += 1
        if self.table is not None:
            self.table.row(self.n_iter, loss)
        log_epoch(self.n_iter, loss)
        if self.hook is not None and self.hook.iteration(self.parameters, loss, self.n_iter):
            self.stopped = True
            raise StopIteration  # SciPy's way to stop


def _evaluate(objective: Objective, packed: Array, reached: _LastIterate) -> tuple[float, Array]:
    if reached.n_iter:
        stop_if_asked()
    loss, gradient = objective(packed)
    # An iterate is accepted right after it was evaluated.
    reached.evaluated_loss = loss
    return loss, gradient


def _print_option(verbose: int) -> dict[str, int]:
    import scipy
    from sklearn.utils.fixes import parse_version

    if parse_version(scipy.__version__) >= parse_version("1.15"):
        return {}
    return {"iprint": 1 if verbose and verbose != 2 else -1}
