"""Predictions that draw at random what training does."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn import get_config
from sklearn.utils import check_random_state

from nnjit._types import FloatArray, MatrixLike
from nnjit.estimators._base import NetworkEstimator
from nnjit.estimators._device import as_given, to_host
from nnjit.estimators.parameters import RandomState
from nnjit.training.engine import Engine
from nnjit.training.quantiles import uncrossed
from nnjit.training.reading import are_read
from nnjit.training.solvers import draw_seed

__all__ = ["SampledPredictions"]


class SampledPredictions(NetworkEstimator):
    """Adds `predict_samples` to networks that may draw at random, as dropout does."""

    def predict_samples(
        self, X: MatrixLike, n: int, *, random_state: RandomState = None
    ) -> FloatArray:
        """Return n predictions of each row that leave out at random what training does.

        Monte Carlo dropout: their mean is a prediction, and how far they scatter tells how
        uncertain it is. Augmentation and noise, where a network has them, change values likewise.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict, in the precision of the network. Sparse X only if the first layer is
            a dense one.
        n : int
            Number of predictions.
        random_state : int, RandomState instance or None, default=None
            Draws the seed of the masks; None for the estimator's own. With the same seed the first
            predictions of a row do not depend on n, nor on the other rows, but on its place in X.

        Returns
        -------
        samples : ndarray of shape (n, n_samples[, n_outputs])
            What a regressor predicts; of a classifier probabilities as of `predict_proba`, one
            for each class. With a target for each point of a series (n, n_samples, time[,
            n_outputs]), or a list with an array (n, time[, n_outputs]) for each case.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X or n is invalid, a prediction overflows, or there is no dropout in the network.

        References
        ----------
        Y. Gal and Z. Ghahramani, "Dropout as a Bayesian approximation: representing model
        uncertainty in deep learning", ICML 2016.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from nnjit import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MLPClassifier(dropout=0.5, max_iter=300, random_state=0).fit(X, y)
        >>> samples = model.predict_samples(X[:4], 100)
        >>> samples.shape, samples.std(axis=0).shape
        ((100, 4, 3), (4, 3))
        """
        if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
            raise ValueError(f"n must be an int of at least 1, got {n!r}.")
        engine, rows, _ = self._forward(X)
        self._check_sampling(engine, rows)
        rows = rows[:] if are_read(rows) else rows  # there are n outputs for each
        given = self.random_state if random_state is None else random_state
        seed = draw_seed(check_random_state(given))
        samples = to_host(engine.predict_samples(rows, int(n), seed))
        if not np.isfinite(samples).all() and not get_config()["assume_finite"]:
            raise ValueError(
                "A sample of the predictions overflows. Scale the rows as those of the fit were "
                "scaled."
            )
        taken: FloatArray = self._returned_samples(samples, rows, X)
        return taken

    def _returned_samples(self, samples: FloatArray, rows: Any, X: Any) -> Any:
        """Return an engine's samples of predictions as the user gets them."""
        return as_given(self._samples_as_predictions(samples), rows, X)

    def _check_sampling(self, engine: Engine, rows: Any) -> None:
        """Refuse to draw samples where there is nothing to draw, or no way to."""
        if not engine.network.is_random:
            raise ValueError(f"predict_samples needs a network with dropout, {self._no_dropout()}.")
        if not hasattr(engine, "predict_samples"):
            raise ValueError(f"predict_samples cannot be used with device={self.device!r}.")
        if sp.issparse(rows) and engine.network.layers[0].kind != "dense":
            raise ValueError(f"predict_samples needs dense X with {self._random_option()}.")

    def _no_dropout(self) -> str:
        """Return what the estimator has in place of dropout, as the end of a sentence."""
        return f"but dropout={getattr(self, 'dropout', 0.0)!r}"

    def _samples_as_predictions(self, samples: FloatArray) -> FloatArray:
        """Return outputs (n, n_samples, n_outputs) in the form that predictions have."""
        if samples.shape[2] > 1:
            return uncrossed(samples, self.__dict__.get("quantiles_", ()))
        if hasattr(self, "classes_"):
            return np.concatenate([1 - samples, samples], axis=2)
        return samples[:, :, 0]
