"""Arrays of other libraries or on a device, on their way through validation and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.utils._array_api import device as device_of
from sklearn.utils._array_api import get_namespace
from sklearn.utils._param_validation import StrOptions

from nnjit.backends import select
from nnjit.estimators._arrays import native, readable_texts
from nnjit.rows._source import whole


class DeviceName(StrOptions):
    """Constraint of the parameter `device`."""

    def __init__(self) -> None:
        super().__init__({"auto", "cpu", "cuda"})

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether a value names a device."""
        return isinstance(val, str) and select.is_device_name(val)

    def __str__(self) -> str:
        return "a str among {'auto', 'cpu', 'cuda', 'cuda:0', 'cuda:1', ...}"


def rows_on_device(X: Any, device: str) -> Any:
    """Return rows that lie on a device as the engine takes them, or None for other input.

    Raises
    ------
    ValueError
        If a value is not finite.
    """
    if device == "cpu":  # then such an array is refused as scikit-learn does it
        return None
    rows = select.on_device(X, device)
    if rows is not None and not rows.all_finite():
        raise ValueError("Input X contains NaN or infinity.")
    return rows


def is_dispatched(array: Any) -> bool:
    """Whether scikit-learn passes this array, of PyTorch or another library, on as it is."""
    if type(array) is np.ndarray or not get_config()["array_api_dispatch"]:
        return False
    foreign = hasattr(array, "__dlpack__") or hasattr(array, "__array_namespace__")
    return foreign and not isinstance(array, np.ndarray | np.generic)


def to_host(array: Any) -> Any:
    """Return an array of a device or of another library as NumPy's, anything else unchanged."""
    if type(array) is np.ndarray:
        return array
    if hasattr(array, "copy_to_host"):  # Numba's
        return array.copy_to_host()
    if hasattr(array, "__cuda_array_interface__"):
        if hasattr(array, "get"):  # CuPy's
            return array.get()
        if hasattr(array, "cpu"):
            return _from_torch(array)
    if is_dispatched(array):
        return _from_torch(array) if hasattr(array, "detach") else np.asarray(array)
    return array


def _from_torch(tensor: Any) -> Any:
    """Return a PyTorch tensor's values, in float32 where NumPy does not have its type."""
    tensor = tensor.detach().cpu()
    try:
        return tensor.numpy()
    except TypeError:  # bfloat16
        return tensor.float().numpy()


def host_rows(X: Any) -> Any:
    """Return rows that scikit-learn would pass on as another library's array as NumPy's."""
    return to_host(X) if is_dispatched(X) else X


def take(X: Any, rows: Any) -> Any:
    """Return some rows of X, which may lie on a device."""
    return X.take(rows) if hasattr(X, "given") else X[rows]


def first_rows(X: Any, n: int | None) -> Any:
    """Return the first rows of X on the host."""
    return X.to_host(n) if hasattr(X, "given") else X[:n]


def as_given(result: Any, rows: Any, X: Any) -> Any:
    """Return a result in the kind of array that X was given as; `rows` is what became of X.

    Labels that are no numbers stay in a NumPy array, since other libraries have none.
    """
    if getattr(rows, "given", None) is not None:
        return rows.like_given(result)
    if is_dispatched(X) and isinstance(result, np.ndarray) and result.dtype.kind in "biuf":
        return get_namespace(X)[0].asarray(result, device=device_of(X))
    return result


def host_target(y: Any) -> Any:
    """Return a target, which has to be checked and encoded, in memory as scikit-learn reads it.

    That is in native byte order, and texts as `readable_texts` gives them.
    """
    host = readable_texts(whole(to_host(y)))
    return native(host if host is y else np.asarray(host))
