"""Self-organizing maps in C: the unit that is nearest to a row, and the distances to all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from nnjit.interop.c.chain import Chain
from nnjit.interop.c.fronts import front_step, is_front
from nnjit.interop.c.layers.writing import body
from nnjit.interop.c.program import Program
from nnjit.interop.c.source import Source
from nnjit.interop.c.text import real_of

__all__ = ["map_program"]


def map_program(som: Any, fronts: Sequence[Any], name: str) -> Program:
    """Return the file of a map.

    Raises
    ------
    TypeError
        If something stands before it that has no C.
    """
    check_is_fitted(som, "weights_")
    source = Source(name, real_of(som.weights_.dtype))
    units, size = int(np.prod(som.weights_.shape[:2])), som.weights_.shape[2]
    of = " -> ".join(type(one).__name__ for one in (*fronts, som))
    program, real = Program(source, of, source.real), source.real.name
    rows, columns = som.weights_.shape[:2]
    program.notes.append(
        f"Units are numbered row by row of the map, which has {rows} rows of {columns}. A NaN in a "
        "row is a missing value."
    )
    program.macro("N_FEATURES", size, "values of a row")
    program.macro("N_OUTPUTS", units, "units of the map")
    prepare, work = _prepared(source, som, fronts, size)
    x = "work" if work else "x"
    own = [f"{real} work[{work}];", *prepare] if work else []
    distance = _distance(source, som, size)
    lines = ["int32_t i;", *own, f"for (i = 0; i < {units}; i++) out[i] = {distance}({x}, i);"]
    program.function(
        f"void {name}_predict(const {real} *x, {real} *out)", lines,
        "The distance of a row to each unit, as transform has it.",
    )  # fmt: skip
    search = body(f"""
        for (i = 0; i < {units}; i++) {{
            const {real} d = {distance}({x}, i);
            if (i == 0 || d < least) {{
                least = d;
                nearest = i;
            }}
        }}
        return (int)nearest;
        """)
    lines = ["int32_t i, nearest = 0;", f"{real} least = {source.real.literal(0.0)};", *own]
    lines += search
    program.function(
        f"int {name}_unit(const {real} *x)", lines, "The number of the unit nearest to a row."
    )
    found, says = f"{name}_unit(x)", "The same, as predict has it."
    if som.n_clusters is not None:
        found = f"{source.integers('segments', som.segments_)}[{found}]"
        says = "The number of the segment of the unit nearest to a row, as predict has it."
    program.function(f"int {name}_classify(const {real} *x)", [f"return {found};"], says)
    program.workspace = work
    return program


def _prepared(source: Source, som: Any, fronts: Sequence[Any], size: int) -> tuple[list[str], int]:
    """Return the lines that make of a row what units are compared with, and its work space."""
    chain = Chain(size)
    for front in fronts:
        if not is_front(front):
            raise TypeError(f"{type(front).__name__} in front of a map has no C.")
        chain.add(front_step(source, front, size))
    lines: list[str] = []
    needed = 0
    if fronts:
        lines, needed = chain.lines("x", "work", "work")
        needed = size
    if som.metric == "cosine":
        lines.append(f"{_direction(source, size)}({'work' if fronts else 'x'}, work);")
        needed = size
    return lines, needed


def _direction(source: Source, size: int) -> str:
    """Return a function that divides a row by its length; zeros stay, missing values too."""
    real = source.real
    zero, one = real.literal(0.0), real.literal(1.0)
    lines = body(f"""
        {real.name} top = {zero}, sum = {zero};
        int32_t i;
        for (i = 0; i < {size}; i++) {{
            const {real.name} a = {source.call("fabs", "x[i]")};
            top = a > top ? a : top;
        }}
        top = top > {zero} ? top : {one};
        for (i = 0; i < {size}; i++) {{
            h[i] = x[i] / top;
            if (!isnan(h[i])) sum += h[i] * h[i];
        }}
        sum = {source.call("sqrt", "sum")};
        sum = sum > {zero} ? sum : {one};
        for (i = 0; i < {size}; i++) h[i] = h[i] / sum;
        """)
    parameters = f"const {real.name} *x, {real.name} *h"
    return source.function("direction", parameters, lines, of="a row divided by its length")


def _distance(source: Source, som: Any, size: int) -> str:
    """Return a function of a row and the number of a unit."""
    real, weights = source.real, source.constant("weights", som.weights_)
    zero, half = real.literal(0.0), real.literal(0.5)
    square = f"sum * ({real.literal(size)} / count)"
    found = f"{half} * ({square})" if som.metric == "cosine" else source.call("sqrt", square)
    lines = body(f"""
        {real.name} sum = {zero}, count = {zero};
        int32_t i;
        for (i = 0; i < {size}; i++) if (!isnan(x[i])) {{
            const {real.name} d = x[i] - {weights}[unit * {size} + i];
            sum += d * d;
            count += {real.literal(1.0)};
        }}
        return {found};
        """)
    parameters = f"const {real.name} *x, int32_t unit"
    return source.function(
        "distance", parameters, lines, result=real.name, of=f"{som.metric} distance of a row"
    )
