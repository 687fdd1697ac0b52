"""Estimators of tables in C: columns of numbers made ready, networks, and their mean.

Rows and outputs are double, as in Python; the networks compute in float.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from nnjit.estimators._notations import PLAIN
from nnjit.estimators._table.columns import LeftOut
from nnjit.estimators._table.numbers import Number
from nnjit.estimators._table.scales import FAR, LIMIT
from nnjit.interop.c.chain import Chain
from nnjit.interop.c.decisions import decisions
from nnjit.interop.c.network import add_layers
from nnjit.interop.c.program import Program
from nnjit.interop.c.source import Source
from nnjit.interop.c.targets import Target, decision, ordered, outputs_of
from nnjit.interop.c.text import DOUBLE, SINGLE
from nnjit.interop.fitted import FittedNetwork, fitted_network

__all__ = ["table_program"]


def table_program(estimator: Any, fronts: Sequence[Any], name: str) -> Program:
    """Return the file of a TabularClassifier or TabularRegressor of numbers.

    Raises
    ------
    TypeError
        If something stands before it.
    ValueError
        If a column holds something else than numbers.
    """
    check_is_fitted(estimator)
    if fronts:
        raise TypeError(
            f"{type(fronts[0]).__name__} in front of {type(estimator).__name__} has no C: it scales"
            " columns itself."
        )
    source = Source(name, SINGLE)
    program = Program(source, type(estimator).__name__, DOUBLE)
    encoder, nets = estimator._encoder, [fitted_network(one) for one in estimator.members_]
    program.macro("N_FEATURES", len(encoder.columns), "columns of a row")
    encode, width = _encode(source, encoder), encoder.width
    target, finish = _target(source, estimator, nets[0])
    program.macro("N_OUTPUTS", target.n_outputs, "values that come out")
    mean, size = _mean(source, nets, width)
    lines = ["int32_t k;", f"{encode}(x, work);", *mean, *finish]
    says = "The values predicted for a row." if not target.decide else (
        "The probabilities of the classes of a row, as predict_proba has them."
    )  # fmt: skip
    program.workspace = size
    both = "const double *x, double *out"
    inside = f"{says} work, of {name.upper()}_WORKSPACE values, is yours."
    program.function(f"void {name}_predict_in({both}, float *work)", lines, inside)
    own = [f"float work[{size}];", f"{name}_predict_in(x, out, work);"]
    program.function(f"void {name}_predict({both})", own, says)
    if target.decide:
        decisions(program, target, 1, target.n_outputs)
    program.notes.append(
        "A row has the columns in the order of the fit; NaN is a missing value. Rows and outputs "
        "are double, the networks compute in float."
    )
    program.macro("WORKSPACE", size, "values of work space")
    return program


def _mean(source: Source, nets: Sequence[FittedNetwork], width: int) -> tuple[list[str], int]:
    """Return the lines that make the members' mean of an encoded row, and all work space."""
    members, raw = [_member(source, net) for net in nets], nets[0].n_outputs
    every, rest = f"for (k = 0; k < {raw}; k++)", f"work + {width}, work + {width + raw}"
    lines = [f"{every} out[k] = 0.0;"]
    for function, _ in members:
        lines.append(f"{function}(work, {rest});")
        lines.append(f"{every} out[k] += (double)work[{width} + k];")
    lines.append(f"{every} out[k] = out[k] / {len(nets)}.0;")
    return lines, width + raw + max(work for _, work in members)


def _member(source: Source, net: FittedNetwork) -> tuple[str, int]:
    """Return a function of an encoded row, outputs and work space, and how much of it."""
    chain = Chain(net.n_features_in)
    add_layers(chain, source, net)
    lines, size = chain.lines("x", "out", "work")
    finish = outputs_of(source, net)
    lines += [f"{finish}(out);"] if finish else []
    lines += [] if size else ["(void)work;"]
    parameters = "const float *x, float *out, float *work"
    return source.function("member", parameters, lines, of="outputs of a member"), size


def _target(source: Source, estimator: Any, net: FittedNetwork) -> tuple[Target, list[str]]:
    """Return what the mean of the members' outputs means, and the lines that make outputs of it."""
    if net.target == "values":
        return Target(net.n_outputs, None), _values(source, estimator, net)
    target = decision(source, net, None)
    if net.target == "binary" and net.n_outputs == 1:
        if len(net.classes[0]) == 1:
            return (Target(1, None, ("number = 0;", "(void)p;"), 1, net.classes), ["out[0] = 1.0;"])
        return target, ["out[1] = out[0];", "out[0] = 1.0 - out[0];"]
    if net.target == "multilabel":
        return target, []
    lines, start = ["{", "    double sum;"], 0
    for size in net.groups or (net.n_outputs,):
        every = f"for (k = {start}; k < {start + size}; k++)"
        lines += ["    sum = 0.0;", f"    {every} sum += out[k];",
                  f"    {every} out[k] = out[k] / sum;"]  # fmt: skip
        start += size
    return target, [*lines, "}"]


def _values(source: Source, estimator: Any, net: FittedNetwork) -> list[str]:
    """Return the lines that make values of standardized ones."""
    units = net.n_outputs

    def of(label: str, numbers: Any) -> str:
        return source.doubles(label, np.broadcast_to(np.asarray(numbers, float), (units,)))

    shift, scale = of("shift", estimator._shift), of("scale", estimator._scale)
    mean = of("mean", estimator._mean)
    every = f"for (k = 0; k < {units}; k++)"
    lines = [f"{every} out[k] = (out[k] + {shift}[k]) * {scale}[k] + {mean}[k];"]
    quantiles = estimator.__dict__.get("quantiles_", ())
    lines += [line.replace("h[", "out[") for line in ordered(source, quantiles, "double")]
    if estimator._clip:
        low, high = (of(label, one) for label, one in zip(("least", "most"), estimator._range))
        lines += [f"{every} out[k] = out[k] < {low}[k] ? {low}[k] : out[k];",
                  f"{every} out[k] = out[k] > {high}[k] ? {high}[k] : out[k];"]  # fmt: skip
    return lines


# Columns


def _encode(source: Source, encoder: Any) -> str:
    """Return a function that makes a row ready for the networks."""
    scaled, flags = _columns(encoder)
    clip = bool(encoder.clip)
    lines = ["int32_t i;", f"for (i = 0; i < {encoder.width}; i++) h[i] = 0.0f;"]
    if scaled:
        lines += _scaling(source, scaled, clip)
    if flags:
        of, to = _pairs(source, "missing", flags)
        lines += [
            f"for (i = 0; i < {len(flags)}; i++) h[{to}[i]] = isnan(x[{of}[i]]) ? 1.0f : 0.0f;"
        ]
    if not (scaled or flags):
        lines.append("(void)x;")
    return source.function("encode", "const double *x, float *h", lines, of="columns made ready")


def _columns(encoder: Any) -> tuple[list[tuple[int, int, Any]], list[tuple[int, int]]]:
    """Return (column, place, scales) of numbers, and (column, place) of what is missing.

    Raises
    ------
    ValueError
        That names a column of something else.
    """
    scaled, flags = [], []
    number, indicator = 0, encoder.n_numeric
    for place, (label, column) in enumerate(zip(encoder.labels, encoder.columns, strict=True)):
        if isinstance(column, LeftOut):
            continue
        plain = isinstance(column, Number) and column.kind == "number"
        if not plain or column.notation != PLAIN or column.n_codes:
            raise ValueError(
                f"Column {label!r} holds a {column.kind}: only tables of numbers have C."
            )
        if column.numeric:
            scaled.append((place, number, column.scales))
            number += 1
        if column.has_two:
            scaled.append((place, indicator, column.scales))
        if column.n_missing:
            flags.append((place, indicator + len(column.indicators) - 1))
        indicator += len(column.indicators)
    return scaled, flags


def _pairs(source: Source, label: str, places: Sequence[tuple[int, ...]]) -> tuple[str, str]:
    of = source.integers(f"{label}_columns", [one[0] for one in places])
    return of, source.integers(f"{label}_places", [one[1] for one in places])


def _scaling(source: Source, scaled: Sequence[tuple[int, int, Any]], clip: bool) -> list[str]:
    of, to = _pairs(source, "number", [one[:2] for one in scaled])

    def table(label: str) -> str:
        return source.doubles(label, [float(getattr(one[2], label)[0]) for one in scaled])

    center, factor = table("center"), table("factor")
    value = "x[j]"
    if not clip:
        low, high = table("low"), table("high")
        value = f"isinf(x[j]) ? (x[j] < 0.0 ? {low}[i] : {high}[i]) : x[j]"
    smooth = ["    {", f"        const float part = v * {SINGLE.literal(1 / LIMIT)};",
              "        v = v / sqrtf(part * part + 1.0f);", "    }"]  # fmt: skip
    return [
        f"for (i = 0; i < {len(scaled)}; i++) {{",
        f"    const int32_t j = {of}[i];",
        f"    double d = (({value}) - {center}[i]) * {factor}[i];",
        "    float v;",
        f"    d = d < {-FAR!r} ? {-FAR!r} : (d > {FAR!r} ? {FAR!r} : d);",
        "    v = isnan(d) ? 0.0f : (float)d;",
        *(smooth if clip else ()),
        f"    h[{to}[i]] = v;",
        "}",
    ]
