"""Epochs over rows that are not in memory: blocks in random order, mixed in a buffer.

An epoch draws an order of the blocks. As many as the buffer holds are read, one after the other as
they lie in the file; their rows are shuffled together and go to the network in minibatches, while a
thread fills another buffer with the next blocks. What is left over, less than a minibatch, comes
first in the next buffer, so that all minibatches but the last have their full size.

Which block a row is in follows from shapes alone, so that the numbers are the same wherever the
rows come from, but where a source has chunks of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnjit._types import Array
from nnjit.training.engine import Engine
from nnjit.training.members import stop_if_asked
from nnjit.training.reading import Rows, read_ahead
from nnjit.training.validation import TOO_SMALL

__all__ = ["BlockedRows", "BlockwiseObjective", "Blocks", "Piece"]

# Of rows that are shuffled together; there are two such buffers.
BUFFER_BYTES = 1 << 26
# Runs of rows that are held out at least, where there are as many rows to hold out.
_LEAST_RUNS = 64

Spans = list[tuple[int, int]]


class Piece(NamedTuple):
    """Some of the minibatches of an epoch."""

    dataset: Any  # what the engine makes of a buffer
    order: NDArray[np.int64]  # of its rows
    sample_weight: Array | None  # of its rows


class Blocks:
    """How rows are cut into blocks, and which runs of them are held out.

    Parameters
    ----------
    starts : ndarray of int64
        Where blocks begin, in ascending order.
    n_rows : int
    held_out : ndarray of int64, shape (n_runs, 2), optional
        First row of each run, and the one behind its last, in ascending order.
    """

    def __init__(
        self, starts: NDArray[np.int64], n_rows: int, held_out: NDArray[np.int64] | None = None
    ) -> None:
        self.starts, self.n_rows = starts, n_rows
        self.held_out = np.empty((0, 2), np.int64) if held_out is None else held_out
        self._bounds = [*starts.tolist(), n_rows]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def n_held_out(self) -> int:
        return int((self.held_out[:, 1] - self.held_out[:, 0]).sum())

    @property
    def n_training(self) -> int:
        return self.n_rows - self.n_held_out

    def block(self, number: int) -> tuple[int, int]:
        """Return the first row of a block and the one behind its last."""
        return self._bounds[number], self._bounds[number + 1]

    def training(self, number: int) -> Spans:
        """Return the rows of a block that are trained on."""
        start, stop = self.block(number)
        runs = self.held_out
        first = int(np.searchsorted(runs[:, 1], start, side="right"))
        last = int(np.searchsorted(runs[:, 0], stop, side="left"))
        spans, at = [], start
        for begin, end in runs[first:last].tolist():
            if begin > at:
                spans.append((at, begin))
            at = end
        if at < stop:
            spans.append((at, stop))
        return spans

    def held_out_rows(self) -> NDArray[np.int64]:
        """Return the numbers of all rows that are held out."""
        return np.concatenate([np.arange(*run) for run in self.held_out] or [np.arange(0)])

    def hold_out(self, fraction: float, rng: np.random.RandomState) -> Blocks:
        """Return the same blocks with a share of the rows held out.

        The rows are divided into stretches, one for each block or more, and of each a run of rows
        at a random place is held out.

        Raises
        ------
        ValueError
            If there are fewer than two rows to hold out, or none left.
        """
        wanted = int(np.ceil(fraction * self.n_rows))
        if wanted < 2 or wanted >= self.n_rows:
            raise ValueError(TOO_SMALL)
        count = max(len(self), min(wanted, _LEAST_RUNS))
        bounds = np.arange(count + 1, dtype=np.int64) * self.n_rows // count
        sizes = np.diff(bounds * wanted // self.n_rows)
        free = np.diff(bounds) - sizes
        first = bounds[:-1] + np.floor(rng.uniform(size=count) * (free + 1)).astype(np.int64)
        first = np.minimum(first, bounds[:-1] + free)
        runs = np.column_stack([first, first + sizes])
        return Blocks(self.starts, self.n_rows, runs[sizes > 0])


class _Buffer(NamedTuple):
    """Rows of some blocks, with targets and weights, behind a place for those left over."""

    X: Array
    n_rows: int
    target: Array
    sample_weight: Array | None


class BlockedRows:
    """Training rows by blocks, with all that belongs to them.

    Parameters
    ----------
    engine : Engine
    rows : Rows
    target : ndarray of shape (n_samples, ...)
    sample_weight : ndarray of shape (n_samples, ...) or None
    blocks : Blocks
    shuffle : bool
        Whether blocks come in random order and are shuffled.
    """

    def __init__(
        self,
        engine: Engine,
        rows: Rows,
        target: Array,
        sample_weight: Array | None,
        blocks: Blocks,
        shuffle: bool,
    ) -> None:
        self.engine, self.rows, self.blocks, self.shuffle = engine, rows, blocks, shuffle
        self.target, self.sample_weight = target, sample_weight
        sizes = np.diff([*blocks.starts, blocks.n_rows])
        together = max(1, BUFFER_BYTES // max(1, rows.shape[1] * rows.dtype.itemsize))
        self._capacity = max(int(sizes.max(initial=1)), min(together, blocks.n_rows))
        # Kept from epoch to epoch: to get fresh pages costs as much as to read the rows.
        self._arrays: list[Array] = []

    def epoch(self, rng: np.random.RandomState, batch_size: int) -> Generator[Piece, None, None]:
        """Yield the minibatches of an epoch, those of one buffer after the other.

        The order of the blocks is drawn first, by ``rng.permutation``; then that of the rows of
        each buffer when it is used, where blocks lie in ascending order. A piece is used before the
        next one is asked for.
        """
        numbers = rng.permutation(len(self.blocks)) if self.shuffle else range(len(self.blocks))
        left, done = self._nothing_left(batch_size), 0
        reserve = batch_size - 1
        with closing(self._buffers(numbers, reserve)) as buffers:
            for buffer in buffers:
                n, carried = buffer.n_rows, len(left.X)
                done += n
                X = buffer.X[reserve - carried : reserve + n]
                X[:carried] = left.X
                target = np.concatenate([left.target, buffer.target])
                weights = _joined(left.sample_weight, buffer.sample_weight)
                new = rng.permutation(n) if self.shuffle else np.arange(n)
                order = np.concatenate([np.arange(carried), carried + new]).astype(np.int64)
                last = done == self.blocks.n_training
                used = len(order) if last else len(order) // batch_size * batch_size
                if used:
                    dataset = self.engine.dataset(X, target, weights)
                    yield Piece(dataset, order[:used], weights)
                rest = order[used:]
                left = _Buffer(
                    X[rest], len(rest), target[rest], None if weights is None else weights[rest]
                )

    def in_order(self) -> Iterator[Piece]:
        """Yield all rows as they come, in buffers."""
        numbers = range(len(self.blocks))
        with closing(self._buffers(numbers, 0)) as buffers:
            for buffer in buffers:
                X = buffer.X[: buffer.n_rows]
                dataset = self.engine.dataset(X, buffer.target, buffer.sample_weight)
                yield Piece(dataset, np.arange(buffer.n_rows), buffer.sample_weight)

    def _nothing_left(self, batch_size: int) -> _Buffer:
        weights = None if self.sample_weight is None else self.sample_weight[:0]
        X = np.empty((0, self.rows.shape[1]), self.rows.dtype)
        return _Buffer(X, 0, self.target[:0], weights)

    def _buffers(self, numbers: Any, reserve: int) -> Generator[_Buffer, None, None]:
        """Yield buffers with blocks of these numbers, each while the next one is being filled."""
        shape = (reserve + self._capacity, self.rows.shape[1])
        if any(array.shape != shape for array in self._arrays):
            self._arrays = []

        def calls() -> Iterator[Callable[[], _Buffer]]:
            for k, group in enumerate(self._groups(numbers)):
                if len(self._arrays) <= k % 2:
                    self._arrays.append(np.empty(shape, self.rows.dtype))
                yield partial(self._fill, self._arrays[k % 2], reserve, group)

        yield from read_ahead(calls())

    def _groups(self, numbers: Any) -> Iterator[list[int]]:
        """Yield as many blocks as a buffer holds after one another, each group as in the file."""
        group: list[int] = []
        count = 0
        for number in numbers:
            size = sum(stop - start for start, stop in self.blocks.training(int(number)))
            if group and count + size > self._capacity:
                yield sorted(group)
                group, count = [], 0
            if size:
                group.append(int(number))
                count += size
        if group:
            yield sorted(group)

    def _fill(self, X: Array, at: int, numbers: list[int]) -> _Buffer:
        """Read blocks into a buffer, from a row of it on."""
        spans: Spans = []
        first = at
        for number in numbers:
            start, stop = self.blocks.block(number)
            block = self.rows.read(start, stop)
            for begin, end in self.blocks.training(number):
                X[at : at + end - begin] = block[begin - start : end - start]
                at += end - begin
                spans.append((begin, end))
        weights = self.sample_weight
        return _Buffer(
            X, at - first, _rows_of(self.target, spans),
            None if weights is None else _rows_of(weights, spans),
        )  # fmt: skip


class BlockwiseObjective:
    """An engine's loss and gradient over rows by blocks, added up in the order of the blocks."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def loss_gradient(
        self, packed: Array, dataset: BlockedRows, alpha: float
    ) -> tuple[float, Array]:
        """Return the mean loss by weights and its gradient; see `Engine.loss_gradient`."""
        total, loss, gradient = 0.0, 0.0, np.zeros(len(packed))
        for piece in dataset.in_order():
            stop_if_asked()
            weights = piece.sample_weight
            weight = float(len(piece.order) if weights is None else weights.sum(dtype=float))
            if not weight:
                continue
            # The penalty is divided by the weight of all: one buffer counts it.
            part, of_part = self.engine.loss_gradient(packed, piece.dataset, alpha)
            alpha, total = 0.0, total + weight
            loss += weight * part
            gradient += weight * of_part
        return loss / total, gradient / total


def _rows_of(array: Array, spans: Spans) -> Array:
    return np.concatenate([array[begin:end] for begin, end in spans])


def _joined(one: Array | None, other: Array | None) -> Array | None:
    return None if one is None or other is None else np.concatenate([one, other])
