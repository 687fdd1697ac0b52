"""Memory over many fits, and Ctrl-C at random moments."""

import sys

import pytest
from fresh_python import jit_only, run_python

pytestmark = jit_only

MEMORY = """
import gc, tracemalloc, warnings
import numpy as np
from nnjit import MLPClassifier, MLPRegressor
warnings.simplefilter("ignore")

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

rng = np.random.RandomState(0)
X = rng.standard_normal((300, 50))
y = rng.randint(0, 3, 300)
bad = X.copy()
bad[7, 3] = np.nan

def turn(i):
    solver = ("adam", "sgd", "lbfgs")[i % 3]
    common = dict(hidden_layer_sizes=(100 + i % 5,), max_iter=2, solver=solver)
    model = MLPClassifier(**common, early_stopping=i % 2 == 0) if i % 4 < 2 else (
        MLPRegressor(**common)
    )
    if i % 2:  # half of them fail, in three ways
        rows, rate = (bad, 1e-3) if i % 3 == 0 else (X, 1e-3)
        target = y[1:] if i % 3 == 1 else y
        if i % 3 == 2:
            model.set_params(solver="sgd", learning_rate_init=1e300)
        try:
            model.fit(rows, target)
        except ValueError:
            return 1
        raise AssertionError(f"fit {i} was to fail")
    model.fit(X, y).predict(X)
    return 0

for i in range(60):
    turn(i)
gc.collect()
before = resident()
tracemalloc.start()
turn(0)
gc.collect()
traced = tracemalloc.get_traced_memory()[0]
assert sum(turn(i) for i in range(300)) == 150
gc.collect()
print((tracemalloc.get_traced_memory()[0] - traced) / 2**20)
tracemalloc.stop()
gc.collect()
print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_flat_over_three_hundred_fits():
    """Half of them fail. Python's own allocations, and the process's resident memory."""
    traced, resident = map(float, run_python(MEMORY).split())
    assert traced < 0.5  # MiB; one network of the test and its state are 0.2
    assert resident < 8.0


INTERRUPTS = """
import os, random, signal, threading, time, warnings
import numpy as np
import workload as w
from nnjit.backends import tuner

signal.signal(signal.SIGINT, signal.default_int_handler)
X, y = w.data("float32", 300, 40)
chosen = tuner.Tuner.run
w.force("parallel")  # so that nothing is left to compile, for which Ctrl-C waits
reference = w.large()
tuner.Tuner.run = chosen
model = w.classifier(hidden_layer_sizes=(30,), max_iter=10**7, tol=0.0, n_iter_no_change=10**7)
random.seed(1)
slowest = 0.0
for i in range(25):
    delay = random.uniform(0.0, 0.1)
    sent = []

    def interrupt():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(delay, interrupt)
    try:
        timer.start()
        model.set_params(warm_start=bool(i % 2)).fit(X, y)
    except KeyboardInterrupt:  # before training had begun
        pass
    timer.join()
    slowest = max(slowest, time.perf_counter() - sent[0])
    if hasattr(model, "coefs_"):
        assert np.isfinite(model.predict_proba(X)).all()
        assert all(np.isfinite(a).all() for a in model.coefs_)
assert w.large() == reference
print(slowest)
"""


def test_interrupts_at_random_moments():
    """Each fit returns, and what follows is as right as before."""
    assert float(run_python(INTERRUPTS)) < 1.0


INTERRUPTED_BETWEEN_EPOCHS = """
import os, random, signal, subprocess, sys, warnings
import numpy as np
from sklearn.base import clone
import workload as w
from nnjit.training.state import TrainingState

SENDER = '''
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)  # sent to all by a terminal
for line in sys.stdin:
    time.sleep(float(line))
    os.kill(int(sys.argv[1]), signal.SIGINT)
    print(flush=True)
'''

warnings.simplefilter("ignore")
signal.signal(signal.SIGINT, signal.default_int_handler)
X, y = w.data("float64", 300, 40)
w.large()  # compile
random.seed(2)
# A thread of this process would send while compiled code runs, and hardly ever in between.
sender = subprocess.Popen(
    [sys.executable, "-c", SENDER, str(os.getpid())], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
)
recorded = TrainingState.record

def record(state, *values):
    if not state.loss_curve:
        sender.stdin.write(f"{random.uniform(0.0, 0.05)}\\n".encode())
        sender.stdin.flush()
    recorded(state, *values)

for i in range(40):
    width = 4 if i % 2 else 30
    model = w.classifier(
        hidden_layer_sizes=(width,), max_iter=10**7, tol=0.0, n_iter_no_change=10**7, random_state=i
    )
    TrainingState.record = record
    model.fit(X, y)
    TrainingState.record = recorded
    sender.stdout.readline()
    whole = clone(model).set_params(max_iter=model.n_iter_).fit(X, y)
    print(i, model.n_iter_)
    for _ in range(3):
        assert model.loss_curve_ == whole.loss_curve_, i
        assert (model.n_iter_, model.t_) == (whole.n_iter_, whole.t_), i
        for one, other in zip(model.coefs_ + model.intercepts_, whole.coefs_ + whole.intercepts_):
            assert np.array_equal(one, other), i
        model.partial_fit(X, y)
        whole.partial_fit(X, y)
sender.stdin.close()
sender.wait()
"""


def test_an_interrupted_fit_is_a_shorter_one():
    """Several epochs run in one call: all of them count, and the next one goes on from there."""
    print(run_python(INTERRUPTED_BETWEEN_EPOCHS))
