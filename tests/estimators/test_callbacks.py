"""scikit-learn's callbacks on both estimators, alone and inside others."""

import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from problems import problem
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnjit import MLPClassifier, MLPRegressor
from nnjit.training.loop import run_epochs

callback = pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Recorder:
    """A callback that notes what it is told, and may ask for a stop after some epochs."""

    def __init__(self, stop_after=None):
        self.events, self.estimators, self.stop_after = [], [], stop_after

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.events.append(f"end {context.task_name}")
        self.estimators.append(fitted_estimator)
        assert len(X) == len(y)
        return self.stop_after is not None and self.events.count("end epoch") >= self.stop_after


def network(kind="multiclass", **parameters):
    parameters = {"max_iter": 4, "random_state": 0, **parameters}
    if kind == "regression":
        return MLPRegressor(hidden_layer_sizes=(6,), **parameters)
    return MLPClassifier(hidden_layer_sizes=(6,), **parameters)


def scores_of(monitor, expected):
    """Rows of the monitor's log, which a thread of its own fills."""
    for _ in range(100):
        try:
            rows = monitor.get_logs().data
        except ValueError:
            rows = []
        if len(rows) >= expected:
            return rows
        time.sleep(0.05)
    raise AssertionError(f"{len(rows)} rows in the log, not {expected}")


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_callbacks_are_told_of_every_epoch(solver):
    X, y = problem("multiclass")
    recorder = Recorder()
    model = network(solver=solver).set_callbacks(recorder).fit(X, y)
    epochs = ["begin epoch", "end epoch"] * model.n_iter_
    assert recorder.events == ["setup", "begin fit", *epochs, "end fit", "teardown"]


@pytest.mark.parametrize(
    "how", [{"solver": "adam"}, {"solver": "lbfgs"}, {"average": 0.9}], ids=str
)
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
def test_estimator_of_each_epoch_is_that_of_a_shorter_fit(kind, how):
    X, y = problem(kind)
    recorder = Recorder()
    model = network(kind, **how).set_callbacks(recorder).fit(X, y)
    assert len(recorder.estimators) == model.n_iter_ + 1
    for epoch, at_epoch in enumerate(recorder.estimators[:-1], start=1):
        shorter = network(kind, max_iter=epoch, **how).fit(X, y)
        np.testing.assert_array_equal(at_epoch.predict(X), shorter.predict(X))
        assert at_epoch.n_iter_ == epoch
        np.testing.assert_allclose(at_epoch.loss_, shorter.loss_, rtol=1e-12)
    np.testing.assert_array_equal(recorder.estimators[-1].predict(X), model.predict(X))


@pytest.mark.parametrize(
    "how", [{"solver": "adam"}, {"solver": "lbfgs"}, {"average": 0.9}], ids=str
)
def test_callbacks_change_nothing(how):
    X, y = problem("multiclass")
    with_callback = network(**how).set_callbacks(Recorder()).fit(X, y)
    without = network(**how).fit(X, y)
    for a, b in zip(with_callback.coefs_, without.coefs_):
        np.testing.assert_array_equal(a, b)
    left = set(vars(with_callback)) - set(vars(without))
    assert left == {"_skl_callbacks"}


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_callback_can_stop_training(solver):
    X, y = problem("multiclass")
    model = network(solver=solver, max_iter=50).set_callbacks(Recorder(stop_after=3))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model.fit(X, y)
    assert model.n_iter_ == 3
    shorter = network(solver=solver, max_iter=3).fit(X, y)
    np.testing.assert_array_equal(model.coefs_[0], shorter.coefs_[0])


def test_failed_fit_tears_down_and_leaves_the_estimator_unchanged():
    X, y = problem("multiclass")
    recorder = Recorder()
    model = network().fit(X, y).set_callbacks(recorder)
    before = model.coefs_
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.full_like(X, np.nan), y)
    assert recorder.events[-1] == "teardown"
    assert model.coefs_ is before
    assert not hasattr(model, "_callback_fit_ctx")
    model.fit(X, y)
    assert recorder.events.count("setup") == recorder.events.count("teardown") == 2


@pytest.mark.parametrize(("kind", "scoring"), [("multiclass", "accuracy"), ("regression", "r2")])
def test_scoring_monitor_alone(kind, scoring):
    X, y = problem(kind)
    monitor = callback.ScoringMonitor(scoring=scoring)
    model = network(kind).set_callbacks(monitor).fit(X, y)
    rows = scores_of(monitor, 5)
    assert [row["task_name"] for row in rows] == ["fit"] + ["epoch"] * 4
    assert rows[0][scoring] == rows[-1][scoring] == model.score(X, y)


def test_scoring_monitor_with_weights():
    X, y = problem("multiclass")
    weights = np.random.RandomState(0).uniform(size=len(y))
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = network().set_callbacks(monitor).fit(X, y, sample_weight=weights)
    rows = scores_of(monitor, 5)
    assert rows[-1]["accuracy"] == pytest.approx(model.score(X, y, weights))


def test_scoring_monitor_inside_pipeline_and_search():
    X, y = problem("multiclass")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    pipeline = make_pipeline(StandardScaler(), network().set_callbacks(monitor))
    pipeline.fit(X, y)
    assert len(scores_of(monitor, 5)) == 5
    search = GridSearchCV(clone(pipeline), {"mlpclassifier__alpha": [1e-4, 1.0]}, cv=2).fit(X, y)
    # Two candidates on two folds and the refit, each with four epochs and the whole fit.
    rows = scores_of(monitor, 5 * 5)
    assert len(rows) == 25
    assert rows[-1]["estimator_name"] == "MLPClassifier"
    assert search.best_score_ > 0


def test_progress_bar_alone_and_in_a_search(capsys):
    pytest.importorskip("rich", reason="scikit-learn's ProgressBar draws with rich")
    X, y = problem("multiclass")
    network().set_callbacks(callback.ProgressBar()).fit(X, y)
    assert "MLPClassifier - fit" in capsys.readouterr().out
    pipeline = make_pipeline(StandardScaler(), network())
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4]}, cv=2)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(X, y)
    assert not hasattr(search.best_estimator_[-1], "_skl_callbacks")


def test_what_is_no_callback_is_refused():
    with pytest.raises(TypeError, match="FitCallback"):
        network().set_callbacks("progress")


def test_older_scikit_learn_gets_a_clear_message_and_everything_else_works():
    code = (
        "import sys, sklearn.base, sklearn.model_selection\n"
        "sys.modules['sklearn.callback'] = None\n"
        "from nnjit.estimators.classifier import MLPClassifier\n"
        "from nnjit.estimators._callbacks import CallbackSupport, current_report, report_fit\n"
        "assert CallbackSupport.__module__ == 'nnjit.estimators._callbacks'\n"
        "model = MLPClassifier()\n"
        "with report_fit(model, [[1.0]], [0], None):\n    assert current_report(model) is None\n"
        "try:\n    MLPClassifier().set_callbacks()\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "scikit-learn 1.9 and newer" in done.stdout, done.stderr


def test_threads_that_fit_the_same_estimator_do_not_get_in_each_others_way(monkeypatch):
    X, y = problem("multiclass")
    model = network(max_iter=2)
    both_fit, one_left = threading.Barrier(2, timeout=60), threading.Event()

    def meeting(*arguments):
        last = both_fit.wait() == 0
        if last:  # ends after the other has
            assert one_left.wait(timeout=60)
        return run_epochs(*arguments)

    def fit():
        model.fit(X, y)
        one_left.set()

    monkeypatch.setattr("nnjit.estimators._trainable_network.run_epochs", meeting)
    with ThreadPoolExecutor(2) as executor:
        for done in [executor.submit(fit) for _ in range(2)]:
            done.result()
    assert model.n_iter_ == 2


def test_a_callback_may_fit_another_network():
    X, y = problem("multiclass")
    inner, recorder = network(max_iter=2), Recorder()

    class Fitting(Recorder):
        def on_fit_task_begin(self, estimator, context):
            super().on_fit_task_begin(estimator, context)
            inner.fit(X, y)
            inner.partial_fit(X, y)

    fitting = Fitting()
    network(max_iter=3).set_callbacks(fitting, recorder).fit(X, y)
    assert fitting.events.count("end epoch") == recorder.events.count("end epoch") == 3
