"""Compiled neural networks with scikit-learn's interface.

`MLPClassifier` and `MLPRegressor` take the place of those of `sklearn.neural_network`;
`ConvClassifier` and `ConvRegressor` are convolutional networks for images and series;
`RecurrentClassifier` and `RecurrentRegressor` are recurrent networks for series of any length;
`NetworkClassifier` and `NetworkRegressor` are networks of your own layers, those in `nnjit.layers`;
`RBFClassifier` and `RBFRegressor` are radial-basis-function networks;
`AutoEncoder` gives back its own rows through a code of few numbers;
`TabularClassifier` and `TabularRegressor` take tables as they are, mixed columns and missing cells;
`HiddenFeatures` is a transformer that gives a network's hidden layer;
`SeriesScaler` scales series and images;
`SelfOrganizingMap` clusters rows on a map;
`nnjit.functional` has the kernels as functions of arrays. Importing compiles nothing and does not
load Numba: that happens at the first fit, or when `functional` is first used.
`nnjit.agents` has agents that learn from rewards;
`nnjit.forecasting` cuts a series into windows and predicts its end step by step;
`nnjit.rows` makes rows of files that do not fit in memory;
`nnjit.inspection` has plots and a gradient check; `register_activation`, `register_loss` and
`register_solver` take formulas of your own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from nnjit._version import __version__
from nnjit.core.jobs import threads as _threads  # noqa: F401  (watches forks from now on)
from nnjit.estimators.mlp import MLPClassifier, MLPRegressor

__all__ = [
    "AutoEncoder",
    "ConvClassifier",
    "ConvRegressor",
    "HiddenFeatures",
    "MLPClassifier",
    "MLPRegressor",
    "NetworkClassifier",
    "NetworkRegressor",
    "RBFClassifier",
    "RBFRegressor",
    "RecurrentClassifier",
    "RecurrentRegressor",
    "SelfOrganizingMap",
    "SeriesScaler",
    "TabularClassifier",
    "TabularRegressor",
    "__version__",
    "agents",
    "forecasting",
    "functional",
    "inspection",
    "layers",
    "register_activation",
    "register_loss",
    "register_solver",
    "rows",
    "show_versions",
]

# What is imported when it is first asked for, and where it is; modules by their own names.
_LATER = {
    "AutoEncoder": "nnjit.estimators.autoencoder",
    "ConvClassifier": "nnjit.estimators.convolution",
    "ConvRegressor": "nnjit.estimators.convolution",
    "HiddenFeatures": "nnjit.estimators.hidden_features",
    "NetworkClassifier": "nnjit.estimators.stack",
    "NetworkRegressor": "nnjit.estimators.stack",
    "RBFClassifier": "nnjit.estimators.radial",
    "RBFRegressor": "nnjit.estimators.radial",
    "RecurrentClassifier": "nnjit.estimators.recurrent",
    "RecurrentRegressor": "nnjit.estimators.recurrent",
    "SelfOrganizingMap": "nnjit.estimators.self_organizing_map",
    "SeriesScaler": "nnjit.estimators.series_scaler",
    "TabularClassifier": "nnjit.estimators.tabular",
    "TabularRegressor": "nnjit.estimators.tabular",
    "agents": None,
    "forecasting": None,
    "functional": None,
    "inspection": None,
    "layers": None,
    "register_activation": "nnjit.formulas.own",
    "register_loss": "nnjit.formulas.own",
    "register_solver": "nnjit.formulas.own",
    "rows": None,
}


def show_versions() -> None:
    """Print versions, CPU, register tile, threads and cache folder, as a bug report needs them.

    The same as ``python -m nnjit info``, but that no thread is started.

    Examples
    --------
    >>> import nnjit
    >>> nnjit.show_versions()  # doctest: +ELLIPSIS
    Versions
      nnjit             ...
    """
    from nnjit.cli.info import print_facts

    print_facts()


if TYPE_CHECKING:
    from nnjit import agents, forecasting, functional, inspection, layers, rows
    from nnjit.estimators.autoencoder import AutoEncoder
    from nnjit.estimators.convolution import ConvClassifier, ConvRegressor
    from nnjit.estimators.hidden_features import HiddenFeatures
    from nnjit.estimators.radial import RBFClassifier, RBFRegressor
    from nnjit.estimators.recurrent import RecurrentClassifier, RecurrentRegressor
    from nnjit.estimators.self_organizing_map import SelfOrganizingMap
    from nnjit.estimators.series_scaler import SeriesScaler
    from nnjit.estimators.stack import NetworkClassifier, NetworkRegressor
    from nnjit.estimators.tabular import TabularClassifier, TabularRegressor
    from nnjit.formulas.own import register_activation, register_loss, register_solver
else:  # a checker that saw this function would take every name for a module

    def __getattr__(name):
        if name not in _LATER:
            raise AttributeError(f"module 'nnjit' has no attribute {name!r}")
        place = _LATER[name]
        if place is None:
            return importlib.import_module(f"nnjit.{name}")
        found = getattr(importlib.import_module(place), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
