"""PyTorch, which is loaded when it is needed and may not be there."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["needed_torch"]


def needed_torch(who: str) -> Any:
    """Return the library.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise ImportError(f"{who} needs PyTorch: pip install 'nnjit[torch]'") from error
