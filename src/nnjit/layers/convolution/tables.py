"""Which points a convolution reads and where, as tables of integers for the gathered primitives.

Points are numbered over all axes in C order; a series has a second axis of one point. Nothing is
padded: kernels that reach over the border have fewer taps there. What the tables hold is counted in
points, so that they serve blocks of any number of rows, whose samples are innermost.

A *tap* is two integers: elements from the first weight to that of the tap, and points from where a
run reads to what this tap reads. Channels are part of them: in the forward pass a tap is a point of
the kernel and a channel, in the backward pass a point of the kernel and a filter.

A *segment* is three integers: how far behind the first point that a window reads, and behind the
first one in it, so many points follow each other on both sides.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nnjit.core.jobs.records import Record
from nnjit.layers.convolution.spec import Conv

__all__ = ["Run", "Tables", "Window", "make_tables"]

Integers: TypeAlias = NDArray[np.int64]

# The segment that the table begins with, for any number of points that follow each other.
_JOINED = (0, 0, 1)


class Run(Record):
    """Points that follow each other, have the same taps, and each read one further."""

    point: int  # the first one
    points: int
    reads: int  # the point from which on the first one's taps tell; it may be in front of all
    taps: int  # where they begin in the table
    depth: int  # how many


class Window(Record):
    """Where some points of the kernel lie inside: what their weights' gradient is a sum over.

    That is, points that come out, which lie in a range of columns of some rows of points. A series
    is a column; its rows are points.
    """

    row: int  # of the matrix of the weights: the first one
    rows: int
    step: int  # points from what one of them reads to what the next one reads
    adds: int  # 1: another window of the same weights comes before it
    top: int  # the first row of points, and the one behind the last
    bottom: int
    reads: int  # the first point that is read
    point: int  # the first one in the window
    segments: int  # where they begin in the table
    row_segments: int  # of each row of points
    joined: int  # 1: rows of points follow each other without a gap, on both sides


class Tables(NamedTuple):
    """One table of all, and what is where in it."""

    values: Integers
    runs: int  # of the forward pass
    n_runs: int
    delta_runs: int  # of the delta of the inputs
    n_delta_runs: int
    windows: int  # sorted by their rows
    n_windows: int


class _Taps(NamedTuple):
    """A set of taps along one axis."""

    kernel: Integers  # points of the kernel
    behind: Integers  # how far behind the first of them they read


class _Axis(NamedTuple):
    """What points read along one axis: in the forward pass inputs, in the other outputs' deltas."""

    inside: NDArray[np.bool_]  # (points, kernel): whether there is something to read
    reads: Integers  # (points, kernel): where
    first: Integers  # (points,): where the first tap inside reads
    sets: Integers  # (points,): number of the set of taps inside
    taps: list[_Taps]  # of each set


class _Sizes(NamedTuple):
    """A convolution along one axis."""

    points: int
    outputs: int
    kernel: int
    stride: int
    dilation: int
    before: int

    def forward(self) -> _Axis:
        """For the points that come out, those that go in."""
        points = np.arange(self.outputs)[:, np.newaxis]
        reads = self.stride * points + self.dilation * np.arange(self.kernel) - self.before
        return _axis((reads >= 0) & (reads < self.points), reads)

    def backward(self) -> _Axis:
        """For the points that go in, those that come out of them."""
        points = np.arange(self.points)[:, np.newaxis]
        reached = points - self.dilation * np.arange(self.kernel) + self.before
        reads, rest = np.divmod(reached, self.stride)
        return _axis((rest == 0) & (reads >= 0) & (reads < self.outputs), reads)


def _axis(inside: NDArray[np.bool_], reads: Integers) -> _Axis:
    first = reads[np.arange(len(inside)), inside.argmax(axis=1)]
    numbers: dict[bytes, int] = {}
    taps: list[_Taps] = []
    sets = np.empty(len(inside), np.int64)
    for point, key in enumerate(map(bytes, np.packbits(inside, axis=1))):
        if key not in numbers:
            numbers[key] = len(taps)
            (kernel,) = np.nonzero(inside[point])
            taps.append(_Taps(kernel, reads[point, kernel] - first[point]))
        sets[point] = numbers[key]
    return _Axis(inside, reads, first, sets, taps)


class _Summed(NamedTuple):
    """Channels, or filters, that a product sums over."""

    number: int
    kernel_weights: int  # elements from the weights of one point of the kernel to the next
    weights: int  # and from one channel's to the next
    points: int  # of each


def _shared(taps: list[_Taps]) -> tuple[list[_Taps], list[tuple[int, int]]]:
    """The sets of which the others are parts, and of each set that one and where it begins there.

    Along an axis there is one such set, or one for each remainder by the stride.
    """
    whole: list[_Taps] = []
    places = [(0, 0)] * len(taps)
    for number in sorted(range(len(taps)), key=lambda number: -len(taps[number].kernel)):
        kernel, behind = taps[number]
        if not len(kernel):
            break
        for place, one in enumerate(whole):
            at = int(np.searchsorted(one.kernel, kernel[0]))
            part = one.kernel[at : at + len(kernel)], one.behind[at : at + len(kernel)]
            if np.array_equal(part[0], kernel) and np.array_equal(part[1] - part[1][0], behind):
                places[number] = place, at
                break
        else:
            places[number] = len(whole), 0
            whole.append(taps[number])
    return whole, places


def _runs(
    rows: _Axis, columns: _Axis, width: int, summed: _Summed, start: int
) -> tuple[int, Integers]:
    """How many runs, and these with their taps; what is read is `width` points wide.

    They lie from `start` of the table on.
    """
    n_sets = len(columns.taps)
    numbers, sets = np.unique(
        np.add.outer(rows.sets * n_sets, columns.sets).ravel(), return_inverse=True
    )
    taps = _TapLists(rows, columns, width, summed)
    found = np.array([taps.place(*divmod(number, n_sets)) for number in numbers.tolist()])
    at, depths, back = found.T
    first = np.add.outer(rows.first * width, columns.first).ravel()
    # points without taps follow each other
    first = np.where(depths[sets] > 0, first, np.arange(len(first)))
    begins = np.ones(len(first), bool)
    begins[1:] = (np.diff(sets) != 0) | (np.diff(first) != 1)
    (points,) = np.nonzero(begins)
    sets, lengths = sets[points], np.diff(points, append=len(first))
    at += start + len(Run.places) * len(points)
    runs = np.column_stack([points, lengths, first[points] - back[sets], at[sets], depths[sets]])
    return len(runs), np.concatenate([runs.ravel(), *taps.lists])


class _TapLists:
    """Lists of taps, of which those of points at the upper and lower border are parts."""

    def __init__(self, rows: _Axis, columns: _Axis, width: int, summed: _Summed) -> None:
        self.lists: list[Integers] = []
        self._whole, self._places = _shared(rows.taps)
        self._rows, self._columns = rows.taps, columns.taps
        self._kernel_width = columns.inside.shape[1]
        self._width, self._summed = width, summed
        self._starts: dict[tuple[int, int], int] = {}
        self._size = 0

    def place(self, row_set: int, column_set: int) -> tuple[int, int, int]:
        """Where the taps begin that two sets make, how many, and how far behind those of a list."""
        of_row = len(self._columns[column_set].kernel) * self._summed.number
        depth = len(self._rows[row_set].kernel) * of_row
        if not depth:
            return 0, 0, 0
        number, skipped = self._places[row_set]
        if (number, column_set) not in self._starts:
            self._starts[number, column_set] = self._size
            self.lists.append(self._made(self._whole[number], self._columns[column_set]))
            self._size += self.lists[-1].size
        start = self._starts[number, column_set] + 2 * of_row * skipped
        return start, depth, int(self._whole[number].behind[skipped]) * self._width

    def _made(self, rows: _Taps, columns: _Taps) -> Integers:
        """Taps of all points of the kernel in such rows and columns, with all channels each."""
        summed, numbers = self._summed, np.arange(self._summed.number)
        kernel = np.add.outer(rows.kernel * self._kernel_width, columns.kernel).ravel()
        points = np.add.outer(rows.behind * self._width, columns.behind).ravel()
        weights = np.add.outer(kernel * summed.kernel_weights, numbers * summed.weights)
        places = np.add.outer(points, numbers * summed.points)
        return np.stack([weights, places], axis=-1).ravel()


class _Windows:
    """The windows of a convolution, and the segments that they share."""

    def __init__(self, axes: list[_Sizes], rows: _Axis, columns: _Axis, channels: int) -> None:
        self._axes, self._rows, self._columns, self._channels = axes, rows, columns, channels
        self._segments: dict[tuple[tuple[int, int], ...], int] = {}
        self._lists: list[Integers] = []
        self._size = 0

    def made(self, start: int) -> tuple[int, Integers]:
        """How many, and these with the segments, which lie from `start` of the table on."""
        windows = np.array(list(self._all()), np.int64)
        at = list(Window.places).index("segments")
        apart = windows[:, list(Window.places).index("joined")] == 0
        windows[apart, at] += start + windows.size
        return len(windows), np.concatenate([windows.ravel(), *self._lists])

    def _all(self) -> Iterator[tuple[int, ...]]:
        """For each row of the kernel, all windows."""
        ranges = [_range(inside) for inside in self._columns.inside.T]
        left, right = max(first for first, _ in ranges), min(last for _, last in ranges)
        together = self._channels == 1 and len(ranges) > 1 and left < right
        for k_row in range(self._axes[0].kernel):
            if together:
                yield self._window(k_row, 0, len(ranges), [(left, right)], 0)
            for k, (first, last) in enumerate(ranges):
                if not together:
                    yield self._window(k_row, k, 1, [(first, last)], 0)
                else:
                    rest = [one for one in ((first, left), (right, last)) if one[0] < one[1]]
                    if rest:
                        yield self._window(k_row, k, 1, rest, 1)

    def _window(
        self, k_row: int, k: int, number: int, ranges: list[tuple[int, int]], adds: int
    ) -> tuple[int, ...]:
        """That of `number` points of the kernel from `k` on, over ranges of columns of points."""
        (points, _, _, down, *_), (width, count, kernel, right, dilation, _) = self._axes
        row, rows = (k_row * kernel + k) * self._channels, number * self._channels
        step = points * width if number == 1 else dilation  # to another channel, or the next point
        (top, bottom), first = _range(self._rows.inside[:, k_row]), ranges[0][0]
        if top == bottom or first == ranges[0][1]:
            return row, rows, step, adds, 0, 0, 0, 0, 0, 0, 1
        reads = int(self._rows.reads[top, k_row] * width + self._columns.reads[first, k])
        place = row, rows, step, adds, top, bottom, reads, top * count + first
        if ranges == [(0, count)] and count == width and down == right == 1:
            return *place, 0, 1, 1
        return *place, *self._enter(tuple((a - first, b - first) for a, b in ranges)), 0

    def _enter(self, ranges: tuple[tuple[int, int], ...]) -> tuple[int, int]:
        """Where the segments of such ranges begin, and how many a row of points has."""
        (_, height, _, down, *_), (width, count, _, right, *_) = self._axes
        if right > 1:  # inputs are apart, so each point is one
            single = [point for first, last in ranges for point in range(first, last)]
            starts, lengths = np.array(single), np.ones(len(single), np.int64)
        else:
            starts, lengths = np.array([[a, b - a] for a, b in ranges]).T
        if ranges not in self._segments:
            self._segments[ranges] = self._size
            rows = np.arange(height)
            reads = np.add.outer(rows * down * width, starts * right)
            points = np.add.outer(rows * count, starts)
            found = np.stack([reads, points, np.broadcast_to(lengths, points.shape)], axis=-1)
            self._lists.append(found.ravel())
            self._size += found.size
        return self._segments[ranges], len(starts)


def _range(inside: NDArray[np.bool_]) -> tuple[int, int]:
    """First point inside, and the one behind the last."""
    (points,) = np.nonzero(inside)
    return (int(points[0]), int(points[-1]) + 1) if len(points) else (0, 0)


def _axes(layer: Conv, inputs: tuple[int, ...]) -> list[_Sizes]:
    """The sizes along two axes."""
    outputs, before = layer.outputs(inputs)[1:], layer.before(inputs)
    found = [
        _Sizes(points, count, kernel, stride, dilation, start)
        for (points, kernel, stride, dilation), count, start in zip(
            layer.axes(inputs), outputs, before, strict=True
        )
    ]
    return found if len(found) == 2 else [*found, _Sizes(1, 1, 1, 1, 1, 0)]


@functools.lru_cache(maxsize=256)
def make_tables(layer: Conv, inputs: tuple[int, ...], row: int, training: bool) -> Tables:
    """The `Tables` of a layer.

    Parameters
    ----------
    layer : Conv
    inputs : tuple of int
        The shape of what goes in.
    row : int
        Elements from one row of the weights to the next.
    training : bool
        Whether there is a backward pass.
    """
    down, right = axes = _axes(layer, inputs)
    channels = layer.channels_of_group(inputs)
    rows, columns = down.forward(), right.forward()
    start, parts, places = len(_JOINED), [np.array(_JOINED)], []

    def enter(number: int, values: Integers) -> None:
        nonlocal start
        places.extend([start, number])
        parts.append(values)
        start += values.size

    summed = _Summed(channels, channels * row, row, down.points * right.points)
    enter(*_runs(rows, columns, right.points, summed, start))
    if training:
        filters = layer.filters // layer.groups
        summed = _Summed(filters, channels * row, 1, down.outputs * right.outputs)
        enter(*_runs(down.backward(), right.backward(), right.outputs, summed, start))
        enter(*_Windows(axes, rows, columns, channels).made(start))
    else:
        places += [0, 0, 0, 0]
    return Tables(np.concatenate(parts), *places)
