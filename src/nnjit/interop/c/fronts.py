"""What stands before a network in a pipeline: scalers, as the first loops over a row.

They compute in double, as they do in Python: a mean that is large beside the values would lose
digits in float that a network needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import preprocessing

from nnjit.estimators.series_scaler import SeriesScaler
from nnjit.interop.c.chain import Step
from nnjit.interop.c.layers.writing import body
from nnjit.interop.c.source import Source
from nnjit.layers.layer import size_of

__all__ = ["front_step", "is_front", "point_step"]


def _affine(
    source: Source, size: int, less: Any, times: Any, divided: Any, more: Any, limits: Any = None
) -> Step:
    """Return the step ((x - less) times / divided + more), each None where it is not there."""
    value, real = "(double)x[i]", source.real.name
    for label, sign, numbers in (
        ("centers", "-", less), ("factors", "*", times), ("scales", "/", divided),
        ("offsets", "+", more),
    ):  # fmt: skip
        if numbers is not None:
            of_all = np.broadcast_to(np.asarray(numbers, np.float64), (size,))
            value = f"({value} {sign} {source.doubles(f'front_{label}', of_all)}[i])"
    lines = ["int32_t i;", f"for (i = 0; i < {size}; i++) {{", f"    double v = {value};"]
    if limits is not None:
        low, high = (repr(float(limit)) for limit in limits)
        lines.append(f"    v = v < {low} ? {low} : (v > {high} ? {high} : v);")
    lines += [f"    h[i] = ({real})v;", "}"]
    function = source.function("scale", f"const {real} *x, {real} *h", lines, of="scaler")
    return Step(function, size, in_place=True, needs_zeros=False)


def _standard(source: Source, scaler: Any, size: int) -> Step:
    less = scaler.mean_ if scaler.with_mean else None
    return _affine(source, size, less, None, scaler.scale_ if scaler.with_std else None, None)


def _min_max(source: Source, scaler: Any, size: int) -> Step:
    limits = scaler.feature_range if scaler.clip else None
    return _affine(source, size, None, scaler.scale_, None, scaler.min_, limits)


def _max_abs(source: Source, scaler: Any, size: int) -> Step:
    limits = (-1.0, 1.0) if getattr(scaler, "clip", False) else None
    return _affine(source, size, None, None, scaler.scale_, None, limits)


def _robust(source: Source, scaler: Any, size: int) -> Step:
    less = scaler.center_ if scaler.with_centering else None
    return _affine(source, size, less, None, scaler.scale_ if scaler.with_scaling else None, None)


def _series(source: Source, scaler: Any, size: int) -> Step:
    shape = scaler.input_shape_
    if size_of(shape) != size:
        raise ValueError(
            f"SeriesScaler is for cases of shape {shape}, but rows have {size} values."
        )
    points = size // shape[0]
    if scaler.per == "case":
        return _by_case(source, shape[0], points, bool(scaler.channels_last))
    along = np.tile if scaler.channels_last else np.repeat
    return _affine(
        source, size, along(scaler.mean_, points), None, along(scaler.scale_, points), None
    )


def point_step(source: Source, scaler: Any, channels: int) -> Step | None:
    """Return the step for one point of a stream, None where a scaler cannot do with one."""
    if not isinstance(scaler, SeriesScaler) or scaler.per != "channel":
        return None
    return _affine(source, channels, scaler.mean_, None, scaler.scale_, None)


def _by_case(source: Source, channels: int, points: int, last: bool) -> Step:
    """Mean 0 and variance 1 of each channel, over the points that there are."""
    real = source.real.name
    at = f"p * {channels} + c" if last else f"c * {points} + p"
    lines = body(f"""
        int32_t c, p;
        for (c = 0; c < {channels}; c++) {{
            double mean = 0.0, square = 0.0, count = 0.0, scale;
            for (p = 0; p < {points}; p++) if (!isnan(x[{at}])) {{
                mean += (double)x[{at}];
                count += 1.0;
            }}
            mean /= count;
            for (p = 0; p < {points}; p++) if (!isnan(x[{at}])) {{
                square += ((double)x[{at}] - mean) * ((double)x[{at}] - mean);
            }}
            square /= count;
            scale = count * mean * 2.220446049250313e-16;
            scale = square <= count * 2.220446049250313e-16 * square + scale * scale
                ? 1.0 : sqrt(square);
            for (p = 0; p < {points}; p++) h[{at}] = ({real})(((double)x[{at}] - mean) / scale);
        }}
        """)
    function = source.function(
        "scale_case", f"const {real} *x, {real} *h", lines, of="scaler of each case"
    )
    return Step(function, channels * points, in_place=True, needs_zeros=False)


_FRONTS: dict[type, Callable[[Source, Any, int], Step]] = {
    preprocessing.MaxAbsScaler: _max_abs,
    preprocessing.MinMaxScaler: _min_max,
    preprocessing.RobustScaler: _robust,
    preprocessing.StandardScaler: _standard,
    SeriesScaler: _series,
}


def is_front(transformer: Any) -> bool:
    """Whether there is C for a transformer that is no network."""
    return type(transformer) in _FRONTS


def front_step(source: Source, transformer: Any, size: int) -> Step:
    """Return the step of a fitted scaler for rows of so many values.

    Raises
    ------
    ValueError
        If it was fitted on other rows.
    """
    seen = getattr(transformer, "n_features_in_", size)
    if seen != size:
        raise ValueError(
            f"{type(transformer).__name__} was fitted on {seen} features, but gets {size}."
        )
    return _FRONTS[type(transformer)](source, transformer, size)
