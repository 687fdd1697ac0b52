"""Input containers, pickles and scikit-learn's machinery around an estimator."""

import copy
import inspect
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from problems import N_FEATURES, N_SAMPLES, inputs, pair, problem, quietly, weights
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

import nnjit

KINDS = ["binary", "multiclass", "multilabel", "regression", "multioutput", "poisson"]
NETWORK = {"hidden_layer_sizes": (6,), "max_iter": 4, "batch_size": 25, "random_state": 1}
# scikit-learn 1.7 looks for NaN among the labels that it predicted for the validation rows.
SCORES_TEXT = parse_version(sklearn.__version__) >= parse_version("1.8")


def same_parameters(a, b):
    pairs = zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


def fitted(kind, X=None, **parameters):
    dense, y = problem(kind)
    return quietly(pair(kind, **{**NETWORK, **parameters})[0].fit, dense if X is None else X, y)


# Signatures


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_methods_attributes_and_tags_are_those_of_scikit_learn(name):
    kind = "binary" if name == "MLPClassifier" else "regression"
    X, y = problem(kind)
    ours, theirs = (quietly(e.fit, X, y) for e in pair(kind, **NETWORK))
    for attribute in dir(theirs):
        if not attribute.startswith("_"):
            assert hasattr(ours, attribute), attribute
    expected = theirs.__sklearn_tags__()
    expected.target_tags.multi_output |= name == "MLPClassifier"  # several columns of classes
    assert ours.__sklearn_tags__() == expected
    added = set(type(ours)._parameter_constraints) - set(type(theirs)._parameter_constraints)
    assert {"checkpoint", "checkpoint_interval", "device"} <= added
    for method in ("fit", "partial_fit", "predict", "score"):
        expected = inspect.signature(getattr(theirs, method)).parameters
        own = inspect.signature(getattr(ours, method)).parameters
        assert list(own)[: len(expected)] == list(expected)
        more = [one for name, one in own.items() if name not in expected]
        assert all(one.kind == one.KEYWORD_ONLY and one.default is None for one in more)


def test_importing_does_not_load_numba():
    code = (
        "import sys, threading, nnjit; nnjit.MLPClassifier(); "
        "assert 'numba' not in sys.modules; assert threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# Containers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_order_and_container_of_the_rows_do_not_matter(kind, early_stopping):
    X = inputs()
    reference = fitted(kind, early_stopping=early_stopping)
    frozen = X.copy()
    frozen.flags.writeable = False
    wide = np.zeros((N_SAMPLES, 2 * N_FEATURES))
    wide[:, ::2] = X
    swapped = X.astype(X.dtype.newbyteorder())
    for other in (np.asfortranarray(X), frozen, wide[:, ::2], X[::-1][::-1], swapped, X.tolist()):
        model = fitted(kind, other, early_stopping=early_stopping)
        assert same_parameters(model, reference)
        np.testing.assert_array_equal(model.predict(other), reference.predict(X))


@pytest.mark.parametrize(
    "container", [sp.csr_matrix, sp.csc_matrix, sp.csr_array, sp.csc_array, sp.coo_matrix]
)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_containers(container, solver):
    X = inputs()
    reference = fitted("multiclass", solver=solver)
    model = fitted("multiclass", container(X), solver=solver)
    for a, b in zip(model.coefs_, reference.coefs_):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(model.predict_proba(container(X)), model.predict_proba(X), rtol=1e-9)


def test_sparse_matrix_with_wide_indices_duplicates_and_disorder():
    X = sp.csr_matrix(inputs())
    messy = sp.csr_matrix(
        (
            np.repeat(X.data / 2, 2)[::1],
            np.repeat(X.indices, 2).astype(np.int64),
            (2 * X.indptr).astype(np.int64),
        ),
        shape=X.shape,
    )
    for row in range(N_SAMPLES):  # descending columns
        part = slice(messy.indptr[row], messy.indptr[row + 1])
        messy.indices[part] = messy.indices[part][::-1].copy()
        messy.data[part] = messy.data[part][::-1].copy()
    messy.has_sorted_indices = False
    before = messy.data.copy(), messy.indices.copy()
    model = fitted("regression", messy)
    np.testing.assert_allclose(model.coefs_[0], fitted("regression", X).coefs_[0], rtol=1e-9)
    np.testing.assert_array_equal(messy.data, before[0])
    np.testing.assert_array_equal(messy.indices, before[1])


def test_sparse_multilabel_target():
    X, y = problem("multilabel")
    ours, theirs = pair("multilabel", **NETWORK)
    for estimator in (ours, theirs):
        quietly(estimator.fit, X, sp.csr_matrix(y))
    assert sp.issparse(ours.predict(X))
    assert sp.issparse(theirs.predict(X))
    np.testing.assert_array_equal(ours.predict(X).toarray(), theirs.predict(X).toarray())


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("kind", ["multiclass", "strings", "regression"])
def test_data_frames(kind, library):
    frames = pytest.importorskip(library)
    X, y = problem(kind)
    names = [f"column {i}" for i in range(N_FEATURES)]
    if library == "pandas":
        frame, target = frames.DataFrame(X, columns=names), frames.Series(y, name="target")
    else:
        frame, target = frames.DataFrame(X, schema=names), frames.Series("target", list(y))
    ours, theirs = pair(kind, **NETWORK, early_stopping=kind == "regression")
    for estimator in (ours, theirs):
        quietly(estimator.fit, frame, target)
    assert list(ours.feature_names_in_) == names
    reference = fitted(kind, early_stopping=kind == "regression")
    assert same_parameters(ours, reference)
    np.testing.assert_array_equal(ours.predict(frame), reference.predict(X))
    with pytest.warns(UserWarning, match="valid feature names"):
        ours.predict(X)
    with pytest.raises(ValueError, match="feature names should match"):
        ours.predict(frame[names[::-1]])


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, bool, np.float16])
def test_integer_inputs_are_computed_in_float64(dtype):
    X = (inputs() > 0).astype(dtype)
    model = fitted("binary", X)
    assert model.coefs_[0].dtype == np.float64
    assert same_parameters(model, fitted("binary", X.astype(float)))
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(X.astype(np.float64)))


@pytest.mark.parametrize(
    "convert", [np.int8, np.uint32, bool, float, str, np.float32], ids=lambda t: t.__name__
)
def test_label_types(convert):
    X, y = problem("binary")
    y = y.astype(convert)
    scored = convert is not str or SCORES_TEXT
    ours, theirs = pair("binary", **NETWORK, early_stopping=scored)
    for estimator in (ours, theirs):
        quietly(estimator.fit, X, y)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    assert ours.classes_.dtype == theirs.classes_.dtype
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.predict(X).dtype == theirs.predict(X).dtype
    if scored:
        np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_)


def test_one_class_only():
    X = inputs()
    ours, theirs = pair("binary", **NETWORK)
    for estimator in (ours, theirs):
        quietly(estimator.fit, X, np.full(N_SAMPLES, 7))
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X))


def test_inputs_are_not_changed():
    X, y = problem("regression")
    sample_weight = weights()
    before = joblib.hash((X, y, sample_weight))
    model = quietly(nnjit.MLPRegressor(**NETWORK).fit, X, y, sample_weight)
    model.partial_fit(X, y, sample_weight)
    model.predict(X)
    assert joblib.hash((X, y, sample_weight)) == before


# Parameters as arrays


@pytest.mark.parametrize("kind", KINDS)
def test_assigned_parameters_are_those_predicted_with(kind):
    X, y = problem(kind)
    ours, theirs = pair(kind, **NETWORK)
    for estimator in (ours, theirs):
        quietly(estimator.fit, X, y)
        rng = np.random.RandomState(9)
        estimator.coefs_ = [rng.standard_normal(w.shape) for w in estimator.coefs_]
        estimator.intercepts_[0][:] = 0.25
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9)
    if hasattr(theirs, "predict_proba"):
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)


def test_assigned_parameters_may_have_another_width():
    X, y = problem("regression")
    ours, theirs = pair("regression", **NETWORK)
    rng = np.random.RandomState(2)
    wide = [rng.standard_normal((N_FEATURES, 11)), rng.standard_normal((11, 1))]
    for estimator in (ours, theirs):
        quietly(estimator.fit, X, y)
        estimator.coefs_, estimator.intercepts_ = wide, [np.zeros(11), np.ones(1)]
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9)


def test_parameters_are_not_shared_between_fits():
    X, y = problem("regression")
    model = nnjit.MLPRegressor(**NETWORK, warm_start=True)
    first = quietly(model.fit, X, y).coefs_
    kept = copy.deepcopy(first)
    curve = model.loss_curve_
    quietly(model.fit, X, y)
    model.partial_fit(X, y)
    for a, b in zip(first, kept):
        np.testing.assert_array_equal(a, b)
    assert len(curve) == 4


# Persistence


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", KINDS)
def test_pickle(kind, solver):
    X, y = problem(kind)
    model = fitted(kind, solver=solver)
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(model.predict(X), other.predict(X))
    if solver != "lbfgs":
        for estimator in (model, other):
            estimator.partial_fit(X, y)
    assert same_parameters(model, other)


@pytest.mark.parametrize("kind", ["multiclass", "multioutput"])
def test_joblib_read_only_memory_map(tmp_path, kind):
    X, y = problem(kind)
    model = fitted(kind)
    joblib.dump((model, X, y), tmp_path / "model.joblib")
    loaded, mapped_X, mapped_y = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert isinstance(loaded.coefs_[0], np.memmap)
    assert not loaded.coefs_[0].flags.writeable
    assert not mapped_X.flags.writeable
    np.testing.assert_array_equal(model.predict(X), loaded.predict(mapped_X))
    for estimator, data in ((model, (X, y)), (loaded, (mapped_X, mapped_y))):
        estimator.partial_fit(*data)
        quietly(estimator.set_params(warm_start=True).fit, *data)
    assert same_parameters(model, loaded)


def test_deep_copy_and_clone():
    X, y = problem("regression")
    model = fitted("regression")
    twin, blank = copy.deepcopy(model), clone(model)
    assert not hasattr(blank, "coefs_")
    assert blank.get_params() == model.get_params()
    before = copy.deepcopy(model.coefs_)
    twin.partial_fit(X, y)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.coefs_))


# scikit-learn around the estimator


def test_metadata_routing():
    X, y = problem("multiclass")
    sample_weight = weights()
    with config_context(enable_metadata_routing=True):
        model = nnjit.MLPClassifier(**NETWORK).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            model.set_score_request(sample_weight=True),
        ).set_score_request(sample_weight=True)  # scikit-learn 1.7 asks the Pipeline as well
        search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1.0]}, cv=3)
        quietly(search.fit, X, y, sample_weight=sample_weight)
        request = model.set_partial_fit_request(classes=True, sample_weight=True)
        routes = request.get_metadata_routing()
        assert routes.partial_fit.requests == {"classes": True, "sample_weight": True}
    reference = make_pipeline(
        StandardScaler(), nnjit.MLPClassifier(**NETWORK, alpha=search.best_params_.popitem()[1])
    )
    quietly(reference.fit, X, y, mlpclassifier__sample_weight=sample_weight)
    assert same_parameters(search.best_estimator_[-1], reference[-1])


def test_cross_validation_equals_scikit_learn():
    X, y = problem("binary")
    scores = [
        quietly(cross_val_score, make_pipeline(StandardScaler(), estimator), X, y, cv=4)
        for estimator in pair("binary", **NETWORK)
    ]
    np.testing.assert_array_equal(*scores)


def test_fit_after_other_solver_leaves_no_stale_attributes():
    X, y = problem("regression")
    model = fitted("regression")
    assert hasattr(model, "loss_curve_")
    quietly(model.set_params(solver="lbfgs").fit, X, y)
    for name in ("loss_curve_", "best_loss_", "validation_scores_", "_optimizer"):
        assert not hasattr(model, name)
    quietly(model.set_params(solver="adam").partial_fit, X, y)
    assert len(model.loss_curve_) == 1


@pytest.mark.parametrize("order", [("adam", "lbfgs", "sgd"), ("lbfgs", "adam", "adam")])
def test_warm_start_across_solvers_and_early_stopping(order):
    X, y = problem("regression")
    model = nnjit.MLPRegressor(**NETWORK, warm_start=True)
    for early_stopping in (False, True, False):
        for solver in order:
            model.set_params(solver=solver, early_stopping=early_stopping)
            quietly(model.fit, X, y)
            assert np.isfinite(model.loss_)
            if solver != "lbfgs":
                assert (model.validation_scores_ is not None) == early_stopping
                assert (model.best_loss_ is None) == early_stopping
