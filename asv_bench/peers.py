"""Fit times of nnjit beside scikit-learn, PyTorch and JAX, in one run, alternating.

    python asv_bench/peers.py                      all cases, medians of 5
    python asv_bench/peers.py --cases 1797 --quick
    python asv_bench/peers.py --networks           networks of images and series, recurrent ones too
    python asv_bench/peers.py --device cuda --json out.json
    python asv_bench/peers.py --json asv_bench/results/peers/laptop.json --note "a laptop, idle"

Each library runs in a process of its own, so that no library's waiting threads disturb
another's fit; one fits at a time, in turn. Times are whole fits as a user calls them, compile
time apart. A missing library, or one that fails, is a dash. With --device cuda PyTorch is measured
eager and with CUDA graphs, our own CPU goes along, and larger fits and a prediction come in
(peers_cuda.py). With --networks these are training steps of networks of images and series, beside
PyTorch in both memory formats, recurrent ones beside JAX too and PyTorch's series padded and
packed, with the share of the multiply-add peak, memory, and predictions of
one row (peers_networks.py).

The documentation's page of benchmarks is drawn from the reports in asv_bench/results/peers/.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from benchmarks.cases import CASES, GPU_CASES, GPU_PREDICTION
from peer_fits import PEERS, NotHere, prepare
from peers_cuda import CUDA_PEERS, cuda_machine, cuda_table, why_no_gpu
from peers_networks import NETWORK_CASES, NETWORK_PEERS, measure_network, network_table

# Seconds before each fit, until the threads of the library before have stopped waiting for work.
PAUSE = 0.1
DTYPES = ("float32", "float64")
EVERY_CASE = {**CASES, **GPU_CASES, f"predict {GPU_PREDICTION.name}": GPU_PREDICTION}
VERSIONS = ("nnjit", "numpy", "numba", "scikit-learn", "torch", "jax")


def serve(connection, peer, device):
    """A library's process: prepare a case on demand, then time one fit per request."""
    fit = None
    while (request := connection.recv()) is not None:
        try:
            if request == "fit":
                start = time.perf_counter()
                fit()
                connection.send(time.perf_counter() - start)
                continue
            name, dtype = request
            fit = prepare(peer, EVERY_CASE[name], dtype, device)
            connection.send("ready")
        except NotHere as error:
            connection.send(str(error))
        except Exception as error:  # whatever a library raises must not end the others' figures
            connection.send(f"{type(error).__name__}: {error}")


class Worker:
    """The parent's end of a library's process."""

    def __init__(self, peer, device):
        self.peer = peer
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, peer, device), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, request):
        self.connection.send(request)
        try:
            return self.connection.recv()
        except EOFError:
            raise SystemExit(f"peers.py: the process of {self.peer} died") from None

    def close(self):
        self.connection.send(None)
        self.process.join()


def measure(workers, name, dtype, rounds):
    """Median seconds of a case's fit by library; None where one cannot run it."""
    ready = [worker for worker in workers if answered(worker, (name, dtype)) == "ready"]
    times = {worker.peer: [] for worker in ready}
    for _ in range(rounds):
        for worker in list(ready):
            time.sleep(PAUSE)
            seconds = answered(worker, "fit")
            if isinstance(seconds, str):
                ready.remove(worker)
                times[worker.peer] = []
            else:
                times[worker.peer].append(seconds)
    return {
        worker.peer: {"median": statistics.median(t), "all": t}
        if (t := times.get(worker.peer))
        else None
        for worker in workers
    }


def answered(worker, request):
    """A library's answer, said if it is a failure."""
    answer = worker.ask(request)
    if isinstance(answer, str) and answer != "ready":
        print(f"  {worker.peer}: {answer}", file=sys.stderr, flush=True)
    return answer


def summarize(name, dtype, times, peaks):
    """One row of the table: seconds, ratios, arithmetic rate and budgets."""
    case = CASES[name]
    seconds = {peer: times[peer] and times[peer]["median"] for peer in times}
    ours = seconds.get("nnjit")
    torch = _best(seconds, ("PyTorch, 1 thread", "PyTorch, all threads"))
    compiled = _best({"torch": torch, "JAX": seconds.get("JAX")}, ("torch", "JAX"))
    to_scikit_learn, to_compiled = case.budgets[DTYPES.index(dtype)], case.budgets[2]
    rate = ours and case.flops / ours / 1e9
    return {
        "case": name,
        "dtype": dtype,
        "times": times,
        "seconds": {
            "nnjit": ours,
            "scikit-learn": seconds.get("scikit-learn"),
            "PyTorch": torch,
            "JAX": seconds.get("JAX"),
        },
        "ratio": {
            "scikit-learn": _ratio(seconds.get("scikit-learn"), ours),
            "PyTorch or JAX": _ratio(compiled, ours),
        },
        "budget": {
            "scikit-learn": to_scikit_learn,
            "PyTorch or JAX": to_compiled if dtype == "float32" else None,
        },
        "gflops": rate,
        "peak_share": _share(rate, peaks, dtype),
    }


def _share(rate, peaks, dtype):
    return rate / peaks[dtype] if rate and peaks else None


def _best(seconds, names):
    present = [seconds[name] for name in names if seconds.get(name)]
    return min(present, default=None)


def _ratio(theirs, ours):
    return theirs / ours if theirs and ours else None


def table(rows):
    """The rows as a Markdown table; a ratio below its budget is marked with !."""
    lines = [
        "| case | dtype | nnjit | scikit-learn | PyTorch | JAX | scikit-learn / nnjit (budget) "
        "| PyTorch or JAX / nnjit (budget) | GFLOP/s | of peak |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    return "\n".join(lines + [table_row(row) for row in rows])


def table_row(row):
    """One line of the table."""
    cells = [row["case"], row["dtype"]]
    cells += [_milliseconds(s) for s in row["seconds"].values()]
    cells += [_with_budget(row["ratio"][key], row["budget"][key]) for key in row["ratio"]]
    cells.append("-" if row["gflops"] is None else f"{row['gflops']:.1f}")
    cells.append("-" if not row["peak_share"] else f"{row['peak_share']:.0%}")
    return "| " + " | ".join(cells) + " |"


def _milliseconds(seconds):
    return "-" if seconds is None else f"{1e3 * seconds:.3g} ms"


def _with_budget(ratio, budget):
    if ratio is None:
        return "-"
    if budget is None:
        return f"{ratio:.1f}"
    return f"{ratio:.1f} ({budget:g}){'' if ratio >= budget else ' !'}"


def machine(device, peaks, note):
    """What the figures depend on."""
    versions = {}
    for name in VERSIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "date": datetime.date.today().isoformat(),
        "note": note,
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "device": device,
        "python": platform.python_version(),
        "versions": versions,
        "fma_peak_gflops": peaks,
    }


def fma_peaks():
    """Measured GFLOP/s of all cores in each precision."""
    from fma_peak import fma_peak

    from nnjit.core.simd import TILE

    return {dtype: fma_peak(dtype, os.cpu_count(), TILE.bytes) for dtype in DTYPES}


def chosen_cases(patterns, cases):
    names = [name for name in cases if any(pattern in name for pattern in patterns)]
    if not names:
        raise SystemExit(f"peers.py: no case matches; there are {'; '.join(cases)}")
    return names


def networks(arguments):
    """The same for networks of images and series; what has been measured is kept."""
    names = chosen_cases(arguments.cases, NETWORK_CASES)
    peers = [peer for peer in arguments.peers or NETWORK_PEERS if peer in NETWORK_PEERS]
    peaks, rows = fma_peaks(), []
    for name in names:
        for dtype in arguments.dtypes or DTYPES[:1]:
            rounds = 1 if arguments.quick else arguments.rounds
            peaks = {key: max(peaks[key], peak) for key, peak in fma_peaks().items()}
            rows.append(measure_network(name, dtype, peers, rounds, arguments.quick, peaks))
            print(network_table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
            report = {"machine": machine("cpu", peaks, arguments.note), "networks": rows}
            arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(network_table(rows))
    print_peaks(peaks)
    print(f"JSON: {arguments.json}")


def print_peaks(peaks):
    listed = ", ".join(f"{dtype} {peak:.0f}" for dtype, peak in peaks.items())
    print(f"\nMeasured fused multiply-add peak of all cores, GFLOP/s: {listed}")


def main(argv=None):
    """Measure, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=[""], help="parts of cases' names")
    everyone = dict.fromkeys([*PEERS, *CUDA_PEERS, *NETWORK_PEERS])
    parser.add_argument("--peers", nargs="+", choices=list(everyone), help="default: all")
    parser.add_argument(
        "--dtypes", nargs="+", choices=DTYPES, help="default: both, for networks float32"
    )
    parser.add_argument("--rounds", type=int, default=5, help="fits per library (median counts)")
    parser.add_argument("--quick", action="store_true", help="one round: a smoke test, no figures")
    parser.add_argument("--networks", action="store_true", help="networks of images and series")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", type=Path, default=Path("peers.local.json"), metavar="FILE")
    parser.add_argument("--note", help="what the report says of the machine, as how busy it was")
    arguments = parser.parse_args(argv)
    if arguments.device == "cuda" and (reason := why_no_gpu()):
        raise SystemExit(f"peers.py: --device cuda needs an NVIDIA GPU: {reason}")
    if arguments.networks:
        networks(arguments)
        return
    names = chosen_cases(arguments.cases, CASES if arguments.device == "cpu" else EVERY_CASE)
    known = PEERS if arguments.device == "cpu" else CUDA_PEERS
    chosen = [peer for peer in arguments.peers or known if peer in known]
    peaks = fma_peaks() if arguments.device == "cpu" else None
    workers = [Worker(peer, arguments.device) for peer in chosen]
    rows = []
    for name in names:
        for dtype in arguments.dtypes or DTYPES:
            times = measure(workers, name, dtype, 1 if arguments.quick else arguments.rounds)
            # The machine is at its fastest only now and then: the best of all measurements.
            peaks = peaks and {key: max(peaks[key], peak) for key, peak in fma_peaks().items()}
            if arguments.device == "cuda":
                rows.append({"case": name, "dtype": dtype, "times": times})
                print(cuda_table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
                # A GPU may be lent for minutes only: what has been measured is kept.
                arguments.json.write_text(json.dumps({"cases": rows}, indent=1) + "\n")
                continue
            rows.append(summarize(name, dtype, times, peaks))
            print(table_row(rows[-1]), file=sys.stderr, flush=True)
    for worker in workers:
        worker.close()
    report = {"machine": machine(arguments.device, peaks, arguments.note), "cases": rows}
    if peaks:
        for row in rows:
            row["peak_share"] = _share(row["gflops"], peaks, row["dtype"])
    else:
        report["machine"]["gpu"] = cuda_machine()
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(table(rows) if peaks else cuda_table(rows))
    if peaks:
        print_peaks(peaks)
    print(f"JSON: {arguments.json}")


if __name__ == "__main__":
    main()
