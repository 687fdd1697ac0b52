"""Workers are killed while a fit goes on."""

import os
import signal
import threading
import warnings

import numpy as np
import pytest
from sklearn.datasets import make_classification

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9"),
]
CHUNK, OPTIONS = 100, {"hidden_layer_sizes": (8,), "random_state": 0, "max_iter": 8}


def rows():
    X, y = make_classification(6 * CHUNK, 6, n_informative=5, n_redundant=0, random_state=0)
    return X, y


def killing(monkeypatch, client, call, places=None):
    """Have the workers at these places, one by default, killed in some call over all parts."""
    from nnjit.dask import _cluster

    once, calls = _cluster.Parts._once, []

    def kill():
        pids = client.run(os.getpid)
        chosen = list(pids)[:1] if places is None else places
        for place in chosen:
            os.kill(pids[place], signal.SIGKILL)

    def watched(self, *arguments):
        calls.append(None)
        if len(calls) == call:
            kill()
        if len(calls) == call + 2:  # and one in the midst of a call
            threading.Timer(0.005, kill).start() if places is None else None
        return once(self, *arguments)

    monkeypatch.setattr(_cluster.Parts, "_once", watched)
    return calls


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_a_fit_ends_with_the_same_bits_after_workers_were_killed(client, monkeypatch, solver):
    from nnjit.dask import DaskMLPClassifier

    X, y = (da.from_array(one, chunks=CHUNK if one.ndim == 1 else (CHUNK, -1)) for one in rows())
    model = DaskMLPClassifier(solver=solver, **OPTIONS)
    expected = model.fit(X, y).to_local()
    before = set(client.run(os.getpid).values())
    calls = killing(monkeypatch, client, call=3)
    model.fit(X, y)
    assert len(calls) >= 8
    assert set(client.run(os.getpid).values()) != before
    assert model.loss_ == expected.loss_
    for a, b in zip(model.coefs_ + model.intercepts_, expected.coefs_ + expected.intercepts_):
        np.testing.assert_array_equal(a, b)


def test_rows_that_nobody_can_make_again_are_missed_by_name(client, monkeypatch):
    from dask import delayed

    from nnjit.dask import DaskMLPClassifier

    client.wait_for_workers(2)
    X, y = rows()
    places = list(client.scheduler_info()["workers"])  # to any of which rows may have been copied
    scattered = client.scatter(X)
    X = da.from_delayed(delayed(scattered), X.shape, dtype=X.dtype)
    model = DaskMLPClassifier(solver="lbfgs", **OPTIONS)
    killing(monkeypatch, client, call=2, places=places)
    with warnings.catch_warnings(), pytest.raises(RuntimeError, match="does not know how to make"):
        warnings.simplefilter("ignore")
        model.fit(X, da.from_array(y, chunks=-1))
    assert not hasattr(model, "coefs_")
