"""The engine that predicts, kept from call to call."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np

from nnjit.training.engine import Engine


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
