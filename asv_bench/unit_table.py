"""The table of seconds per unit in docs/how_it_is_fast.md, as Markdown.

    python asv_bench/unit_table.py             the least of 3 runs for each precision
    python asv_bench/unit_table.py --rounds 5

CPU seconds of one thread, nothing being cached; on a quiet machine.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from benchmarks.start import _USES, first_use_seconds, unit_seconds

DTYPES = ("float32", "float64")


def row_of(family, name):
    """The row that a unit is counted in: the driver is one, and a map with its derivative."""
    if family == "driver":
        return family, "tasks of training and prediction"
    return family, name.replace("_", " ", 1) if family == "layer" else name.split(", backward")[0]


def least(measure, rounds):
    """Least of some measurements of numbers by key."""
    found = [measure() for _ in range(rounds)]
    return {key: min(one[key] for one in found) for key in found[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    columns = [least(lambda dtype=dtype: unit_seconds(dtype), rounds) for dtype in DTYPES]
    rows = {}
    for number, column in enumerate(columns):
        for unit, seconds in column.items():
            rows.setdefault(row_of(*unit), [0.0, 0.0])[number] += seconds
    print("| family | unit | float32 | float64 |")
    print("|---|---|--:|--:|")
    for (family, name), seconds in rows.items():
        print(f"| {family} | {name} | {seconds[0]:.2f} | {seconds[1]:.2f} |")
    for use in _USES:
        seconds = [min(first_use_seconds(use, dtype) for _ in range(rounds)) for dtype in DTYPES]
        print(f"| a first fit and prediction | {use} | {seconds[0]:.2f} | {seconds[1]:.2f} |")


if __name__ == "__main__":
    main()
