"""Losses of the estimators: what they learn, how they score, and what is refused."""

import pickle
import warnings

import numpy as np
import pytest
from problems import problem, quietly
from sklearn.base import clone
from sklearn.metrics import d2_pinball_score, r2_score
from sklearn.model_selection import cross_val_score

import nnjit
from nnjit.estimators import parameters as groups
from nnjit.formulas import find_loss, losses_of, outputs_of, regression_losses
from nnjit.inspection import check_gradient
from nnjit.inspection._network import loss_gradient
from nnjit.training.scoring import D2Pinball

CLASSIFIERS = [nnjit.MLPClassifier, nnjit.RBFClassifier]
REGRESSORS = [nnjit.MLPRegressor, nnjit.RBFRegressor]
OUTPUTS = ["identity", "logistic", "tanh", "softplus", "exp"]
LEVELS = [0.9, 0.05, 0.5, 0.95, 0.1]
PAIRS = [(loss, out) for loss in regression_losses() for out in OUTPUTS if out in outputs_of(loss)]
SMOOTH = {"max_iter": 30, "random_state": 0, "solver": "lbfgs"}


def linear(cls=nnjit.MLPRegressor, **parameters):
    """A linear model fitted to its minimum."""
    settings = {"alpha": 0.0, "solver": "lbfgs", "tol": 1e-10, "max_iter": 3000, "random_state": 0}
    return cls(hidden_layer_sizes=(), **{**settings, **parameters})


def positive(kind="regression"):
    X, y = problem(kind)
    return X, np.exp(y)


def state(model):
    return {name: pickle.dumps(value) for name, value in vars(model).items()}


def assert_gradient(model, X, y):
    """Far from the minimum, and without kinks of the activation."""
    model = clone(model).set_params(max_iter=2)
    if hasattr(model, "activation"):
        model.set_params(activation="tanh")
    assert check_gradient(quietly(model.fit, X, y), X, y, random_state=0).error < 1e-6


# Classifiers


@pytest.mark.parametrize("cls", CLASSIFIERS)
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize(
    "parameters",
    [
        {"loss": "squared_error"},
        {"loss": "squared_error", "label_smoothing": 0.1},
        {"loss": "log_loss", "label_smoothing": 0.1},
        {"loss": "focal"},
        {"loss": "focal", "focal_gamma": 0.5},
    ],
    ids=lambda parameters: "-".join(map(str, parameters.values())),
)
def test_classifiers_learn_by_every_loss(parameters, kind, cls):
    X, y = problem(kind)
    for dtype in (np.float64, np.float32):
        model = quietly(cls(solver="lbfgs", max_iter=60, random_state=0, **parameters).fit,
                        X.astype(dtype), y)  # fmt: skip
        p = model.predict_proba(X.astype(dtype))
        assert p.dtype == dtype
        assert ((p >= 0) & (p <= 1)).all()
        if kind != "multilabel":
            np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
        assert np.isfinite(model.predict_log_proba(X.astype(dtype))).all()
        assert model.score(X, y) > (0.55 if kind == "multilabel" else 0.85)
    assert_gradient(model, X, y)


def test_a_classifiers_squared_error_is_half_the_sum_over_the_outputs():
    X, y = problem("multiclass")
    model = quietly(nnjit.MLPClassifier((5,), loss="squared_error", **SMOOTH).fit, X, y)
    one_hot = y[:, np.newaxis] == model.classes_
    penalty = sum((w**2).sum() for w in model.coefs_) * model.alpha / 2 / len(X)
    expected = ((model.predict_proba(X) - one_hot) ** 2).sum(axis=1).mean() / 2 + penalty
    np.testing.assert_allclose(model.loss_, expected, rtol=1e-9)


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
@pytest.mark.parametrize("classes", [2, 3])
def test_smoothing_moves_the_best_probabilities_towards_the_even_ones(loss, classes):
    X, y = np.zeros((40, 1)), np.arange(40) % 20 % classes
    shares, choices = np.bincount(y) / 40, 2 if classes == 2 else classes
    model = linear(nnjit.MLPClassifier, loss=loss, label_smoothing=0.3).fit(X, y)
    np.testing.assert_allclose(
        model.predict_proba(X[:1])[0], 0.7 * shares + 0.3 / choices, atol=1e-5
    )


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_losses_by_name_with_nothing_changed_are_the_log_loss_to_the_bit(cls):
    X, y = problem("multiclass")
    plain = quietly(cls(max_iter=5, random_state=0).fit, X, y)
    named = cls(max_iter=5, random_state=0, loss="log_loss", label_smoothing=0.0, focal_gamma=7.0)
    quietly(named.fit, X, y)
    for name, array in vars(plain).items():
        if name.endswith("_") and name in ("coefs_", "intercepts_", "loss_curve_"):
            for ours, theirs in zip(getattr(named, name), array, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_focal_loss_with_exponent_0_learns_what_the_log_loss_does():
    X, y = problem("multiclass")
    models = [
        quietly(nnjit.MLPClassifier((6,), max_iter=8, random_state=0, **options).fit, X, y)
        for options in ({}, {"loss": "focal", "focal_gamma": 0})
    ]
    np.testing.assert_allclose(models[0].coefs_[0], models[1].coefs_[0], rtol=1e-12)
    np.testing.assert_allclose(models[0].loss_curve_, models[1].loss_curve_, rtol=1e-12)


# Regressors


@pytest.mark.parametrize("cls", REGRESSORS)
@pytest.mark.parametrize(("loss", "output"), PAIRS)
def test_regressors_learn_by_every_loss_and_output(loss, output, cls):
    X, y = problem("multioutput")
    y = 0.5 + 0.4 * y  # inside every range, and positive
    model = cls(loss=loss, output_activation=output, **SMOOTH)
    quietly(model.fit, X, y)
    assert model.out_activation_ == output
    assert r2_score(y, model.predict(X)) > 0.3
    if loss not in ("absolute_error", "quantile"):  # which have kinks
        assert_gradient(model, X, y)


@pytest.mark.parametrize("loss", [None, *regression_losses()])
def test_without_an_output_activation_the_loss_has_its_own(loss):
    X, y = positive()
    model = quietly(nnjit.MLPRegressor(**({"loss": loss} if loss else {}), max_iter=2).fit, X, y)
    expected = "exp" if loss in ("poisson", "gamma") else "identity"
    assert model.out_activation_ == expected


def test_targets_may_lie_outside_the_outputs_range():
    X, y = problem("regression")
    model = quietly(nnjit.MLPRegressor(output_activation="logistic", max_iter=40).fit, X, 5 * y)
    assert 0 <= model.predict(X).min() <= model.predict(X).max() <= 1


def test_the_loss_of_several_outputs_is_their_mean():
    X, y = problem("multioutput")
    for loss, output in (("absolute_error", None), ("squared_error", "tanh"), ("gamma", None)):
        target = np.exp(y) if loss == "gamma" else y
        model = nnjit.MLPRegressor(loss, (4,), output_activation=output, alpha=0, **SMOOTH)
        quietly(model.fit, X, target)
        formulas = find_loss(loss, model.out_activation_).numpy()
        np.testing.assert_allclose(
            model.loss_, formulas.value(target, model.predict(X)).mean(), rtol=1e-9
        )


@pytest.mark.parametrize("kind", ["regression", "multioutput"])
@pytest.mark.parametrize(
    ("loss", "output"),
    [("huber", "tanh"), ("poisson", "softplus"), ("gamma", "exp"), ("squared_error", "softplus")],
)
def test_displays_have_the_gradient_that_training_follows(loss, output, kind):
    X, y = positive(kind)
    model = nnjit.MLPRegressor(loss, (4,), output_activation=output, solver="sgd", alpha=0,
                               momentum=0, learning_rate_init=0.1, batch_size=len(X), max_iter=1,
                               shuffle=False, random_state=0, warm_start=True)  # fmt: skip
    quietly(model.fit, X, y)
    gradient, before = loss_gradient(model, X, y), [w.copy() for w in model.coefs_]
    quietly(model.fit, X, y)
    for step, old, new in zip(gradient.weights, before, model.coefs_, strict=True):
        np.testing.assert_allclose((old - new) / 0.1, step, rtol=1e-9, atol=1e-12)


def test_displays_have_the_gradient_of_a_softmax_by_its_jacobian():
    X, y = problem("multiclass")
    model = nnjit.MLPClassifier(
        (4,), loss="squared_error", label_smoothing=0.1, solver="sgd", alpha=0, momentum=0,
        learning_rate_init=0.1, batch_size=len(X), max_iter=1, shuffle=False, random_state=0,
        warm_start=True,
    )  # fmt: skip
    quietly(model.fit, X, y)
    gradient, before = loss_gradient(model, X, y), [w.copy() for w in model.coefs_]
    quietly(model.fit, X, y)
    for step, old, new in zip(gradient.weights, before, model.coefs_, strict=True):
        np.testing.assert_allclose((old - new) / 0.1, step, rtol=1e-9, atol=1e-12)


def test_outliers_move_robust_losses_less():
    X = np.linspace(-1, 1, 60)[:, np.newaxis]
    y = 2 * X[:, 0]
    y[::10] += 50
    errors = {
        loss: abs(linear(loss=loss).fit(X, y).coefs_[0][0, 0] - 2)
        + abs(linear(loss=loss).fit(X, y).intercepts_[0][0])
        for loss in ("squared_error", "huber", "log_cosh", "absolute_error")
    }
    assert errors["squared_error"] > 4
    assert max(errors["huber"], errors["log_cosh"]) < 0.5
    assert errors["absolute_error"] < 0.05


# Quantiles


def noisy(n=1500, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, 1))
    return X, X[:, 0] + (0.3 + 0.2 * X[:, 0]) * rng.normal(size=n)


@pytest.fixture(scope="module")
def quantile_model():
    X, y = noisy()
    return quietly(
        nnjit.MLPRegressor("quantile", (16,), quantile=LEVELS, solver="lbfgs", max_iter=150,
                           random_state=0).fit, X, y
    )  # fmt: skip


def test_several_quantiles_have_an_output_each_in_the_order_given(quantile_model):
    X, y = noisy(4000, seed=1)
    predicted = quantile_model.predict(X)
    assert predicted.shape == (4000, 5)
    np.testing.assert_array_equal(quantile_model.quantiles_, LEVELS)
    np.testing.assert_allclose((y[:, np.newaxis] <= predicted).mean(axis=0), LEVELS, atol=0.03)


def test_quantiles_do_not_cross_wherever_the_rows_lie(quantile_model):
    X = np.linspace(-40, 40, 500)[:, np.newaxis]
    ascending = quantile_model.predict(X)[:, np.argsort(LEVELS)]
    assert (np.diff(ascending, axis=1) >= 0).all()
    _, _, raw = quantile_model._forward(X)
    assert (np.diff(raw[:, np.argsort(LEVELS)], axis=1) < 0).any()  # or nothing is shown
    np.testing.assert_array_equal(np.sort(raw, axis=1), ascending)


def test_an_interval_is_that_of_two_quantiles(quantile_model):
    X, y = noisy(2000, seed=2)
    for coverage, columns in ((0.8, [4, 0]), (0.9, [1, 3])):
        interval = quantile_model.predict_interval(X, coverage)
        np.testing.assert_array_equal(interval, quantile_model.predict(X)[:, columns])
        inside = (interval[:, 0] <= y) & (y <= interval[:, 1])
        assert abs(inside.mean() - coverage) < 0.03


@pytest.mark.parametrize("coverage", [0.5, 0, 1, 1.5, -0.1, "0.9", None, np.nan, [0.9]])
def test_a_coverage_that_there_is_not_is_an_error_that_lists_those_there_are(
    quantile_model, coverage
):
    with pytest.raises(ValueError, match=r"give the coverages: 0\.9, 0\.8\.$"):
        quantile_model.predict_interval(np.zeros((2, 1)), coverage)


def test_intervals_need_quantiles():
    X, y = problem("regression")
    model = nnjit.MLPRegressor(max_iter=2)
    with pytest.raises(ValueError, match="not fitted"):
        model.predict_interval(X, 0.9)
    quietly(model.fit, X, y)
    with pytest.raises(ValueError, match="loss='quantile'"):
        model.predict_interval(X, 0.9)
    quietly(model.set_params(loss="quantile").fit, X, y)
    with pytest.raises(ValueError, match="give the coverages: none"):
        model.predict_interval(X, 0.9)


@pytest.mark.parametrize("quantile", [0.3, [0.3], LEVELS, np.array([0.2, 0.8])])
def test_the_score_of_quantiles_is_scikit_learns_d2(quantile):
    X, y = noisy(200)
    w = np.random.default_rng(1).uniform(0, 2, 200)
    model = nnjit.MLPRegressor("quantile", (5,), quantile=quantile, **SMOOTH)
    quietly(model.fit, X, y)
    predicted = model.predict(X).reshape(200, -1)
    levels = np.ravel(quantile)
    assert predicted.shape[1] == len(levels)
    for weight in (None, w):
        expected = [
            d2_pinball_score(y, column, alpha=level, sample_weight=weight)
            for level, column in zip(levels, predicted.T, strict=True)
        ]
        np.testing.assert_allclose(model.score(X, y, weight), np.mean(expected), rtol=1e-12)
    assert np.isfinite(cross_val_score(model, X, y, cv=2)).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("levels", [[0.3], LEVELS])
def test_scores_on_held_out_rows_are_scikit_learns(levels, weighted):
    rng = np.random.default_rng(0)
    columns = 3 if len(levels) == 1 else 1
    y = rng.normal(size=(60, columns))
    if columns == 3:
        y[:, 1] = 2.0
    output = rng.normal(size=(60, max(columns, len(levels))))
    w = rng.uniform(0, 2, 60) if weighted else None
    score = D2Pinball(y, w, np.array(levels))
    order = np.argsort(levels)
    ordered = np.empty_like(output)
    ordered[:, order if len(levels) > 1 else slice(None)] = (
        np.sort(output, axis=1) if len(levels) > 1 else output
    )
    expected = (
        d2_pinball_score(y, output, alpha=levels[0], sample_weight=w)
        if columns == 3
        else np.mean([
            d2_pinball_score(y[:, 0], one, alpha=level, sample_weight=w)
            for level, one in zip(levels, ordered.T, strict=True)
        ])
    )  # fmt: skip
    np.testing.assert_allclose(score(output), expected, rtol=1e-12)
    assert np.isnan(score(np.full_like(output, np.inf)))
    if columns == 3:
        assert score(y) == 1.0


def test_early_stopping_watches_the_score_of_quantiles():
    X, y = noisy(300)
    model = nnjit.MLPRegressor("quantile", (8,), quantile=[0.1, 0.9], early_stopping=True,
                               max_iter=30, random_state=0)  # fmt: skip
    quietly(model.fit, X, y)
    _, held_out = model._validation_split.rows()
    np.testing.assert_allclose(
        model.score(X[held_out], y[held_out]), model.best_validation_score_, rtol=1e-12
    )


def test_several_quantiles_need_one_column():
    X, y = problem("multioutput")
    model = nnjit.MLPRegressor("quantile", quantile=[0.1, 0.9])
    with pytest.raises(ValueError, match="Several quantiles need y of one column, got 3"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")
    quietly(model.fit, X, y[:, :1])
    one = quietly(nnjit.MLPRegressor("quantile", quantile=[0.1], max_iter=3).fit, X, y)
    assert one.predict(X).shape == y.shape


# Going on, and keeping


def test_a_changed_loss_of_the_same_output_goes_on_from_the_weights():
    X, y = positive()
    for loss, other in (("huber", "absolute_error"), ("gamma", "poisson"), ("huber", "quantile")):
        model = nnjit.MLPRegressor(loss, (5,), warm_start=True, max_iter=2, random_state=0)
        quietly(model.fit, X, y)
        quietly(model.set_params(loss=other).fit, X, y)
        assert len(model.loss_curve_) == 4
        model.partial_fit(X, y)
    model = nnjit.MLPClassifier((5,), warm_start=True, max_iter=2, random_state=0)
    X, y = problem("multiclass")
    quietly(model.fit, X, y)
    for change in ({"loss": "squared_error"}, {"label_smoothing": 0.2}, {"loss": "log_loss"}):
        quietly(model.set_params(**change).fit, X, y)
    assert len(model.loss_curve_) == 8


def test_another_output_or_number_of_quantiles_is_a_clear_error_and_changes_nothing():
    X, y = positive()
    model = nnjit.MLPRegressor("quantile", (5,), quantile=[0.1, 0.9], warm_start=True, max_iter=2)
    quietly(model.fit, X, y)
    for change, message in (
        ({"quantile": [0.1, 0.5, 0.9]}, "layers of"),
        ({"output_activation": "exp"}, "ends in 'identity'"),
        ({"loss": "gamma"}, "layers of"),
    ):
        before = vars(model).copy()
        model.set_params(**change)
        changed = vars(model).copy()
        with pytest.raises(ValueError, match=message):
            model.fit(X, y)
        assert vars(model) == changed
        vars(model).update(before)


def test_another_loss_than_that_of_the_fit_does_not_change_predictions():
    X, y = positive()
    model = quietly(nnjit.MLPRegressor("quantile", (5,), quantile=[0.1, 0.9], max_iter=5).fit, X, y)
    expected, score = model.predict(X), model.score(X, y)
    model.set_params(loss="squared_error", quantile=0.5, output_activation="exp")
    np.testing.assert_array_equal(model.predict(X), expected)
    assert model.score(X, y) == score
    quietly(model.fit, X, y)
    assert not hasattr(model, "quantiles_")


@pytest.mark.parametrize("parameters", [
    {"loss": "quantile", "quantile": [0.9, 0.1]}, {"loss": "huber", "huber_delta": 0.2},
    {"loss": "gamma"}, {"output_activation": "softplus"},
])  # fmt: skip
@pytest.mark.parametrize("cls", REGRESSORS)
def test_pickles_and_clones_go_on_as_the_original(cls, parameters):
    X, y = positive()
    model = quietly(cls(max_iter=3, random_state=0, warm_start=True, **parameters).fit, X, y)
    copies = [model, pickle.loads(pickle.dumps(model))]
    for one in copies:
        quietly(one.fit, X, y)
    np.testing.assert_array_equal(*[one.predict(X) for one in copies])
    fresh = clone(model)
    assert not hasattr(fresh, "quantiles_")
    assert {name: repr(value) for name, value in fresh.get_params().items()} == {
        name: repr(value) for name, value in model.get_params().items()
    }


@pytest.mark.parametrize("cls", REGRESSORS)
def test_partial_fit_is_a_fit_of_one_epoch(cls):
    X, y = positive()
    options = {"loss": "quantile", "quantile": (0.25, 0.75), "random_state": 0}
    whole = quietly(cls(max_iter=1, **options).fit, X, y)
    parts = cls(**options).partial_fit(X, y)
    np.testing.assert_array_equal(parts.predict(X), whole.predict(X))
    with pytest.raises(ValueError, match="layers of|fitted network"):
        parts.set_params(quantile=0.5).partial_fit(X, y)
    with pytest.raises(ValueError, match="quantile must be a number above 0"):
        parts.set_params(quantile=[0.5, 2.0]).partial_fit(X, y)


def test_sample_weights_count_as_repeated_rows():
    X, y = positive()
    w = np.random.default_rng(0).integers(0, 3, len(X))
    for options in ({"loss": "gamma"}, {"loss": "log_cosh", "output_activation": "softplus"}):
        weighted = quietly(linear(**options).fit, X, y, w)
        repeated = quietly(linear(**options).fit, np.repeat(X, w, axis=0), np.repeat(y, w))
        np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-4)


# What is refused


@pytest.mark.parametrize(
    ("cls", "parameters", "message"),
    [
        (nnjit.MLPRegressor, {"loss": "focal"}, "'loss' parameter of MLPRegressor"),
        (nnjit.MLPRegressor, {"loss": "log_loss"}, "'loss' parameter of MLPRegressor"),
        (nnjit.RBFRegressor, {"loss": "smoothed_log_loss"}, "'loss' parameter of RBFRegressor"),
        (nnjit.MLPClassifier, {"loss": "huber"}, "'loss' parameter of MLPClassifier"),
        (nnjit.MLPClassifier, {"loss": "squared_error_of_classes"}, "'loss' parameter"),
        (nnjit.MLPClassifier, {"label_smoothing": 1.0}, "'label_smoothing' parameter"),
        (nnjit.MLPClassifier, {"label_smoothing": -0.1}, "'label_smoothing' parameter"),
        (nnjit.RBFClassifier, {"focal_gamma": -1}, "'focal_gamma' parameter"),
        (nnjit.MLPClassifier, {"loss": "focal", "label_smoothing": 0.1},
         "label_smoothing=0.1 does not go with loss='focal'"),
        (nnjit.MLPRegressor, {"huber_delta": 0}, "'huber_delta' parameter"),
        (nnjit.MLPRegressor, {"quantile": 1.5}, "'quantile' parameter"),
        (nnjit.MLPRegressor, {"quantile": 0.0}, "'quantile' parameter"),
        (nnjit.MLPRegressor, {"quantile": "median"}, "'quantile' parameter"),
        (nnjit.MLPRegressor, {"loss": "quantile", "quantile": [0.5, 1.5]}, "quantile must be"),
        (nnjit.MLPRegressor, {"loss": "quantile", "quantile": [0.5, 0.5]}, "several distinct"),
        (nnjit.MLPRegressor, {"loss": "quantile", "quantile": [0.5, np.nan]}, "quantile must be"),
        (nnjit.MLPRegressor, {"loss": "quantile", "quantile": []}, "quantile must be"),
        (nnjit.MLPRegressor, {"loss": "quantile", "quantile": [[0.5]]}, "quantile must be"),
        (nnjit.MLPRegressor, {"loss": "quantile", "quantile": ["a"]}, "quantile must be"),
        (nnjit.MLPRegressor, {"output_activation": "relu"}, "'output_activation' parameter"),
        (nnjit.MLPRegressor, {"output_activation": "softmax"}, "'output_activation' parameter"),
        (nnjit.RBFRegressor, {"loss": "poisson", "output_activation": "identity"},
         "loss='poisson' does not go with output_activation='identity'"),
        (nnjit.MLPRegressor, {"loss": "gamma", "output_activation": "tanh"},
         "goes with ..exp', 'logistic', 'softplus'.*'tanh' goes with .*'huber'"),
    ],
)  # fmt: skip
def test_bad_values_and_pairs_are_refused_and_change_nothing(cls, parameters, message):
    X, y = problem("binary") if "Classifier" in cls.__name__ else positive()
    model = quietly(cls(max_iter=2, random_state=0).fit, X, y)
    good = model.get_params()
    before = state(model.set_params(**parameters))
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert state(model) == before
    model.set_params(**good)
    quietly(model.fit, X, y)


@pytest.mark.parametrize("cls", REGRESSORS)
def test_gamma_needs_positive_targets(cls):
    X, y = positive()
    y[3] = 0
    with pytest.raises(ValueError, match="loss='gamma' needs y > 0, but y has values that are not"):
        cls(loss="gamma").fit(X, y)
    assert cls(loss="gamma").__sklearn_tags__().target_tags.positive_only
    assert cls(loss="poisson", output_activation="softplus").__sklearn_tags__() is not None
    assert not cls(loss="huber").__sklearn_tags__().target_tags.positive_only


def test_both_kinds_of_network_have_the_same_losses():
    for group, classes in (
        (groups.ClassificationLoss, CLASSIFIERS), (groups.RegressionLoss, REGRESSORS)
    ):  # fmt: skip
        for cls in classes:
            assert set(group._own_parameters) <= set(cls().get_params())
    assert set(outputs_of("huber")) > {*OUTPUTS}
    assert "huber" in losses_of("tanh")


# RBF networks


def test_only_the_squared_error_of_an_identity_has_a_closed_form():
    X, y = problem("regression")
    for output, iterations in ((None, {1}), ("identity", {1}), ("tanh", range(2, 201))):
        model = nnjit.RBFRegressor(10, train="output", output_activation=output, random_state=0)
        assert quietly(model.fit, X, y).n_iter_ in iterations


@pytest.mark.parametrize("train", ["output", "all"])
def test_radial_networks_have_quantiles(train):
    X, y = noisy(400)
    model = nnjit.RBFRegressor(10, loss="quantile", quantile=[0.1, 0.9], train=train,
                               solver="lbfgs", max_iter=100, random_state=0)  # fmt: skip
    quietly(model.fit, X, y)
    interval = model.predict_interval(X, 0.8)
    assert abs(((interval[:, 0] <= y) & (y <= interval[:, 1])).mean() - 0.8) < 0.08


# scikit-learn's own


def test_scikit_learn_is_given_what_it_knows_and_told_what_it_does_not():
    X, y = positive()
    with pytest.raises(ValueError, match=r"cannot take the parameters over.*'loss'.*huber"):
        nnjit.MLPRegressor("huber").to_sklearn()
    soft = quietly(nnjit.MLPRegressor(output_activation="softplus", max_iter=2).fit, X, y)
    with warnings.catch_warnings(), pytest.raises(ValueError, match="no output activation 'softp"):
        warnings.simplefilter("ignore")
        soft.to_sklearn()
    X, y = problem("multiclass")
    ours = quietly(nnjit.MLPClassifier(loss="focal", max_iter=2, random_state=0).fit, X, y)
    with pytest.warns(UserWarning, match="no parameter loss: left out"):
        theirs = ours.to_sklearn()
    np.testing.assert_allclose(theirs.predict_proba(X), ours.predict_proba(X), rtol=1e-9)
    assert nnjit.MLPClassifier.from_sklearn(theirs).loss == "log_loss"
