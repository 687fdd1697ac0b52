"""Weights of classes: the same as weights of the rows, to the bit."""

import pickle

import numpy as np
import pytest
from problems import N_SAMPLES, problem, quietly, weights
from sklearn.base import clone
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from test_bad_input import fingerprint

from nnjit import MLPClassifier, RBFClassifier

NETWORKS = {
    "adam": MLPClassifier(hidden_layer_sizes=(6,), max_iter=5, batch_size=16, random_state=0),
    "lbfgs": MLPClassifier(hidden_layer_sizes=(6,), max_iter=9, solver="lbfgs", random_state=0),
    "early stopping": MLPClassifier(
        hidden_layer_sizes=(6,), max_iter=6, early_stopping=True, validation_fraction=0.3,
        batch_size=16, random_state=0,
    ),
    "radial": RBFClassifier(6, max_iter=4, random_state=0),
    "radial output": RBFClassifier(6, train="output", random_state=0),
}  # fmt: skip
COLUMNS = np.stack([np.arange(N_SAMPLES) % 3, np.arange(N_SAMPLES) ** 2 % 5 // 2], axis=1)
WEIGHTS = {
    "binary": {0: 0.3, 1: 2.5},
    "multiclass": {1: 0.3, 5: 2.5},  # 1 for the other
    "strings": {"ape": 1.5, "bee": 0.1, "cow": 7},
    "multilabel": [{0: 0.4, 1: 3.0}, {1: 2.0}, {0: 1.3}],
    "columns": [{0: 0.2, 1: 0.7, 2: 2.0}, {2: 3.0}],
}


def target(kind):
    X, y = problem("multiclass" if kind == "columns" else kind)
    return (X, COLUMNS) if kind == "columns" else (X, y)


def assert_same(a, b):
    """Compare all that was learned, to the bit."""
    assert a.loss_ == b.loss_
    for name in ("loss_curve_", "validation_scores_", "n_skipped_batches_"):
        assert getattr(a, name, None) == getattr(b, name, None)
    for one, other in zip(a._give_parameters()[1], b._give_parameters()[1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("given", ["dict", "balanced"])
def test_class_weights_are_sample_weights_to_the_bit(kind, network, given, single):
    X, y = target(kind)
    X = X.astype(np.float32) if single else X
    class_weight = WEIGHTS[kind] if given == "dict" else given
    by_class = clone(NETWORKS[network]).set_params(class_weight=class_weight)
    by_row = clone(NETWORKS[network])
    factors = compute_sample_weight(class_weight, y)
    assert_same(quietly(by_class.fit, X, y), quietly(by_row.fit, X, y, factors))
    quietly(by_class.fit, X, y, weights())
    assert_same(by_class, quietly(by_row.fit, X, y, weights() * factors))


@pytest.mark.filterwarnings("ignore:Got `batch_size`")
@pytest.mark.parametrize("kind", WEIGHTS)
def test_partial_fit_weighs_classes_that_its_rows_may_lack(kind):
    X, y = target(kind)
    classes = [0, 1, 2] if kind == "multilabel" else np.unique(y)
    if kind == "columns":
        classes = [[0, 1, 2], [0, 1, 2]]
    factors = compute_sample_weight(WEIGHTS[kind], y)
    by_class = clone(NETWORKS["adam"]).set_params(class_weight=WEIGHTS[kind])
    by_row = clone(NETWORKS["adam"])
    first = y[0] if y.ndim == 2 else y[:1]
    alike = np.flatnonzero((y == first).all(axis=1) if y.ndim == 2 else y == first)
    for rows in (np.arange(40), alike, np.arange(40, N_SAMPLES)):
        by_class.partial_fit(X[rows], y[rows], classes=classes)
        by_row.partial_fit(X[rows], y[rows], factors[rows], classes=classes)
        assert_same(by_class, by_row)


@pytest.mark.parametrize("kind", ["binary", "multilabel", "columns"])
def test_partial_fit_refuses_balanced_in_the_words_of_scikit_learns_sgd(kind):
    X, y = target(kind)
    with pytest.raises(ValueError) as theirs:
        SGDClassifier(class_weight="balanced").partial_fit(X, X[:, 0] > 0, classes=[False, True])
    for class_weight in ("balanced", ["balanced", {0: 2.0}]):
        model = clone(NETWORKS["adam"]).set_params(class_weight=class_weight)
        before = fingerprint(model)
        with pytest.raises(ValueError) as ours:
            model.partial_fit(X, y, classes=[0, 1])
        assert str(ours.value) == str(theirs.value)
        assert fingerprint(model) == before


def test_balanced_counts_the_rows_whatever_their_weights():
    X, y = problem("multiclass")
    counted = compute_class_weight("balanced", classes=np.unique(y), y=y)
    by_name = dict(zip(np.unique(y).tolist(), counted))
    models = [
        quietly(clone(NETWORKS["adam"]).set_params(class_weight=given).fit, X, y, weights())
        for given in ("balanced", by_name)
    ]
    assert_same(*models)


BAD = [
    ("multiclass", {1: 1.0, 4: 2.0}, r"The classes, \[3, 5\], are not in class_weight"),
    ("multilabel", {0: 1.0, 1: 2.0}, "For multi-output, class_weight should be a list of dicts"),
    ("multilabel", [{1: 2.0}], r"Got 1 element\(s\) while having 3 outputs"),
    ("columns", [{0: 1.0}] * 3, r"Got 3 element\(s\) while having 2 outputs"),
    ("columns", [{0: 1.0}, {7: 1.0}], r"The classes, \[0, 2\], are not in class_weight"),
    ("binary", [{0: 1.0}], "class_weight"),
    ("binary", "balenced", "The 'class_weight' parameter of MLPClassifier must be"),
    ("binary", {0: np.nan}, "class_weight has a weight that is not finite"),
    ("binary", {0: "heavy"}, "could not convert string to float"),
    ("binary", {0: object()}, "A weight in class_weight is no number"),
    ("binary", {0: 0.0, 1: 0.0}, "at least one non-zero number, and with class_weight"),
]


@pytest.mark.parametrize(("kind", "class_weight", "words"), BAD)
def test_weights_that_fit_no_class_are_refused(kind, class_weight, words):
    X, y = target(kind)
    model = quietly(clone(NETWORKS["adam"]).fit, X, y).set_params(class_weight=class_weight)
    before = fingerprint(model)
    with pytest.raises(ValueError, match=words):
        model.fit(X, y)
    assert fingerprint(model) == before


def test_rows_of_a_class_of_weight_zero_are_as_if_they_were_not_there():
    X, y = problem("multiclass")
    order = np.argsort(y, kind="stable")  # so that whole minibatches have no weight
    X, y = X[order], y[order]
    model = clone(NETWORKS["adam"]).set_params(class_weight={1: 0}, shuffle=False, batch_size=4)
    quietly(model.fit, X, y)
    assert model.n_skipped_batches_ == model.n_iter_ * ((y == 1).sum() // 4)
    held = clone(model).set_params(early_stopping=True, validation_fraction=0.3)
    quietly(held.fit, X, y)
    rows = held._validation_split.rows()[1]
    assert 1 not in y[rows]


def test_scores_of_held_out_rows_are_weighted_by_class():
    X, y = problem("multiclass")
    model = clone(NETWORKS["early stopping"]).set_params(class_weight={1: 10.0}, max_iter=1)
    quietly(model.fit, X, y)
    _, rows = model._validation_split.rows()
    expected = model.score(X[rows], y[rows], np.where(y[rows] == 1, 10.0, 1.0))
    np.testing.assert_allclose(model.validation_scores_[-1], expected)


def test_balanced_weights_find_a_rare_class():
    rng = np.random.RandomState(0)
    y = (rng.uniform(size=2000) < 0.04).astype(int)
    X = rng.standard_normal((2000, 5)) + 1.2 * y[:, np.newaxis]
    scores = []
    for class_weight in (None, "balanced"):
        model = MLPClassifier((8,), max_iter=30, random_state=0, class_weight=class_weight)
        quietly(model.fit, X[:1000], y[:1000])
        scores.append(balanced_accuracy_score(y[1000:], model.predict(X[1000:])))
    assert scores[1] > scores[0] + 0.1


def test_a_checkpoint_of_other_class_weights_is_refused(tmp_path):
    X, y = problem("binary")
    path = tmp_path / "fit.npz"
    model = MLPClassifier((4,), max_iter=2, random_state=0, checkpoint=path)
    quietly(model.set_params(class_weight={0: 2.0}).fit, X, y)
    with pytest.raises(ValueError, match="class_weight"):
        quietly(model.set_params(class_weight={0: 3.0}).fit, X, y)


@pytest.mark.filterwarnings("ignore:This MLPClassifier was pickled")
def test_an_estimator_without_the_parameter_has_no_weights():
    """As one that was pickled before there was such a parameter, or a subclass by hand."""
    X, y = problem("binary")
    model = clone(NETWORKS["adam"])
    state = pickle.loads(pickle.dumps(model)).__dict__
    assert state.pop("class_weight") is None
    bare = MLPClassifier.__new__(MLPClassifier)
    bare.__setstate__(state)
    assert_same(quietly(bare.fit, X, y), quietly(model.fit, X, y))
