"""`python -m nnjit warmup`: compile the kernels once, so that later processes only load them."""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeAlias

import numpy as np

from nnjit._types import Array

__all__ = ["add_parser", "run"]

# What is to be called, with its family and its name.
Calls: TypeAlias = Iterator[tuple[str, str, Callable[[], Any]]]
Maker: TypeAlias = Callable[[tuple[int, ...]], Any]

_FAMILIES = ("driver", "layer", "activation", "loss", "output", "solver")
# Rows and columns for the functions on arrays: one thread does the first, all share the second.
_SHAPES = ((2, 3), (8192, 64))
_JACOBIAN_ROWS = 64


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "warmup",
        help="compile everything once",
        description=(
            "Compiles what networks are computed by, for one and for several threads, in float32 "
            "and float64, and keeps it on disk: no later fit compiles anything. Without it a fit "
            "compiles what its network needs."
        ),
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=_FAMILIES,
        metavar="FAMILY",
        help=f"one of {', '.join(_FAMILIES)}; may be given several times (all by default)",
    )
    parser.add_argument(
        "--functional", action="store_true", help="the functions of nnjit.functional as well"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compile, or load from the cache, and say how long that took for each unit.

    Parameters
    ----------
    arguments : argparse.Namespace

    Returns
    -------
    int
        0.
    """
    from nnjit.core.compiler.cache import cache_folder

    folder = cache_folder()
    files_before, _ = _cached(folder)
    started = time.perf_counter()
    print(f"{'family':<12}{'unit':<28}{'dtype':<10}{'seconds':>8}")
    for dtype in ("float32", "float64"):
        _time_calls(_units(dtype, arguments.only or _FAMILIES), dtype)
        if arguments.functional:
            _time_calls(_functional_calls(dtype), dtype)
    files, size = _cached(folder)
    print(f"\n{time.perf_counter() - started:.1f} s")
    if folder is None:
        print("No cache folder is writable: the next process compiles them again.")
    else:
        print(f"{files - files_before} new files, {files} in all, {size / 1e6:.1f} MB in {folder}")
    return 0


def _time_calls(calls: Calls, dtype: str) -> None:
    for family, name, call in calls:
        start = time.perf_counter()
        call()
        seconds = time.perf_counter() - start
        print(f"{family:<12}{name:<28}{dtype:<10}{seconds:>8.2f}", flush=True)


def _units(dtype: str, families: Collection[str]) -> Calls:
    """All units of some families, and the threads that share a job."""
    from nnjit.backends.units import all_units
    from nnjit.core.jobs.driver import runner

    for family, name, unit in all_units(dtype == "float32"):
        if family in families:
            # what is of no precision is compiled once, and costs nothing the second time
            yield family, name, functools.partial(getattr, unit, "address")
    if "driver" in families:
        yield "driver", "threads", lambda: runner().parallel(0, 0)  # which is to do nothing


def _functional_calls(dtype: str) -> Calls:
    """Every function of `nnjit.functional`, at both sizes."""
    from nnjit import functional as F

    rng = np.random.default_rng(0)

    def both(function: Callable[..., Any], *makers: Maker) -> None:
        for shape in _SHAPES:
            function(*(make(shape) for make in makers))

    def normal(shape: tuple[int, ...]) -> Array:
        return rng.standard_normal(shape).astype(dtype)

    def weights(shape: tuple[int, ...]) -> Array:
        return normal((shape[1], 64))

    def labels(shape: tuple[int, ...]) -> Array:
        return rng.integers(0, shape[1], shape[0])

    def probabilities(shape: tuple[int, ...]) -> Array:
        return F.softmax(normal(shape))

    def few_rows(shape: tuple[int, ...]) -> Array:
        return normal((min(shape[0], _JACOBIAN_ROWS), shape[1]))

    def images(shape: tuple[int, ...]) -> Array:
        return normal((shape[0], 1, 8, 8))

    def kernels(shape: tuple[int, ...]) -> Array:
        return normal((3, 3, 1, 16))

    def feature_maps(shape: tuple[int, ...]) -> Array:
        return normal((shape[0], 16, 8, 8))

    def pooled(shape: tuple[int, ...]) -> Array:
        return normal((shape[0], 16, 4, 4))

    def two(shape: tuple[int, ...]) -> Any:
        return 2

    one = ["relu", "relu_derivative", "sigmoid", "sigmoid_derivative", "tanh", "tanh_derivative"]
    one += ["softmax", "log_softmax"]
    pairs = ["hadamard", "softmax_vjp", "squared_error", "squared_error_gradient"]
    calls: list[tuple[str, tuple[Maker, ...]]] = [(name, (normal,)) for name in one]
    calls += [(name, (normal, normal)) for name in pairs]
    calls += [
        ("softmax_jacobian", (few_rows,)),
        ("dense_forward", (normal, weights)),
        ("dense_backward", (lambda shape: normal((shape[0], 64)), normal, weights)),
        ("convolve", (images, kernels)),
        ("convolve_backward", (images, kernels, feature_maps)),
        ("max_pool", (feature_maps, two)),
        ("max_pool_backward", (feature_maps, pooled, two)),
        ("mean_pool", (feature_maps, two)),
        ("mean_pool_backward", (feature_maps, pooled, two)),
        ("poisson", (probabilities, probabilities)),
        ("poisson_gradient", (probabilities, probabilities)),
        ("cross_entropy", (labels, probabilities)),
        ("cross_entropy_gradient", (labels, probabilities)),
    ]
    for name, makers in calls:
        yield "functional", name, functools.partial(both, getattr(F, name), *makers)


def _cached(folder: str | None) -> tuple[int, int]:
    """Count the compiled kernels in a folder and their bytes."""
    from nnjit.core.compiler.cache import cached_files

    files = [] if folder is None else cached_files(folder)
    return len(files), sum(size for _, size, _ in files)
