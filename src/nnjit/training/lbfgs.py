"""Full-batch training by SciPy's L-BFGS-B."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from nnjit.training.progress import EpochTable


class LbfgsOutcome(NamedTuple):
    """Where the solver stopped: packed parameters, objective there, iterations done.

    The objective is None if the solver was interrupted before its first iterate.
    """

    parameters: np.ndarray
    loss: float | None
    n_iter: int


def minimize_lbfgs(engine, dataset, start, *, alpha, max_iter, max_fun, tol, verbose, hook=None):
    """Minimize the penalized loss over all rows.

    Parameters
    ----------
    engine, dataset : object
        Objective and gradient come from ``engine.loss_gradient``.
    start : ndarray of shape (n_parameters,)
        Packed parameters to begin with.
    alpha : float
        L2 penalty.
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
    from sklearn.utils.optimize import _check_optimize_result

    reached = _LastIterate(start, hook, EpochTable() if verbose == 2 else None)
    try:
        result = minimize(
            lambda packed: _objective(engine, packed, dataset, alpha, reached),
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
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=2)
        return LbfgsOutcome(reached.parameters, reached.loss, reached.n_iter)
    if reached.stopped:
        return LbfgsOutcome(reached.parameters, reached.loss, reached.n_iter)
    n_iter = _check_optimize_result("lbfgs", result, max_iter)
    return LbfgsOutcome(result.x, float(result.fun), n_iter)


class _LastIterate:
    """Remembers the solver's last accepted point, for when it is interrupted, and reports it."""

    def __init__(self, start, hook, table):
        self.hook, self.table = hook, table
        self.stopped = False
        self.parameters = np.array(start, dtype=np.float64)
        self.loss = None
        self.n_iter = 0
        self.evaluated_loss = None

    def accept(self, packed):
        self.parameters = np.array(packed)
        self.loss = self.evaluated_loss
        self.n_iter += 1
        if self.table is not None:
            self.table.row(self.n_iter, self.loss)
        if self.hook is not None and self.hook.iteration(self.parameters, self.loss, self.n_iter):
            self.stopped = True
            raise StopIteration  # SciPy's way to stop


def _objective(engine, packed, dataset, alpha, reached):
    loss, gradient = engine.loss_gradient(packed, dataset, alpha)
    # An iterate is accepted right after it was evaluated.
    reached.evaluated_loss = loss
    return loss, gradient


def _print_option(verbose):
    import scipy
    from sklearn.utils.fixes import parse_version

    if parse_version(scipy.__version__) >= parse_version("1.15"):
        return {}
    return {"iprint": 1 if verbose and verbose != 2 else -1}
