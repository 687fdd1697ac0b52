"""Checkpoints as they were before networks were data: read as those of today."""

from __future__ import annotations

import numpy as np

from nnjit.training.archive import Arrays, require
from nnjit.training.snapshot import RunTerms, Tree, Values

__all__ = ["in_present_form"]

# A dense layer's arrays were NAME.LAYER and NAME.bias.LAYER.
_PREFIXES = {"weights": "parameters", "best_weights": "best_parameters"}


def in_present_form(meta: Tree, arrays: Arrays, terms: RunTerms) -> tuple[Tree, Arrays]:
    """Return the contents of a file of format 1 under the names that format 2 has for them.

    Parameters
    ----------
    meta, arrays : dict
        Nothing of which has been checked, nor is it here but for what format 2 does not have.
    terms : RunTerms
        The run that is to go on: it is that of the file, whose identity says so.

    Returns
    -------
    meta, arrays : dict

    Raises
    ------
    DamagedError
        If the steps are not counted alike everywhere.
    """
    arrays = {_present_name(name, terms): array for name, array in arrays.items()}
    arrays |= _powers(Values(meta, arrays), terms)
    return {**meta, "network": terms.network.to_state()}, arrays


def _present_name(name: str, terms: RunTerms) -> str:
    """Return the name of today of an array."""
    prefix, _, rest = name.partition(".")
    if prefix in _PREFIXES:
        kind = "biases" if rest.startswith("bias.") else "weights"
        return f"{_PREFIXES[prefix]}.{rest.removeprefix('bias.')}.{kind}"
    former = dict(zip(("solver.first", "solver.second"), terms.rule.vectors))
    return f"solver.vectors.{former[name]}" if name in former else name


def _powers(values: Values, terms: RunTerms) -> Arrays:
    """Return the powers that the solver asks for; there were two, be they used or not."""
    clock = values.array("solver.clock", (np.float64,), (3,))
    require(
        clock[0] == values.integer("steps") and ((clock[1:] >= 0.0) & (clock[1:] <= 1.0)).all(),
        "solver.clock is not that of the step",
    )
    if len(terms.rule.vectors) == 1:
        values.array("solver.second", (terms.dtype,), (0,))
    return {"solver.powers": clock[1 : 1 + len(terms.rule.powers)]}
