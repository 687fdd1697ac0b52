"""The kinds of layers by name: a folder with a `spec.py` each, found where they lie."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from importlib.util import find_spec
from typing import Any

import nnjit.layers

__all__ = ["find_kind", "kinds"]


@functools.cache
def kinds() -> tuple[str, ...]:
    """Return the names of all kinds of layers."""
    folders = [found.name for found in pkgutil.iter_modules(nnjit.layers.__path__) if found.ispkg]
    return tuple(sorted(name for name in folders if find_spec(f"nnjit.layers.{name}.spec")))


@functools.cache
def find_kind(name: str) -> Any:
    """Return the class of layers of a kind.

    Parameters
    ----------
    name : str

    Returns
    -------
    type
        A frozen dataclass; see `nnjit.layers.layer.Layer`.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in kinds():
        raise ValueError(f"There is no layer kind {name!r}; there are {', '.join(kinds())}.")
    spec = importlib.import_module(f"nnjit.layers.{name}.spec")
    (found,) = (value for value in vars(spec).values() if getattr(value, "kind", None) == name)
    return found
