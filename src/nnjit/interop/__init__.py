"""Networks exchanged with other libraries.

`to_onnx` writes a fitted estimator or pipeline as an ONNX model, `to_torch` as a module of PyTorch,
`export_c` as one file of C; `from_torch` and the way to and from scikit-learn's own classes go in
the other direction as well. Each is loaded, with the library that it needs, when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["export_c", "from_sklearn", "from_torch", "to_onnx", "to_sklearn", "to_torch"]

# Where each lies; nothing of it is imported with this room.
_LATER = {
    "export_c": "nnjit.interop.c",
    "from_sklearn": "nnjit.interop.scikit_learn",
    "from_torch": "nnjit.interop.torch",
    "to_onnx": "nnjit.interop.onnx",
    "to_sklearn": "nnjit.interop.scikit_learn",
    "to_torch": "nnjit.interop.torch",
}

if TYPE_CHECKING:
    from nnjit.interop.scikit_learn import from_sklearn, to_sklearn

    export_c: Any
    from_torch: Any
    to_onnx: Any
    to_torch: Any
else:

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module 'nnjit.interop' has no attribute {name!r}")
        found = getattr(importlib.import_module(_LATER[name]), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
