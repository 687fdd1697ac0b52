"""Parameters that name an entry of a registry: looked up when they are validated.

Entries come and go: somebody's own are registered when the estimators have long been made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from sklearn.utils._param_validation import StrOptions

from nnjit.formulas import hidden_activations
from nnjit.formulas.registry import hint

__all__ = [
    "Activations",
    "EntryName",
    "NamesEach",
    "activation_names",
    "hidden_layer_activations",
]


class EntryName(StrOptions):
    """Constraint of a parameter that names an entry.

    Parameters
    ----------
    names : callable
        Returns the names that there are.
    register : str
        Name of the function that adds one.
    """

    def __init__(self, names: Callable[[], Iterable[str]], register: str) -> None:
        self._names, self._register = names, register
        super().__init__(set(names()))

    @property
    def options(self) -> set[str]:
        """The names that there are now."""
        return set(self._names())

    @options.setter
    def options(self, names: set[str]) -> None:  # scikit-learn's constructor sets them
        pass

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether there is an entry of that name."""
        return isinstance(val, str) and val in self._names()

    def __str__(self) -> str:
        return f"{super().__str__()} (nnjit.{self._register} adds your own)"


class Activations(EntryName):
    """Constraint of one activation for each hidden layer."""

    def __init__(self) -> None:
        super().__init__(hidden_activations, "register_activation")

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether a value is a sequence of names that there are."""
        names = _listed(val)
        return names is not None and all(map(super().is_satisfied_by, names))

    def __str__(self) -> str:
        return "a sequence of those, one for each hidden layer"


class NamesEach(StrOptions):
    """Constraint of one of some names, or one for each of several layers.

    Parameters
    ----------
    names : tuple of str
        Those, and None where that is one of them.
    """

    def __init__(self, names: tuple[str | None, ...]) -> None:
        self._known = names
        super().__init__({name for name in names if name is not None})

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether a value is one of the names, or a sequence of such."""
        if isinstance(val, str):
            return val in self._known
        names = _listed(val)
        return names is not None and all(name in self._known for name in names)

    def __str__(self) -> str:
        return f"{super().__str__()} or a sequence with one of them for each convolution"


def _listed(given: Any) -> list[Any] | None:
    """Return the members of a list, a tuple or an array of one dimension; None for others."""
    if isinstance(given, np.ndarray):
        return given.tolist() if given.ndim == 1 else None
    return list(given) if isinstance(given, (list, tuple)) else None


def activation_names(given: Any) -> str | tuple[Any, ...]:
    """Return an estimator's `activation` as a name, or as a tuple of some, which stays as it is."""
    names = None if isinstance(given, str) else _listed(given)
    found: str | tuple[Any, ...] = given if names is None else tuple(names)
    return found


def hidden_layer_activations(given: Any, n_hidden: int) -> tuple[str, ...]:
    """Return the activation of each of so many hidden layers.

    Parameters
    ----------
    given : str or sequence of str
        One for all, or one for each.
    n_hidden : int

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        If there are more or fewer than hidden layers, or one is unknown.
    """
    names = activation_names(given)
    if not isinstance(names, tuple):
        names = (names,) * max(n_hidden, 1)
    elif len(names) != n_hidden:
        raise ValueError(
            f"activation has {len(names)} names, {list(names)}, but there are {n_hidden} hidden "
            "layers. Give one name for all of them, or one for each."
        )
    known = hidden_activations()
    for name in names:
        if not isinstance(name, str) or name not in known:
            advice = hint(name, "activation")
            raise ValueError(f"activation must be one of {list(known)}, got {name!r}{advice}.")
    return names[:n_hidden]
