"""Recurrent layers: a cell goes from point to point of a series, and carries its state."""

from __future__ import annotations

from nnjit.interop.c.chain import Step
from nnjit.interop.c.layers.writing import Given, body
from nnjit.interop.c.source import Source

__all__ = ["recurrent", "recurrent_step"]

_REVERSE = "reverse_"  # what the names of the second direction's parameters begin with


def _work(given: Given) -> int:
    """Return the values of work space of a cell: those of all gates, and recurrent sums apart."""
    size: int = given.layer.units * (given.layer.gates + given.layer.recurrent_gates)
    return size


def _cell(source: Source, given: Given, prefix: str) -> str:
    """Return a function that takes a state on by a point, whose channels lie `apart`."""
    layer, units = given.layer, given.layer.units
    width, channels = units * layer.gates, given.inputs[0]  # type: ignore[index]
    array = {name: given.arrays[prefix + name] for name in ("weights", "recurrent_weights")}
    w = source.constant(given.label(f"{prefix}weights"), array["weights"])
    u = source.constant(given.label(f"{prefix}recurrent"), array["recurrent_weights"])
    b = source.constant(given.label(f"{prefix}biases"), given.arrays[f"{prefix}biases"])
    real = source.real.name
    # what of the recurrent product is added to the gates; the last ones of a GRU stand apart
    summed = width - units * layer.recurrent_gates
    lines = body(f"""
        int32_t i, k;
        for (i = 0; i < {width}; i++) z[i] = {b}[i];
        for (k = 0; k < {channels}; k++) {{
            const {real} a = x[k * apart];
            for (i = 0; i < {width}; i++) z[i] += a * {w}[k * {width} + i];
        }}
        """)
    if layer.recurrent_gates:
        c = given.arrays[f"{prefix}recurrent_biases"]
        own = source.constant(given.label(f"{prefix}recurrent_biases"), c)
        lines += [f"for (i = 0; i < {units}; i++) z[{width} + i] = {own}[i];"]
    lines += body(f"""
        for (k = 0; k < {units}; k++) {{
            const {real} a = s[k];
            for (i = 0; i < {summed}; i++) z[i] += a * {u}[k * {width} + i];
        """)
    if layer.recurrent_gates:
        to, at = f"z[{width} + i]", f"{u}[k * {width} + {summed} + i]"
        lines += [f"    for (i = 0; i < {units}; i++) {to} += a * {at};"]
    lines += ["}", f"for (i = 0; i < {units}; i++) {{", *_gates(source, given), "}"]
    parameters = f"const {real} *x, int32_t apart, {real} *s, {real} *z"
    what = f"{layer.kind}: {channels} channels, {units} units, one point"
    return source.function(given.label(f"{prefix}cell"), parameters, lines, of=what)


def _gates(source: Source, given: Given) -> list[str]:
    """Return what makes the new state of a unit i of the sums of its gates."""
    units, real, one = given.layer.units, source.real.name, source.real.literal(1.0)
    if given.layer.kind == "rnn":
        return [f"    s[i] = {source.activation(given.layer.activation)}(z[i]);"]
    sigmoid, tanh = source.activation("logistic"), source.activation("tanh")
    if given.layer.kind == "gru":
        return body(
            f"""
            #const {real} reset = {sigmoid}(z[i]), update = {sigmoid}(z[{units} + i]);
            #const {real} fresh = {tanh}(z[{2 * units} + i] + reset * z[{3 * units} + i]);
            #s[i] = ({one} - update) * fresh + update * s[i];
            """.replace("#", "    ")
        )
    return body(
        f"""
        #const {real} keep = {sigmoid}(z[{units} + i]) * s[{units} + i];
        #const {real} cell = keep + {sigmoid}(z[i]) * {tanh}(z[{2 * units} + i]);
        #s[{units} + i] = cell;
        #s[i] = {sigmoid}(z[{3 * units} + i]) * {tanh}(cell);
        """.replace("#", "    ")
    )


def recurrent(source: Source, given: Given) -> Step:
    """Goes over a series, in one direction or in both; a state is zeros in front of it."""
    layer, units, real = given.layer, given.layer.units, source.real.name
    points = given.inputs[1]  # type: ignore[index]
    states, end = layer.states * units, "n" if given.counts else str(points)
    zero, lines = source.real.literal(0.0), ["int32_t i, t;"]
    for number, prefix in enumerate(("", _REVERSE)[: layer.directions]):
        cell, first = _cell(source, given, prefix), number * units
        way = f"t = {end} - 1; t >= 0; t--" if number else f"t = 0; t < {end}; t++"
        copied = f"h[{first} + i] = work[i];"
        if layer.return_sequences:
            copied = f"h[({first} + i) * {points} + t] = work[i];"
        copy = f"for (i = 0; i < {units}; i++) {copied}"
        lines += body(f"""
            for (i = 0; i < {states}; i++) work[i] = {zero};
            for ({way}) {{
                {cell}(x + t, {points}, work, work + {states});
                {copy if layer.return_sequences else ""}
            }}
            {"" if layer.return_sequences else copy}
            """)
    lines = [line for line in lines if line.strip()]
    if layer.return_sequences and given.counts:
        at = f"h[i * {points} + t]"
        behind = f"for (t = n; t < {points}; t++) {at} = {zero};"
        lines += [f"for (i = 0; i < {units * layer.directions}; i++) {behind}"]
    parameters = f"const {real} *x, {real} *h, {real} *work" + ", int32_t n" * given.counts
    what = f"{layer.kind} over a series of {points} points"
    name = source.function(given.label(layer.kind), parameters, lines, of=what)
    scratch = states + _work(given)
    return Step(name, given.size, scratch=scratch, counts=given.counts, needs_zeros=False)


def recurrent_step(source: Source, given: Given, at: int) -> Step:
    """Goes on by one point from the state that lies so far into all states."""
    units, real = given.layer.units, source.real.name
    cell = _cell(source, given, "")
    lines = body(f"""
        int32_t i;
        {cell}(x, 1, states + {at}, work);
        for (i = 0; i < {units}; i++) h[i] = states[{at} + i];
        """)
    parameters = f"const {real} *x, {real} *h, {real} *work, {real} *states"
    what = f"{given.layer.kind}: one point of a stream"
    name = source.function(given.label("step"), parameters, lines, of=what)
    return Step(name, given.size, scratch=_work(given), states=True)
