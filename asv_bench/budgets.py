"""The budgets beside the seven fits: prediction, sparse input, L-BFGS, searches, threads, start.

    python asv_bench/budgets.py                    all of them, medians of 5
    python asv_bench/budgets.py --only csr lbfgs

Two alternatives are run in turn and the ratio of their medians is printed beside its budget.
Parallel and serial fits, and what a first use costs, are measured in processes of their own.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from benchmarks import start
from benchmarks.cases import CASES, estimator, make_data

warnings.simplefilter("ignore")


# Until the threads of the library called before have stopped waiting for more work on a core; not
# for calls so short that they have none, and would be timed with cold caches.
PAUSE, SHORT = 0.1, 0.005


def medians(functions, rounds):
    """Median seconds of each function, called in turn after one warm-up."""
    times = [[] for _ in functions]

    def seconds_of_all():
        begin = time.perf_counter()
        for function in functions:
            function()
        return time.perf_counter() - begin

    # the first calls compile or load kernels
    pause = PAUSE if seconds_of_all() > SHORT and seconds_of_all() > SHORT else 0.0
    for _ in range(rounds):
        for function, taken in zip(functions, times):
            time.sleep(pause)
            begin = time.perf_counter()
            function()
            taken.append(time.perf_counter() - begin)
    return [statistics.median(taken) for taken in times]


def libraries():
    import sklearn.neural_network

    import nnjit

    return nnjit, sklearn.neural_network


def compare(name, budget, functions, rounds, repeat=1):
    """Print how many times as long the second function takes as the first."""

    def repeated(function):
        def run():  # keeps no result: fresh memory for each would be most of the time
            for _ in range(repeat):
                function()

        return run

    ours, theirs = medians([repeated(f) for f in functions], rounds)
    show(
        name, theirs / ours, budget, f"{ours / repeat * 1e6:.4g} and {theirs / repeat * 1e6:.4g} us"
    )


def show(name, value, budget, note, most=False):
    met = value <= budget if most else value >= budget
    limit = "at most" if most else "at least"
    print(
        f"{name:44} {value:8.2f}  {limit} {budget:<5g} {'ok ' if met else 'NO '} {note}", flush=True
    )


def prediction(rounds):
    """predict_proba of one row, and of many."""
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        X, y = rng.standard_normal((2000, 64)).astype(dtype), rng.integers(0, 10, 2000)
        models = [m.MLPClassifier(max_iter=3, random_state=0).fit(X, y) for m in libraries()]
        for n, budget, repeat in ((1, 4, 300), (200_000, 8, 1)):
            rows = rng.standard_normal((n, 64)).astype(dtype)
            calls = [functools.partial(model.predict_proba, rows) for model in models]
            compare(f"predict_proba of {n} x 64, {dtype}", budget, calls, rounds, repeat)


def csr(rounds):
    """20000 x 5000 CSR at 1 % density, hidden 100."""
    from scipy import sparse

    y = np.random.default_rng(0).integers(0, 2, 20_000)
    for dtype in ("float32", "float64"):
        X = sparse.random(20_000, 5_000, 0.01, format="csr", dtype=dtype, random_state=0)
        fits = [
            functools.partial(m.MLPClassifier(max_iter=2, random_state=0).fit, X, y)
            for m in libraries()
        ]
        compare(f"fit of 20000 x 5000 CSR, {dtype}", 5, fits, rounds)


def lbfgs(rounds):
    """Digits, hidden 100, to the same optimum."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    for dtype in ("float32", "float64"):
        models = [m.MLPClassifier(solver="lbfgs", random_state=0) for m in libraries()]
        scaled = (X / 16).astype(dtype)
        compare(
            f"lbfgs on digits, {dtype}",
            4,
            [functools.partial(m.fit, scaled, y) for m in models],
            rounds,
        )
        print(f"{'':44} losses {models[0].loss_:.3g} and {models[1].loss_:.3g}, "
              f"iterations {models[0].n_iter_} and {models[1].n_iter_}")  # fmt: skip


def search(rounds):
    """GridSearchCV with 12 candidates and 5 folds on digits."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import GridSearchCV

    X, y = load_digits(return_X_y=True)
    grid = {"alpha": [1e-5, 1e-4, 1e-3, 1e-2], "learning_rate_init": [3e-4, 1e-3, 3e-3]}
    for jobs, budget in ((1, 6), (2, 4)):
        fits = [
            functools.partial(
                GridSearchCV(m.MLPClassifier(max_iter=30, random_state=0), grid, n_jobs=jobs).fit,
                X / 16, y,
            )
            for m in libraries()
        ]  # fmt: skip
        compare(f"GridSearchCV on digits, n_jobs={jobs}", budget, fits, 1)


def jacobian(rounds):
    """softmax_jacobian beside the lecture's function in float32."""
    from nnjit import functional

    def two_einsums(Z):
        e = np.exp(np.subtract(Z, np.max(Z, axis=1, keepdims=True)))
        s = np.divide(e, np.sum(e, axis=1, keepdims=True))
        a = np.eye(s.shape[-1], dtype=np.float32)
        first = np.einsum("ij,jk->ijk", s, a)
        second = np.einsum("ij,ik->ijk", s, s)
        return np.subtract(first, second)

    for shape, budget, repeat in (((200, 10), 4, 300), ((1024, 10), 8, 100), ((1024, 100), 8, 5)):
        Z = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        functions = [functools.partial(f, Z) for f in (functional.softmax_jacobian, two_einsums)]
        compare(f"softmax_jacobian of {shape}", budget, functions, rounds, repeat)


def activations(rounds):
    """Every other activation beside relu on 20640 x 8, hidden 64-64."""
    import nnjit
    from nnjit.formulas import hidden_activations

    case = CASES["20640x8, 64-64, 64"]
    for dtype in ("float32", "float64"):
        X, y = make_data(case, dtype)
        names = ("relu", *sorted({*hidden_activations()} - {"relu", "identity"}))
        fits = [functools.partial(estimator(nnjit, case, activation=n).fit, X, y) for n in names]
        taken = medians(fits, rounds)
        for name, seconds in zip(names[1:], taken[1:]):
            most = {"logistic": 1.25, "tanh": 1.25, "gelu": 2.0, "mish": 2.0}.get(name, 1.5)
            show(f"{name} / relu, {dtype}", seconds / taken[0], most, "", most=True)


def busy(stop):
    while not stop.is_set():
        sum(range(100_000))


def threads(rounds):
    """Fits with all threads beside serial ones, on an idle machine and with one busy core."""
    import nnjit
    from nnjit.backends.tuner import Tuner

    chosen = Tuner.run

    def serial(tuner, function, first, last):
        function(False, first, last)

    def fit(case, X, y, run):
        Tuner.run = run
        try:
            estimator(nnjit, case).fit(X, y)
        finally:
            Tuner.run = chosen

    for loaded in (False, True):
        stop = multiprocessing.Event()
        other = multiprocessing.Process(target=busy, args=(stop,), daemon=True)
        if loaded:
            other.start()
        for number, case in enumerate(CASES.values()):
            for dtype in ("float32", "float64"):
                X, y = make_data(case, dtype)
                runs = [functools.partial(fit, case, X, y, run) for run in (chosen, serial)]
                ours, alone = medians(runs, rounds)
                budget = 0.5 if loaded else 1.7 if number >= 5 else 0.95
                label = "one core busy" if loaded else "idle"
                show(f"serial / threaded, {case.name}, {dtype}", alone / ours, budget, label)
        if loaded:
            stop.set()
            other.join()


def first_use(rounds):
    """Import, first fit ever, first fit of a process."""
    show("import beyond scikit-learn, s", start.Import().track_import_beyond_scikit_learn(), 0.35,
         "", most=True)  # fmt: skip
    for dtype in ("float32", "float64"):
        mlp, rbf = (start.first_use_seconds(use, dtype) for use in ("MLP", "RBF"))
        show(f"first fit and prediction ever, {dtype}, CPU s", mlp, 5, "empty cache", most=True)
        show(f"a radial network beyond that, {dtype}, CPU s", rbf - mlp, 1.5, "", most=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = {"NUMBA_CACHE_DIR": folder}
        cold = start._seconds(start._FIRST_FIT, **environment)
        show("first fit ever, s", cold, 6, "empty cache", most=True)
        warm = start._best(start._FIRST_FIT, **environment)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        show("first fit of a process, s beyond a second", warm, 0.4,
             f"{len(files)} cache files, {size / 1e3:.0f} kB", most=True)  # fmt: skip


_MEMORY = """
import sys, importlib, warnings
sys.path.insert(0, {folder!r})
warnings.simplefilter("ignore")
from benchmarks.cases import CASES, estimator, make_data
library = importlib.import_module({library!r})
case = CASES[{case!r}]
X, y = make_data(case, {dtype!r})
warm = CASES["1797x64, 100, 200"]
estimator(library, warm).fit(*make_data(warm, {dtype!r}))
def status(key):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(key))
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
estimator(library, case, max_iter=2).fit(X, y)
print((status("VmHWM") - before) / 1024)
"""


def memory(rounds):
    """Peak memory of a fit beyond what is resident after a fit of digits' size (Linux)."""
    if not Path("/proc/self/clear_refs").exists():
        return
    for name in CASES:
        for dtype in ("float32", "float64"):
            peaks = []
            for library in ("nnjit", "sklearn.neural_network"):
                code = _MEMORY.format(
                    folder=str(Path(__file__).parent), library=library, case=name, dtype=dtype
                )
                done = subprocess.run(
                    [sys.executable, "-c", code], capture_output=True, text=True, check=True
                )
                peaks.append(float(done.stdout))
            show(f"peak MB, {name}, {dtype}", peaks[0], max(peaks[1], 0.25),
                 f"scikit-learn {peaks[1]:.1f}", most=True)  # fmt: skip


BUDGETS = {
    f.__name__: f
    for f in (
        prediction, csr, lbfgs, search, jacobian, activations, threads, first_use, memory,
    )
}  # fmt: skip


def main(argv=None):
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=BUDGETS, default=list(BUDGETS))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args(argv)
    for name in arguments.only:
        print(f"# {BUDGETS[name].__doc__.strip()}", flush=True)
        BUDGETS[name](arguments.rounds)


if __name__ == "__main__":
    main()
