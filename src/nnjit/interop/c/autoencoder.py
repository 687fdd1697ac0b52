"""Autoencoders in C: rows given back, codes, and outliers."""

from __future__ import annotations

import numpy as np

from nnjit.interop.c.chain import Chain, Step
from nnjit.interop.c.layers.writing import body
from nnjit.interop.c.network import add_layers
from nnjit.interop.c.program import Program
from nnjit.interop.c.rows import Rows, add_rows
from nnjit.interop.c.source import Source
from nnjit.interop.c.targets import target_of
from nnjit.interop.fitted import FittedNetwork
from nnjit.layers.layer import size_of

__all__ = ["add_autoencoder"]


def add_autoencoder(program: Program, net: FittedNetwork, rows: Rows, chain: Chain) -> None:
    """Define the functions of an autoencoder; the chain ends in the logits of a row."""
    source, size = program.source, net.n_features_in
    assert net.code_layer is not None
    code = net.code_layer + 1
    program.macro("N_OUTPUTS", size, "values of a row given back")
    program.macro("N_CODES", size_of(net.network.shapes[code]), "values of a code")
    _back(program, "predict", net, chain, "x", "The row as the network gives it back.")
    chain = rows.begin(size)
    add_rows(chain, source, net)
    add_layers(chain, source, net, 0, code)
    program.chain("encode", chain, more=(), x="x", says="The code of a row.")
    chain = Chain(size_of(net.network.shapes[code]))
    add_layers(chain, source, net, code)
    _back(program, "decode", net, chain, "code", "The row that a code stands for.")
    if rows.fronts:
        program.notes.append("What is given back are rows as the scaler leaves them.")
    _scores(program, net, rows)


def _back(
    program: Program, label: str, net: FittedNetwork, chain: Chain, x: str, says: str
) -> None:
    """Define a function that ends in a row: its values lie as in a row that comes in."""
    target, more = target_of(program.source, net), []
    if target.finish:
        more = [f"{target.finish}(out);"]
    if net.channels_last or (chain.count and net.has_lengths):
        chain.add(_given_back(program.source, net, bool(chain.count)))
        more = []
    program.chain(label, chain, more=more, x=x, says=says)


def _given_back(source: Source, net: FittedNetwork, counts: bool) -> Step:
    """Return the step that makes rows of logits; behind the end of a series it writes NaN."""
    real, channels = source.real.name, net.input_shape[0]
    points = net.n_features_in // channels
    to = f"h[p * {channels} + c]" if net.channels_last else f"h[c * {points} + p]"
    phi = source.activation(net.output) or ""
    value = f"{phi}(x[c * {points} + p])"
    value = f"p < n ? {value} : ({real})NAN" if counts else value
    lines = body(f"""
        int32_t c, p;
        for (c = 0; c < {channels}; c++) for (p = 0; p < {points}; p++) {to} = {value};
        """)
    parameters = f"const {real} *x, {real} *h" + ", int32_t n" * counts
    function = source.function("given_back", parameters, lines, of="rows of logits")
    return Step(function, net.n_features_in, counts=counts, needs_zeros=False)


def _scores(program: Program, net: FittedNetwork, rows: Rows) -> None:
    """Define what tells outliers, by the errors of all members."""
    if net.error_scale is None or net.offset is None:
        return
    source, size = program.source, net.n_features_in
    real, name = source.real.name, program.name
    members = (net, *net.members)
    if rows.fronts or any(one.dtype != net.dtype for one in members):
        return  # errors are those of rows behind the scaler, which nobody has here
    for number, member in enumerate(net.members):
        chain = rows.begin(size)
        add_rows(chain, source, member)
        add_layers(chain, source, member)
        label = f"member_{number + 1}"
        _back(program, label, member, chain, "x", f"The row as member {number + 1} gives it back.")
    scale = np.asarray(net.error_scale)
    if net.channels_last:  # as the values of a row lie
        scale = scale.reshape(net.input_shape[0], -1).T
    squares = source.doubles("squared_scale", np.square(scale))
    calls = [f"{name}_{label}" for label in ("predict", *_labels_of(net))]
    lines = [f"{real} out[{size}];", "double total = 0.0;"]
    for call in calls:
        lines += [f"{call}(x, out);", f"total += {_error(source, size, squares)}(x, out);"]
    lines.append(f"return -total / {len(members)}.0;")
    program.function(
        f"double {name}_score(const {real} *x)", lines,
        "The score of a row: the lower, the more of an outlier, as score_samples has it.",
    )  # fmt: skip
    program.macro("OFFSET", repr(float(net.offset)), "score below which a row is an outlier")
    lines = [f"return {name}_score(x) - {program.name.upper()}_OFFSET < 0.0 ? -1 : 1;"]
    program.function(
        f"int {name}_classify(const {real} *x)", lines, "-1 for an outlier, 1 for others."
    )


def _labels_of(net: FittedNetwork) -> list[str]:
    return [f"member_{number + 1}" for number in range(len(net.members))]


def _error(source: Source, size: int, squares: str) -> str:
    """Return a function of a row and of what a network gives back: the mean scaled error."""
    real = source.real.name
    lines = body(f"""
        double sum = 0.0, count = 0.0;
        int32_t i;
        for (i = 0; i < {size}; i++) if (!isnan(x[i])) {{
            const double d = (double)out[i] - (double)x[i];
            sum += d * d / {squares}[i];
            count += 1.0;
        }}
        return sum / (count > 1.0 ? count : 1.0);
        """)
    both = f"const {real} *x, const {real} *out"
    return source.function("error", both, lines, result="double", of="error of a row given back")
