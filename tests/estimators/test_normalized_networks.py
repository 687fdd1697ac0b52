"""MLPs with normalization and residual layers as estimators."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from problems import CLASSIFICATION, N_FEATURES, REGRESSION, pair, problem, quietly, weights
from sklearn.base import clone

import nnjit

KINDS = [*CLASSIFICATION, *REGRESSION]
SETTINGS = {
    "hidden_layer_sizes": (8, 6, 6), "max_iter": 8, "random_state": 3, "batch_size": 20,
    "n_iter_no_change": 100,
}  # fmt: skip
OPTIONS = [
    {"normalization": "batch"},
    {"normalization": "layer"},
    {"residual": True},
    {"normalization": "batch", "residual": True},
    {"normalization": "layer", "residual": True},
]
every_option = pytest.mark.parametrize("options", OPTIONS, ids=str)


def model_of(kind, **parameters):
    return pair(kind)[0].set_params(**{**SETTINGS, **parameters})


def fitted(kind, **parameters):
    X, y = problem(kind)
    return quietly(model_of(kind, **parameters).fit, X, y), X, y


def arrays_of(model):
    return model._give_parameters()[1]


def assert_same(one, other):
    assert one._give_parameters()[0] == other._give_parameters()[0]
    for a, b in zip(arrays_of(one), arrays_of(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@every_option
@pytest.mark.parametrize("kind", KINDS)
def test_every_target_is_learned(kind, options):
    model, X, y = fitted(kind, **options, max_iter=60, learning_rate_init=0.01)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    if kind != "poisson":
        assert model.score(X, y) > 0.6


@every_option
def test_attributes_are_those_of_dense_layers_and_of_the_normalizations(options):
    model, X, _ = fitted("multiclass", **options)
    assert [w.shape for w in model.coefs_] == [(N_FEATURES, 8), (8, 6), (6, 6), (6, 3)]
    assert [b.shape for b in model.intercepts_] == [(8,), (6,), (6,), (3,)]
    assert model.n_layers_ == 5
    method = options.get("normalization")
    assert hasattr(model, "normalization_") == (method is not None)
    for entry, units in zip(getattr(model, "normalization_", ()), (8, 6, 6), strict=False):
        running = ["mean", "variance"] if method == "batch" else []
        assert list(entry) == ["scale", "shift", *running]
        assert all(array.shape == (units,) for array in entry.values())
        assert (entry["scale"] != 1).any() and (entry["shift"] != 0).any()
    assert model.predict(X).shape == (len(X),)


def test_the_first_weights_are_those_without():
    """Nothing more is drawn at random."""
    X, y = problem("multiclass")
    drawn = [
        quietly(model_of("multiclass", max_iter=1, learning_rate_init=1e-12, **options).fit, X, y)
        for options in ({}, *OPTIONS)
    ]
    for model in drawn[1:]:
        for a, b in zip(model.coefs_, drawn[0].coefs_, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)


@every_option
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pickles_clones_and_sparse_rows(options, dtype):
    X, y = problem("multiclass")
    X = X.astype(dtype)
    model = quietly(model_of("multiclass", **options).fit, X, y)
    assert {array.dtype for array in arrays_of(model)} == {np.dtype(dtype)}
    assert_same(pickle.loads(pickle.dumps(model)), model)
    assert_same(quietly(clone(model).fit, X, y), model)
    limit = 1e-4 if dtype == np.float32 else 1e-9
    rows = sp.csr_matrix(X)
    np.testing.assert_allclose(model.predict_proba(rows), model.predict_proba(X), rtol=limit)
    sparse = quietly(clone(model).fit, rows, y)
    for a, b in zip(arrays_of(sparse), arrays_of(model), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=30 * limit)


@every_option
def test_training_goes_on_where_it_stood(options):
    X, y = problem("multiclass")
    whole = model_of("multiclass", **options, max_iter=1, shuffle=False)
    one = quietly(clone(whole).partial_fit, X, y, classes=np.unique(y))
    other = quietly(clone(whole).set_params(warm_start=True).fit, X, y)
    for a, b in zip(arrays_of(one), arrays_of(other), strict=True):
        np.testing.assert_array_equal(a, b)
    before = [array.copy() for array in arrays_of(one)]
    quietly(one.partial_fit, X, y)
    quietly(other.fit, X, y)
    assert all((a != b).any() for a, b in zip(arrays_of(one), before, strict=True))


def test_early_stopping_restores_running_statistics_with_the_best_weights():
    X, y = problem("multiclass")
    seen = []

    class Noting(nnjit.MLPClassifier):
        def _take_parameters(self, arrays):
            seen.append([array.copy() for array in arrays])
            super()._take_parameters(arrays)

    model = Noting(
        (6,), normalization="batch", early_stopping=True, validation_fraction=0.3, max_iter=40,
        n_iter_no_change=5, learning_rate_init=0.05, batch_size=20, random_state=0,
    )  # fmt: skip
    quietly(model.fit, X, y)
    best = int(np.argmax(model.validation_scores_)) + 1
    assert best < model.n_iter_
    # the same epochs and no more: their weights and statistics
    again = quietly(clone(model).set_params(max_iter=best).fit, X, y)
    for a, b in zip(arrays_of(model), arrays_of(again), strict=True):
        np.testing.assert_array_equal(a, b)


@every_option
def test_a_fit_that_fails_leaves_everything_as_it_was(options):
    model, X, y = fitted("regression", **options, warm_start=True, solver="sgd")
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match="non-finite"):
        quietly(model.fit, X, y * 1e200)
    assert pickle.dumps(model) == before


def test_a_fit_without_normalization_forgets_the_former():
    model, X, y = fitted("regression", normalization="batch")
    quietly(model.set_params(normalization=None).fit, X, y)
    assert not hasattr(model, "normalization_")
    assert_same(model, fitted("regression")[0])


@pytest.mark.parametrize(
    "fitted_with, asked", [("batch", None), (None, "layer"), ("layer", "batch")]
)
def test_another_normalization_is_not_trained_on(fitted_with, asked):
    model, X, y = fitted("regression", normalization=fitted_with, warm_start=True)
    expected = model.predict(X)
    model.set_params(normalization=asked)
    np.testing.assert_array_equal(model.predict(X), expected)  # it was fitted as it was fitted
    words = f"has normalization={fitted_with!r}, but normalization={asked!r} is asked for"
    with pytest.raises(ValueError, match=words):
        quietly(model.fit, X, y)


@pytest.mark.parametrize("options", [OPTIONS[1], OPTIONS[2], OPTIONS[4]], ids=str)
@pytest.mark.parametrize("kind", ["multiclass", "regression", "multioutput"])
def test_lbfgs_takes_layer_normalization_and_residual_layers(kind, options):
    model, X, y = fitted(kind, **options, solver="lbfgs", max_iter=60)
    assert model.score(X, y) > 0.8


def test_lbfgs_refuses_batch_normalization():
    X, y = problem("regression")
    model = model_of("regression", solver="lbfgs", normalization="batch")
    with pytest.raises(ValueError, match="solver='lbfgs' .* normalization='batch'"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


def test_sample_weights_do_not_count_in_the_running_statistics():
    X, y = problem("regression")
    one, other = (
        quietly(model_of("regression", normalization="batch", max_iter=1, batch_size=len(X)).fit,
                X, y, sample_weight=w)
        for w in (None, weights())
    )  # fmt: skip
    for name in ("mean", "variance"):  # the first minibatch's: of the same sums
        np.testing.assert_array_equal(one.normalization_[0][name], other.normalization_[0][name])
    assert (one.normalization_[0]["scale"] != other.normalization_[0]["scale"]).any()


def test_networks_without_hidden_layers_have_nothing_to_normalize():
    X, y = problem("regression")
    parameters = {"hidden_layer_sizes": (), "residual": True, "max_iter": 3, "random_state": 0}
    plain, other = (
        quietly(nnjit.MLPRegressor(normalization=method, **parameters).fit, X, y)
        for method in (None, "batch")
    )
    np.testing.assert_array_equal(plain.predict(X), other.predict(X))


@pytest.mark.parametrize("parameters", [{"normalization": "group"}, {"residual": None}], ids=str)
def test_bad_values_are_refused_in_scikit_learns_words(parameters):
    (name,) = parameters
    with pytest.raises(ValueError, match=f"The '{name}' parameter of MLPRegressor must be"):
        model_of("regression", **parameters).fit(*problem("regression"))


def test_what_is_assigned_is_used():
    model, X, _ = fitted("regression", normalization="batch", residual=True)
    before = model.predict(X)
    entry = model.normalization_[0]
    entry["shift"] = (entry["shift"] + 1).tolist()
    after = model.predict(X)
    assert (after != before).any()
    entry["shift"] = np.array(entry["shift"]) - 1
    np.testing.assert_allclose(model.predict(X), before, rtol=1e-9)
    model.residual = False
    assert (model.predict(X) != before).any()


ASSIGNED = {
    "a number": (lambda entries: 3, "must be a list of dicts"),
    "a layer less": (lambda entries: entries[1:], "one for each of the 3 hidden layers"),
    "no dict": (lambda entries: [1, 2, 3], "has 'scale' and 'shift'"),
    "a name less": (lambda entries: [{"scale": e["scale"]} for e in entries], "has 'scale' and"),
    "two methods": (
        lambda entries: [{n: entries[0][n] for n in ("scale", "shift")}, *entries[1:]],
        "has 'scale' and 'shift'",
    ),
    "another width": (
        lambda entries: [{**entries[0], "mean": np.zeros(5)}, *entries[1:]],
        r"normalization_\[0\]\['mean'\] has shape \(5,\), but the layer has 8 units",
    ),
    "text": (
        lambda entries: [{**entries[0], "mean": np.array(["a"] * 8)}, *entries[1:]],
        r"normalization_\[0\]\['mean'\] must be an array of real numbers",
    ),
    "a negative variance": (
        lambda entries: [*entries[:2], {**entries[2], "variance": -np.ones(6)}],
        r"normalization_\[2\]\['variance'\] has negative numbers",
    ),
    "not a number": (
        lambda entries: [*entries[:2], {**entries[2], "shift": np.full(6, np.nan)}],
        r"normalization_\[2\]\['shift'\] contains NaN",
    ),
}


@pytest.mark.parametrize("change", ASSIGNED)
@pytest.mark.parametrize("kept", [False, True], ids=["first", "after another"])
def test_what_is_no_normalization_is_refused(change, kept):
    model, X, _ = fitted("regression", normalization="batch")
    if kept:
        model.predict(X)
    make, words = ASSIGNED[change]
    model.normalization_ = make(model.normalization_)
    with pytest.raises(ValueError, match=words):
        model.predict(X)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_device_without_code_for_the_layers_is_refused_by_name(options):
    from nnjit.backends.cuda.arguments import why_no_layers as why_not

    model, _, _ = fitted("regression", **options)
    reason = why_not(model._give_parameters()[0])
    for kind in ("normalization", "residual"):
        assert (kind in reason) == bool(options.get(kind))


def test_callbacks_and_advice_take_the_layers():
    X, y = problem("multiclass")
    with warnings.catch_warnings():
        warnings.simplefilter("error", nnjit.exceptions.TrainingWarning)
        for options in OPTIONS:
            quietly(model_of("multiclass", **options).fit, X, y)
