"""Warnings of nnjit's own; whatever scikit-learn has a class for uses that."""

from __future__ import annotations

__all__ = ["TrainingWarning"]


class TrainingWarning(UserWarning):
    """A fit went on but is likely to be worse than it need be; the message says what to do.

    Switch off with ``warnings.simplefilter("ignore", nnjit.exceptions.TrainingWarning)``.
    """
