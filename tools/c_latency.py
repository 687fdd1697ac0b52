"""Latency of one row: compiled C of `export_c`, nnjit's predict, scikit-learn's; sizes of files.

    python tools/c_latency.py

prints the table of docs/guide/interchange_c.md. Times are CPU time, the least of several rounds in
which the three take turns.
"""

import ctypes
import shutil
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier as ScikitLearns

from nnjit import ConvClassifier, MLPClassifier, RecurrentClassifier
from nnjit.interop import export_c

ROUNDS, SECONDS = 9, 0.1
LOOP = """
float {name}_loop(long n, float *x, float *out);
float {name}_loop(long n, float *x, float *out)
{{
    float sum = 0.0f;
    while (n-- > 0) {{
        x[0] = sum * 1e-30f; /* so that no call can be left out */
        {name}_predict(x, out);
        sum += out[0];
    }}
    return sum;
}}
"""


def networks(X, y):
    """Networks of 64 values, each with scikit-learn's where that has it."""
    options = {"max_iter": 5, "random_state": 0}
    yield "64-100-10", MLPClassifier((100,), **options), ScikitLearns((100,), **options)
    yield "64-16-10", MLPClassifier((16,), **options), ScikitLearns((16,), **options)
    yield "ConvClassifier 8x8", ConvClassifier(input_shape=(1, 8, 8), **options), None
    yield (
        "GRU of 32 on 8x8",
        RecurrentClassifier(32, cell="gru", input_shape=(8, 8), **options),
        None,
    )


def compiled(folder, model, *flags):
    """The loop of a model, and bytes of its object file without the loop."""
    file, name = folder / "m.c", "m"
    text = export_c(model, file, name=name)
    run("cc", "-std=c99", "-Os", "-c", file, "-o", folder / "m.o")
    size = int(run("size", folder / "m.o").split()[6])
    looped = folder / "loop.c"
    looped.write_text(text + LOOP.format(name=name))
    library = folder / f"loop{time.monotonic_ns()}.so"
    run("cc", "-std=c99", *flags, "-shared", "-fPIC", looped, "-o", library, "-lm")
    call = ctypes.CDLL(str(library)).m_loop
    call.restype = ctypes.c_float
    return call, len(text), size


def run(*command):
    return subprocess.run([*map(str, command)], check=True, capture_output=True, text=True).stdout


def least_times(functions):
    """Microseconds of each function, called in turns."""
    counts = []
    for function in functions:
        count, spent = 1, 0.0
        while spent < SECONDS / 4:
            count *= 2
            spent = timed(function, count)
        counts.append(max(1, int(count * SECONDS / spent)))
    rounds = [[timed(one, n) / n * 1e6 for one, n in zip(functions, counts)] for _ in range(ROUNDS)]
    return np.min(rounds, axis=0)


def timed(function, count):
    start = time.process_time()
    function(count)
    return time.process_time() - start


def calls(model, x):
    def many(n):
        for _ in range(n):
            model.predict_proba(x)

    return many


def main():
    warnings.simplefilter("ignore")
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    x, values, out = X[:1], X[0].copy(), np.zeros(10, np.float32)
    at = [ctypes.c_void_p(array.ctypes.data) for array in (values, out)]
    print("| network | parameters | C, `-O2` | C, `-O3 -march=native` | nnjit | scikit-learn "
          "| file | object, `-Os` |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, model, peer in networks(X, y):
            model.fit(X, y)
            plain, length, size = compiled(Path(folder), model, "-O2")
            wide, _, _ = compiled(Path(folder), model, "-O3", "-march=native")
            functions = [
                lambda n, plain=plain: plain(ctypes.c_long(n), *at),
                lambda n, wide=wide: wide(ctypes.c_long(n), *at),
                calls(model, x),
            ]
            if peer is not None:
                functions.append(calls(peer.fit(X, y), x))
            times = [
                f"{one:.2g} µs" if one < 10 else f"{one:.0f} µs" for one in least_times(functions)
            ]
            times += ["-"] * (4 - len(times))
            n_parameters = model._give_parameters()[0].n_parameters
            row = [name, f"{n_parameters:,}", *times, f"{length:,} B", f"{size:,} B"]
            print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    if shutil.which("cc") is None:
        raise SystemExit("There is no compiler cc.")
    main()
