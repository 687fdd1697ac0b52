"""Compiled multi-layer perceptrons with scikit-learn's interface.

`MLPClassifier` and `MLPRegressor` take the place of those of `sklearn.neural_network`;
`nnjit.functional` has the kernels as functions of arrays. Importing compiles nothing and does not
load Numba: that happens at the first fit, or when `functional` is first used.
"""

from __future__ import annotations

import importlib

from nnjit._version import __version__
from nnjit.estimators.classifier import MLPClassifier
from nnjit.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "__version__", "functional"]


def __getattr__(name):
    if name == "functional":
        return importlib.import_module("nnjit.functional")
    raise AttributeError(f"module 'nnjit' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), "functional"])
