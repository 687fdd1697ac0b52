"""Multi-layer perceptrons on Dask."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from nnjit._types import Array
from nnjit.dask._cluster import CheckedRows, is_collection
from nnjit.dask._network import DaskNetwork, DaskParameters
from nnjit.dask._predictions import lazily
from nnjit.dask._rows import Rows
from nnjit.dask._targets import balanced
from nnjit.estimators._arrays import to_dtype
from nnjit.estimators._class_weight import class_factors
from nnjit.estimators._declaration import parameter_group, with_parameters
from nnjit.estimators.mlp import (
    BaseMultilayerPerceptron,
    MLPClassifier,
    MLPRegressor,
    _ClassifierParameters,
    _RegressorParameters,
)

__all__ = ["DaskMLPClassifier", "DaskMLPRegressor"]

_FITS = """
X, y and `sample_weight` are Dask collections cut into the same parts, which stay on the workers
that have them; the parameters go there and gradients, or trained parameters, come back. Predictions
of collections are lazy Dask arrays. Arrays in memory are fitted and predicted here, as there.

With ``solver='lbfgs'`` the loss and its gradient are sums over the parts, taken in their order, so
that the fit is that of one machine but for rounding. The stochastic solvers go through each part by
itself and average the parameters, and their own vectors, after every `local_epochs` epochs; that is
another trajectory than that of one machine, the farther the more parts there are. Minibatches are
split among the parts, each of which makes as many steps as one machine would (`split_batches`). In
`max_iter`, `loss_curve_` and `n_iter_` every local epoch counts.
"""
_REFERENCES = """
H. B. McMahan, E. Moore, D. Ramage, S. Hampson and B. Agüera y Arcas, "Communication-efficient
learning of deep networks from decentralized data", AISTATS 2017 (`local_epochs`).

S. U. Stich, "Local SGD converges fast and communicates little", ICLR 2019 (`split_batches`).

"""
_DOCS = BaseMultilayerPerceptron._shared_docs
_SHARED_DOCS = {
    **_DOCS,
    "fits": _FITS,
    "references": _REFERENCES + _DOCS["references"].lstrip(),
}


@parameter_group
class _DaskClassifierParameters(DaskParameters, _ClassifierParameters):
    pass


@parameter_group
class _DaskRegressorParameters(DaskParameters, _RegressorParameters):
    pass


@with_parameters
class DaskMLPClassifier(_DaskClassifierParameters, DaskNetwork, MLPClassifier):
    r"""Multi-layer perceptron classifier, fitted on Dask's arrays and data frames.

    What `nnjit.MLPClassifier` is for rows in memory.

    {fits}

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    client_ : distributed.Client
        The client of fits on collections.
    classes_ : ndarray of shape (n_classes,), or list of such
        Class labels; a list with those of each column for y with several columns of classes.
    out_activation_ : str
        'softmax' for more than two classes or several columns, else 'logistic'.
    {attributes}

    See Also
    --------
    nnjit.MLPClassifier : The same for rows in memory.
    DaskMLPRegressor : The same for regression.

    References
    ----------
    {references}

    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from sklearn.datasets import make_classification
    >>> from nnjit.dask import DaskMLPClassifier
    >>> X, y = make_classification(n_samples=400, random_state=1)
    >>> X, y = da.from_array(X, chunks=(200, -1)), da.from_array(y, chunks=200)
    >>> client = Client(processes=False, n_workers=1, dashboard_address=":0")
    >>> model = DaskMLPClassifier(solver="lbfgs", tol=1e-2, random_state=1).fit(X, y)
    >>> model.predict(X)
    dask.array<concatenate, shape=(400,), dtype=int64, chunksize=(200,), chunktype=numpy.ndarray>
    >>> model.to_local().predict(X[:2].compute()).shape
    (2,)
    >>> client.close()
    """

    _shared_docs = _SHARED_DOCS

    predict = lazily(MLPClassifier.predict)
    predict_proba = lazily(MLPClassifier.predict_proba)
    predict_log_proba = lazily(MLPClassifier.predict_log_proba)
    activations = lazily(MLPClassifier.activations)

    def to_local(self) -> MLPClassifier:
        """Return the fitted network as a `nnjit.MLPClassifier`.

        Returns
        -------
        MLPClassifier
            That shares the arrays of this one.
        """
        local: MLPClassifier = self._local(MLPClassifier)
        return local

    def _announce_classes(self, y: Any, classes: Any) -> None:
        if is_collection(y):  # of which the number of columns says what it is
            several = y.ndim > 1 and y.shape[1] > 1
            y = np.eye(2, y.shape[1], dtype=int) if several else classes
        super()._announce_classes(y, classes)

    def _shell(self, rows: CheckedRows) -> Self:
        shell = super()._shell(rows)
        shell.class_weight = balanced(self.class_weight, rows.facts)
        return shell

    def _target_and_weight(self, rows: Rows, dtype: Any) -> tuple[Array, Array | None]:
        y = rows.y.ravel() if rows.y.ndim == 2 and rows.y.shape[1] == 1 else rows.y
        target = self._encoded(y, incremental=True)
        if self.class_weight is None:
            return target, rows.weight
        factors = class_factors(self.class_weight, self._class_numbers(target))
        return target, factors if rows.weight is None else rows.weight * factors


@with_parameters
class DaskMLPRegressor(_DaskRegressorParameters, DaskNetwork, MLPRegressor):
    r"""Multi-layer perceptron regressor, fitted on Dask's arrays and data frames.

    What `nnjit.MLPRegressor` is for rows in memory.

    {fits}

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    client_ : distributed.Client
        The client of fits on collections.
    out_activation_ : str
        `output_activation`, or if that is None the one of the loss.
    quantiles_ : ndarray of shape (n_quantiles,)
        Quantiles, of a network fitted by the quantile loss.
    {attributes}

    See Also
    --------
    nnjit.MLPRegressor : The same for rows in memory.
    DaskMLPClassifier : The same for classification.

    References
    ----------
    {references}

    Examples
    --------
    >>> import dask.array as da
    >>> from distributed import Client
    >>> from sklearn.datasets import make_regression
    >>> from nnjit.dask import DaskMLPRegressor
    >>> X, y = make_regression(n_samples=400, n_features=5, random_state=1)
    >>> X, y = da.from_array(X, chunks=(200, -1)), da.from_array(y / y.std(), chunks=200)
    >>> client = Client(processes=False, n_workers=1, dashboard_address=":0")
    >>> model = DaskMLPRegressor(solver="lbfgs", tol=1e-2, random_state=1).fit(X, y)
    >>> model.predict(X)
    dask.array<concatenate, shape=(400,), dtype=float64, chunksize=(200,), chunktype=numpy.ndarray>
    >>> bool(model.score(X, y) > 0.9)
    True
    >>> client.close()
    """

    _shared_docs = _SHARED_DOCS

    predict = lazily(MLPRegressor.predict)
    predict_interval = lazily(MLPRegressor.predict_interval)
    activations = lazily(MLPRegressor.activations)

    def to_local(self) -> MLPRegressor:
        """Return the fitted network as a `nnjit.MLPRegressor`.

        Returns
        -------
        MLPRegressor
            That shares the arrays of this one.
        """
        local: MLPRegressor = self._local(MLPRegressor)
        return local

    def _target_and_weight(self, rows: Rows, dtype: Any) -> tuple[Array, Array | None]:
        y = rows.y if rows.y.ndim == 2 else rows.y[:, np.newaxis]
        y = to_dtype(y, dtype, "y")
        self._check_domain(y)
        return y, rows.weight
