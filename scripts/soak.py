"""Hours of fits in one process: memory stays flat, results stay the same.

Each turn fits several estimators of random kinds and sizes, half of them on data that have to be
refused or on which training diverges, predicts, pickles, and now and then fits from several Python
threads at once. Memory is looked at once a minute; a reference fit has to give the same bits in
every turn.

    python scripts/soak.py --minutes 360

The last line is the result. The status is 1 if memory grew by more than --allowed MiB after the
first tenth of the run, or if bits changed.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import os
import pickle
import sys
import threading
import time
import warnings

import numpy as np

from nnjit import MLPClassifier, MLPRegressor

TURNS_BEFORE = 30  # caches fill


def resident():
    """Resident memory in MiB."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        import resource

        scale = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def fit(rng, fails):
    """Fit one random estimator; whether it was refused."""
    n, m = int(rng.integers(20, 400)), int(rng.integers(2, 40))
    X = rng.standard_normal((n, m)).astype(rng.choice(["float32", "float64"]))
    classifier = rng.random() < 0.5
    y = rng.integers(0, 3, n) if classifier else rng.standard_normal((n, 2))
    model = (MLPClassifier if classifier else MLPRegressor)(
        hidden_layer_sizes=tuple(rng.integers(2, 60, rng.integers(1, 3))),
        solver=str(rng.choice(["adam", "sgd", "lbfgs"])),
        early_stopping=bool(rng.random() < 0.3),
        max_iter=int(rng.integers(1, 12)),
    )
    if fails == 1:
        X[int(rng.integers(n)), 0] = np.nan
    elif fails == 2:
        y = y[1:]
    elif fails == 3:
        model.set_params(solver="sgd", learning_rate_init=1e300, early_stopping=False)
    try:
        model.fit(X, y)
    except ValueError:
        return True
    pickle.loads(pickle.dumps(model)).predict(X)
    return False


def reference():
    """Hash of a fit that has to be the same each time."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((500, 64))
    model = MLPRegressor(hidden_layer_sizes=(150,), max_iter=3, random_state=0).fit(X, X[:, 0])
    parts = [*model.coefs_, *model.intercepts_]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def turn(rng):
    """Ten fits, five of which are meant to fail; four more at once in threads every tenth turn."""
    for fails in (0, 1, 0, 2, 0, 3, 0, 1, 0, 2):
        refused = fit(rng, fails)
        # After a single step at a rate of 1e300 the weights may still be finite.
        assert refused == (fails > 0) or fails == 3, fails
    if rng.random() < 0.1:
        generators = [np.random.default_rng(rng.integers(2**32)) for _ in range(4)]
        threads = [threading.Thread(target=fit, args=(g, 0)) for g in generators]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=360.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--allowed", type=float, default=20.0, help="growth in MiB")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rng, expected = np.random.default_rng(options.seed), reference()
    begin = time.monotonic()
    end = begin + 60.0 * options.minutes
    turns, baseline, report_at, memory = 0, None, begin, 0.0
    while time.monotonic() < end:
        turn(rng)
        turns += 1
        assert reference() == expected, f"other bits in turn {turns}"
        if time.monotonic() < report_at:
            continue
        report_at = time.monotonic() + 60.0
        gc.collect()
        memory = resident()
        minutes = (time.monotonic() - begin) / 60.0
        if baseline is None and turns >= TURNS_BEFORE and minutes >= options.minutes / 10:
            baseline = memory
        print(f"{minutes:8.1f} min {turns:8d} turns {memory:8.1f} MiB", flush=True)
    gc.collect()
    memory = resident()
    growth = memory - (memory if baseline is None else baseline)
    print(f"seed {options.seed}: {11 * turns} fits in {options.minutes:g} minutes, half of them "
          f"refused; memory {memory:.1f} MiB, {growth:+.1f} MiB after the first tenth; the same "
          "bits in every turn")  # fmt: skip
    return growth > options.allowed


if __name__ == "__main__":
    sys.exit(main())
