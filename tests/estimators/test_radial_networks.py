"""Radial-basis-function networks as estimators."""

import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from problems import CLASSIFICATION, REGRESSION, problem, weights
from sklearn.base import clone
from sklearn.datasets import load_digits, make_moons
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import naive
from nnjit import RBFClassifier, RBFRegressor
from nnjit.estimators import _output_layer as output_layer
from nnjit.estimators import radial

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

KINDS = CLASSIFICATION + REGRESSION
OUTPUTS = {
    **dict.fromkeys(("multiclass", "strings"), naive.softmax),
    **dict.fromkeys(("binary", "multilabel"), naive.logistic),
    **dict.fromkeys(("regression", "multioutput"), naive.identity),
    "poisson": np.exp,
}


def make(kind, *arguments, **parameters):
    parameters = {"max_iter": 10, "random_state": 0, **parameters}
    if kind in CLASSIFICATION:
        return RBFClassifier(*arguments, **parameters)
    loss = "poisson" if kind == "poisson" else "squared_error"
    return RBFRegressor(*arguments, loss=loss, **parameters)


def learned(network):
    return [network.centers_, network.widths_, network.coefs_, network.intercepts_]


def assert_same(one, other, **tolerance):
    for a, b in zip(learned(one), learned(other), strict=True):
        np.testing.assert_allclose(a, b, **{"rtol": 0, "atol": 0, **tolerance})


def by_the_formula(network, kind, X):
    """The network's outputs in plain NumPy, from its public attributes."""
    h = naive.radial_forward(
        np.asarray(X, float), network.centers_, np.log(network.widths_), network.normalized
    )
    return OUTPUTS[kind](h @ network.coefs_ + network.intercepts_)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_those_of_the_formula(kind, normalized, dtype):
    X, y = problem(kind)
    X = (X + 7).astype(dtype)
    network = make(kind, normalized=normalized).fit(X, y)
    expected = by_the_formula(network, kind, X)
    if kind in CLASSIFICATION:
        if kind == "binary":
            expected = np.hstack([1 - expected, expected])
        got = network.predict_proba(X)
    else:
        got = network.predict(X).reshape(expected.shape)
    assert got.dtype == dtype
    assert all(array.dtype == dtype for array in learned(network))
    tolerance = 1e-4 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_of_the_attributes(kind):
    X, y = problem(kind)
    network = make(kind, 7).fit(X, y)
    outputs = {"multiclass": 3, "strings": 3, "multilabel": 3, "multioutput": 3}.get(kind, 1)
    assert [a.shape for a in learned(network)] == [(7, 8), (7,), (7, outputs), (outputs,)]
    assert (network.widths_ > 0).all()
    assert network.n_outputs_ == outputs
    assert network.n_layers_ == 3


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_training_goes_down_the_loss_of_the_whole_network(loss):
    """One step of plain SGD on one batch is the rate times the gradient of the oracle."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 2)), rng.poisson(2.0, 30).astype(float)
    settings = {"init": X[:4] + 0.1, "width": 1.0, "loss": loss, "alpha": 0.5, "random_state": 0}
    start = RBFRegressor(train="output", tol=1e-9, **settings).fit(X, y)
    rate = 0.01
    network = RBFRegressor(
        solver="sgd", momentum=0, learning_rate_init=rate, max_iter=1, batch_size=30, **settings
    ).fit(X, y)
    parameters = [start.centers_, np.log(start.widths_), start.coefs_, start.intercepts_]
    pair = "poisson" if loss == "poisson" else "squared_error"
    gradient = naive.rbf_network_gradient(
        parameters, X, y[:, np.newaxis], pair, alpha=0.5, exact=False
    )
    # Centres move in units of their own.
    unit = network._unit
    np.testing.assert_allclose(
        network.centers_, parameters[0] - rate * unit**2 * gradient[0], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        np.log(network.widths_), parameters[1] - rate * gradient[1], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(network.coefs_, parameters[2] - rate * gradient[2], atol=1e-3)


def test_output_alone_is_a_ridge_regression_on_the_bumps():
    X, y = problem("multioutput")
    network = RBFRegressor(9, train="output", alpha=0.3, random_state=0).fit(X, y, weights())
    h = naive.radial_forward(X, network.centers_, np.log(network.widths_))
    peer = Ridge(alpha=0.3 * 3).fit(h, y, weights())  # the loss is the mean over three outputs
    np.testing.assert_allclose(network.coefs_, peer.coef_.T, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(network.intercepts_, peer.intercept_, rtol=1e-6, atol=1e-8)
    error = (weights() @ np.square(y - peer.predict(h)).mean(axis=1)) / 2
    expected = (error + 0.15 * np.square(peer.coef_).sum()) / weights().sum()
    assert network.loss_ == pytest.approx(expected)
    assert network.n_iter_ == 1


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_output_alone_is_a_logistic_regression_on_the_bumps(kind):
    X, y = problem(kind)
    network = make(kind, 9, train="output", alpha=0.5, max_iter=1000, tol=1e-8).fit(X, y)
    h = naive.radial_forward(X, network.centers_, np.log(network.widths_))
    peer = LogisticRegression(C=2.0, tol=1e-10, max_iter=1000).fit(h, y)
    np.testing.assert_allclose(network.predict_proba(X), peer.predict_proba(h), atol=2e-4)


def test_output_alone_leaves_centres_and_widths():
    X, y = problem("multiclass")
    centers = X[:5]
    network = RBFClassifier(init=centers, width=[1, 2, 3, 4, 5], train="output").fit(X, y)
    np.testing.assert_allclose(network.centers_, centers, atol=1e-14)
    np.testing.assert_allclose(network.widths_, [1, 2, 3, 4, 5])
    assert not hasattr(network, "partial_fit")


def test_centres_widths_and_weights_are_all_trained():
    X, y = problem("multiclass")
    output, trained = (make("multiclass", 6, train=train).fit(X, y) for train in ("output", "all"))
    assert all((a != b).any() for a, b in zip(learned(output), learned(trained)))
    assert trained.loss_curve_[-1] < trained.loss_curve_[0]


@pytest.mark.parametrize("kind", KINDS)
def test_joint_training_starts_where_the_output_layer_ends(kind):
    X, y = problem(kind)
    output = make(kind, 8, train="output", tol=1e-5, max_iter=500).fit(X, y)
    trained = make(kind, 8, max_iter=1, learning_rate_init=1e-12).fit(X, y)
    np.testing.assert_allclose(trained.predict(X), output.predict(X), rtol=1e-6, atol=1e-6) if (
        kind in REGRESSION
    ) else np.testing.assert_array_equal(trained.predict(X), output.predict(X))


@pytest.mark.parametrize("exponent", [-40, -1, 20])
def test_a_fit_does_not_depend_on_the_unit_of_the_features(exponent):
    X, y = problem("multiclass")
    scale = 2.0**exponent
    plain = make("multiclass", 8, max_iter=30).fit(X, y)
    other = make("multiclass", 8, max_iter=30).fit(scale * X, y)
    np.testing.assert_array_equal(other.predict_proba(scale * X), plain.predict_proba(X))
    np.testing.assert_array_equal(other.coefs_, plain.coefs_)


def test_a_fit_does_not_depend_on_the_origin_of_the_features():
    X, y = problem("multiclass")
    plain = make("multiclass", 8, max_iter=30).fit(X, y)
    other = make("multiclass", 8, max_iter=30).fit(X + 1e4, y)
    np.testing.assert_allclose(other.predict_proba(X + 1e4), plain.predict_proba(X), atol=1e-4)


def test_float32_far_from_the_origin_does_not_cancel():
    X, y = problem("multiclass")
    near = make("multiclass", 8).fit(X.astype(np.float32), y)
    shifted = (X + 1000).astype(np.float32)
    far = make("multiclass", 8).fit(shifted, y)
    np.testing.assert_allclose(
        far.predict_proba(shifted), near.predict_proba(X.astype(np.float32)), atol=5e-3
    )


def test_the_number_of_centres():
    X, y = problem("regression")
    assert len(RBFRegressor(max_iter=1).fit(X, y).centers_) == 96 // 5
    assert len(RBFRegressor(init=X[:3], max_iter=1).fit(X, y).centers_) == 3
    few = np.repeat(X[:4], 24, axis=0)
    assert len(RBFRegressor(10, max_iter=1).fit(few, y).centers_) == 4
    weight = np.zeros(96)
    weight[:20] = 1
    assert len(RBFRegressor(max_iter=1).fit(X, y, weight).centers_) == 4


@pytest.mark.parametrize("train", ["all", "output"])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_weight_zero_are_not_there(kind, train):
    X, y = problem(kind)
    weight = np.r_[weights()[:60], np.zeros(36)]
    settings = {"init": X[:5], "train": train, "shuffle": False, "batch_size": 60}
    with_zeros = make(kind, **settings).fit(X, y, weight)
    without = make(kind, **settings).fit(X[:60], y[:60], weight[:60])
    assert_same(with_zeros, without, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_network_whatever_the_threads(kind):
    X, y = problem(kind)
    assert_same(make(kind).fit(X, y), make(kind).fit(X, y))


@pytest.mark.parametrize("train", ["all", "output"])
def test_ctrl_c_while_the_output_layer_is_fitted(train, monkeypatch):
    """That is the start of a training that has not begun, or all that there is to train."""
    X, y = problem("multiclass")
    model = make("multiclass", train=train, max_iter=500)
    objective_of, evaluations = output_layer.objective_of, []

    def interrupted(*arguments):
        objective = objective_of(*arguments)

        def evaluate(packed):
            evaluations.append(None)
            if len(evaluations) == 4:
                raise KeyboardInterrupt
            return objective(packed)

        return evaluate

    monkeypatch.setattr(output_layer, "objective_of", interrupted)
    if train == "all":
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
        assert not hasattr(model, "coefs_")
    else:
        with pytest.warns(UserWarning, match="Training interrupted by user"):
            model.fit(X, y)
        assert 1 <= model.n_iter_ < 4
        assert np.isfinite(model.predict_proba(X)).all()


def test_threads_that_fit_the_same_estimator_do_not_get_in_each_others_way(monkeypatch):
    X, y = problem("multiclass")
    together, one_left = threading.Barrier(2, timeout=60), threading.Event()
    fit_output_layer = radial.fit_output_layer

    def meeting(*arguments, **settings):
        if together.wait() == 0:  # ends after the other has
            assert one_left.wait(timeout=60)
        return fit_output_layer(*arguments, **settings)

    def fit(model):
        model.fit(X, y)
        one_left.set()

    model = make("multiclass", max_iter=2, solver="adam", early_stopping=True)
    monkeypatch.setattr(radial, "fit_output_layer", meeting)
    with ThreadPoolExecutor(2) as executor:
        for done in [executor.submit(fit, model) for _ in range(2)]:
            done.result()
    assert model.n_iter_ == 2


@pytest.mark.parametrize("kind", KINDS)
def test_pickles_and_clones(kind):
    X, y = problem(kind)
    network = make(kind, 6, init="random", normalized=True).fit(X, y)
    loaded = pickle.loads(pickle.dumps(network))
    assert_same(loaded, network)
    np.testing.assert_array_equal(loaded.predict(X), network.predict(X))
    assert not hasattr(clone(network), "centers_")
    assert clone(network).get_params() == network.get_params()
    assert_same(clone(network).fit(X, y), network)


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_early_stopping_keeps_the_best_epoch(kind):
    X, y = problem(kind)
    network = make(kind, early_stopping=True, max_iter=30, n_iter_no_change=5).fit(X, y)
    assert len(network.validation_scores_) == network.n_iter_
    assert network.best_validation_score_ == max(network.validation_scores_)
    held_out = network._validation_split.rows()[1]
    score = network.score(X[held_out], y[held_out])
    assert score == pytest.approx(network.best_validation_score_)


def test_the_start_does_not_look_at_targets_that_are_held_out():
    X, y = problem("regression")
    settings = {"early_stopping": True, "max_iter": 3, "n_iter_no_change": 100}
    network = make("regression", **settings).fit(X, y)
    held_out = network._validation_split.rows()[1]
    changed = y.copy()
    changed[held_out] = 1000 + np.arange(len(held_out))
    other = make("regression", **settings).fit(X, changed)
    np.testing.assert_array_equal(other._validation_split.rows()[1], held_out)
    assert network.loss_curve_ == other.loss_curve_


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_fit_that_was_cut_off_goes_on(tmp_path, early_stopping):
    X, y = problem("multiclass")
    settings = {"early_stopping": early_stopping, "n_iter_no_change": 100}
    whole = make("multiclass", max_iter=9, **settings).fit(X, y)
    path = tmp_path / "run"
    make("multiclass", max_iter=4, checkpoint=path, **settings).fit(X, y)
    resumed = make("multiclass", max_iter=9, checkpoint=path, **settings).fit(X, y)
    assert_same(resumed, whole)
    assert resumed.loss_curve_ == whole.loss_curve_


def test_a_cut_off_fit_without_a_seed_goes_on_with_its_own_centres(tmp_path):
    X, y = problem("multiclass")
    settings = {"random_state": None, "checkpoint": tmp_path / "run", "early_stopping": True}
    first = make("multiclass", max_iter=4, **settings).fit(X, y)
    again = make("multiclass", max_iter=4, **settings).fit(X, y)
    assert_same(again, first)
    np.testing.assert_array_equal(again.predict_proba(X), first.predict_proba(X))


def test_no_checkpoint_of_the_output_layer_alone(tmp_path):
    X, y = problem("regression")
    with pytest.raises(ValueError, match="checkpoint needs train='all'"):
        RBFRegressor(train="output", checkpoint=tmp_path / "run").fit(X, y)


def test_warm_start_goes_on_from_the_fitted_centres():
    X, y = problem("multiclass")
    network = make("multiclass", 6, warm_start=True, max_iter=5).fit(X, y)
    before = network.centers_.copy()
    network.set_params(learning_rate_init=1e-9).fit(X, y)
    np.testing.assert_allclose(network.centers_, before, atol=1e-6)
    with pytest.raises(ValueError, match="has 6 centres, but n_centers=9"):
        network.set_params(n_centers=9).fit(X, y)
    np.testing.assert_allclose(network.centers_, before, atol=1e-6)
    few = np.repeat(X[:4], 24, axis=0)
    network = make("multiclass", 6, warm_start=True).fit(few, y)
    assert len(network.fit(few, y).centers_) == 4


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_partial_fit_learns_batch_by_batch(kind):
    X, y = problem(kind)
    network = make(kind, 10, learning_rate_init=0.01)
    known = {"classes": np.unique(y)} if kind == "multiclass" else {}
    network.partial_fit(X, y, **known)
    first = network.score(X, y)
    for _ in range(40):
        network.partial_fit(X, y)
    assert network.score(X, y) >= first
    assert network.t_ == 41 * 96


class Recorder:
    """A callback that keeps the estimator of every epoch."""

    def __init__(self):
        self.estimators = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.estimators.append(fitted_estimator)


@pytest.mark.parametrize("train, solver", [("all", "adam"), ("all", "lbfgs"), ("output", "adam")])
def test_callbacks_get_the_network_of_every_epoch(train, solver):
    pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    X, y = problem("multiclass")
    settings = {"train": train, "solver": solver}
    recorder = Recorder()
    network = make("multiclass", 6, max_iter=5, **settings).set_callbacks(recorder).fit(X, y)
    assert len(recorder.estimators) == network.n_iter_ + 1
    for epoch in (1, 3):
        shorter = make("multiclass", 6, max_iter=epoch, **settings).fit(X, y)
        reached = recorder.estimators[epoch - 1]
        np.testing.assert_allclose(reached.predict_proba(X), shorter.predict_proba(X), rtol=1e-9)


def test_verbose_prints_every_epoch(capsys):
    X, y = problem("regression")
    make("regression", verbose=True, max_iter=3).fit(X, y)
    assert capsys.readouterr().out.count("Iteration") == 3


def test_a_search_and_a_pipeline():
    X, y = make_moons(150, noise=0.2, random_state=0)
    pipeline = make_pipeline(StandardScaler(), RBFClassifier(max_iter=20, random_state=0))
    grid = {"rbfclassifier__n_centers": [4, 12], "rbfclassifier__normalized": [False, True]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    assert search.best_score_ > 0.9


def test_assigned_parameters_predict():
    X, y = problem("multiclass")
    network = make("multiclass", 5).fit(X, y)
    expected = network.predict_proba(X)
    network.centers_, network.widths_ = network.centers_[::-1], list(network.widths_[::-1])
    network.coefs_ = network.coefs_[::-1]
    np.testing.assert_allclose(network.predict_proba(X), expected, rtol=1e-9)
    network.widths_ = np.full(5, 1e9)
    assert np.ptp(network.predict_proba(X), axis=0).max() < 1e-6


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("centers_", np.zeros((5, 3)), "X has 8 features, but centers_ has shape"),
        ("centers_", np.zeros(5), "centers_ must have 2 dimensions"),
        ("widths_", np.ones(4), "do not fit together"),
        ("widths_", np.zeros(5), "widths_ must be above 0"),
        ("coefs_", np.zeros((5, 2)), "do not fit together"),
        ("coefs_", "abc", "coefs_ must be an array of real numbers"),
        ("intercepts_", None, "intercepts_ must be an array of real numbers"),
        ("out_activation_", "cosine", "out_activation_ must be one of"),
    ],
)
def test_what_is_no_network_is_refused(name, value, message):
    X, y = problem("multiclass")
    network = make("multiclass", 5).fit(X, y)
    setattr(network, name, value)
    with pytest.raises(ValueError, match=message):
        network.predict(X)


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"n_centers": 0}, "n_centers"),
        ({"n_centers": 97}, "n_samples=96 should be >= n_centers=97"),
        ({"init": "grid"}, "init"),
        ({"init": np.zeros((3, 2)), "n_centers": 3}, r"shape \(3, 2\), not \(3, 8\)"),
        ({"init": np.zeros((3, 8)), "n_centers": 4}, r"not \(4, 8\)"),
        ({"init": np.full((3, 8), np.nan), "n_centers": 3}, "NaN or infinity"),
        ({"width": "own"}, "width"),
        ({"width": 0.0}, "width"),
        ({"width": [1.0, 2.0], "n_centers": 3}, r"shape \(2,\), not \(3,\)"),
        ({"width": [1.0, -2.0, 1.0], "n_centers": 3}, "above 0"),
        ({"train": "some"}, "train"),
        ({"device": "cuda"}, "Radial layers have no code for a GPU"),
    ],
)
def test_bad_parameters_leave_the_estimator_as_it_was(parameters, message):
    X, y = problem("multiclass")
    network = make("multiclass", 5).fit(X, y)
    before = [array.copy() for array in learned(network)]
    network.set_params(**parameters)
    attributes = set(vars(network))
    with pytest.raises(ValueError, match=message):
        network.fit(X, y)
    assert set(vars(network)) == attributes
    for array, old in zip(learned(network), before):
        np.testing.assert_array_equal(array, old)
    with pytest.raises(NotFittedError):
        clone(network).predict(X)


def test_sparse_rows_are_refused_in_scikit_learns_words():
    import scipy.sparse as sp

    X, y = problem("multiclass")
    with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required"):
        make("multiclass").fit(sp.csr_matrix(X), y)
    network = make("multiclass").fit(X, y)
    with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required"):
        network.predict(sp.csr_matrix(X))


@pytest.mark.parametrize("normalized", [False, True])
def test_hard_rows(normalized):
    """Constant rows, one row, huge and tiny values."""
    y = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    for X in (np.ones((5, 2)), np.zeros((5, 1)), 1e150 * np.eye(5), 1e-150 * np.eye(5)):
        network = RBFRegressor(normalized=normalized, max_iter=3, random_state=0).fit(X, y)
        assert np.isfinite(network.predict(X)).all()
    one = RBFRegressor(normalized=normalized, max_iter=3).fit([[1.0, 2.0]], [3.0])
    np.testing.assert_allclose(one.predict([[1.0, 2.0]]), 3, atol=0.1)


def test_a_row_far_from_all_centres_has_the_bias_or_the_nearest_centre():
    X, y = problem("regression")
    far = np.full((1, 8), 1e6)
    plain = make("regression").fit(X, y)
    np.testing.assert_allclose(plain.predict(far), plain.intercepts_)
    normalized = make("regression", normalized=True).fit(X, y)
    assert np.isfinite(normalized.predict(far)).all()


def test_digits_are_read():
    X, y = load_digits(return_X_y=True)
    parts = train_test_split(X, y, random_state=0, stratify=y)
    model = make_pipeline(StandardScaler(), RBFClassifier(random_state=0, max_iter=30))
    assert model.fit(parts[0], parts[2]).score(parts[1], parts[3]) > 0.95


def satellite(rows=3000, seed=0):
    """Pixels with their eight neighbours in four bands, six kinds of soil, each of two tones."""
    rng = np.random.default_rng(seed)
    tones = rng.normal(size=(6, 2, 4)) * 1.2
    y = rng.integers(0, 6, rows)
    middle = tones[y, rng.integers(0, 2, rows)] + 0.35 * rng.normal(size=(rows, 4))
    pixels = middle[:, np.newaxis] + 0.4 * rng.normal(size=(rows, 9, 4))
    return pixels.reshape(rows, 36), y


@pytest.mark.parametrize("train", ["output", "all"])
def test_satellite_like_pixels_are_told_apart(train):
    X, y = satellite()
    parts = train_test_split(X, y, random_state=0, stratify=y)
    model = make_pipeline(StandardScaler(), RBFClassifier(train=train, random_state=0))
    assert model.fit(parts[0], parts[2]).score(parts[1], parts[3]) >= 0.89


def test_import_does_not_load_kmeans():
    import subprocess
    import sys

    code = "import sys, nnjit; nnjit.RBFClassifier; print('sklearn.cluster' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr


def test_no_warning_for_a_start_that_is_near_enough():
    X, y = problem("multiclass")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Stochastic Optimizer", ConvergenceWarning)
        make("multiclass").fit(X, y)
