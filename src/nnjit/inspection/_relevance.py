"""Which points of a case speak for an output: class activation maps and occlusion."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from nnjit.inspection._cases import Stack, case_of, layer_outputs, logits, valid_points
from nnjit.inspection._network import label_columns, output_names

__all__ = ["Target", "activation_map", "find_target", "occlusion", "pooled_at"]

# Rows that are predicted at a time.
_ROWS = 256


class Target(NamedTuple):
    """An output that points speak for or against."""

    output: int
    sign: int  # -1 for the first of two classes that share an output
    name: str


def find_target(stack: Stack, row: Any, wanted: Any) -> Target:
    """Return the output of a class, or of a number where there are no classes.

    Parameters
    ----------
    stack : Stack
    row : ndarray of shape (1, n_features)
    wanted : object
        None for the class that is predicted, or the first output.

    Raises
    ------
    ValueError
        If there is none.
    """
    estimator, outputs = stack.estimator, stack.network.outputs
    if stack.network.target_shape:
        raise ValueError(
            "A network with a target at every point has no single output that points of a case "
            "could speak for; StateDisplay draws the outputs at all points."
        )
    classes = getattr(estimator, "classes_", None)
    if classes is None or label_columns(estimator) is not None:
        number = 0 if wanted is None else wanted
        if not isinstance(number, (int, np.integer)) or not 0 <= number < outputs:
            raise ValueError(f"target is the number of an output, 0 to {outputs - 1}: {wanted!r}.")
        names = output_names(estimator)
        return Target(int(number), 1, f"output {number}" if names is None else names[number])
    classes = np.asarray(classes)
    pair = outputs == 1 and len(classes) == 2
    if wanted is None:
        z = logits(stack, row)[0]
        place = int(z[0] > 0) if pair else int(z.argmax())
    else:
        found = np.flatnonzero(classes == wanted)
        if not len(found):
            raise ValueError(f"target is one of the classes {classes.tolist()}, got {wanted!r}.")
        place = int(found[0])
    name = f"class {classes[place]}"
    return Target(0, 1 if place else -1, name) if pair else Target(place, 1, name)


def pooled_at(stack: Stack) -> int | None:
    """Return the layers before global mean pooling that only the output layer reads, else None."""
    before = len(stack.network.layers) - 2
    while before >= 0 and stack.network.layers[before].kind in ("dropout", "noise"):
        before -= 1
    last = stack.network.layers[before] if before >= 0 else None
    pooled: Any = last
    by_mean = last is not None and last.kind == "global_pooling" and pooled.method == "mean"
    return before if by_mean else None


def activation_map(stack: Stack, row: Any, target: Target) -> NDArray[np.float64]:
    r"""Return the class activation map, ``sum_c w_c a_c(p)``, stretched over the case's points.

    a are the values that are pooled and w the output's weights: the map's mean, and the output's
    bias, are its logit.
    """
    before = pooled_at(stack)
    if before is None:
        raise ValueError(
            "A class activation map needs a network that ends in global mean pooling and the "
            "output layer; method='occlusion' takes any."
        )
    maps = layer_outputs(stack, row, before)[0]
    weights = stack.parameters_of(len(stack.network.layers) - 1)["weights"]
    found = target.sign * np.tensordot(weights[:, target.output].astype(np.float64), maps, axes=1)
    case = case_of(stack, row[0])
    if found.ndim == 2:
        return _stretched(_stretched(found, case.shape[1]).T, case.shape[2]).T
    whole = np.full(case.shape[1], np.nan)
    points = valid_points(case)
    whole[:points] = _stretched(found[~np.isnan(found)], points)
    return whole


def _stretched(values: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    """Return values of fewer points, each the middle of as many, between which it is linear."""
    if len(values) == points:
        return values
    middles = (np.arange(len(values)) + 0.5) * points / len(values) - 0.5
    wide = values.reshape(len(values), -1)
    found = [np.interp(np.arange(points), middles, column) for column in wide.T]
    return np.stack(found, axis=1).reshape(points, *values.shape[1:])


def occlusion(
    stack: Stack, row: Any, target: Target, window: Any, fill: Any
) -> NDArray[np.float64]:
    """Return for each point how far the target falls where a window over it is hidden.

    It is the mean over the windows that hold the point, which are moved by a third of their size
    or so.
    """
    case = case_of(stack, row[0])
    points = case.shape[1:] if case.ndim == 3 else (valid_points(case),)
    sizes = _sizes(window, points)
    hidden = _fill(case, fill)
    places = [*_windows(points, sizes)]
    whole = _evidence(stack, logits(stack, row), target)[0]
    total, count = np.zeros(case.shape[1:]), np.zeros(case.shape[1:])
    for start in range(0, len(places), _ROWS):
        some = places[start : start + _ROWS]
        rows = np.repeat(case[np.newaxis], len(some), axis=0)
        for one, place in zip(rows, some, strict=True):
            one[(slice(None), *place)] = hidden
        rows = rows.reshape(len(some), -1)
        falls = whole - _evidence(stack, logits(stack, rows), target)
        for place, fall in zip(some, falls, strict=True):
            total[place] += fall
            count[place] += 1
    total[count == 0] = np.nan  # behind the end of a series
    return total / np.maximum(count, 1)


def _evidence(stack: Stack, z: NDArray[np.float64], target: Target) -> NDArray[np.float64]:
    """Return the log odds of a class, of each row; of other outputs what their activation gets."""
    if stack.network.output != "softmax":
        return target.sign * z[:, target.output]
    first = 0
    for size in stack.network.groups or (stack.network.outputs,):
        if target.output < first + size:
            break
        first += size
    others = np.delete(z[:, first : first + size], target.output - first, axis=1)
    return np.asarray(z[:, target.output] - logsumexp(others, axis=1))


def _sizes(window: Any, points: Sequence[int]) -> list[int]:
    """Return the points of a window along each axis: an eighth of them if none is given."""
    if window is None:
        return [math.ceil(n / 8) for n in points]
    sizes = list(window) if isinstance(window, (tuple, list)) else [window] * len(points)
    if len(sizes) != len(points) or not all(
        isinstance(size, (int, np.integer)) and 1 <= size <= n for size, n in zip(sizes, points)
    ):
        raise ValueError(
            f"window is an int, or one for each axis, of 1 to {tuple(points)} points: {window!r}."
        )
    return [int(size) for size in sizes]


def _fill(case: NDArray[np.float64], fill: Any) -> NDArray[np.float64]:
    """Return what hides a window, for each channel."""
    axes = tuple(range(1, case.ndim))
    if isinstance(fill, str) and fill == "mean":
        return np.asarray(np.nanmean(case, axis=axes, keepdims=True))
    if isinstance(fill, str) or not np.isfinite(fill):
        raise ValueError(f"fill is a number or 'mean', got {fill!r}.")
    return np.full((len(case), *[1] * len(axes)), float(fill))


def _windows(points: Sequence[int], sizes: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Yield windows that hold every point."""
    starts = []
    for n, size in zip(points, sizes, strict=True):
        regular = range(0, n - size + 1, max(1, size // 3))
        starts.append(sorted({*regular, n - size}))
    for place in itertools.product(*starts):
        yield tuple(slice(at, at + size) for at, size in zip(place, sizes, strict=True))
