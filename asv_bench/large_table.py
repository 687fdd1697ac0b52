"""Time and memory of an estimator for tables on a large one with columns of all kinds.

    python asv_bench/large_table.py [--rows 1000000] [--preset fast] [--values]

Of 50 columns 28 are numbers, some with missing cells, 4 whole numbers, 4 truth values, 6 texts of
few categories, 5 of a thousand, 2 dates and one a name for each row. Memory is what the process had
at most during the fit beyond what it had before, where the frame was there already, and in all.
With --seconds and --megabytes the status is 1 where the fit takes longer, or the process has more.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from nnjit import TabularClassifier, TabularRegressor


def words(rng, n, levels):
    """Texts of some categories; equal ones are one object."""
    names = np.array([f"level {k}" for k in range(levels)], dtype=object)
    return names[rng.integers(0, levels, n)]


def mixed_table(n, seed=0):
    """Return a frame of 50 columns, and values that depend on some of them."""
    rng = np.random.default_rng(seed)
    columns = {}
    for i in range(28):
        values = rng.lognormal(0, 1, n) if i % 2 else rng.normal(size=n)
        if i % 4 == 0:
            values[rng.random(n) < 0.1] = np.nan
        columns[f"number {i}"] = values
    columns |= {f"count {i}": rng.poisson(3, n) for i in range(4)}
    columns |= {f"truth {i}": rng.random(n) < 0.3 for i in range(4)}
    columns |= {f"few {i}": words(rng, n, 3 + i) for i in range(6)}
    columns |= {f"many {i}": words(rng, n, 1000) for i in range(5)}
    day = np.datetime64("2010-01-01")
    columns |= {f"date {i}": day + rng.integers(0, 4000, n) for i in range(2)}
    columns["name"] = np.array([f"row {i}" for i in rng.permutation(n)], dtype=object)
    last = np.array([int(word[6:]) % 7 for word in columns["many 0"]])
    y = columns["number 1"] + columns["number 2"] * columns["truth 0"] + 0.3 * last
    return pd.DataFrame(columns), y + 0.1 * rng.normal(size=n)


def megabytes(field):
    """Return what Linux says of the process: VmRSS is what it has, VmHWM what it had at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return np.nan


def memory(field):
    try:
        return megabytes(field)
    except OSError:  # another system
        return np.nan


def forget_the_most():
    """Let the most memory be counted from now on."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def warm_up(kind, preset):
    """Load or compile the kernels."""
    X, y = mixed_table(2000, seed=1)
    kind(preset, max_iter=1, random_state=0).fit(X, y if kind is TabularRegressor else y > 1.5)


def main():
    """Print times, memory and the score."""
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--preset", choices=("fast", "default", "best"), default="fast")
    parser.add_argument("--max-iter", type=int, help="epochs, else the preset's")
    parser.add_argument("--values", action="store_true", help="regression, not classification")
    parser.add_argument("--seconds", type=float, default=np.inf, help="a fit may take")
    parser.add_argument("--megabytes", type=float, default=np.inf, help="the process may have")
    given = parser.parse_args()
    kind = TabularRegressor if given.values else TabularClassifier
    warm_up(kind, given.preset)
    X, y = mixed_table(given.rows)
    y = y if given.values else np.where(y > 1.5, "high", "low")
    forget_the_most()
    before, start = memory("VmRSS"), time.perf_counter()
    cpu = time.process_time()
    model = kind(given.preset, max_iter=given.max_iter, random_state=0).fit(X, y)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    most = memory("VmHWM")
    print(model.report_)
    print(f"{given.rows} x {X.shape[1]}, fit: {seconds:.1f} s, of the CPU {cpu:.1f} s")
    print(f"memory: {before:.0f} MB before, at most {most:.0f} MB, {most - before:.0f} MB more")
    Z, expected = mixed_table(max(given.rows // 10, 1000), seed=2)
    expected = expected if given.values else np.where(expected > 1.5, "high", "low")
    start = time.perf_counter()
    score = model.score(Z, expected)
    print(f"score of {len(Z)} other rows: {score:.4f}, {time.perf_counter() - start:.1f} s")
    too_long, too_large = seconds > given.seconds, most > given.megabytes
    if too_long or too_large:
        print(f"more than {given.seconds} s or {given.megabytes} MB", file=sys.stderr)
    return int(too_long or too_large)


if __name__ == "__main__":
    sys.exit(main())
