"""Whatever is assigned to a fitted estimator: scikit-learn's answer or a clear ValueError."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from problems import CLASSIFICATION, N_FEATURES, REGRESSION, outcome, pair, problem, quietly
from sklearn.preprocessing import LabelBinarizer

NETWORK = {"hidden_layer_sizes": (6, 4), "max_iter": 3, "random_state": 0}
KINDS = CLASSIFICATION + REGRESSION
PROBABILITIES = ("predict_proba", "predict_log_proba")
# Layers of the network above, by what is wrong with one array.
WRONG_SHAPES = {
    "a row more": lambda a: np.ones((a.shape[0] + 1, *a.shape[1:])),
    "a row less": lambda a: a[1:],
    "a column more": lambda a: np.ones((*a.shape[:-1], a.shape[-1] + 1)),
    "a column less": lambda a: a[..., 1:],
    "100,000 rows": lambda a: np.ones((100_000, *a.shape[1:])),
    "20,000,000 rows": lambda a: np.broadcast_to(np.ones(()), (20_000_000, *a.shape[1:])),
    "flat": lambda a: a.reshape(-1, 1, 1),
    "a dimension more": lambda a: a[np.newaxis],
    "a number": lambda a: 1.0,
    "no elements": lambda a: a[:0],
}
NO_NUMBERS = {
    "None": lambda a: None,
    "text": lambda a: a.astype(str),
    "complex": lambda a: a + 1j,
    "dates": lambda a: np.zeros(a.shape, "datetime64[s]"),
    "objects": lambda a: np.full(a.shape, None),
    "numbers as text": lambda a: a.astype(str).astype(object),
    "too large": lambda a: np.full(a.shape, 10**400, object),
    "masked": lambda a: np.ma.masked_array(a, np.ones(a.shape, bool)),
}
FORMS = {
    "float32": lambda a: a.astype(np.float32),
    "float16": lambda a: a.astype(np.float16),
    "integers": lambda a: np.round(3 * a).astype(int),
    "booleans": lambda a: a > 0,
    "objects": lambda a: a.astype(object),
    "lists": lambda a: a.tolist(),
    "Fortran order": np.asfortranarray,
    "every second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "swapped bytes": lambda a: a.astype(a.dtype.newbyteorder()),
    "sparse": lambda a: sp.csr_matrix(a) if a.ndim == 2 else a,
}


def models(kind, **parameters):
    """nnjit's and scikit-learn's estimator with the same weights, and rows."""
    X, y = problem(kind)
    ours, theirs = (quietly(model.fit, X, y) for model in pair(kind, **NETWORK, **parameters))
    return ours, theirs, X, y


def methods(kind):
    return ("predict", "score", *(PROBABILITIES if kind in CLASSIFICATION else ()))


def called(model, name, X, y):
    return getattr(model, name)(X, y) if name == "score" else getattr(model, name)(X)


def refusals(model, X, y, kind):
    """The words with which each predicting method refuses."""
    words = []
    for name in methods(kind):
        result, message = outcome(called, model, name, X, y)
        assert result is ValueError, (name, result, message)
        words.append(message)
    return words


def assert_same_answers(kind, ours, theirs, X, y, rtol=1e-7):
    for name in methods(kind):
        value = quietly(called, ours, name, X, y)
        expected = quietly(called, theirs, name, X, y)
        if np.asarray(expected).dtype.kind == "f":
            np.testing.assert_allclose(value, expected, rtol=rtol, atol=rtol)
        else:
            np.testing.assert_array_equal(value, expected)


# Shapes


@pytest.mark.parametrize("change", WRONG_SHAPES)
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "multioutput"])
def test_no_shape_makes_a_prediction_read_outside_its_arrays(kind, change):
    ours, _, X, y = models(kind)
    for attribute in ("coefs_", "intercepts_"):
        given = list(getattr(ours, attribute))
        for layer, array in enumerate(given):
            quietly(ours.predict, X)  # an engine is kept
            wrong = WRONG_SHAPES[change](array)
            setattr(ours, attribute, [*given[:layer], wrong, *given[layer + 1 :]])
            for rows in (X, X[:1], sp.csr_matrix(X), X.astype(np.float32), X.tolist()):
                for message in refusals(ours, rows, y[: np.shape(rows)[0]], kind):
                    assert str(np.shape(wrong)) in message
                    assert attribute in message
            setattr(ours, attribute, given)
    assert ours.predict(X).shape[0] == len(X)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_first_layer_that_reads_more_columns_than_the_rows_have(kind):
    ours, _, X, y = models(kind)
    ours.coefs_[0] = np.ones((N_FEATURES + 1, 6))
    for message in refusals(ours, X, y, kind):
        assert "X has 8 features, but coefs_[0] has shape (9, 6)" in message
    ours.n_features_in_ = N_FEATURES + 1
    assert ours.predict(np.hstack([X, X[:, :1]])).shape[0] == len(X)
    for message in refusals(ours, X, y, kind):
        assert "X has 8 features, but MLP" in message
    del ours.n_features_in_
    for message in refusals(ours, X, y, kind):
        assert "X has 8 features, but coefs_[0] has shape (9, 6)" in message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [(), (1,), (30,), (3, 70, 2)])
def test_another_architecture_is_predicted_with(kind, hidden):
    ours, theirs, X, y = models(kind)
    rng = np.random.default_rng(1)
    units = [N_FEATURES, *hidden, ours.n_outputs_]
    coefs = [rng.standard_normal(shape) for shape in zip(units[:-1], units[1:])]
    intercepts = [rng.standard_normal(n) for n in units[1:]]
    for model in (ours, theirs):
        model.coefs_, model.intercepts_, model.n_layers_ = coefs, intercepts, len(units)
    assert_same_answers(kind, ours, theirs, X, y)


def test_a_regressor_may_get_more_outputs():
    ours, theirs, X, _ = models("regression")
    for model in (ours, theirs):
        model.coefs_ = [*model.coefs_[:-1], np.arange(12.0).reshape(4, 3)]
        model.intercepts_ = [*model.intercepts_[:-1], np.ones(3)]
    ours.coefs_[:2], ours.intercepts_[:2] = theirs.coefs_[:2], theirs.intercepts_[:2]
    assert ours.predict(X).shape == (len(X), 3)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_lists_and_numbers_that_tell_of_another_network(kind):
    ours, _, X, y = models(kind)
    good = dict(ours.__dict__)
    n_outputs = ours.n_outputs_
    changes = [
        {"coefs_": ours.coefs_[:-1]},
        {"coefs_": [*ours.coefs_, ours.coefs_[-1]]},
        {"intercepts_": ours.intercepts_[:-1]},
        {"intercepts_": [*ours.intercepts_, np.ones(1)]},
        {"coefs_": ours.coefs_[:-1], "intercepts_": ours.intercepts_[:-1]},
        {"coefs_": [*ours.coefs_, ours.intercepts_[0]], "intercepts_": ours.intercepts_[1:]},
        {"coefs_": [], "intercepts_": []},
        *({"coefs_": value} for value in (None, 3, "ab", {0: 1}, ours.coefs_[0], np.array(1))),
        *({"intercepts_": value} for value in (None, 3, "ab", {0: 1}, np.ones(3))),
        *({"n_layers_": value} for value in (3, 5, 0, None, "a", [4])),
        *({"out_activation_": value} for value in ("swish", None, 3, ["softmax"], np.zeros(2))),
        *({"activation": value} for value in ("swish", None, "softmax")),
        {"device": "gpu"},
    ]
    if kind != "regression":
        changes += [{"n_outputs_": value} for value in (n_outputs + 1, 0, None, "a", [1, 2])]
    for change in changes:
        quietly(ours.predict, X)
        ours.__dict__.update(change)
        assert all(refusals(ours, X, y, kind)), change
        ours.__dict__.clear()
        ours.__dict__.update(good)
    for name in ("coefs_", "intercepts_", "n_layers_", "out_activation_"):
        del ours.__dict__[name]
        refusals(ours, X, y, kind)
        ours.__dict__.update(good)


# Types, layouts, values


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_in_any_form_are_those_predicted_with(kind, form):
    ours, theirs, X, y = models(kind)
    coefs = [FORMS[form](w) for w in theirs.coefs_]
    intercepts = [FORMS[form](b) for b in theirs.intercepts_]
    quietly(ours.predict, X)
    ours.coefs_, ours.intercepts_ = coefs, tuple(intercepts)
    # scikit-learn cannot compute with all of them as they are
    plain = float if form != "float32" else np.float32
    dense = [w.toarray() if sp.issparse(w) else w for w in coefs]
    theirs.coefs_ = [np.asarray(w, plain) for w in dense]
    theirs.intercepts_ = [np.asarray(b, plain) for b in intercepts]
    assert_same_answers(kind, ours, theirs, X, y, rtol=1e-3 if form == "float32" else 1e-7)
    only = list(theirs.coefs_)
    only[1] = coefs[1]
    ours.coefs_ = only
    assert_same_answers(kind, ours, theirs, X, y, rtol=1e-3 if form == "float32" else 1e-7)


@pytest.mark.parametrize("change", NO_NUMBERS)
@pytest.mark.parametrize("attribute", ["coefs_", "intercepts_"])
def test_what_is_no_number_is_refused(attribute, change):
    ours, _, X, y = models("multiclass")
    for layer in range(3):
        arrays = list(getattr(ours, attribute))
        arrays[layer] = NO_NUMBERS[change](arrays[layer])
        before, ours.__dict__[attribute] = getattr(ours, attribute), arrays
        for message in refusals(ours, X, y, "multiclass"):
            assert attribute in message
        ours.__dict__[attribute] = before


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression", "poisson"])
def test_weights_that_are_not_finite_give_no_nan(kind, value):
    ours, _, X, y = models(kind, activation="identity")
    for attribute in ("coefs_", "intercepts_"):
        for array in getattr(ours, attribute):
            kept, array[...] = array.copy(), value
            for message in refusals(ours, X, y, kind):
                assert "] contains NaN or infinity" in message
            array[...] = kept


def test_an_infinite_weight_below_a_saturated_unit_is_predicted_with():
    ours, theirs, X, y = models("multiclass", activation="tanh")
    for model in (ours, theirs):
        model.coefs_ = [np.zeros(w.shape) + 0.1 for w in ours.coefs_]
        model.intercepts_ = [np.full(6, np.inf), np.zeros(4), np.arange(3.0)]
    assert_same_answers("multiclass", ours, theirs, X, y)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_into_an_array_is_seen_by_the_next_prediction(kind):
    ours, theirs, X, y = models(kind)
    for step in range(3):
        for model in (ours, theirs):
            rng = np.random.default_rng(step)
            for array in (*model.coefs_, *model.intercepts_):
                array[...] = rng.standard_normal(array.shape)
        assert_same_answers(kind, ours, theirs, X, y)


# The output and the labels


@pytest.mark.parametrize("output", ["identity", "logistic", "tanh", "relu", "exp", "softmax"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_output_activation_gives_scikit_learns_outputs(kind, output):
    ours, theirs, X, _ = models(kind)
    ours.coefs_, ours.intercepts_ = theirs.coefs_, theirs.intercepts_
    ours.out_activation_ = theirs.out_activation_ = output
    name = "predict_proba" if kind in CLASSIFICATION else "predict"
    np.testing.assert_allclose(getattr(ours, name)(X), getattr(theirs, name)(X), rtol=1e-9)
    if kind not in CLASSIFICATION:
        return
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    if output == "logistic" or (output == "softmax" and ours.n_outputs_ > 1):
        assert np.isfinite(ours.predict_log_proba(X)).all()
    else:
        with pytest.raises(ValueError, match="no probability"):
            ours.predict_log_proba(X)


def test_the_probability_of_the_other_class_is_the_logistic_functions_alone():
    """1 - p where p is 1 is exp(-z) for a logistic output, and 0 for any other."""
    ours, theirs, X, _ = models("binary")
    for model in (ours, theirs):
        model.coefs_ = [np.zeros(w.shape) for w in theirs.coefs_]
        model.intercepts_ = [np.zeros(6), np.zeros(4), np.ones(1)]
        model.out_activation_ = "identity"
    np.testing.assert_array_equal(ours.predict_proba(X), theirs.predict_proba(X))


def test_a_binary_classifier_may_end_in_a_softmax_of_two_units():
    ours, theirs, X, y = models("binary")
    for model in (ours, theirs):
        rng = np.random.default_rng(0)
        model.coefs_ = [*theirs.coefs_[:2], rng.standard_normal((4, 2))]
        model.intercepts_ = [*theirs.intercepts_[:2], rng.standard_normal(2)]
        model.out_activation_, model.n_outputs_ = "softmax", 2
    assert set(ours.predict(X)) == {0, 1}
    assert_same_answers("binary", ours, theirs, X, y)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "strings"])
def test_other_classes_are_predicted_by_the_binarizer_as_in_scikit_learn(kind):
    ours, theirs, X, _ = models(kind)
    ours.coefs_, ours.intercepts_ = theirs.coefs_, theirs.intercepts_
    names = [f"class {i}" for i in range(len(theirs.classes_))]
    for model in (ours, theirs):
        model.classes_ = names  # which only a fit looks at
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    for model in (ours, theirs):
        model._label_binarizer = LabelBinarizer().fit(names)
    assert set(ours.predict(X)) <= set(names)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    ours._label_binarizer = LabelBinarizer(neg_label=-3, pos_label=0).fit(names)
    theirs._label_binarizer = ours._label_binarizer
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_labels_of_another_network_are_refused(kind):
    ours, _, X, y = models(kind)
    p = ours.predict_proba(X)
    for labels in (list("abcde"), [[0, 1], [1, 0]], None):
        ours._label_binarizer = None if labels is None else LabelBinarizer().fit(np.array(labels))
        for name in ("predict", "score"):
            result, message = outcome(called, ours, name, X, y)
            assert result is ValueError, (name, labels, result, message)
            assert "its labels (_label_binarizer)" in message
        np.testing.assert_array_equal(ours.predict_proba(X), p)


# Fits that go on from what is there


def training_calls(ours):
    return [
        (ours.partial_fit, {}),
        (ours.fit, {"warm_start": True, "solver": "adam"}),
        (ours.fit, {"warm_start": True, "solver": "sgd", "early_stopping": True}),
        (ours.fit, {"warm_start": True, "solver": "lbfgs"}),
    ]


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multioutput"])
def test_a_fit_refuses_to_go_on_from_what_is_no_network(kind):
    ours, _, X, y = models(kind)
    good = dict(ours.__dict__)
    n = len(ours.coefs_[0])
    changes = [
        {"coefs_": [np.ones((n + 1, 6)), *ours.coefs_[1:]]},
        {"coefs_": [np.ones((n, 5)), *ours.coefs_[1:]]},
        {"intercepts_": ours.intercepts_[:-1]},
        {"coefs_": None},
        {"intercepts_": [*ours.intercepts_[:-1], None]},
        {"coefs_": [w + 1j for w in ours.coefs_]},
        {"coefs_": [w * np.nan for w in ours.coefs_]},
        {"intercepts_": [b + np.inf for b in ours.intercepts_]},
        {"n_layers_": 3},
        {"out_activation_": "tanh"},
    ]
    if kind != "multioutput":
        changes += [
            {"classes_": None},
            {"classes_": np.array(["x", "y", "z"])},
            {"_label_binarizer": None},
            {"_label_binarizer": LabelBinarizer().fit(["x", "y", "z"])},
        ]
    for change in changes:
        for method, settings in training_calls(ours):
            ours.__dict__.update(change)
            ours.__dict__.update(settings)
            before = dict(ours.__dict__)
            result, message = outcome(method, X, y)
            assert result is ValueError, (change, settings, result, message)
            assert before.keys() == ours.__dict__.keys()
            assert all(before[name] is ours.__dict__[name] for name in before)
            ours.__dict__.clear()
            ours.__dict__.update(good)


def test_a_label_without_an_output_is_refused():
    """It is known to classes_, as assigned, but the network was not fitted on it."""
    ours, _, X, y = models("multiclass")
    ours.classes_ = np.append(ours.classes_, 99)
    y = y.copy()
    y[0] = 99
    result, message = outcome(ours.partial_fit, X, y)
    assert result is ValueError
    assert "fitted on the classes [1 3 5]" in message


@pytest.mark.parametrize("form", ["integers", "lists", "sparse", "objects", "Fortran order"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_fit_goes_on_from_numbers_in_any_form(kind, form):
    results = []
    for convert in (FORMS[form], lambda a: np.asarray(FORMS[form](a), float)):
        ours, _, X, y = models(kind)
        if convert is not FORMS[form] and form == "sparse":
            convert = np.array
        for method, settings in training_calls(ours):
            ours.set_params(**settings)
            ours.coefs_ = [convert(w) for w in ours.coefs_]
            ours.intercepts_ = [convert(b) for b in ours.intercepts_]
            quietly(method, X, y)
        assert {(type(w), w.dtype) for w in ours.coefs_} == {(np.ndarray, np.dtype(float))}
        results.append(ours)
    for a, b in zip(results[0].coefs_, results[1].coefs_):
        np.testing.assert_array_equal(a, b)


# Rows


@pytest.mark.parametrize("damage", ["index", "negative index", "indptr", "short data"])
@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix])
def test_sparse_rows_whose_indices_point_elsewhere_are_refused(form, damage):
    ours, _, X, y = models("regression")
    bad = form(X)
    if damage == "index":
        bad.indices[3] = 10**6
    elif damage == "negative index":
        bad.indices[3] = -5
    elif damage == "indptr":
        bad.indptr[2] = 10**6
    else:
        bad.data = bad.data[:5]
    for method, arguments in ((ours.predict, (bad,)), (ours.fit, (bad, y))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ValueError, match="sparse matrix X.* is damaged|should have"):
                method(*arguments)
