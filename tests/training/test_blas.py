"""BLAS is limited to one thread while SciPy's optimizer runs, and not a moment longer."""

import signal
import threading

import numpy as np
import pytest
import scipy.linalg.blas  # noqa: F401  (loads the BLAS that is limited)
from threadpoolctl import threadpool_info, threadpool_limits

from nnjit import MLPRegressor
from nnjit.layers.network import mlp
from nnjit.training import blas
from nnjit.training.lbfgs import minimize_lbfgs, objective_of
from numpy_engine import make_engine


def blas_threads():
    return {
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    }


@pytest.fixture(autouse=True)
def two_threads():
    """Start from two threads, whatever the machine has."""
    if not blas_threads():
        pytest.skip("this BLAS cannot be limited")
    with threadpool_limits(limits=2, user_api="blas"):
        yield
        assert blas_threads() == {2}


@pytest.mark.parametrize("ending", [None, ValueError, KeyboardInterrupt])
def test_the_callers_number_holds_again_afterwards(ending):
    engine = make_engine(mlp(3, (), 2, "identity", "squared_error", "identity"), "f8")
    dataset = engine.dataset(np.eye(3), np.ones((3, 2)))
    original, seen = engine.loss_gradient, []

    def watched(*arguments):
        seen.append(blas_threads())
        if ending is not None and len(seen) == 3:
            raise ending
        return original(*arguments)

    engine.loss_gradient = watched
    objective = objective_of(engine, dataset, 0.0)
    options = {"max_iter": 50, "max_fun": 100, "tol": 1e-8, "verbose": False}
    if ending is ValueError:
        with pytest.raises(ValueError):
            minimize_lbfgs(objective, np.zeros(8), **options)
    elif ending is KeyboardInterrupt:
        with pytest.warns(UserWarning, match="interrupted"):
            minimize_lbfgs(objective, np.zeros(8), **options)
    else:
        minimize_lbfgs(objective, np.zeros(8), **options)
    assert len(seen) >= 3
    assert set().union(*seen) == {1}
    assert blas_threads() == {2}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_several_threads_at_once():
    """Only one of them may set the number, and all leave it as it was."""
    together = threading.Barrier(4)

    def fit():
        together.wait(20)
        MLPRegressor(hidden_layer_sizes=(20,), solver="lbfgs", max_iter=20).fit(X, X[:, 0])

    X = np.random.RandomState(0).standard_normal((60, 20))
    threads = [threading.Thread(target=fit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blas_threads() == {2}


@pytest.mark.parametrize("moment", ["limit", "restore_original_limits"])
def test_interrupt_while_the_number_changes(moment, monkeypatch, heard):
    class Libraries:
        """Those that are limited, with a Ctrl-C in the middle of one call."""

        def limit(self, **options):
            if moment == "limit":
                signal.raise_signal(signal.SIGINT)
            self.limiter = real.limit(**options)
            return self

        def restore_original_limits(self):
            if moment != "limit":
                signal.raise_signal(signal.SIGINT)
            self.limiter.restore_original_limits()

    real = blas._libraries()
    monkeypatch.setattr(blas, "_libraries", Libraries)
    with pytest.raises(KeyboardInterrupt), blas.single_threaded_blas():
        assert moment != "limit"
    assert blas_threads() == {2}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_bits_do_not_depend_on_the_callers_number():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((60, 20))
    fits = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            model = MLPRegressor(
                hidden_layer_sizes=(200,), solver="lbfgs", max_iter=30, random_state=0
            )
            fits.append(model.fit(X, X[:, 0] * X[:, 1]))
    for one, other in zip(fits[0].coefs_, fits[1].coefs_):
        np.testing.assert_array_equal(one, other)
