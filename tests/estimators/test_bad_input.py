"""Bad input: scikit-learn's own error, and an estimator that is as it was before."""

import re
import warnings

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.neural_network
from problems import CLASSIFICATION, N_SAMPLES, outcome, pair, problem, quietly
from sklearn.utils._param_validation import InvalidParameterError

import nnjit


def with_value(array, value):
    array = array.astype(float)
    array[3, ...] = value
    return array


BAD_X = {
    "NaN": lambda X: with_value(X, np.nan),
    "infinity": lambda X: with_value(X, np.inf),
    "minus infinity": lambda X: with_value(X, -np.inf),
    "sparse NaN": lambda X: sp.csr_matrix(with_value(X, np.nan)),
    "one column less": lambda X: X[:, 1:],
    "one column more": lambda X: np.hstack([X, X[:, :1]]),
    "no column": lambda X: X[:, :0],
    "no row": lambda X: X[:0],
    "one dimension": lambda X: X[:, 0],
    "three dimensions": lambda X: X[:, :, np.newaxis],
    "complex": lambda X: X + 1j,
    "objects": lambda X: np.full(X.shape, object(), dtype=object),
    "text": lambda X: np.full(X.shape, "a"),
    "text in objects": lambda X: np.full(X.shape, "a", dtype=object),
    "None": lambda X: None,
    "a number": lambda X: 3.0,
    "ragged": lambda X: [[1.0, 2.0], [3.0]] * (N_SAMPLES // 2),
    "a generator": lambda X: (row for row in X),
    "COO of objects": lambda X: "not a matrix",
}
BAD_Y = {
    "None": lambda y: None,
    "one row less": lambda y: y[1:],
    "empty": lambda y: y[:0],
    "NaN": lambda y: with_value(y, np.nan),
    "infinity": lambda y: with_value(y, np.inf),
    "complex": lambda y: y + 1j,
    "objects": lambda y: np.full(y.shape, object(), dtype=object),
    "text and numbers": lambda y: np.array(["a", 1] * (N_SAMPLES // 2), dtype=object),
    "three dimensions": lambda y: np.zeros((N_SAMPLES, 2, 2)),
    "a number": lambda y: 3.0,
    "half numbers": lambda y: np.linspace(0.5, 1.5, N_SAMPLES),
    "multilabel of counts": lambda y: np.arange(2 * N_SAMPLES).reshape(N_SAMPLES, 2) % 5,
    "bytes": lambda y: np.array([b"a", b"b"] * (N_SAMPLES // 2)),
}
BETTER_WORDS = ("objects", "text and numbers", "half numbers")
BAD_WEIGHTS = {
    "one less": np.ones(N_SAMPLES - 1),
    "NaN": with_value(np.ones(N_SAMPLES), np.nan),
    "infinity": with_value(np.ones(N_SAMPLES), np.inf),
    "two dimensions": np.ones((N_SAMPLES, 1)),
    "complex": np.ones(N_SAMPLES) * 1j,
    "text": np.array(["a"] * N_SAMPLES),
    "a string": "heavy",
}
BAD_PARAMETERS = [
    {"hidden_layer_sizes": -1},
    {"hidden_layer_sizes": (0, 4)},
    {"hidden_layer_sizes": (4, -3)},
    {"hidden_layer_sizes": (4.5,)},
    {"hidden_layer_sizes": "wide"},
    {"hidden_layer_sizes": None},
    {"activation": "swish"},
    {"solver": "newton"},
    {"alpha": -1e-4},
    {"alpha": "small"},
    {"batch_size": 0},
    {"batch_size": 2.5},
    {"batch_size": "all"},
    {"learning_rate_init": 0.0},
    {"power_t": -1},
    {"max_iter": 0},
    {"max_iter": 10.0},
    {"shuffle": "yes"},
    {"random_state": -1},
    {"random_state": "seed"},
    {"random_state": 2**33},
    {"tol": -1.0},
    {"verbose": "loud"},
    {"warm_start": 2},
    {"momentum": 1.1},
    {"nesterovs_momentum": "no"},
    {"early_stopping": "no"},
    {"validation_fraction": 1.0},
    {"validation_fraction": -0.1},
    {"early_stopping": True, "validation_fraction": 0.0},
    {"early_stopping": True, "validation_fraction": 0.001},
    {"early_stopping": True, "validation_fraction": 0.999},
    {"beta_1": 1.0},
    {"beta_2": -0.1},
    {"epsilon": 0.0},
    {"n_iter_no_change": 0},
    {"n_iter_no_change": 2.5},
    {"max_fun": 0},
]
# These take more than scikit-learn's, and the message lists what they take.
TAKE_MORE = {"shuffle", "activation", "solver"}
KINDS = ["binary", "multiclass", "multilabel", "regression", "multioutput", "poisson"]


def fingerprint(estimator):
    """Return a hash of all attributes, arrays and generators included."""
    return joblib.hash(estimator.__dict__)


def words_and_options(message):
    """A message without the sets in it, and what is in these."""
    found = re.findall(r"\{(.*?)\}", message)
    return re.sub(r"\{.*?\}", "", message), {one for part in found for one in part.split(", ")}


def check(ours, theirs, method, *args, may_pass=False, same_words=True, **kwargs):
    """Call a method of both; compare the errors and look for changes in ours."""
    before = fingerprint(ours)
    expected = outcome(getattr(theirs, method), *args, **kwargs)
    got = outcome(getattr(ours, method), *args, **kwargs)
    if expected[0] == "returned":
        assert may_pass, "scikit-learn accepts this"
        assert got[0] == "returned", got
        return
    assert issubclass(got[0], TypeError | ValueError)
    if same_words:
        assert got[0] is expected[0]
        (words, options), (their_words, their_options) = map(
            words_and_options, (got[1], expected[1])
        )
        assert words == their_words and options >= their_options
    assert fingerprint(ours) == before


def fitted_pair(kind, **parameters):
    X, y = problem(kind)
    ours, theirs = pair(
        kind, hidden_layer_sizes=4, max_iter=2, batch_size=24, random_state=0, **parameters
    )
    for estimator in (ours, theirs):
        quietly(estimator.fit, X, y)
    return ours, theirs, X, y


@pytest.mark.parametrize("bad", BAD_X)
@pytest.mark.parametrize("kind", ["binary", "multioutput"])
def test_fit_rows(kind, bad):
    X, y = problem(kind)
    bad_X = BAD_X[bad](X)
    may_pass = bad in ("one column less", "one column more")
    ours, theirs = pair(kind, max_iter=2, random_state=0)
    check(ours, theirs, "fit", bad_X, y, may_pass=may_pass)
    ours, theirs, *_ = fitted_pair(kind)
    check(ours, theirs, "fit", bad_X, y, may_pass=may_pass)
    check(ours, theirs, "partial_fit", bad_X, y, may_pass=may_pass)


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("bad", BAD_X)
@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_fitted_estimator_rows(kind, bad, warm_start):
    ours, theirs, X, y = fitted_pair(kind, warm_start=warm_start)
    bad_X = BAD_X[bad](X)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(theirs, method):
            check(ours, theirs, method, bad_X)
    check(ours, theirs, "score", bad_X, y)
    if warm_start:
        check(ours, theirs, "fit", bad_X, y)


@pytest.mark.parametrize("bad", BAD_Y)
@pytest.mark.parametrize("kind", KINDS)
def test_targets(kind, bad):
    X, y = problem(kind)
    if bad == "complex" and kind in CLASSIFICATION and y.ndim == 1:
        y = y.astype(float)
    bad_y = BAD_Y[bad](y)
    ours, theirs = pair(kind, max_iter=2, random_state=0)
    if bad == "bytes" and kind not in CLASSIFICATION:
        # scikit-learn passes these on until a NumPy function of them fails.
        before = fingerprint(ours)
        assert outcome(ours.fit, X, bad_y)[0] is ValueError
        assert fingerprint(ours) == before
        return
    if bad == "multilabel of counts" and kind in CLASSIFICATION:
        return  # which are columns of classes here: see test_label_columns.py
    # Of labels scikit-learn's network prints all, or has Python's words: see test_labels.py.
    same_words = kind not in CLASSIFICATION or bad not in BETTER_WORDS
    check(ours, theirs, "fit", X, bad_y, may_pass=True, same_words=same_words)
    ours, theirs, *_ = fitted_pair(kind)
    if kind not in CLASSIFICATION:
        changed = np.ndim(bad_y) == 2 and bad_y.shape[1] != ours.n_outputs_
        if changed or (np.ndim(bad_y) == 1 and ours.n_outputs_ != 1):
            return  # a changed architecture: see test_defects.py
    check(ours, theirs, "partial_fit", X, bad_y, may_pass=True, same_words=same_words)


@pytest.mark.parametrize("bad", BAD_WEIGHTS)
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_weights(solver, kind, bad):
    ours, theirs, X, y = fitted_pair(kind, solver=solver)
    check(ours, theirs, "fit", X, y, sample_weight=BAD_WEIGHTS[bad])
    if solver == "adam":
        check(ours, theirs, "partial_fit", X, y, sample_weight=BAD_WEIGHTS[bad])


@pytest.mark.parametrize("parameters", BAD_PARAMETERS, ids=str)
@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_parameters(kind, parameters):
    X, y = problem(kind)
    ours, theirs = pair(kind, max_iter=3)
    for estimator in (ours, theirs):
        estimator.set_params(**parameters)
    same_words = not TAKE_MORE & parameters.keys()
    check(ours, theirs, "fit", X, y, same_words=same_words)
    ours, theirs, X, y = fitted_pair(kind)
    for estimator in (ours, theirs):
        estimator.set_params(**parameters)
    check(ours, theirs, "fit", X, y, same_words=same_words)


def test_failure_after_drawing_leaves_generators_where_they_were():
    """The held-out set is found too small only after the weights were drawn."""
    X, y = problem("regression")
    draws = []
    for estimator in pair("regression", early_stopping=True):
        generator = np.random.RandomState(5)
        estimator.set_params(random_state=generator)
        kind, message = outcome(estimator.fit, X[:5], y[:5])
        assert kind is ValueError
        assert message.startswith("The validation set is too small")
        draws.append(generator.uniform())
    assert draws[0] == np.random.RandomState(5).uniform()
    assert draws[1] != draws[0]


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize(
    "labels",
    [np.array([0, 1, 2, 9] * 24), np.array([0, 1] * 48), np.array(["a", "b", "c"] * 32)],
    ids=["new", "missing", "text"],
)
def test_unknown_labels(labels, warm_start):
    ours, theirs, X, _ = fitted_pair("multiclass", warm_start=warm_start)
    check(ours, theirs, "partial_fit", X, labels, may_pass=True)
    if warm_start:
        check(ours, theirs, "fit", X, labels)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fit_classes(solver):
    X, y = problem("binary")
    for first in ({}, {"classes": [0]}, {"classes": [5, 7]}, {"classes": ["a", "b"]}):
        ours, theirs = pair("binary", solver=solver)
        check(ours, theirs, "partial_fit", X, y, **first)
    ours, theirs, X, y = fitted_pair("binary", solver=solver)
    check(ours, theirs, "partial_fit", X, y, classes=[0, 1, 2])
    ours, theirs, X, y = fitted_pair("binary", early_stopping=True)
    check(ours, theirs, "partial_fit", X, y)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "score"])
@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_not_fitted(kind, method):
    X, y = problem(kind)
    ours, theirs = pair(kind)
    if hasattr(theirs, method):
        check(ours, theirs, method, X, *([y] if method == "score" else []))


def test_partial_fit_of_lbfgs():
    X, y = problem("binary")
    ours, theirs = pair("binary", solver="lbfgs")
    assert outcome(lambda: ours.partial_fit(X, y)) == outcome(lambda: theirs.partial_fit(X, y))


def test_negative_weights_are_accepted_as_in_scikit_learn():
    X, y = problem("regression")
    sample_weight = np.ones(N_SAMPLES)
    sample_weight[:10] = -0.5
    ours, theirs = pair("regression", max_iter=5, random_state=0)
    for estimator in (ours, theirs):
        quietly(estimator.fit, X, y, sample_weight=sample_weight)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)


def test_value_too_large_for_float32_names_the_array():
    X, y = problem("regression")
    X32 = X.astype(np.float32)
    ours, _ = pair("regression", max_iter=2, random_state=0, warm_start=True)
    quietly(ours.fit, X32, y)
    for huge_X, huge_y, name in ((X * 1e40, y, "X"), (X32, y * 1e40, "y")):
        kind, message = outcome(ours.fit, huge_X, huge_y)
        assert kind is ValueError
        assert (
            f"Input {name} contains infinity or a value too large for dtype('float32')" in message
        )


def test_assigned_parameters_that_do_not_fit_together():
    ours, _, X, _ = fitted_pair("regression")
    ours.coefs_ = [ours.coefs_[0], ours.coefs_[1][:2]]
    kind, message = outcome(ours.predict, X)
    assert kind is ValueError
    assert "do not fit together" in message


def test_parameters_changed_for_the_worse_before_partial_fit():
    """scikit-learn checks parameters in the first call only: a batch is clipped, a loss refused."""
    X = np.random.RandomState(0).standard_normal((20, 3))
    models = []
    for library in (nnjit, sklearn.neural_network):
        model = library.MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X, X[:, 0]).set_params(batch_size=0, shuffle=False)
        models.append(model.partial_fit(X, X[:, 0]))
    np.testing.assert_allclose(models[0].coefs_[0], models[1].coefs_[0], rtol=1e-6)
    ours = nnjit.MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours.fit(X, X[:, 0]).set_params(loss="none")
    with pytest.raises(InvalidParameterError, match="The 'loss' parameter of MLPRegressor must be"):
        ours.partial_fit(X, X[:, 0])


@pytest.mark.parametrize("value", [None, "nan", np.inf, -np.inf])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_what_is_no_finite_number_among_the_objects_of_a_target_is_refused(value, early_stopping):
    model = nnjit.MLPRegressor(early_stopping=early_stopping, max_iter=2)
    y = np.array([value, 1.0, 2.0] * 20, dtype=object)
    X = np.arange(120.0).reshape(60, 2)
    with pytest.raises(ValueError, match="y contains NaN|y contains infinity"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")
    if not early_stopping:
        with pytest.raises(ValueError, match="y contains NaN|y contains infinity"):
            model.partial_fit(X, y)


REGRESSORS = [
    (nnjit.MLPRegressor, (60, 4)),
    (nnjit.RBFRegressor, (60, 4)),
    (nnjit.RecurrentRegressor, (60, 4, 1)),
    (nnjit.ConvRegressor, (60, 2, 2, 1)),
    (nnjit.TabularRegressor, (60, 4)),
]


@pytest.mark.parametrize("kind, shape", REGRESSORS)
def test_texts_among_targets_are_numbers_or_refused(kind, shape):
    """As scikit-learn reads them where they are objects; it has NumPy's errors for others."""
    X = np.random.RandomState(0).standard_normal(shape).astype(np.float32)
    y = np.round(X.reshape(60, 4)[:, 0].astype(np.float64), 3)
    model = kind(max_iter=2, random_state=0)
    expected = quietly(model.fit, X, y).predict(X)
    before = fingerprint(model)
    for words, error, wrong in (
        ("could not convert string to float: 'rye'", ValueError, np.array(["rye"] * 60)),
        ("could not convert string to float: 'rye'", ValueError, np.array(["1", "rye"] * 30)),
        ("Sparse data was passed for y", TypeError, sp.csr_matrix(y[:, np.newaxis])),
    ):
        with pytest.raises(error, match=words):
            model.fit(X, wrong)
        assert fingerprint(model) == before
    validated = quietly(model.fit, X, y, X_val=X, y_val=y).predict(X)
    for texts in (y.astype(str), y.astype(str).astype(object), y.astype(str).tolist()):
        np.testing.assert_array_equal(quietly(model.fit, X, texts).predict(X), expected)
        watched = quietly(model.fit, X, y, X_val=X, y_val=texts)
        np.testing.assert_array_equal(watched.predict(X), validated)
    for words, wrong in (("could not convert", ["rye"] * 60), ("y_val contains NaN", [None] * 60)):
        with pytest.raises(ValueError, match=words):
            model.fit(X, y, X_val=X, y_val=np.array(wrong))
