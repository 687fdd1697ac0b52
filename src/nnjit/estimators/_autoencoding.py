"""A network whose targets are its rows: encoder, code and decoder, and what a fit leaves."""

from __future__ import annotations

import functools
import operator
import os
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import validate_data

from nnjit._types import Array, FloatArray
from nnjit.estimators._arrays import to_dtype
from nnjit.estimators._dates import refuse_dates
from nnjit.estimators._device import to_host
from nnjit.estimators._layer_parameters import LayerParameters
from nnjit.estimators._layered import ON_A_GPU, LayeredNetwork, SmallMinibatches
from nnjit.estimators._moments import Moments, moments_of, together, weighted_quantile
from nnjit.estimators._names import hidden_layer_activations
from nnjit.estimators._reconstruction import (
    ExplainedSquares,
    error_scale,
    scaled_errors,
    squared_errors,
)
from nnjit.estimators._training_call import TrainingCall
from nnjit.estimators._watching import Given
from nnjit.estimators.parameters import Coding
from nnjit.layers.dense.spec import Dense
from nnjit.layers.dropout.spec import Dropout
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.layer import Layer, Shape
from nnjit.layers.network import Network
from nnjit.layers.noise.spec import GaussianNoise
from nnjit.layers.recurrence.layer import RecurrentLayer
from nnjit.layers.stack import check_shapes, checked_layers, is_layer, takes_vectors
from nnjit.layers.tied.spec import TiedDense
from nnjit.training.members import fit_members
from nnjit.training.solvers import draw_seed

__all__ = ["AutoEncodingNetwork"]

# Values of rows whose errors are computed together.
_BLOCK = 1 << 20


class AutoEncodingNetwork(LayerParameters, SmallMinibatches, LayeredNetwork, Coding):
    """A network whose targets are its rows: an encoder, the code, and a decoder."""

    loss = "squared_error"
    mean_: FloatArray
    scale_: FloatArray
    offset_: float
    members_: list[Any]
    _code_layer: int  # number among `layers_`
    _in_unit_interval: bool  # whether the rows of the fit did
    _moments: Moments

    # The network

    def _encoder(self, shape: Shape) -> tuple[Layer, ...]:
        """Return the layers up to the code, for rows of this shape."""
        corruption = self._corruption()
        if self.layers is None:
            hidden: tuple[Layer, ...] = self._dense_layers()
            if isinstance(shape, tuple):
                hidden = (Flatten(), *hidden)
        else:
            hidden = checked_layers(self.layers)
            if isinstance(check_shapes((*corruption, *hidden), shape), tuple):
                hidden = (*hidden, Flatten())
        code = Dense(operator.index(self.n_components), "identity")
        return (*corruption, *hidden, code)

    def _corruption(self) -> tuple[Layer, ...]:
        """Return the layers that change the rows which the encoder gets in training."""
        noise = (GaussianNoise(float(self.noise)),) if self.noise else ()
        return (*noise, Dropout(float(self.mask))) if self.mask else noise

    def _dense_layers(self) -> tuple[Dense, ...]:
        """Return the hidden layers of the encoder, if these are dense."""
        sizes: Any = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if np.any(np.array(sizes) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        names = hidden_layer_activations(self.activation, len(sizes))
        return tuple(Dense(operator.index(size), name) for size, name in zip(sizes, names))

    def _hidden_layers(self, shape: Shape) -> tuple[Layer, ...]:
        if self.tied and self.layers is not None:
            raise ValueError(
                "tied=True has the decoder share the weights of a dense encoder, but layers are "
                "given: there TiedDense of nnjit.layers may stand."
            )
        hidden = [*reversed(self._dense_layers())]
        if self.tied:
            decoder = [TiedDense(2 * k + 1, one.activation) for k, one in enumerate(hidden)]
            return (*self._encoder(shape), *decoder)
        return (*self._encoder(shape), *hidden)

    def _output_layer(self, layers: tuple[Layer, ...], shape: Shape, outputs: int) -> Layer:
        if self.tied:
            return TiedDense(2 * len(self._dense_layers()) + 1, "identity")
        return super()._output_layer(layers, shape, outputs)

    def _decoder(self) -> tuple[Network, list[Array]]:
        """Return the network behind the code, all its layers dense, and its parameters."""
        network, arrays = self._give_parameters()
        start, values = self._code_layer + 1, iter(arrays)
        layers, parameters, weights = [], [], []
        for number, layer in enumerate(network.layers):
            own = [next(values) for _ in layer.parameters(network.shapes[number])]
            weights.append(own)
            if number >= start:
                if isinstance(layer, TiedDense):
                    own = [np.ascontiguousarray(weights[number - layer.back][0].T), *own]
                    layer = Dense(network.sizes[number + 1], layer.activation)
                layers.append(layer)
                parameters += own
        width = network.sizes[start]
        return replace(network, inputs=width, layers=tuple(layers), shape=()), parameters

    def _take_layers(self, network: Network) -> None:
        super()._take_layers(network)
        behind = len(self._dense_layers()) + 1  # hidden layers of the decoder, and the output
        self._code_layer = len(network.layers) - 1 - behind

    def _valid_layers(self) -> tuple[Layer, ...]:
        """Return the layers that are asked for, none where something is wrong with them."""
        given = tuple(self.layers) if isinstance(self.layers, (list, tuple)) else ()
        return given if all(map(is_layer, given)) else ()

    def _takes_arrays(self) -> bool:
        if "layers_" in self.__dict__:
            return "input_shape_" in self.__dict__
        return self.input_shape is not None or not takes_vectors(self._valid_layers())

    def _axes(self) -> int | None:
        layers: Any = self._valid_layers()
        if any(isinstance(layer, RecurrentLayer) for layer in layers):
            return 1
        values = [getattr(layer, one.name) for layer in layers for one in fields(layer)]
        return next((len(value) for value in values if isinstance(value, tuple)), None)

    def _loss_name(self) -> str:
        # Series may end before others, and what is behind their ends is no target.
        series = self._takes_arrays() and len(self.__dict__.get("input_shape_", ())) == 2
        return "masked_mean_squared_error" if series else self.loss

    def _without_device_code(self) -> str:
        if self._takes_arrays():
            return "Layers for series and images have"
        for name in ("noise", "tied"):
            if getattr(self, name):
                return f"{name}={getattr(self, name)!r} has"
        for number, layer in enumerate(self._valid_layers()):
            if layer.kind not in ON_A_GPU:
                return f"layers[{number}], {layer}, has"
        return ""

    def _random_option(self) -> str:
        for name in ("noise", "mask"):
            if getattr(self, name):
                return f"{name}={getattr(self, name)!r}"
        return super()._random_option()

    def _no_dropout(self) -> str:
        return f"but noise={self.noise!r} and mask={self.mask!r}"

    # The target: the rows themselves

    def _check_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        if self._takes_arrays():
            X = self._given_rows(X, reset, longer=False)
        else:
            refuse_dates(X, "X")
            X = validate_data(
                self, X, accept_sparse=False, dtype=(np.float64, np.float32), reset=reset
            )
        if reset:
            self._in_unit_interval = _lies_in_unit_interval(X)
            return X, X
        X = to_dtype(X, self._parameter_dtype(), "X")
        return X, X

    def _reads_blocks(self, fitting: bool) -> bool:
        return not fitting  # which finds mean and errors of all rows as well

    def _check_validation_target(self, y: Any, X: Any) -> Array:
        target: Array = X
        return target

    def _output_activation(self) -> str:
        name: str = self.output_activation
        if name != "auto":
            return name
        linear = all(layer.activation == "identity" for layer in self._dense_layers())
        return "logistic" if self._in_unit_interval and not linear else "identity"

    def _output_count(self, target: Array) -> int:
        return int(target.shape[1])

    def _stratification(self, target: Array) -> Array | None:
        return None

    def _make_score(self, target: Array, sample_weight: Array | None) -> Callable[[Array], float]:
        return ExplainedSquares(target, self.mean_, sample_weight)

    # Fitting

    def _fit_on(self, given: Given, incremental: bool, validation: Given | None) -> Self:
        if self.layers is not None:
            checked_layers(self.layers)  # before X is looked at, whose forms follow from them
        self._leave_layers(incremental)
        if self._engine_device() != "cpu":  # as targets rows are on the host in any case
            given = given._replace(X=to_host(given.X))
            if validation is not None:
                validation = validation._replace(X=to_host(validation.X))
        if validation is not None:
            validation = validation._replace(y=validation.X)
        return super()._fit_on(given._replace(y=given.X), incremental, validation)

    def _train(self, call: TrainingCall) -> None:
        self._take_mean(call.X, call.sample_weight, goes_on=call.incremental and not call.fresh)
        others = self._members(call.fresh)
        given, incremental = call.given, call.incremental
        validation = None if call.watched is None else call.watched.given()

        def train() -> Any:
            super(AutoEncodingNetwork, self)._train(call)
            return self

        def fit(member: Any) -> Any:
            return member._fit(given.X, None, given.sample_weight, incremental, validation)

        self.members_ = []
        if others:
            fits: list[Callable[[], Any]] = [
                train,
                *(functools.partial(fit, one) for one in others),
            ]
            found = fit_members(fits, n_threads=1 if self._is_looked_at() else None)
            self.members_ += [one for one in found.results if one is not self]
        else:
            train()
        self._take_errors(call.X, call.sample_weight)

    def _take_mean(self, X: Array, sample_weight: Array | None, goes_on: bool) -> None:
        """Set the mean of the features; `goes_on` adds rows to those seen before."""
        found = moments_of(X, sample_weight)
        self._moments = together(self._moments, found) if goes_on else found
        self.mean_ = self._moments[1]

    def _take_errors(self, X: Array, sample_weight: Array | None) -> None:
        """Set `scale_` and `offset_` by the errors of rows as engines take them."""
        each = np.ones(len(X)) if sample_weight is None else sample_weight.astype(np.float64)
        squares, weight = np.zeros(X.shape[1]), np.zeros(X.shape[1])
        engines = [one._make_engine(ready=True) for one in (self, *self.members_)]
        for rows, part in self._blocks(X):
            weight += each[part] @ ~np.isnan(rows)
            for engine in engines:
                squares += each[part] @ squared_errors(rows, to_host(engine.predict(rows)))
        self.scale_ = error_scale(squares / len(engines), weight)
        errors = np.zeros(len(X))
        for rows, part in self._blocks(X):
            for engine in engines:
                errors[part] += scaled_errors(rows, to_host(engine.predict(rows)), self.scale_)
        errors /= len(engines)
        self.offset_ = -weighted_quantile(errors, 1.0 - self.contamination, sample_weight)

    def _blocks(self, X: Array) -> Iterator[tuple[Array, slice]]:
        """Yield some rows after the other, and which they are."""
        step = max(1, _BLOCK // X.shape[1])
        for start in range(0, len(X), step):
            part = slice(start, start + step)
            yield X[part], part

    def _members(self, fresh: bool) -> list[Any]:
        """Return the networks beside this one, new or as they are, to be trained."""
        others = self.n_members - 1
        if others and self.checkpoint is not None and self.random_state is None:
            raise ValueError(
                "checkpoint with n_members > 1 needs a random_state: else the members of the fit "
                "that goes on would be others."
            )
        known = [] if fresh else list(self.__dict__.get("members_", ()))[:others]
        made, seeds = [], np.random.RandomState()
        seeds.set_state(self._random_state.get_state())  # this network draws what it draws alone
        for number in range(others):
            parameters = self.get_params(deep=False) | {"n_members": 1}
            if self.checkpoint is not None:
                parameters["checkpoint"] = f"{os.fspath(self.checkpoint)}.member{number + 1}"
            member: Any = type(self)(**parameters)
            if number < len(known):
                learned = vars(known[number])
                vars(member).update({n: one for n, one in learned.items() if n not in parameters})
                member.random_state = known[number].random_state
            else:
                member.random_state = draw_seed(seeds)
            made.append(member)
        return made

    def _is_looked_at(self) -> bool:
        """Whether what a fit prints or calls, or the one device, asks for one member at a time."""
        called = bool(getattr(self, "_skl_callbacks", None)) or callable(self.scoring)
        return bool(self.verbose) or called or self._engine_device() != "cpu"

    def _ends_by_itself(self) -> bool:
        return bool(np.isinf(self.n_iter_no_change))


def _lies_in_unit_interval(X: Array) -> bool:
    """Whether all values, but NaN behind the ends of series, are from 0 to 1."""
    return bool(np.nanmin(X) >= 0.0 and np.nanmax(X) <= 1.0)
