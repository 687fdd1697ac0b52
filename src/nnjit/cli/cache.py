"""`python -m nnjit cache`: show the compiled kernels on disk, remove them, time what they save."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from nnjit.cli.errors import UserError

__all__ = ["add_parser", "facts", "run"]

# CPU seconds that a first fit and a first prediction take beyond the second ones.
_FIRST_FIT = """
import sys, time, warnings
import numpy as np
import nnjit
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X, y = rng.standard_normal((150, 4)).astype(sys.argv[1]), np.arange(150) % 3
times = [time.process_time()]
for _ in range(2):
    nnjit.MLPClassifier((10,), max_iter=20, random_state=0).fit(X, y).predict(X)
    times.append(time.process_time())
print(times[1] - times[0] - (times[2] - times[1]))
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "cache",
        help="show, clear or measure the compiled kernels on disk",
        description="Says where compiled kernels are kept, how many, and whether they are used.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--clear", action="store_true", help="remove them all")
    what.add_argument(
        "--measure",
        action="store_true",
        help="time a first fit without and with compiled kernels, in a folder of its own",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show, clear or measure the cache.

    Parameters
    ----------
    arguments : argparse.Namespace

    Returns
    -------
    int
        0.
    """
    if arguments.measure:
        _measure()
    elif arguments.clear:
        _clear()
    else:
        for name, fact in facts():
            print(f"{name:<15}{fact}")
    return 0


def facts() -> list[tuple[str, str]]:
    """Describe every folder that kernels are looked for in.

    Returns
    -------
    list of (name, text)
    """
    from nnjit.core.compiler import cache, folders

    lines: list[tuple[str, str]] = []
    for folder in folders.candidates():
        files, why = cache.cached_files(folder), folders.problem(folder)
        lines.append(("second folder" if lines else "folder", folder))
        if why is not None:
            lines.append(("", f"not used: {why}"))
            continue
        size = sum(size for _, size, _ in files)
        last = time.strftime(", last used %Y-%m-%d", time.localtime(files[-1][2])) if files else ""
        lines.append(
            (
                "kernels there" if len(lines) > 1 else "kernels",
                f"{len(files)}, {size / 1e6:.1f} MB{last}",
            )
        )
    if not any(map(folders.usable, folders.candidates())):
        lines.append(("", "none can be written to: kernels are compiled anew in each process"))
    return lines


def _clear() -> None:
    from nnjit.core.compiler import cache, folders

    for folder in folders.candidates():
        if folders.problem(folder) is None and os.path.isdir(folder):
            files = cache.cached_files(folder)
            cache.clear(folder)
            left = cache.cached_files(folder)
            size = sum(size for _, size, _ in files) - sum(size for _, size, _ in left)
            print(f"{len(files) - len(left)} kernels, {size / 1e6:.1f} MB, removed from {folder}")


def _measure() -> None:
    print("CPU seconds of a first fit and prediction beyond the second ones")
    print(f"{'':<10}{'compiled':>10}{'from disk':>11}")
    for dtype in ("float32", "float64"):
        with tempfile.TemporaryDirectory() as folder:
            cold, warm = (_first_fit(dtype, folder) for _ in range(2))
        print(f"{dtype:<10}{cold:>10.2f}{warm:>11.2f}", flush=True)


def _first_fit(dtype: str, folder: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_FIT, dtype],
        capture_output=True,
        text=True,
        env={**os.environ, "NUMBA_CACHE_DIR": folder},
    )
    if done.returncode:
        raise UserError(f"a fit in a process of its own failed:\n{done.stderr}")
    return float(done.stdout)
