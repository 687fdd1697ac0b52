"""Compiled multi-layer perceptrons with scikit-learn's interface."""

from nnjit._version import __version__

__all__ = ["__version__"]
