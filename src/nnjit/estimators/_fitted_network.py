"""What all networks share as estimators while they are not trained: parameters, engine, outputs."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from nnjit._site import LinksToItsPage
from nnjit._types import Array, FloatArray, MatrixLike
from nnjit.backends import select
from nnjit.estimators._arrays import common_dtype, engine_input
from nnjit.estimators._callbacks import CallbackSupport
from nnjit.estimators._dates import refuse_dates
from nnjit.estimators._device import as_given, host_rows, host_target, rows_on_device, to_host
from nnjit.estimators._hidden import hidden_activations
from nnjit.estimators._persistence import checked, stamped
from nnjit.estimators._prediction import prediction_engine, refuse_overflow
from nnjit.estimators._sources import source_for_prediction
from nnjit.estimators._validation import (
    all_finite,
    is_valid_if_finite,
    refuse_all_zero,
    validate_parameters,
)
from nnjit.estimators._watching import Given
from nnjit.estimators.parameters import Training
from nnjit.formulas import LOSSES, SOLVERS, find_loss, losses_of
from nnjit.layers.network import Network
from nnjit.training.engine import Engine
from nnjit.training.reading import outputs_of
from nnjit.training.validation import ValidationSplit

# What any stochastic solver may be asked for beside its hyperparameters, if it is not None.
_SOLVER_OPTIONS = ("clip_norm", "clip_value", "average")


class FittedNetwork(LinksToItsPage, CallbackSupport, Training, BaseEstimator, ABC):
    """A network that its attributes hold, and what it makes of rows; see `NetworkEstimator`."""

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

    # Pickling

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = bool(self._accepted_sparse)
        return tags

    def __getstate__(self) -> dict[str, Any]:
        return stamped(super().__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(checked(self, state))


def _setting(value: Any) -> float | tuple[float, ...]:
    """Return a parameter of the loss, one number or one for each output, as a network has it."""
    numbers = tuple(map(float, np.ravel(value)))
    return numbers if len(numbers) > 1 else numbers[0]
