"""scikit-learn's callbacks (`sklearn.callback`, there since 1.9) on a fit and its epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import sklearn

from nnjit._logging import told_fit
from nnjit.estimators._arrays import common_dtype, unpack_parameters

__all__ = ["CallbackSupport", "FitReport", "current_report", "report_fit"]

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupport
except ImportError:

    class CallbackSupport:  # type: ignore[no-redef]
        """Stands in where scikit-learn has no callbacks."""

        def set_callbacks(self, *callbacks: Any) -> Any:
            """Raise: the installed scikit-learn has no callbacks.

            Parameters
            ----------
            *callbacks : callback instances
                What scikit-learn 1.9 would call.

            Raises
            ------
            ImportError
                Always.
            """
            raise ImportError(
                "Callbacks are part of scikit-learn 1.9 and newer; version "
                f"{sklearn.__version__} is installed. Upgrade with "
                "`pip install --upgrade scikit-learn`, or fit without callbacks: verbose=1 prints "
                "the loss of each epoch."
            )


class FitReport:
    """Tells the callbacks of an estimator of a fit, and of each epoch in it.

    Parameters
    ----------
    estimator : estimator
        Whose callbacks are told. It is set up to have them torn down when its fit ends.
    X, y, sample_weight
        What fit was given.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        self.estimator = estimator
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._told = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._fit = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        self._epoch: Any = None
        self._fit.call_on_fit_task_begin(**self._told)

    def begin(self) -> None:
        """Tell that an epoch begins."""
        self._epoch = self._fit.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._told)

    def end(self, engine: Any, state: Any) -> bool:
        """Tell that the epoch is over; return whether a callback asks for training to stop.

        A callback that wants an estimator gets one with the weights of this epoch, early stopping
        or not.

        Parameters
        ----------
        engine : engine
            Holds the weights.
        state : TrainingState
            Where training stands.

        Returns
        -------
        bool
        """

        def attributes() -> dict[str, Any]:
            return {
                **self.estimator._as_attributes(engine.unpack()),
                "n_iter_": state.epoch,
                "t_": state.samples_seen,
                "loss_": state.loss,
                "loss_curve_": list(state.loss_curve),
                **_watched(state),
            }

        return self.over(attributes)

    def iteration(self, packed: Any, loss: float, n_iter: int) -> bool:
        """Tell of an iteration of L-BFGS; return whether a callback asks for it to stop.

        Parameters
        ----------
        packed : ndarray of shape (n_parameters,)
            The parameters, as L-BFGS has them.
        loss : float
        n_iter : int

        Returns
        -------
        bool
        """

        def attributes() -> dict[str, Any]:
            network, arrays = self.estimator._give_parameters()
            reached = unpack_parameters(network, packed, common_dtype(arrays))
            return {**self.estimator._as_attributes(reached), "n_iter_": n_iter, "loss_": loss}

        self.begin()
        return self.over(attributes)

    def over(self, attributes: Callable[[], dict[str, Any]]) -> bool:
        """Tell that the epoch is over; return whether a callback asks for training to stop.

        Parameters
        ----------
        attributes : callable
            Returns the fitted attributes of this epoch; called if a callback wants an estimator.

        Returns
        -------
        bool
        """
        stop = self._epoch.call_on_fit_task_end(reconstruction_attributes=attributes, **self._told)
        return bool(stop)

    def finish(self) -> None:
        """Tell that the fit is over."""
        self._fit.call_on_fit_task_end(reconstruction_attributes={}, **self._told)


def _watched(state: Any) -> dict[str, Any]:
    """Return the curves, beside that of the loss, of a training that goes on."""
    watch = state.monitor.watch
    curves = {
        "learning_rate_curve_": state.rate_curve,
        "validation_scores_": None if watch is None else watch.scores,
        "validation_loss_curve_": None if watch is None else watch.curve,
    }
    return {name: list(curve) for name, curve in curves.items() if curve is not None}


# Of the fit that this thread is in. Not an attribute: two threads may fit the same estimator.
_CURRENT: ContextVar[FitReport | None] = ContextVar("nnjit_fit_report", default=None)


@contextmanager
def report_fit(estimator: Any, X: Any, y: Any, sample_weight: Any) -> Iterator[None]:
    """Tell the estimator's callbacks, if it has any, and the log of a fit that begins and ends.

    Parameters
    ----------
    estimator : estimator
    X, y, sample_weight
        What fit was given.
    """
    told = getattr(estimator, "_skl_callbacks", None)
    report = FitReport(estimator, X, y, sample_weight) if told else None
    token = _CURRENT.set(report)
    try:
        with told_fit(estimator):
            yield
    finally:
        _CURRENT.reset(token)
    if report is not None:
        report.finish()


def current_report(estimator: Any) -> FitReport | None:
    """Return the report of the fit of the estimator that is going on; None if nobody listens.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    FitReport or None
    """
    report = _CURRENT.get()
    return report if report is not None and report.estimator is estimator else None
