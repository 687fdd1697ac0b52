"""The last layer of a network alone, on values of the layer below that stay as they are.

That is a linear model: its usual losses are convex, so that it needs no start and no rate.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nnjit._types import Array
from nnjit.backends import select
from nnjit.estimators._arrays import pack_parameters, unpack_parameters
from nnjit.layers.dense.spec import Dense
from nnjit.layers.network import Network
from nnjit.training.lbfgs import IterationHook, minimize_lbfgs, objective_of

__all__ = ["OutputLayer", "fit_output_layer"]

_CHUNK = 8192  # rows


class OutputLayer(NamedTuple):
    """A fitted output layer; its loss and `by_user` are those of `LbfgsOutcome`."""

    weights: Array
    biases: Array
    loss: float | None
    n_iter: int
    by_user: bool = False


def fit_output_layer(
    hidden: Array,
    target: Array,
    network: Network,
    start: tuple[Array, Array],
    *,
    alpha: float,
    sample_weight: Array | None,
    max_iter: int,
    max_fun: int,
    tol: float,
    verbose: int = 0,
    hook: IterationHook | None = None,
) -> OutputLayer:
    r"""Minimize the loss over the weights and biases of the last layer.

    .. math:: \frac{1}{\sum_i w_i} \sum_i w_i \ell(y_i, h_i W + b)
              + \frac{\alpha}{2 \sum_i w_i} \|W\|^2

    The squared error of an identity output has a closed form (ridge regression); what else there
    is, is minimized by L-BFGS.

    Parameters
    ----------
    hidden : ndarray of shape (n_samples, n_hidden)
        Values h of the layer below.
    target : ndarray
        As an engine takes it.
    network : Network
        Whose last layer it is; says the loss and the output activation.
    start : tuple of ndarray
        Weights and biases that L-BFGS begins with, of the type of `hidden`.
    alpha : float
        L2 penalty of the weights.
    sample_weight : ndarray of shape (n_samples,) or None
    max_iter, max_fun, tol, verbose, hook
        Of L-BFGS; see `minimize_lbfgs`.

    Returns
    -------
    OutputLayer
        Arrays of the type of `hidden`.
    """
    if (network.loss, network.output) == ("squared_error", "identity"):
        return _ridge(hidden, target, alpha, sample_weight)
    output = Dense(network.outputs, "identity")
    linear = replace(network, inputs=hidden.shape[1], layers=(output,), shape=())
    engine = select.make_engine(linear, hidden.dtype)
    try:
        outcome = minimize_lbfgs(
            objective_of(engine, engine.dataset(hidden, target, sample_weight), alpha),
            pack_parameters(linear, start),
            max_iter=max_iter,
            max_fun=max_fun,
            tol=tol,
            verbose=verbose,
            hook=hook,
        )
    finally:
        engine.release()
    weights, biases = unpack_parameters(linear, outcome.parameters, hidden.dtype)
    return OutputLayer(weights, biases, outcome.loss, outcome.n_iter, outcome.by_user)


def _ridge(hidden: Array, target: Array, alpha: float, sample_weight: Array | None) -> OutputLayer:
    """Solve (H^T w H + alpha n_outputs I) W = H^T w Y for centred H and Y, in float64."""
    w = np.ones(len(hidden)) if sample_weight is None else sample_weight.astype(np.float64)
    total = w.sum()
    h_mean = (w @ hidden.astype(np.float64, copy=False)) / total
    y_mean = (w @ target.astype(np.float64, copy=False)) / total
    gram, moments = np.zeros((len(h_mean), len(h_mean))), np.zeros((len(h_mean), len(y_mean)))
    error = 0.0
    for start in range(0, len(hidden), _CHUNK):
        rows = slice(start, start + _CHUNK)
        h, y = hidden[rows] - h_mean, target[rows] - y_mean
        weighted = h * w[rows, np.newaxis]
        gram += weighted.T @ h
        moments += weighted.T @ y
        error += float(w[rows] @ np.square(y).sum(axis=1))
    weights = _solve(gram, moments, alpha * len(y_mean))
    # The sum of squares about the minimum, from the sums above.
    error += float((weights * (gram @ weights - 2 * moments)).sum())
    loss = (max(error, 0.0) / len(y_mean) + alpha * float(np.square(weights).sum())) / 2 / total
    biases = y_mean - h_mean @ weights
    return OutputLayer(weights.astype(hidden.dtype), biases.astype(hidden.dtype), loss, 1)


def _solve(gram: Array, moments: Array, penalty: float) -> Array:
    """Solve (gram + penalty I) W = moments; the shortest W where that has many solutions."""
    values, vectors = np.linalg.eigh(gram)
    floor = np.finfo(np.float64).eps * len(gram) * max(float(values[-1]), np.finfo(float).tiny)
    inverse = np.where(values > floor, 1 / (np.maximum(values, floor) + penalty), 0.0)
    solution: Array = vectors @ (inverse[:, np.newaxis] * (vectors.T @ moments))
    return solution
