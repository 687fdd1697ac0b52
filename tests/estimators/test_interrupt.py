"""Ctrl-C in a long fit: back within a second, with the weights so far."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from nnjit import AutoEncoder
from nnjit.backends.cpu import CpuEngine
from nnjit.training import loop, members

PROGRAM = """
import os, signal, sys, threading, time, warnings
import numpy as np
from nnjit import MLPClassifier, MLPRegressor

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
solver = sys.argv[1]
rng = np.random.RandomState(0)
# One evaluation of L-BFGS goes through all rows and cannot be interrupted.
n_samples = 4000 if solver == "lbfgs" else 20000
X = rng.standard_normal((n_samples, 300)).astype(np.float32)
y = np.tanh(X[:, :3]).sum(axis=1)
model = MLPRegressor(
    hidden_layer_sizes=(400, 400), solver=solver, max_iter=100000, n_iter_no_change=100000, tol=0.0,
    early_stopping=False, random_state=0, alpha=0.0,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    model.set_params(max_iter=1).fit(X, y)  # compiles
model.set_params(max_iter=100000)
sent = []

def interrupt():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

threading.Timer(3.0, interrupt).start()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model.fit(X, y)
waited = time.perf_counter() - sent[0]
assert [str(w.message) for w in caught] == ["Training interrupted by user."], caught
assert model.n_iter_ < 100000
assert model.predict(X[:5]).shape == (5,)
assert model.score(X, y) > 0.0  # something was learned
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    model.set_params(max_iter=1, warm_start=True).fit(X, y)
assert model.n_iter_ == 1
print(waited)
"""


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_interrupt(solver):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), solver],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    waited = float(done.stdout)
    assert waited < 1.0


@pytest.mark.parametrize("n_members", [1, 3])
def test_in_the_first_epoch_early_stopping_keeps_what_was_learned(n_members, monkeypatch):
    """The best weights are those of the start until an epoch has been scored."""
    X = np.random.RandomState(0).standard_normal((300, 5))
    options = {"early_stopping": True, "random_state": 0, "batch_size": 10}
    start = AutoEncoder(2, (4,), learning_rate_init=1e-300, max_iter=1, **options).fit(X)
    train, calls = CpuEngine.train, []

    def interrupted(engine, *arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return train(engine, *arguments)

    monkeypatch.setattr(loop, "WORK_PER_CALL", 1.0)
    monkeypatch.setattr(CpuEngine, "train", interrupted)
    monkeypatch.setattr(members, "free_threads", lambda: 1)
    model = AutoEncoder(2, (4,), n_members=n_members, **options)
    with pytest.warns(UserWarning) as caught:
        model.fit(X)
    assert [str(one.message) for one in caught] == ["Training interrupted by user."]
    assert (model.n_iter_, model.members_) == (0, [])
    assert not np.array_equal(model.coefs_[0], start.coefs_[0])
    np.testing.assert_allclose(model.coefs_[0], start.coefs_[0], atol=0.1)
