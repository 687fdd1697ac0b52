"""Outputs of hidden layers: `activations` of every network, and the transformer that gives them."""

import pickle

import numba
import numpy as np
import pytest
from problems import N_FEATURES, N_SAMPLES, inputs, problem, quietly, weights
from scipy.sparse import csc_matrix, csr_array, csr_matrix
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from test_bad_input import fingerprint

import naive
from nnjit import HiddenFeatures, MLPClassifier, MLPRegressor, RBFClassifier, RBFRegressor

X = inputs()
SETTINGS = {"max_iter": 3, "random_state": 0}


def perceptron(kind="multiclass", dtype=np.float64, **parameters):
    X, y = problem(kind)
    cls = MLPRegressor if kind == "regression" else MLPClassifier
    settings = {"hidden_layer_sizes": (5, 17, 3), **SETTINGS, **parameters}
    return quietly(cls(**settings).fit, X.astype(dtype), y)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_are_what_the_oracle_has_behind_each_layer(kind, activation, dtype):
    model = perceptron(kind, dtype, activation=activation)
    layers = naive.network_forward(
        model.coefs_, model.intercepts_, X.astype(dtype), activation, model.out_activation_
    )
    limit = 1e-5 if dtype == np.float32 else 1e-12
    for layer, units in enumerate((5, 17, 3)):
        found = model.activations(X.astype(dtype), layer)
        assert found.shape == (N_SAMPLES, units) and found.dtype == dtype
        np.testing.assert_allclose(found, layers[layer + 1], rtol=limit, atol=limit)
        np.testing.assert_array_equal(model.activations(X.astype(dtype), layer - 3), found)
    np.testing.assert_array_equal(model.activations(X), model.activations(X, 2))


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("cls", [RBFClassifier, RBFRegressor])
def test_activations_of_a_radial_network_are_its_bumps(cls, normalized):
    y = X[:, 0] > 0
    model = quietly(cls(7, normalized=normalized, **SETTINGS).fit, X + 50, y)
    expected = naive.radial_forward(X + 50, model.centers_, np.log(model.widths_), normalized)
    np.testing.assert_allclose(model.activations(X + 50), expected, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="1 hidden layer: layer must be from -1 to 0, got 1"):
        model.activations(X, 1)


def test_rows_come_in_every_form_that_predict_takes():
    pandas = pytest.importorskip("pandas")
    model = perceptron()
    expected = model.activations(X, 1)
    for form in (csr_matrix, csr_array, csc_matrix, np.asfortranarray, np.ndarray.tolist):
        np.testing.assert_allclose(model.activations(form(X), 1), expected, rtol=1e-12, atol=1e-14)
    names = [f"f{i}" for i in range(N_FEATURES)]
    _, y = problem("multiclass")
    named = quietly(clone(model).fit, pandas.DataFrame(X, columns=names), y)
    np.testing.assert_array_equal(
        named.activations(pandas.DataFrame(X, columns=names), 1), expected
    )
    for rows in (slice(0, 1), slice(3, 20)):
        np.testing.assert_array_equal(model.activations(X[rows], 1), expected[rows])


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
def test_bits_do_not_depend_on_threads():
    model = perceptron(hidden_layer_sizes=(64, 300), activation="tanh")
    many = np.random.default_rng(0).standard_normal((3000, N_FEATURES))
    before, found = numba.get_num_threads(), []
    try:
        for count in (1, 2, 4):
            numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
            found.append(model.activations(many))
    finally:
        numba.set_num_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_assigned_weights_are_used():
    model = perceptron(activation="identity")
    model.coefs_[0] = np.ones((N_FEATURES, 5), dtype=int)
    model.intercepts_[0] = np.arange(5)
    expected = X.sum(axis=1, keepdims=True) + np.arange(5)
    np.testing.assert_allclose(model.activations(X, 0), expected, rtol=1e-12, atol=1e-13)


def test_a_prediction_is_that_of_the_last_layer_on_the_activations():
    model = perceptron("regression")
    last = model.activations(X) @ model.coefs_[-1] + model.intercepts_[-1]
    np.testing.assert_allclose(model.predict(X), last.ravel(), rtol=1e-12, atol=1e-14)


BAD = [
    (X, 3, ValueError, "has 3 hidden layers: layer must be from -3 to 2, got 3"),
    (X, -4, ValueError, "layer must be from -3 to 2, got -4"),
    (X, 1.0, TypeError, "float"),
    (X[:, :3], 0, ValueError, "X has 3 features, but MLPClassifier is expecting 8"),
    (X[0], 0, ValueError, "Expected 2D array"),
    (np.where(X > 2, np.nan, X), 0, ValueError, "Input X contains NaN"),
    (X * 1e307, 0, ValueError, "activations of row .* overflow.* the largest float64. Scale"),
]


@pytest.mark.parametrize(("rows", "layer", "error", "words"), BAD)
def test_what_is_no_layer_or_no_row_is_refused(rows, layer, error, words):
    model = perceptron(activation="identity")
    model.coefs_[0] *= 1e3
    before = fingerprint(model)
    with pytest.raises(error, match=words):
        model.activations(rows, layer)
    assert fingerprint(model) == before


def test_an_overflow_is_passed_on_where_scikit_learn_assumes_finite():
    model = perceptron(activation="identity")
    with config_context(assume_finite=True):
        assert not np.isfinite(model.activations(np.full((1, N_FEATURES), 1.7e308), 2)).all()


def test_a_network_without_hidden_layers_says_so():
    with pytest.raises(ValueError, match="no hidden layer"):
        perceptron(hidden_layer_sizes=()).activations(X)
    with pytest.raises(NotFittedError):
        MLPClassifier().activations(X)


# The transformer

INNER = MLPClassifier((6, 4), max_iter=20, random_state=0)
CHECKED = [
    HiddenFeatures(MLPClassifier((6, 3), max_iter=20, random_state=0)),
    HiddenFeatures(
        MLPRegressor(hidden_layer_sizes=(6, 3), max_iter=20, random_state=0), layer=0
    ),
    HiddenFeatures(RBFRegressor(max_iter=10, random_state=0)),
]  # fmt: skip


def expected_failures(features):
    if isinstance(features.estimator, MLPClassifier):
        return {"check_n_features_in_after_fitting": "partial_fit is given no classes"}
    return {}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(CHECKED, expected_failed_checks=expected_failures)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("layer", [0, 1, -2])
def test_features_are_the_activations_of_a_fitted_clone(layer):
    X, y = problem("multiclass")
    features = quietly(HiddenFeatures(INNER, layer=layer).fit, X, y, sample_weight=weights())
    alone = quietly(clone(INNER).fit, X, y, weights())
    assert not hasattr(INNER, "coefs_")
    np.testing.assert_array_equal(features.transform(X), alone.activations(X, layer))
    again = pickle.loads(pickle.dumps(features))
    np.testing.assert_array_equal(again.transform(X), features.transform(X))
    np.testing.assert_array_equal(
        quietly(clone(features).fit_transform, X, y, sample_weight=weights()), again.transform(X)
    )


def test_names_are_those_of_the_network_and_columns_of_a_table():
    pandas = pytest.importorskip("pandas")
    X, y = problem("binary")
    table = pandas.DataFrame(X, columns=list("abcdefgh"), index=np.arange(N_SAMPLES) + 5)
    features = quietly(HiddenFeatures(INNER).set_output(transform="pandas").fit, table, y)
    names = [f"mlpclassifier{i}" for i in range(4)]
    assert list(features.get_feature_names_out()) == names
    found = features.transform(table)
    assert list(found.columns) == names and list(found.index) == list(table.index)
    assert features.n_features_in_ == N_FEATURES
    assert list(features.feature_names_in_) == list("abcdefgh")
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
        features.get_feature_names_out(list("hgfedcba"))
    assert not hasattr(clone(features), "n_features_in_")


def test_searches_reach_the_parameters_of_the_network():
    X, y = problem("multiclass")
    model = make_pipeline(StandardScaler(), HiddenFeatures(INNER), LogisticRegression())
    grid = {"hiddenfeatures__estimator__alpha": [1e-4, 1e-2], "hiddenfeatures__layer": [0, 1]}
    search = quietly(GridSearchCV(model, grid, cv=2).fit, X, y)
    assert search.score(X, y) > 0.5
    quietly(model.fit, X, y, hiddenfeatures__sample_weight=weights())
    inner = quietly(clone(INNER).fit, StandardScaler().fit_transform(X), y, weights())
    np.testing.assert_array_equal(model[1].estimator_.coefs_[0], inner.coefs_[0])


def test_metadata_goes_where_the_network_asks_for_it():
    X, y = problem("multiclass")
    alone = quietly(clone(INNER).fit, X, y, weights())
    with config_context(enable_metadata_routing=True):
        asking = clone(INNER).set_fit_request(sample_weight=True)
        features = quietly(HiddenFeatures(asking).fit, X, y, sample_weight=weights())
        last = LogisticRegression().set_fit_request(sample_weight=False)
        model = make_pipeline(HiddenFeatures(asking), last)
        quietly(model.fit, X, y, sample_weight=weights())
        with pytest.raises(TypeError, match="unexpected"):
            HiddenFeatures(asking).fit(X, y, other=1)
        stepped = HiddenFeatures(clone(INNER).set_partial_fit_request(classes=True))
        stepped.partial_fit(X, y, classes=np.unique(y)).partial_fit(X, y)
        assert stepped.estimator_.t_ == 2 * N_SAMPLES
    for found in (features, model[0]):
        np.testing.assert_array_equal(found.estimator_.coefs_[0], alone.coefs_[0])


def test_a_fitted_network_is_taken_as_it_is():
    X, y = problem("multiclass")
    inner = quietly(clone(INNER).fit, X, y)
    features = HiddenFeatures(inner, layer=0, prefit=True)
    expected = inner.activations(X, 0)
    np.testing.assert_array_equal(features.transform(X), expected)
    assert features.n_features_in_ == N_FEATURES
    for method in (features.fit, features.partial_fit):
        assert method(X, y) is features
        np.testing.assert_array_equal(features.transform(X), expected)
        assert features.estimator_ is not inner
    with pytest.raises(NotFittedError, match="When `prefit=True`"):
        HiddenFeatures(INNER, prefit=True).fit(X, y)
    with pytest.raises(NotFittedError):
        HiddenFeatures(INNER, prefit=True).transform(X)


def test_partial_fit_goes_on_with_the_network():
    X, y = problem("multiclass")
    features, alone = HiddenFeatures(INNER), clone(INNER)
    for _ in range(2):
        features.partial_fit(X, y, classes=np.unique(y))
        alone.partial_fit(X, y, classes=np.unique(y))
    np.testing.assert_array_equal(features.transform(X), alone.activations(X))
    assert not hasattr(HiddenFeatures(MLPClassifier(solver="lbfgs")), "partial_fit")


def test_what_has_no_activations_or_no_such_layer_is_refused():
    X, y = problem("binary")
    with pytest.raises(ValueError, match="The 'estimator' parameter of HiddenFeatures must be"):
        HiddenFeatures(LogisticRegression()).fit(X, y)
    with pytest.raises(ValueError, match="The 'layer' parameter of HiddenFeatures must be"):
        HiddenFeatures(INNER, layer=0.5).fit(X, y)
    features = quietly(HiddenFeatures(INNER).fit, X, y)
    before = fingerprint(features)
    features.layer = 7
    for method in (features.fit, features.partial_fit):
        with pytest.raises(ValueError, match="layer must be from -2 to 1, got 7"):
            quietly(method, X, y)
    features.layer = -1
    assert fingerprint(features) == before
