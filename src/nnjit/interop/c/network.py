"""The layers of a fitted network as steps of a chain, for whole rows and for points of a stream."""

from __future__ import annotations

from typing import Any

from nnjit.interop.c.chain import Chain, Step
from nnjit.interop.c.layers.recurrent import recurrent_step
from nnjit.interop.c.layers.registry import EMITTERS, VANISHING
from nnjit.interop.c.layers.writing import Given, body
from nnjit.interop.c.source import Source
from nnjit.interop.fitted import FittedNetwork
from nnjit.layers.layer import size_of

__all__ = ["add_layers", "add_stream", "can_stream", "moved_channels"]


def _given(net: FittedNetwork, number: int, shape: Any = None) -> Given:
    """Return a layer as an emitter gets it, for rows of the fit or what comes in has a shape."""
    found = net.layers[number]
    arrays: dict[str, Any] = dict(found.parameters)
    if found.kind == "tied":
        arrays["weights"] = net.layers[number - found.layer.back].parameters["weights"]  # type: ignore[attr-defined]
    whole = shape is None
    inputs = found.inputs if whole else shape
    counts = whole and net.has_lengths and isinstance(inputs, tuple)
    outputs = found.outputs if whole else found.layer.outputs(inputs)
    return Given(found.layer, inputs, outputs, arrays, number, counts)


def add_layers(
    chain: Chain, source: Source, net: FittedNetwork, first: int = 0, end: int | None = None
) -> None:
    """Add the layers of some numbers; rows of series are measured in front of the first one."""
    start = chain.last
    if first == 0 and net.has_lengths:
        channels, points = net.input_shape
        chain.let("n", f"{_measure(source, points)}({{x}})")
        # NaN behind the ends of series become zeros, where a layer reads there
        trial = Chain(net.n_features_in, count="n")
        _add(trial, source, net, first, end)
        if trial.needs_zeros(0):
            step = _with_zeros(source, channels, points)
            chain.add(step)
            start = chain.last
    _add(chain, source, net, first, end, start)


def _add(
    chain: Chain, source: Source, net: FittedNetwork, first: int, end: int | None, start: int = 0
) -> None:
    before = {first: start}  # the value that comes into each layer
    for number in range(first, len(net.layers) if end is None else end):
        layer: Any = net.layers[number].layer
        before[number] = chain.last
        if layer.kind in VANISHING:
            continue
        other = before[number - layer.span] if layer.kind == "residual" else None
        chain.add(EMITTERS[layer.kind](source, _given(net, number)), other)


def _measure(source: Source, points: int) -> str:
    """Return a function that tells how many points a series has: NaN are behind its end."""
    lines = body(f"""
        int32_t n = {points};
        while (n > 0 && isnan(x[n - 1])) n--;
        return n;
        """)
    parameters = f"const {source.real.name} *x"
    what = "points of a series, whose channels are NaN behind its end"
    return source.function("measure", parameters, lines, result="int32_t", of=what)


def _with_zeros(source: Source, channels: int, points: int) -> Step:
    real, zero = source.real.name, source.real.literal(0.0)
    at = f"c * {points} + p"
    lines = body(f"""
        int32_t c, p;
        for (c = 0; c < {channels}; c++) for (p = 0; p < {points}; p++) {{
            h[{at}] = p < n ? x[{at}] : {zero};
        }}
        """)
    function = source.function(
        "with_zeros", f"const {real} *x, {real} *h, int32_t n", lines,
        of="zeros behind the end of a series",
    )  # fmt: skip
    return Step(function, channels * points, in_place=True, counts=True, needs_zeros=False)


def moved_channels(source: Source, shape: tuple[int, ...], *, to_front: bool) -> Step:
    """Return a step that has the channels of a case last, or first."""
    real, channels = source.real.name, shape[0]
    points = size_of(shape) // channels
    first, last = f"c * {points} + p", f"p * {channels} + c"
    to, of = (first, last) if to_front else (last, first)
    lines = body(f"""
        int32_t c, p;
        for (c = 0; c < {channels}; c++) for (p = 0; p < {points}; p++) h[{to}] = x[{of}];
        """)
    label = "channels_first" if to_front else "channels_last"
    function = source.function(label, f"const {real} *x, {real} *h", lines, of=label)
    return Step(function, size_of(shape), needs_zeros=False)


# Streams


def can_stream(net: FittedNetwork) -> bool:
    """Whether the network can take a series point by point; see `predict_stream`."""
    network = net.network
    if len(net.input_shape) != 2 or not any(network.carried):
        return False
    number = network.first_joining
    pooled = number is not None and network.layers[number].kind == "global_pooling"
    return number is None or (pooled and any(network.carried[:number]))


def add_stream(chain: Chain, source: Source, net: FittedNetwork) -> int:
    """Add the layers for one point of a stream; return how many values it carries."""
    shape: Any = (net.input_shape[0], 1)
    before, carried = {}, 0
    for number, fitted in enumerate(net.layers):
        layer: Any = fitted.layer
        before[number] = chain.last
        given = _given(net, number, shape)
        shape = given.outputs
        if layer.kind in VANISHING:
            continue
        if net.network.carried[number]:
            chain.add(recurrent_step(source, given, carried))
            carried += layer.units * layer.states
        elif layer.kind == "global_pooling":
            chain.add(_pooling_step(source, given, carried))
            carried += 1 + given.size
        else:
            other = before[number - layer.span] if layer.kind == "residual" else None
            chain.add(EMITTERS[layer.kind](source, given), other)
    return carried


def _pooling_step(source: Source, given: Given, at: int) -> Step:
    """Return the mean, or the largest values, of all points up to here."""
    real, one, zero = source.real.name, source.real.literal(1.0), source.real.literal(0.0)
    if given.layer.method == "max":
        step = f"so_far[i] = count == {zero} || x[i] > so_far[i] ? x[i] : so_far[i];"
    else:
        step = f"so_far[i] += (x[i] - so_far[i]) / (count + {one});"
    lines = body(f"""
        {real} *so_far = states + {at + 1};
        const {real} count = states[{at}];
        int32_t i;
        for (i = 0; i < {given.size}; i++) {{
            {step}
            h[i] = so_far[i];
        }}
        states[{at}] = count + {one};
        """)
    function = source.function(
        given.label("step"), f"const {real} *x, {real} *h, {real} *states", lines,
        of=f"{given.layer.method} of the points of a stream",
    )  # fmt: skip
    return Step(function, given.size, states=True)
