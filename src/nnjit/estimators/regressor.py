"""The regressor."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import StrOptions

from nnjit._types import (
    ActivationName,
    Array,
    FloatArray,
    MatrixLike,
    RegressionLossName,
    ScheduleName,
    SolverName,
    names,
)
from nnjit.estimators._arrays import to_dtype
from nnjit.estimators._base import (
    OUTPUT_ACTIVATIONS,
    BaseMultilayerPerceptron,
    HiddenSizes,
    RandomState,
)
from nnjit.estimators._dates import refuse_dates
from nnjit.estimators._device import as_given
from nnjit.estimators._methods import checks_parameters, for_stochastic_solvers
from nnjit.estimators._rollback import unchanged_on_error
from nnjit.estimators._validation import flattened_column, validate_training_data
from nnjit.training.scoring import R2


class MLPRegressor(RegressorMixin, BaseMultilayerPerceptron):
    r"""Multi-layer perceptron regressor, trained by compiled code.

    A drop-in for `sklearn.neural_network.MLPRegressor`: the same parameters, attributes and
    numbers. It minimizes

    .. math:: \frac{1}{\sum_i w_i} \sum_i w_i \ell(y_i, o_i)
              + \frac{\alpha}{2 \sum_i w_i} \|W\|^2

    with the output o and the loss :math:`\ell` named by the first parameter.

    Parameters
    ----------
    loss : {'squared_error', 'poisson'}, default='squared_error'
        'squared_error' is half the squared error, averaged over rows and outputs. 'poisson' is
        half the Poisson deviance, ``y log(y / o) - y + o`` with ``o = exp(z)``, for targets that
        are not negative.
    hidden_layer_sizes : array-like of int, default=(100,)
        Units of each hidden layer; ``()`` for a linear model.
    activation : {'identity', 'logistic', 'tanh', 'relu'}, default='relu'
        Activation of the hidden layers: x, 1 / (1 + exp(-x)), tanh(x) or max(0, x).
    solver : {'lbfgs', 'sgd', 'adam'}, default='adam'
        'lbfgs' minimizes the loss over all rows by SciPy's L-BFGS-B; 'sgd' and 'adam' go through
        the rows in minibatches.
    alpha : float, default=0.0001
        L2 penalty: alpha / 2 times the sum of squared weights, divided by the sum of the
        minibatch's sample weights, is added to the loss.
    batch_size : int or 'auto', default='auto'
        Rows in a minibatch; 'auto' is ``min(200, n_samples)``. Not used by 'lbfgs'.
    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        Schedule of 'sgd'. 'invscaling': ``learning_rate_init / (t + 1) ** power_t`` after t rows.
        'adaptive': divided by 5 on each plateau instead of stopping, until it is below 1e-6.
    learning_rate_init : float, default=0.001
        Learning rate of 'sgd' (its first) and 'adam'.
    power_t : float, default=0.5
        Exponent of 'invscaling'.
    max_iter : int, default=200
        Most epochs, or most iterations of 'lbfgs'.
    shuffle : bool, default=True
        Whether the rows are shuffled before each epoch.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the held-out rows and the shuffles. Given an int, successive
        calls of ``partial_fit`` continue one stream.
    tol : float, default=1e-4
        Least improvement of the loss or the score that counts; for 'lbfgs' the largest gradient
        component at which it stops.
    verbose : bool or int, default=False
        2 prints a table of loss, score, learning rate and time, any other level the loss of
        each epoch as scikit-learn does.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights that are there. 'lbfgs' takes over nothing else:
        its estimate of the curvature is SciPy's and begins anew, so that one long fit mostly gets
        further than several short ones with as many iterations.
    momentum : float, default=0.9
        Momentum of 'sgd', from 0 to 1.
    nesterovs_momentum : bool, default=True
        Whether that momentum is Nesterov's.
    early_stopping : bool, default=False
        Whether to hold out rows, stop when the score on them no longer improves, and return the
        weights of the best epoch. Rows of sample weight 0 are left out. A warm start keeps the
        rows that were held out.
    validation_fraction : float, default=0.1
        Share of the rows that early stopping holds out.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of Adam's moments, in [0, 1).
    epsilon : float, default=1e-8
        Term that keeps Adam's denominator from zero.
    n_iter_no_change : int or inf, default=10
        Training stops after this many epochs, and one more, without an improvement of `tol`.
    max_fun : int, default=15000
        Most evaluations of the loss by 'lbfgs'.
    checkpoint : str or path-like, default=None
        File that ``fit`` writes the state of training to, and goes on from if it is there: cut
        off at any moment and called again with the same data and parameters (only ``max_iter``
        may differ), it gives the result of an uninterrupted fit to the bit. The one before is
        kept as ``PATH.previous``, and used where the file is damaged. 'sgd' and 'adam' only;
        ``partial_fit`` takes no notice of it.
    checkpoint_interval : int or float, default=30.0
        Epochs (an int) or seconds (a float) from one checkpoint to the next. The last epoch is
        always written.
    device : {'cpu', 'cuda', 'cuda:N', 'auto'}, default='cpu'
        Where to compute: on the CPU, on the first or the N-th CUDA device (counted from 0), or on
        the first where there is one and else on the CPU. What is fitted holds NumPy arrays only
        and predicts on the CPU where there is no such device.

    Attributes
    ----------
    loss_ : float
        Loss of the last epoch.
    best_loss_ : float or None
        Lowest training loss of the stochastic solvers, counted anew when a warm start follows a
        plateau; None with early stopping.
    loss_curve_ : list of float
        Loss of each epoch of the stochastic solvers.
    validation_scores_ : list of float or None
        R2 on the held-out rows after each epoch; None without early stopping.
    best_validation_score_ : float or None
        Highest of these; None without early stopping.
    t_ : int
        Rows trained on by the stochastic solvers: epochs times rows.
    n_skipped_batches_ : int
        Minibatches of the stochastic solvers left out because their sample weights sum to zero.
    coefs_ : list of ndarray of shape (units of layer i, units of layer i + 1)
        Weights. They can be assigned before predicting.
    intercepts_ : list of ndarray of shape (units of layer i + 1,)
        Biases.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if all are strings.
    n_iter_ : int
        Epochs or iterations of the last fit.
    n_layers_ : int
        Number of layers, input and output included.
    n_outputs_ : int
        Number of output units.
    out_activation_ : str
        'exp' for the Poisson loss, else 'identity'.

    See Also
    --------
    MLPClassifier : The same for classification.

    References
    ----------
    D. Rumelhart, G. Hinton and R. Williams, "Learning representations by back-propagating errors",
    Nature 323, 1986.

    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010 (initial weights).

    I. Sutskever et al., "On the importance of initialization and momentum in deep learning",
    ICML 2013 ('sgd').

    D. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015 ('adam').

    R. Byrd, P. Lu, J. Nocedal and C. Zhu, "A limited memory algorithm for bound constrained
    optimization", SIAM Journal on Scientific Computing 16, 1995 ('lbfgs').

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from nnjit import MLPRegressor
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> model = MLPRegressor(random_state=1, max_iter=2000, tol=0.1).fit(X, y)
    >>> model.predict(X[:2]).shape
    (2,)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseMultilayerPerceptron._parameter_constraints,
        "loss": [StrOptions({*names(RegressionLossName)})],
    }

    def __init__(
        self,
        loss: RegressionLossName = "squared_error",
        hidden_layer_sizes: HiddenSizes = (100,),
        activation: ActivationName = "relu",
        *,
        solver: SolverName = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: ScheduleName = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: RandomState = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_interval: float = 30.0,
        device: str = "cpu",
    ) -> None:
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            loss=loss,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
            checkpoint=checkpoint,
            checkpoint_interval=checkpoint_interval,
            device=device,
        )

    # Targets

    def _check_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = validate_training_data(self, X, y, reset=reset, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = flattened_column(y)
        if y.ndim == 1:
            y = y[:, np.newaxis]
        y = to_dtype(y, X.dtype if reset else self._parameter_dtype(), "y")
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError("loss='poisson' needs y >= 0, but y has negative values.")
        return X, y

    def _output_activation(self) -> str:
        if self.loss not in OUTPUT_ACTIVATIONS:  # changed since a fit that checked it
            self._validate_params()
        (activation,) = OUTPUT_ACTIVATIONS[self.loss]
        return activation

    def _output_count(self, target: Array) -> int:
        return int(target.shape[1])

    def _stratification(self, target: Array) -> Array | None:
        return None

    def _make_score(self, target: Array, sample_weight: Array | None) -> Callable[[Array], float]:
        return R2(target, sample_weight)

    # Public methods

    @for_stochastic_solvers
    @checks_parameters
    def partial_fit(
        self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch on X and y, going on from the weights that are there.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the loss; all 1 if None.

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
            return self._fit(X, y, sample_weight=sample_weight, incremental=True)

    def predict(self, X: MatrixLike) -> FloatArray:
        """Return the network's output for each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict, in the precision of the network.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Values, or expected counts for the Poisson loss.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid or has another number of columns than the rows fitted on.
        """
        _, rows, output = self._forward(X)
        given: FloatArray = as_given(output.ravel() if output.shape[1] == 1 else output, rows, X)
        return given

    def score(self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None) -> float:
        """Return R2 of the predictions.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; all 1 if None.

        Returns
        -------
        score : float
            The coefficient of determination; at most 1.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X or y is invalid.
        """
        refuse_dates(y, "y")
        return self._score_by(r2_score, X, y, sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags
