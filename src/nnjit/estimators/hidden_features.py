"""A network's hidden layer as a transformer."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from sklearn.utils._metadata_requests import _routing_enabled
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from nnjit._site import LinksToItsPage
from nnjit._types import FloatArray, MatrixLike
from nnjit.estimators._hidden import up_to
from nnjit.estimators._methods import checks_own_parameters, for_those_that
from nnjit.estimators._rollback import unchanged_on_error

__all__ = ["HiddenFeatures"]


def _inner_has(name: str) -> Callable[[Any], bool]:
    """Return a check whether the estimator inside, fitted if there is one, has a method."""

    def check(features: Any) -> bool:
        getattr(getattr(features, "estimator_", features.estimator), name)
        return True

    return check


class HiddenFeatures(LinksToItsPage, TransformerMixin, MetaEstimatorMixin, BaseEstimator):
    """Features that a network has learned: the outputs of one of its hidden layers.

    Parameters
    ----------
    estimator : estimator
        A network of nnjit.
    layer : int, default=-1
        Number of the hidden layer from 0, or negative from the last one.
    prefit : bool, default=False
        Whether `estimator` is fitted already and taken as it is.

    Attributes
    ----------
    estimator_ : estimator
        The fitted network.
    n_features_in_ : int
        Number of features that it reads.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if all are strings.

    See Also
    --------
    MLPClassifier.activations : The method behind it.

    Notes
    -----
    What is passed to `fit` beside X and y goes to the network: as it is, or as it asks for it where
    scikit-learn's metadata routing is enabled.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from nnjit import HiddenFeatures, MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier((8, 3), solver="lbfgs", tol=0.01, random_state=0)
    >>> model = make_pipeline(HiddenFeatures(network), LogisticRegression()).fit(X, y)
    >>> model[0].transform(X).shape
    (150, 3)
    >>> model[0].get_feature_names_out()
    array(['mlpclassifier0', 'mlpclassifier1', 'mlpclassifier2'], dtype=object)
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "activations"])],
        "layer": [Integral],
        "prefit": ["boolean"],
    }

    def __init__(self, estimator: Any, *, layer: int = -1, prefit: bool = False) -> None:
        self.estimator = estimator
        self.layer = layer
        self.prefit = prefit

    estimator_: Any

    @checks_own_parameters
    def fit(self, X: MatrixLike, y: Any = None, **fit_params: Any) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : array-like, default=None
            Their targets, as the network takes them.
        **fit_params : dict
            More for the network's `fit`, such as `sample_weight`; not used with ``prefit=True``.

        Returns
        -------
        self : object
            This transformer, fitted.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is to be a fitted network and is none.
        ValueError
            If the network has no such layer, or its `fit` raises.
        """
        with unchanged_on_error(self):
            if self.prefit:
                self.estimator_ = deepcopy(self._fitted_before())
            else:
                network = clone(self.estimator)
                network.fit(X, y, **self._routed("fit", fit_params))
                self.estimator_ = network
            self._units()
        return self

    @for_those_that(_inner_has("partial_fit"))
    @checks_own_parameters
    def partial_fit(self, X: MatrixLike, y: Any = None, **partial_fit_params: Any) -> Self:
        """Train the network for one epoch.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : array-like, default=None
            Their targets.
        **partial_fit_params : dict
            More for the network's `partial_fit`, such as `classes`; not used with ``prefit=True``.

        Returns
        -------
        self : object
            This transformer, fitted.

        Raises
        ------
        ValueError
            If the network has no such layer, or its `partial_fit` raises.
        """
        with unchanged_on_error(self):
            if self.prefit:
                self.estimator_ = deepcopy(self._fitted_before())
            else:
                if hasattr(self, "estimator_"):
                    self._units()  # before the network changes
                network = getattr(self, "estimator_", None) or clone(self.estimator)
                network.partial_fit(X, y, **self._routed("partial_fit", partial_fit_params))
                self.estimator_ = network
            self._units()
        return self

    def _fitted_before(self) -> Any:
        try:
            check_is_fitted(self.estimator)
        except NotFittedError as error:
            raise NotFittedError(
                "When `prefit=True`, `estimator` is expected to be a fitted estimator."
            ) from error
        return self.estimator

    def _routed(self, method: str, given: dict[str, Any]) -> dict[str, Any]:
        """Return what the network's method gets of what ours was given."""
        if not _routing_enabled():
            return given
        routed: dict[str, Any] = process_routing(self, method, **given).estimator[method]
        return routed

    def _network(self) -> Any:
        """Return the fitted network."""
        return self.estimator_ if hasattr(self, "estimator_") else self.estimator

    def _units(self) -> int:
        network, _ = self._network()._give_parameters()
        return up_to(network, self.layer).sizes[-1]

    def transform(self, X: MatrixLike) -> FloatArray:
        """Return the outputs of the hidden layer.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, as the network takes them.

        Returns
        -------
        h : ndarray of shape (n_samples, units of the layer)
            In the precision of the network.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no fitted network.
        ValueError
            If X is invalid, or a value overflows.
        """
        check_is_fitted(self)
        h: FloatArray = self._network().activations(X, self.layer)
        return h.reshape(len(h), -1)  # of feature maps, one after the other

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the features: that of the network's class, and a number.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Looked at only to see whether they are those of the fit.

        Returns
        -------
        names : ndarray of str
            Such as 'mlpclassifier0'.
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features, generate_names=False)
        prefix = type(self.estimator).__name__.lower()
        return np.array([f"{prefix}{unit}" for unit in range(self._units())], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        if hasattr(self, "estimator_"):
            return True
        return bool(self.prefit and hasattr(self.estimator, "coefs_"))

    def __getattr__(self, name: str) -> Any:
        # Known when the network is fitted, and not before.
        if name in ("n_features_in_", "feature_names_in_") and "estimator" in vars(self):
            return getattr(vars(self).get("estimator_", self.estimator), name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def get_metadata_routing(self) -> MetadataRouter:
        """Return what of the metadata goes where.

        Returns
        -------
        routing : MetadataRouter
            All that the network's `fit` and `partial_fit` ask for goes to them.
        """
        mapping = MethodMapping()
        for caller in ("fit", "fit_transform"):
            mapping.add(caller=caller, callee="fit")
        mapping.add(caller="partial_fit", callee="partial_fit")
        router = MetadataRouter(owner=self)
        return router.add(estimator=self.estimator, method_mapping=mapping)

    def __sklearn_tags__(self) -> Any:
        tags, inner = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.target_tags.required = inner.target_tags.required
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
