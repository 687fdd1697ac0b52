"""Fits of bare estimators logged in MLflow, as `mlflow.sklearn.autolog` does scikit-learn's."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from types import FrameType
from typing import Any

from nnjit._logging import FIT_LISTENERS, curves_of
from nnjit._warnings import warn

__all__ = ["autolog"]

# What has one value.
_NUMBERS = ("n_iter_", "best_validation_score_", "quantization_error_")
# Whose fits call those of others, and what stands around every fit.
_CALLERS = ("sklearn.", "joblib.", "nnjit.training.members")
_AROUND = ("sklearn.base", "sklearn.callback", "sklearn.utils")
_LONGEST = 500  # characters of a parameter that MLflow takes
_AT_ONCE = 1000  # values that it takes in one call


def autolog(*, log_models: bool = True, disable: bool = False) -> None:
    """Have MLflow log every fit of this package's estimators from now on.

    A fit that is called in an active run is logged in it, any other in a run of its own: the
    parameters, loss, validation score, validation loss and learning rate of each epoch, how it
    ended, and the fitted model. Fits that a search, a Pipeline or another estimator calls are left
    to the outer one, which ``mlflow.sklearn.autolog()`` logs. A fit that fails marks a run of its
    own as failed; where MLflow itself fails, there is a warning
    and the fit goes on. MLflow takes each parameter of a run once: of a second fit in one run
    with other parameters the rest is logged.

    Parameters
    ----------
    log_models : bool, default=True
        Whether the fitted estimator is logged too, by ``mlflow.sklearn.log_model``: in skops's
        format, which holds no code, where skops is installed, else pickled.
    disable : bool, default=False
        Whether to log no more.

    Raises
    ------
    ImportError
        If MLflow is not installed.

    See Also
    --------
    nnjit.callbacks.LearningCurveCSV : Each epoch in a CSV file.

    Examples
    --------
    >>> from nnjit.interop.mlflow import autolog
    >>> autolog(disable=True)
    """
    FIT_LISTENERS[:] = [one for one in FIT_LISTENERS if not isinstance(one, _Autologging)]
    if not disable:
        _mlflow()
        FIT_LISTENERS.append(_Autologging(bool(log_models)))


def _mlflow() -> Any:
    try:
        import mlflow
    except ImportError as error:
        raise ImportError("autolog needs MLflow 3: pip install mlflow skops") from error
    return mlflow


class _Autologging:
    """Opens a run around a fit that nobody else looks after, and fills it."""

    def __init__(self, log_models: bool) -> None:
        self._log_models = log_models

    @contextmanager
    def __call__(self, estimator: Any) -> Iterator[None]:
        if _called_by_another(estimator):
            yield
            return
        mlflow, own = _mlflow(), None
        if mlflow.active_run() is None:
            with _never_in_the_way():
                own = mlflow.start_run()
        ended = "FAILED"
        try:
            yield
            with _never_in_the_way():
                if mlflow.active_run() is not None:  # else none could be started
                    self._log(mlflow, estimator)
            ended = "FINISHED"
        finally:
            if own is not None:
                with _never_in_the_way():
                    mlflow.end_run(ended)

    def _log(self, mlflow: Any, estimator: Any) -> None:
        """Log each thing by itself: for a second fit in a run MLflow takes no other parameters."""
        kind = type(estimator)
        with _never_in_the_way("'s class"):
            mlflow.set_tag("estimator_name", kind.__name__)
            mlflow.set_tag("estimator_class", f"{kind.__module__}.{kind.__qualname__}")
        with _never_in_the_way("'s parameters"):
            parameters = estimator.get_params(deep=True)
            mlflow.log_params({name: str(value)[:_LONGEST] for name, value in parameters.items()})
        with _never_in_the_way("'s curves"):
            numbers = _numbers(estimator)
            mlflow.log_metrics({name.rstrip("_"): value for name, value in numbers.items()})
            _log_curves(mlflow, estimator)
        if self._log_models:
            with _never_in_the_way("'s model"):
                mlflow.sklearn.log_model(estimator, name="model", **_kept_as(mlflow, estimator))


@contextmanager
def _never_in_the_way(what: str = "") -> Iterator[None]:
    """Warn of what goes wrong in MLflow: no fit is lost for that."""
    try:
        yield
    except Exception as error:
        warn(f"MLflow did not log this fit{what}: {error}", module="nnjit")


def _called_by_another(estimator: Any) -> bool:
    """Whether another estimator, of scikit-learn or of ours, or a search's worker calls the fit."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(_CALLERS) and not module.startswith(_AROUND):
            return True
        if frame.f_code.co_name == "fit" and module.startswith("nnjit."):
            if frame.f_locals.get("self") is not estimator:
                return True
        frame = frame.f_back
    return False


def _kept_as(mlflow: Any, estimator: Any) -> dict[str, Any]:
    """Return in which form MLflow keeps a model: without pickle if skops and MLflow can."""
    takes = inspect.signature(mlflow.sklearn.log_model).parameters
    if "skops_trusted_types" not in takes:
        return {}
    try:
        from skops.io import dumps, get_untrusted_types
    except ImportError:
        return {"serialization_format": mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE}
    types = get_untrusted_types(data=dumps(estimator))
    own = [name for name in types if name.startswith("nnjit.")]
    if len(own) < len(types):  # classes of the user's, which nobody vouched for
        return {"serialization_format": mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE}
    return {"skops_trusted_types": own}


def _numbers(estimator: Any) -> dict[str, float]:
    found = {name: getattr(estimator, name, None) for name in _NUMBERS}
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, Real) and not isinstance(value, bool)
    }


def _log_curves(mlflow: Any, estimator: Any) -> None:
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    metrics = [
        Metric(name, value, now, step)
        for name, curve in curves_of(estimator).items()
        for step, value in enumerate(curve, start=1)
    ]
    run = mlflow.active_run().info.run_id
    for first in range(0, len(metrics), _AT_ONCE):
        mlflow.MlflowClient().log_batch(run, metrics=metrics[first : first + _AT_ONCE])
