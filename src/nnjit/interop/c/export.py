"""A fitted estimator or pipeline as one file of C."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from nnjit.estimators._tabular import TabularEstimator
from nnjit.estimators.self_organizing_map import SelfOrganizingMap
from nnjit.interop.c.maps import map_program
from nnjit.interop.c.prediction import network_program
from nnjit.interop.c.tables import table_program
from nnjit.interop.c.text import checked_name
from nnjit.interop.holders import bare

__all__ = ["export_c"]


def export_c(
    estimator: Any, path: str | os.PathLike[str] | None = None, *, name: str = "nnjit_model"
) -> str:
    r"""Write the prediction of a fitted network as one file of C99 that depends on nothing.

    The file includes math.h, stdint.h and string.h, allocates nothing and writes no variable that
    outlives a call, so that it runs on a microcontroller as well as in several threads. Its
    functions take one row. With ``name="m"`` they are, of float or of a float64 network double::

        void m_predict(const float *x, float *out);   values, or the probabilities of classes
        int m_classify(const float *x);               the number of the class in m_labels

    and the sizes are the macros ``M_N_FEATURES``, ``M_N_OUTPUTS`` and ``M_WORKSPACE``; the file's
    declarations say what else there is. Included with ``M_HEADER`` defined, it is its own header.

    Parameters
    ----------
    estimator : estimator
        A fitted network of the package, `SelfOrganizingMap`, `HiddenFeatures`, a tabular estimator
        of columns of numbers, a `Pipeline` of StandardScaler, MinMaxScaler, MaxAbsScaler,
        RobustScaler, SeriesScaler, HiddenFeatures or AutoEncoder and one of these, or a search over
        these.
    path : str or os.PathLike, default=None
        Where to write the file; nowhere if None.
    name : str, default='nnjit_model'
        What all names in the file begin with: letters of ASCII, digits and single underscores
        between them, a letter first. Several models of one program have names that differ in more
        than small and large letters.

    Returns
    -------
    text : str
        The file, in ASCII.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator, or a step of the pipeline, has no C.
    ValueError
        If `name` is no identifier, a label is no string that C has, a column of a table holds
        something else than numbers, or a weight is not finite.

    Notes
    -----
    Weights stand there in the fewest digits that give them back to the bit. Sums are taken in
    another order than here, and exp and the like are those of the C library, so that outputs agree
    to rounding: about 1e-6 in float, 1e-15 in double, of values around 1. No function looks for NaN
    or infinities in a row, as ``predict`` does. Activations of your own are translated as far as
    they are made of arithmetic, conditions and `math`.

    - Binary targets have two outputs, the probabilities of both classes. Of several columns of
      classes, or with labels of all points, ``m_classify(x, numbers)`` writes several numbers; of a
      multilabel target 1 for each label that a row has, else 0.
    - Rows are as X of the fit has them, one value after the other; series that are shorter end in
      NaN. With a target at every point outputs follow each other point by point.
    - Recurrent networks that `predict_stream` is for have ``m_step(&state, x, out)``, which takes
      one point, and ``m_reset(&state)``.
    - An AutoEncoder has ``m_encode(x, code)`` and ``m_decode(code, out)``; ``m_predict`` gives the
      row back, ``m_score`` is `score_samples` and ``m_classify`` -1 for outliers, else 1.
    - A map has ``m_unit(x)``, its nearest unit; ``m_predict`` gives the distances to all.

    The work space lies on the stack. ``m_predict_in(x, out, work)`` takes it from the caller.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnjit import MLPClassifier
    >>> from nnjit.interop import export_c
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier((8,), max_iter=20, tol=1, random_state=0).fit(X, y)
    >>> text = export_c(model, name="iris")
    >>> "int iris_classify(const double *x);" in text
    True
    """
    file = _written(estimator, checked_name(name))
    if path is not None:
        Path(path).write_text(file, encoding="ascii")
    return file


def _written(estimator: Any, name: str) -> str:
    """Return the file of an estimator."""
    fronts, last = _taken_apart(estimator)
    if isinstance(last, SelfOrganizingMap):
        return map_program(last, fronts, name).text()
    if isinstance(last, TabularEstimator):
        return table_program(last, fronts, name).text()
    return network_program(last, fronts, name).text()


def _taken_apart(estimator: Any) -> tuple[list[Any], Any]:
    """Return the transformers in front, and the estimator at the end."""
    estimator = bare(estimator)
    if not isinstance(estimator, Pipeline):
        return [], estimator
    check_is_fitted(estimator)
    fronts: list[Any] = []
    *before, (_, last) = estimator.steps
    for _, step in before:
        if step not in (None, "passthrough"):
            inner, end = _taken_apart(step)
            fronts += [*inner, end]
    inner, last = _taken_apart(last)
    return [*fronts, *inner], last
