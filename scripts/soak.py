"""Hours of fits in one process: memory stays flat, results stay the same.

Each turn fits several estimators of random kinds and sizes, half of them on data that have to be
refused or on which training diverges, predicts, pickles, and now and then fits from several Python
threads at once. Memory is looked at once a minute; a reference fit has to give the same bits in
every turn.

    python scripts/soak.py --minutes 360
    python scripts/soak.py --equivalent 360      the work scikit-learn does in 360 minutes

What scikit-learn would need is estimated: one turn in a hundred is done again by its classes, in a
process of their own so that this one's memory is nnjit's. The last line is the result. The status
is 1 if memory grew by more than --allowed MiB after the first tenth of the run, or if bits changed.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import multiprocessing
import os
import pickle
import sys
import threading
import time
import warnings

import numpy as np
import sklearn.neural_network

import nnjit

TURNS_BEFORE = 30  # caches fill
TURNS_TIMED = 100  # of so many turns one is done by scikit-learn as well


def resident():
    """Resident memory in MiB."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        import resource

        scale = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def fit(rng, fails, library=nnjit):
    """Fit one random estimator; whether it was refused."""
    n, m = int(rng.integers(20, 600)), int(rng.integers(2, 40))
    X = rng.standard_normal((n, m)).astype(rng.choice(["float32", "float64"]))
    classifier = rng.random() < 0.5
    y = rng.integers(0, 3, n) if classifier else rng.standard_normal((n, 2))
    model = (library.MLPClassifier if classifier else library.MLPRegressor)(
        hidden_layer_sizes=tuple(rng.integers(2, 60, rng.integers(1, 3))),
        solver=str(rng.choice(["adam", "sgd", "lbfgs"])),
        early_stopping=bool(rng.random() < 0.3),
        max_iter=int(rng.integers(1, 60)),
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


def reference(library=nnjit):
    """Hash of a fit that has to be the same each time."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((500, 64))
    model = library.MLPRegressor(hidden_layer_sizes=(150,), max_iter=3, random_state=0).fit(
        X, X[:, 0]
    )
    parts = [*model.coefs_, *model.intercepts_]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def turn(rng, library=nnjit):
    """Ten fits, five of which are meant to fail; four more at once in threads every tenth turn."""
    for fails in (0, 1, 0, 2, 0, 3, 0, 1, 0, 2):
        refused = fit(rng, fails, library)
        # After a single step at a rate of 1e300 the weights may still be finite.
        assert refused == (fails > 0) or fails == 3, fails
    if rng.random() < 0.1:
        generators = [np.random.default_rng(rng.integers(2**32)) for _ in range(4)]
        threads = [threading.Thread(target=fit, args=(g, 0, library)) for g in generators]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def peer_seconds(rng):
    """Seconds of its thread that scikit-learn takes for the turn that begins with this state."""
    warnings.simplefilter("ignore")
    begin = time.thread_time()  # other loads of the machine do not count
    turn(rng, sklearn.neural_network)
    reference(sklearn.neural_network)
    return time.thread_time() - begin


class Peer:
    """scikit-learn's time for the turns so far, from those of them that it does as well."""

    def __init__(self):
        self._pool = multiprocessing.get_context("spawn").Pool(1)
        self._turns = self._timed = 0
        self._seconds = 0.0
        self._pool.apply(peer_seconds, (np.random.default_rng(0),))  # its imports are not counted

    def count(self, rng):
        """Count the turn that begins now."""
        if self._turns % TURNS_TIMED == 0:
            self._seconds += self._pool.apply(peer_seconds, (rng,))
            self._timed += 1
        self._turns += 1

    @property
    def minutes(self):
        return self._seconds / max(self._timed, 1) * self._turns / 60.0


class Memory:
    """Resident memory once a minute, and its growth after the first tenth of the run."""

    def __init__(self):
        self.now, self.growth = 0.0, 0.0
        self._baseline, self._next = None, time.monotonic()

    def look(self, turns, done, line):
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 60.0
        self.measure()
        if self._baseline is None and turns >= TURNS_BEFORE and done >= 0.1:
            self._baseline = self.now
        print(f"{line} {turns:8d} turns {self.now:8.1f} MiB", flush=True)

    def measure(self):
        gc.collect()
        self.now = resident()
        if self._baseline is not None:
            self.growth = self.now - self._baseline


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, help="of the clock; 360 unless told")
    parser.add_argument("--equivalent", type=float, help="minutes of scikit-learn's, instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--allowed", type=float, default=20.0, help="growth in MiB")
    options = parser.parse_args()
    if options.minutes is None and options.equivalent is None:
        options.minutes = 360.0
    return options


def main():
    options = arguments()
    warnings.simplefilter("ignore")
    rng, expected = np.random.default_rng(options.seed), reference()
    peer, memory, turns, begin = Peer(), Memory(), 0, time.monotonic()
    while True:
        minutes = (time.monotonic() - begin) / 60.0
        done = max(
            minutes / (options.minutes or np.inf), peer.minutes / (options.equivalent or np.inf)
        )
        if done >= 1.0:
            break
        peer.count(rng)
        turn(rng)
        turns += 1
        assert reference() == expected, f"other bits in turn {turns}"
        memory.look(turns, done, f"{minutes:8.1f} min ({peer.minutes:.1f} of scikit-learn)")
    memory.measure()
    print(f"seed {options.seed}: {11 * turns} fits in {minutes:.0f} minutes, "
          f"{peer.minutes:.0f} minutes of scikit-learn's, half of them refused; memory "
          f"{memory.now:.1f} MiB, {memory.growth:+.1f} MiB after the first tenth; the same bits in "
          "every turn")  # fmt: skip
    return memory.growth > options.allowed


if __name__ == "__main__":
    sys.exit(main())
