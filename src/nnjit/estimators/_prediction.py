"""What makes a prediction of a few rows cheap: no check twice, no engine twice."""

from __future__ import annotations

import math
import threading
import weakref
from typing import Any

import numpy as np

from nnjit.training.engine import Engine

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
# Elements up to which a scalar product is the quickest search for NaN; BLAS shares longer ones.
_FEW = 1024


def is_valid_as_it_is(estimator: Any, X: Any) -> bool:
    """Return whether X would pass scikit-learn's validation unchanged and without a warning.

    That is so for a plain two-dimensional float array with rows, the fitted number of columns
    and no value that is not finite, if the estimator is fitted and knows no feature names.
    Anything else goes through `validate_data`, which finds the right words.
    """
    known = estimator.__dict__
    if (
        type(X) is not np.ndarray
        or X.ndim != 2
        or X.dtype not in _FLOATS
        or X.shape[0] == 0
        or X.shape[1] != known.get("n_features_in_")
        or "coefs_" not in known
        or "feature_names_in_" in known
    ):
        return False
    if X.size <= _FEW and X.flags.c_contiguous:
        values = X.reshape(-1)
        return math.isfinite(values.dot(values))  # an overflow only costs the longer way
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(X.sum())


def _architecture(estimator: Any) -> tuple[Any, ...]:
    """Return what an engine depends on, as it is now."""
    arrays = (*estimator.coefs_, *estimator.intercepts_)
    return (
        tuple([(np.shape(a), getattr(a, "dtype", None)) for a in arrays]),
        estimator.activation,
        estimator.out_activation_,
        estimator.loss,
        estimator.device,
    )


class _Engines(threading.local):
    """The engine of each estimator, for one thread: an engine serves one call at a time."""

    def __init__(self) -> None:
        self.by_estimator: weakref.WeakKeyDictionary[Any, tuple[Any, Engine]] = (
            weakref.WeakKeyDictionary()
        )


_ENGINES = _Engines()


def prediction_engine(estimator: Any) -> Engine:
    """Return an engine with the estimator's parameters, the one of its last prediction if any.

    The parameters are copied in each time, since `coefs_` may be assigned or written to.
    """
    key = _architecture(estimator)
    kept = _ENGINES.by_estimator.get(estimator)
    if kept is None or kept[0] != key:
        kept = _ENGINES.by_estimator[estimator] = key, estimator._make_engine(ready=True)
    else:
        kept[1].pack(estimator.coefs_, estimator.intercepts_)
    return kept[1]
