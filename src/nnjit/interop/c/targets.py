"""What is made of a network's logits: outputs of a sample, and the classes that they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.interop.c.chain import Step
from nnjit.interop.c.layers.dense import softmax
from nnjit.interop.c.layers.writing import activate, body
from nnjit.interop.c.source import Source
from nnjit.interop.c.text import DOUBLE, Real, lines_of, string_literal
from nnjit.interop.fitted import FittedNetwork

__all__ = [
    "Labels", "Target", "action_step", "at_points", "decision", "label_table", "ordered",
    "outputs_of", "target_of",
]  # fmt: skip

_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Target:
    """What a sample's outputs are.

    Attributes
    ----------
    n_outputs : int
        Of a sample, as they are returned.
    finish : str or None
        A C function that makes them of logits, where these are; None where there is nothing to do.
    decide : tuple of str
        Lines of C that make class numbers, `number` or ``numbers[k]``, of outputs `p`; none for
        values.
    n_decisions : int
        How many numbers they make; 0 for values.
    labels : tuple of ndarray
        What the numbers of each decision stand for; of a multilabel target the names of outputs.
    flags : bool
        Whether the numbers are 0 or 1 for each label.
    """

    n_outputs: int
    finish: str | None
    decide: tuple[str, ...] = ()
    n_decisions: int = 0
    labels: tuple[Array, ...] = ()
    flags: bool = False


def target_of(source: Source, net: FittedNetwork) -> Target:
    """Return what is made of the logits of a fitted network."""
    units = net.n_outputs
    if net.target in ("values", "reconstruction"):
        return Target(units, outputs_of(source, net, ordered(source, net.quantiles)))
    if net.target == "means":
        return Target(net.n_outputs // 2, None)
    if net.target == "best":
        labels = np.arange(units) + int(net.action_space.start)
        finish = outputs_of(source, net)
        return Target(units, finish, _largest(0, units, "number"), 1, (labels,))
    if net.target == "binary" and units == 1:
        return decision(source, net, _both_probabilities(source, net))
    return decision(source, net, outputs_of(source, net))


def decision(source: Source, net: FittedNetwork, finish: str | None) -> Target:
    """Return the target of a classifier, whose outputs a function makes."""
    decide: tuple[str, ...]
    units, level = net.n_outputs, source.real.literal(net.threshold)
    if net.target == "binary" and units == 1:
        decide = (f"number = p[1] > {level};",)
        if len(net.classes[0]) == 1:
            decide = ("number = 0;", "(void)p;")
        return Target(2, finish, decide, 1, net.classes)
    if net.target == "multilabel":
        decide = ("int32_t i;", f"for (i = 0; i < {units}; i++) numbers[i] = p[i] > {level};")
        return Target(units, finish, decide, units, net.classes, flags=True)
    if net.target == "columns":
        chosen: list[str] = []
        start = 0
        for number, size in enumerate(net.groups):
            chosen += _largest(start, size, f"numbers[{number}]")
            start += size
        return Target(units, finish, tuple(chosen), len(net.groups), net.classes)
    return Target(units, finish, _largest(0, units, "number"), 1, net.classes)


def _largest(start: int, size: int, number: str) -> tuple[str, ...]:
    """Return the lines that find the first of the largest outputs."""
    at = f"p[{start} + i] > p[{start} + {number}]" if start else f"p[i] > p[{number}]"
    return ("{", "    int32_t i;", f"    {number} = 0;",
            f"    for (i = 1; i < {size}; i++) if ({at}) {number} = (int)i;", "}")  # fmt: skip


def _both_probabilities(source: Source, net: FittedNetwork) -> str:
    """Return a function that makes both probabilities of one logit; 1 - p loses no digit."""
    one, phi = source.real.literal(1.0), source.activation(net.output)
    if net.output == "logistic":
        lines = [f"h[1] = {phi}(h[0]);", f"h[0] = {phi}(-h[0]);"]
    else:
        lines = [f"h[1] = {phi}(h[0]);" if phi else "h[1] = h[0];", f"h[0] = {one} - h[1];"]
    return source.function(
        "probabilities", f"{source.real.name} *h", lines, of="both probabilities of a logit"
    )


def outputs_of(source: Source, net: FittedNetwork, more: Sequence[str] = ()) -> str | None:
    """Return a function that applies the output activation, and then does more."""
    units, lines = net.n_outputs, [*more]
    if net.output == "softmax":
        sizes, start = net.groups or (units,), 0
        calls = []
        for size in sizes:
            calls.append(f"{softmax(source)}({f'h + {start}' if start else 'h'}, {size});")
            start += size
        lines = [*calls, *more]
    elif net.output != "identity":
        lines = ["int32_t i;", *activate(source, net.output, str(units)), *more]
    if not lines:
        return None
    what = f"outputs of {units} logits: {net.output}"
    return source.function("outputs", f"{source.real.name} *h", lines, of=what)


def ordered(source: Source, quantiles: Sequence[float], real: str | None = None) -> list[str]:
    """Return the lines that sort outputs so that they ascend with the quantiles."""
    if len(quantiles) < 2:
        return []
    real, count = real or source.real.name, len(quantiles)
    places = source.integers("order", np.argsort(quantiles))
    return body(f"""
        {{
            int32_t j, k;
            for (k = 1; k < {count}; k++) {{
                const {real} v = h[{places}[k]];
                for (j = k; j > 0 && h[{places}[j - 1]] > v; j--) {{
                    h[{places}[j]] = h[{places}[j - 1]];
                }}
                h[{places}[j]] = v;
            }}
        }}
        """)


def action_step(source: Source, net: FittedNetwork) -> Step:
    """Return the step that makes an agent's action of means, in the space's units and bounds."""
    space, real = net.action_space, source.real
    units, size = net.n_outputs // 2, real.name
    low, high = np.asarray(space.low, np.float64), np.asarray(space.high, np.float64)
    bounded = np.isfinite(low) & np.isfinite(high)
    widths = np.where(bounded, (high - low) / 2, 1.0)
    middles = np.where(bounded, low + widths, 0.0)
    w, m = source.constant("units", widths), source.constant("middles", middles)
    largest = np.finfo(real.dtype).max
    below = source.constant("lowest", np.clip(low, -largest, largest))
    above = source.constant("highest", np.clip(high, -largest, largest))
    lines = body(f"""
        int32_t i;
        for (i = 0; i < {units}; i++) {{
            const {size} v = x[i] * {w}[i] + {m}[i];
            h[i] = v < {below}[i] ? {below}[i] : (v > {above}[i] ? {above}[i] : v);
        }}
        """)
    parameters = f"const {size} *x, {size} *h"
    return Step(source.function("action", parameters, lines, of="action of means"), units)


def at_points(source: Source, net: FittedNetwork, target: Target) -> Step:
    """Return the step that makes outputs (time, n_outputs) of logits (n_logits, time)."""
    real, units, made = source.real.name, net.n_outputs, target.n_outputs
    steps = net.network.steps
    finish = f"{target.finish}(out);" if target.finish else ""
    lines = body(f"""
        int32_t t, k;
        for (t = 0; t < {steps}; t++) {{
            {real} *out = h + t * {made};
            if (t < n) {{
                for (k = 0; k < {units}; k++) out[k] = x[k * {steps} + t];
                {finish}
            }} else {{
                for (k = 0; k < {made}; k++) out[k] = ({real})NAN;
            }}
        }}
        """)
    lines = [line for line in lines if line.strip()]
    function = source.function(
        "points", f"const {real} *x, {real} *h, int32_t n", lines,
        of="outputs of each point, NaN behind the end of a series",
    )  # fmt: skip
    return Step(function, steps * made, counts=True, needs_zeros=False)


# Labels


@dataclass(frozen=True)
class Labels:
    """A table of labels.

    Attributes
    ----------
    kind : str
        The C type of a label.
    name : str
    items : list of str
        The labels in C.
    """

    kind: str
    name: str
    items: list[str] = field(repr=False)

    @property
    def declaration(self) -> str:
        """What a file that uses it has to know."""
        return f"extern {self.kind} {self.name}[{len(self.items)}];"

    @property
    def definition(self) -> str:
        """The table."""
        head = f"{self.kind} {self.name}[{len(self.items)}] = {{"
        return "\n".join([head, *lines_of(self.items), "};"])


def label_table(name: str, labels: Array) -> Labels:
    """Return labels as a table in C: whole numbers, numbers, or strings.

    Raises
    ------
    TypeError
        If they are something else.
    ValueError
        If one is a string that C does not have.
    """
    values = np.asarray(labels)
    if values.dtype.kind == "O":
        values = _plain(values)
    if values.dtype.kind in "biu":
        numbers = [*map(int, values.tolist())]
        return Labels(*_whole(name, numbers))
    if values.dtype.kind == "f":
        real = Real("const double", "", DOUBLE.dtype)
        return Labels(real.name, name, [repr(float(one)) for one in values.tolist()])
    if values.dtype.kind in "USOM":
        given = values.astype(str) if values.dtype.kind == "M" else values
        return Labels("const char *const", name, [*map(string_literal, given.tolist())])
    raise TypeError(f"Labels of type {values.dtype} have no C.")


def _plain(values: Array) -> Array:
    """Return labels that are objects as text or numbers."""
    found: list[Any] = values.tolist()
    if all(isinstance(one, str) for one in found):
        return values
    plain = np.array(found)
    if plain.dtype.kind not in "biufM" or plain.ndim != 1:
        kinds = ", ".join(sorted({type(one).__name__ for one in found}))
        raise TypeError(f"Labels that are objects ({kinds}) have no C.")
    return plain


def _whole(name: str, numbers: list[int]) -> tuple[str, str, list[str]]:
    low, high = min(numbers, default=0), max(numbers, default=0)
    if _INT32.min < low and high <= _INT32.max:
        return "const int32_t", name, [*map(str, numbers)]
    if high > np.iinfo(np.int64).max:
        return "const uint64_t", name, [f"UINT64_C({one})" for one in numbers]
    least = np.iinfo(np.int64).min
    texts = [f"INT64_C({one})" if one > least else "INT64_MIN" for one in numbers]
    return "const int64_t", name, texts
