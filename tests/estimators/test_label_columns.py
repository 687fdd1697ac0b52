"""y with several columns of several classes each: one softmax for each column."""

import pickle

import numpy as np
import pytest
from problems import N_SAMPLES, inputs, problem, quietly, weights
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags
from test_bad_input import fingerprint

import naive
from nnjit import MLPClassifier, RBFClassifier
from nnjit.backends import select
from nnjit.estimators._arrays import pack_parameters
from nnjit.inspection import CentersDisplay, GradientFlowDisplay, NetworkDisplay, check_gradient
from nnjit.inspection._network import loss_gradient

pandas = pytest.importorskip("pandas")

X = inputs()
RNG = np.random.RandomState(2)
NUMBERS = [X[:, :3].argmax(axis=1), (X[:, 3] > 0).astype(int), X[:, 2:7].argmin(axis=1)]
TEXTS = np.stack([np.array(list("abcde"))[column] for column in NUMBERS], axis=1)
TARGETS = {
    "integers": np.stack(NUMBERS, axis=1) * 3 - 1,
    "floats": np.stack(NUMBERS, axis=1).astype(float),
    "text": TEXTS,
    "two classes each": np.where(TEXTS < "b", "no", "yes"),
    "objects": TEXTS.astype(object),
    "text and numbers": np.stack(
        [TEXTS[:, 0].astype(object), NUMBERS[1].astype(object), TEXTS[:, 2].astype(object)], axis=1
    ),
    "a DataFrame": pandas.DataFrame({"a": TEXTS[:, 0], "b": NUMBERS[1], "c": NUMBERS[2]}),
    "lists": TEXTS.tolist(),
    "big-endian": np.stack(NUMBERS, axis=1).astype(">i4"),
}
NETWORKS = {
    "adam": MLPClassifier(hidden_layer_sizes=(12,), max_iter=30, batch_size=16, random_state=0),
    "lbfgs": MLPClassifier(hidden_layer_sizes=(12,), max_iter=60, solver="lbfgs", random_state=0),
    "radial": RBFClassifier(12, max_iter=20, random_state=0),
    "radial output": RBFClassifier(12, train="output", random_state=0),
}


def network(**parameters):
    return clone(NETWORKS["adam"]).set_params(**parameters)


def rows_right(model, X, y):
    return (model.predict(X) == np.asarray(y)).all(axis=1)


@pytest.mark.parametrize("name", TARGETS)
def test_classes_and_predictions_are_those_of_scikit_learns_trees(name):
    y = TARGETS[name]
    model = quietly(network(max_iter=200, learning_rate_init=0.01).fit, X, y)
    predicted = model.predict(X)
    assert predicted.shape == (N_SAMPLES, 3)
    assert isinstance(model.classes_, list) and len(model.classes_) == 3
    if name not in ("text and numbers", "a DataFrame"):  # trees take one type
        tree = DecisionTreeClassifier(max_depth=3).fit(X, y)
        for ours, theirs in zip(model.classes_, tree.classes_, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert predicted.dtype.kind == tree.predict(X).dtype.kind or name == "floats"
        for ours, theirs in zip(model.predict_proba(X), tree.predict_proba(X), strict=True):
            assert ours.shape == theirs.shape
    assert all(classes.dtype.isnative for classes in model.classes_)
    assert (predicted == np.asarray(y)).mean() > 0.9
    assert model.score(X, y) == rows_right(model, X, y).mean()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns_several_columns(name):
    y = TARGETS["text"]
    model = quietly(clone(NETWORKS[name]).fit, X, y)
    guess = np.mean((y == [max(set(column), key=list(column).count) for column in y.T]), axis=0)
    assert (model.predict(X) == y).mean() > guess.mean() + 0.1
    assert model.n_outputs_ == 3 + 2 + 5 and model.out_activation_ == "softmax"
    p, log_p = model.predict_proba(X), model.predict_log_proba(X)
    for column, classes in enumerate(model.classes_):
        assert p[column].shape == log_p[column].shape == (N_SAMPLES, len(classes))
        np.testing.assert_allclose(p[column].sum(axis=1), 1)
        np.testing.assert_allclose(np.exp(log_p[column]), p[column], rtol=1e-9)
        labels = classes[p[column].argmax(axis=1)]
        np.testing.assert_array_equal(labels, model.predict(X)[:, column])


@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_the_loss_is_the_sum_of_the_columns_log_losses(name):
    y = TARGETS["integers"]
    model = quietly(clone(NETWORKS[name]).set_params(alpha=0.0, max_iter=5).fit, X, y)
    if name == "adam":
        again = quietly(clone(model).set_params(max_iter=6, batch_size=N_SAMPLES).fit, X, y)
        shorter = quietly(clone(again).set_params(max_iter=5).fit, X, y)
        model, expected = shorter, again.loss_curve_[5]
    else:
        expected = model.loss_
    total = 0.0
    for column, (classes, p) in enumerate(zip(model.classes_, model.predict_proba(X))):
        total += naive.multinomial((y[:, [column]] == classes).astype(float), p)
    np.testing.assert_allclose(total, expected, rtol=1e-10)


def test_logarithms_are_finite_where_probabilities_vanish():
    model = quietly(network().fit, X, TARGETS["text"])
    model.coefs_[-1] *= 1e4
    assert any((p == 0).any() for p in model.predict_proba(X))
    for log_p in model.predict_log_proba(X):
        assert np.isfinite(log_p).all()
        np.testing.assert_allclose(log_p.max(axis=1), 0, atol=2)


def test_columns_of_one_class_are_predicted():
    y = TARGETS["text"].copy()
    y[:, 1] = "z"
    model = quietly(network().fit, X, y)
    assert (model.predict(X)[:, 1] == "z").all()
    np.testing.assert_array_equal(model.predict_proba(X)[1], np.ones((N_SAMPLES, 1)))


@pytest.mark.parametrize("integers", [[0, 1], [1, 2]])
def test_an_indicator_stays_multilabel(integers):
    _, y = problem("multilabel")
    model = quietly(network().fit, X, np.array(integers)[y])
    assert model.out_activation_ == "logistic" and model.n_outputs_ == 3


def test_scores_count_rows_with_all_columns_right_by_their_weights():
    y = TARGETS["integers"]
    model = quietly(network().fit, X, y)
    right = rows_right(model, X, y)
    assert 0 < right.mean() < 1
    assert model.score(X, y) == right.mean()
    np.testing.assert_allclose(model.score(X, y, weights()), np.average(right, weights=weights()))
    unknown = y.copy()
    unknown[:, 2] = 77  # which counts as wrong, as in scikit-learn's accuracy
    assert model.score(X, unknown) == 0.0


def test_partial_fit_equals_fit_with_the_classes_of_each_column():
    y = TARGETS["text"]
    classes = [list("cab"), ["a", "b"], np.array(list("abcde"))]
    settings = {"batch_size": N_SAMPLES, "shuffle": False}
    fitted = quietly(network(**settings, max_iter=3).fit, X, y)
    stepped = network(**settings)
    for given in (classes, None, classes):
        stepped.partial_fit(X, y, classes=given)
    for a, b in zip(fitted.coefs_, stepped.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(fitted.predict(X), stepped.predict(X))


def test_a_first_part_may_lack_classes_and_look_like_an_indicator():
    y = np.stack([NUMBERS[0], NUMBERS[2]], axis=1)
    rows = (y < 2).all(axis=1)
    model = network().partial_fit(X[rows], y[rows], classes=[[0, 1, 2], [0, 1, 2, 3, 4]])
    model.partial_fit(X, y)
    assert model.n_outputs_ == 8 and model.predict(X).shape == y.shape


def test_classes_of_partial_fit_may_be_of_several_types():
    y = TARGETS["text and numbers"]
    model = network().partial_fit(X, y, classes=[list("abc"), [0, 1], list("abcde")])
    predicted = model.predict(X)
    assert predicted.dtype == object
    assert {type(label) for label in predicted[:, 1]} == {int}


BAD_CLASSES = [
    (None, "classes must be passed on the first call to partial_fit"),
    ([0, 1, 2], "`classes` is a list with the classes of each column"),
    ([[0, 1, 2], [0, 1]], "y has shape .*, but the network was fitted on y with 2 columns"),
    ([[0, 1, 2], [0, 1], [0, 1, 2]], r"`self.classes_\[2\]` has \[0 1 2\]. Column 2 of 'y' has"),
    ([[0, 1, 2], ["a", "b"], [0, 1]], "Column 1 of y holds numbers, but its classes are text"),
    ([[0, 1, 2], [0, np.nan], [0, 1]], r"Input classes\[1\] contains NaN"),
    ([[0, 1, 2], [0.5, 1], [0, 1, 2]], "Unknown label type: continuous"),
]


@pytest.mark.parametrize(("classes", "words"), BAD_CLASSES)
def test_classes_that_are_not_those_of_the_columns_are_refused(classes, words):
    model = network()
    before = fingerprint(model)
    with pytest.raises(ValueError, match=words):
        model.partial_fit(X, np.stack(NUMBERS, axis=1), classes=classes)
    assert fingerprint(model) == before


BAD = {
    "NaN": (np.where(np.arange(3 * N_SAMPLES).reshape(-1, 3) == 7, np.nan, 3.0), "contains NaN"),
    "NaN among text": (np.where(TEXTS == "c", np.nan, TEXTS.astype(object)), "contains NaN"),
    "None": (np.where(TEXTS == "c", None, TEXTS.astype(object)), "contains None"),
    "continuous": (X[:, :2], "Unknown label type: continuous-multioutput"),
    "continuous among text": (
        np.stack([TEXTS[:, 0].astype(object), X[:, 0].astype(object)], axis=1),
        "Unknown label type: continuous",
    ),
    "text and numbers in a column": (
        np.where(TEXTS == "c", 3, TEXTS.astype(object)), "Labels must be uniformly strings or",
    ),
    "objects": (np.stack([TEXTS[:, 0].astype(object), [object()] * N_SAMPLES], axis=1),
                "column 1 of y holds objects"),
    "numbers as objects": (TARGETS["integers"].astype(object), "Unknown label type"),
    "too few rows": (TEXTS[:-1], "inconsistent numbers of samples"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_columns_that_are_no_classes_are_refused(bad):
    y, words = BAD[bad]
    model = quietly(network(max_iter=2).fit, X, TEXTS)
    before = fingerprint(model)
    with pytest.raises((ValueError, TypeError), match=words):
        model.fit(X, y)
    assert fingerprint(model) == before


def unseen(column):
    y = TARGETS["integers"].copy()
    y[4, column] = 55
    return y


LATER = [
    ("partial_fit", unseen(2), r"`self.classes_\[2\]` has .* Column 2 of 'y' has \[.*55\]"),
    ("fit", unseen(0), "In column 0 previously got .*, `y` has .*55"),
    ("fit", TARGETS["integers"][:, :2], "fitted on y with 3 columns"),
    ("partial_fit", TARGETS["integers"][:, 0], r"y has shape \(96,\), but the network was fitted"),
    ("partial_fit", TEXTS, "Column 0 of y holds text, but its classes are numbers"),
    ("score", TEXTS, "Column 0 of y holds text, but its classes are numbers"),
    ("score", TARGETS["integers"][:, 0], r"y has shape \(96,\), but the network was fitted"),
    ("score", np.full((N_SAMPLES, 3), np.nan), "Input y contains NaN"),
]


@pytest.mark.parametrize(("method", "y", "words"), LATER)
def test_labels_of_a_later_call_that_do_not_fit_are_named(method, y, words):
    model = quietly(network(max_iter=2, warm_start=method == "fit").fit, X, TARGETS["integers"])
    before = fingerprint(model)
    with pytest.raises(ValueError, match=words):
        getattr(model, method)(X, y)
    assert fingerprint(model) == before


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_columns_for_a_network_of_one_are_refused(kind):
    _, y = problem(kind)
    model = quietly(network(max_iter=2).fit, X, y)
    before = fingerprint(model)
    with pytest.raises(ValueError, match="y has 3 columns of classes, but the network was fitted"):
        model.partial_fit(X, TARGETS["integers"])
    assert fingerprint(model) == before


def test_warm_starts_and_assigned_weights_go_on():
    y = TARGETS["text"]
    once = quietly(network(max_iter=4, shuffle=False).fit, X, y)
    twice = network(max_iter=2, warm_start=True, shuffle=False)
    for _ in range(2):
        quietly(twice.fit, X, y)
    assert twice.loss_curve_[0] == once.loss_curve_[0]
    assert twice.loss_ < twice.loss_curve_[0]
    twice.coefs_ = [w.astype(np.float32) for w in twice.coefs_]
    assert twice.predict(X).shape == y.shape
    twice._label_binarizer = clone(once)
    with pytest.raises(ValueError, match="the network was fitted on the classes"):
        twice.fit(X, y)


def test_early_stopping_scores_rows_with_all_columns_right():
    y = TARGETS["integers"]
    model = network(early_stopping=True, validation_fraction=0.4, max_iter=1)
    quietly(model.fit, X, y)
    _, rows = model._validation_split.rows()
    assert model.validation_scores_ == [model.score(X[rows], y[rows])]


def test_fits_of_several_columns_are_kept_whole(tmp_path):
    """A pickle, a clone, sparse rows, a checkpoint."""
    y = TARGETS["text"]
    model = quietly(network().fit, X, y)
    for other in (pickle.loads(pickle.dumps(model)), quietly(clone(model).fit, X, y)):
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
    sparse = quietly(clone(model).fit, csr_matrix(X), y)
    np.testing.assert_array_equal(sparse.predict(csr_matrix(X)), model.predict(X))
    path = tmp_path / "fit.npz"
    settings = {"checkpoint": path, "checkpoint_interval": 1}
    quietly(clone(model).set_params(max_iter=7, **settings).fit, X, y)
    resumed = quietly(clone(model).set_params(**settings).fit, X, y)
    for a, b in zip(resumed.coefs_, model.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_searches_take_several_columns():
    y = TARGETS["text"]
    search = GridSearchCV(network(max_iter=5), {"alpha": [1e-4, 1.0]}, cv=2)
    quietly(search.fit, X, y)
    assert search.predict(X).shape == y.shape
    assert quietly(cross_val_score, network(max_iter=2), X, y, cv=2).shape == (2,)


def test_the_tags_say_so():
    for model in NETWORKS.values():
        tags = get_tags(model)
        assert tags.target_tags.multi_output and tags.classifier_tags.multi_label


def test_scikit_learns_form_has_no_place_for_several_columns():
    model = quietly(network(max_iter=2).fit, X, TARGETS["text"])
    with pytest.raises(ValueError, match="takes no y with several columns of classes"):
        model.to_sklearn()


def test_displays_and_the_gradient_check_take_several_columns():
    y = TARGETS["text"]
    model = quietly(network(max_iter=5, activation="tanh").fit, X, y)
    assert check_gradient(model, X, y, random_state=0).error < 1e-6
    pytest.importorskip("matplotlib").use("Agg")
    display = NetworkDisplay.from_estimator(model, X[0])
    assert display.output_names[:4] == ["0: a", "0: b", "0: c", "1: a"]
    p = np.hstack(model.predict_proba(X[:1]))[0]
    np.testing.assert_allclose(display.activations[-1], p)
    shown = loss_gradient(model, X, y)
    engine = model._make_engine()
    target = model._label_binarizer.encode(y)
    _, gradient = engine.loss_gradient(
        pack_parameters(*model._give_parameters()), engine.dataset(X, target), 0.0
    )
    in_numpy = np.concatenate([array.ravel() for array in (*shown.weights, *shown.biases)])
    np.testing.assert_allclose(in_numpy, gradient, atol=1e-12)
    GradientFlowDisplay.from_estimator(model, X, y)
    radial = quietly(clone(NETWORKS["radial"]).fit, X, y)
    assert check_gradient(radial, X, y, random_state=0).error < 1e-6
    CentersDisplay.from_estimator(radial, X, y)


def test_a_gpu_has_no_code_for_several_columns(monkeypatch):
    monkeypatch.setattr(select, "resolve", lambda device, ready=False: 0)
    with pytest.raises(ValueError, match="no device code for several softmaxes .y of"):
        quietly(network(device="cuda").fit, X, TEXTS)
