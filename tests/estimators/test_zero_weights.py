"""Sample weights of 0: rows that early stopping leaves out, and too few of the others."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from problems import N_SAMPLES, assert_same_network, inputs, outcome, problem, quietly
from sklearn.ensemble import BaggingClassifier, BaggingRegressor
from test_bad_input import fingerprint

from nnjit import MLPClassifier, MLPRegressor
from nnjit.training.validation import ValidationSplit, split_rows

KINDS = ["binary", "multiclass", "multilabel", "regression", "multioutput"]
EARLY = {"early_stopping": True, "validation_fraction": 0.25}


def network(kind, **parameters):
    cls = MLPRegressor if kind in ("regression", "multioutput") else MLPClassifier
    defaults = {"hidden_layer_sizes": (4,), "max_iter": 6, "random_state": 0, **EARLY}
    return cls(**{**defaults, **parameters})


def half_zero(seed=4):
    weight = np.random.RandomState(seed).uniform(0.5, 2, N_SAMPLES)
    weight[np.random.RandomState(seed).permutation(N_SAMPLES)[: N_SAMPLES // 2]] = 0
    return weight


@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("kind", KINDS)
def test_early_stopping_is_as_if_rows_of_weight_zero_were_not_there(kind, solver, container):
    X, y = problem(kind)
    weight = half_zero()
    kept = weight > 0
    ours = quietly(network(kind, solver=solver).fit, container(X), y, weight)
    without = quietly(network(kind, solver=solver).fit, X[kept], y[kept], weight[kept])
    assert_same_network(ours, without, rtol=1e-9)
    assert ours.validation_scores_ == without.validation_scores_
    assert ours.n_skipped_batches_ == 0


def test_weights_without_a_zero_draw_the_rows_that_no_weights_draw():
    rows = [
        split_rows(40, 0.25, np.random.RandomState(1), labels=np.arange(40) % 3, sample_weight=w)
        for w in (None, np.full(40, 0.5), np.full(40, -1.0))
    ]
    for training, validation in rows[1:]:
        np.testing.assert_array_equal(training, rows[0][0])
        np.testing.assert_array_equal(validation, rows[0][1])


def test_a_class_whose_rows_all_have_weight_zero_is_not_held_out():
    for n_classes in (2, 3):
        y = np.arange(N_SAMPLES) % n_classes
        weight = (y != 1).astype(float)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = network("binary").fit(inputs(), y, weight)
        assert any("weight belongs to the classes [1]" in str(w.message) for w in caught)
        np.testing.assert_array_equal(model.classes_, np.arange(n_classes))
        held_out = model._validation_split.rows()[1]
        assert (y[held_out] != 1).all()
        # The rest is divided class by class.
        counts = np.unique(y[held_out], return_counts=True)[1]
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_weights", [1, 4])
def test_too_few_rows_with_a_weight_are_named(kind, n_weights):
    X, y = problem(kind)
    weight = np.zeros(N_SAMPLES)
    weight[:n_weights] = 1
    model = network(kind)
    before = fingerprint(model)
    error, message = outcome(model.fit, X, y, weight)
    assert error is ValueError
    assert message.startswith("The validation set is too small.")
    assert message.endswith(f"Only {n_weights} of the {N_SAMPLES} rows have a weight other than 0.")
    assert fingerprint(model) == before
    weight[:8] = 1
    assert len(quietly(model.fit, X, y, weight).validation_scores_) > 0


def test_weights_that_cancel_out_on_the_held_out_rows_are_named():
    X, y = problem("regression")
    model = network("regression")
    held_out = quietly(model.fit, X, y)._validation_split.rows()[1]
    weight = np.ones(N_SAMPLES)
    weight[held_out] = np.resize([1.0, -1.0], len(held_out))
    assert len(held_out) % 2 == 0
    assert outcome(model.fit, X, y, weight) == (
        ValueError,
        "The sample weights of the rows held out for validation sum to 0.",
    )


@pytest.mark.parametrize(
    ("bagging", "kind"), [(BaggingRegressor, "regression"), (BaggingClassifier, "binary")]
)
def test_bagging_with_early_stopping(bagging, kind):
    """Bagging draws rows with replacement, and some versions say so by weights."""
    X, y = problem(kind)
    model = bagging(network(kind, validation_fraction=0.1), n_estimators=8, random_state=0)
    quietly(model.fit, X[:30], y[:30])
    assert np.isfinite(model.predict(X)).all()
    for seed in range(8):
        weight = np.bincount(np.random.RandomState(seed).randint(0, 30, 30), minlength=30)
        quietly(network(kind, validation_fraction=0.1).fit, X[:30], y[:30], weight)


def test_a_warm_start_keeps_the_held_out_rows_under_other_weights():
    X, y = problem("binary")
    model = network("binary", warm_start=True)
    quietly(model.fit, X, y, half_zero(1))
    training, held_out = model._validation_split.rows()
    seen = half_zero(1) != 0
    assert len(held_out) == np.ceil(seen.sum() / 4)
    assert seen[held_out].all()
    for weight in (half_zero(2), None, half_zero(1)):
        quietly(model.fit, X, y, weight)
        np.testing.assert_array_equal(model._validation_split.rows()[1], held_out)
    before = fingerprint(model)
    for weighted, places in ((training, held_out), (held_out, training)):
        weight = np.zeros(N_SAMPLES)
        weight[weighted] = 1
        weight[places] = 0
        error, message = outcome(model.fit, X, y, weight)
        assert error is ValueError
        assert "have a weight other than 0. Give more of them a weight" in message
        assert fingerprint(model) == before


def test_rows_of_a_kept_split_are_those_with_a_weight():
    split = ValidationSplit(np.array([1, 4, 5]), 8)
    weight = np.array([1.0, 0, 0, 2, 3, -1, 0, 1])
    training, validation = split.rows(weight)
    assert (training.tolist(), validation.tolist()) == ([0, 3, 7], [4, 5])


def test_a_checkpoint_of_a_fit_with_weights_of_zero_goes_on(tmp_path):
    X, y = problem("binary")
    parameters = {"checkpoint": tmp_path / "run", "checkpoint_interval": 1}
    whole = quietly(network("binary").fit, X, y, half_zero())
    quietly(network("binary", max_iter=3, **parameters).fit, X, y, half_zero())
    resumed = quietly(network("binary", **parameters).fit, X, y, half_zero())
    assert resumed.loss_curve_ == whole.loss_curve_
    assert resumed.validation_scores_ == whole.validation_scores_
    for a, b in zip(resumed.coefs_, whole.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


# All of them


@pytest.mark.parametrize("kind", ["binary", "regression"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_weights_that_are_all_zero_are_refused(solver, kind):
    X, y = problem(kind)
    words = (ValueError, "Sample weights must contain at least one non-zero number.")
    for early_stopping in (False, True):
        model = network(kind, solver=solver, early_stopping=early_stopping)
        for weight in (np.zeros(N_SAMPLES), [0] * N_SAMPLES, np.zeros(N_SAMPLES, dtype=bool)):
            before = fingerprint(model)
            assert outcome(model.fit, X, y, weight) == words
            if solver != "lbfgs" and not early_stopping:
                classes = {"classes": [0, 1]} if kind == "binary" else {}
                assert outcome(model.partial_fit, X, y, weight, **classes) == words
            assert fingerprint(model) == before
        quietly(model.fit, X, y)
        assert outcome(model.score, X, y, np.zeros(N_SAMPLES)) == words
        assert outcome(model.fit, X, y, np.zeros(N_SAMPLES)) == words
