"""Warnings that say what to do, and the table of verbose=2."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from problems import problem
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from nnjit import MLPClassifier, MLPRegressor, NetworkClassifier
from nnjit.estimators import _advice
from nnjit.exceptions import TrainingWarning
from nnjit.layers import Dense, Embedding

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def advice(model, *args, **kwargs):
    """Texts of the training warnings of a fit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*args, **kwargs)
    return [str(w.message) for w in caught if issubclass(w.category, TrainingWarning)]


def network(**parameters):
    parameters = {"hidden_layer_sizes": (8,), "max_iter": 10, "random_state": 0, **parameters}
    return MLPClassifier(**parameters)


@pytest.mark.parametrize("load", [load_iris, load_digits])
def test_ordinary_data_brings_no_advice(load):
    assert advice(network(), *load(return_X_y=True)) == []


@pytest.mark.parametrize("kind", ["array", "frame", "sparse", "float32"])
def test_unscaled_input(kind):
    X, y = problem("multiclass")
    X = X.copy()
    X[:, 2] = 1000 * X[:, 2] + 500
    name = "Feature 2"
    if kind == "frame":
        X, name = pd.DataFrame(X, columns=list("abcdefgh")), "Feature 'c'"
    elif kind == "sparse":
        X, name = sp.csr_array(X), "The input"
    elif kind == "float32":
        X = X.astype(np.float32)
    texts = advice(network(max_iter=2), X, y)
    assert len(texts) == 1
    assert texts[0].startswith(name)
    assert "StandardScaler" in texts[0]


def test_codes_of_categories_need_no_scaling():
    X, y = problem("multiclass")
    X = np.column_stack([X, np.arange(len(X)) * 3.0])
    layers = [Embedding((300,), 2), Dense(8)]
    assert advice(NetworkClassifier(layers, max_iter=2), X, y) == []
    assert advice(NetworkClassifier(layers, max_iter=2), X * 1000 // 1, y)[0].startswith("Feature")


def test_rising_loss():
    X, y = problem("multiclass")
    texts = advice(network(learning_rate_init=100.0, max_iter=20), X, y)
    assert len(texts) == 1
    assert "learning_rate_init=10" in texts[0]


@pytest.mark.parametrize("layer", [1, 2])
def test_dead_layer(layer):
    X, y = problem("multiclass")
    model = network(hidden_layer_sizes=(4, 3), warm_start=True, max_iter=8, learning_rate_init=1e-4)
    model.fit(X, y)
    model.intercepts_[layer - 1] = np.full_like(model.intercepts_[layer - 1], -1e3)
    texts = advice(model, X, y)
    assert len(texts) == 1
    assert f"hidden layer {layer}" in texts[0]
    assert "tanh" in texts[0]


def test_class_without_weight():
    X, y = problem("multiclass")
    texts = advice(network(), X, y, sample_weight=(y != 3).astype(float))
    assert len(texts) == 1
    assert "[3]" in texts[0]


def test_class_that_is_held_out_altogether():
    X, y = problem("multiclass")
    y = np.append(y[:-1], 7)  # one row, and the split cannot be stratified
    held_out = [
        seed
        for seed in range(30)
        if any(
            "[7]" in text for text in advice(network(early_stopping=True, random_state=seed), X, y)
        )
    ]
    assert 0 < len(held_out) < 15


def test_advice_is_not_repeated_by_partial_fit():
    X, y = problem("multiclass")
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        network().partial_fit(1e4 * X, y, classes=np.unique(y))


def test_regressor_gets_the_same_advice():
    X, y = problem("regression")
    (text,) = advice(MLPRegressor(hidden_layer_sizes=(5,), max_iter=2), 1e4 * X, y)
    assert "MLPRegressor" in text


# How often, and how to be rid of it


@pytest.fixture
def unsaid(monkeypatch):
    """A process that has given no advice."""
    monkeypatch.setattr(_advice, "_said", set())


def search_on_unscaled_wine():
    search = GridSearchCV(network(max_iter=2), {"alpha": [1e-4, 1e-2, 1]}, cv=5)
    return search.fit(*load_wine(return_X_y=True))


def seen(call, action, category=Warning):
    """Categories of the warnings of a call under one filter."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        warnings.simplefilter(action, category)
        call()
    return [w.category for w in caught]


def test_a_search_gives_the_same_advice_once(unsaid):
    categories = seen(search_on_unscaled_wine, "default")
    assert categories.count(TrainingWarning) == 1
    assert categories.count(ConvergenceWarning) == 16  # as scikit-learn: each fit is a new place


@pytest.mark.parametrize("module", ["", "sklearn"])
def test_the_usual_filter_silences_it(module, unsaid):
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("ignore", category=ConvergenceWarning, module=module)
        search_on_unscaled_wine()
    assert caught == []


def test_it_can_be_silenced_alone(unsaid):
    assert TrainingWarning not in seen(search_on_unscaled_wine, "ignore", TrainingWarning)
    assert ConvergenceWarning in seen(search_on_unscaled_wine, "ignore", TrainingWarning)


def test_it_is_said_once_for_all_lines_but_not_used_up_unseen(unsaid):
    X, y = problem("multiclass")
    model = network(max_iter=1)
    assert TrainingWarning not in seen(lambda: model.fit(1e4 * X, y), "ignore")
    assert TrainingWarning in seen(lambda: model.fit(1e4 * X, y), "default")
    assert TrainingWarning not in seen(lambda: model.fit(1e4 * X, y), "once")
    assert TrainingWarning in seen(lambda: model.fit(1e4 * X, y), "always")
    assert TrainingWarning in seen(lambda: model.fit(1e8 * X, y), "default")  # another text


@pytest.mark.parametrize("category", [Warning, UserWarning, ConvergenceWarning])
def test_a_filter_that_makes_errors_of_warnings_does_not_fail_a_fit(category, unsaid):
    X, y = problem("multiclass")
    assert seen(lambda: network(tol=1e9, max_iter=20).fit(1e4 * X, y), "error", category) == []


def test_a_filter_that_names_it_makes_an_error_of_it():
    X, y = problem("multiclass")
    model = network(tol=10.0)
    with pytest.raises(TrainingWarning, match="order of 10000"):
        seen(lambda: model.fit(1e4 * X, y), "error", TrainingWarning)
    assert not hasattr(model, "coefs_")


# Verbosity


def table(capsys):
    lines = capsys.readouterr().out.splitlines()
    return lines[0].split(), [line.split() for line in lines[1:] if line.split()[0].isdigit()]


def test_table_of_epochs(capsys):
    X, y = problem("multiclass")
    model = network(max_iter=3, early_stopping=True, verbose=2).fit(X, y)
    heading, rows = table(capsys)
    assert heading == ["epoch", "loss", "validation", "rate", "time"]
    assert [int(row[0]) for row in rows] == [1, 2, 3]
    np.testing.assert_allclose([float(row[1]) for row in rows], model.loss_curve_, atol=1e-6)
    scores = [float(row[2]) for row in rows]
    np.testing.assert_allclose(scores, model.validation_scores_, atol=1e-4)
    assert all(float(row[3]) == 0.001 and float(row[4]) >= 0 for row in rows)


def test_table_shows_the_rate_each_epoch_used(capsys):
    X, y = problem("multiclass")
    network(solver="sgd", learning_rate="invscaling", max_iter=3, verbose=2).fit(X, y)
    _, rows = table(capsys)
    expected = 0.001 / np.sqrt(np.array([0, 1, 2]) * len(y) + 1)
    np.testing.assert_allclose([float(row[3]) for row in rows], expected, rtol=1e-2)
    assert {row[2] for row in rows} == {"-"}


def test_table_of_lbfgs(capsys):
    X, y = problem("multiclass")
    model = network(solver="lbfgs", max_iter=4, verbose=2).fit(X, y)
    _, rows = table(capsys)
    assert len(rows) == model.n_iter_ == 4
    assert float(rows[-1][1]) == pytest.approx(model.loss_, abs=1e-6)


@pytest.mark.parametrize("verbose", [1, True, 10])
def test_verbose_1_prints_as_scikit_learn(capsys, verbose):
    X, y = problem("multiclass")
    model = network(max_iter=2, verbose=verbose).fit(X, y)
    out = capsys.readouterr().out.splitlines()
    assert out == [f"Iteration {i + 1}, loss = {v:.8f}" for i, v in enumerate(model.loss_curve_)]
