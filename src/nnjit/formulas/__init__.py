"""Mathematics, written once: activations, losses and solvers as plain arithmetic on scalars.

An entry is one function that gets a library of scalar functions (`library.py`) of one precision
and one target, and returns its formulas. CPU loops, CUDA device functions and the NumPy forms of
the displays all come from there. Nothing here compiles anything, or imports more than NumPy.
"""

from nnjit.formulas import activations, losses, policies, solvers
from nnjit.formulas.registry import (
    ACTIVATIONS,
    LOSSES,
    SOLVERS,
    Activation,
    Domain,
    Loss,
    Solver,
    classification_losses,
    default_output,
    find_activation,
    find_loss,
    find_solver,
    hidden_activations,
    known_pairs,
    losses_of,
    offered_solvers,
    outputs_of,
    regression_losses,
)

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "SOLVERS",
    "Activation",
    "Domain",
    "Loss",
    "Solver",
    "activations",
    "classification_losses",
    "default_output",
    "find_activation",
    "find_loss",
    "find_solver",
    "hidden_activations",
    "known_pairs",
    "losses",
    "losses_of",
    "offered_solvers",
    "outputs_of",
    "policies",
    "regression_losses",
    "solvers",
]
