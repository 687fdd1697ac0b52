"""Small networks of series and images, and what the tests of X in all its forms feed them."""

from pathlib import Path

import numpy as np
import pytest

from nnjit.estimators._channels import ChannelsInput
from nnjit.estimators._declaration import parameter_group, with_parameters
from nnjit.estimators.classifier import BaseClassifier
from nnjit.estimators.parameters import RegressionLoss, Training
from nnjit.estimators.regressor import BaseRegressor
from nnjit.layers.dense.spec import Dense
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.network import Network
from nnjit.layers.pooling.spec import Pool
from nnjit.training.initialization import glorot_uniform

DATA = Path(__file__).parents[3] / "shared" / "data"


class Flat(ChannelsInput):
    """A linear model of all values of a case."""

    def _layers(self):
        return (Flatten(),)

    def _network(self, inputs, outputs):
        layers = (*self._layers(), Dense(outputs, "identity"))
        return Network(
            inputs, layers, self._engine_loss(), self.out_activation_, shape=self.input_shape_
        )

    def _initial_parameters(self, network, X, target, sample_weight, dtype):
        sizes = network.sizes[-2:]
        return list(glorot_uniform(self._random_state, *sizes, "relu", dtype))

    def _as_attributes(self, arrays):
        return dict(zip(("coefs_", "intercepts_"), arrays))

    def _give_parameters(self, n_features=None):
        if n_features not in (None, self.n_features_in_):
            raise ValueError(
                f"The dense layer behind the flat values is for {self.n_features_in_}."
            )
        network = self._network(self.n_features_in_, self.coefs_.shape[1])
        return network, [self.coefs_, self.intercepts_]


@with_parameters
class FlatClassifier(BaseClassifier, Flat):
    pass


@with_parameters
class TwoLayers(BaseClassifier, Flat):
    """A hidden layer of three units, which are not trained."""

    def _layers(self):
        return Flatten(), Dense(3, "tanh")

    def _give_parameters(self, n_features=None):
        network, arrays = super()._give_parameters(n_features)
        first = np.linspace(-1, 1, 3 * self.n_features_in_).reshape(-1, 3)
        return network, [first.astype(arrays[0].dtype), np.zeros(3, arrays[0].dtype), *arrays]

    def _as_attributes(self, arrays):
        return super()._as_attributes(arrays[-2:])


@with_parameters
class ImageClassifier(BaseClassifier, Flat):
    """The same, of which is known that it is for images."""

    def _axes(self):
        return 2


@with_parameters
class SeriesOnly(BaseClassifier, Flat):
    """The same, of which is known that it is for series."""

    def _axes(self):
        return 1


@with_parameters
class PooledClassifier(BaseClassifier, Flat):
    """The largest of four points come before the linear model."""

    def _layers(self):
        return Pool("max", 4), Flatten()


@parameter_group
class _Parameters(Training, RegressionLoss):
    pass


@with_parameters
class FlatRegressor(_Parameters, BaseRegressor, Flat):
    pass


def series(channels=3, time=7, n=40, seed=0, dtype=np.float64):
    """X of shape (n, channels, time) and three classes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, channels, time))
    y = X.reshape(n, -1)[:, :3].argmax(axis=1)
    return X.astype(dtype), y


def ragged(**more):
    """Series of two to all points: X with NaN behind their ends, the list of them, and y."""
    X, y = series(**more)
    lengths = np.random.default_rng(1).integers(2, X.shape[2] + 1, len(X))
    lengths[0] = X.shape[2]
    for row, length in zip(X, lengths):
        row[:, length:] = np.nan
    return X, [row[:, :length] for row, length in zip(X, lengths)], y


def saved(name):
    """Arrays of a public data set, where it is at hand."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the data set {name} is not at hand")
    with np.load(path) as arrays:
        return dict(arrays)
