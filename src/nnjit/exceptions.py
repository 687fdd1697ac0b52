"""Warnings of nnjit's own; whatever scikit-learn has a class for uses that."""

from __future__ import annotations

from sklearn.exceptions import ConvergenceWarning

__all__ = ["TrainingWarning"]


class TrainingWarning(ConvergenceWarning):
    """Advice: a fit went on but is likely to be worse than it need be; the text says what to do.

    Filters of scikit-learn's `ConvergenceWarning` silence it too, and
    ``warnings.simplefilter("ignore", nnjit.exceptions.TrainingWarning)`` silences it alone.
    Unless a filter says otherwise, each text is shown once per process. A filter that turns
    warnings into errors has to name this class, or it is left out: scikit-learn does not fail here.

    Examples
    --------
    >>> import warnings
    >>> from nnjit import MLPRegressor
    >>> from nnjit.exceptions import TrainingWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", TrainingWarning)
    ...     MLPRegressor().fit([[1e6], [2e6]], [0.0, 1.0])
    Traceback (most recent call last):
        ...
    nnjit.exceptions.TrainingWarning: Feature 0 has values of the order of 1e+06. Networks learn
    slowly or not at all from inputs that are not scaled. Put a scaler in front:
    make_pipeline(StandardScaler(), MLPRegressor(...)).
    """
