"""How much the cache of compiled kernels holds."""

from __future__ import annotations

import os

__all__ = ["cache_size"]


def cache_size(folder: str) -> tuple[int, int]:
    """Count nnjit's compiled kernels in a folder.

    Parameters
    ----------
    folder : str

    Returns
    -------
    files, size : int
        Number of files and their bytes; 0 and 0 where the folder does not exist yet.
    """
    if not os.path.isdir(folder):
        return 0, 0
    with os.scandir(folder) as entries:
        sizes = [entry.stat().st_size for entry in entries if entry.name.endswith(".nnjit")]
    return len(sizes), sum(sizes)
