"""Fitted networks to look at."""

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnjit import MLPClassifier, MLPRegressor

sys.path.insert(0, str(Path(__file__).parents[1]))


@pytest.fixture(scope="session")
def wine():
    return load_wine()


@pytest.fixture(scope="session")
def classifier(wine):
    """Pipeline of a scaler and a small classifier with a validation set."""
    network = MLPClassifier(
        (5, 4), activation="tanh", max_iter=12, n_iter_no_change=20, early_stopping=True,
        random_state=0,
    )  # fmt: skip
    return make_pipeline(StandardScaler(), network).fit(wine.data, wine.target)


@pytest.fixture(scope="session")
def regression():
    """A problem of three outputs, and a network fitted to it for a moment."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((60, 64))
    y = X[:, :3] + 0.1
    network = MLPRegressor(
        hidden_layer_sizes=(40, 30), solver="sgd", max_iter=6, n_iter_no_change=50, random_state=0
    )
    return network.fit(X, y), X, y
