"""What all networks share as estimators: a fit, from the rows given to the attributes left.

Glue only. The arithmetic is behind `nnjit.backends`.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from nnjit._types import Array, MatrixLike
from nnjit.estimators._arrays import engine_input, to_dtype
from nnjit.estimators._assigned import refuse_non_finite
from nnjit.estimators._callbacks import report_fit
from nnjit.estimators._device import host_rows, host_target, rows_on_device
from nnjit.estimators._methods import checks_parameters
from nnjit.estimators._rollback import unchanged_on_error
from nnjit.estimators._sources import source_for_fit
from nnjit.estimators._trainable_network import NON_FINITE, TrainableNetwork
from nnjit.estimators._training_call import TrainingCall
from nnjit.estimators._validation import validate_sample_weight
from nnjit.estimators._watching import Given, ValidationRows, check_validation, scorer_of
from nnjit.formulas import SOLVERS
from nnjit.layers.network import Network
from nnjit.training.reading import are_read

SET_BACK = "Set the parameters back, or train a new network by calling fit with warm_start=False."

_ATTRIBUTES = """
loss_ : float
    Loss of the last epoch.
best_loss_ : float or None
    Lowest training loss of the stochastic solvers, counted anew when a warm start follows a
    plateau; None with early stopping.
loss_curve_ : list of float
    Loss of each epoch of the stochastic solvers.
learning_rate_curve_ : list of float or None
    Learning rate of the last step of each epoch; None where all steps have the same.
validation_scores_ : list of float or None
    What `scoring` says of the validation rows after each epoch; None where there are none.
validation_loss_curve_ : list of float or None
    Loss of the validation rows after each epoch, without the penalty, where they were given to
    ``fit`` or `scoring` is 'loss'; else None.
best_validation_score_ : float or None
    Highest of the scores; None without early stopping.
t_ : int
    Rows trained on by the stochastic solvers: epochs times rows.
n_skipped_batches_ : int
    Minibatches of the stochastic solvers left out because their sample weights sum to zero.
n_features_in_ : int
    Number of features.
feature_names_in_ : ndarray of shape (n_features_in_,)
    Names of the features, if all are strings.
n_iter_ : int
    Epochs or iterations of the last fit.
n_layers_ : int
    Number of layers, input and output included.
n_outputs_ : int
    Number of output units, those of all columns together.
"""
_REFERENCES = """
I. Sutskever et al., "On the importance of initialization and momentum in deep learning",
ICML 2013 ('sgd').

D. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015 ('adam').

S. Reddi, S. Kale and S. Kumar, "On the convergence of Adam and beyond", ICLR 2018 (`amsgrad`).

I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019 ('adamw').

T. Tieleman and G. Hinton, "Lecture 6.5: RMSProp", Neural Networks for Machine Learning, 2012
('rmsprop').

X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023 ('lion').

J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning and stochastic
optimization", JMLR 12, 2011 ('adagrad').

R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks",
ICML 2013 (`clip_norm`).

B. Polyak and A. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM Journal
on Control and Optimization 30, 1992 (`average`).

I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017
('cosine').

L. Smith and N. Topin, "Super-convergence: very fast training of neural networks using large
learning rates", 2018 ('one_cycle').

R. Byrd, P. Lu, J. Nocedal and C. Zhu, "A limited memory algorithm for bound constrained
optimization", SIAM Journal on Scientific Computing 16, 1995 ('lbfgs').
"""

# Attributes of an earlier fit that a fit from scratch leaves behind.
_LEARNED = (
    "loss_",
    "loss_curve_",
    "learning_rate_curve_",
    "best_loss_",
    "validation_scores_",
    "validation_loss_curve_",
    "best_validation_score_",
    "n_skipped_batches_",
    "_optimizer",
    "_no_improvement_count",
    "_converged",
    "_validation_split",
)


class NetworkEstimator(TrainableNetwork):
    """Base of all estimators that are a network trained by gradients.

    A kind of network derives from it and supplies, all arrays in the order of the network's
    `parameters`:

    - `_network`, the network that the constructor's parameters ask for;
    - `_initial_parameters`, the arrays that training starts from;
    - `_as_attributes`, the fitted attributes that hold learned arrays; `coefs_`, which every
      network has since it ends in a dense layer, tells that there has been a fit;
    - `_give_parameters`, the fitted network and its arrays, read from those attributes;
    - if it likes, `_present_parameters` (a quicker way for predictions), `_check_architecture` (a
      better message), `_train` (another way to train), `_engine_rows` (a change of the rows),
      `_engine_device` and `_accepted_sparse` (what it cannot do).

    `BaseClassifier` and `BaseRegressor` derive from it as well. They supply what depends on
    the target: how it is validated and encoded (`_check_input`), how a held-out set is drawn and
    scored (`_stratification`, `_make_score`), which output activation it calls for
    (`_output_activation`) and how many outputs (`_output_count`). So a classifier is::

        @with_parameters
        class SomeClassifier(_Parameters, BaseClassifier, SomeNetwork): ...

    with `_Parameters` the group of its parameters and `SomeNetwork` the kind of network.
    """

    _shared_docs = {"attributes": _ATTRIBUTES, "references": _REFERENCES}

    @checks_parameters
    def fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: MatrixLike | None = None,
        y_val: MatrixLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train the network on X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows. float32 is computed in float32, anything else in float64. With a CUDA
            device, arrays that lie there (CuPy's, PyTorch's) are used where they are. Networks of
            series and images take other forms as well, see there. With ``shuffle='blocks'`` it may
            be a file of any size: ``numpy.memmap``, HDF5, Zarr, or one of `nnjit.rows`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, or values for a regressor. For a classifier several columns are a
            multilabel indicator, if of two numbers, or classes of their own each. Networks of
            series may have a target for each point, see there.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the loss; all 1 if None.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation rows, whose score and loss are recorded after each epoch. With
            `early_stopping` they take the place of rows held out; without they change nothing.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Their class labels or values.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights in the score and the loss; all 1 if None.

        Returns
        -------
        self : object
            This estimator, fitted.

        Raises
        ------
        TypeError
            If there are dates or durations in X, or in the values for a regressor.
        ValueError
            If the input is invalid, or the loss or a parameter is no longer finite.

        Notes
        -----
        After an error the estimator is as it was before the call.
        """
        given = Given(X_val, y_val, sample_weight_val)
        # A subclass may override `_fit` as scikit-learn has it.
        more = {} if all(one is None for one in given) else {"validation": given}
        with report_fit(self, X, y, sample_weight), unchanged_on_error(self):
            self._fit(X, y, sample_weight=sample_weight, incremental=False, **more)
        return self

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        incremental: bool = False,
        validation: Given | None = None,
    ) -> Self:
        return self._fit_on(Given(X, y, sample_weight), incremental, validation)

    def _fit_on(self, given: Given, incremental: bool, validation: Given | None) -> Self:
        """Fit on rows as the user has them; what `_fit`, which has scikit-learn's form, does."""
        self._check_solver_options()
        self._check_schedule()
        scorer_of(self)  # refuses a wrong name
        X, y, sample_weight = given
        fresh = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        if not fresh:
            self._leave_averages()
            _, arrays = self._give_parameters()
            refuse_non_finite(self._as_attributes(arrays))
            self._take_parameters(arrays)
        source = source_for_fit(self, X)
        rows = None if source is not None else rows_on_device(X, self._engine_device())
        X = (host_rows(X) if source is None else source) if rows is None else rows.stand_in()
        X, target = self._check_input(X, host_target(y), incremental, reset=fresh)
        sample_weight = validate_sample_weight(host_target(sample_weight), X)
        watched = None if validation is None else check_validation(self, validation, target)
        sample_weight = self._row_weights(X, target, sample_weight)
        self._random_state = self._random_stream(incremental)
        outputs = self._output_count(target)
        if fresh:
            self._begin(X, target, sample_weight, outputs)
        else:
            self._check_architecture(self._network(X.shape[1], outputs))
            self._check_output()
        self.n_outputs_ = outputs
        X = engine_input(X, self._parameter_dtype()) if rows is None else rows
        if source is None:
            X = self._engine_rows(X)
        watched = None if watched is None else self._watched_input(watched)
        self._train(TrainingCall(X, target, sample_weight, incremental, fresh, given, watched))
        if not all(np.isfinite(a).all() for a in self._present_parameters()[1]):
            raise ValueError(f"{NON_FINITE} {self._divergence_advice()}")
        return self

    def _begin(self, X: Any, target: Array, sample_weight: Array | None, outputs: int) -> None:
        """Set what a network has that has not been trained yet."""
        self._forget()
        self.n_iter_ = 0
        self.t_ = 0
        self.n_outputs_ = outputs
        self.out_activation_ = self._output_activation()
        network = self._network(X.shape[1], outputs)
        self.n_layers_ = len(network.widths)
        self._take_parameters(self._initial_parameters(network, X, target, sample_weight, X.dtype))

    def _watched_input(self, watched: ValidationRows) -> ValidationRows:
        """Return checked validation rows as the engine takes them."""
        X, target, dtype = watched.X, watched.target, self._parameter_dtype()
        X = X if hasattr(X, "given") else engine_input(X, dtype, "X_val")
        target = to_dtype(target, dtype, "y_val") if target.dtype.kind == "f" else target
        if are_read(X):
            from nnjit.estimators._rows import in_memory

            X = in_memory(X)
        else:
            X = self._engine_rows(X, "X_val")
        return watched._replace(X=X, target=target)

    def _train(self, call: TrainingCall) -> None:
        """Train the parameters that are there."""
        if self.solver in SOLVERS:
            self._train_stochastic(call)
        else:
            self._train_lbfgs(call)

    def _random_stream(self, incremental: bool) -> np.random.RandomState:
        """Return the generator of this call; partial_fit goes on with that of the last call."""
        seed = self.random_state
        is_seed = isinstance(seed, Integral)
        if incremental and is_seed and getattr(self, "_stream_seed", None) == seed:
            return self._random_state
        self._stream_seed = seed if is_seed else None
        stream: np.random.RandomState = check_random_state(seed)
        return stream

    def _forget(self) -> None:
        for name in _LEARNED:
            self.__dict__.pop(name, None)

    def _check_output(self) -> None:
        """Refuse to go on training a network that ends in another activation."""
        if self.out_activation_ != self._output_activation():
            raise ValueError(
                f"The fitted network ends in {self.out_activation_!r}, but the loss and the target "
                f"ask for {self._output_activation()!r}. {SET_BACK}"
            )

    def _check_architecture(self, network: Network) -> None:
        """Refuse to go on training another network than the parameters ask for."""
        fitted, _ = self._give_parameters()
        if fitted != network:
            raise ValueError(
                f"The fitted network is {fitted}, but the parameters and the data ask for "
                f"{network}. {SET_BACK}"
            )
