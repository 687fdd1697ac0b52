"""scikit-learn's decorators of methods, with the types of the methods kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from sklearn.base import _fit_context
from sklearn.utils.metaestimators import available_if

__all__ = ["checks_own_parameters", "checks_parameters", "for_stochastic_solvers", "for_those_that"]

_Method = TypeVar("_Method", bound=Callable[..., Any])


def checks_parameters(method: _Method) -> _Method:
    """Have the constructor's parameters validated before a fit."""
    return cast(_Method, _fit_context(prefer_skip_nested_validation=True)(method))


def checks_own_parameters(method: _Method) -> _Method:
    """Have them validated by an estimator that fits another, which validates its own."""
    return cast(_Method, _fit_context(prefer_skip_nested_validation=False)(method))


def for_stochastic_solvers(method: _Method) -> _Method:
    """Hide a method from estimators whose solver has no minibatches."""
    return for_those_that(lambda estimator: estimator._check_solver())(method)


def for_those_that(check: Callable[[Any], bool]) -> Callable[[_Method], _Method]:
    """Hide a method from estimators that a check returns false for, or raises an error."""
    return cast(Callable[[_Method], _Method], available_if(check))
