"""Networks trained beside one another: real interrupts, forks and joblib's backends."""

import pytest
from fresh_python import LAYERS, jit_only, run_python

pytestmark = jit_only

INTERRUPTS = """
import os, random, signal, threading, time, warnings
import numpy as np
from sklearn.base import clone
import workload as w
from nnjit import AutoEncoder

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
X, _ = w.data("float32", 300, 40)
reference = w.members("float32")  # compiles
random.seed(1)
slowest, begun = 0.0, []
for i in range(6):
    model = AutoEncoder(
        4, (60,), n_members=5, max_iter=10**7, tol=0.0, n_iter_no_change=10**7, random_state=i,
        learning_rate="constant",
    )
    sent = []

    def interrupt():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(random.uniform(0.1, 0.3), interrupt)
    timer.start()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X)
    slowest = max(slowest, time.perf_counter() - sent[0])
    timer.join()
    assert threading.active_count() == 1
    assert [str(one.message) for one in caught] == ["Training interrupted by user."], caught
    begun.append(1 + len(model.members_))
    warnings.simplefilter("ignore")
    for one in (model, *model.members_):  # each is a shorter fit
        assert 1 <= one.n_iter_ < 10**7
        whole = clone(one).set_params(n_members=1, max_iter=one.n_iter_).fit(X)
        assert one.loss_curve_ == whole.loss_curve_, i
        assert all(map(np.array_equal, one.coefs_, whole.coefs_)), i
    assert model.predict(X).shape == (300,)
assert max(begun) == 2, begun  # of five, in two threads
assert w.members("float32") == reference
print(slowest)
"""


def test_ctrl_c_ends_all_members_with_what_they_have_learned():
    assert float(run_python(INTERRUPTS, NUMBA_NUM_THREADS=2)) < 1.0


HANDLER = """
import os, signal, threading
import workload as w

told = []
signal.signal(signal.SIGINT, lambda *arguments: told.append(arguments))
reference = w.members()
timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
timer.start()
while timer.is_alive() or not told:
    assert w.members() == reference  # such a handler interrupts nothing
assert len(told) == 1
assert signal.getsignal(signal.SIGINT).__name__ == "<lambda>"
"""


def test_a_handler_of_the_users_own_decides_what_ctrl_c_does():
    run_python(HANDLER, NUMBA_NUM_THREADS=2)


FORK = """
import os, signal, threading
import workload as w

expected, over = w.members(), threading.Event()

def keep_training():
    while not over.is_set():
        assert w.members() == expected

others = threading.Thread(target=keep_training)
others.start()
for _ in range(6):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        os._exit(0 if w.members() == expected else 1)
    assert os.waitpid(pid, 0)[1] == 0
over.set()
others.join()
assert w.members() == expected
"""


def test_a_fork_amid_other_members_trains_its_own():
    """Their threads are not there, and may have held what is needed."""
    run_python(FORK, NUMBA_NUM_THREADS=2, NNJIT_TEST_DRIVER="parallel")


JOBLIB = """
import sys
import joblib
import workload as w

if __name__ == "__main__":
    expected = [w.members(seed=seed) for seed in range(3)]
    calls = [joblib.delayed(w.members)(seed=seed) for seed in range(3)]
    for backend in sys.argv[1:]:
        assert joblib.Parallel(2, backend=backend)(calls) == expected, backend
"""


def test_joblib_trains_members_in_processes_and_threads(tmp_path):
    pytest.importorskip("joblib")
    (tmp_path / "main.py").write_text(JOBLIB)
    code = "import runpy, sys; runpy.run_path('main.py', run_name='__main__')"
    run_python(code, "loky", "threading", cwd=tmp_path, NUMBA_NUM_THREADS=2)


BITS = """
import workload as w
print(w.members("float32"), w.members("float64"))
"""


def test_bits_over_numbers_of_threads_and_layers():
    """Also where the last member has the cores of all others, by the driver of several threads."""
    found = {
        run_python(
            BITS,
            NUMBA_THREADING_LAYER=layer,
            NUMBA_NUM_THREADS=count,
            NNJIT_TEST_DRIVER="serial" if count == 1 else "parallel",
        )
        for count, layer in ((1, "workqueue"), (2, LAYERS[0]), (4, "workqueue"))
    }
    assert len(found) == 1
