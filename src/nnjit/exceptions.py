"""Warnings of nnjit's own; whatever scikit-learn has a class for uses that."""

from __future__ import annotations

__all__ = ["TrainingWarning"]


class TrainingWarning(UserWarning):
    """A fit went on but is likely to be worse than it need be; the message says what to do.

    Switch off with ``warnings.simplefilter("ignore", nnjit.exceptions.TrainingWarning)``.

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
    nnjit.exceptions.TrainingWarning: Feature 0 has values of about 1.58e+06. Networks learn
    slowly or not at all from inputs that are not scaled. Put a scaler in front:
    make_pipeline(StandardScaler(), MLPRegressor(...)).
    """
