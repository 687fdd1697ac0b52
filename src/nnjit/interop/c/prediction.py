"""The file of a network: its prediction, classes, and where it can, a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnjit.interop.c.autoencoder import add_autoencoder
from nnjit.interop.c.chain import Chain
from nnjit.interop.c.decisions import decisions
from nnjit.interop.c.fronts import point_step
from nnjit.interop.c.network import add_layers, add_stream, can_stream
from nnjit.interop.c.program import Program
from nnjit.interop.c.rows import Rows, add_rows, read_network
from nnjit.interop.c.source import Source
from nnjit.interop.c.targets import Target, action_step, at_points, target_of
from nnjit.interop.c.text import real_of
from nnjit.interop.fitted import FittedNetwork
from nnjit.layers.layer import size_of

__all__ = ["network_program"]


def network_program(last: Any, fronts: Sequence[Any], name: str) -> Program:
    net, end = read_network(last)
    source = Source(name, real_of(net.dtype))
    rows = Rows(source, fronts)
    chain = rows.begin(net.n_features_in)
    of = " -> ".join([*(type(one).__name__ for one in fronts), net.estimator])
    program = Program(source, of, source.real)
    program.macro("N_FEATURES", chain.width, "values of a row")
    if net.input_shape:
        shape = " x ".join(map(str, net.input_shape))
        program.notes.append(_about_rows(net, shape))
    add_rows(chain, source, net)
    add_layers(chain, source, net, 0, end)
    if end is not None:
        _features(program, net, chain, end)
    elif net.code_layer is not None:
        add_autoencoder(program, net, rows, chain)
    else:
        _prediction(program, net, chain)
        if can_stream(net):
            _stream(program, net, fronts)
    program.macro("WORKSPACE", max(1, program.workspace), "values of work space")
    return program


def _about_rows(net: FittedNetwork, shape: str) -> str:
    order = "the channels last" if net.channels_last else "channel by channel"
    what = "channels x points" if len(net.input_shape) == 2 else "channels x height x width"
    text = f"A row is {what} = {shape}, {order}."
    return text + " Behind the end of a shorter series all channels are NaN." * net.has_lengths


def _features(program: Program, net: FittedNetwork, chain: Chain, end: int) -> None:
    size = size_of(net.network.shapes[end])
    program.macro("N_OUTPUTS", size, "values that come out")
    program.chain("predict", chain, more=(), x="x", says="The outputs of a hidden layer for a row.")


def _prediction(program: Program, net: FittedNetwork, chain: Chain) -> None:
    source = program.source
    target, more = target_of(source, net), []
    size = target.n_outputs
    if net.by_points:
        if not chain.count:  # series have no length of their own
            raise ValueError("A target at every point needs series.")
        chain.add(at_points(source, net, target))
        program.macro("N_POINTS", net.network.steps, "points of a series")
        size *= net.network.steps
    elif net.target == "means":
        chain.add(action_step(source, net))
    elif target.finish:
        more = [f"{target.finish}(out);"]
    program.macro("N_OUTPUTS", size, "values that come out" + " (points x outputs)" * net.by_points)
    program.chain("predict", chain, more=more, x="x", says=_what_comes_out(net, target))
    if target.decide:
        decisions(program, target, net.network.steps if net.by_points else 1, size)


def _what_comes_out(net: FittedNetwork, target: Target) -> str:
    if not target.decide:
        text = "The values predicted for a row."
    elif net.target == "best":
        text = "What the network says of each action."
    else:
        text = "The probabilities of the classes of a row, as predict_proba has them."
    if net.by_points:
        text += " Those of each point, one point after the other; NaN behind the end of a series."
    return text


def _stream(program: Program, net: FittedNetwork, fronts: Sequence[Any]) -> None:
    """Define the functions of a stream, if all that stands before the network goes with one."""
    source, channels = program.source, net.input_shape[0]
    steps = [point_step(source, one, channels) for one in fronts]
    if any(one is None for one in steps):
        return
    chain = Chain(channels)
    for step in steps:
        if step is not None:
            chain.add(step)
    carried = add_stream(chain, source, net)
    target = target_of(source, net)
    name, real, upper = program.name, program.real.name, program.name.upper()
    program.macro("N_CHANNELS", channels, "values of a point of a series")
    lines, size = chain.lines("x", "out", "work")
    program.workspace = max(program.workspace, size)
    own = [f"{real} *states = state->values;"]
    own += [f"{real} work[{size}];"] if size else []
    finish = [f"{target.finish}(out);"] if target.finish else []
    program.type(
        f"/* What a stream carries from one point to the next. */\n"
        f"typedef struct {{ {real} values[{carried}]; }} {name}_state;"
    )
    program.function(
        f"void {name}_reset({name}_state *state)", ["memset(state, 0, sizeof *state);"],
        "Begins a series.",
    )  # fmt: skip
    what = "point" if net.by_points else "series up to here"
    program.function(
        f"void {name}_step({name}_state *state, const {real} *x, {real} *out)",
        [*own, *lines, *finish],
        f"Takes the next point of a series, of {upper}_N_CHANNELS values, and says of the {what} "
        f"what {name}_predict does: {target.n_outputs} values.",
    )
