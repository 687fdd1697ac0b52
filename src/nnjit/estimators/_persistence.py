"""What a pickled estimator carries so that another version of nnjit can load or refuse it."""

from __future__ import annotations

import inspect
from typing import Any

from nnjit._version import __version__
from nnjit._warnings import warn
from nnjit.backends.solver_state import in_present_form
from nnjit.formulas.own import import_modules, modules_of
from nnjit.formulas.registry import find_solver

# Raised when a fitted estimator's private attributes change in a way that needs translation.
STATE_FORMAT = 2
_FORMAT, _VERSION = "_nnjit_state_format", "_nnjit_version"
# Modules that register what is named and not the package's.
_REGISTERED = "_nnjit_registered_in"


def stamped(state: dict[str, Any]) -> dict[str, Any]:
    """Add the format and the version that wrote it to an estimator's state.

    Parameters
    ----------
    state : dict

    Returns
    -------
    dict
    """
    modules = modules_of(state)
    registered = {_REGISTERED: modules} if modules else {}
    return {**state, **registered, _FORMAT: STATE_FORMAT, _VERSION: __version__}


def checked(estimator: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Return the state without its stamp, completed if an older version wrote it.

    Parameters
    ----------
    estimator : estimator
        Of the class that the state is for.
    state : dict

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If a newer version wrote it, in a format that is not known here.
    """
    state = dict(state)
    written, version = state.pop(_FORMAT, 0), state.pop(_VERSION, "before 0.1")
    import_modules(state, state.pop(_REGISTERED, ()))
    name = type(estimator).__name__
    if written > STATE_FORMAT:
        raise ValueError(
            f"This {name} was pickled by nnjit {version} in format {written}; nnjit "
            f"{__version__} reads formats up to {STATE_FORMAT}. Upgrade nnjit, or fit again."
        )
    if version != __version__:
        warn(
            f"This {name} was pickled by nnjit {version} and is loaded by nnjit {__version__}. "
            "Its predictions may differ in the last digits.",
            module="nnjit",
        )
    solver = state.get("_optimizer")
    if written < 2 and solver is not None and solver.arrays is not None:
        solver.arrays = in_present_form(solver.arrays, find_solver(solver.name))
    # Parameters that came after it was written have their defaults.
    for parameter in inspect.signature(type(estimator).__init__).parameters.values():
        if parameter.name != "self" and parameter.default is not inspect.Parameter.empty:
            state.setdefault(parameter.name, parameter.default)
    return state
