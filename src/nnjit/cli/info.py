"""`python -m nnjit info`: what a report of a problem should say about the machine."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

from nnjit._version import __version__

__all__ = ["add_parser", "print_facts", "run"]

Facts: TypeAlias = Iterator[tuple[str, Any]]

_REQUIRED = ("numpy", "scipy", "numba", "llvmlite", "scikit-learn")
_OPTIONAL = ("matplotlib", "pandas", "polars", "numba-cuda")
_VECTOR_FEATURES = ("sse4.2", "avx", "fma", "avx2", "avx512f", "avx512bf16", "neon", "sve")


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "info",
        help="versions, CPU, register tile, threads, cache",
        description="Prints what nnjit found on this machine; paste it into a bug report.",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the facts, the threading layer among them.

    Parameters
    ----------
    arguments : argparse.Namespace
        Unused.

    Returns
    -------
    int
        0.
    """
    import numba

    # Numba names its layer only once it has started; this process ends right after.
    numba.get_num_threads()
    print_facts()
    return 0


def print_facts() -> None:
    """Print one `name  value` line per fact, starting no threads and compiling nothing."""
    sections = {
        "Versions": _versions(),
        "CPU": _cpu(),
        "Kernels": _kernels(),
        "Threads": _threads(),
        "Cache": _cache(),
    }
    for title, facts in sections.items():
        print(title)
        for name, value in facts:
            print(f"  {name:<18}{value}")


def _versions() -> Facts:
    yield "nnjit", __version__
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()})"
    yield "platform", platform.platform()
    for name in _REQUIRED:
        yield name, _version(name)
    for name in _OPTIONAL:
        yield name, _version(name)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cpu() -> Facts:
    import llvmlite.binding as llvm

    present = {name for name, on in llvm.get_host_cpu_features().items() if on}
    yield "model", _cpu_model()
    yield "LLVM name", llvm.get_host_cpu_name()
    yield "vector features", " ".join(f for f in _VECTOR_FEATURES if f in present) or "none known"
    yield "CPUs", f"{os.cpu_count()} in the machine, {_usable_cpus()} for this process"


def _cpu_model() -> str:
    if sys.platform.startswith("linux"):
        try:
            with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
                for line in stream:
                    if line.lower().startswith(("model name", "hardware")):
                        return line.split(":", 1)[1].strip()
        except OSError:
            pass
    return platform.processor() or platform.machine()


def _usable_cpus() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _kernels() -> Facts:
    from nnjit.core.simd import TILE

    yield "register tile", f"{TILE.name}: {TILE.rows} rows x {TILE.vectors} vectors"
    yield (
        "vector width",
        f"{TILE.bytes} bytes: {TILE.bytes // 4} float32 or {TILE.bytes // 8} float64",
    )
    if os.environ.get("NNJIT_TILE"):
        yield "NNJIT_TILE", os.environ["NNJIT_TILE"]
    import numba

    yield "compiled", "no, NUMBA_DISABLE_JIT is set" if numba.config.DISABLE_JIT else "yes"


def _threads() -> Facts:
    import numba

    try:
        layer = numba.threading_layer()
    except ValueError:
        layer = f"not started yet ({numba.config.THREADING_LAYER})"
    yield "threading layer", layer
    yield "threads", numba.config.NUMBA_NUM_THREADS
    for name in ("NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER", "OMP_NUM_THREADS"):
        if name in os.environ:
            yield name, os.environ[name]


def _cache() -> Facts:
    from nnjit.cli.cache import facts

    yield from facts()
