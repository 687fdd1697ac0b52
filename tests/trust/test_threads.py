"""Threads: any number, any layer, many callers at once; the same bits and the caller's mask."""

import os
import threading

import numpy as np
import pytest
from fresh_python import LAYERS, jit_only, run_python

from nnjit.core.jobs import threads

pytestmark = jit_only


def test_some_layer_is_there():
    assert "workqueue" in LAYERS


@pytest.mark.parametrize("count", [1, 2, pytest.param(3, marks=pytest.mark.slow), 4])
def test_bits_over_layers_and_numbers_of_threads(layer, count, serial_digests):
    """One thread starts no pool."""
    output = run_python(
        "import workload as w; print(w.large('float32'), w.large('float64'), w.layer())",
        NUMBA_THREADING_LAYER=layer,
        NUMBA_NUM_THREADS=count,
        NNJIT_TEST_DRIVER="parallel",
    )
    assert output.split() == serial_digests + ([layer] if count > 1 else [])


def test_bits_of_other_losses_over_numbers_of_threads():
    found = {
        run_python(
            "import workload as w; print(w.losses('float32'), w.losses('float64'))",
            NUMBA_NUM_THREADS=count,
            NNJIT_TEST_DRIVER="serial" if count == 1 else "parallel",
        )
        for count in (1, 2, 4)
    }
    assert len(found) == 1


@pytest.mark.slow
def test_more_threads_than_cores(serial_digests):
    count = 4 * (os.cpu_count() or 1)
    output = run_python(
        "import workload as w; print(w.large('float32'), w.large('float64'))",
        NUMBA_NUM_THREADS=count,
        NNJIT_TEST_DRIVER="parallel",
    )
    assert output.split() == serial_digests


EIGHT_THREADS = """
import threading, sys
import workload as w

jobs = [(dtype, seed) for seed in range(4) for dtype in ("float32", "float64")]
results, barrier = {}, threading.Barrier(len(jobs))

def work(job):
    barrier.wait()
    results[job] = [w.large(*job) for _ in range(2)]

threads = [threading.Thread(target=work, args=[job]) for job in jobs]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(results) == len(jobs), "a thread ended by an error"
assert w.layer() == sys.argv[1], w.layer()
w.force("serial")
for job in jobs:
    assert results[job] == 2 * [w.large(*job)], job
"""


def test_eight_python_threads_fit_and_predict_at_once(layer):
    """The first calls meet too: each thread may be the one that compiles or loads."""
    run_python(
        EIGHT_THREADS,
        layer,
        NUMBA_THREADING_LAYER=layer,
        NUMBA_NUM_THREADS=2,
        NNJIT_TEST_DRIVER="parallel",
    )


@pytest.mark.slow
def test_eight_python_threads_compile_at_once(tmp_path):
    run_python(
        EIGHT_THREADS,
        "workqueue",
        NUMBA_THREADING_LAYER="workqueue",
        NUMBA_NUM_THREADS=2,
        NNJIT_TEST_DRIVER="parallel",
        NUMBA_CACHE_DIR=tmp_path,
        limit=400,
    )


MASK = """
import os, signal, threading, time, sys
import numba, numpy as np
import workload as w

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
numba.set_num_threads(3)
X, y = w.data()
model = w.classifier().fit(X, y)
model.predict(np.tile(X, (20, 1)))
assert w.layer() == sys.argv[1]
assert numba.get_num_threads() == 3, "after success"

try:
    w.classifier(solver="sgd", learning_rate_init=1e300).fit(X, y)
except ValueError as error:
    assert "not finite" in str(error)
else:
    raise AssertionError("a learning rate of 1e300 was fitted with")
assert numba.get_num_threads() == 3, "after an error"

timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
timer.start()
model = w.classifier(max_iter=10**7, tol=0.0, n_iter_no_change=10**7).fit(X, y)
timer.join()
assert 0 < model.n_iter_ < 10**7
assert numba.get_num_threads() == 3, "after an interrupt"

from nnjit.core.jobs import threads
taken = []
other = threading.Thread(target=lambda: taken.append(threads._in_parallel.acquire(blocking=False)))
other.start()
other.join()
assert taken == [True], "the lock of the parallel kernels was left taken"
"""


def test_mask_of_the_caller_is_left_as_it_was(layer):
    """After success, an error and an interrupt."""
    run_python(
        MASK,
        layer,
        NUMBA_THREADING_LAYER=layer,
        NUMBA_NUM_THREADS=4,
        NNJIT_TEST_DRIVER="parallel",
    )


INTERRUPTED_COMPILATION = """
import os, signal, sys, threading, time
import numpy as np
import workload as w

signal.signal(signal.SIGINT, signal.default_int_handler)
X, y = w.data("float64", 60, 5)
for delay in (0.3, 1.0, 2.0) if len(sys.argv) < 2 else map(float, sys.argv[1:]):
    model = w.classifier(hidden_layer_sizes=(7,))
    timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        model.fit(X, y)
        timer.join()
        time.sleep(0.1)
    except KeyboardInterrupt:
        timer.join()
print(w.small())
"""


def test_interrupt_while_compiling(tmp_path):
    """Ctrl-C in the first fit, before its code is there: the next fit is right."""
    output = run_python(INTERRUPTED_COMPILATION, NUMBA_CACHE_DIR=tmp_path)
    assert output == run_python("import workload as w; print(w.small())")


@pytest.mark.slow
@pytest.mark.parametrize("delay", np.linspace(0.1, 6.0, 24).round(2))
def test_interrupt_while_compiling_at_many_moments(delay, tmp_path):
    output = run_python(INTERRUPTED_COMPILATION, delay, NUMBA_CACHE_DIR=tmp_path)
    assert output == run_python("import workload as w; print(w.small())")


def test_interrupt_just_after_the_lock_was_taken(monkeypatch):
    """Ctrl-C between taking the lock of the parallel kernels and the kernel: it is given back."""

    class Interrupted:
        def __init__(self):
            self.lock = threading.RLock()
            self.release = self.lock.release

        def acquire(self, blocking):
            assert self.lock.acquire(blocking=blocking)
            raise KeyboardInterrupt

    interrupted = Interrupted()
    monkeypatch.setattr(threads, "_in_parallel", interrupted)
    monkeypatch.setattr(threads, "thread_count", lambda: 2)
    with pytest.raises(KeyboardInterrupt):
        threads.call(None, True)
    with pytest.raises(RuntimeError):
        interrupted.lock.release()


OTHER_OPENMP = """
import sys, warnings
import numpy as np
import workload as w
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingRegressor

X, y = w.data()

def sklearn_work():
    KMeans(8, n_init=1, random_state=0).fit(X)
    HistGradientBoostingRegressor(max_iter=3).fit(X, y)

def torch_work():
    import torch
    layer = torch.nn.Linear(500, 500)
    layer(torch.ones(3000, 500)).sum().backward()

other = torch_work if sys.argv[2] == "torch" else sklearn_work
for _ in range(3):
    other()
    print(w.large("float32"), w.large("float64"))
other()
assert w.layer() == sys.argv[1]
"""


@pytest.mark.slow
@pytest.mark.parametrize("library", ["sklearn", "torch"])
def test_turns_with_other_openmp_code(layer, library, serial_digests):
    pytest.importorskip(library)
    output = run_python(
        OTHER_OPENMP,
        layer,
        library,
        NUMBA_THREADING_LAYER=layer,
        NUMBA_NUM_THREADS=2,
        NNJIT_TEST_DRIVER="parallel",
    )
    assert output.split() == 3 * serial_digests
