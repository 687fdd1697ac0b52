"""What is given for all layers of a stack, or one for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from numbers import Integral, Real
from typing import Any

from nnjit.layers.augmentation.spec import Augment

__all__ = ["augmentation", "each", "is_int", "is_name", "plain"]


def augmentation(given: Augment | Mapping[str, Any]) -> Augment:
    """Return what changes rows at random, given as such or as a dict of its attributes.

    Raises
    ------
    ValueError
        If it is something else, or a name or a value is none.
    """
    if isinstance(given, Augment):
        return given
    known = [field.name for field in fields(Augment)]
    if not isinstance(given, Mapping) or not set(given) <= set(known):
        raise ValueError(
            f"augment is None, nnjit.layers.Augment(...) or a dict of {', '.join(known)}, got "
            f"{given!r}."
        )
    return Augment(**given)


def each(name: str, given: Any, count: int, dense: int, layers: str) -> tuple[Any, ...]:
    """Return one value for each of the first layers and then for each dense layer.

    Parameters
    ----------
    name : str
        Of the parameter.
    given : object
        One for all, or a sequence.
    count, dense : int
        How many first layers and dense layers there are.
    layers : str
        What the first ones are called.

    Raises
    ------
    ValueError
        If there are as many as for something else.
    """
    if isinstance(given, str | Real):
        return (given,) * (count + dense)
    if len(given) != count + dense:
        raise ValueError(
            f"{name}={given!r} has {len(given)} values, but there are {count} {layers} and {dense} "
            "hidden layers: give one for all of them, or one for each in this order."
        )
    return tuple(plain(given))


def is_int(value: Any) -> bool:
    """Whether a value is an integer and no bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_name(value: Any) -> bool:
    """Whether a value is text."""
    return isinstance(value, str)


def plain(value: Any) -> Any:
    """Return a sequence as a tuple, NumPy's numbers as Python's, and anything else as it is."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(value) if isinstance(value, list) else value
