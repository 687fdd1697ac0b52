"""Autoencoders: networks that give back their rows, through a code of few numbers."""

# Without `from __future__ import annotations`, so that help() shows the values in a Literal.
from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import ClassNamePrefixFeaturesOutMixin, OutlierMixin, TransformerMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_array, check_is_fitted

from nnjit._types import Array, FloatArray, MatrixLike, ScheduleName
from nnjit.backends import select
from nnjit.estimators._arrays import common_dtype, to_dtype
from nnjit.estimators._assigned import refuse_non_finite
from nnjit.estimators._autoencoding import AutoEncodingNetwork
from nnjit.estimators._callbacks import report_fit
from nnjit.estimators._cases import rows_as_given
from nnjit.estimators._declaration import Kind, parameter, parameter_group, with_parameters
from nnjit.estimators._device import as_given, first_rows, host_target, to_host
from nnjit.estimators._hidden import outputs_of_first
from nnjit.estimators._layered import LayeredNetwork
from nnjit.estimators._methods import checks_parameters, for_stochastic_solvers
from nnjit.estimators._reconstruction import explained, scaled_errors
from nnjit.estimators._rollback import unchanged_on_error
from nnjit.estimators._validation import validate_sample_weight
from nnjit.estimators._watching import Given
from nnjit.estimators.parameters import Coding, InputShape, Training

__all__ = ["AutoEncoder"]


@parameter_group
class _Parameters(Training, InputShape, Coding):
    learning_rate: ScheduleName | Callable[[int, int], Any] = parameter(default="one_cycle")
    learning_rate_init: float = parameter(default=0.01)
    max_iter: int = parameter(default=100)
    n_iter_no_change: float = parameter(default=np.inf)
    batch_size: int | Literal["auto"] = parameter(
        default="auto",
        text="""Rows in a minibatch; 'auto' is a tenth of the rows, but from 8 to 64. Not used by
            'lbfgs'.""",
    )
    scoring: Literal["loss"] | Callable[..., Any] | None = parameter(
        default=None,
        kind=Kind("{'loss'}, callable or None", [StrOptions({"loss"}), callable, None]),
        text="""Score of the validation rows: that of `score` if None; 'loss' for minus the loss
            without the penalty; or a callable of (estimator, X, y), where y is X.""",
    )


_NOTES = """
The network is an encoder of `hidden_layer_sizes`, a layer of `n_components` without an activation,
whose outputs are the code, and a decoder, the encoder's mirror image. It is trained to give out
its own rows: half the squared error, a mean over the features (of which the minibatch solvers
follow the gradient of the sum where the output is the identity, as of `MLPRegressor`), and the L2
penalty of the weights. Features count by the squares of their units, as in PCA: scale them. With
``activation='identity'`` the code spans the subspace of PCA.

Training is one cycle of the learning rate over `max_iter` epochs, which ends where the cycle does:
`n_iter_no_change` is infinite, and early stopping returns the weights of the best epoch. In fits
on digits a cycle of 100 epochs gave back more than 300 epochs of a rate cut on plateaus, and on
pixels from 0 to 1 the logistic output more than the identity (of 25 % held out, with 8 components,
83 % of the variance beside 80 %, and PCA's 66 %); on tables scaled to that range they were equal.

Outliers are rows that are given back badly. Their errors are squared, each divided by what is usual
for its feature, the mean of the training rows, and the mean over the features is minus what
`score_samples` returns: it is about -1 for a usual row. `offset_` is the score below which a share
of `contamination` of the training rows lies. Behind ``partial_fit`` both are by the rows of the
last call, and `mean_` by all so far. A network that is good at giving rows back may give outliers
back as well: a narrow code, few epochs, `mask` or `noise`, and several members tell them better.
"""


@with_parameters
class AutoEncoder(
    _Parameters,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    OutlierMixin,
    AutoEncodingNetwork,
):
    r"""Network that gives back its own rows, through a code of few numbers.

    With the encoder f and the decoder g it minimizes

    .. math:: \frac{1}{\sum_i w_i} \sum_i w_i \frac{1}{2 d} \|x_i - g(f(x_i))\|^2
              + \frac{\alpha}{2 \sum_i w_i} \|W\|^2

    for rows of d features. The code is a transformation like PCA's, but no linear one; and rows
    that are given back badly are outliers.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    mean_ : ndarray of shape (n_features_in_,)
        Mean of each feature in the training rows.
    scale_ : ndarray of shape (n_features_in_,)
        Root of the mean squared error of each, but at least a tenth of that of all together.
    offset_ : float
        Score below which a row is an outlier.
    members_ : list of AutoEncoder
        The networks beside this one, ``n_members - 1``.
    out_activation_ : str
        What `output_activation` stands for.
    {attributes}

    See Also
    --------
    MLPRegressor : The same network for targets of its own.
    HiddenFeatures : Features that a network with targets has learned.

    Notes
    -----
    {notes}
    {forms}

    References
    ----------
    G. Hinton and R. Salakhutdinov, "Reducing the dimensionality of data with neural networks",
    Science 313, 2006.

    P. Vincent, H. Larochelle, Y. Bengio and P.-A. Manzagol, "Extracting and composing robust
    features with denoising autoencoders", ICML 2008 (`mask`, `noise`, `tied`).

    P. Baldi and K. Hornik, "Neural networks and principal component analysis: learning from
    examples without local minima", Neural Networks 2, 1989.

    {references}

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from nnjit import AutoEncoder
    >>> X = load_digits().data / 16
    >>> model = AutoEncoder(8, max_iter=20, tol=0.01, random_state=0).fit(X)
    >>> model.transform(X).shape
    (1797, 8)
    >>> model.reconstruct(X).shape
    (1797, 64)
    >>> model.score(X) > 0.6
    True
    >>> model.predict(X)[:5].shape  # 1, or -1 for an outlier
    (5,)
    """

    _shared_docs = {**LayeredNetwork._shared_docs, "notes": _NOTES}

    @checks_parameters
    def fit(  # type: ignore[override]
        self,
        X: MatrixLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: MatrixLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train the network to give back X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or other forms
            Training rows. float32 is computed in float32, anything else in float64. With
            `input_shape` or layers for such, series and images in other forms; see the class.
        y : None
            Not used.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the loss, in mean and scale of the features and in the share of
            outliers; all 1 if None.
        X_val : array-like of shape (n_val, n_features), default=None
            Validation rows, whose score and loss are recorded after each epoch. With
            `early_stopping` they take the place of rows held out; without they change nothing.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights in the score and the loss; all 1 if None.

        Returns
        -------
        self : object
            This estimator, fitted.

        Raises
        ------
        TypeError
            If there are dates or durations in X, or X is sparse.
        ValueError
            If the input is invalid, or the loss or a parameter is no longer finite.

        Notes
        -----
        After an error the estimator is as it was before the call.
        """
        given = Given(X_val, None, sample_weight_val)
        validation = None if all(one is None for one in given) else given
        with report_fit(self, X, None, sample_weight), unchanged_on_error(self):
            self._fit(X, None, sample_weight, False, validation)
        return self

    @for_stochastic_solvers
    @checks_parameters
    def partial_fit(
        self, X: MatrixLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on X, going on from the weights that are there.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or other forms
            Training rows.
        y : None
            Not used.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; all 1 if None.

        Returns
        -------
        self : object
            This estimator, fitted.

        Raises
        ------
        ValueError
            If the input is invalid, or the loss is no longer finite. The estimator is then as it
            was before the call.
        """
        with unchanged_on_error(self):
            return self._fit(X, None, sample_weight, incremental=True)

    # The code

    def transform(self, X: MatrixLike) -> FloatArray:
        """Return the code of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or other forms
            Rows.

        Returns
        -------
        code : ndarray of shape (n_samples, n_components)
            In the precision of the network.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid, or a value overflows.
        """
        return outputs_of_first(self, X, lambda net: net.first(self._code_layer + 1), "codes")

    def inverse_transform(self, X: ArrayLike) -> FloatArray:
        """Return the rows that codes stand for.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            Rows, in the precision of the network. The values of series and images are in the order
            of `input_shape`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid, or a value overflows.
        """
        check_is_fitted(self)
        codes = check_array(to_host(X), dtype=(np.float64, np.float32), estimator=self)
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {codes.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self._n_features_out} components as input."
            )
        network, arrays = self._decoder()
        engine = select.make_engine(network, common_dtype(arrays))
        engine.pack(arrays)
        rows, finite = engine.predict_checked(to_dtype(codes, engine.dtype, "X"))
        if not (finite or np.isfinite(rows).all() or get_config()["assume_finite"]):
            refuse_non_finite(self._as_attributes(self._give_parameters()[1]))
            raise ValueError(
                "A row that the codes stand for overflows: they are far from those that "
                "`transform` returns."
            )
        return self._as_rows(rows)

    def _as_rows(self, rows: Array) -> FloatArray:
        """Return rows, the channels first, as the values of a row lie in X."""
        shape = self.__dict__.get("input_shape_", ())
        if not (shape and self.channels_last):
            return rows
        return np.moveaxis(rows.reshape(-1, *shape), 1, -1).reshape(rows.shape)

    @property
    def _n_features_out(self) -> int:
        code: Any = self.layers_[self._code_layer]
        return int(code.units)

    # Rows given back

    def _given_back(self, X: Any) -> tuple[Any, Array, Array]:
        """Return rows as the engine takes them, the same on the host, and what is given back."""
        _, rows, outputs = self._forward(X)
        host = first_rows(rows, None)
        if host.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has series of {host.shape[1] // self.input_shape_[0]} points, but a decoder "
                f"makes series of {self.input_shape_[1]}, as those of the fit. Longer ones have "
                "only a code."
            )
        return rows, host, to_host(outputs)

    def reconstruct(self, X: MatrixLike) -> Any:
        """Return the rows as the network gives them back.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or other forms
            Rows; series no longer than those of the fit.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features), or in the form of X
            In the precision of the network; NaN behind the ends of series.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid, or a value overflows.
        """
        rows, host, outputs = self._given_back(X)
        if not self._takes_arrays():
            found: Any = as_given(outputs, rows, X)
            return found
        outputs[np.isnan(host)] = np.nan
        return rows_as_given(outputs, host_target(X), self)

    def score(self, X: MatrixLike, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        r"""Return the share of the rows' squared distances from the mean that is given back.

        .. math:: 1 - \sum_i w_i |x_i - x_i'|^2 / \sum_i w_i |x_i - \bar x|^2

        It is what PCA's ``explained_variance_ratio_`` adds up to, for other rows as well, with the
        mean of the training rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or other forms
            Rows.
        y : None
            Not used.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; all 1 if None.

        Returns
        -------
        score : float
            At most 1.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid.
        """
        _, rows, outputs = self._given_back(X)
        weights = validate_sample_weight(host_target(sample_weight), rows)
        return explained(rows, outputs, self.mean_, weights)

    # Outliers

    def score_samples(self, X: MatrixLike) -> FloatArray:
        r"""Return minus the error of each row: the lower, the more of an outlier.

        .. math:: -\frac{1}{d} \sum_j \big((x_j - x_j') / s_j\big)^2

        with the scale :math:`s_j` of each feature, `scale_`; with several members the mean of
        theirs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or other forms
            Rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            In float64.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid, or a value overflows.
        """
        check_is_fitted(self)
        errors = np.zeros(1)
        for network in (self, *self.members_):
            _, rows, outputs = network._given_back(X)
            errors = errors + scaled_errors(rows, outputs, self.scale_)
        return -errors / (1 + len(self.members_))

    def decision_function(self, X: MatrixLike) -> FloatArray:
        """Return how far the score of each row is above `offset_`; outliers are below 0.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or other forms
            Rows.

        Returns
        -------
        decision : ndarray of shape (n_samples,)
            ``score_samples(X) - offset_``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid, or a value overflows.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: MatrixLike) -> NDArray[np.intp]:
        """Return which rows are outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or other forms
            Rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            -1 for outliers, 1 for others.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid, or a value overflows.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
