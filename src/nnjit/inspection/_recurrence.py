"""Recurrent layers of a fitted network: states of every point, and the loss's gradient by them.

What comes into the layer, and the gradient by what comes out, are the engine's. In between goes
backpropagation through time, in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from nnjit._types import Array
from nnjit.backends import select
from nnjit.estimators._arrays import pack_parameters, unpack_parameters
from nnjit.inspection._cases import Stack, blocks_of, layer_outputs, predicted
from nnjit.layers.convolution.spec import Conv
from nnjit.layers.dense.spec import Dense
from nnjit.layers.layer import Layer
from nnjit.layers.network import Network

__all__ = ["layer_name", "outputs_over_time", "state_gradients", "states_of"]

Values = NDArray[np.float64]
State = tuple[Values, ...]  # h, and of an LSTM c


def layer_name(network: Network, place: int) -> str:
    """Return what a layer is called, as 'gru 0'."""
    return next(block.name for block in blocks_of(network) if block.place == place)


def states_of(stack: Stack, rows: Any, place: int) -> Values:
    """Return the states h (n_samples, states, time) behind all points, NaN behind the end."""
    network = stack.network
    layer: Any = network.layers[place]
    layers = (*network.layers[:place], replace(layer, return_sequences=True))
    whole = Network(network.inputs, layers, "", "identity", shape=network.shape)
    arrays = stack.arrays[: len(whole.parameters())]
    return layer_outputs(Stack(stack.estimator, whole, arrays), rows, place + 1)


def outputs_over_time(stack: Stack, rows: Any) -> Values:
    """Return outputs (n_samples, n_outputs, time) at all points, NaN behind the end."""
    outputs = predicted(stack, rows, "activation").transpose(0, 2, 1).copy()
    missing = np.isnan(np.asarray(rows)).reshape(len(outputs), *stack.network.shape).all(axis=1)
    outputs[np.broadcast_to(missing[:, np.newaxis], outputs.shape)] = np.nan
    return outputs


# --- from the loss to what comes out of the layer -----------------------------------------------


def state_gradients(
    stack: Stack, rows: Any, target: Array, place: int, point: int | None
) -> list[list[State]]:
    """Return for each row and each direction the gradients of its loss by h, and by an LSTM's c.

    Each is (points of the row, units), in the order of time. The loss is that of a prediction:
    nothing is dropped, and batch normalization has its running statistics. It is the mean over
    the points, or that of one `point`, where each has a target.
    """
    layer: Any = stack.network.layers[place]
    stack = _as_predicting(stack)
    given = layer_outputs(stack, rows, place) if place else _in_shape(stack, rows)
    states = states_of(stack, rows, place)
    above = _Above(stack, place, states.shape[2])
    found = []
    for number, (x, h) in enumerate(zip(given, states, strict=True)):
        points = int((~np.isnan(h).all(axis=0)).sum())
        x, h = x[:, :points].T, h[:, :points].T
        slopes = above.slopes(h, target[number : number + 1], point)
        of_row = []
        for way, parameters in enumerate(_of_directions(layer, stack.parameters_of(place))):
            order = slice(None, None, -1 if way else 1)
            part = slopes[:, way * layer.units : (way + 1) * layer.units]
            back = _through_time(layer, x[order], part[order], parameters)
            of_row.append(tuple(one[order] for one in back))
        found.append(of_row)
    return found


def _in_shape(stack: Stack, rows: Any) -> Values:
    return np.array(rows, np.float64).reshape(len(rows), *stack.network.shape)


def _as_predicting(stack: Stack) -> Stack:
    """Return a network whose training is as its prediction, in float64."""
    network, layers, arrays = stack.network, [], []
    for number, layer in enumerate(network.layers):
        own = {name: one.astype(np.float64) for name, one in stack.parameters_of(number).items()}
        settled, values = _settled(layer, network.shapes[number], own)
        layers.append(settled)
        arrays += values
    made = replace(network, layers=tuple(layers))
    return Stack(stack.estimator, made, arrays)


def _settled(layer: Any, inputs: Any, own: dict[str, Values]) -> tuple[Layer, list[Values]]:
    """Return a layer that does in training what this one does in predictions."""
    if layer.kind == "dropout":
        return replace(layer, rate=0.0), []
    if layer.kind == "noise":
        return replace(layer, scale=0.0), []
    if layer.kind == "tied":
        return layer, [own["biases"]]
    if getattr(layer, "recurrent_dropout", 0.0):
        return replace(layer, recurrent_dropout=0.0), [*own.values()]
    if not getattr(layer, "joins_rows", False):
        return layer, [*own.values()]
    scale = own["scale"] / np.sqrt(own["variance"] + layer.epsilon)
    shift, weights = own["shift"] - own["mean"] * scale, np.diag(scale)
    if isinstance(inputs, tuple):
        return Conv(len(scale), 1, layer.activation), [weights[np.newaxis], shift]
    return Dense(len(scale), layer.activation), [weights, shift]


class _Above:
    """The layers behind a recurrent one, with its outputs as the weights of a first layer.

    These read points that are numbered by a one among zeros, so that the engine's gradient by the
    weights is that by the outputs.
    """

    def __init__(self, stack: Stack, place: int, time: int) -> None:
        network = stack.network
        around = [k for below, k in network.shortcuts if below <= place < k]
        if around:
            raise ValueError(
                f"Layer {around[0]} adds what comes from below recurrent layer {place}: there is "
                "no gradient over time of a layer that is led around."
            )
        shape = network.shapes[place + 1]
        self.sequences = isinstance(shape, tuple)
        width = shape[0] if isinstance(shape, tuple) else shape
        first = Conv(width, 1, "identity") if self.sequences else Dense(width, "identity")
        self.network = replace(
            network,
            inputs=time * time if self.sequences else 1,
            layers=(first, *network.layers[place + 1 :]),
            shape=(time, time) if self.sequences else (),
        )
        self.time, self.width, self.units = time, width, network.layers[place].units  # type: ignore[attr-defined]
        behind = [number > place for number, _ in network.parameters()]
        self.arrays = [one for one, is_behind in zip(stack.arrays, behind) if is_behind]
        self.engine = select.make_engine(self.network, np.dtype(np.float64))

    def slopes(self, h: Values, target: Array, point: int | None) -> Values:
        """Return the gradient of a row's loss by its outputs, at each of its points."""
        slopes = np.zeros((len(h), self.width))
        if not self.sequences:
            ends = np.concatenate([h[-1, : self.units], h[0, self.units :]])
            found = self._gradient(np.ones((1, 1)), ends[np.newaxis], target, None)[0]
            slopes[-1, : self.units], slopes[0, self.units :] = np.split(found, [self.units])
            return slopes
        rows = np.eye(self.time)
        rows[:, len(h) :] = np.nan
        weights = np.zeros((1, self.time, self.width))
        weights[0, : len(h)] = h
        counts = None
        if point is not None:
            counts = np.zeros((1, self.time))
            counts[0, _point_of(point, len(h))] = 1.0
        found = self._gradient(rows.reshape(1, -1), weights, target, counts)
        return np.asarray(found[0, : len(h)])

    def _gradient(self, row: Values, weights: Values, target: Array, counts: Any) -> Values:
        arrays = [weights, np.zeros(self.width), *self.arrays]
        packed = pack_parameters(self.network, arrays)
        dataset = self.engine.dataset(row, target, counts)
        slopes = self.engine.loss_gradient(packed, dataset, 0.0)[1]
        return np.asarray(unpack_parameters(self.network, slopes, slopes.dtype)[0])


def _point_of(point: int, points: int) -> int:
    """Return the number of a point of a row that has so many."""
    if not -points <= point < points:
        raise ValueError(f"A case has {points} points, there is none with number {point}.")
    return point % points


# --- through the layer, the last point first ----------------------------------------------------


def _of_directions(layer: Any, arrays: dict[str, Array]) -> list[list[Values]]:
    """Return the parameters of each direction, in the order that a layer has them."""
    values = [*arrays.values()]
    each = len(values) // layer.directions
    return [values[way * each : (way + 1) * each] for way in range(layer.directions)]


def _through_time(layer: Any, x: Values, slopes: Values, parameters: list[Values]) -> State:
    """Return gradients by the states behind all points, of one row in one direction.

    `slopes` are those by h that do not go through later states.
    """
    forward, backward = _CELLS[layer.kind]
    state: State = (np.zeros(layer.units),) * layer.states
    kept = []
    for inputs in x:
        state, of_point = forward(layer, inputs, state, parameters)
        kept.append(of_point)
    later: State = (np.zeros(layer.units),) * layer.states
    found: list[State] = []
    for t in reversed(range(len(x))):
        delta = (slopes[t] + later[0], *later[1:])
        by_states, later = backward(layer, delta, kept[t], parameters[1])
        found.insert(0, by_states)
        if layer.truncate is not None and t % layer.truncate == 0:
            later = (np.zeros(layer.units),) * layer.states
    return tuple(np.array(one) for one in zip(*found))


# A cell's pair: (layer, x, state, parameters) -> state behind the point and what the way back
# reads; (layer, delta of the states, that, U) -> gradients by the states behind the point, all
# ways from there counted, and the part of those before it.


def _rnn_forward(layer: Any, x: Values, state: State, parameters: list[Values]) -> Any:
    w, u, b = parameters
    z = x @ w + state[0] @ u + b
    h = np.tanh(z) if layer.activation == "tanh" else np.maximum(z, 0.0)
    return (h,), h


def _rnn_backward(layer: Any, delta: State, h: Values, u: Values) -> tuple[State, State]:
    slope = 1.0 - h**2 if layer.activation == "tanh" else h > 0.0
    return delta, ((delta[0] * slope) @ u.T,)


def _gru_forward(layer: Any, x: Values, state: State, parameters: list[Values]) -> Any:
    w, u, b, c = parameters
    (before,) = state
    of_x, of_h = np.split(x @ w + b, 3), np.split(before @ u, 3)
    r, z = expit(of_x[0] + of_h[0]), expit(of_x[1] + of_h[1])
    inner = of_h[2] + c
    n = np.tanh(of_x[2] + r * inner)
    return ((1.0 - z) * n + z * before,), (before, r, z, n, inner)


def _gru_backward(layer: Any, delta: State, kept: Any, u: Values) -> tuple[State, State]:
    before, r, z, n, inner = kept
    (dh,) = delta
    d_new = dh * (1.0 - z) * (1.0 - n**2)
    gates = [d_new * inner * r * (1.0 - r), dh * (before - n) * z * (1.0 - z), d_new * r]
    return delta, (dh * z + np.concatenate(gates) @ u.T,)


def _lstm_forward(layer: Any, x: Values, state: State, parameters: list[Values]) -> Any:
    w, u, b = parameters
    h, c = state
    i, f, g, o = np.split(x @ w + h @ u + b, 4)
    i, f, g, o = expit(i), expit(f), np.tanh(g), expit(o)
    cell = f * c + i * g
    return (o * np.tanh(cell), cell), (c, i, f, g, o, np.tanh(cell))


def _lstm_backward(layer: Any, delta: State, kept: Any, u: Values) -> tuple[State, State]:
    c, i, f, g, o, bounded = kept
    dh, dc = delta
    dc = dc + dh * o * (1.0 - bounded**2)
    gates = [
        dc * g * i * (1.0 - i),
        dc * c * f * (1.0 - f),
        dc * i * (1.0 - g**2),
        dh * bounded * o * (1.0 - o),
    ]
    return (dh, dc), (np.concatenate(gates) @ u.T, dc * f)


_CELLS: dict[str, tuple[Callable[..., Any], Callable[..., tuple[State, State]]]] = {
    "rnn": (_rnn_forward, _rnn_backward),
    "gru": (_gru_forward, _gru_backward),
    "lstm": (_lstm_forward, _lstm_backward),
}
