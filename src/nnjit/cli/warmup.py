"""`python -m nnjit warmup`: compile the kernels once, so that later processes only load them."""

from __future__ import annotations

import argparse
import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from nnjit._types import Array
from nnjit.layers.network import mlp

__all__ = ["add_parser", "run"]

Calls: TypeAlias = Iterator[tuple[str, Callable[[], Any]]]  # each with its name
Maker: TypeAlias = Callable[[tuple[int, ...]], Array]

# What is compiled depends on the precision alone: any shape will do.
_N_ROWS = 600
# Rows and columns for the functions on arrays: one thread does the first, all share the second.
_SHAPES = ((2, 3), (8192, 64))
_JACOBIAN_ROWS = 64


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "warmup",
        help="compile every kernel once",
        description=(
            "Compiles the kernels for one and for several threads, in float32 and float64, and "
            "keeps them on disk: no later fit compiles anything."
        ),
    )
    parser.add_argument(
        "--functional", action="store_true", help="the functions of nnjit.functional as well"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compile, or load from the cache, and say how long each kernel's first call took.

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
    print(f"{'kernel':<28}{'dtype':<10}{'seconds':>8}")
    for dtype in ("float32", "float64"):
        with _both_twins():
            _time_calls(_engine_calls(dtype), dtype)
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
    for name, call in calls:
        start = time.perf_counter()
        call()
        print(f"{name:<28}{dtype:<10}{time.perf_counter() - start:>8.2f}", flush=True)


@contextlib.contextmanager
def _both_twins() -> Iterator[None]:
    """Run the engine's kernels by their serial and by their parallel twin, inside the block.

    Which of them a fit runs is found out by timing, so no size of data could make sure of both.
    """
    from nnjit.core.jobs import threads

    choose: Callable[..., Any] = threads.call

    def call(twins: Any, parallel: bool, *arguments: Any) -> None:
        choose(twins, False, *arguments)
        choose(twins, True, *arguments)

    threads.call = call
    try:
        yield
    finally:
        threads.call = choose


def _engine_calls(dtype: str) -> Calls:
    """Name and call of training, of the whole gradient for L-BFGS, and of prediction."""
    from nnjit.backends.select import make_engine

    rng = np.random.default_rng(0)
    network = mlp(8, (16,), 3, "relu", "log_loss", "softmax")
    engine = make_engine(network, np.dtype(dtype))
    engine.pack([rng.normal(0, 0.1, one.shape) for _, one in network.parameters()])
    X = rng.standard_normal((_N_ROWS, network.inputs)).astype(dtype)
    dataset = engine.dataset(X, np.arange(_N_ROWS) % network.outputs)
    solver = engine.optimizer("adam")
    solver.learning_rate = 1e-3
    order = np.arange(_N_ROWS)
    yield "train", lambda: engine.train(dataset, order, _N_ROWS, solver, 1e-4, 0, 1)
    packed = np.zeros(network.n_parameters)
    yield "gradient", lambda: engine.loss_gradient(packed, dataset, 1e-4)
    yield "predict", lambda: engine.predict(X)


def _functional_calls(dtype: str) -> Calls:
    """Name and call of every function of `nnjit.functional`, at both sizes."""
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

    one = ["relu", "relu_derivative", "sigmoid", "sigmoid_derivative", "tanh", "tanh_derivative"]
    one += ["softmax", "log_softmax"]
    two = ["hadamard", "softmax_vjp", "squared_error", "squared_error_gradient"]
    calls: list[tuple[str, tuple[Maker, ...]]] = [(name, (normal,)) for name in one]
    calls += [(name, (normal, normal)) for name in two]
    calls += [
        ("softmax_jacobian", (few_rows,)),
        ("dense_forward", (normal, weights)),
        ("dense_backward", (lambda shape: normal((shape[0], 64)), normal, weights)),
        ("poisson", (probabilities, probabilities)),
        ("poisson_gradient", (probabilities, probabilities)),
        ("cross_entropy", (labels, probabilities)),
        ("cross_entropy_gradient", (labels, probabilities)),
    ]
    for name, makers in calls:
        yield name, functools.partial(both, getattr(F, name), *makers)


def _cached(folder: str | None) -> tuple[int, int]:
    """Count the compiled kernels in a folder and their bytes."""
    from nnjit.core.compiler.cache import cached_files

    files = [] if folder is None else cached_files(folder)
    return len(files), sum(size for _, size, _ in files)
