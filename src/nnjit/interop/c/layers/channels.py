"""Layers over series and images: convolution, pooling, global pooling.

An image has two axes; a series is one of one row. Of a series n points are read, and behind what
comes out of these are zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from nnjit.interop.c.chain import Step
from nnjit.interop.c.layers.writing import Given, activate, body, points_of
from nnjit.interop.c.source import Source
from nnjit.layers.layer import size_of

__all__ = ["convolution", "global_pooling", "pooling"]


# Filters of a group from which on a loop along them is the faster one.
_WIDE = 8


def _two(sizes: list[int]) -> list[int]:
    """Return the sizes along both axes; a series has one row."""
    return sizes if len(sizes) == 2 else [1, *sizes]


def _parameters(source: Source, given: Given, scratch: bool = False) -> str:
    """Return the parameters of a function; what comes in and out lies apart."""
    kind, apart = source.real.name, f"{source.name.upper()}_APART"
    work = f", {kind} *{apart} work" * scratch
    return f"const {kind} *{apart} x, {kind} *{apart} h{work}" + ", int32_t n" * given.counts


def _begin(offset: str, stride: int) -> str:
    """Return the first output whose kernel's point is not before the beginning."""
    if stride == 1:
        return f"{offset} < 0 ? -{offset} : 0"
    return f"{offset} < 0 ? ({stride - 1} - {offset}) / {stride} : 0"


def _least(a: str, b: str) -> str:
    return a if a == b else f"({a} < {b} ? {a} : {b})"


def _finish(offset: str, points: str, stride: int, outputs: str) -> str:
    """Return the end of the outputs whose kernel's point is not behind so many points."""
    count = f"({points} - {offset})"
    if stride > 1:
        count = f"(({points} - 1 - {offset}) / {stride} + 1)"
    return f"{points} > {offset} ? {_least(count, outputs)} : 0"


def _zeros(source: Source, channels: int, points: int) -> list[str]:
    """Return the lines that put zeros behind the first m points of each channel."""
    at, zero = f"h[c * {points} + p]", source.real.literal(0.0)
    return [f"for (c = 0; c < {channels}; c++) for (p = m; p < {points}; p++) {at} = {zero};"]


def _conv_points(layer: Any, inputs: Any) -> Callable[[str], str] | None:
    """Return what makes of the points of a series those that come out, None for as many."""
    ((_, kernel, stride, dilation),) = layer.axes(inputs)
    if layer.padding == "same":
        return None if stride == 1 else lambda n: f"({n} + {stride - 1}) / {stride}"
    return _windows(dilation * (kernel - 1) + 1, stride)


def _windows(size: int, stride: int) -> Callable[[str], str]:
    """Return the same for whole windows."""
    return lambda n: f"{n} >= {size} ? ({n} - {size}) / {stride} + 1 : 0"


class _Sizes(NamedTuple):
    """Of a convolution, along both axes where there are two numbers."""

    points: list[int]
    kernel: list[int]
    stride: list[int]
    dilation: list[int]
    before: list[int]
    outputs: list[int]
    channels: int  # of a group
    filters: int  # of a group
    groups: int

    @classmethod
    def of(cls, given: Given) -> _Sizes:
        """Read them."""
        layer = given.layer
        points, kernel, stride, dilation = (
            _two([*numbers]) for numbers in zip(*layer.axes(given.inputs), strict=True)
        )
        before = [*layer.before(given.inputs)]
        return cls(
            points,
            kernel,
            stride,
            dilation,
            before if len(before) == 2 else [0, *before],
            _two([*given.outputs[1:]]),  # type: ignore[index]
            layer.channels_of_group(given.inputs),
            layer.filters // layer.groups,
            layer.groups,
        )


def convolution(source: Source, given: Given) -> Step:
    """The inner loop runs along the filters where there are enough, else along a row of points."""
    layer, sizes = given.layer, _Sizes.of(given)
    points = _conv_points(layer, given.inputs) if given.counts else None
    wide = sizes.filters >= _WIDE
    lines = (_along_filters if wide else _along_rows)(source, given, sizes)
    if given.counts:
        first = f"const int32_t m = {points('n') if points else 'n'};"
        lines = [first, *lines, *_finished(source, layer, sizes.outputs[1])]
    else:
        lines += activate(source, layer.activation, str(given.size))
    kernel = "x".join(map(str, sizes.kernel[-len(layer.axes(given.inputs)) :]))
    what = f"convolution: {layer.filters} filters of {kernel} points, {layer.activation}"
    parameters = _parameters(source, given, scratch=wide)
    name = source.function(given.label("convolution"), parameters, lines, of=what)
    scratch = sizes.filters if wide else 0
    return Step(
        name, given.size, scratch=scratch, counts=given.counts, needs_zeros=False, points=points
    )


def _finished(source: Source, layer: Any, points: int) -> list[str]:
    """Return the lines that apply the activation to the first m points, and put zeros behind."""
    phi, at = source.activation(layer.activation), f"h[f * {points} + p]"
    zero, every = source.real.literal(0.0), f"for (f = 0; f < {layer.filters}; f++)"
    lines = [] if phi is None else [f"{every} for (p = 0; p < m; p++) {at} = {phi}({at});"]
    return [*lines, f"{every} for (p = m; p < {points}; p++) {at} = {zero};"]


def _along_rows(source: Source, given: Given, sizes: _Sizes) -> list[str]:
    """Each weight times a row of a channel, as far as the kernel's point lies inside."""
    real, (height, width), (down, across) = source.real.name, sizes.points, sizes.kernel
    stride, dilation, before, (rows, columns) = (
        sizes.stride, sizes.dilation, sizes.before, sizes.outputs,
    )  # fmt: skip
    channels, filters = sizes.channels, sizes.filters * sizes.groups
    weights = given.arrays["weights"].reshape(down, across, channels, filters)
    w = source.constant(given.label("weights"), weights.transpose(3, 2, 0, 1))
    b = source.constant(given.label("biases"), given.arrays["biases"])
    end, count = ("n", "m") if given.counts else (str(width), str(columns))
    first = f"(f / {sizes.filters}) * {channels} + c" if sizes.groups > 1 else "c"
    return body(f"""
        int32_t f, c, i, j, p, q;
        for (f = 0; f < {filters}; f++) {{
            {real} *out = h + f * {rows * columns};
            const {real} *w = {w} + f * {channels * down * across};
            for (p = 0; p < {rows * columns}; p++) out[p] = {b}[f];
            for (c = 0; c < {channels}; c++) {{
                const {real} *in = x + ({first}) * {height * width};
                for (i = 0; i < {down}; i++) for (j = 0; j < {across}; j++) {{
                    const {real} a = w[(c * {down} + i) * {across} + j];
                    const int32_t y = i * {dilation[0]} - {before[0]};
                    const int32_t z = j * {dilation[1]} - {before[1]};
                    const int32_t top = {_begin("y", stride[0])};
                    const int32_t bottom = {_finish("y", str(height), stride[0], str(rows))};
                    const int32_t left = {_begin("z", stride[1])};
                    const int32_t right = {_finish("z", end, stride[1], count)};
                    for (p = top; p < bottom; p++) {{
                        const int32_t at = (p * {stride[0]} + y) * {width} + z;
                        for (q = left; q < right; q++) {{
                            out[p * {columns} + q] += a * in[at + q * {stride[1]}];
                        }}
                    }}
                }}
            }}
        }}
        """)


def _along_filters(source: Source, given: Given, sizes: _Sizes) -> list[str]:
    """Each value inside times the weights of all filters of a group, which lie side by side."""
    real, (height, width), (down, across) = source.real.name, sizes.points, sizes.kernel
    stride, dilation, before, (rows, columns) = (
        sizes.stride, sizes.dilation, sizes.before, sizes.outputs,
    )  # fmt: skip
    channels, filters, groups = sizes.channels, sizes.filters, sizes.groups
    w = source.constant(given.label("weights"), given.arrays["weights"])
    b = source.constant(given.label("biases"), given.arrays["biases"])
    end, count = ("n", "m") if given.counts else (str(width), str(columns))
    return body(f"""
        int32_t g, f, c, i, j, p, q;
        for (g = 0; g < {groups}; g++) for (p = 0; p < {rows}; p++) for (q = 0; q < {count}; q++) {{
            for (f = 0; f < {filters}; f++) work[f] = {b}[g * {filters} + f];
            for (i = 0; i < {down}; i++) for (j = 0; j < {across}; j++) {{
                const int32_t y = p * {stride[0]} + i * {dilation[0]} - {before[0]};
                const int32_t z = q * {stride[1]} + j * {dilation[1]} - {before[1]};
                if (y < 0 || y >= {height} || z < 0 || z >= {end}) continue;
                for (c = 0; c < {channels}; c++) {{
                    const {real} a = x[((g * {channels} + c) * {height} + y) * {width} + z];
                    const int32_t at = ((i * {across} + j) * {channels} + c) * {filters * groups}
                        + g * {filters};
                    for (f = 0; f < {filters}; f++) work[f] += a * {w}[at + f];
                }}
            }}
            for (f = 0; f < {filters}; f++) {{
                h[((g * {filters} + f) * {rows} + p) * {columns} + q] = work[f];
            }}
        }}
        """)


def pooling(source: Source, given: Given) -> Step:
    """The mean or the largest value of each window."""
    layer, real = given.layer, source.real
    axes = layer.axes(given.inputs)
    height, width = _two([axis[0] for axis in axes])
    down, across = _two([axis[1] for axis in axes])
    stride = _two([axis[2] for axis in axes])
    channels, *counts = given.outputs  # type: ignore[misc]
    rows, columns = _two(counts)
    first, step, last = _reduction(source, layer.method, down * across)
    lines = body(f"""
        int32_t c, i, j, p, q;
        for (c = 0; c < {channels}; c++) for (p = 0; p < {rows}; p++) {{
            for (q = 0; q < {"m" if given.counts else columns}; q++) {{
                const {real.name} *in = x + (c * {height} + p * {stride[0]}) * {width}
                    + q * {stride[1]};
                {real.name} sum = {first};
                for (i = 0; i < {down}; i++) for (j = 0; j < {across}; j++) {{
                    const {real.name} v = in[i * {width} + j];
                    {step}
                }}
                h[(c * {rows} + p) * {columns} + q] = {last};
            }}
        }}
        """)
    points = None
    if given.counts:
        points = _windows(across, stride[1])
        lines = [f"const int32_t m = {points('n')};", *lines, *_zeros(source, channels, columns)]
    what = f"{layer.method} of windows of {'x'.join(str(axis[1]) for axis in axes)} points"
    name = source.function(given.label("pooling"), _parameters(source, given), lines, of=what)
    return Step(name, given.size, counts=given.counts, needs_zeros=False, points=points)


def global_pooling(source: Source, given: Given) -> Step:
    """The mean or the largest value of each channel."""
    real, channels, points = source.real, size_of(given.outputs), points_of(given.inputs)
    first, step, last = _reduction(source, given.layer.method, points)
    if given.counts:
        last = last.replace(real.literal(points), f"({real.name})n")
        last = f"n > 0 ? {last} : {real.literal(0.0)}"
    lines = body(f"""
        int32_t c, p;
        for (c = 0; c < {channels}; c++) {{
            const {real.name} *in = x + c * {points};
            {real.name} sum = {first};
            for (p = 0; p < {"n" if given.counts else points}; p++) {{
                const {real.name} v = in[p];
                {step}
            }}
            h[c] = {last};
        }}
        """)
    what = f"{given.layer.method} of each channel"
    name = source.function(given.label("global"), _parameters(source, given), lines, of=what)
    return Step(name, given.size, counts=given.counts, needs_zeros=False)


def _reduction(source: Source, method: str, count: int) -> tuple[str, str, str]:
    """Return what `sum` is at first, what a value v does to it, and what comes out."""
    if method == "max":
        return "in[0]", "sum = v > sum ? v : sum;", "sum"
    return source.real.literal(0.0), "sum += v;", f"sum / {source.real.literal(count)}"
