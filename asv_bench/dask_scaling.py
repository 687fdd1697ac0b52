"""One evaluation of L-BFGS on clusters of processes: seconds by the number of workers.

    python asv_bench/dask_scaling.py [--rows 2000000] [--workers 1 2] [--repeat 5]

Clusters stand side by side, each with the same rows in the same parts on workers of one thread,
and take turns, so that other work on the machine hits all alike. Printed are medians of an
evaluation of loss and gradient, once rows are in place and everything is compiled: seconds by the
clock, processor seconds of the busiest worker, those of client and scheduler, and the ratio
of the clocks, turn by turn. Cores that others use count for the clock and not for the processor.
"""

import argparse
import contextlib
import os
import time
import warnings

import numpy as np


def cpu_seconds():
    times = os.times()
    return times.user + times.system


class Turn:
    """A cluster with its rows, and what evaluations on it have taken."""

    def __init__(self, stack, workers, args):
        import dask.array as da
        from distributed import Client, LocalCluster, wait

        from nnjit.dask import DaskMLPClassifier

        cluster = stack.enter_context(
            LocalCluster(
                n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0",
                memory_limit=0,
            )
        )  # fmt: skip
        self.client = stack.enter_context(Client(cluster, set_as_default=False))
        self.workers = workers
        rng = da.random.default_rng(0)
        chunks = args.rows // args.parts
        X = rng.standard_normal((args.rows, args.features), chunks=(chunks, -1), dtype="f4")
        y = (X[:, :10].sum(axis=1) > 0).astype("i4")
        with self.client.as_current():
            self.X, self.y = self.client.persist([X, y])
            wait([self.X, self.y])
        self.model = DaskMLPClassifier(
            args.hidden, solver="lbfgs", max_iter=args.iterations, random_state=0,
            client=self.client,
        )  # fmt: skip
        self.clock, self.busiest, self.here = [], [], []

    def fit(self):
        """Fit once; return seconds of each evaluation."""
        from nnjit.dask._sums import SumOverParts

        call, taken = SumOverParts.__call__, []

        def timed(objective, packed):
            before = (time.perf_counter(), cpu_seconds(), self.client.run(cpu_seconds))
            begun = time.perf_counter()
            found = call(objective, packed)
            clock = time.perf_counter() - begun
            there = self.client.run(cpu_seconds)
            busiest = max(there[place] - before[2][place] for place in there)
            taken.append((clock, busiest, cpu_seconds() - before[1]))
            return found

        SumOverParts.__call__ = timed
        try:
            with self.client.as_current():
                self.model.fit(self.X, self.y)
        finally:
            SumOverParts.__call__ = call
        return np.median(taken[1:], axis=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--features", type=int, default=50)
    parser.add_argument("--hidden", type=int, nargs="*", default=[100])
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    with contextlib.ExitStack() as stack:
        turns = [Turn(stack, count, args) for count in args.workers]
        for turn in turns:
            turn.fit()
        taken = np.array([[turn.fit() for turn in turns] for _ in range(args.repeat)])
        coefs = [turn.model.coefs_[0] for turn in turns]
    print(f"{args.rows} x {args.features}, hidden {args.hidden}, {args.parts} parts")
    for number, count in enumerate(args.workers):
        clock, busiest, here = np.median(taken[:, number], axis=0)
        ratios = taken[:, 0, :2] / taken[:, number, :2]
        print(
            f"{count} workers: {clock:.3f} s, busiest worker {busiest:.3f} CPU s, here {here:.3f} "
            f"CPU s; clock {np.median(ratios[:, 0]):.2f} times {args.workers[0]} "
            f"({ratios[:, 0].min():.2f} to {ratios[:, 0].max():.2f}), CPU "
            f"{np.median(ratios[:, 1]):.2f} times"
        )
    print("same bits:", all(np.array_equal(coefs[0], one) for one in coefs))


if __name__ == "__main__":
    main()
