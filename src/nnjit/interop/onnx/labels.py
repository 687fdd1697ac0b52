"""Class labels as arrays that ONNX has."""

from __future__ import annotations

import numpy as np

from nnjit._types import Array

__all__ = ["as_tensor"]


def as_tensor(classes: Array, name: str) -> Array:
    """Return classes as numbers, booleans or strings.

    Parameters
    ----------
    classes : ndarray
    name : str
        Of the estimator, for the message.

    Raises
    ------
    ValueError
        If they are something else.
    """
    found = np.asarray(classes)
    if found.dtype.kind == "O":
        given = found.tolist()
        found = np.array(given) if not all(isinstance(one, str) for one in given) else found
    if found.dtype.kind == "T" or found.dtype.kind == "U":
        found = found.astype(object)
    texts = found.dtype.kind == "O" and all(isinstance(one, str) for one in found.tolist())
    if texts or (found.dtype.kind in "biuf" and found.dtype.itemsize <= 8):
        return found
    raise ValueError(
        f"The classes of this {name} cannot leave for ONNX, which has numbers, booleans and text, "
        f"but no {found.dtype}: {classes!r:.200}."
    )
