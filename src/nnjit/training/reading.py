"""Rows that are read block by block, and the next block while one is in use."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from functools import partial
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from nnjit._types import Array
from nnjit.core.compiler.interrupts import Interrupts
from nnjit.training.engine import Engine

__all__ = ["Rows", "are_read", "outputs_of", "read_ahead", "read_blocks"]

T = TypeVar("T")


class Rows(Protocol):
    """Rows as an engine takes them, which are read from one number to another."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def read(self, start: int, stop: int) -> Array:
        """Return the rows start, ..., stop - 1."""

    def block_starts(self) -> NDArray[np.int64]:
        """Return where blocks begin."""


def are_read(X: Any) -> bool:
    """Whether X is `Rows` that are read, not an array."""
    return hasattr(X, "read") and hasattr(X, "block_starts")


def read_ahead(calls: Iterable[Callable[[], T]]) -> Generator[T, None, None]:
    """Yield what calls return, in order; each runs in a thread while the one before is in use."""
    # A pool comes and goes by callbacks of weak references, where Python loses a Ctrl-C.
    interrupts = Interrupts()
    with interrupts:
        pool = ThreadPoolExecutor(1, thread_name_prefix="nnjit-rows")
    try:
        interrupts.deliver()
        waiting: Future[T] | None = None
        for call in calls:
            following = pool.submit(copy_context().run, call)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()
    finally:
        pool.shutdown(cancel_futures=True)
        with interrupts:
            del pool
        interrupts.deliver()


def read_blocks(X: Rows) -> Iterator[Array]:
    """Yield all rows in order, block by block."""
    starts = X.block_starts().tolist()

    def own(start: int, stop: int) -> Array:
        return np.array(X.read(start, stop))  # the next block may come in the same array

    def calls() -> Iterator[Callable[[], Array]]:
        for start, stop in zip(starts, [*starts[1:], X.shape[0]], strict=True):
            yield partial(own, start, stop)

    with closing(read_ahead(calls())) as found:
        yield from found


def outputs_of(
    engine: Engine, X: Any, output: Literal["activation", "logits"] = "activation"
) -> tuple[Array, bool]:
    """Return a network's outputs for rows, and whether they are surely finite; logits never are.

    Parameters
    ----------
    engine : Engine
    X : array or Rows
        As the engine takes them.
    output : {'activation', 'logits'}
    """

    def of(rows: Any) -> tuple[Array, bool]:
        if output == "activation":
            return engine.predict_checked(rows)
        return engine.predict(rows, output=output), False

    if not are_read(X):
        return of(X)
    found = [of(rows) for rows in read_blocks(X)]
    return np.concatenate([one for one, _ in found]), all(finite for _, finite in found)
