"""Warnings match the filters written for scikit-learn's, and show the line that the user wrote."""

import pickle
import re
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
from problems import problem
from sklearn import neural_network as peer
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nnjit
from nnjit._warnings import MLP_MODULE

X, Y = problem("multiclass")
TARGET = problem("regression")[1]
COLUMN = Y[:, np.newaxis]


def recorded(call, *filters, **more):
    """Warnings of a call under the filters given, the last in front; all are shown otherwise."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for arguments in filters:
            warnings.filterwarnings(*arguments, **more)
        call()
    return caught


def here(line):
    """Number of the only line of this file that ends in the comment."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (number,) = [i for i, text in enumerate(lines, start=1) if text.endswith(f"# {line}")]
    return number


def fit(house, name, y, **parameters):
    model = getattr(house, name)(hidden_layer_sizes=(4,), random_state=0, **parameters)
    return lambda: model.fit(X, y)  # the fit


def partial_fit(house, name, y, **parameters):
    model = getattr(house, name)(hidden_layer_sizes=(4,), random_state=0, **parameters)
    classes = {"classes": np.unique(y)} if name == "MLPClassifier" else {}
    return lambda: model.partial_fit(X, y, **classes)  # the partial_fit


CLASSIFIER, REGRESSOR = "MLPClassifier", "MLPRegressor"
# What scikit-learn warns of as well: a method, its estimator, target and parameters.
SHARED = {
    "adam": (fit, CLASSIFIER, Y, {"max_iter": 2}),
    "sgd": (fit, CLASSIFIER, Y, {"solver": "sgd", "max_iter": 2}),
    "early stopping": (fit, CLASSIFIER, Y, {"early_stopping": True, "max_iter": 2}),
    "regressor": (fit, REGRESSOR, TARGET, {"max_iter": 2}),
    "lbfgs": (fit, CLASSIFIER, Y, {"solver": "lbfgs", "max_iter": 2}),
    "lbfgs, evaluations": (fit, REGRESSOR, TARGET, {"solver": "lbfgs", "max_fun": 3}),
    "batch size": (fit, CLASSIFIER, Y, {"batch_size": 10_000, "tol": 10.0}),
    "partial, batch size": (partial_fit, REGRESSOR, TARGET, {"batch_size": 10_000}),
    "column": (fit, CLASSIFIER, COLUMN, {"tol": 10.0}),
    "column of numbers": (fit, REGRESSOR, COLUMN, {"tol": 1e9}),
    "partial, column": (partial_fit, CLASSIFIER, COLUMN, {}),
}


@pytest.mark.parametrize("name", SHARED)
def test_warnings_are_scikit_learns(name):
    make, *case, parameters = SHARED[name]
    ours, theirs = (
        [(w.category, str(w.message)) for w in recorded(make(house, *case, **parameters))]
        for house in (nnjit, peer)
    )
    assert len(ours) == 1
    assert ours == theirs


@pytest.mark.parametrize("house", [nnjit, peer], ids=["nnjit", "scikit-learn"])
@pytest.mark.parametrize("name", SHARED)
def test_a_filter_by_scikit_learns_module_silences_them(name, house):
    make, *case, parameters = SHARED[name]
    # As in scikit-learn's examples, and as -W and PYTHONWARNINGS make it: the whole name.
    for module in ("sklearn", re.escape(MLP_MODULE) + r"\Z"):
        call = make(house, *case, **parameters)
        assert recorded(call, ("ignore", "", Warning, module)) == []


@pytest.mark.parametrize("name", SHARED)
def test_the_line_shown_is_the_users(name):
    make, *case, parameters = SHARED[name]
    (warning,) = recorded(make(nnjit, *case, **parameters))
    assert warning.filename == __file__
    assert warning.lineno == here(f"the {make.__name__}")


def diverging():
    huge = X.copy()
    huge[:, 0] = 1e200
    return nnjit.MLPRegressor(
        hidden_layer_sizes=(4,), early_stopping=True, random_state=0, validation_fraction=0.3
    ).fit(huge, TARGET)  # diverging


def unscaled():
    nnjit.MLPClassifier((4,), max_iter=1).fit(1e4 * X, Y)  # unscaled


@pytest.mark.parametrize("call", [diverging, unscaled], ids=lambda call: call.__name__)
def test_convergence_warnings_of_our_own_go_the_same_way(call):
    caught = recorded(call, ("ignore", "", RuntimeWarning))
    assert caught
    assert {(w.filename, w.lineno) for w in caught} == {(__file__, here(call.__name__))}
    assert all(issubclass(w.category, ConvergenceWarning) for w in caught)
    silenced = recorded(
        call, ("ignore", "", RuntimeWarning), ("ignore", "", ConvergenceWarning, "sklearn")
    )
    assert silenced == []


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_interruption_is_shown_at_the_users_line(solver, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("nnjit.training.loop._epochs", interrupted)
    monkeypatch.setattr("nnjit.training.lbfgs._evaluate", interrupted)
    (warning,) = recorded(fit(nnjit, CLASSIFIER, Y, solver=solver))
    assert "interrupted" in str(warning.message)
    assert (warning.filename, warning.lineno) == (__file__, here("the fit"))


def test_a_pickle_of_another_version_is_reported_where_it_is_loaded():
    pickled = pickle.dumps(nnjit.MLPClassifier())
    older = pickled.replace(nnjit.__version__.encode(), b"0" * len(nnjit.__version__))
    (warning,) = recorded(lambda: pickle.loads(older))  # loaded
    assert (warning.filename, warning.lineno) == (__file__, here("loaded"))


# Where a fit is called by somebody else

NETWORK = nnjit.MLPClassifier((4,), max_iter=1, random_state=0)


def searched():
    GridSearchCV(NETWORK, {"alpha": [1, 2]}, cv=2).fit(X, Y)  # searched


def piped():
    make_pipeline(StandardScaler(), NETWORK).fit(X, Y)  # piped


def scored():
    cross_val_score(NETWORK, X, Y, cv=2, n_jobs=1)  # scored


def in_a_thread():
    def work():
        NETWORK.fit(X, Y)  # in_a_thread

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def by_joblib():
    def work():
        NETWORK.fit(X, Y)  # by_joblib

    joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(work)() for _ in range(2))


@pytest.mark.parametrize(
    "call", [searched, piped, scored, in_a_thread, by_joblib], ids=lambda call: call.__name__
)
def test_the_line_shown_is_outside_scikit_learn_and_joblib(call):
    caught = recorded(call)
    assert {(w.filename, w.lineno) for w in caught} == {(__file__, here(call.__name__))}


@pytest.mark.parametrize("pool", ["executor", "joblib"])
def test_without_a_line_of_the_users_it_is_the_call_of_nnjit(pool):
    def work():
        if pool == "executor":
            with ThreadPoolExecutor(1) as executor:
                executor.submit(NETWORK.fit, X, Y).result()
        else:
            joblib.Parallel(n_jobs=2, backend="threading")([joblib.delayed(NETWORK.fit)(X, Y)] * 2)

    names = {Path(w.filename).relative_to(Path(nnjit.__file__).parent) for w in recorded(work)}
    assert names == {Path("estimators/_base.py")}


def test_workers_show_the_call_of_nnjit_and_obey_the_callers_filters(capfd):
    executor = joblib.externals.loky.get_reusable_executor
    executor(max_workers=2).shutdown()  # so that the next workers write to what is captured here
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        cross_val_score(NETWORK, X, Y, cv=2, n_jobs=2)
    shown = re.findall(r"^(.*?):\d+: (\w+): ", capfd.readouterr().err, re.MULTILINE)
    where = str(Path(nnjit.__file__).parent / "estimators/_base.py")
    assert (where, "ConvergenceWarning") in shown
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")
        cross_val_score(NETWORK, 1e4 * X, Y, cv=2, n_jobs=2)
    assert capfd.readouterr().err == ""
    executor(max_workers=2).shutdown()


def test_a_line_repeats_itself_as_python_has_it():
    def loop():
        for _ in range(3):
            NETWORK.fit(X, Y)
        NETWORK.fit(X, Y)

    assert len(recorded(loop, ("default",))) == 2
    assert len(recorded(loop)) == 4


def test_code_without_a_name_is_the_users():
    code = compile("model.fit(X, y)", "<typed in>", "exec")
    (warning,) = recorded(lambda: exec(code, {"model": NETWORK, "X": X, "y": Y}))
    assert (warning.filename, warning.lineno) == ("<typed in>", 1)


def test_column_warning_has_scikit_learns_category():
    (warning,) = recorded(fit(nnjit, CLASSIFIER, COLUMN, tol=10.0))
    assert warning.category is DataConversionWarning
