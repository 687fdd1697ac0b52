"""Warnings that scikit-learn's filters match, shown at the line that the user wrote."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

__all__ = ["MLP_MODULE", "warn"]

# Filters by module (``module="sklearn"`` stands in scikit-learn's own examples) are written for
# the module that warns there, so warnings that take the place of its own say that they come from
# it.
MLP_MODULE = "sklearn.neural_network._multilayer_perceptron"
# Who calls a fit for somebody else: these, and pools, threads and timers of the standard library.
_IN_BETWEEN = frozenset({"nnjit", "sklearn", "joblib"}) | sys.stdlib_module_names


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
