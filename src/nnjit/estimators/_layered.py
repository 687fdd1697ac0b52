"""Networks that are a stack of layers: the fitted attributes of any such, and back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from nnjit._types import Array, FloatArray
from nnjit.estimators._arrays import engine_input
from nnjit.estimators._assigned import as_floats, check_output_activation
from nnjit.estimators._base import NetworkEstimator
from nnjit.estimators._channels import ChannelsInput
from nnjit.estimators._sampling import SampledPredictions
from nnjit.estimators._start import starting_values
from nnjit.layers.dense.spec import Dense
from nnjit.layers.layer import Layer, Shape, size_of
from nnjit.layers.network import Network
from nnjit.layers.stack import is_layer

__all__ = ["ON_A_GPU", "LayeredNetwork", "SmallMinibatches"]

_WEIGHTS = """
layers_ : tuple
    Layers of the fitted network, as in `nnjit.layers`, the output layer last.
coefs_ : list of ndarray
    Weights of each layer that has some: (inputs, units) of a dense one, (time, channels, filters)
    or (height, width, channels, filters) of a convolution, channels being those of a group,
    (channels, gates * units) of what comes into a recurrent layer. Like all arrays here they can
    be assigned before predicting.
intercepts_ : list of ndarray
    Biases of each of these layers, of shape (units,), (filters,) or (gates * units,), and in
    between of ``TiedDense``, whose weights are those of another layer.
normalization_ : list of dict
    Only where there are normalizations: of each the learned 'scale' and 'shift', and for 'batch'
    the running 'mean' and 'variance', arrays of shape (units,) or (channels,).
layer_parameters_ : list of dict
    Only where there are layers with other parameters: of each its arrays by name; of
    ``RadialBasis`` 'centers' and 'log_widths'; of ``PeriodicEmbedding`` 'frequencies' and 'phases'
    (features, frequencies), 'amplitudes' (features, frequencies, units) and 'offsets' (features,
    units); of ``PiecewiseLinear`` 'edges' (features, bins + 1), which stay as they are; of ``RNN``,
    ``GRU`` and ``LSTM`` 'recurrent_weights' (units, gates * units), the gates side by side, of a
    GRU r, z, n, of an LSTM i, f, g, o; of a GRU 'recurrent_biases' (units,) as well; and with
    ``bidirectional`` those of the second direction, 'reverse_weights', 'reverse_recurrent_weights'
    and so on.
"""
_REFERENCES = """
Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
recognition", Proceedings of the IEEE 86, 1998 (convolution and pooling).

Z. Wang, W. Yan and T. Oates, "Time series classification from scratch with deep neural networks: a
strong baseline", IJCNN 2017 (the FCN).

X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
networks", AISTATS 2010 (initial weights of dense layers).

K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers", ICCV 2015 (of convolutions).

"""
_POINTS = """
With ``targets="sequence"`` each point of a series has a target of its own. y is an array of shape
(n_samples, time) of labels, or for a regressor (n_samples, time[, n_outputs]) of values, in which
anything may stand behind the end of a series, NaN or None as well; or a list with an array for each
case, with as many entries as the series has points, whatever the form of X. Any other number of
entries is an error that names the case. ``predict``, ``predict_proba`` and the like return an array
(n_samples, time[, n_outputs]) where X is an array of series of equal length, else a list with an
array for each case. A point is what a sample is elsewhere: `class_weight`, the loss and the scores,
accuracy or R2 or what `scoring` names, count points, each by the weight of its row, and none behind
the end of a series; a callable `scoring` gets y as it was given. Rows are held out by early
stopping with all their points. Every layer has to keep the points: convolutions with the padding
'same' and no stride, of `kernel_size` 1 what a dense layer is at each point; recurrent ones with
`return_sequences`; no pooling. The output layer is such a convolution, whose weights, in `coefs_`,
have the shape (1, channels, n_outputs). scikit-learn's searches with a number as `cv` look at all y
to find out whether it is labels: where some are missing, or y is a list of lists, give a splitter
such as ``KFold(5)``.
"""
# Fitted attributes that not every network has.
_OPTIONAL = ("normalization_", "layer_parameters_")
_ATTRIBUTE_OF = {"weights": "coefs_", "biases": "intercepts_"}
# Rows of a minibatch of `SmallMinibatches`.
_LEAST_ROWS, _MOST_ROWS, _MINIBATCHES = 8, 64, 10
# Kinds of layers that there is device code for.
ON_A_GPU = ("dense", "dropout")


class _Place(NamedTuple):
    """Where a parameter of the network is among the fitted attributes."""

    attribute: str
    number: int  # in its list
    key: str | None  # of the dict that stands there; None for an array

    def __str__(self) -> str:
        key = "" if self.key is None else f"[{self.key!r}]"
        return f"{self.attribute}[{self.number}]{key}"

    def of(self, estimator: Any) -> Any:
        """Return what is there."""
        entry = getattr(estimator, self.attribute)[self.number]
        return entry if self.key is None else entry[self.key]


def _places(network: Network) -> tuple[_Place, ...]:
    """Return the places of a network's parameters, in their order."""
    found: list[_Place] = []
    lengths: dict[str, int] = {}
    for layer, shape in zip(network.layers, network.shapes):
        begun = set()
        for parameter in layer.parameters(shape):
            attribute, key = _ATTRIBUTE_OF.get(parameter.name), None
            if attribute is None:
                own = layer.kind == "normalization"
                attribute, key = _OPTIONAL[0 if own else 1], parameter.name
            if key is None or attribute not in begun:
                lengths[attribute] = lengths.get(attribute, 0) + 1
                begun.add(attribute)
            found.append(_Place(attribute, lengths[attribute] - 1, key))
    return tuple(found)


@lru_cache(maxsize=64)
def _network_of(
    inputs: int,
    layers: tuple[Layer, ...],
    loss: str,
    output: str,
    shape: tuple[int, ...],
    options: tuple[tuple[str, Any], ...],
) -> Network:
    """Make a network, which for a small one takes as long as some epochs, once."""
    return Network(inputs, layers, loss, output, shape=shape, **dict(options))


class LayeredNetwork(ChannelsInput, SampledPredictions):
    """A network of layers of any kinds that is fitted as one.

    A subclass says in `_hidden_layers` which layers come before the output layer.
    """

    _shared_docs = {
        **ChannelsInput._shared_docs,
        "attributes": _WEIGHTS.lstrip() + ChannelsInput._shared_docs["attributes"].lstrip(),
        "points": _POINTS,
        "references": _REFERENCES + NetworkEstimator._shared_docs["references"].lstrip(),
    }
    _accepted_sparse: Any = False

    layers_: tuple[Layer, ...]
    coefs_: list[FloatArray]
    intercepts_: list[FloatArray]
    normalization_: list[dict[str, FloatArray]]
    layer_parameters_: list[dict[str, FloatArray]]
    # the layers that were fitted, and where their parameters are
    _places: tuple[tuple[Layer, ...], tuple[_Place, ...]]

    @abstractmethod
    def _hidden_layers(self, shape: Shape) -> tuple[Layer, ...]:
        """Return the layers before the output layer, for rows of this shape.

        Raises
        ------
        ValueError
            That names the first that does not fit.
        """

    def _row_shape(self, inputs: int) -> tuple[int, ...]:
        """Return the shape of rows of so many values; ``()`` where they are vectors."""
        shape: tuple[int, ...] = tuple(self.__dict__.get("input_shape_", ()))
        if len(shape) != 2 or inputs == size_of(shape) or inputs % shape[0]:
            return shape
        return (shape[0], inputs // shape[0])  # a series of another length

    # The network and its parameters

    def _network(self, inputs: int, outputs: int) -> Network:
        shape = self._row_shape(inputs) or inputs
        hidden = self._hidden_layers(shape)
        return self._stack(inputs, (*hidden, self._output_layer(hidden, shape, outputs)))

    def _output_layer(self, layers: tuple[Layer, ...], shape: Shape, outputs: int) -> Layer:
        """Return the layer behind `layers`, for rows of this shape, that gives out the logits.

        Raises
        ------
        ValueError
            If it cannot read what comes out of the layers.
        """
        return Dense(outputs, "identity")

    def _stack(self, inputs: int, layers: tuple[Layer, ...]) -> Network:
        """Return the network of these layers, the last one being the output layer."""
        options = tuple(self._loss_options().items())
        shape = self._row_shape(inputs)
        return _network_of(
            inputs, layers, self._engine_loss(), self.out_activation_, shape, options
        )

    def _initial_parameters(
        self,
        network: Network,
        X: Any,
        target: Array,
        sample_weight: Array | None,
        dtype: np.dtype[Any],
    ) -> list[Array]:
        self._take_layers(network)
        rows = engine_input(X, dtype)
        return starting_values(network, rows, sample_weight, self._random_state, dtype)

    def _take_layers(self, network: Network) -> None:
        self.layers_ = network.layers
        self._places = network.layers, _places(network)

    def _as_attributes(self, arrays: list[Array]) -> dict[str, Any]:
        found: dict[str, Any] = {"coefs_": [], "intercepts_": []}
        for place, array in zip(self._present_places(), arrays, strict=True):
            entries = found.setdefault(place.attribute, [])
            if place.key is None:
                entries.append(array)
            elif place.number == len(entries):
                entries.append({place.key: array})
            else:
                entries[place.number][place.key] = array
        return found

    def _present_places(self) -> tuple[_Place, ...]:
        layers, places = self._places
        return places if layers is self.layers_ else _places(self._fitted_network())

    def _fitted_network(self) -> Network:
        layers = self.layers_
        if not isinstance(layers, tuple) or not all(map(is_layer, layers)):
            raise ValueError(f"layers_ must be a tuple of layers, got {layers!r:.200}.")
        return self._stack(self.n_features_in_, layers)

    def _give_parameters(self, n_features: int | None = None) -> tuple[Network, list[Array]]:
        check_output_activation(self)
        network = self._fitted_network()
        arrays = _checked(self, network)
        outputs = getattr(self, "n_outputs_", None)
        if hasattr(type(self), "predict_proba") and outputs != network.outputs:
            raise ValueError(
                f"The output layer in layers_ has {network.outputs} units, but n_outputs_ is "
                f"{outputs!r}."
            )
        if n_features is not None and n_features != network.inputs:
            network = self._for_length(network, n_features)
        return network, arrays

    def _for_length(self, network: Network, n_features: int) -> Network:
        """Return the fitted network for series of another length.

        Raises
        ------
        ValueError
            If it takes no others.
        """
        refusal = (
            f"X has {n_features} features, but {type(self).__name__} was fitted on "
            f"{network.inputs}, rows of shape {network.shape or (network.inputs,)}"
        )
        channels = network.shape[0] if len(network.shape) == 2 else n_features + 1
        if n_features % channels:
            raise ValueError(f"{refusal}.")
        try:
            other = self._stack(n_features, network.layers)
        except ValueError as error:
            raise ValueError(f"{refusal}: {error}") from None
        if other.parameters() != network.parameters():
            raise ValueError(
                f"{refusal}: layers that read every point of a series, as behind Flatten(), take "
                "none longer than those of the fit. Behind global pooling, or the last states of a "
                "recurrent layer, series may be of any length."
            )
        return other

    def _present_parameters(self) -> tuple[Any, list[Any]]:
        others = (
            self.layers_,
            getattr(self, "input_shape_", ()),
            self.n_features_in_,
            getattr(self, "n_outputs_", None),  # a regressor needs none
            self.out_activation_,
            self.loss,
            getattr(self, "_label_binarizer", None),
        )
        return others, [place.of(self) for place in self._present_places()]

    def _forget(self) -> None:
        super()._forget()
        for name in _OPTIONAL:
            self.__dict__.pop(name, None)

    def _check_architecture(self, network: Network) -> None:
        """Refuse parameters of other shapes; what has none, such as dropout, may have changed."""
        fitted = self._fitted_network()
        wanted = [one for _, one in network.parameters()]
        if wanted != [one for _, one in fitted.parameters()] or fitted.inputs != network.inputs:
            super()._check_architecture(network)
        self._check_shape_asked()
        self._take_layers(network)

    # Training

    def _engine_device(self) -> str:
        device: str = self.device
        if device == "cpu" or not (without := self._without_device_code()):
            return device
        if device.startswith("cuda"):
            raise ValueError(
                f"{without} no code for a GPU: device={device!r} cannot be used, 'cpu' and 'auto' "
                "can."
            )
        return "cpu"

    def _without_device_code(self) -> str:
        """Return what has no device code, as the beginning of a sentence; '' if nothing."""
        return "Convolution layers have"


class SmallMinibatches(NetworkEstimator):
    """Minibatches of a tenth of the rows, from 8 to 64, where nothing else is asked for."""

    def _minibatch_rows(self, n_samples: int) -> int:
        if self.batch_size != "auto":
            return super()._minibatch_rows(n_samples)
        rows = min(max(n_samples // _MINIBATCHES, _LEAST_ROWS), _MOST_ROWS)
        return min(rows, n_samples)


def _checked(estimator: LayeredNetwork, network: Network) -> list[Array]:
    """Return the fitted arrays, to which anything may have been assigned, as arrays of floats."""
    places = _places(network)
    for attribute in dict.fromkeys(("coefs_", "intercepts_", *(one.attribute for one in places))):
        _check_list(estimator, attribute, [one for one in places if one.attribute == attribute])
    arrays = []
    for place, (number, parameter) in zip(places, network.parameters(), strict=True):
        array = as_floats(place.of(estimator), str(place))
        if array.shape != parameter.shape:
            raise ValueError(
                f"{place} has shape {array.shape}, but layers_[{number}], "
                f"{network.layers[number]}, has {parameter.name} of shape {parameter.shape}."
            )
        if parameter.name == "variance" and (array < 0).any():
            raise ValueError(f"{place} has negative numbers.")
        arrays.append(array)
    return arrays


def _check_list(estimator: LayeredNetwork, attribute: str, places: Sequence[_Place]) -> None:
    """Refuse what is no list of as many entries as there are layers for it."""
    entries = getattr(estimator, attribute, None)
    count = 1 + max((one.number for one in places), default=-1)
    if not isinstance(entries, list | tuple) or len(entries) != count:
        found = len(entries) if isinstance(entries, list | tuple) else type(entries).__name__
        what = "dicts" if places and places[0].key else "arrays"
        raise ValueError(
            f"{attribute} must be a list of {what}, one for each of the {count} layers that have "
            f"such, got {found}."
        )
    for number, entry in enumerate(entries):
        keys = [one.key for one in places if one.number == number and one.key is not None]
        if keys and (not isinstance(entry, Mapping) or set(entry) != set(keys)):
            raise ValueError(
                f"{attribute}[{number}] must be a dict with {keys}, got {entry!r:.200}."
            )
