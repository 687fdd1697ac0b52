"""What estimators that only hold another one hold."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

__all__ = ["bare", "found_by", "refuse_own_predictions"]

# What a subclass may have of its own, so that another library would predict something else.
_PREDICTIONS = ("predict", "predict_proba", "transform", "score_samples")


def bare(estimator: Any) -> Any:
    """Return what is left of an estimator without searches, and pipelines of one step, around.

    Raises
    ------
    ValueError
        If a search has kept nothing that is fitted, or see `refuse_own_predictions`.
    """
    while (held := _inside(estimator)) is not None:
        estimator = held
    refuse_own_predictions(estimator)
    return estimator


def refuse_own_predictions(estimator: Any, package: str = "nnjit") -> None:
    """Raise if somebody's subclass predicts by a method of its own, which would be lost.

    Parameters
    ----------
    estimator : object
    package : str, default='nnjit'
        Whose classes are known.

    Raises
    ------
    ValueError
        That names the method.
    """
    bases = type(estimator).__mro__
    known = [f"{cls.__module__}.".startswith(f"{package}.") for cls in bases]
    if not any(known):
        return
    first = known.index(True)
    for cls in bases[:first]:
        for name in _PREDICTIONS:
            if name in vars(cls):
                raise ValueError(
                    f"{type(estimator).__name__} has a {name} of its own, which would be lost: "
                    f"what can leave is what {bases[first].__name__} predicts. Give an estimator "
                    "of that class, such as a copy whose __class__ is set to it."
                )


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
