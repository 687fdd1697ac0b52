"""Warnings that scikit-learn's filters match, shown at the line that the user wrote."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import NamedTuple

__all__ = ["MLP_MODULE", "Kept", "kept_back", "warn"]

# Filters by module (``module="sklearn"`` stands in scikit-learn's own examples) are written for
# the module that warns there, so warnings that take the place of its own say that they come from
# it.
MLP_MODULE = "sklearn.neural_network._multilayer_perceptron"
# Who calls a fit for somebody else: these, and pools, threads and timers of the standard library.
_IN_BETWEEN = frozenset({"nnjit", "sklearn", "joblib"}) | sys.stdlib_module_names


class Kept(NamedTuple):
    """What `warn` was called with."""

    text: str
    category: type[Warning]
    module: str


_KEPT: ContextVar[list[Kept] | None] = ContextVar("nnjit_kept_warnings", default=None)


@contextmanager
def kept_back() -> Iterator[list[Kept]]:
    """Have `warn` keep what it is called with in a block, in the list that this yields.

    A thread of ours has none of the user's lines to show; the one that it works for has.
    """
    kept: list[Kept] = []
    token = _KEPT.set(kept)
    try:
        yield kept
    finally:
        _KEPT.reset(token)


def warn(text: str, category: type[Warning] = UserWarning, module: str = MLP_MODULE) -> None:
    """Issue a warning at the innermost line outside nnjit, scikit-learn and joblib.

    Where there is none, as in a worker process, it is the call of nnjit. A line repeats its
    warnings, or not, as one that warns by itself.

    Parameters
    ----------
    text : str
    category : type of Warning, default=UserWarning
    module : str, default=MLP_MODULE
        The module that filters see.
    """
    kept = _KEPT.get()
    if kept is not None:
        kept.append(Kept(text, category, module))
        return
    frame = _frame_shown()
    warnings.warn_explicit(
        text,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        module,
        frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _frame_shown() -> FrameType:
    entry = frame = sys._getframe(1)
    own = True
    while frame.f_back is not None:
        frame = frame.f_back
        package = _top_package(frame)
        if package not in _IN_BETWEEN:
            return frame
        own = own and package == "nnjit"
        if own:
            entry = frame
    return entry


def _top_package(frame: FrameType) -> str:
    """Return the package that a frame's code is of, also where it runs as a script (-m)."""
    known = frame.f_globals
    return str(known.get("__package__") or known.get("__name__", "")).partition(".")[0]
