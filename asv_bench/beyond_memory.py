"""A fit of a file that does not fit in memory, beside one of rows that do.

    python asv_bench/beyond_memory.py FOLDER [--gigabytes 20] [--limit 1] [--format npy|hdf5]

Makes a file of float32 rows in FOLDER, and fits a classifier to it with shuffle='blocks' in a
process of its own, whose memory the kernel bounds (RLIMIT_DATA: heap and anonymous maps, so all but
the pages of the file, which the kernel drops as it likes). Then, in turn with epochs over a part of
the file, it fits the same network to that part in memory, and prints rows a second of each. The
file is removed in the end.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

FEATURES, HIDDEN, BATCH = 100, (100,), 200
BLOCK = 1 << 18  # rows that are made at once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--limit", type=float, default=1, help="GB of memory")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--part", type=float, default=0.5, help="GB that are fitted in memory too")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--format", choices=("npy", "hdf5"), default="npy")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(fit_file(Path(given.child), given.epochs, given.limit)))
        return
    path = given.folder / f"rows.{given.format}"
    n = int(given.gigabytes * 1e9) // (4 * FEATURES)
    try:
        start = time.perf_counter()
        make(path, n)
        print(f"{n:,} rows x {FEATURES}, {path.stat().st_size / 1e9:.1f} GB, made in "
              f"{time.perf_counter() - start:.0f} s", flush=True)  # fmt: skip
        found = in_a_process(path, given)
        print(f"The file, at most {given.limit:g} GB of memory: {found['seconds']:.0f} s an epoch, "
              f"{n / found['seconds']:,.0f} rows/s, peak {found['peak'] / 1e6:.0f} MB "
              f"({found['before'] / 1e6:.0f} before), accuracy {found['score']:.4f}")  # fmt: skip
        beside(path, int(given.part * 1e9) // (4 * FEATURES), given.rounds)
    finally:
        path.unlink(missing_ok=True)
        labels_of(path).unlink(missing_ok=True)


def labels_of(path: Path) -> Path:
    return path.with_suffix(".labels.npy")


def make(path: Path, n: int) -> None:
    """Write rows whose class is a threshold of a few features."""
    labels = np.lib.format.open_memmap(labels_of(path), "w+", np.int8, (n,))
    rng = np.random.default_rng(0)
    block = rng.standard_normal((BLOCK, FEATURES), np.float32)
    with Writer(path, n) as write:
        for start in range(0, n, BLOCK):
            block[:, rng.integers(FEATURES)] *= -1  # other rows each time
            signal = block[:, 0] * block[:, 1] + block[:, 2] - block[:, 3]
            write(start, block[: n - start])
            labels[start : start + BLOCK] = signal[: n - start] > 0
    labels.flush()
    with open(path, "rb") as written:  # so that it is read from the disk
        os.fsync(written.fileno())
        os.posix_fadvise(written.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Writer:
    """Writes blocks of rows to a file, one after the other."""

    def __init__(self, path: Path, n: int) -> None:
        if path.suffix == ".npy":
            self.file = open(path, "wb")  # noqa: SIM115
            header = {"descr": "<f4", "fortran_order": False, "shape": (n, FEATURES)}
            np.lib.format.write_array_header_1_0(self.file, header)
            self.rows = None
        else:
            import h5py

            self.file = h5py.File(path, "w")
            self.rows = self.file.create_dataset(
                "X", (n, FEATURES), np.float32, chunks=(1024, FEATURES)
            )

    def __call__(self, start: int, block: np.ndarray) -> None:
        if self.rows is None:
            block.tofile(self.file)
        else:
            self.rows[start : start + len(block)] = block

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *reason: object) -> None:
        self.file.close()


def opened(path: Path):
    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r")
    import h5py

    return h5py.File(path, "r")["X"]


def network(**parameters):
    from nnjit import MLPClassifier

    given = {"hidden_layer_sizes": HIDDEN, "batch_size": BATCH, "random_state": 0, "tol": 0.0}
    return MLPClassifier(**{**given, **parameters})


def fit_file(path: Path, epochs: int, limit: float) -> dict[str, float]:
    """Fit the file in this process, whose memory is bounded; seconds an epoch and peak."""
    warnings.simplefilter("ignore")
    sample = np.zeros((1000, FEATURES), np.float32)
    network(max_iter=1).fit(sample, np.arange(1000) % 2)  # compiled, or loaded
    before = anonymous()
    resource.setrlimit(resource.RLIMIT_DATA, (int(limit * 1e9), resource.RLIM_INFINITY))
    X, y = opened(path), np.load(labels_of(path))
    peak = Peak()
    start = time.perf_counter()
    model = network(shuffle="blocks", max_iter=epochs).fit(X, y)
    seconds = (time.perf_counter() - start) / epochs
    n = min(len(y), 2_000_000)
    score = float(np.mean(model.predict(X[:n]) == y[:n])) if n < len(y) else model.score(X, y)
    return {"seconds": seconds, "peak": peak.stop(), "before": before, "score": float(score)}


def anonymous() -> int:
    """Bytes of memory that are no pages of a file."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise OSError("no RssAnon: Linux is needed")


class Peak:
    """Looks at the memory every few milliseconds."""

    def __init__(self) -> None:
        import threading

        self.most, self._over = anonymous(), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self.most = max(self.most, anonymous())

    def stop(self) -> int:
        self._over.set()
        self._thread.join()
        return self.most


def in_a_process(path: Path, given: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, str(given.folder), "--child", str(path)]
    command += ["--epochs", str(given.epochs), "--limit", str(given.limit)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def beside(path: Path, n: int, rounds: int) -> None:
    """Epochs over the first rows of the file and over the same rows in memory, in turn."""
    from nnjit.rows import RowSource

    class First(RowSource):
        def __init__(self, rows) -> None:
            self.rows, self.shape, self.dtype = rows, (n, FEATURES), np.dtype(np.float32)

        def read(self, start: int, stop: int):
            return self.rows[start:stop]

    warnings.simplefilter("ignore")
    file = opened(path)
    X, y = np.array(file[:n]), np.load(labels_of(path), mmap_mode="r")[:n].copy()
    ways = {"in memory": (X, True), "in memory, in blocks": (X, "blocks"),
            "in blocks of the file": (First(file), "blocks")}  # fmt: skip
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, (rows, shuffle) in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            network(shuffle=shuffle, max_iter=1).fit(rows, y)
            taken[way].append((time.perf_counter() - wall, time.process_time() - cpu))
    base = np.median(taken["in memory"], axis=0)
    for way, seconds in taken.items():
        wall, cpu = np.median(seconds, axis=0)
        print(f"{way:22} {n / wall:12,.0f} rows/s, {base[0] / wall:.2f} of that in memory "
              f"(by CPU time {base[1] / cpu:.2f})")  # fmt: skip


if __name__ == "__main__":
    main()
