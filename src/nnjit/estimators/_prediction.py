"""The engine that predicts, kept from call to call, and the refusal of what it cannot compute."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np
from sklearn import get_config

from nnjit._types import Array
from nnjit.estimators._assigned import refuse_non_finite
from nnjit.estimators._device import to_host
from nnjit.formulas.registry import revision
from nnjit.training.engine import Engine


def _depends_on(estimator: Any, others: Any, arrays: list[Any]) -> tuple[Any, ...]:
    """Return what an engine, and the validity of its network, depend on."""
    types = tuple([(a.__class__, a.shape, a.dtype) for a in arrays])
    return types, others, estimator.device, revision()


class _Engines(threading.local):
    """The engine of each estimator, for one thread: an engine serves one call at a time."""

    def __init__(self) -> None:
        self.by_estimator: weakref.WeakKeyDictionary[Any, tuple[Any, Engine]] = (
            weakref.WeakKeyDictionary()
        )


_ENGINES = _Engines()


def prediction_engine(estimator: Any, n_features: int, rows: int | None = None) -> Engine:
    """Return an engine with the estimator's parameters, the one of its last prediction if any.

    The parameters are given to it each time, since they may be assigned or written to.

    Parameters
    ----------
    estimator : estimator
    n_features : int
    rows : int, optional
        If only so many dense rows are predicted with it.

    Raises
    ------
    ValueError
        If what was assigned to them is no network, or none of so many inputs.
    """
    engine: Engine
    kept = _ENGINES.by_estimator.get(estimator)
    if kept is not None:
        try:
            others, arrays = estimator._present_parameters()
            if kept[0] == _depends_on(estimator, others, arrays):
                engine = kept[1]
                if engine.network.inputs == n_features:
                    engine.pack(arrays, rows)  # of the very types that were checked
                    return engine
        except (AttributeError, TypeError, ValueError):
            pass  # something that is no network; what it is, the long way finds out
    _, arrays = estimator._give_parameters(n_features)
    engine = estimator._make_engine(ready=True, n_features=n_features)
    others, _ = estimator._present_parameters()
    _ENGINES.by_estimator[estimator] = _depends_on(estimator, others, arrays), engine
    return engine


def refuse_overflow(network: Any, engine: Engine, X: Any, outputs: Array) -> None:
    """Raise if a prediction is NaN or infinite, unless scikit-learn's `assume_finite` is set.

    So it is if a logit is: the order of a sum that overflows decides whether the result is
    infinity, minus infinity or NaN, and with it a probability of 0 or 1.

    Parameters
    ----------
    network : estimator
    engine : engine
        With the network's parameters.
    X : array
        The rows as the engine takes them.
    outputs : array of shape (n_samples, n_outputs)
        What it made of them, a row for each sample.

    Raises
    ------
    ValueError
        That says in which rows, why, and what to do.
    """
    logits = network._logits(engine, X)
    finite = np.isfinite(to_host(outputs)).all(axis=1) & np.isfinite(logits).all(axis=1)
    if finite.all() or get_config()["assume_finite"]:
        return
    attributes = network._as_attributes(network._give_parameters()[1])
    refuse_non_finite(attributes)
    first = int(finite.argmin())
    where = f"The prediction of {network._place_of(first, X)}"
    if (others := int((~finite).sum()) - 1) > 0:
        where += f" and of {others} other{'s' * (others > 1)}"
    largest = f"the largest {engine.dtype.name}, {np.finfo(engine.dtype).max:.2g}"
    why = f"sums in the network exceed {largest}"
    z = logits[first].max()
    if network.out_activation_ == "exp" and np.isfinite(z):
        why = f"exp({z:.5g}) exceeds {largest}"
    advice = "Scale the rows as those of the fit were scaled"
    if engine.dtype == np.float32:
        advice += f", or assign {' and '.join(attributes)} in float64"
    raise ValueError(f"{where} overflows: {why}. {advice}.")
