"""Callbacks for scikit-learn's ``set_callbacks`` (1.9 and newer)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nnjit._logging import curves_of

__all__ = ["LearningCurveCSV"]

_COLUMNS = (
    "fit",
    "estimator",
    "epoch",
    "seconds",
    "loss",
    "validation_score",
    "validation_loss",
    "learning_rate",
)


class LearningCurveCSV:
    """Write a line of a CSV file after each epoch.

    The file grows while training runs, so that it can be looked at meanwhile, and any table tool
    draws it. Set on a search or a Pipeline, the callback goes on to the networks inside, also in
    other processes of the machine, and all write into the one file.

    Parameters
    ----------
    path : str or os.PathLike
        The file. Its folder has to be there.
    append : bool, default=False
        Whether lines go behind those of a file that is there; else a fit begins the file anew.

    Attributes
    ----------
    max_propagation_depth : None
        scikit-learn hands the callback on to estimators at any depth.

    Notes
    -----
    The columns are

    - ``fit``: where the fit stands among those of a search, such as ``fit/0/2/1``: numbers of the
      tasks around it, from the outermost on;
    - ``estimator``: the name of its class;
    - ``epoch``: from 1 on, of a self-organizing map and L-BFGS too;
    - ``seconds``: since the fit began;
    - ``loss``: training loss, of a self-organizing map the quantization error;
    - ``validation_score``, ``validation_loss``, ``learning_rate``: empty where there is none.

    As with any callback there is one call for each epoch, and the weights are copied in each: a
    fit of very small networks takes longer.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from nnjit import MLPClassifier
    >>> from nnjit.callbacks import LearningCurveCSV
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> path = Path(tempfile.mkdtemp(), "curve.csv")
    >>> model = MLPClassifier(max_iter=5, tol=0.01, n_iter_no_change=4, random_state=0)
    >>> try:
    ...     _ = model.set_callbacks(LearningCurveCSV(path)).fit(X, y)
    ...     lines = path.read_text().splitlines()
    ... except ImportError:  # scikit-learn before 1.9
    ...     lines = [""] * 6
    >>> len(lines)  # a heading and five epochs
    6
    """

    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self.path, self.append = path, append
        # By thread too: fits beside one another may have the same callback.
        self._began: dict[tuple[int, str], float] = {}

    max_propagation_depth = None

    def setup(self, estimator: Any, context: Any) -> None:
        """Begin the file.

        Parameters
        ----------
        estimator : estimator
            The outermost one.
        context : sklearn.callback.CallbackContext
            Its fit.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        path = Path(self.path)
        if not (self.append and path.exists() and path.stat().st_size):
            path.write_bytes(_line(_COLUMNS).encode())

    def teardown(self, estimator: Any, context: Any) -> None:
        """Forget when the fits of this thread began.

        Parameters
        ----------
        estimator : estimator
            The outermost one.
        context : sklearn.callback.CallbackContext
            Its fit.
        """
        own = threading.get_ident()
        for key in [key for key in list(self._began) if key[0] == own]:
            del self._began[key]

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Note when a fit begins.

        Parameters
        ----------
        estimator : estimator
            The one that is fitted.
        context : sklearn.callback.CallbackContext
            The task that begins.
        """
        if context.task_name == "epoch":
            key = threading.get_ident(), _place(context)
            if not context.task_id or key not in self._began:
                self._began[key] = time.perf_counter()

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, fitted_estimator: Any = None
    ) -> None:
        """Write the line of an epoch.

        Parameters
        ----------
        estimator : estimator
            The one that is fitted.
        context : sklearn.callback.CallbackContext
            The task that is over.
        fitted_estimator : estimator
            As it is after the epoch.
        """
        if context.task_name != "epoch":
            return
        place = _place(context)
        values = {
            "fit": place,
            "estimator": type(estimator).__name__,
            "epoch": context.task_id + 1,
            "seconds": f"{time.perf_counter() - self._began[threading.get_ident(), place]:.6f}",
            **_measured(fitted_estimator),
        }
        text = _line(values.get(name, "") for name in _COLUMNS)
        # One write of one line, behind what others have written meanwhile.
        with open(self.path, "ab", buffering=0) as file:
            if not file.tell():  # somebody has moved the file away
                text = _line(_COLUMNS) + text
            file.write(text.encode())


def _line(values: Iterable[Any]) -> str:
    return ",".join(map(str, values)) + "\r\n"


def _place(context: Any) -> str:
    """Return the numbers of the tasks around an epoch."""
    numbers = []
    while context.parent is not None:
        context = context.parent
        if context.parent is not None:
            numbers.append(str(context.task_id))
    return "/".join(["fit", *reversed(numbers)])


def _measured(fitted: Any) -> dict[str, float]:
    """Return what an estimator says of its last epoch."""
    found = {name: curve[-1] for name, curve in curves_of(fitted).items()}
    if "loss" not in found and getattr(fitted, "loss_", None) is not None:
        found["loss"] = float(fitted.loss_)
    return found
