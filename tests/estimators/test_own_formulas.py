"""Estimators with activations, losses and solvers that somebody has registered."""

import importlib
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from problems import problem, quietly
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import nnjit
from entries_of_tests import registries_kept
from nnjit import MLPRegressor, inspection

HERE = Path(__file__).parent
OWN = {"activation": ("bent", "relu"), "loss": "rounded", "solver": "heavy"}


@pytest.fixture(autouse=True)
def own_formulas():
    """The module with formulas, which are registered for one test."""
    with registries_kept():
        module = importlib.import_module("own_formulas")
        yield importlib.reload(module)


def regressor(**parameters):
    given = {**OWN, "hidden_layer_sizes": (6, 5), "max_iter": 40, "random_state": 0, **parameters}
    return MLPRegressor(learning_rate_init=0.1, **given)


@pytest.mark.parametrize("solver", ["heavy", "adam", "lbfgs"])
def test_networks_learn_in_either_precision(solver):
    X, y = problem("regression")
    double = quietly(regressor(solver=solver).fit, X, y)
    assert double.score(X, y) > 0.5
    assert inspection.check_gradient(double, X, y, random_state=0).error < 1e-6
    few = clone(double).set_params(max_iter=3)
    single = quietly(few.fit, X.astype(np.float32), y.astype(np.float32))
    assert single.coefs_[0].dtype == np.float32
    np.testing.assert_allclose(
        single.predict(X.astype(np.float32)), quietly(clone(few).fit, X, y).predict(X),
        rtol=1e-3, atol=1e-4,
    )  # fmt: skip


def test_a_hyperparameter_takes_no_parameter_that_is_no_number():
    def scaled(w, g, rate, activation):
        return (w - rate * activation * g,)

    nnjit.register_solver("scaled", scaled, hyperparameters={"activation": 0.5})
    X, y = problem("regression")
    model = quietly(regressor(solver="scaled", activation="tanh", max_iter=2).fit, X, y)
    assert model._optimizer.hyperparameters == {"activation": 0.5}


def test_steps_are_those_of_the_function():
    X, y = problem("regression")
    start = quietly(regressor(max_iter=1, batch_size=len(X), shuffle=False, alpha=0.0).fit, X, y)
    first = regressor(max_iter=1, batch_size=len(X), shuffle=False, alpha=0.0)
    first.set_params(learning_rate_init=1e-300)
    before = quietly(first.fit, X, y)
    gradient = inspection._network.loss_gradient(before, X, y).weights[0]
    # momentum is a parameter of the estimator as well, 0.9 there
    expected = before.coefs_[0] - 0.1 * (1 - 0.9) * gradient
    np.testing.assert_allclose(start.coefs_[0], expected, rtol=1e-9)


def test_displays_draw_them():
    pytest.importorskip("matplotlib").use("Agg")
    X, y = problem("regression")
    model = quietly(regressor().fit, X, y)
    assert np.isnan(inspection.ActivationDisplay.from_estimator(model, X).inactive_values_[0])
    inspection.GradientFlowDisplay.from_estimator(model, X, y)


def test_a_name_given_anew_is_another_function_in_predictions_as_well():
    nnjit.register_activation("mine", lambda z: 2.0 * z, lambda z: 2.0)
    X, y = problem("regression")
    model = quietly(regressor(activation="mine", hidden_layer_sizes=(3,)).fit, X, y)
    doubled = model.predict(X)
    nnjit.register_activation("mine", lambda z: 4.0 * z, lambda z: 4.0)
    biases = model.intercepts_[1][0]
    np.testing.assert_allclose(model.predict(X) - biases, 2 * (doubled - biases), rtol=1e-9)


@pytest.mark.parametrize(
    "name, value", [("activation", "bend"), ("loss", "round"), ("solver", "light")]
)
def test_unknown_names_are_refused_with_what_to_do(name, value):
    X, y = problem("regression")
    with pytest.raises(ValueError, match=f"'{name}' parameter.*nnjit.register_{name} adds your"):
        regressor(**{name: value}).fit(X, y)


def test_targets_outside_the_interval_are_refused(own_formulas):
    nnjit.register_loss("unit", own_formulas.log_cosh_like, own_formulas.log_cosh_like_slope,
                        targets=(0.0, 1.0))  # fmt: skip
    X, y = problem("regression")
    with pytest.raises(ValueError, match=r"0\.0 <= y <= 1\.0|other values"):
        regressor(loss="unit").fit(X, y - 5)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
def test_what_numba_cannot_compile_is_refused_with_its_name():
    nnjit.register_activation("odd", lambda z: z + 0.0 * hash(frozenset([z])), lambda z: 1.0)
    X, y = problem("regression")
    model = regressor(activation="odd")
    with pytest.raises(TypeError, match="odd_value_double cannot be compiled"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


def fresh_python(code, folder, path=()):
    """Output of code in a process of its own."""
    folders = [*map(str, path), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders).rstrip(os.pathsep)},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


LOAD = """
import pickle
import numpy as np
with open("model", "rb") as file:
    model = pickle.load(file)
try:
    print(model.predict(np.ones((1, 8)))[0].hex())
except ValueError as error:
    print(error)
"""


def test_a_pickle_brings_the_module_along_or_says_what_is_missing(tmp_path):
    X, y = problem("regression")
    model = quietly(regressor().fit, X, y)
    (tmp_path / "model").write_bytes(pickle.dumps(model))
    expected = model.predict(np.ones((1, 8)))[0].hex()
    assert fresh_python(LOAD, tmp_path, [HERE]) == expected
    missing = fresh_python(LOAD, tmp_path)
    assert "got 'bent'. If it is your own, call nnjit.register_activation first" in missing
    assert vars(pickle.loads(pickle.dumps(model))).keys() == vars(model).keys()


@pytest.mark.slow
def test_a_search_in_several_processes_finds_them(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
    X, y = problem("regression")
    search = GridSearchCV(
        regressor(max_iter=5), {"activation": ["bent", ("relu", "bent")]}, cv=2, n_jobs=2,
        error_score="raise",
    )  # fmt: skip
    quietly(search.fit, X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_checkpoints_go_on_with_them(tmp_path):
    X, y = problem("regression")
    whole = quietly(regressor(max_iter=6).fit, X, y)
    part = regressor(max_iter=3, checkpoint=tmp_path / "half")
    quietly(part.fit, X, y)
    np.testing.assert_array_equal(
        quietly(part.set_params(max_iter=6).fit, X, y).predict(X), whole.predict(X)
    )


def test_python_and_compiled_code_agree_on_functions_of_math():
    """Those that are ours in compiled code, and others."""

    def wavy(z):
        return math.log1p(math.exp(-z * z)) + math.tanh(z) + math.erf(z) + math.sin(z) / 4.0

    def wavy_slope(z):
        e = math.exp(-z * z)
        t = math.tanh(z)
        bell = 2.0 / math.sqrt(math.pi) * e
        return -2.0 * z * e / (1.0 + e) + (1.0 - t * t) + bell + math.cos(z) / 4.0

    nnjit.register_activation("wavy", wavy, wavy_slope)
    X, y = problem("regression")
    model = quietly(regressor(activation="wavy", max_iter=3).fit, X, y)
    expected = inspection._network.layer_values(model, X)[-1].ravel()
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-12)
    assert inspection.check_gradient(model, X, y, random_state=0).error < 1e-6
