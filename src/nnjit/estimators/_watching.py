"""Validation rows, given or held out, and how they are scored after each epoch."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.metrics import get_scorer
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_feature_names, check_array, check_consistent_length

from nnjit._types import Array
from nnjit.estimators._dates import refuse_dates
from nnjit.estimators._device import host_rows, host_target, rows_on_device, take
from nnjit.estimators._validation import validate_sample_weight
from nnjit.formulas import SOLVERS
from nnjit.rows._source import source_of
from nnjit.training.engine import Engine
from nnjit.training.scoring import MeanLoss
from nnjit.training.watching import Measure, Watch

__all__ = [
    "Given",
    "ValidationRows",
    "check_validation",
    "held_out_rows",
    "make_watch",
    "refuse_incomplete",
    "scorer_of",
]


class Given(NamedTuple):
    """Rows, targets and weights as the user has them."""

    X: Any
    y: Any
    sample_weight: Any

    def part(self, rows: Any) -> Given:
        """Return some rows of all."""
        X, y = (one.tocsr() if sp.issparse(one) else one for one in (self.X, self.y))
        weight = self.weight_of_rows
        weight = None if weight is None else _safe_indexing(weight, rows)
        return Given(_safe_indexing(X, rows), _safe_indexing(y, rows), weight)

    @property
    def weight_of_rows(self) -> Any:
        """The weights, None for one number, with which all rows weigh the same."""
        return None if isinstance(self.sample_weight, Number) else self.sample_weight


class ValidationRows(NamedTuple):
    """Validation rows: checked, and as the user has them."""

    X: Any
    target: Array
    sample_weight: Array | None
    given: Callable[[], Given]
    from_fit: bool  # given to fit, not held out


def check_validation(estimator: Any, given: Given, trained: Array) -> ValidationRows:
    """Check X_val, y_val and sample_weight_val.

    Parameters
    ----------
    estimator : estimator
        Which has checked the training rows.
    given : Given
        Some of it is not None.
    trained : ndarray
        Target of the training rows as the engine takes it.

    Returns
    -------
    ValidationRows
        Rows on a device as `rows_on_device` gives them, others as scikit-learn does.

    Raises
    ------
    TypeError
        If there are dates or durations.
    ValueError
        If one is missing or does not go with the training rows, or nothing is done with them.
    """
    refuse_incomplete(given)
    if estimator.solver not in SOLVERS:
        raise ValueError(
            "X_val and y_val are looked at after each epoch of a stochastic solver, got "
            f"solver={estimator.solver!r}."
        )
    rows = rows_on_device(given.X, estimator._engine_device())
    X = host_rows(given.X) if rows is None else rows.stand_in()
    source = None if rows is not None else source_of(X, memmaps=estimator.shuffle == "blocks")
    if source is not None and estimator._reads_blocks(fitting=True):
        from nnjit.estimators._rows import prepare

        X = prepare(estimator, source, name="X_val")
    elif estimator._takes_arrays():
        X = estimator._given_rows(X, name="X_val", longer=False)
    else:
        X = _checked_rows(estimator, X, given.X)
    refuse_dates(given.sample_weight, "sample_weight_val")
    target = estimator._check_validation_target(host_target(given.y), X)
    check_consistent_length(X, target)
    if target.shape[1:] != trained.shape[1:]:
        raise ValueError(f"y_val has {target.shape[-1]} columns, but y has {trained.shape[-1]}.")
    weight = validate_sample_weight(host_target(given.sample_weight), X)
    weight = estimator._point_weights(X, weight)
    return ValidationRows(X if rows is None else rows, target, weight, lambda: given, True)


def _checked_rows(estimator: Any, X: Any, given: Any) -> Any:
    """Return X_val checked; `given` is what the user has, which may have names of features."""
    refuse_dates(X, "X_val")
    X = check_array(
        X,
        accept_sparse=estimator._accepted_sparse,
        dtype=(np.float64, np.float32),
        input_name="X_val",
        estimator=estimator,
    )
    _check_feature_names(estimator, given, reset=False)
    if X.shape[1] != estimator.n_features_in_:
        raise ValueError(
            f"X_val has {X.shape[1]} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input."
        )
    return X


def refuse_incomplete(given: Given) -> None:
    """Raise if a part of the validation rows is there without the others."""
    for name, value in (("y_val", given.y), ("sample_weight_val", given.sample_weight)):
        if given.X is None and value is not None:
            raise ValueError(f"{name} is provided, but X_val was not provided.")
    if given.y is None:
        raise ValueError("X_val is provided, but y_val was not provided.")


def held_out_rows(
    X: Any, target: Array, sample_weight: Array | None, held_out: Any, given: Given
) -> ValidationRows:
    """Return some of the training rows, which are as the engine takes them.

    Raises
    ------
    ValueError
        If their weights sum to zero.
    """
    if sample_weight is not None:
        sample_weight = sample_weight[held_out]
        if sample_weight.sum() == 0:
            raise ValueError("The sample weights of the rows held out for validation sum to 0.")
    return ValidationRows(
        take(X, held_out), target[held_out], sample_weight, lambda: given.part(held_out), False
    )


def make_watch(
    estimator: Any, engine: Engine, rows: ValidationRows, scores: Any, losses: Any
) -> Watch:
    """Return what scores validation rows, going on from what earlier fits recorded.

    Parameters
    ----------
    estimator : estimator
    engine : engine
    rows : ValidationRows
        As the engine takes them.
    scores, losses : list of float or None
    """
    X = engine.rows(rows.X) if hasattr(engine, "rows") else rows.X
    by_loss = estimator.scoring == "loss"
    loss = MeanLoss(X, rows.target, rows.sample_weight) if rows.from_fit or by_loss else None
    return Watch(
        X,
        None if by_loss else _score(estimator, rows),
        loss,
        scores=list(scores or ()),
        losses=list(losses or ()),
    )


def _score(estimator: Any, rows: ValidationRows) -> Measure:
    scorer = scorer_of(estimator)
    if scorer is not None:
        return _UserScore(estimator, scorer, rows)
    own = estimator._make_score(rows.target, rows.sample_weight)
    return lambda outputs, engine: float(own(outputs))


def scorer_of(estimator: Any) -> Any:
    """Return the scorer that `scoring` names or is; None where it is neither.

    Raises
    ------
    ValueError
        If scikit-learn has none of that name.
    """
    scoring = estimator.scoring
    if scoring is None or (isinstance(scoring, str) and scoring == "loss"):
        return None
    return get_scorer(scoring) if isinstance(scoring, str) else scoring


class _UserScore:
    """What a scorer says of an estimator with an engine's weights."""

    def __init__(self, estimator: Any, scorer: Any, rows: ValidationRows) -> None:
        self._scorer = scorer
        # Everything of the estimator but its weights, which each epoch replaces.
        self._view = object.__new__(type(estimator))
        self._view.__dict__.update(estimator.__dict__)
        self._view.__dict__.pop("_skl_callbacks", None)
        self._given = rows.given()
        if isinstance(estimator.scoring, str):
            self._given = self._view._for_named_scorer(rows.X, self._given)
        self._weights = {}
        if self._given.weight_of_rows is not None and _takes_weights(scorer):
            self._weights = {"sample_weight": self._given.weight_of_rows}

    def __call__(self, outputs: Array, engine: Engine) -> float:
        self._view._take_parameters(engine.unpack())
        found = self._scorer(self._view, self._given.X, self._given.y, **self._weights)
        try:
            score = math.nan if isinstance(found, str) else float(found)
        except (TypeError, ValueError):
            score = math.nan
        if not math.isfinite(score):
            raise ValueError(f"scoring must return a finite number, got {found!r}.")
        return score


def _takes_weights(scorer: Any) -> bool:
    """Whether it is scikit-learn's, of a metric of weighted rows."""
    metric = getattr(scorer, "_score_func", None)
    return metric is not None and "sample_weight" in inspect.signature(metric).parameters
