"""Dense layers, also with another one's weights, and radial ones."""

from __future__ import annotations

import numpy as np

from nnjit.interop.c.chain import Step
from nnjit.interop.c.layers.writing import Given, activate, body
from nnjit.interop.c.source import Source

__all__ = ["dense", "radial", "tied"]


def dense(source: Source, given: Given) -> Step:
    """Rows of the weights times values of x, so that the inner loop runs along h."""
    real, n, units = source.real.name, given.inputs, given.outputs
    w = source.constant(given.label("weights"), given.arrays["weights"])
    b = source.constant(given.label("biases"), given.arrays["biases"])
    lines = body(f"""
        int32_t i, k;
        for (i = 0; i < {units}; i++) h[i] = {b}[i];
        for (k = 0; k < {n}; k++) {{
            const {real} a = x[k];
            for (i = 0; i < {units}; i++) h[i] += a * {w}[k * {units} + i];
        }}
        """) + activate(source, given.layer.activation, str(units))
    what = f"dense: {n} values, {units} units, {given.layer.activation}"
    parameters = f"const {real} *x, {real} *h"
    return Step(source.function(given.label("dense"), parameters, lines, of=what), given.size)


def tied(source: Source, given: Given) -> Step:
    """The weights (units, n) are those of another layer, each row of them one of the units."""
    real, n, units = source.real.name, given.inputs, given.outputs
    w = source.constant(given.label("weights"), given.arrays["weights"])
    b = source.constant(given.label("biases"), given.arrays["biases"])
    lines = body(f"""
        int32_t i, k;
        for (i = 0; i < {units}; i++) {{
            {real} z = {b}[i];
            for (k = 0; k < {n}; k++) z += x[k] * {w}[i * {n} + k];
            h[i] = z;
        }}
        """) + activate(source, given.layer.activation, str(units))
    what = f"tied: {n} values, {units} units, {given.layer.activation}"
    parameters = f"const {real} *x, {real} *h"
    return Step(source.function(given.label("tied"), parameters, lines, of=what), given.size)


def radial(source: Source, given: Given) -> Step:
    """exp(-|x - c|^2 / (2 s^2)), or the softmax of what the exponential is taken of."""
    real, n, units = source.real.name, given.inputs, given.outputs
    widths = np.exp(given.arrays["log_widths"].astype(np.float64))
    c = source.constant(given.label("centers"), given.arrays["centers"])
    g = source.constant(given.label("factors"), -0.5 / np.square(widths))
    zero = source.real.literal(0.0)
    lines = body(f"""
        int32_t i, k;
        for (i = 0; i < {units}; i++) {{
            {real} sum = {zero};
            for (k = 0; k < {n}; k++) {{
                const {real} d = x[k] - {c}[i * {n} + k];
                sum += d * d;
            }}
            h[i] = sum * {g}[i];
        }}
        """)
    parameters, kind = f"const {real} *x, {real} *h", "radial"
    if given.layer.normalized:
        kind = "normalized radial"
        lines += [f"{softmax(source)}(h, {units});"]
    else:
        lines += [f"for (i = 0; i < {units}; i++) h[i] = {source.call('exp', 'h[i]')};"]
    what = f"{kind}: {n} values, {units} centres"
    return Step(source.function(given.label("radial"), parameters, lines, of=what), given.size)


def softmax(source: Source) -> str:
    """Return the name of a function that makes of logits their softmax, where they are."""
    real = source.real.name
    lines = body(f"""
        {real} top = h[0], sum = {source.real.literal(0.0)};
        int32_t i;
        for (i = 1; i < n; i++) top = h[i] > top ? h[i] : top;
        for (i = 0; i < n; i++) {{
            h[i] = {source.call("exp", "h[i] - top")};
            sum += h[i];
        }}
        for (i = 0; i < n; i++) h[i] = h[i] / sum;
        """)
    return source.function("softmax", f"{real} *h, int32_t n", lines, of="softmax of n logits")
