"""What all networks share as estimators: fitting and the network's output.

Glue only. Initialization, schedules, stopping, the loop and L-BFGS are in `nnjit.training`; the
arithmetic is behind `nnjit.backends`.
"""

from __future__ import annotations

import functools
import inspect
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from nnjit._site import LinksToItsPage
from nnjit._types import Array, FloatArray, MatrixLike
from nnjit._warnings import warn
from nnjit.backends import select
from nnjit.estimators._advice import advise_on_classes, advise_on_input, advise_on_outcome
from nnjit.estimators._arrays import (
    common_dtype,
    engine_input,
    pack_parameters,
    to_dtype,
    unpack_parameters,
)
from nnjit.estimators._assigned import refuse_non_finite
from nnjit.estimators._callbacks import CallbackSupport, current_report, report_fit
from nnjit.estimators._checkpoint import open_checkpoint, refuse_checkpoint
from nnjit.estimators._dates import refuse_dates
from nnjit.estimators._device import as_given, host_rows, host_target, rows_on_device, to_host
from nnjit.estimators._hidden import hidden_activations
from nnjit.estimators._methods import checks_parameters
from nnjit.estimators._persistence import checked, stamped
from nnjit.estimators._prediction import prediction_engine, refuse_overflow
from nnjit.estimators._rollback import unchanged_on_error
from nnjit.estimators._sources import source_for_fit, source_for_prediction
from nnjit.estimators._training_call import RowsInMemory, TrainingCall
from nnjit.estimators._validation import (
    all_finite,
    is_valid_if_finite,
    refuse_all_zero,
    validate_parameters,
    validate_sample_weight,
    weights_of_rows,
)
from nnjit.estimators._watching import (
    Given,
    ValidationRows,
    check_validation,
    held_out_rows,
    make_watch,
    scorer_of,
)
from nnjit.estimators.parameters import Training
from nnjit.formulas import LOSSES, SOLVERS, find_loss, find_solver, losses_of, offered_solvers
from nnjit.layers.network import Network
from nnjit.training.engine import Engine
from nnjit.training.lbfgs import Objective, minimize_lbfgs, objective_of
from nnjit.training.loop import run_epochs
from nnjit.training.reading import are_read, outputs_of
from nnjit.training.solvers import SCIKIT_LEARNS, StochasticSolver, draw_seed, make_solver
from nnjit.training.state import EpochPlan, TrainingState
from nnjit.training.stopping import LossMonitor, Monitor, ScoreMonitor
from nnjit.training.validation import Rows, ValidationSplit, split_rows

if TYPE_CHECKING:
    from nnjit.training.checkpoint import Checkpoint

SET_BACK = "Set the parameters back, or train a new network by calling fit with warm_start=False."
NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may"
    " contain large values and need to be preprocessed."
)

# Where an estimator's parameter has another name than the hyperparameter of a solver's entry.
_PARAMETER_OF = {"nesterov": "nesterovs_momentum"}

# What any stochastic solver may be asked for beside its hyperparameters, if it is not None.
_SOLVER_OPTIONS = ("clip_norm", "clip_value", "average")

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


class NetworkEstimator(LinksToItsPage, CallbackSupport, Training, BaseEstimator, ABC):
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

    # Formats of sparse matrices that X may come in; False where it has to be dense.
    _accepted_sparse: Any = ["csr", "csc"]

    loss: Any  # declared by those that have it as a parameter
    loss_: float
    best_loss_: float | None
    loss_curve_: list[float]
    learning_rate_curve_: list[float] | None
    validation_scores_: list[float] | None
    validation_loss_curve_: list[float] | None
    best_validation_score_: float | None
    t_: int
    n_skipped_batches_: int
    coefs_: Any
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    n_iter_: int
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    _validation_split: ValidationSplit

    if TYPE_CHECKING:  # scikit-learn's, which has no types

        def predict(self, X: MatrixLike) -> Array: ...
        def get_params(self, deep: bool = True) -> dict[str, Any]: ...
        def set_params(self, **params: Any) -> Self: ...
        def score(
            self, X: MatrixLike, y: MatrixLike, sample_weight: ArrayLike | None = None
        ) -> float: ...
        def set_callbacks(self, *callbacks: Any) -> Self: ...

    @classmethod
    @functools.cache
    def _get_param_names(cls) -> list[str]:  # scikit-learn reads the signature anew each time
        found: list[str] = super()._get_param_names()
        return found

    def _validate_params(self) -> None:
        validate_parameters(self, super()._validate_params)

    # What a kind of network supplies

    @abstractmethod
    def _network(self, inputs: int, outputs: int) -> Network:
        """Return the network that the parameters ask for, from so many features to so many logits.

        Its loss and output activation are `_engine_loss()` and `out_activation_`, which is set.
        """

    @abstractmethod
    def _initial_parameters(
        self,
        network: Network,
        X: Any,
        target: Array,
        sample_weight: Array | None,
        dtype: np.dtype[Any],
    ) -> list[Array]:
        """Return the arrays from which training starts, of type `dtype`.

        Random numbers come from `_random_state`. X and the target are as `_check_input` returned
        them; for rows on a device X is a stand-in of their shape and type (see `rows_on_device`).
        """

    @abstractmethod
    def _as_attributes(self, arrays: list[Array]) -> dict[str, Any]:
        """Return what these parameters are as fitted attributes."""

    @abstractmethod
    def _give_parameters(self, n_features: int | None = None) -> tuple[Network, list[Array]]:
        """Return the fitted network and its parameters, which are float32 or float64 each.

        Since anything may have been assigned to the attributes, all is checked: a ValueError says
        what is no network, or none of `n_features` features.
        """

    def _present_parameters(self) -> tuple[Any, list[Any]]:
        """Return what else the fitted network depends on, and its parameters, for a prediction.

        A subclass may leave the checks of `_give_parameters` out: the parameters are used only if
        they are of the types and shapes of those that have passed them, and all else is equal.
        """
        return self._give_parameters()

    # What a kind of target supplies

    @abstractmethod
    def _check_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        """Return checked X and the target as the engine takes it."""

    @abstractmethod
    def _output_activation(self) -> str:
        """Return the output activation that the loss and the target call for."""

    @abstractmethod
    def _output_count(self, target: Array) -> int:
        """Return the number of output units for an encoded target."""

    @abstractmethod
    def _stratification(self, target: Array) -> Array | None:
        """Return the classes by which to stratify, or None."""

    @abstractmethod
    def _make_score(self, target: Array, sample_weight: Array | None) -> Callable[[Array], float]:
        """Return the function that scores outputs on held-out rows."""

    def _row_weights(self, X: Any, target: Array, sample_weight: Array | None) -> Array | None:
        """Return the weights of the rows in the loss, None where all are 1.

        Where each point of a series has a target they may be those of the points, in rows.
        """
        return sample_weight

    def _point_weights(self, X: Any, sample_weight: Array | None) -> Array | None:
        """Return weights of rows, or where each point of a series has a target, of the points."""
        return sample_weight

    @abstractmethod
    def _check_validation_target(self, y: Any, X: Any) -> Array:
        """Return y_val, which belongs to checked rows, checked, as the engine takes it."""

    # Fitting

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

    def _check_solver(self) -> bool:
        if self.solver not in offered_solvers():
            raise AttributeError(
                "partial_fit is only available for stochastic"
                f" optimizers. {self.solver} is not stochastic."
            )
        return True

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

    def _divergence_advice(self) -> str:
        if self.solver == "lbfgs":
            return "Scale the inputs (and the targets of a regression)."
        return (
            "Scale the inputs (and the targets of a regression) or lower learning_rate_init "
            f"(now {self.learning_rate_init})."
        )

    # Rows

    def _takes_arrays(self) -> bool:
        """Whether rows are series or images, and X may be an array or a list of these."""
        return False

    def _reads_blocks(self, fitting: bool) -> bool:
        """Whether a fit, or else a prediction, can do with rows that are read block by block."""
        return True

    def _given_rows(self, X: Any, reset: bool = False, name: str = "X", longer: bool = True) -> Any:
        """Return X, which is on the host, checked for the fitted network; see `ChannelsInput`."""
        refuse_dates(X, name)
        return validate_data(self, X, accept_sparse=self._accepted_sparse, reset=reset)

    def _plain_rows(self, X: Any) -> Any:
        """Return X as rows that are valid if they are finite, None where that takes a look."""
        return X if is_valid_if_finite(self, X) else None

    # The network as an engine

    def _engine_device(self) -> str:
        """Return the device to compute on, or raise where this kind of network cannot."""
        return self.device

    def _engine_rows(self, X: Any, name: str = "X") -> Any:
        """Return rows, which are of the network's type, as the engine gets them.

        Messages call them `name`.
        """
        return X

    def _take_parameters(self, arrays: list[Array]) -> None:
        """Set the attributes that hold the parameters."""
        for name, value in self._as_attributes(arrays).items():
            setattr(self, name, value)

    def _parameter_dtype(self) -> np.dtype[Any]:
        """Return float32 if all parameters are, else float64."""
        return common_dtype(self._give_parameters()[1])

    def _engine_loss(self) -> str:
        """Return `loss`, or one that goes with the output where either was changed since fit."""
        wanted = self._loss_name()
        if (wanted, self.out_activation_) in LOSSES:
            return wanted
        fitting = losses_of(self.out_activation_) or ("squared_error",)
        return wanted if wanted in fitting else fitting[0]

    def _loss_name(self) -> str:
        """Return the name of the loss in the registry that the parameters ask for."""
        name: str = self.loss
        return name

    def _loss_options(self) -> dict[str, Any]:
        """Return `loss_parameters`, `groups` and `parametrization`, each where it is no default."""
        entry = find_loss(self._engine_loss(), self.out_activation_)
        given = {name: _setting(getattr(self, name, one)) for name, one in entry.parameters.items()}
        changed = [pair for pair in given.items() if pair[1] != entry.parameters[pair[0]]]
        options: dict[str, Any] = {"loss_parameters": tuple(changed)} if changed else {}
        if self.parametrization != "standard":
            options["parametrization"] = self.parametrization
        return options

    def _make_engine(self, ready: bool = False, n_features: int | None = None) -> Engine:
        """Return a new engine that holds a copy of the parameters.

        With `ready` one on the CPU will do where the device cannot be used. With `n_features` it is
        for rows of so many, which may be longer series than those of the fit.
        """
        network, arrays = self._give_parameters(n_features)
        name = self._engine_device()
        device = {} if name == "cpu" else {"device": name, "ready": ready}
        if device and not ready and self.solver in SOLVERS:
            device |= {"solver": self._solver_entry(), "options": tuple(self._solver_options())}
        engine: Engine = select.make_engine(network, common_dtype(arrays), **device)
        engine.pack(arrays)
        return engine

    def _forward(self, X: Any) -> tuple[Engine, Any, Array]:
        """Check the rows; return an engine, the rows as it takes them, and its outputs for them.

        Raises
        ------
        ValueError
            If the rows or the parameters are invalid, or an output is not finite.
        """
        plain = self._plain_rows(X)
        if plain is not None:
            engine = prediction_engine(self, *plain.shape[::-1])
            if plain.dtype != engine.dtype and all_finite(plain):
                plain = engine_input(plain, engine.dtype)
            if plain.dtype == engine.dtype:
                taken = self._engine_rows(plain)
                outputs, finite = engine.predict_checked(taken)
                if finite:
                    return engine, taken, self._samples(outputs, taken)
        check_is_fitted(self)
        source = source_for_prediction(self, X)
        if source is not None:
            from nnjit.estimators._rows import forward_blocks

            return forward_blocks(self, source)
        rows = rows_on_device(X, self._engine_device())
        X = host_rows(X) if rows is None else rows.stand_in()
        X = self._given_rows(X)
        engine = prediction_engine(self, X.shape[1])
        X = self._engine_rows(engine_input(X, engine.dtype) if rows is None else rows)
        outputs, finite = engine.predict_checked(X)
        outputs = self._samples(outputs, X)
        if not finite:  # or a sum of them overflows
            refuse_overflow(self, engine, X, outputs)
        return engine, X, outputs

    def _for_named_scorer(self, rows: Any, given: Given) -> Given:
        """Return validation rows, `rows` for the engine, as scikit-learn's scorers take them.

        This is a copy of the estimator for a scorer alone, and may be changed.
        """
        return given

    # Outputs are those of samples: of rows, or of all points of series that have a target each

    def _samples(self, outputs: Array, rows: Any) -> Array:
        """Return what an engine makes of rows, with a row for each sample."""
        return outputs

    def _logits(self, engine: Engine, rows: Any) -> Array:
        """Return the logits of each sample."""
        return self._samples(to_host(outputs_of(engine, rows, "logits")[0]), rows)

    def _returned(self, result: Any, rows: Any, X: Any) -> Any:
        """Return what was computed for each sample as the user gets it; `rows` were made of X."""
        return as_given(result, rows, X)

    def _place_of(self, sample: int, rows: Any) -> str:
        """Return what messages call a sample."""
        return f"row {sample}"

    def activations(self, X: MatrixLike, layer: int = -1) -> FloatArray:
        """Return the outputs of a hidden layer.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, as `predict` takes them.
        layer : int, default=-1
            Number of the hidden layer from 0, or negative from the last one.

        Returns
        -------
        h : ndarray of shape (n_samples, units of the layer)
            What the next layer reads: values behind the activation, in the precision of the
            network. They are computed on the CPU. Of a layer whose outputs are series or images
            the shape is (n_samples, channels, time) or (n_samples, channels, height, width).

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        TypeError
            If `layer` is no integer.
        ValueError
            If there is no such layer, X is invalid or has another number of columns than the rows
            fitted on, or a value overflows.
        """
        return hidden_activations(self, X, layer)

    def _score_by(self, metric: Callable[..., float], X: Any, y: Any, sample_weight: Any) -> float:
        refuse_dates(sample_weight, "sample_weight")
        y, predicted, weights = map(host_target, (y, self.predict(X), sample_weight))
        try:
            return float(metric(y, predicted, sample_weight=weights))
        except ZeroDivisionError:
            refuse_all_zero(weights)
            raise

    # Solvers

    def _solver_options(self) -> dict[str, float]:
        """Return what the solver is asked for beside its hyperparameters."""
        given = {name: getattr(self, name, None) for name in _SOLVER_OPTIONS}
        return {name: float(value) for name, value in given.items() if value is not None}

    def _solver_entry(self) -> str:
        """Return the name of the solver's entry: its own, or that of the variant asked for."""
        for name, entry in SOLVERS.items():
            if entry.variant_of is not None and getattr(self, name, False):
                if entry.variant_of != self.solver:
                    raise ValueError(
                        f"{name}=True is an option of solver={entry.variant_of!r}, got "
                        f"solver={self.solver!r}."
                    )
                return name
        return self.solver

    def _check_solver_options(self) -> None:
        """Refuse options that do not go with the solver, or with each other."""
        self._solver_entry()
        options = self._solver_options()
        if self.solver not in SOLVERS:
            declared = inspect.signature(type(self)).parameters  # a default is nothing asked for
            for name, value in options.items():
                if name in declared and value == declared[name].default:
                    continue
                raise ValueError(
                    f"{name} needs a stochastic solver, got {name}={value!r} with "
                    f"solver={self.solver!r}."
                )
        if {"clip_norm", "clip_value"} <= options.keys():
            raise ValueError(
                "Only one of clip_norm and clip_value can be given, got "
                f"clip_norm={self.clip_norm!r} and clip_value={self.clip_value!r}."
            )

    def _check_schedule(self) -> None:
        """Refuse a schedule where there are no steps.

        scikit-learn's own are not looked at, nor is a default.
        """
        if self.solver in SOLVERS:
            return
        ignored = {"learning_rate": SCIKIT_LEARNS, "warmup": (0,)}
        declared = inspect.signature(type(self)).parameters  # a default is nothing asked for
        for name, values in ignored.items():
            if getattr(self, name) not in (*values, declared[name].default):
                raise ValueError(
                    f"{name} needs a stochastic solver, got {name}={getattr(self, name)!r} with "
                    f"solver={self.solver!r}."
                )

    def _random_option(self) -> str:
        """Return what makes the network draw at random, as the user wrote it."""
        layers = enumerate(self._give_parameters()[0].layers)
        return next(f"layers_[{i}], {one}" for i, one in layers if getattr(one, "random", False))

    def _refuse_for_lbfgs(self, network: Network) -> None:
        """Refuse layers whose gradients are not those of one function of the weights."""
        if network.is_random:
            raise ValueError(
                f"solver='lbfgs' cannot be used with {self._random_option()}, which draws anew in "
                "every step."
            )
        if network.joins_rows:
            way_out = "" if network.shape else "; normalization='layer' can"
            raise ValueError(
                "solver='lbfgs' cannot be used with normalization='batch', whose statistics are "
                f"those of minibatches{way_out}."
            )
        if any(getattr(layer, "truncate", None) for layer in network.layers):
            raise ValueError(
                "solver='lbfgs' cannot be used with truncate, which leaves out a part of the "
                "gradient that it follows."
            )

    def _train_lbfgs(self, call: TrainingCall) -> None:
        refuse_checkpoint(self)
        self._refuse_for_lbfgs(self._give_parameters()[0])
        engine = self._make_engine()
        try:
            if are_read(call.X):
                from nnjit.estimators._blocked_fit import objective_in_blocks

                objective = objective_in_blocks(engine, call, self.alpha)
            else:
                dataset = engine.dataset(call.X, call.target, call.sample_weight)
                objective = objective_of(engine, dataset, self.alpha)
            self._minimize(engine, objective)
        finally:
            engine.release()

    def _minimize(self, engine: Engine, objective: Objective) -> None:
        """Set the parameters, which an engine of the network has, to those of the least loss."""
        network = engine.network
        outcome = minimize_lbfgs(
            objective,
            pack_parameters(network, self._give_parameters()[1]),
            max_iter=self.max_iter,
            max_fun=self.max_fun,
            tol=self.tol,
            verbose=self.verbose,
            hook=current_report(self),
        )
        self.n_iter_ = outcome.n_iter
        if outcome.loss is not None:
            if not np.isfinite(outcome.loss):
                raise ValueError(
                    f"{NON_FINITE} The loss is not finite. {self._divergence_advice()}"
                )
            self.loss_ = outcome.loss
        self._take_parameters(unpack_parameters(network, outcome.parameters, engine.dtype))

    def _train_stochastic(self, call: TrainingCall) -> None:
        if self.early_stopping and call.incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        engine = self._make_engine()
        rows, watched, checkpoint = self._divide(call, engine.network)
        monitor = self._make_monitor(engine, call._replace(watched=watched))
        state = self._begun(engine, monitor, rows.order, call.incremental, rows.n_rows)
        plan = self._plan(state.n_rows_of_epoch, call.incremental)
        if state.solver.parameters is not None:
            engine.pack(state.solver.parameters)
        if checkpoint is not None:
            checkpoint.resume(engine, state)
            self._random_state = state.rng
        dataset = rows.dataset(engine, plan.shuffle)
        if not call.incremental:
            advise_on_input(self, call.X)
            advise_on_classes(self, call.target, rows.numbers, call.sample_weight)
        report = None if call.incremental else current_report(self)
        row_weight = weights_of_rows(call.sample_weight)
        run_epochs(engine, dataset, state, plan, row_weight, report, checkpoint)
        self._take_over(engine, state)
        if not (call.incremental or state.diverged):
            losses = state.loss_curve[len(state.loss_curve) - state.epoch :]
            advise_on_outcome(self, engine, call.X, losses)

    def _divide(
        self, call: TrainingCall, network: Network
    ) -> tuple[Any, ValidationRows | None, Checkpoint | None]:
        """Return the rows to train on, those to validate on, and the checkpoint of the fit."""
        if self.shuffle == "blocks" or are_read(call.X):
            from nnjit.estimators._blocked_fit import divide, rows_in_blocks

            read = rows_in_blocks(call.X, network)
            checkpoint = self._open_checkpoint(call._replace(X=read))
            return *divide(self, call, read, checkpoint), checkpoint
        checkpoint, watched = self._open_checkpoint(call), call.watched
        X, target, sample_weight = call[:3]
        order = np.arange(X.shape[0])
        if self.early_stopping and watched is None:
            row_weight = weights_of_rows(sample_weight)
            rows, held_out = self._hold_out(target, row_weight, checkpoint)
            order = rows.astype(np.int64)
            watched = held_out_rows(X, target, sample_weight, held_out, call.given)
        return RowsInMemory(call, order), watched, checkpoint

    def _open_checkpoint(self, call: TrainingCall) -> Checkpoint | None:
        return None if call.incremental else open_checkpoint(self, call)

    def _begun(
        self,
        engine: Engine,
        monitor: Monitor,
        order: Any,
        incremental: bool,
        n_rows: int | None = None,
    ) -> TrainingState:
        """Return the state in which a run begins, going on from the last one where there was one.

        `n_rows` are those of an epoch where `order` does not tell.
        """
        solver = self._make_solver(incremental)
        if engine.network.is_random and not solver.seed:  # partial_fit goes on with its own
            solver.seed = draw_seed(self._random_state)
        return TrainingState(
            rng=self._random_state,
            solver=solver,
            monitor=monitor,
            order=order,
            samples_seen=getattr(self, "t_", 0),
            loss_curve=list(getattr(self, "loss_curve_", ())),
            rate_curve=self._rate_curve(solver),
            skipped_batches=getattr(self, "n_skipped_batches_", 0) if incremental else 0,
            n_rows=n_rows,
        )

    def _plan(self, n_rows: int, incremental: bool) -> EpochPlan:
        """Return how epochs over so many rows go."""
        return EpochPlan(
            batch_size=self._minibatch_rows(n_rows),
            alpha=self.alpha,
            shuffle=bool(self.shuffle),
            max_epochs=self.max_iter,
            single_epoch=incremental,
            # partial_fit does not validate parameters again: anything true may be here.
            verbose=int(self.verbose if isinstance(self.verbose, Integral) else bool(self.verbose)),
            ends_by_itself=self._ends_by_itself(),
        )

    def _leave_averages(self) -> None:
        """Have the solver go on from what has been assigned since the averages were fitted.

        Where nothing has, it goes on from the parameters that its last step reached.
        """
        solver: StochasticSolver | None = getattr(self, "_optimizer", None)
        if solver is None or solver.arrays is None or solver.parameters is None:
            return
        network, given = self._give_parameters()
        average = solver.arrays["vectors"]["average"]
        if len(average) == network.n_parameters:  # else something has, of another shape
            averages = unpack_parameters(network, average, average.dtype)
            trained = [parameter.trained for _, parameter in network.parameters()]
            left = [a if own else p for a, own, p in zip(averages, trained, given)]
            # the attributes: of what they hold a parameter may be another function
            fitted = self._as_attributes(left)
            if all(_equal(value, getattr(self, name)) for name, value in fitted.items()):
                return
        self._optimizer = solver.copy()
        self._optimizer.average_from(pack_parameters(network, given))

    def _rate_curve(self, solver: StochasticSolver) -> list[float] | None:
        """Return the rates recorded so far, None where none are to be recorded."""
        kept = getattr(self, "learning_rate_curve_", None)
        return None if kept is None and not solver.varies else list(kept or ())

    def _hold_out(
        self, target: Array, sample_weight: Array | None, checkpoint: Checkpoint | None
    ) -> Rows:
        """Return training and validation rows; a warm start finds those of the last fit again.

        Rows of weight 0 are in neither.
        """
        if checkpoint is None:
            rows, held_out = self._draw_split(target, sample_weight)
        else:
            rows, held_out = checkpoint.split(lambda: self._draw_split(target, sample_weight))
        if not self._keeps_split(target):
            self._validation_split = ValidationSplit(held_out, len(target))
        return rows, held_out

    def _keeps_split(self, target: Array) -> bool:
        kept: ValidationSplit | None = getattr(self, "_validation_split", None)
        return kept is not None and kept.n_samples == len(target)

    def _draw_split(self, target: Array, sample_weight: Array | None) -> Rows:
        if self._keeps_split(target):
            return self._validation_split.rows(sample_weight)
        return split_rows(
            len(target),
            self.validation_fraction,
            self._random_state,
            labels=self._stratification(target),
            sample_weight=sample_weight,
        )

    def _make_monitor(self, engine: Engine, call: TrainingCall) -> Monitor:
        """Return what watches for a plateau, going on from the last call where there was one."""
        incremental, watched = call.incremental, call.watched
        # After a plateau a further fit has the full patience again.
        restart = getattr(self, "_converged", False) and not incremental
        count = 0 if restart else getattr(self, "_no_improvement_count", 0)
        scores, losses = (
            getattr(self, name, None) for name in ("validation_scores_", "validation_loss_curve_")
        )
        watch = None if watched is None else make_watch(self, engine, watched, scores, losses)
        if watch is None or not self.early_stopping:
            best = getattr(self, "best_loss_", None)
            if restart or best is None:
                best = np.inf
            keeps = self.restore_best == "loss" and not incremental
            weights = self._give_parameters()[1] if keeps else None
            return LossMonitor(self.tol, self.n_iter_no_change, best, count, watch, weights)
        monitor = ScoreMonitor(
            watch,
            self.tol,
            self.n_iter_no_change,
            best_weights=self._give_parameters()[1],
            count=count,
            restore=bool(self.restore_best),
        )
        if not call.fresh:
            # The weights that are there are the ones to beat, on these rows.
            score, _ = watch.evaluate(engine)
            monitor.best = score if np.isfinite(score) else -np.inf
        return monitor

    def _number(self, name: str, default: Any) -> Any:
        """Return the parameter of a name if there is one and it is a number, else the default."""
        value = getattr(self, name, default)
        return value if isinstance(value, Real) else default

    def _make_solver(self, incremental: bool) -> StochasticSolver:
        if incremental and hasattr(self, "_optimizer"):
            return self._optimizer.copy()
        entry = self._solver_entry()
        hyperparameters = {
            name: self._number(_PARAMETER_OF.get(name, name), default)
            for name, default in find_solver(entry).hyperparameters.items()
        }
        return make_solver(
            entry,
            learning_rate_init=self.learning_rate_init,
            learning_rate=self.learning_rate,
            power_t=self.power_t,
            options=self._solver_options(),
            warmup=self.warmup,
            learning_rate_decay=self.learning_rate_decay,
            learning_rate_step=self.learning_rate_step,
            **hyperparameters,
        )

    def _minibatch_rows(self, n_samples: int) -> int:
        if self.batch_size == "auto":
            return min(200, n_samples)
        batch_size = operator.index(self.batch_size)  # partial_fit does not validate it again
        if batch_size > n_samples:
            warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped"
            )
        return int(np.clip(batch_size, 1, max(n_samples, 1)))

    def _ends_by_itself(self) -> bool:
        """Whether a fit that takes all epochs is as it should be, and nothing to warn of."""
        return False

    def _take_over(self, engine: Engine, state: TrainingState) -> None:
        """Set the fitted attributes from a run that has ended."""
        monitor = state.monitor
        self.n_iter_ = state.epoch
        self.t_ = state.samples_seen
        self.loss_curve_ = state.loss_curve
        if state.loss is not None:
            self.loss_ = state.loss
        self.n_skipped_batches_ = state.skipped_batches
        self._optimizer = state.solver
        self._no_improvement_count = monitor.count
        self._converged = state.converged
        self.learning_rate_curve_ = state.rate_curve
        watch = monitor.watch
        self.validation_scores_ = None if watch is None else watch.scores
        self.validation_loss_curve_ = None if watch is None else watch.curve
        scored = isinstance(monitor, ScoreMonitor)
        self.best_validation_score_ = monitor.best if scored else None
        self.best_loss_ = None if scored else monitor.best
        best = monitor.best_weights if monitor.restore else None
        self._take_parameters(engine.unpack() if best is None else best)
        if state.diverged:
            self._report_divergence(state)
        elif scored and state.epoch and not np.isfinite(monitor.best):
            warn(
                "No epoch could be scored: the outputs for the validation rows overflow. The "
                f"weights are the {'initial' if monitor.restore else 'last'} ones. "
                f"{self._divergence_advice()}",
                ConvergenceWarning,
            )

    def _report_divergence(self, state: TrainingState) -> None:
        where = f"The loss was not finite in epoch {state.epoch}."
        scored = isinstance(state.monitor, ScoreMonitor)
        if not state.monitor.restore or not (scored or np.isfinite(state.monitor.best)):
            raise ValueError(f"{NON_FINITE} {where} {self._divergence_advice()}")
        restored = (
            "The weights of the best epoch before it are restored."
            if np.isfinite(state.monitor.best)
            else "No epoch before it could be scored; the weights are the initial ones."
        )
        warn(
            f"Training has diverged. {where} {restored} {self._divergence_advice()}",
            ConvergenceWarning,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = bool(self._accepted_sparse)
        return tags

    # Pickling

    def __getstate__(self) -> dict[str, Any]:
        return stamped(super().__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(checked(self, state))


def _equal(value: Any, other: Any) -> bool:
    """Whether two fitted attributes, arrays or lists or dicts of these, hold the same numbers."""
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(
            _equal(one, other[k]) for k, one in value.items()
        )
    if isinstance(value, list):
        return len(value) == len(other) and all(map(_equal, value, other))
    return np.array_equal(value, other)


def _setting(value: Any) -> float | tuple[float, ...]:
    """Return a parameter of the loss, one number or one for each output, as a network has it."""
    numbers = tuple(map(float, np.ravel(value)))
    return numbers if len(numbers) > 1 else numbers[0]
