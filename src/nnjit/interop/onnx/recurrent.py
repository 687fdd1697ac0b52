"""Recurrent layers: ONNX's RNN, GRU and LSTM, with the lengths of series.

In float64 onnxruntime has none of the three: there `scan.py` writes the recurrence itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.interop.onnx.chain import Chain
from nnjit.interop.onnx.graph import Value
from nnjit.interop.onnx.registry import layer
from nnjit.interop.onnx.scan import scanned

__all__ = ["recurrent"]

# Operator, and which gates of nnjit's ONNX's are, in its order.
_OPERATORS = {
    "rnn": ("RNN", (0,)),
    "gru": ("GRU", (1, 0, 2)),  # z, r, n of r, z, n
    "lstm": ("LSTM", (0, 3, 1, 2)),  # i, o, f, g of i, f, g, o
}


@layer("gru", "lstm", "rnn")
def recurrent(chain: Chain, number: int, x: Value) -> Value:
    """The states at all points, (n, states, time), or the last ones, (n, states)."""
    if x.dtype == np.float32:
        states, last = _by_operator(chain, number, x)
    else:
        states, last = scanned(chain, number, x)
    spec, graph = chain.spec(number), chain.graph
    width = spec.units * spec.directions
    if not spec.return_sequences:  # (directions, n, units)
        return graph.reshape(graph.transpose(last, 1, 0, 2), 0, width)
    outputs: Any = chain.layer(number).outputs
    # (time, directions, n, units)
    return graph.reshape(graph.transpose(states, 2, 1, 3, 0), 0, *outputs)


def _by_operator(chain: Chain, number: int, x: Value) -> tuple[Value, Value]:
    """Return all states and the last ones as ONNX's operator gives them."""
    graph, spec = chain.graph, chain.spec(number)
    op, order = _OPERATORS[spec.kind]
    lengths = chain.points(number)
    directions = [
        _of_direction(chain, number, prefix, order)
        for prefix in ("", "reverse_")[: spec.directions]
    ]
    options: dict[str, Any] = {"hidden_size": spec.units}
    if spec.bidirectional:
        options["direction"] = "bidirectional"
    if op == "RNN":
        options["activations"] = [spec.activation.capitalize()] * spec.directions
    if op == "GRU":
        options["linear_before_reset"] = 1
    rows, counts = _with_one_more(chain, number, x, lengths)
    states, last = graph.add_many(
        op,
        rows,
        *[np.stack(arrays) for arrays in zip(*directions)],
        counts,
        dtypes=[None, None],
        **options,
    )
    # Only what is given out is cut off again.
    if spec.return_sequences:
        return graph.columns(states, 0, -1, axis=2), last
    return states, graph.columns(last, 0, -1)


def _with_one_more(
    chain: Chain, number: int, x: Value, lengths: Value | None
) -> tuple[Value, Value | None]:
    """Return rows (time, n + 1, channels) and their lengths, the last row being of one point.

    onnxruntime ends the whole process where there is no row at all.
    """
    graph = chain.graph
    channels, time = chain.layer(number).inputs  # type: ignore[misc]
    more = graph.constant(np.zeros((time, 1, channels), x.dtype))
    rows = graph.concatenate([graph.transpose(x, 2, 0, 1), more], 1)
    if lengths is None:
        return rows, None
    one = graph.constant(np.ones(1, np.int32))
    return rows, graph.concatenate([graph.cast(lengths, np.int32), one], 0)


def _of_direction(
    chain: Chain, number: int, prefix: str, order: tuple[int, ...]
) -> tuple[Array, Array, Array]:
    """Return the weights, the recurrent weights and the biases of one direction for ONNX."""
    spec = chain.spec(number)

    def gates(name: str) -> Array:
        """Gates one above the other, (gates * units, ...)."""
        array: Array = chain.parameter(number, prefix + name).T
        parts = np.split(array, len(order))
        return np.concatenate([parts[gate] for gate in order])

    weights, recurrent_weights, biases = map(gates, ("weights", "recurrent_weights", "biases"))
    own = np.zeros_like(biases)
    if spec.recurrent_gates:  # of the last gate, in either order
        own[-spec.units :] = chain.parameter(number, f"{prefix}recurrent_biases")
    return weights, recurrent_weights, np.concatenate([biases, own])
