"""Rows given to fit to validate on: recorded, watched, scored, refused where they do not fit."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from problems import N_FEATURES, problem, quietly
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics import get_scorer, log_loss, make_scorer, max_error, mean_poisson_deviance
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from nnjit import MLPClassifier, MLPRegressor, RBFClassifier, RBFRegressor

SETTINGS = {"max_iter": 8, "random_state": 0, "n_iter_no_change": 100, "batch_size": 20}
KINDS = ["binary", "multiclass", "strings", "multilabel", "regression", "multioutput", "poisson"]
REGRESSION = ("regression", "multioutput", "poisson")


def network(kind, radial=False, **parameters):
    parameters = {**SETTINGS, **parameters}
    if kind == "poisson":
        parameters["loss"] = "poisson"
    if radial:
        return (RBFRegressor if kind in REGRESSION else RBFClassifier)(9, **parameters)
    return (MLPRegressor if kind in REGRESSION else MLPClassifier)(
        hidden_layer_sizes=(6,), **parameters
    )


def rows(kind):
    """Rows to train on, and as named arguments rows to validate on."""
    X, y = problem(kind)
    return (X[:60], y[:60]), {"X_val": X[60:], "y_val": y[60:]}


def weights(model):
    return model._give_parameters()[1]


def assert_same(a, b):
    for ours, theirs in zip(weights(a), weights(b), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def expected_loss(model, X, y, weight=None):
    """The loss without the penalty, by scikit-learn's metrics."""
    if isinstance(model, MLPRegressor | RBFRegressor):
        if model.loss == "poisson":
            return mean_poisson_deviance(y, model.predict(X), sample_weight=weight) / 2
        squares = (np.reshape(y, (len(y), -1)) - model.predict(X).reshape(len(y), -1)) ** 2
        return np.average(squares.mean(axis=1), weights=weight) / 2
    p = model.predict_proba(X)
    if np.ndim(y) == 2:
        columns = range(y.shape[1])
        return sum(log_loss(y[:, k], p[:, k], sample_weight=weight) for k in columns)
    return log_loss(y, p, sample_weight=weight)


# Recorded


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_score_and_loss_of_each_epoch_are_recorded_and_change_nothing(kind, radial, weighted):
    (X, y), given = rows(kind)
    weight = np.random.RandomState(1).uniform(0.1, 2, 36) if weighted else None
    model = network(kind, radial)
    quietly(model.fit, X, y, **given, sample_weight_val=weight)
    without = quietly(network(kind, radial).fit, X, y)
    assert_same(model, without)
    assert model.loss_curve_ == without.loss_curve_
    assert model.best_loss_ == without.best_loss_ and model.best_validation_score_ is None
    assert without.validation_scores_ is without.validation_loss_curve_ is None
    for epoch in (1, 5, 8):
        shorter = quietly(network(kind, radial, max_iter=epoch).fit, X, y)
        score = shorter.score(given["X_val"], given["y_val"], weight)
        loss = expected_loss(shorter, given["X_val"], given["y_val"], weight)
        np.testing.assert_allclose(model.validation_scores_[epoch - 1], score, rtol=1e-10)
        np.testing.assert_allclose(model.validation_loss_curve_[epoch - 1], loss, rtol=1e-10)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == 8


@pytest.mark.parametrize("form", ["list", "sparse", "float32", "frame", "column", "network32"])
def test_rows_of_every_form(form):
    (X, y), given = rows("binary")
    model = network("binary")
    expected = quietly(model.fit, X, y, **given).validation_loss_curve_
    if form == "list":
        given = {name: array.tolist() for name, array in given.items()}
    elif form == "frame":
        pandas = pytest.importorskip("pandas")
        names = [f"f{i}" for i in range(N_FEATURES)]
        X = pandas.DataFrame(X, columns=names)
        given = {
            "X_val": pandas.DataFrame(given["X_val"], columns=names),
            "y_val": pandas.Series(given["y_val"]),
        }
    elif form == "column":
        given["y_val"] = given["y_val"][:, np.newaxis].astype(float)
        given["y_val"] = given["y_val"].ravel()
    elif form == "network32":
        X = X.astype(np.float32)
    else:
        change = {"sparse": sp.csc_array, "float32": np.float32}[form]
        given["X_val"] = change(given["X_val"])
    found = quietly(clone(model).fit, X, y, **given).validation_loss_curve_
    tolerance = 1e-5 if form in ("float32", "network32") else 1e-12
    np.testing.assert_allclose(found, expected, rtol=tolerance)


# Watched


@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_with_early_stopping_no_row_is_held_out(kind, radial):
    (X, y), given = rows(kind)
    model = network(kind, radial, early_stopping=True, validation_fraction=0.5)
    quietly(model.fit, X, y, **given)
    without = quietly(network(kind, radial).fit, X, y)
    assert model.loss_curve_ == without.loss_curve_  # all rows, and the same shuffles
    assert model.t_ == 8 * 60
    assert not hasattr(model, "_validation_split")
    best = int(np.argmax(model.validation_scores_))
    assert model.best_validation_score_ == model.validation_scores_[best]
    assert_same(model, quietly(network(kind, radial, max_iter=best + 1).fit, X, y))
    np.testing.assert_allclose(model.score(*given.values()), model.best_validation_score_)


class Falling:
    """A score that is worse each time."""

    calls = 0

    def __call__(self, estimator, X, y):
        self.calls += 1
        return -self.calls


def test_training_stops_when_they_no_longer_improve():
    (X, y), given = rows("regression")
    settings = {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 50}
    model = network("regression", scoring=Falling(), **settings).fit(X, y, **given)
    assert model.n_iter_ == 4
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping"):
        model.partial_fit(X, y)


@pytest.mark.parametrize("given_rows", [False, True])
def test_the_last_weights_are_returned_where_the_best_are_not_asked_for(given_rows):
    (X, y), given = rows("regression")
    settings = {"early_stopping": True, "validation_fraction": 0.2}
    models = [
        quietly(
            network("regression", restore_best=restore, scoring=Falling(), **settings).fit,
            *(X, y), **(given if given_rows else {}),
        )
        for restore in (True, False)
    ]  # fmt: skip
    assert models[0].validation_scores_ == models[1].validation_scores_
    assert models[0].best_validation_score_ == models[1].best_validation_score_
    if given_rows:
        assert_same(models[1], quietly(network("regression").fit, X, y))
        assert_same(models[0], quietly(network("regression", max_iter=1).fit, X, y))


def test_a_warm_start_has_to_beat_the_weights_that_are_there():
    (X, y), given = rows("multiclass")
    settings = {"max_iter": 30, "learning_rate_init": 0.05}
    model = network("multiclass", early_stopping=True, warm_start=True, **settings)
    quietly(model.fit, X, y, **given)
    best = [a.copy() for a in weights(model)]
    quietly(model.set_params(max_iter=1, learning_rate_init=10.0).fit, X, y, **given)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == 31
    for ours, expected in zip(weights(model), best, strict=True):
        np.testing.assert_array_equal(ours, expected)


# Scores


@pytest.mark.parametrize("given_rows", [False, True])
@pytest.mark.parametrize(
    ("kind", "scoring"),
    [("multiclass", "neg_log_loss"), ("binary", "roc_auc"), ("strings", "balanced_accuracy"),
     ("regression", "neg_mean_absolute_error"), ("multilabel", "f1_macro")],
)  # fmt: skip
def test_a_scorer_of_scikit_learn_is_asked(kind, scoring, given_rows):
    (X, y), given = rows(kind)
    seen = []

    def asked(estimator, X, y):
        seen.append((X, y))
        return get_scorer(scoring)(estimator, X, y)

    given = given if given_rows else {}
    models = [
        quietly(network(kind, early_stopping=True, scoring=one).fit, X, y, **given)
        for one in (scoring, asked)
    ]
    assert models[0].validation_scores_ == models[1].validation_scores_
    assert models[0].best_validation_score_ == max(models[0].validation_scores_)
    np.testing.assert_allclose(
        get_scorer(scoring)(models[0], *seen[0]), models[0].best_validation_score_
    )
    assert (models[0].validation_loss_curve_ is None) == (not given_rows)
    if given_rows:
        assert all(rows is given["X_val"] for rows, _ in seen)


def test_held_out_rows_are_given_as_the_user_has_them():
    pandas = pytest.importorskip("pandas")
    X, y = problem("strings")
    frame = pandas.DataFrame(X, columns=[f"f{i}" for i in range(N_FEATURES)])
    for radial in (False, True):

        def score(estimator, rows, labels):
            assert isinstance(rows, pandas.DataFrame) and set(labels) <= {"ape", "bee", "cow"}
            assert list(frame.loc[rows.index, "f0"]) == list(rows["f0"])
            assert list(y[rows.index]) == list(labels)
            return estimator.score(rows, labels)

        own = network("strings", radial, early_stopping=True)
        mine = clone(own).set_params(scoring=score)
        assert quietly(own.fit, frame, y).validation_scores_ == (
            quietly(mine.fit, frame, y).validation_scores_
        )


def test_one_number_weighs_all_rows_the_same_for_a_scorer_too():
    (X, y), validation = rows("multiclass")
    for given in ({}, validation):
        one = {"sample_weight_val": 2.0} if given else {}
        model = network("multiclass", early_stopping=True, scoring="accuracy")
        scores = [
            quietly(clone(model).fit, X, y, **weight, **given).validation_scores_
            for weight in ({"sample_weight": np.full(60, 2.0)}, {"sample_weight": 2.0, **one})
        ]
        assert scores[0] == scores[1]


@pytest.mark.parametrize("form", [sp.coo_array, sp.csc_matrix])
def test_a_scorer_gets_held_out_labels_of_every_sparse_form(form):
    (X, y), _ = rows("multilabel")
    model = network("multilabel", early_stopping=True, scoring="accuracy")
    wanted = quietly(clone(model).fit, X, y).validation_scores_
    assert quietly(clone(model).fit, X, form(y)).validation_scores_ == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_as_score(kind):
    (X, y), given = rows(kind)
    model = quietly(network(kind, early_stopping=True, scoring="loss").fit, X, y, **given)
    assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]
    loss = expected_loss(model, *given.values())
    np.testing.assert_allclose(-model.best_validation_score_, loss, rtol=1e-10)
    held_out = quietly(network(kind, early_stopping=True, scoring="loss").fit, X, y)
    assert len(held_out.validation_loss_curve_) == 8


def test_a_scorer_gets_weights_where_its_metric_takes_them():
    (X, y), given = rows("regression")
    weight = np.random.RandomState(0).uniform(0.1, 3, 36)
    model = network("regression", scoring="neg_mean_absolute_error")
    quietly(model.fit, X, y, **given, sample_weight_val=weight)
    expected = np.average(abs(model.predict(given["X_val"]) - given["y_val"]), weights=weight)
    np.testing.assert_allclose(model.validation_scores_[-1], -expected)
    for scorer in ("max_error", make_scorer(max_error, greater_is_better=False)):
        model.set_params(scoring="neg_max_error" if scorer == "max_error" else scorer)
        quietly(model.fit, X, y, **given, sample_weight_val=weight)
        expected = max_error(given["y_val"], model.predict(given["X_val"]))
        np.testing.assert_allclose(model.validation_scores_[-1], -expected)


def test_a_scorer_sees_an_estimator_of_its_own():
    (X, y), given = rows("multiclass")
    seen = []

    def score(estimator, X, y):
        seen.append(estimator.predict_proba(X))
        estimator.coefs_ = None  # which is its own affair
        estimator.classes_ = None if len(seen) > 100 else estimator.classes_
        return len(seen)

    model = network("multiclass", scoring=score)
    assert type(model) is MLPClassifier
    quietly(model.fit, X, y, **given)
    assert model.validation_scores_ == list(range(1, 9))
    assert not np.array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[-1], model.predict_proba(given["X_val"]))


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf, None, "0.5", np.array([1.0, 2.0]), 1j], ids=repr)
def test_a_score_that_is_no_number_leaves_the_estimator_as_it_was(value, early_stopping):
    (X, y), given = rows("multiclass")
    model = quietly(network("multiclass", early_stopping=early_stopping).fit, X, y)
    before = pickle.dumps(model)
    calls = []
    model.scoring = lambda *args: calls.append(0) or (value if len(calls) == 4 else 0.5)
    with pytest.raises(ValueError, match="scoring must return a finite number, got"):
        model.fit(X, y, **given)
    model.scoring = None
    assert pickle.dumps(model) == before


def test_errors_of_a_scorer_are_passed_on():
    (X, y), given = rows("multiclass")

    def fails(estimator, X, y):
        raise RuntimeError("no score today")

    model = network("multiclass", scoring=fails)
    known = set(vars(model))
    with pytest.raises(RuntimeError, match="no score today"):
        model.fit(X, y, **given)
    assert set(vars(model)) == known


def test_a_wrong_name_is_refused_in_scikit_learns_words():
    X, y = problem("binary")
    with pytest.raises(ValueError) as expected:
        get_scorer("accurate")
    for early_stopping in (False, True):
        model = network("binary", scoring="accurate", early_stopping=early_stopping)
        with pytest.raises(ValueError) as error:
            model.fit(X, y)
        assert str(error.value) == str(expected.value)
    with pytest.raises(ValueError, match="The 'scoring' parameter of MLPClassifier must be"):
        network("binary", scoring=3).fit(X, y)


# What does not fit


def with_value(array, value):
    changed = np.array(array, dtype=float)
    changed.flat[-1] = value
    return changed


BAD = {
    "other features": ("binary", {"X_val": np.ones((36, 3))},
                       "X_val has 3 features, but MLPClassifier is expecting 8 features as input"),
    "a vector": ("binary", {"X_val": np.ones(36)}, "Expected 2D array, got 1D array"),
    "no rows": ("binary", {"X_val": np.ones((0, 8))}, r"Found array with 0 sample"),
    "NaN": ("binary", {"X_val": with_value(np.ones((36, 8)), np.nan)}, "Input X_val contains NaN"),
    "fewer labels": ("binary", {"y_val": np.ones(35, int)}, r"inconsistent numbers of samples"),
    "unknown labels": ("multiclass", {"y_val": np.arange(36) % 4},
                       r"y_val contains previously unseen labels: \[0, 2\]"),
    "unknown names": ("strings", {"y_val": ["ape", "dog"] * 18},
                      r"y_val contains previously unseen labels: \['dog'\]"),
    "text for numbers": ("binary", {"y_val": ["1", "0"] * 18}, "previously unseen labels: "),
    "no label": ("strings", {"y_val": ["ape", None] * 18}, r"unseen labels: \[None\]"),
    "NaN for a label": ("binary", {"y_val": with_value(np.ones(36), np.nan)}, "y_val contains NaN"),
    "too few labels": ("multilabel", {"y_val": np.ones((36, 2), int)},
                       "y_val has 2 labels, but y has 3"),
    "no labels": ("multilabel", {"y_val": np.full((36, 3), 2)}, "only zeros and ones"),
    "more outputs": ("regression", {"y_val": np.ones((36, 2))}, "y_val has 2 columns, but y has 1"),
    "NaN for a value": ("regression", {"y_val": with_value(np.ones(36), np.nan)},
                        "Input y_val contains NaN"),
    "negative counts": ("poisson", {"y_val": -np.ones(36)},
                        "loss='poisson' needs y >= 0, but y_val has negative values"),
    "fewer weights": ("binary", {"sample_weight_val": np.ones(35)}, "sample_weight.shape == "),
    "no weights": ("binary", {"sample_weight_val": np.zeros(36)}, "at least one non-zero number"),
    "no targets": ("binary", {"y_val": None}, "X_val is provided, but y_val was not provided"),
    "no inputs": ("binary", {"X_val": None}, "y_val is provided, but X_val was not provided"),
    "weights alone": ("binary", {"X_val": None, "y_val": None, "sample_weight_val": np.ones(36)},
                      "sample_weight_val is provided, but X_val was not provided"),
}  # fmt: skip


@pytest.mark.parametrize("fitted_before", [False, True])
@pytest.mark.parametrize("name", BAD)
def test_rows_that_do_not_fit_are_refused(name, fitted_before):
    kind, change, words = BAD[name]
    (X, y), given = rows(kind)
    model = network(kind)
    if fitted_before:
        quietly(model.fit, X, y)
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match=words):
        model.fit(X, y, **{**given, **change})
    assert pickle.dumps(model) == before


def test_dates_and_names_of_other_features_are_refused():
    pandas = pytest.importorskip("pandas")
    (X, y), given = rows("binary")
    frame = pandas.DataFrame(X, columns=[f"f{i}" for i in range(N_FEATURES)])
    other = pandas.DataFrame(given["X_val"], columns=[f"g{i}" for i in range(N_FEATURES)])
    with pytest.raises(ValueError, match="feature names should match"):
        network("binary").fit(frame, y, X_val=other, y_val=given["y_val"])
    dates = np.full((36, 8), "2020-01-01", "datetime64[D]")
    with pytest.raises(TypeError, match="X_val"):
        network("binary").fit(X, y, X_val=dates, y_val=given["y_val"])


def test_there_have_to_be_epochs():
    (X, y), given = rows("binary")
    with pytest.raises(ValueError, match="X_val and y_val .* solver='lbfgs'"):
        network("binary", solver="lbfgs").fit(X, y, **given)
    with pytest.raises(ValueError, match="X_val and y_val need train='all'"):
        network("binary", True, train="output").fit(X, y, **given)


def test_outputs_that_overflow_score_nan():
    (X, y), given = rows("regression")
    given["X_val"] = given["X_val"].copy()
    given["X_val"][0] = 1e308
    for scoring in (None, "loss", "r2"):
        model = quietly(network("regression", scoring=scoring, activation="identity").fit,
                        X, y, **given)  # fmt: skip
        assert np.isnan(model.validation_scores_).all()
        assert np.isnan(model.validation_loss_curve_).all()


# Checkpoints, routing, callbacks, what is printed


def test_a_run_that_was_cut_off_goes_on_with_its_scores(tmp_path):
    (X, y), given = rows("multiclass")
    for settings in ({}, {"early_stopping": True}, {"scoring": "f1_macro"},
                     {"early_stopping": True, "restore_best": False}):  # fmt: skip
        path = tmp_path / str(settings).replace("'", "")
        whole = quietly(network("multiclass", **settings).fit, X, y, **given)
        cut = network("multiclass", **settings, checkpoint=path, max_iter=5)
        quietly(cut.fit, X, y, **given)
        resumed = quietly(clone(cut).set_params(max_iter=8).fit, X, y, **given)
        assert_same(resumed, whole)
        for name in ("validation_scores_", "validation_loss_curve_", "loss_curve_"):
            assert getattr(resumed, name) == getattr(whole, name)
        assert resumed.best_validation_score_ == whole.best_validation_score_
        with pytest.raises(ValueError, match="another run: the validation data differ"):
            resumed.fit(X, y)
        given["y_val"][0], former = 3 if given["y_val"][0] == 1 else 1, given["y_val"][0]
        with pytest.raises(ValueError, match="another run: the validation data differ"):
            resumed.fit(X, y, **given)
        given["y_val"][0] = former


def test_validation_rows_are_routed_through_a_pipeline():
    (X, y), given = rows("multiclass")
    given["X_val"] = given["X_val"] * 7 + 3
    X = X * 7 + 3
    with config_context(enable_metadata_routing=True):
        step = network("multiclass", early_stopping=True)
        step.set_fit_request(X_val=True, y_val=True, sample_weight=True)
        pipeline = Pipeline(
            [("scale", StandardScaler().set_fit_request(sample_weight=False)), ("net", step)],
            transform_input=["X_val"],
        )
        quietly(pipeline.fit, X, y, **given, sample_weight=np.ones(60))
    scaler = StandardScaler().fit(X)
    direct = network("multiclass", early_stopping=True)
    quietly(direct.fit, scaler.transform(X), y, np.ones(60),
            X_val=scaler.transform(given["X_val"]), y_val=given["y_val"])  # fmt: skip
    assert pipeline[-1].validation_scores_ == direct.validation_scores_
    assert_same(pipeline[-1], direct)


def test_what_is_printed(capsys):
    (X, y), given = rows("binary")
    model = quietly(network("binary", verbose=1, max_iter=2).fit, X, y, **given)
    printed = capsys.readouterr().out
    assert printed.count("Validation score: ") == printed.count("Validation loss: ") == 2
    quietly(model.set_params(verbose=2).fit, X, y, **given)
    heading, first, *_ = capsys.readouterr().out.splitlines()
    assert heading.split() == ["epoch", "loss", "val.", "loss", "validation", "rate", "time"]
    shown = [float(text) for text in first.split()[1:4]]
    expected = model.loss_curve_[0], model.validation_loss_curve_[0], model.validation_scores_[0]
    np.testing.assert_allclose(shown, expected, atol=1e-4)


def test_pickles_hold_no_validation_rows():
    (X, y), given = rows("binary")
    model = network("binary", early_stopping=True, scoring="roc_auc")
    with_rows = len(pickle.dumps(quietly(model.fit, X, y, **given)))
    many = {name: np.repeat(array, 100, axis=0) for name, array in given.items()}
    assert len(pickle.dumps(quietly(model.fit, X, y, **many))) < with_rows + 500
