"""Solvers, clipped gradients and averages as parameters of the estimators."""

import copy
import pickle

import numpy as np
import pytest
from problems import problem, quietly
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from nnjit import MLPClassifier, MLPRegressor, RBFClassifier, RBFRegressor
from nnjit.formulas import offered_solvers

CLASSES = [MLPClassifier, MLPRegressor, RBFClassifier, RBFRegressor]
KINDS = {
    MLPClassifier: "multiclass", RBFClassifier: "multiclass",
    MLPRegressor: "multioutput", RBFRegressor: "multioutput",
}  # fmt: skip
OPTIONS = [
    {"amsgrad": True}, {"clip_norm": 0.05}, {"clip_value": 0.001}, {"average": 0.9},
    {"solver": "adamw", "weight_decay": 0.5, "clip_norm": 0.05, "average": 0.5},
]  # fmt: skip


def model_of(cls, **parameters):
    size = {"hidden_layer_sizes": (7,)} if "MLP" in cls.__name__ else {"n_centers": 9}
    settings = {"max_iter": 6, "batch_size": 25, "random_state": 0, "learning_rate_init": 0.01}
    return cls(**{**settings, **size, **parameters})


def fitted(cls, dtype=np.float64, **parameters):
    X, y = data(cls, dtype)
    return quietly(model_of(cls, **parameters).fit, X, y)


def data(cls, dtype=np.float64):
    X, y = problem(KINDS[cls])
    return X.astype(dtype), y


def arrays(model):
    names = ("centers_", "widths_") if hasattr(model, "centers_") else ()
    listed = [model.coefs_, model.intercepts_, *[getattr(model, name) for name in names]]
    return [a for part in listed for a in (part if isinstance(part, list) else [part])]


def assert_same(a, b):
    for x, y in zip(arrays(a), arrays(b), strict=True):
        np.testing.assert_array_equal(x, y)


def differ(a, b):
    return any((x != y).any() for x, y in zip(arrays(a), arrays(b), strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", offered_solvers())
@pytest.mark.parametrize("cls", CLASSES)
def test_every_network_is_trained_by_every_solver(cls, solver, dtype):
    model = fitted(cls, dtype, solver=solver, max_iter=30)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert all(a.dtype == dtype for a in arrays(model))
    assert set(model._optimizer.arrays["vectors"]) == set(model._optimizer.vector_names)
    if solver != "adam":
        assert differ(model, fitted(cls, dtype, max_iter=30))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("cls", CLASSES)
def test_every_network_has_the_options(cls, options):
    model = fitted(cls, **options)
    assert differ(model, fitted(cls))
    assert_same(model, fitted(cls, **options))
    X, _ = data(cls)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert_same(quietly(clone(model).fit, *data(cls)), model)


def test_weight_decay_shrinks_weights_and_no_biases():
    """Where there is no gradient nothing else moves."""
    X, y = np.zeros((40, 3)), np.zeros(40)
    model = model_of(MLPRegressor, solver="adamw", weight_decay=10.0, alpha=0.0, activation="tanh")
    before = quietly(model.fit, X, y)
    before.intercepts_ = [np.zeros(7), np.array([0.0])]
    before._optimizer = copy.copy(before._optimizer)
    before.intercepts_[0][:] = 0.5
    before.coefs_[1][:] = 0.0
    weights, biases = before.coefs_[0].copy(), before.intercepts_[0].copy()
    before.set_params(warm_start=True, max_iter=1)
    quietly(before.fit, X, y)
    np.testing.assert_allclose(before.coefs_[0], weights * (1 - 0.01 * 10.0) ** 2, rtol=1e-12)
    np.testing.assert_array_equal(before.intercepts_[0], biases)


# Averages


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_partial_fit_goes_on_from_what_the_last_step_reached(cls, dtype):
    """So that calls of partial_fit give the averages of one run, pickled in between or not."""
    X, y = data(cls, dtype)
    classes = {"classes": np.unique(y)} if hasattr(cls, "predict_proba") else {}
    whole, cut, plain = (model_of(cls, **p) for p in ({"average": 0.8}, {"average": 0.8}, {}))
    for number in range(5):
        for model in (whole, cut, plain):
            model.partial_fit(X, y, **(classes if number == 0 else {}))
        cut = pickle.loads(pickle.dumps(cut))
    assert_same(whole, cut)
    assert whole.loss_curve_ == cut.loss_curve_
    if "MLP" in cls.__name__:  # centres and widths are kept in other units from call to call
        assert whole.loss_curve_ == plain.loss_curve_
        for a, b in zip(whole._optimizer.parameters[0::2], plain.coefs_, strict=True):
            np.testing.assert_array_equal(a, b)
    else:
        np.testing.assert_allclose(whole.loss_curve_, plain.loss_curve_, rtol=1e-4)
    assert differ(whole, plain)


def test_averages_of_a_fit_are_those_of_partial_fits():
    X, y = data(MLPRegressor)
    model = model_of(MLPRegressor, average=0.8, shuffle=False)
    for _ in range(6):
        model.partial_fit(X, y)
    assert_same(model, fitted(MLPRegressor, average=0.8, shuffle=False))


@pytest.mark.parametrize("cls", [MLPRegressor, RBFRegressor])
def test_partial_fit_goes_on_from_what_has_been_assigned(cls):
    X, y = data(cls)
    model = fitted(cls, average=0.8)
    other = fitted(cls, random_state=1)
    for name in ("coefs_", "intercepts_"):
        setattr(model, name, getattr(other, name))
    model.set_params(learning_rate_init=1e-300)
    model._optimizer.rate = 1e-300  # nothing moves
    model.partial_fit(X, y)
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(model, name), getattr(other, name), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_values_that_are_equal_have_not_been_assigned():
    X, y = data(MLPRegressor)
    model = fitted(MLPRegressor, average=0.8)
    twin = copy.deepcopy(model)
    twin.coefs_ = [np.asfortranarray(a.copy()) for a in twin.coefs_]
    for one in (model, twin):
        one.partial_fit(X, y)
    assert_same(model, twin)


def test_running_statistics_beside_averages_are_those_of_the_last_step():
    """They are averages themselves; the trained parameters are those of the oracle."""
    X, y = problem("regression")
    settings = {"normalization": "batch", "hidden_layer_sizes": (5, 4), "max_iter": 6}
    plain = quietly(MLPRegressor(random_state=0, **settings).fit, X, y)
    averaged = quietly(MLPRegressor(random_state=0, average=0.7, **settings).fit, X, y)
    for one, other in zip(averaged.normalization_, plain.normalization_, strict=True):
        for name in ("mean", "variance"):
            np.testing.assert_array_equal(one[name], other[name])
        assert (one["variance"] > 0).all() and (one["scale"] != other["scale"]).any()
    before = averaged.predict(X)
    for model in (averaged, plain):  # the steps go on from where they were, not from the averages
        model.partial_fit(X, y)
    assert (averaged.predict(X) != before).any()
    raw = averaged._optimizer.parameters
    for array, other in zip(raw, plain._give_parameters()[1], strict=True):
        np.testing.assert_array_equal(array, other)


def test_a_warm_start_begins_at_the_averages():
    X, y = data(MLPRegressor)
    model = fitted(MLPRegressor, average=0.8)
    other = fitted(MLPRegressor)
    other.coefs_, other.intercepts_ = copy.deepcopy((model.coefs_, model.intercepts_))
    for one in (model, other):
        one.set_params(warm_start=True, max_iter=1, shuffle=False)
        one.loss_curve_ = []
        quietly(one.fit, X, y)
    assert model.loss_curve_ == other.loss_curve_


def test_validation_scores_and_the_best_weights_are_those_of_the_averages():
    X, y = problem("multiclass")
    settings = {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 50}
    model = fitted(MLPClassifier, average=0.9, max_iter=12, **settings)
    plain = fitted(MLPClassifier, max_iter=12, **settings)
    assert model.loss_curve_ == plain.loss_curve_
    assert model.validation_scores_ != plain.validation_scores_
    best = int(np.argmax(model.validation_scores_))
    short = fitted(MLPClassifier, average=0.9, max_iter=best + 1, **settings)
    assert_same(model, short)
    held_out = model._validation_split.rows()[1]
    assert model.score(X[held_out], y[held_out]) == model.best_validation_score_


def test_averages_of_a_run_that_diverges():
    """Without validation an error, the estimator as it was; with it the best averages."""
    X, y = problem("regression")
    model = quietly(model_of(MLPRegressor, average=0.9).fit, X, y)
    before = dict(vars(model))
    model.set_params(solver="sgd", learning_rate_init=1e200, warm_start=True)
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        quietly(model.fit, X, y)
    assert {name: vars(model)[name] for name in before if name.endswith("_")} == {
        name: value for name, value in before.items() if name.endswith("_")
    }
    model = model_of(
        MLPRegressor, average=0.999, solver="sgd", learning_rate_init=4.0, early_stopping=True,
        max_iter=200, validation_fraction=0.3, n_iter_no_change=np.inf,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="diverged.*The weights of the best epoch"):
        model.fit(X, y)
    assert model.n_iter_ > 1 and all(np.isfinite(a).all() for a in arrays(model))
    best = 1 + int(np.nanargmax(model.validation_scores_))
    shorter = quietly(clone(model).set_params(max_iter=best).fit, X, y)
    assert_same(model, shorter)


@pytest.mark.parametrize("after", [1, 2])
def test_an_interrupted_fit_leaves_the_averages(after, monkeypatch):
    from nnjit.training import loop

    X, y = problem("regression")
    train_epoch, done = loop.train_epoch, []

    def interrupted(*arguments):
        done.append(train_epoch(*arguments))
        if len(done) == after:
            raise KeyboardInterrupt
        return done[-1]

    model = model_of(MLPRegressor, average=0.9, early_stopping=False, verbose=1)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_epoch", interrupted)
        quietly(model.fit, X, y)
    assert_same(model, quietly(model_of(MLPRegressor, average=0.9, max_iter=after).fit, X, y))


# What is refused


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"clip_norm": 1.0, "clip_value": 1.0}, "Only one of clip_norm and clip_value"),
        ({"solver": "sgd", "amsgrad": True}, "amsgrad=True is an option of solver='adam', got"),
        ({"solver": "lbfgs", "amsgrad": True}, "amsgrad=True is an option of solver='adam', got"),
        ({"solver": "lbfgs", "clip_norm": 2.0}, "clip_norm=2.0 with solver='lbfgs'"),
        ({"solver": "lbfgs", "clip_value": 2}, "clip_value=2.0 with solver='lbfgs'"),
        ({"solver": "lbfgs", "average": 0.9}, "average=0.9 with solver='lbfgs'"),
        ({"solver": "amsgrad"}, "The 'solver' parameter"),
        ({"clip_norm": 0.0}, "The 'clip_norm' parameter"),
        ({"clip_norm": "1"}, "The 'clip_norm' parameter"),
        ({"clip_value": -1.0}, "The 'clip_value' parameter"),
        ({"average": 1.0}, "The 'average' parameter"),
        ({"average": 0}, "The 'average' parameter"),
        ({"weight_decay": -0.1}, "The 'weight_decay' parameter"),
        ({"weight_decay": np.nan}, "The 'weight_decay' parameter"),
        ({"amsgrad": "yes"}, "The 'amsgrad' parameter"),
    ],
)
def test_bad_values_and_pairs_leave_the_estimator_as_it_was(cls, parameters, message):
    X, y = data(cls)
    model = fitted(cls).set_params(**parameters)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert vars(model) == before


@pytest.mark.parametrize("name", ["clip_norm", "clip_value", "average"])
def test_an_output_layer_in_closed_form_takes_no_options(name):
    model = model_of(RBFRegressor, train="output", **{name: 0.5})
    with pytest.raises(ValueError, match=f"{name} needs train='all'"):
        model.fit(*data(RBFRegressor))
    assert not hasattr(model, "coefs_")


def test_scikit_learn_has_none_of_it():
    model = fitted(MLPRegressor, solver="adamw")
    with pytest.raises(ValueError, match="'solver' parameter of MLPRegressor"):
        model.to_sklearn()
    for options in OPTIONS[:4]:
        model = fitted(MLPRegressor, **options)
        with pytest.warns(UserWarning, match=f"no parameter {next(iter(options))}"):
            theirs = model.to_sklearn()
        X, y = data(MLPRegressor)
        np.testing.assert_allclose(theirs.predict(X), model.predict(X), rtol=1e-12)
        theirs.partial_fit(X, y)
