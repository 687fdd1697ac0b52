"""`python -m nnjit warmup`: compile the kernels once, so that later processes only load them."""

from __future__ import annotations

import time

import numpy as np

from nnjit.cli.cache_report import cache_size

__all__ = ["add_parser", "run"]

# Shapes decide nothing about what is compiled; the number of rows decides whether the serial
# or the parallel twin of a kernel runs.
_LAYERS = (64, 100, 10)
_ROWS = {"serial": 64, "parallel": 8192}


def add_parser(subparsers):
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "warmup",
        help="compile every kernel once",
        description=(
            "Compiles the kernels of training and prediction for one and for several threads, "
            "in float32 and float64, and keeps them on disk: no later fit compiles anything."
        ),
    )
    parser.set_defaults(run=run)


def run(arguments):
    """Compile, or load from the cache, and say how long each kernel took.

    Parameters
    ----------
    arguments : argparse.Namespace
        Unused.

    Returns
    -------
    int
        0.
    """
    from nnjit.backends.threads import thread_count
    from nnjit.core.cache import cache_folder

    folder = cache_folder()
    files_before, _ = _cached(folder)
    started = time.perf_counter()
    twins = list(_ROWS) if thread_count() > 1 else ["serial"]
    print(f"{'kernel':<12}{'twin':<10}{'dtype':<10}{'seconds':>8}")
    for dtype in ("float32", "float64"):
        for twin in twins:
            for kernel, call in _calls(_ROWS[twin], dtype):
                start = time.perf_counter()
                call()
                seconds = time.perf_counter() - start
                print(f"{kernel:<12}{twin:<10}{dtype:<10}{seconds:>8.2f}", flush=True)
    files, size = _cached(folder)
    print(f"\n{time.perf_counter() - started:.1f} s; {files - files_before} kernels were compiled.")
    if folder is None:
        print("No cache folder is writable: the next process compiles them again.")
    else:
        print(f"{files} files, {size / 1e6:.1f} MB in {folder}")
    return 0


def _calls(n_rows, dtype):
    """Name and call of each compiled entry point, on data of the given size."""
    from nnjit.backends.select import make_engine

    rng = np.random.default_rng(0)
    engine = make_engine(_LAYERS, "relu", "softmax", "log_loss", np.dtype(dtype))
    shapes = list(zip(_LAYERS, _LAYERS[1:]))
    engine.pack([rng.normal(0, 0.1, shape) for shape in shapes], [np.zeros(s[1]) for s in shapes])
    X = rng.standard_normal((n_rows, _LAYERS[0])).astype(dtype)
    dataset = engine.dataset(X, np.arange(n_rows) % _LAYERS[-1])
    solver = engine.optimizer("adam")
    solver.learning_rate = 1e-3
    order = np.arange(n_rows)
    yield "train", lambda: engine.train(dataset, order, n_rows, solver, 1e-4, 0, 1)
    yield "predict", lambda: engine.predict(X)


def _cached(folder):
    return (0, 0) if folder is None else cache_size(folder)
