"""BLAS on one thread while SciPy's optimizer runs.

L-BFGS-B calls BLAS for vectors of some thousand elements, a few hundred times per iteration. Shared
among threads that costs more than it gains, and BLAS's threads wait for their next call by
spinning, on the cores that the objective is to be computed on.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

from nnjit.core.compiler.interrupts import Interrupts

__all__ = ["single_threaded_blas"]


@functools.cache  # finding the libraries takes milliseconds
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


@contextlib.contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Run a block with BLAS on one thread; the caller's number holds again afterwards.

    The number is the process's: threadpoolctl leaves it to the first thread that ever sets it, and
    does nothing in others.
    """
    interrupts, limit = Interrupts(), None
    try:
        with interrupts:
            limit = _libraries().limit(limits=1)
        interrupts.deliver()
        yield
    finally:
        if limit is not None:
            with interrupts:
                limit.restore_original_limits()
            interrupts.deliver()
