"""The table of docs/guide/maps.md, self-organizing maps beside minisom, as Markdown.

    python asv_bench/map_table.py              the least of 3 rounds
    python asv_bench/map_table.py --rounds 5
    python asv_bench/map_table.py --memory     peak memory of a fit of 100,000 and of 1,000,000 rows

CPU seconds of one thread; both libraries in turn. minisom is at its defaults (width 1, rate 0.5,
random weights to start from), with ten times as many steps as there are rows, and with 30 epochs of
its batch rule, from the width and the plane in which nnjit begins. Errors are all measured by
nnjit: mean distances to the nearest unit, and shares of rows whose two nearest units do not touch.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

# before NumPy and Numba are imported
for variable in ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_digits  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

from nnjit import SelfOrganizingMap  # noqa: E402

EPOCHS, FEATURES = 10, 20
MEMORY = """
import sys
import numpy as np
from nnjit import SelfOrganizingMap

def peak():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

n, features = map(int, sys.argv[1:])
rng, X = np.random.default_rng(0), np.empty((n, features))
SelfOrganizingMap((20, 20), max_iter=2).fit(rng.standard_normal((1000, features)))
for first in range(0, n, 1000):
    X[first : first + 1000] = rng.standard_normal((1000, features))
before = peak()
som = SelfOrganizingMap((20, 20)).fit(X)
print(f"{peak() - before:.1f} MB, labels {som.labels_.nbytes / 2**20:.1f} MB")
"""


def problems():
    """Name, rows and size of the map."""
    digits = load_digits().data
    digits = digits[:, digits.std(axis=0) > 0]
    cancer = load_breast_cancer().data
    normal = np.random.default_rng(0).standard_normal((20_000, FEATURES))
    for name, X, size in (
        ("breast cancer", cancer, 10),
        ("digits", digits, 10),
        ("digits", digits, 20),
        ("normal numbers", normal, 20),
    ):
        X = np.ascontiguousarray(StandardScaler().fit_transform(X))
        yield f"{name}, {len(X)} x {X.shape[1]}, {size} x {size}", X, size


def errors_of(weights, X):
    """Quantization and topographic error of a map, whoever made it."""
    from nnjit.training.map_grid import Grid
    from nnjit.training.self_organizing import Comparison, Units

    units = Units(weights.reshape(-1, X.shape[1]), X.dtype, Comparison(False, False))
    return units.errors(X, None, Grid(*weights.shape[:2], False, False))


def ours(X, size, seed):
    return SelfOrganizingMap((size, size), topology="rectangular").fit(X).weights_


def minisom(X, size, seed):
    from minisom import MiniSom

    som = MiniSom(size, size, X.shape[1], random_seed=seed)
    som.train(X, EPOCHS * len(X))
    return som.get_weights()


def minisom_batch(X, size, seed):
    from minisom import MiniSom

    som = MiniSom(size, size, X.shape[1], sigma=size / 2, random_seed=seed)
    som.pca_weights_init(X)
    som.train_batch_offline(X, 30)
    return som.get_weights()


def measured(X, size, rounds):
    """Least seconds, and the mean errors, of each library."""
    makers = {"nnjit": ours, "minisom, online": minisom, "minisom, batch": minisom_batch}
    ours(X, size, 0)  # compiles
    found = {name: [] for name in makers}
    for seed in range(rounds):
        for name, make in makers.items():
            start = time.process_time()
            weights = make(X, size, seed)
            found[name].append((time.process_time() - start, *errors_of(weights, X)))
    for name, rows in found.items():
        seconds, distance, topographic = zip(*rows)
        yield name, min(seconds), np.mean(distance), np.mean(topographic)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    given = parser.parse_args()
    if given.memory:
        for n in (100_000, 1_000_000):
            command = [sys.executable, "-c", MEMORY, str(n), str(FEATURES)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            print(f"{n} x {FEATURES}, 20 x 20 units, above the rows: {done.stdout.strip()}")
        return
    print("| data, map | nnjit | minisom, online | minisom, batch |\n|---|--:|--:|--:|")
    for title, X, size in problems():
        rows = list(measured(X, size, given.rounds))
        cells = [title]
        for name, seconds, distance, topographic in rows:
            times = "" if name == "nnjit" else f" ({seconds / rows[0][1]:.0f} x)"
            cells.append(f"{seconds:.3g} s{times}, {distance:.2f}, {topographic:.3f}")
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
