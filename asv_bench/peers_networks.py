"""The part of peers.py about networks of series and images: steps, memory and single predictions.

Of each case every library has processes of its own, one for each number of threads and memory
format; one works at a time, in turn. A process is new for each case, so that its memory is the
case's.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import sys
import time

from benchmarks.network_cases import NETWORK_CASES
from network_fits import NETWORK_PEERS
from peer_fits import NotHere

__all__ = ["NETWORK_CASES", "NETWORK_PEERS", "measure_network", "network_table"]

# Seconds before each measurement, until the threads of the library before stopped waiting for work.
PAUSE = 0.1
# Predictions of one row that are timed together.
PREDICTIONS = 300
_STATUS = "/proc/self/status"


def _megabytes(field):
    """Resident memory now ('VmRSS'), or its peak ('VmHWM'); None where that is not told."""
    try:
        with open(_STATUS) as lines:
            found = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    except OSError:
        return None
    if found:
        return int(found[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 if field == "VmHWM" else None


def serve(connection, name, peer, dtype, quick):
    """A process of one library: ready after one epoch and one prediction, then one a request."""
    try:
        start = time.perf_counter()
        steps = NETWORK_PEERS[peer](NETWORK_CASES[name], dtype, quick)
        before = _megabytes("VmRSS")
        steps.epoch()
        steps.predict()
        connection.send({"first use": time.perf_counter() - start, "before": before})
    except NotHere as error:
        connection.send(str(error))
        return
    except Exception as error:  # whatever a library raises must not end the others' figures
        connection.send(f"{type(error).__name__}: {error}")
        return
    while (request := connection.recv()) is not None:
        connection.send(_answer(steps, request, quick))


def _answer(steps, request, quick):
    if request == "memory":
        return _megabytes("VmHWM")
    count = steps.count if request == "epoch" else 3 if quick else PREDICTIONS
    start, cpu = time.perf_counter(), time.process_time()
    if request == "epoch":
        steps.epoch()
    else:
        for _ in range(count):
            steps.predict()
    return (time.perf_counter() - start) / count, (time.process_time() - cpu) / count


class Worker:
    """The parent's end of such a process."""

    def __init__(self, *arguments):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, *arguments), daemon=True)
        self.process.start()
        theirs.close()
        self.ready = self._receive()

    def ask(self, request):
        time.sleep(PAUSE)
        self.connection.send(request)
        return self._receive()

    def _receive(self):
        try:
            return self.connection.recv()
        except EOFError:
            raise SystemExit("peers.py: a process died") from None

    def close(self):
        if isinstance(self.ready, dict):
            self.connection.send(None)
        self.process.join()


def measure_network(name, dtype, peers, rounds, quick, peaks):
    """What was measured of a case: figures by library, and a summary."""
    ours = next((peer for peer in peers if peer.startswith("nnjit")), None)
    if ours:
        Worker(name, ours, dtype, quick).close()  # compiles, in memory that does not count
    workers = {}
    for peer in peers:
        workers[peer] = Worker(name, peer, dtype, quick)
        if isinstance(workers[peer].ready, str):
            print(f"  {peer}: {workers[peer].ready}", file=sys.stderr, flush=True)
    ready = {peer: one for peer, one in workers.items() if isinstance(one.ready, dict)}
    times = {peer: {"epoch": [], "predict": []} for peer in ready}
    for _ in range(rounds):
        for request in ("epoch", "predict"):
            for peer, worker in ready.items():
                times[peer][request].append(worker.ask(request))
    measured = {peer: _figures(times[peer], ready[peer]) for peer in ready}
    for worker in workers.values():
        worker.close()
    return _summary(NETWORK_CASES[name], dtype, measured, peaks)


def _figures(times, worker):
    """Medians of seconds, least CPU seconds, and memory, of one process."""
    peak, before = worker.ask("memory"), worker.ready["before"]
    return {
        "step": statistics.median(wall for wall, _ in times["epoch"]),
        "step, least CPU": min(cpu for _, cpu in times["epoch"]),
        "row": statistics.median(wall for wall, _ in times["predict"]),
        "row, least CPU": min(cpu for _, cpu in times["predict"]),
        "first use": worker.ready["first use"],
        "MB": peak,
        "MB of steps": peak - before if peak and before else None,
        "all": times,
    }


def _best(measured, library, what):
    """(peer, figure) of the library's least; (None, None) where there is none."""
    found = {
        peer: figures[what]
        for peer, figures in measured.items()
        if peer.startswith(library) and figures[what] is not None
    }
    peer = min(found, key=found.get, default=None)
    return peer, found.get(peer)


def _ratio(theirs, ours):
    return theirs / ours if theirs and ours else None


def _cpu_ratio(measured, library):
    """How many times the CPU time of our step a library's takes, each on one thread."""
    alone = {peer: figures for peer, figures in measured.items() if ", 1 thread" in peer}
    theirs, ours = (_best(alone, name, "step, least CPU")[1] for name in (library, "nnjit"))
    return _ratio(theirs, ours)


def _summary(case, dtype, measured, peaks):
    (our_peer, ours), (their_peer, theirs), (jax_peer, jax) = (
        _best(measured, library, "step") for library in ("nnjit", "PyTorch", "JAX")
    )
    one, every = (
        measured.get(f"nnjit, {threads}", {}).get("step") for threads in ("1 thread", "all threads")
    )
    threads = 1 if our_peer == "nnjit, 1 thread" else os.cpu_count()
    peak = peaks and peaks[dtype] / 2e-9 * threads / os.cpu_count()  # multiply-adds a second
    return {
        "case": case.name,
        "dtype": dtype,
        "products": case.products,
        "floor": peak and case.products / peak,
        "seconds": {"nnjit": ours, "PyTorch": theirs, "JAX": jax},
        "best": {"nnjit": our_peer, "PyTorch": their_peer, "JAX": jax_peer},
        "ratio": _ratio(theirs, ours),
        "budget": case.budget if dtype == "float32" else None,
        "JAX ratio": _ratio(jax, ours),
        "JAX budget": case.jax_budget if dtype == "float32" else None,
        "CPU ratio": [_cpu_ratio(measured, library) for library in ("PyTorch", "JAX")],
        "peak_share": case.products / peak / ours if ours and peak else None,
        "threads_gain": _ratio(one, every),
        "row": {name: _best(measured, name, "row")[1] for name in ("nnjit", "PyTorch")},
        "MB": {
            what: [_best(measured, name, what)[1] for name in ("nnjit", "PyTorch")]
            for what in ("MB of steps", "MB")
        },
        "measured": measured,
    }


_HEADS = (
    "case", "dtype", "GMAC a step", "floor", "nnjit", "PyTorch", "PyTorch's best",
    "PyTorch / nnjit (budget)", "JAX", "JAX / nnjit (budget)",
    "CPU time, 1 thread: PyTorch / nnjit", "JAX / nnjit", "of peak", "1 -> all threads",
    "peak MB (of these, steps): nnjit", "PyTorch", "one row: nnjit", "PyTorch",
)  # fmt: skip


def network_table(rows):
    """The rows as a Markdown table; a ratio below its budget is marked with !."""
    lines = [f"| {' | '.join(_HEADS)} |", "|---|---|" + "--:|" * (len(_HEADS) - 2)]
    return "\n".join(lines + [_line(row) for row in rows])


def _line(row):
    steps, whole = row["MB"]["MB of steps"], row["MB"]["MB"]
    cells = [
        row["case"], row["dtype"], f"{1e-9 * row['products']:.3g}",
        _text(row["floor"], "{:.3g} ms", 1e3),
        *(_text(row["seconds"][name], "{:.3g} ms", 1e3) for name in ("nnjit", "PyTorch")),
        (row["best"]["PyTorch"] or "-").removeprefix("PyTorch, "),
        _with_budget(row["ratio"], row["budget"]), _text(row["seconds"]["JAX"], "{:.3g} ms", 1e3),
        _with_budget(row["JAX ratio"], row["JAX budget"]),
        *(_text(ratio, "{:.2f}") for ratio in row["CPU ratio"]),
        _text(row["peak_share"], "{:.0%}"), _text(row["threads_gain"], "{:.2f}"),
        *(
            f"{_text(whole[k], '{:.0f}')} ({_text(steps[k], '{:.0f}')})" if whole[k] else "-"
            for k in range(2)
        ),
        *(_text(row["row"][name], "{:.3g} us", 1e6) for name in ("nnjit", "PyTorch")),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _text(value, form, factor=1.0):
    return "-" if value is None else form.format(factor * value)


def _with_budget(ratio, budget):
    if ratio is None or budget is None:
        return _text(ratio, "{:.2f}")
    return f"{ratio:.2f} ({budget:g}){'' if ratio >= budget else ' !'}"
