"""The classifier."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target

from nnjit._types import ActivationName, Array, FloatArray, MatrixLike, ScheduleName, SolverName
from nnjit.estimators._base import (
    BaseMultilayerPerceptron,
    HiddenSizes,
    RandomState,
)
from nnjit.estimators._device import as_given, host_target, to_host
from nnjit.estimators._labels import (
    check_known_classes,
    decode,
    encode,
    explaining,
    fit_binarizer,
)
from nnjit.estimators._methods import checks_parameters, for_stochastic_solvers
from nnjit.estimators._rollback import unchanged_on_error
from nnjit.estimators._validation import flattened_column, validate_training_data
from nnjit.training.engine import Engine
from nnjit.training.scoring import ClassAccuracy, LabelAccuracy


class MLPClassifier(ClassifierMixin, BaseMultilayerPerceptron):
    r"""Multi-layer perceptron classifier, trained by compiled code.

    A drop-in for `sklearn.neural_network.MLPClassifier`: the same parameters, attributes and
    numbers. It minimizes the cross-entropy

    .. math:: -\frac{1}{\sum_i w_i} \sum_i w_i \sum_k y_{ik} \log p_{ik}
              + \frac{\alpha}{2 \sum_i w_i} \|W\|^2

    where p is the softmax of the outputs for more than two classes; two classes have one output,
    and each label of a multilabel target has its own, with the logistic function and the binary
    cross-entropy.

    Parameters
    ----------
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
        weights of the best epoch. Rows are held out class by class, except of a multilabel
        target, or where a class has too few of them. Rows of sample weight 0
        are left out. A warm start keeps the rows that were held out.
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
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    loss_ : float
        Loss of the last epoch.
    best_loss_ : float or None
        Lowest training loss of the stochastic solvers, counted anew when a warm start follows a
        plateau; None with early stopping.
    loss_curve_ : list of float
        Loss of each epoch of the stochastic solvers.
    validation_scores_ : list of float or None
        Accuracy on the held-out rows after each epoch; None without early stopping.
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
        'softmax' for more than two classes, else 'logistic'.

    See Also
    --------
    MLPRegressor : The same for regression.

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
    >>> from sklearn.datasets import make_classification
    >>> from nnjit import MLPClassifier
    >>> X, y = make_classification(n_samples=100, random_state=1)
    >>> model = MLPClassifier(random_state=1, max_iter=300).fit(X, y)
    >>> model.predict(X[:5]).shape
    (5,)
    """

    classes_: Array

    def __init__(
        self,
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
            loss="log_loss",
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
        X, y = validate_training_data(self, X, y, reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = flattened_column(y)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._label_binarizer = fit_binarizer(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            check_known_classes(y, self.classes_, all_present=self.warm_start)
        return X, encode(self._label_binarizer, y)

    def _output_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _output_count(self, target: Array) -> int:
        return len(self.classes_) if target.ndim == 1 else target.shape[1]

    def _stratification(self, target: Array) -> Array | None:
        if target.ndim == 1:
            return self.classes_[target]
        # As text: where no split is possible, scikit-learn's message names the sparse class so.
        return np.where(target[:, 0], "True", "False") if target.shape[1] == 1 else None

    def _make_score(self, target: Array, sample_weight: Array | None) -> Callable[[Array], float]:
        if len(self.classes_) == 1:
            return lambda output: 1.0  # which is predicted whatever the output
        accuracy = ClassAccuracy if target.ndim == 1 else LabelAccuracy
        return accuracy(target, sample_weight)

    # Public methods

    @for_stochastic_solvers
    @checks_parameters
    def partial_fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on X and y, going on from the weights that are there.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the loss; all 1 if None.
        classes : array-like of shape (n_classes,), default=None
            All classes that any call will see. Needed by the first call.

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
        y, classes = host_target(y), host_target(classes)
        with unchanged_on_error(self):
            with explaining(classes, "classes"):
                first = _check_partial_fit_first_call(self, classes)
            if first:
                with explaining(y):
                    multilabel = type_of_target(y).startswith("multilabel")
                self._label_binarizer = fit_binarizer(y if multilabel else classes)
            return self._fit(X, y, sample_weight=sample_weight, incremental=True)

    def predict(self, X: MatrixLike) -> Array:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict, in the precision of the network.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            Class labels, or for a multilabel target zeros and ones (sparse if those of the fit
            were).

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid or has another number of columns than the rows fitted on.
        """
        _, rows, p = self._forward(X)
        labels: Array = as_given(decode(self._label_binarizer, to_host(p)), rows, X)
        return labels

    def score(self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of the predictions.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; all 1 if None.

        Returns
        -------
        score : float
            The accuracy; for a multilabel target the share of rows with every label right.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X or y is invalid.
        """
        return self._score_by(accuracy_score, X, y, sample_weight)

    def predict_proba(self, X: MatrixLike) -> FloatArray:
        """Return the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict, in the precision of the network.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`; rows sum to 1 unless the target is multilabel.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid or has another number of columns than the rows fitted on.
        """
        engine, rows, p = self._forward(X)
        if self.n_outputs_ == 1:
            p = self._both_probabilities(engine, rows, to_host(p))
        given: FloatArray = as_given(p, rows, X)
        return given

    def _both_probabilities(self, engine: Engine, X: Any, p: FloatArray) -> FloatArray:
        other = 1 - p
        lost = p == 1
        if lost.any():
            # Here z is so large that 1 / (1 + exp(z)) is exp(-z) to the last bit.
            other[lost] = np.exp(-to_host(engine.predict(X, output="logits"))[lost])
        return np.hstack([other, p])

    def predict_log_proba(self, X: MatrixLike) -> FloatArray:
        """Return the logarithm of the probability of each class.

        Where a probability rounds to 0, its logarithm is computed from the logits z instead, as
        ``z - log(sum(exp(z)))`` or ``-log(1 + exp(-z))``, and so is finite everywhere.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to predict, in the precision of the network.

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If X is invalid or has another number of columns than the rows fitted on.
        """
        engine, rows, p = self._forward(X)
        p = to_host(p)
        if self.n_outputs_ == 1:
            p = self._both_probabilities(engine, rows, p)
        vanished = p < np.finfo(p.dtype).tiny
        if not vanished.any():
            certain: FloatArray = as_given(np.log(p, out=p), rows, X)
            return certain
        log_p = self._log_p_from_logits(to_host(engine.predict(rows, output="logits")))
        np.log(p, out=log_p, where=~vanished)
        given: FloatArray = as_given(log_p, rows, X)
        return given

    def _log_p_from_logits(self, logits: FloatArray) -> FloatArray:
        if self.out_activation_ == "softmax":
            shifted: FloatArray = logits - logits.max(axis=1, keepdims=True)
            shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
            return shifted
        zero = logits.dtype.type(0)
        log_p = -np.logaddexp(zero, -logits)
        if self.n_outputs_ == 1:
            return np.hstack([-np.logaddexp(zero, logits), log_p])
        return log_p

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
