"""Forks, pools of processes and joblib's backends after the threads of this one have started."""

import multiprocessing

import pytest
from fresh_python import jit_only, run_python

pytestmark = jit_only

FORK = """
import os, signal, sys
import numba, numpy as np
import workload as w

if sys.argv[2] == "ignored":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif sys.argv[2] == "handled":
    signal.signal(signal.SIGTERM, lambda *args: None)

@numba.njit(parallel=True)
def somebody_elses(x):
    total = 0.0
    for i in numba.prange(len(x)):
        total += x[i]
    return total

if sys.argv[3] == "nnjit":
    expected = w.large()
else:  # nnjit has not run yet: all it can know is what Numba knows
    assert somebody_elses(np.ones(1000)) == 1000.0
    expected = sys.argv[4]
assert w.layer() == sys.argv[1]

def child(depth):
    signal.alarm(60)
    assert w.large() == expected
    X, y = w.data()
    model = w.classifier().fit(X, y)
    model.predict(np.tile(X, (8, 1)))
    if depth:
        fork(depth - 1)

def fork(depth):
    pid = os.fork()
    if pid == 0:
        try:
            child(depth)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0

fork(1)
fork(0)
assert w.large() == expected  # the parent goes on, on its threads
"""


@pytest.mark.parametrize(
    ("sigterm", "starter"),
    [
        ("ignored", "nnjit"),
        ("default", "other"),
        pytest.param("default", "nnjit", marks=pytest.mark.slow),
        pytest.param("handled", "nnjit", marks=pytest.mark.slow),
        pytest.param("ignored", "other", marks=pytest.mark.slow),
    ],
)
def test_fork_after_the_threads_have_started(layer, sigterm, starter, serial_digests):
    """Child and grandchild fit and predict, whoever had started the threads.

    GNU OpenMP ends a forked child by SIGTERM; ignoring that would leave it computing zeros.
    """
    run_python(
        FORK,
        layer,
        sigterm,
        starter,
        serial_digests[1],
        NUMBA_THREADING_LAYER=layer,
        NUMBA_NUM_THREADS=2,
        NNJIT_TEST_DRIVER="parallel",
    )


FORK_WHILE_COMPILING = """
import os, signal, sys, threading, time
import workload as w
from numba.core.compiler_lock import global_compiler_lock
from nnjit.core.compiler import jit  # the module with the fork handlers

inside, over = threading.Event(), threading.Event()

def compile_slowly():
    with global_compiler_lock:
        inside.set()
        time.sleep(0.5)
        over.set()

thread = threading.Thread(target=compile_slowly)
thread.start()
inside.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    w.small()
    os._exit(0)
assert over.is_set()  # the fork has waited
assert os.waitpid(pid, 0)[1] == 0
thread.join()
print(w.small())
"""


def test_fork_while_another_thread_compiles():
    """The child could wait for ever for a lock whose owner does not exist in it."""
    output = run_python(FORK_WHILE_COMPILING)
    assert output == run_python("import workload as w; print(w.small())")


POOL = """
import multiprocessing, sys
import workload as w

if __name__ == "__main__":
    expected = [w.large("float32"), w.large("float64")]
    assert w.layer() == sys.argv[1]
    with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
        assert pool.map(w.large, ["float32", "float64"] * 2) == 2 * expected
    print(*expected)
"""


@pytest.mark.parametrize(
    "method",
    [
        name if name == "fork" else pytest.param(name, marks=pytest.mark.slow)
        for name in multiprocessing.get_all_start_methods()
    ],
)
def test_pool_after_a_fit(layer, method, serial_digests):
    output = run_python(
        POOL,
        layer,
        method,
        NUMBA_THREADING_LAYER=layer,
        NUMBA_NUM_THREADS=2,
        NNJIT_TEST_DRIVER="parallel",
        limit=60,
    )
    assert output.split() == serial_digests


SEARCH = """
import sys, warnings
import joblib, numpy as np
import workload as w
from sklearn.model_selection import GridSearchCV

X, y = w.data("float32")
grid = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(20,), (150,)]}

def search(n_jobs):
    return GridSearchCV(w.classifier(), grid, cv=2, n_jobs=n_jobs).fit(X, y)

one = search(1)
with joblib.parallel_config(backend=sys.argv[2]):
    two = search(2)
for key in ("mean_test_score", "split0_test_score", "split1_test_score"):
    np.testing.assert_array_equal(one.cv_results_[key], two.cv_results_[key])
assert w.digest(one.best_estimator_, X) == w.digest(two.best_estimator_, X)
assert w.layer() == sys.argv[1]
"""


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("loky", marks=pytest.mark.slow),
        "threading",
        pytest.param("multiprocessing", marks=pytest.mark.slow),
    ],  # fmt: skip
)
def test_grid_search_with_two_jobs_equals_one(layer, backend):
    run_python(
        SEARCH,
        layer,
        backend,
        NUMBA_THREADING_LAYER=layer,
        NUMBA_NUM_THREADS=2,
        NNJIT_TEST_DRIVER="parallel",
    )


NESTED = """
import sys
from joblib import Parallel, delayed
import workload as w

def inner(dtype):
    return Parallel(n_jobs=2, prefer="threads")(delayed(w.large)(dtype, s) for s in (0, 1))

expected = [[w.large(dtype, s) for s in (0, 1)] for dtype in ("float32", "float64")]
for backend in ("loky", "threading", "multiprocessing"):
    got = Parallel(n_jobs=2, backend=backend)(delayed(inner)(d) for d in ("float32", "float64"))
    assert got == expected, backend
assert w.layer() == sys.argv[1]
"""


@pytest.mark.slow
def test_nested_joblib(layer):
    run_python(
        NESTED,
        layer,
        NUMBA_THREADING_LAYER=layer,
        NUMBA_NUM_THREADS=2,
        NNJIT_TEST_DRIVER="parallel",
    )


DASK = """
import joblib
import workload as w
from distributed import Client, LocalCluster

if __name__ == "__main__":
    expected = [w.large(dtype, s) for dtype in ("float32", "float64") for s in (0, 1)]
    with LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0") as cluster:
        with Client(cluster), joblib.parallel_config(backend="dask"):
            got = joblib.Parallel()(
                joblib.delayed(w.large)(dtype, s) for dtype in ("float32", "float64")
                for s in (0, 1)
            )
    assert got == expected
"""


@pytest.mark.slow
def test_dask_cluster(tmp_path):
    pytest.importorskip("distributed")
    program = tmp_path / "program.py"  # its workers are spawned and import the main module
    program.write_text(DASK)
    run_python(
        f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')",
        NUMBA_NUM_THREADS=2,
        NNJIT_TEST_DRIVER="parallel",
        cwd=tmp_path,
    )
