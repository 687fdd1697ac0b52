"""Arrays in the form that an engine takes, and parameters in one vector."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from nnjit._types import Array
from nnjit.layers.network import Network


def to_dtype(array: Any, dtype: np.dtype[Any], name: str) -> Any:
    """Return `array` as `dtype`, without a copy where it is that already.

    Parameters
    ----------
    array : ndarray or CSR
    dtype : numpy dtype
    name : str
        What the message calls the array.

    Raises
    ------
    ValueError
        If a value is too large for `dtype`.
    """
    if array.dtype == dtype:
        return array
    try:
        with np.errstate(over="raise"):
            return array.astype(dtype)
    except FloatingPointError:
        raise ValueError(
            f"Input {name} contains infinity or a value too large for {np.dtype(dtype)!r}."
        ) from None


def native(array: Any) -> Any:
    """Return an array in the machine's byte order, which pandas and SciPy need; else unchanged."""
    dtype = getattr(array, "dtype", None)
    if not isinstance(dtype, np.dtype) or dtype.isnative:
        return array
    return array.astype(dtype.newbyteorder("="))


def readable_texts(y: Any) -> Any:
    """Return texts that scikit-learn cannot read as an array that it can; else unchanged.

    NumPy's StringDType becomes text of fixed width. A missing text is NaN, of which scikit-learn
    says that it is missing; pandas' NA and other marks fail in its comparisons.
    """
    if isinstance(y, np.ndarray) and y.dtype.kind == "T":
        texts = y.astype(object)
        unknown = [not isinstance(text, str) for text in texts.flat]
        texts.flat[np.flatnonzero(unknown)] = np.nan
        return texts if any(unknown) else texts.astype(str)
    pandas = sys.modules.get("pandas")
    if pandas is None or not _may_hold_marks(y, pandas):
        return y
    values = np.asarray(y, dtype=object)
    marks = [i for i in np.flatnonzero(pandas.isna(values)) if values.flat[i] is pandas.NA]
    if not marks:
        return y
    values = values.copy()
    values.flat[marks] = np.nan
    return values


def _may_hold_marks(y: Any, pandas: Any) -> bool:
    """Whether there may be pandas' NA in y, of which scikit-learn does not say so by itself."""
    if isinstance(y, np.ndarray):
        return bool(y.dtype.kind == "O")
    arrays = pandas.Series, pandas.Index, pandas.DataFrame, pandas.api.extensions.ExtensionArray
    if not isinstance(y, arrays):
        return False
    kinds = [*y.dtypes] if y.ndim == 2 else [y.dtype]
    return any(kind.kind not in "iufM" for kind in kinds)


def engine_input(X: Any, dtype: np.dtype[Any], name: str = "X") -> Any:
    """Return validated `X` as the engine takes it: dense, or CSR, of type `dtype`.

    Messages call it `name`. CSC is converted to CSR here, once, since minibatches gather rows.
    """
    if sp.issparse(X):
        _check_indices(X)
        X = X.tocsr()
    return to_dtype(X, dtype, name)


def _check_indices(X: Any) -> None:
    """Refuse a CSR or CSC matrix whose indices point outside of it: whoever reads it trusts them.

    Raises
    ------
    ValueError
    """
    major, minor = X.shape if X.format == "csr" else X.shape[::-1]
    starts = X.indptr
    whole = len(starts) == major + 1 and starts[0] == 0 and (starts[1:] >= starts[:-1]).all()
    if not whole or starts[-1] > min(len(X.indices), len(X.data)):
        raise ValueError("The sparse matrix X is damaged: its indptr does not fit its entries.")
    indices = X.indices[: starts[-1]]
    unsigned = indices.view(indices.dtype.str.replace("i", "u"))  # negative: too large
    if len(indices) and unsigned.max() >= minor:
        raise ValueError(
            f"The sparse matrix X of shape {X.shape} is damaged: its indices go from "
            f"{indices.min()} to {indices.max()}."
        )


def common_dtype(arrays: Sequence[Any]) -> np.dtype[Any]:
    """Return float32 if all arrays are of that type, else float64."""
    dtypes = {getattr(a, "dtype", None) for a in arrays}
    return np.dtype(np.float32 if dtypes == {np.dtype(np.float32)} else np.float64)


def pack_parameters(network: Network, arrays: Sequence[Array]) -> NDArray[np.float64]:
    """Return a network's parameters in one float64 vector, in the order of its packing."""
    parts = [np.ravel(arrays[number]).astype(np.float64) for number in network.packing()]
    return np.concatenate(parts)


def unpack_parameters(network: Network, packed: Array, dtype: np.dtype[Any]) -> list[Array]:
    """Return a network's parameters from the vector that `pack_parameters` makes.

    Returns
    -------
    list of ndarray of type `dtype`
        New arrays, C-contiguous, in the order of the network's `parameters`.
    """
    shapes = [parameter.shape for _, parameter in network.parameters()]
    found: dict[int, Array] = {}
    start = 0
    for number in network.packing():
        end = start + math.prod(shapes[number])
        found[number] = packed[start:end].reshape(shapes[number]).astype(dtype)
        start = end
    return [found[number] for number in range(len(shapes))]
