"""The recurrence of a layer as a Scan over the points, for types that ONNX's operators lack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnjit.interop.onnx.chain import Chain
from nnjit.interop.onnx.graph import Graph, Value

__all__ = ["scanned"]


def scanned(chain: Chain, number: int, x: Value) -> tuple[Value, Value]:
    """Return all states (time, directions, n, units) and the last ones (directions, n, units).

    Parameters
    ----------
    chain : Chain
    number : int
        Of the layer.
    x : Value
        Its inputs (n, channels, time).
    """
    graph, spec = chain.graph, chain.spec(number)
    rows = graph.transpose(x, 2, 0, 1)  # (time, n, channels)
    there = chain.there(number)
    mask = None if there is None else graph.transpose(there, 2, 0, 1)  # (time, n, 1)
    found = [
        _one_direction(chain, number, prefix, rows, mask)
        for prefix in ("", "reverse_")[: spec.directions]
    ]
    states, last = (
        graph.concatenate([graph.add("Unsqueeze", one, np.array([axis])) for one in ones], axis)
        for ones, axis in zip(zip(*found), (1, 0))
    )
    return states, last


def _one_direction(
    chain: Chain, number: int, prefix: str, rows: Value, mask: Value | None
) -> tuple[Value, Value]:
    """Return the states at all points (time, n, units), 0 behind ends, and the last ones."""
    graph, spec = chain.graph, chain.spec(number)
    weights, biases = (chain.parameter(number, prefix + name) for name in ("weights", "biases"))
    gates = graph.add("MatMul", rows, weights) + biases  # of the inputs, at all points at once
    begin = graph.reduce("Sum", rows, 0, 2, keepdims=False) * 0.0  # zeros, one for each row
    begin = graph.add("Expand", graph.reshape(begin, -1, 1), np.array([1, spec.units], np.int64))
    scans = [gates] if mask is None else [gates, mask]
    backwards = int(prefix != "")
    outputs = graph.add_many(
        "Scan",
        *[begin] * spec.states,
        *scans,
        dtypes=[begin.dtype] * (spec.states + 1),
        body=_body(graph, chain, number, prefix, mask is not None),
        num_scan_inputs=len(scans),
        scan_input_directions=[backwards] * len(scans),
        scan_output_directions=[backwards],
    )
    return outputs[-1], outputs[0]


def _body(outer: Graph, chain: Chain, number: int, prefix: str, masked: bool) -> Any:
    """Return the graph of one point: states and what comes in -> states, and what comes out."""
    body, spec = outer.body(), chain.spec(number)
    dtype, units = chain.fitted.dtype, spec.units
    names = ("h", "c")[: spec.states]
    before = [body.input(body.name(name), dtype, ("n", units)) for name in names]
    gates = body.input(body.name("gates"), dtype, ("n", units * spec.gates))
    there = body.input(body.name("there"), bool, ("n", 1)) if masked else None
    after = _CELLS[spec.kind](chain, number, prefix, body, gates, before)
    out = after[0]
    if there is not None:
        out = body.where(there, out, 0.0)
        after = [body.where(there, new, old) for new, old in zip(after, before)]
    for one in after:
        body.output(body.name("state"), one, ("n", units))
    body.output(body.name("out"), out, ("n", units))
    return body.proto(body.name("point"))


# -- cells: what comes from the inputs and the states before -> the states behind ----------------


def _rnn(
    chain: Chain, number: int, prefix: str, body: Graph, gates: Value, before: list[Value]
) -> list[Value]:
    own = chain.parameter(number, f"{prefix}recurrent_weights")
    phi = {"tanh": "Tanh", "relu": "Relu"}[chain.spec(number).activation]
    return [body.add(phi, gates + body.add("MatMul", before[0], own))]


def _gru(
    chain: Chain, number: int, prefix: str, body: Graph, gates: Value, before: list[Value]
) -> list[Value]:
    (h,) = before
    own = chain.parameter(number, f"{prefix}recurrent_weights")
    states, units = body.add("MatMul", h, own), chain.spec(number).units
    both = body.columns(gates, 0, 2 * units) + body.columns(states, 0, 2 * units)
    both = body.add("Sigmoid", both)
    r, z = body.columns(both, 0, units), body.columns(both, units, 2 * units)
    fed = body.columns(states, 2 * units, 3 * units)
    fed = fed + chain.parameter(number, f"{prefix}recurrent_biases")
    n = body.add("Tanh", body.columns(gates, 2 * units, 3 * units) + r * fed)
    return [(1.0 - z) * n + z * h]


def _lstm(
    chain: Chain, number: int, prefix: str, body: Graph, gates: Value, before: list[Value]
) -> list[Value]:
    h, c = before
    own = chain.parameter(number, f"{prefix}recurrent_weights")
    sums, units = gates + body.add("MatMul", h, own), chain.spec(number).units
    i, f, g, o = (body.columns(sums, k * units, (k + 1) * units) for k in range(4))
    i, f, o = (body.add("Sigmoid", one) for one in (i, f, o))
    c = f * c + i * body.add("Tanh", g)
    return [o * body.add("Tanh", c), c]


_CELLS: dict[str, Callable[..., list[Value]]] = {"gru": _gru, "lstm": _lstm, "rnn": _rnn}
