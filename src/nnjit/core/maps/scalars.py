"""How the formulas of a scalar are compiled: elementwise arithmetic, inlined where it is used."""

from nnjit.core.scalar import _helper as helper

__all__ = ["helper"]
