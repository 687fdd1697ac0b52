"""Layers that change values one by one, and what makes several of one number."""

from __future__ import annotations

import math

import numpy as np

from nnjit._types import Array
from nnjit.interop.c.chain import Step
from nnjit.interop.c.layers.writing import Given, activate, body, elementwise
from nnjit.interop.c.source import Source
from nnjit.layers.layer import size_of

__all__ = [
    "embedding", "normalization", "parametric", "periodic", "piecewise", "residual", "scaling",
]  # fmt: skip


def _step(given: Given, function: str) -> Step:
    counts = given.counts and isinstance(given.inputs, tuple)
    return Step(function, given.size, in_place=True, counts=counts, needs_zeros=False)


def scaling(source: Source, given: Given) -> Step:
    """s x"""
    s = source.constant(given.label("factors"), given.arrays["factors"])
    return _step(given, elementwise(source, given, "scaling", f"{s}[c] * {{x}}", "scaling"))


def parametric(source: Source, given: Given) -> Step:
    """(1 - a) x + a phi(x)"""
    a, name = source.constant(given.label("shares"), given.arrays["shares"]), given.layer.activation
    phi = source.activation(name) or ""
    value = f"({source.real.literal(1.0)} - {a}[c]) * {{x}} + {a}[c] * {phi}({{x}})"
    return _step(given, elementwise(source, given, "parametric", value, f"parametric {name}"))


def normalization(source: Source, given: Given) -> Step:
    """(x - m) / d s + t, by the running statistics or those of the row."""
    if not given.layer.joins_rows:
        return _of_row(source, given)
    arrays = {name: one.astype(np.float64) for name, one in given.arrays.items()}
    factors = arrays["scale"] / np.sqrt(arrays["variance"] + given.layer.epsilon)
    m = source.constant(given.label("means"), arrays["mean"])
    s = source.constant(given.label("scales"), factors)
    t = source.constant(given.label("shifts"), arrays["shift"])
    phi = source.activation(given.layer.activation)
    value = f"({{x}} - {m}[c]) * {s}[c] + {t}[c]"
    value = value if phi is None else f"{phi}({value})"
    what = f"batch normalization, {given.layer.activation}"
    return _step(given, elementwise(source, given, "normalization", value, what))


def _of_row(source: Source, given: Given) -> Step:
    real, n = source.real, size_of(given.inputs)
    s = source.constant(given.label("scales"), given.arrays["scale"])
    t = source.constant(given.label("shifts"), given.arrays["shift"])
    root = source.call("sqrt", f"square / {real.literal(n)} + {real.literal(given.layer.epsilon)}")
    lines = body(f"""
        {real.name} mean = {real.literal(0.0)}, square = {real.literal(0.0)}, d;
        int32_t i;
        for (i = 0; i < {n}; i++) mean += x[i];
        mean /= {real.literal(n)};
        for (i = 0; i < {n}; i++) square += (x[i] - mean) * (x[i] - mean);
        d = {real.literal(1.0)} / {root};
        for (i = 0; i < {n}; i++) h[i] = (x[i] - mean) * d * {s}[i] + {t}[i];
        """) + activate(source, given.layer.activation, str(n))
    parameters = f"const {real.name} *x, {real.name} *h"
    what = f"layer normalization, {given.layer.activation}"
    return _step(given, source.function(given.label("normalization"), parameters, lines, of=what))


def residual(source: Source, given: Given) -> Step:
    """Adds what came into a layer below; behind an end both are 0."""
    real, size = source.real.name, given.size
    lines = body(f"""
        int32_t i;
        for (i = 0; i < {size}; i++) h[i] = x[i] + other[i];
        """)
    parameters = f"const {real} *x, const {real} *other, {real} *h"
    function = source.function(given.label("residual"), parameters, lines, of="residual")
    return Step(function, size, in_place=True)


def embedding(source: Source, given: Given) -> Step:
    """The values that are no codes, and behind them the vector of each code."""
    levels, size = given.layer.levels, given.layer.dimension
    real, plain = source.real, size_of(given.inputs) - len(levels)
    vectors = source.constant(given.label("vectors"), given.arrays["vectors"])
    counts = source.integers(given.label("levels"), levels)
    first = f"for (i = 0; i < {plain}; i++) h[i] = x[i];" if plain else ""
    lines = body(f"""
        int32_t i, k, start = 0;
        {first}
        for (i = 0; i < {len(levels)}; i++) {{
            const {real.name} code = x[{plain} + i];
            const int known = code >= {real.literal(0.0)} && code < ({real.name}){counts}[i];
            const int32_t at = start + (known ? (int32_t)code : 0);
            for (k = 0; k < {size}; k++) {{
                h[{plain} + i * {size} + k] = {vectors}[at * {size} + k];
            }}
            start += {counts}[i];
        }}
        """)
    lines = [line for line in lines if line.strip()]
    what = f"embedding: vectors of {size} values for {len(levels)} codes"
    parameters = f"const {real.name} *x, {real.name} *h"
    return Step(source.function(given.label("embedding"), parameters, lines, of=what), given.size)


def _others(given: Given, behind: int) -> str:
    """Return the line that hands on the values that are not changed."""
    rest = size_of(given.inputs) - given.layer.features
    if not rest:
        return ""
    return f"for (i = 0; i < {rest}; i++) h[{behind} + i] = x[{given.layer.features} + i];"


def periodic(source: Source, given: Given) -> Step:
    """Cosines of whole turns are taken off before the cosine, as they are in training."""
    real, layer = source.real, given.layer
    arrays = {name: one.astype(np.float64) for name, one in given.arrays.items()}
    w = source.constant(given.label("frequencies"), arrays["frequencies"])
    b = source.constant(given.label("turns"), arrays["phases"] / (2 * math.pi))
    a = source.constant(given.label("amplitudes"), arrays["amplitudes"])
    c = source.constant(given.label("offsets"), arrays["offsets"])
    cosines, units, features = layer.frequencies, layer.units, layer.features
    wave = source.call("cos", f"{real.literal(2 * math.pi)} * (t - {source.call('rint', 't')})")
    lines = body(f"""
        int32_t i, k, o;
        for (i = 0; i < {features}; i++) {{
            {real.name} *made = h + i * {1 + units} + 1;
            made[-1] = x[i];
            for (o = 0; o < {units}; o++) made[o] = {c}[i * {units} + o];
            for (k = 0; k < {cosines}; k++) {{
                const {real.name} t = {w}[i * {cosines} + k] * x[i] + {b}[i * {cosines} + k];
                const {real.name} wave = {wave};
                for (o = 0; o < {units}; o++) {{
                    made[o] += {a}[(i * {cosines} + k) * {units} + o] * wave;
                }}
            }}
        }}
        {_others(given, features * (1 + units))}
        """)
    lines = [line for line in lines if line.strip()]
    parameters = f"const {real.name} *x, {real.name} *h"
    what = f"periodic embedding of {features} numbers"
    return Step(source.function(given.label("periodic"), parameters, lines, of=what), given.size)


def piecewise(source: Source, given: Given) -> Step:
    """How far a number has come through each bin; the first and the last one are open."""
    real, layer = source.real, given.layer
    edges, bins = given.arrays["edges"], layer.bins
    e = source.constant(given.label("edges"), edges)
    ends = source.integers(given.label("ends"), _open_ends(edges))
    zero, one, least = (real.literal(number) for number in (0.0, 1.0, _least_width(edges)))
    lines = body(f"""
        int32_t i, k;
        for (i = 0; i < {layer.features}; i++) {{
            const {real.name} *e = {e} + i * {bins + 1};
            for (k = 0; k < {bins}; k++) {{
                {real.name} part = {zero};
                if (e[k + 1] - e[k] >= {least}) {{
                    part = (x[i] - e[k]) / (e[k + 1] - e[k]);
                    if (part < {zero} && k != {ends}[2 * i]) part = {zero};
                    if (part > {one} && k != {ends}[2 * i + 1]) part = {one};
                }}
                h[i * {bins} + k] = part;
            }}
        }}
        {_others(given, layer.features * bins)}
        """)
    lines = [line for line in lines if line.strip()]
    parameters = f"const {real.name} *x, {real.name} *h"
    what = f"piecewise-linear encoding of {layer.features} numbers"
    return Step(source.function(given.label("piecewise"), parameters, lines, of=what), given.size)


def _least_width(edges: Array) -> float:
    """Return what a bin's width is at least: else it has no finite inverse, and counts as none."""
    return float(2 * np.finfo(edges.dtype).smallest_normal)


def _open_ends(edges: Array) -> list[tuple[int, int]]:
    """Return the first and the last bin with a width of each number; -1 where none has any."""
    found = [np.flatnonzero(np.diff(row) >= _least_width(edges)) for row in edges]
    return [(int(bins[0]), int(bins[-1])) if len(bins) else (-1, -1) for bins in found]
