"""Scores of a network's output on validation rows that are known beforehand.

Each class does once what scikit-learn's metric functions do on every call (checks, encodings, the
denominator of R2), so that scoring after each epoch costs little more than the prediction. The
values equal those of scikit-learn's `accuracy_score`, `r2_score` and `d2_pinball_score`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import d2_pinball_score, mean_pinball_loss

from nnjit._types import Array, FloatArray
from nnjit.backends.dataset import points_there
from nnjit.formulas.registry import Loss, find_loss
from nnjit.training.engine import Engine
from nnjit.training.quantiles import uncrossed
from nnjit.training.reading import outputs_of


class ClassAccuracy:
    """Share of rows whose largest output is that of their class.

    Parameters
    ----------
    target : ndarray of int, shape (n_samples,)
        Class indices.
    sample_weight : ndarray of shape (n_samples,) or None
    """

    def __init__(self, target: Array, sample_weight: Array | None) -> None:
        self.target = target
        self.sample_weight = sample_weight

    def __call__(self, output: Array) -> float:
        """Return the score of `output`, shape (n_samples, n_classes)."""
        return float(np.average(output.argmax(axis=1) == self.target, weights=self.sample_weight))


class ColumnAccuracy:
    """Share of rows whose largest output among those of each column is that of their class.

    Parameters
    ----------
    target : ndarray of int, shape (n_samples, n_columns)
        Class indices.
    sizes : sequence of int
        Classes of each column, whose outputs follow one another.
    sample_weight : ndarray of shape (n_samples,) or None
    """

    def __init__(self, target: Array, sizes: Sequence[int], sample_weight: Array | None) -> None:
        self.target = target
        self.ends = np.cumsum(sizes)[:-1]
        self.sample_weight = sample_weight

    def __call__(self, output: Array) -> float:
        """Return the score of `output`, shape (n_samples, sum of the sizes)."""
        parts = np.split(output, self.ends, axis=1)
        chosen = np.stack([part.argmax(axis=1) for part in parts], axis=1)
        correct = (chosen == self.target).all(axis=1)
        return float(np.average(correct, weights=self.sample_weight))


class LabelAccuracy:
    """Share of rows in which every label is on the right side of 0.5.

    Parameters
    ----------
    target : ndarray of shape (n_samples, n_labels)
        Zeros and ones.
    sample_weight : ndarray of shape (n_samples,) or None
    """

    def __init__(self, target: Array, sample_weight: Array | None) -> None:
        self.target = target > 0.5
        self.sample_weight = sample_weight

    def __call__(self, output: Array) -> float:
        """Return the score of `output`, shape (n_samples, n_labels)."""
        correct = ((output > 0.5) == self.target).all(axis=1)
        return float(np.average(correct, weights=self.sample_weight))


class R2:
    r"""Coefficient of determination, averaged over the outputs.

    .. math:: 1 - \sum_i w_i (y_i - o_i)^2 / \sum_i w_i (y_i - \bar y)^2

    An output whose targets are all equal scores 1 if predicted exactly and 0 otherwise. A
    prediction that is not finite scores NaN. Computed in float64.

    Parameters
    ----------
    target : ndarray of shape (n_samples, n_outputs)
    sample_weight : ndarray of shape (n_samples,) or None
    """

    def __init__(self, target: Array, sample_weight: Array | None) -> None:
        self.target = target.astype(np.float64)
        self.weight: Any = (
            1.0 if sample_weight is None else sample_weight[:, None].astype(np.float64)
        )
        mean = np.average(self.target, axis=0, weights=sample_weight)
        self.denominator = (self.weight * (self.target - mean) ** 2).sum(axis=0)

    def __call__(self, output: Array) -> float:
        """Return the score of `output`, shape (n_samples, n_outputs)."""
        if not np.isfinite(output).all():
            return np.nan
        with np.errstate(over="ignore"):
            numerator = (self.weight * (self.target - output) ** 2).sum(axis=0)
        scores = np.where(numerator == 0.0, 1.0, 0.0)
        varies = self.denominator != 0.0
        scores[varies] = 1.0 - numerator[varies] / self.denominator[varies]
        return float(np.average(scores))


class D2Pinball:
    r"""Share of the quantile loss of a constant that is gone, averaged over outputs and quantiles.

    .. math:: 1 - \sum_i w_i \ell(y_i, o_i) / \sum_i w_i \ell(y_i, \tilde y)

    with the target's own quantile :math:`\tilde y`. An output whose targets are all equal scores 1
    if predicted exactly and 0 otherwise. A prediction that is not finite scores NaN.

    Parameters
    ----------
    target : ndarray of shape (n_samples, n_outputs)
    sample_weight : ndarray of shape (n_samples,) or None
    quantiles : ndarray
        One for all outputs, or some of a target of one column, with an output each.
    """

    def __init__(self, target: Array, sample_weight: Array | None, quantiles: FloatArray) -> None:
        self.target, self.weight = target.astype(np.float64), sample_weight
        self.quantiles = quantiles
        count = max(self.target.shape[1], len(quantiles))
        self.target = np.broadcast_to(self.target, (len(target), count))
        self.levels = np.broadcast_to(quantiles, count)
        columns = zip(self.target.T, self.levels, strict=True)
        self.denominator = np.array([self._of_constant(*column) for column in columns])

    def _of_constant(self, y: Array, quantile: float) -> float:
        """Return the loss of the target's own quantile, as scikit-learn finds it.

        It is what `d2_pinball_score` divides by, so that it follows from a score.
        """
        span = float(np.ptp(y))
        if span == 0.0:
            return 0.0
        worse = np.full_like(y, y.min() - span)
        loss = mean_pinball_loss(y, worse, sample_weight=self.weight, alpha=quantile)
        score = d2_pinball_score(y, worse, sample_weight=self.weight, alpha=quantile)
        return float(loss / (1.0 - score))

    def __call__(self, output: Array) -> float:
        """Return the score of `output`, shape (n_samples, n_outputs)."""
        if not np.isfinite(output).all():
            return np.nan
        if len(self.quantiles) > 1:
            output = uncrossed(output, self.quantiles)
        error = self.target - output
        losses = np.where(error < 0, (self.levels - 1.0) * error, self.levels * error)
        numerator = np.average(losses, axis=0, weights=self.weight)
        scores = np.where(numerator == 0.0, 1.0, 0.0)
        varies = (self.denominator != 0.0) & (numerator != 0.0)
        scores[varies] = 1.0 - numerator[varies] / self.denominator[varies]
        return float(np.mean(scores))


class MeanLoss:
    """Training loss without the penalty: mean over the rows by their weights, in float64.

    It comes from the NumPy form of the loss's formula, in the engine's precision. Where each point
    of a series has a target, the mean is that over all points that series have.

    Parameters
    ----------
    X : array
        The rows as the engine takes them, for losses that read logits.
    target : ndarray
        Class indices, one for each softmax, or (n_samples, n_outputs); with a second axis of points
        where each has a target.
    sample_weight : ndarray of shape (n_samples,) or None
        Or (n_samples, n_steps) there.
    """

    def __init__(self, X: Any, target: Array, sample_weight: Array | None) -> None:
        self.X = X
        self.target = target
        self.sample_weight = sample_weight

    def __call__(self, output: Array, engine: Engine) -> float:
        """Return the loss of `output`, shape (n_samples, n_outputs), of the engine's network."""
        network, targets, weights = engine.network, self.target, self.sample_weight
        entry = find_loss(network.loss, network.output)
        reads_z = entry.by_row or "z" in entry.value_reads
        z = outputs_of(engine, self.X, "logits")[0] if reads_z else output
        if network.target_shape:
            there = points_there(self.X, network)
            targets, output, z = targets[there], output[there], z[there]
            weights = weights_of_points(weights, there)
        ends = np.cumsum(network.groups)[:-1]  # none for a single softmax, or for none
        rows: Any = 0.0
        with np.errstate(all="ignore"):  # a loss that is not finite is what it is
            for number, parts in enumerate(zip(np.split(output, ends, 1), np.split(z, ends, 1))):
                target = targets[:, number] if network.groups else targets
                rows = rows + row_losses(entry, network.loss_parameters, target, *parts)
            return float(np.average(rows, weights=weights))


def weights_of_points(weights: Array | None, there: Array) -> Array | None:
    """Return the weight of each point that series have, one after the other.

    Parameters
    ----------
    weights : ndarray of shape (n_samples,) or (n_samples, n_steps), or None
    there : ndarray of bool, shape (n_samples, n_steps)

    Returns
    -------
    ndarray or None
    """
    if weights is None:
        return None
    each = weights if weights.ndim == 2 else weights[:, np.newaxis]
    return np.asarray(np.broadcast_to(each, there.shape)[there])


def row_losses(entry: Loss, given: Iterable[Any], target: Array, p: Array, z: Array) -> Array:
    """Return the loss of each row, a sum or mean over the outputs, in float64.

    Parameters
    ----------
    entry : Loss
    given : iterable of (str, float or tuple of float)
        Its parameters that are not at their defaults, one number for all outputs or one for each.
    target : ndarray
        Class indices, or (n_samples, n_outputs).
    p, z : ndarray of shape (n_samples, n_outputs)
        Outputs and logits.

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    value, dtype = entry.numpy(p.dtype).value, p.dtype
    parameters = {**entry.parameters, **dict(given)}
    known = {name: np.asarray(one, dtype) for name, one in parameters.items()}
    if entry.by_row:
        known |= _sums_of_terms(entry, target.astype(dtype), z)
    elif entry.classes:
        known["p"] = p[np.arange(len(p)), target]
    else:
        if target.ndim == 1:
            target = target[:, np.newaxis] == np.arange(p.shape[1])
        choices = dtype.type(p.shape[1] if entry.output == "softmax" else 2)
        known |= {"y": target.astype(dtype), "z": z, "p": p, "choices": choices}
    losses: Array = np.asarray(value(*[known[name] for name in entry.value_reads]), np.float64)
    if losses.ndim == 1:
        return losses
    combine = np.mean if entry.mean_over_outputs else np.sum
    return np.asarray(combine(losses, axis=1))


def _sums_of_terms(entry: Loss, target: Array, z: Array) -> dict[str, Array]:
    """Return what a loss by row reads of each row."""
    if entry.output == "softmax":
        z = z - z.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        y = (target[:, :1] == np.arange(z.shape[1])).astype(z.dtype)
        known = {"y": y, "p": np.exp(log_p), "log_p": log_p}
    else:
        means, log_stds = np.split(z, 2, axis=1)
        known = {"y": target[:, :-2], "mean": means, "log_std": log_stds}
    terms = entry.numpy(z.dtype).term(*[known[name] for name in entry.term_reads[0]])
    first, second = (term.sum(axis=1) for term in terms)
    return {
        "log_p": first, "row_entropy": second, "advantage": target[:, -2], "former": target[:, -1]
    }  # fmt: skip
