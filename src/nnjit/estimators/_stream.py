"""Predictions of series that come one point of time after the other."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from nnjit._types import Array, FloatArray
from nnjit.backends import select
from nnjit.estimators._arrays import common_dtype
from nnjit.estimators._base import NetworkEstimator
from nnjit.estimators._labels import decode
from nnjit.layers.network import Network
from nnjit.training.quantiles import uncrossed

__all__ = ["ClassStream", "PredictionStream", "StreamedPredictions", "ValueStream"]


class PredictionStream:
    """A series that comes one point of time after the other, and what a network says of it.

    `StreamedPredictions.predict_stream` makes it. Its network is a copy: what is fitted or assigned
    later does not change it. It can be pickled, and goes on where it was; one thread at a time uses
    it.
    """

    def __init__(self, network: Network, parameters: list[Array]) -> None:
        self._network, self._parameters = network, parameters
        engine: Any = select.make_engine(network, common_dtype(parameters))
        engine.pack(parameters)
        self._stepper = engine.stepper()
        self._x, self._out = self._stepper.x, self._stepper.out
        self._memory = self._stepper.memory
        self._before = tuple(np.zeros_like(one) for one in self._memory)

    def reset(self) -> Self:
        """Begin a new series.

        Returns
        -------
        self : object
            This stream.
        """
        for one in self._memory:
            one[:] = 0
        return self

    def copy(self) -> Self:
        """Return a stream of the same network that goes on from here by itself.

        Returns
        -------
        stream : object
            Of the same class.
        """
        other = type(self).__new__(type(self))
        other.__setstate__(self.__getstate__())
        return other

    __copy__ = copy

    def __getstate__(self) -> dict[str, Any]:
        return {
            "network": self._network.to_state(),
            "parameters": [one.copy() for one in self._parameters],
            "memory": [one.copy() for one in self._memory],
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        network = Network.from_state(state["network"])
        PredictionStream.__init__(self, network, state["parameters"])
        for one, value in zip(self._memory, state["memory"], strict=True):
            one[:] = value

    def _take(self, x: ArrayLike) -> FloatArray:
        """Go on by one point; return the outputs, which the next step overwrites."""
        x = np.asarray(x)
        if x.shape != self._x.shape and not (x.ndim == 0 and len(self._x) == 1):
            raise ValueError(
                f"x has shape {x.shape}, but one point of the series has {len(self._x)} channels."
            )
        if x.dtype.kind not in "fiub":
            raise ValueError(f"x must hold numbers, got dtype {x.dtype}.")
        for before, one in zip(self._before, self._memory):
            before[:] = one
        self._x[:] = x
        if not self._stepper.step():
            self._refuse()
        out: FloatArray = self._out
        return out

    def _go_back(self) -> None:
        """Undo the last step."""
        for before, one in zip(self._before, self._memory):
            one[:] = before

    def _refuse(self) -> None:
        """Undo a step and raise, unless only a sum of its values overflows."""
        if np.isfinite(self._out).all() and np.isfinite(self._x).all():
            return
        self._go_back()
        if np.isnan(self._x).any():
            raise ValueError("Input x contains NaN.")
        if np.isinf(self._x).any():
            raise ValueError(
                f"Input x contains infinity or a value too large for {self._x.dtype!r}."
            )
        raise ValueError("The prediction overflows. Scale x as the series of the fit were scaled.")


class ClassStream(PredictionStream):
    """A stream of a classifier. Each call of a method takes one point."""

    def __init__(self, network: Network, parameters: list[Array], labels: Any) -> None:
        super().__init__(network, parameters)
        self._take_labels(labels)

    def _take_labels(self, labels: Any) -> None:
        self._labels = labels
        several = getattr(labels, "y_type_", None) == "multiclass"
        self._classes = labels.classes_ if several else None
        decode(labels, self._out[np.newaxis])  # refuses labels of another network

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "labels": self._labels}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._take_labels(state["labels"])

    def predict(self, x: ArrayLike) -> Any:
        """Take one point and return the most probable class.

        Parameters
        ----------
        x : array-like of shape (channels,)
            The next point of the series, scaled as those of the fit were.

        Returns
        -------
        label : object
            Of the series, if it ended here, or where each point has a label, of the point. An array
            where there are several labels.

        Raises
        ------
        ValueError
            If x is no point, or the prediction overflows. The stream is then where it was.
        """
        out = self._take(x)
        if self._classes is not None:
            return self._classes[out.argmax()]
        return decode(self._labels, out[np.newaxis])[0]

    def predict_proba(self, x: ArrayLike) -> FloatArray:
        """Take one point and return the probability of each class.

        Parameters
        ----------
        x : array-like of shape (channels,)
            The next point of the series, scaled as those of the fit were.

        Returns
        -------
        p : ndarray of shape (n_classes,)
            In the order of `classes_`.

        Raises
        ------
        ValueError
            If x is no point, or the prediction overflows. The stream is then where it was.
        """
        out = self._take(x)
        if len(out) > 1:
            return out.copy()
        p = out[0]
        return np.array([1 - p if p < 1 else self._other(), p], out.dtype)

    def _other(self) -> Any:
        """Return 1 - p where p is 1 to the last bit, from the logit."""
        if self._network.output != "logistic":
            return 0
        self._go_back()
        self._stepper.step(logits=True)
        return np.exp(-self._out[0])


class ValueStream(PredictionStream):
    """A stream of a regressor."""

    def __init__(self, network: Network, parameters: list[Array], quantiles: Any) -> None:
        super().__init__(network, parameters)
        self._quantiles = quantiles

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "quantiles": self._quantiles}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._quantiles = state["quantiles"]

    def predict(self, x: ArrayLike) -> Any:
        """Take one point and return the value.

        Parameters
        ----------
        x : array-like of shape (channels,)
            The next point of the series, scaled as those of the fit were.

        Returns
        -------
        y : float, or ndarray of shape (n_outputs,)
            That of the series, if it ended here, or where each point has a value, that of the
            point.

        Raises
        ------
        ValueError
            If x is no point, or the prediction overflows. The stream is then where it was.
        """
        out = self._take(x)
        if len(out) == 1:
            return out[0]
        if self._quantiles is None:
            return out.copy()
        return uncrossed(out[np.newaxis].copy(), self._quantiles)[0]


class StreamedPredictions(NetworkEstimator):
    """Adds `predict_stream` to networks that may have recurrent layers."""

    def predict_stream(self) -> Any:
        """Return an object that takes a series point by point and predicts after each.

        Its ``predict(x)``, of a classifier also ``predict_proba(x)``, take the next point, of shape
        (channels,), and return what `predict` says of the series up to there: of the whole series
        if that has one target, of its last point where each has one. The states of the recurrent
        layers, and the mean or maximum behind them, are kept from call to call, so that one costs
        the arithmetic of one point, some microseconds. ``reset()`` begins a new series, ``copy()``
        returns an object that goes on by itself, and pickles go on where they were.

        Returns
        -------
        stream : object
            With a copy of the network as it is now; at the beginning of a series.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is no network yet.
        ValueError
            If there are no recurrent layers, or a layer needs what comes later in a series:
            with ``bidirectional=True``, or convolutions of more than one point.

        Examples
        --------
        >>> import numpy as np
        >>> from nnjit import RecurrentRegressor
        >>> X = np.random.default_rng(0).normal(size=(50, 20))
        >>> model = RecurrentRegressor(4, max_iter=5, tol=1, random_state=0).fit(X, X.sum(axis=1))
        >>> stream = model.predict_stream()
        >>> values = [stream.predict(x) for x in X[0]]
        >>> bool(np.isclose(values[-1], model.predict(X[:1])[0]))
        True
        """
        check_is_fitted(self)
        network, parameters = self._give_parameters()
        self._check_stream(network)
        arrays = [np.array(one) for one in parameters]
        if hasattr(self, "classes_"):
            return ClassStream(network, arrays, getattr(self, "_label_binarizer", None))
        quantiles = self.__dict__.get("quantiles_", ())
        return ValueStream(network, arrays, quantiles if len(quantiles) > 1 else None)

    def _check_stream(self, network: Network) -> None:
        if not any(hasattr(layer, "carried") for layer in network.layers):
            raise ValueError("predict_stream needs a recurrent layer, but the network has none.")
        number = network.first_joining
        if number is None or _pools_states(network, number):
            return
        layer: Any = network.layers[number]
        why = "reads more than one point of a series at a time"
        if getattr(layer, "bidirectional", False):
            why = "has bidirectional=True and begins at the end of a series"
        raise ValueError(f"predict_stream cannot be used: layers_[{number}], {layer}, {why}.")


def _pools_states(network: Network, number: int) -> bool:
    """Whether a layer is global pooling of what layers carry on."""
    return network.layers[number].kind == "global_pooling" and any(network.carried[:number])
