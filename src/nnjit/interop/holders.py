"""What estimators that only hold another one hold."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

__all__ = ["bare", "found_by"]


def bare(estimator: Any) -> Any:
    """Return what is left of an estimator without searches, and pipelines of one step, around."""
    while (held := _inside(estimator)) is not None:
        estimator = held
    return estimator


def _inside(estimator: Any) -> Any:
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if isinstance(step, BaseEstimator)]
        return steps[0] if len(steps) == 1 else None
    return found_by(estimator)


def found_by(estimator: Any) -> Any:
    """Return what a fitted search has found or a frozen estimator holds, None of any other.

    Raises
    ------
    ValueError
        If a search has kept nothing that is fitted.
    """
    if isinstance(estimator, FrozenEstimator):
        return estimator.estimator
    found = getattr(estimator, "best_estimator_", None)  # of other packages' searches as well
    if found is None and isinstance(estimator, BaseSearchCV):
        check_is_fitted(estimator)
        raise ValueError(f"{type(estimator).__name__} with refit=False has no estimator to export.")
    return found
