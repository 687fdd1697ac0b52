"""Estimators turned into scikit-learn's own and back: predictions, further training, refusals."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from problems import (
    CLASSIFICATION,
    REGRESSION,
    assert_same_network,
    inputs,
    pair,
    problem,
    quietly,
    weights,
)
from sklearn import config_context
from sklearn import neural_network as peer
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

import nnjit

KINDS = [*CLASSIFICATION, *REGRESSION]
NETWORK = {"hidden_layer_sizes": (7, 5), "batch_size": 20, "max_iter": 6}
STOCHASTIC = [
    {"solver": "adam"},
    {"solver": "adam", "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-6, "learning_rate_init": 0.01},
    {"solver": "sgd", "learning_rate": "constant", "momentum": 0.5},
    {"solver": "sgd", "learning_rate": "invscaling", "nesterovs_momentum": False, "power_t": 0.3},
    {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 1.0},
]
OUTPUTS = ("predict", "predict_proba")  # scikit-learn's log(1 - p) has no more than p's digits


def ours_to_theirs(kind, **parameters):
    """Both estimators with the same parameters, and the function from ours to theirs."""
    ours, theirs = pair(kind, **{**NETWORK, **parameters})
    return ours, theirs, lambda model: model.to_sklearn()


def theirs_to_ours(kind, **parameters):
    """The same the other way round."""
    ours, theirs = pair(kind, **{**NETWORK, **parameters})
    return theirs, ours, type(ours).from_sklearn


DIRECTIONS = pytest.mark.parametrize("direction", [ours_to_theirs, theirs_to_ours])


def assert_same_outputs(a, b, X, rtol):
    for name in OUTPUTS:
        assert hasattr(a, name) == hasattr(b, name)
        if hasattr(a, name):
            left, right = getattr(a, name)(X), getattr(b, name)(X)
            assert left.shape == right.shape
            if left.dtype.kind == "f":
                np.testing.assert_allclose(left, right, rtol=rtol, atol=rtol)
            else:
                np.testing.assert_array_equal(left, right)


def arrays_of(model):
    """Every array that a model holds, in lists and objects too."""
    found, seen, waiting = [], set(), [vars(model)]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            found.append(thing)
        elif isinstance(thing, dict):
            waiting.extend(thing.values())
        elif isinstance(thing, list | tuple):
            waiting.extend(thing)
        elif hasattr(thing, "__dict__") and not isinstance(thing, type):
            waiting.append(vars(thing))
    return found


# Predictions


@DIRECTIONS
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_equal(kind, solver, direction):
    X, y = problem(kind)
    source, target, convert = direction(kind, solver=solver, random_state=0)
    converted = convert(quietly(source.fit, X, y))
    assert type(converted) is type(target)
    check_is_fitted(converted)
    assert_same_outputs(source, converted, X, rtol=1e-12)
    np.testing.assert_allclose(source.score(X, y), converted.score(X, y), rtol=1e-12)


@DIRECTIONS
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_float32_networks(kind, solver, direction):
    X, y = problem(kind)
    X = X.astype(np.float32)
    source, _, convert = direction(kind, solver=solver, random_state=0)
    converted = convert(quietly(source.fit, X, y))
    for a, b in zip(source.coefs_ + source.intercepts_, converted.coefs_ + converted.intercepts_):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert_same_outputs(source, converted, X, rtol=1e-5)
    if solver == "adam":
        for model in (source, converted):
            quietly(model.set_params(shuffle=False).partial_fit, X, y)
        assert_same_network(converted, source, rtol=1e-4)
        assert converted.coefs_[0].dtype == np.float32


@DIRECTIONS
def test_sparse_labels_and_a_single_class(direction):
    import scipy.sparse as sp

    X, y = problem("multilabel")
    source, _, convert = direction("multilabel")
    converted = convert(quietly(source.fit, X, sp.csr_matrix(y)))
    assert sp.issparse(converted.predict(X))
    np.testing.assert_array_equal(converted.predict(X).toarray(), source.predict(X).toarray())
    source, _, convert = direction("binary")
    converted = convert(quietly(source.fit, X, np.full(len(X), 7)))
    np.testing.assert_array_equal(converted.predict(X), source.predict(X))


@DIRECTIONS
def test_feature_names_go_along(direction):
    pandas = pytest.importorskip("pandas", reason="needs pip install '.[test]'")
    X, y = problem("binary")
    frame = pandas.DataFrame(X, columns=[f"column {i}" for i in range(X.shape[1])])
    source, _, convert = direction("binary")
    converted = convert(quietly(source.fit, frame, y))
    np.testing.assert_array_equal(converted.feature_names_in_, source.feature_names_in_)
    assert converted.n_features_in_ == source.n_features_in_
    with pytest.raises(ValueError, match="feature names should match"):
        converted.predict(frame[frame.columns[::-1]])


@DIRECTIONS
def test_assigned_weights_of_another_width_are_those_that_predict(direction):
    X, y = problem("regression")
    source, _, convert = direction("regression", hidden_layer_sizes=(4,))
    quietly(source.fit, X, y)
    rng = np.random.RandomState(2)
    source.coefs_ = [rng.standard_normal((X.shape[1], 11)), rng.standard_normal((11, 1))]
    source.intercepts_ = [np.zeros(11), np.ones(1)]
    converted = convert(source)
    assert_same_outputs(source, converted, X, rtol=1e-12)
    # The moments are those of a network that is gone.
    quietly(converted.set_params(hidden_layer_sizes=(11,)).partial_fit, X, y)


# Further training


@DIRECTIONS
@pytest.mark.parametrize("settings", STOCHASTIC)
@pytest.mark.parametrize("kind", KINDS)
def test_partial_fit_goes_on_as_in_the_original(kind, settings, direction):
    X, y = problem(kind)
    source, _, convert = direction(kind, **settings, shuffle=False, random_state=0)
    converted = convert(quietly(source.fit, X, y))
    for _ in range(4):
        for model in (source, converted):
            quietly(model.partial_fit, X, y, sample_weight=weights())
    assert_same_network(converted, source, rtol=1e-9)
    assert source._optimizer.learning_rate == pytest.approx(converted._optimizer.learning_rate)


@DIRECTIONS
@pytest.mark.parametrize("kind", ["strings", "regression"])
def test_what_partial_fit_began_goes_on(kind, direction):
    X, y = problem(kind)
    source, _, convert = direction(kind, random_state=np.random.RandomState(3))
    first = {"classes": np.unique(y)} if kind == "strings" else {}
    source.partial_fit(X, y, **first)
    converted = convert(source)
    for model in (source, converted):
        model.partial_fit(X, y)
    assert_same_network(converted, source, rtol=1e-9)
    if kind == "strings":
        with pytest.raises(ValueError, match="classes"):
            converted.partial_fit(X[:2], ["ape", "yak"])


@DIRECTIONS
def test_a_generator_goes_on_and_is_not_shared(direction):
    X, y = problem("multiclass")
    source, _, convert = direction("multiclass", random_state=np.random.RandomState(4))
    converted = convert(quietly(source.fit, X, y))
    assert converted.random_state is not source.random_state
    for model in (source, converted):
        for _ in range(3):
            model.partial_fit(X, y)
    assert_same_network(converted, source, rtol=1e-9)


def test_a_seed_goes_on_as_after_a_fit_of_ours():
    X, y = problem("multiclass")
    ours, theirs = pair("multiclass", **NETWORK, random_state=4)
    for model in (ours, theirs):
        quietly(model.fit, X, y)
    taken = nnjit.MLPClassifier.from_sklearn(theirs)
    for model in (ours, taken):
        for _ in range(3):
            model.partial_fit(X, y)
    assert_same_network(taken, ours, rtol=1e-9)


def test_another_seed_than_that_of_the_fit_begins_anew():
    X, y = problem("binary")
    ours = quietly(nnjit.MLPClassifier(**NETWORK, random_state=4).fit, X, y)
    ours.set_params(random_state=5)
    back = nnjit.MLPClassifier.from_sklearn(ours.to_sklearn())
    for model in (ours, back):
        model.partial_fit(X, y)
    np.testing.assert_array_equal(ours.coefs_[0], back.coefs_[0])


@DIRECTIONS
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_warm_start_goes_on(kind, early_stopping, direction):
    X, y = problem(kind)
    source, _, convert = direction(
        kind,
        warm_start=True,
        early_stopping=early_stopping,
        validation_fraction=0.25,
        random_state=0,
        n_iter_no_change=30,
    )
    converted = convert(quietly(source.fit, X, y))
    scores = list(source.validation_scores_ or ())
    quietly(converted.fit, X, y)
    assert len(converted.loss_curve_) == 12
    np.testing.assert_allclose(converted.loss_curve_[:6], source.loss_curve_, rtol=1e-12)
    if early_stopping:
        assert len(converted.validation_scores_) == 12
        assert converted.validation_scores_[:6] == scores
        assert converted.best_loss_ is None
    else:  # there the order of the rows is the same, too
        quietly(source.fit, X, y)
        assert_same_network(converted, source, rtol=1e-9)


def test_early_stopping_returns_the_best_weights_of_a_warm_start_in_scikit_learn():
    X, y = problem("regression")
    ours = nnjit.MLPRegressor(
        **NETWORK, early_stopping=True, warm_start=True, random_state=0, n_iter_no_change=50
    )
    theirs = quietly(ours.fit, X, y).to_sklearn()
    best = [w.copy() for w in theirs.coefs_]
    theirs.best_validation_score_ = 1.0  # not to be beaten
    quietly(theirs.fit, X, y)
    for a, b in zip(theirs.coefs_, best):
        np.testing.assert_array_equal(a, b)


def test_a_plateau_counts_as_one_on_the_other_side():
    X, y = problem("regression")
    theirs = peer.MLPRegressor(
        hidden_layer_sizes=(4,), max_iter=50, tol=10.0, n_iter_no_change=2, warm_start=True,
        random_state=0,
    )  # fmt: skip
    ours = nnjit.MLPRegressor.from_sklearn(theirs.fit(X, y))
    assert theirs.n_iter_ == 4
    assert ours.fit(X, y).n_iter_ == 4  # with the full patience again, as after a fit of ours


@DIRECTIONS
def test_lbfgs_then_partial_fit(direction):
    """scikit-learn's own partial_fit fails after lbfgs; the converted goes on either way."""
    X, y = problem("regression")
    source, _, convert = direction("regression", solver="lbfgs", random_state=0, warm_start=True)
    quietly(source.fit, X, y)
    converted = convert(source)
    assert not hasattr(converted, "loss_curve_")
    quietly(converted.fit, X, y)
    quietly(source.fit, X, y)
    np.testing.assert_allclose(converted.loss_, source.loss_, rtol=1e-6)
    source.set_params(solver="adam")
    assert len(convert(source).partial_fit(X, y).loss_curve_) == 1


def test_partial_fit_after_early_stopping_goes_on_in_scikit_learn():
    X, y = problem("regression")
    ours = nnjit.MLPRegressor(**NETWORK, early_stopping=True, shuffle=False, random_state=0)
    quietly(ours.fit, X, y).set_params(early_stopping=False)
    theirs = ours.to_sklearn()
    for model in (ours, theirs):
        model.partial_fit(X, y)
    assert_same_outputs(ours, theirs, X, rtol=1e-9)
    assert ours.best_loss_ == pytest.approx(theirs.best_loss_, rel=1e-9)


@pytest.mark.parametrize("settings", STOCHASTIC)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_there_and_back_trains_on_to_the_bit(settings, dtype):
    X, y = problem("multiclass")
    X = X.astype(dtype)
    ours = quietly(nnjit.MLPClassifier(**NETWORK, **settings, random_state=1).fit, X, y)
    back = nnjit.MLPClassifier.from_sklearn(ours.to_sklearn())
    for model in (ours, back):
        quietly(model.partial_fit, X, y)
        quietly(model.partial_fit, X, y)
    for a, b in zip(ours.coefs_ + ours.intercepts_, back.coefs_ + back.intercepts_):
        np.testing.assert_array_equal(a, b)
    assert ours.loss_curve_ == back.loss_curve_


def test_bias_corrections_that_have_died_out():
    X, y = problem("binary")
    ours = nnjit.MLPClassifier(
        (3,), batch_size=4, max_iter=60, beta_1=0.5, beta_2=0.6, random_state=0, tol=0.0
    )
    ours = quietly(ours.fit, X, y)
    back = nnjit.MLPClassifier.from_sklearn(ours.to_sklearn())
    assert 0 < back._optimizer.arrays["powers"][0] < 2.0**-60
    for model in (ours, back):
        model.partial_fit(X, y)
    np.testing.assert_array_equal(ours.coefs_[0], back.coefs_[0])


# Apart from each other


@DIRECTIONS
@pytest.mark.parametrize("settings", [{}, {"solver": "sgd"}, {"early_stopping": True}])
def test_nothing_is_shared(direction, settings):
    X, y = problem("multiclass")
    source, _, convert = direction("multiclass", **settings, random_state=0)
    quietly(source.fit, X, y)
    before = pickle.dumps(source)
    converted = convert(source)
    assert pickle.dumps(source) == before
    for a in arrays_of(source):
        assert not any(np.shares_memory(a, b) for b in arrays_of(converted))
    assert converted.loss_curve_ is not source.loss_curve_
    if not source.early_stopping:
        converted.partial_fit(X, y)
    assert pickle.dumps(source) == before


def test_scikit_learns_loads_where_nnjit_is_not(tmp_path):
    X, y = problem("strings")
    with config_context(enable_metadata_routing=True):
        ours = nnjit.MLPClassifier(**NETWORK, early_stopping=True, random_state=0)
        ours.set_fit_request(sample_weight=True)
    theirs = quietly(ours.fit, X, y).to_sklearn()
    (tmp_path / "model.pkl").write_bytes(pickle.dumps((theirs, X)))
    code = (
        "import sys; sys.modules['nnjit'] = None\n"
        "import pickle\n"
        "model, X = pickle.load(open('model.pkl', 'rb'))\n"
        "print(*model.predict(X))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == list(ours.predict(X)), done.stderr


def test_read_only_memory_maps(tmp_path):
    import joblib

    X, y = problem("binary")
    ours = quietly(nnjit.MLPClassifier(**NETWORK, random_state=0).fit, X, y)
    joblib.dump(ours, tmp_path / "model.joblib")
    theirs = joblib.load(tmp_path / "model.joblib", mmap_mode="r").to_sklearn()
    theirs.partial_fit(X, y)
    assert np.isfinite(theirs.loss_)


# Parameters


@DIRECTIONS
@pytest.mark.parametrize("kind", ["binary", "poisson"])
def test_unfitted(kind, direction):
    parameters = {"activation": "tanh", "alpha": 0.3, "solver": "sgd", "n_iter_no_change": np.inf}
    source, target, convert = direction(kind, **parameters, random_state=np.random.RandomState(0))
    converted = convert(source)
    shared = {name: value for name, value in target.get_params().items() if name != "random_state"}
    assert {name: converted.get_params()[name] for name in shared} == shared
    assert not hasattr(converted, "coefs_")
    X, y = problem(kind)
    for model in (source, converted):
        quietly(model.set_params(n_iter_no_change=10).fit, X, y)
    assert_same_network(converted, source, rtol=1e-9)


def test_parameters_that_say_where_to_compute_are_left_out():
    ours = nnjit.MLPClassifier(device="auto", checkpoint="file", checkpoint_interval=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = ours.to_sklearn()
        back = nnjit.MLPClassifier.from_sklearn(theirs)
    assert "device" not in theirs.get_params()
    assert not hasattr(theirs, "checkpoint")
    assert (back.device, back.checkpoint, back.checkpoint_interval) == ("cpu", None, 30.0)


def test_values_that_the_other_side_does_not_know_are_refused():
    class Newer(peer.MLPRegressor):
        _parameter_constraints = {**peer.MLPRegressor._parameter_constraints, "loss": [str]}

    with pytest.raises(ValueError, match="nnjit's MLPRegressor cannot .*'loss'.*cauchy"):
        nnjit.MLPRegressor.from_sklearn(Newer(loss="cauchy"))
    with pytest.raises(ValueError, match="scikit-learn's MLPClassifier cannot .*'activation'.*gel"):
        nnjit.MLPClassifier(activation="gelu").to_sklearn()


class WithDropout(nnjit.MLPRegressor):
    def __init__(self, hidden_layer_sizes=(5,), dropout=0.0, max_iter=4, random_state=0):
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes, max_iter=max_iter, random_state=random_state
        )
        self.dropout = dropout


class SmallPeer(peer.MLPRegressor):
    def __init__(self, max_iter=4, keep=1.0):
        super().__init__(hidden_layer_sizes=(5,), max_iter=max_iter, random_state=0)
        self.keep = keep


def test_subclasses_of_ours():
    X, y = problem("regression")
    ours = quietly(WithDropout().fit, X, y)
    theirs = ours.to_sklearn()
    assert type(theirs) is peer.MLPRegressor
    assert (theirs.hidden_layer_sizes, theirs.max_iter) == ((5,), 4)
    assert_same_outputs(ours, theirs, X, rtol=1e-12)
    back = WithDropout.from_sklearn(theirs)
    assert type(back) is WithDropout
    assert_same_outputs(back, theirs, X, rtol=1e-12)
    quietly(back.partial_fit, X, y)
    assert clone(back).get_params() == ours.get_params()
    with pytest.warns(UserWarning, match="scikit-learn's MLPRegressor has no parameter dropout"):
        ours.set_params(dropout=0.5).to_sklearn()


def test_subclasses_of_scikit_learns():
    X, y = problem("regression")
    theirs = quietly(SmallPeer().fit, X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = nnjit.MLPRegressor.from_sklearn(theirs)
    assert ours.hidden_layer_sizes == (5,)
    assert_same_outputs(ours, theirs, X, rtol=1e-12)
    with pytest.warns(UserWarning, match="nnjit's MLPRegressor has no parameter keep") as caught:
        nnjit.MLPRegressor.from_sklearn(SmallPeer(keep=0.5))
    assert caught[0].filename == __file__


def test_other_estimators_are_refused():
    network = peer.MLPClassifier()
    for model in (make_pipeline(StandardScaler(), network), peer.MLPRegressor(), None):
        with pytest.raises(TypeError, match="takes a sklearn.neural_network.MLPClassifier"):
            nnjit.MLPClassifier.from_sklearn(model)
    with pytest.raises(TypeError, match="pipeline\\[-1\\]"):
        nnjit.MLPRegressor.from_sklearn(make_pipeline(StandardScaler(), peer.MLPRegressor()))


def test_weights_that_do_not_fit_together_are_refused():
    X, y = problem("regression")
    for convert, model in (
        (nnjit.MLPRegressor.from_sklearn, peer.MLPRegressor(**NETWORK)),
        (nnjit.MLPRegressor.to_sklearn, nnjit.MLPRegressor(**NETWORK)),
    ):
        quietly(model.fit, X, y)
        model.coefs_[1] = np.ones((3, 5))
        with pytest.raises(ValueError, match="do not fit together"):
            convert(model)


@DIRECTIONS
def test_metadata_requests_go_along(direction):
    with config_context(enable_metadata_routing=True):
        source, _, convert = direction("binary")
        source.set_fit_request(sample_weight=True).set_partial_fit_request(classes="labels")
        routes = convert(source).get_metadata_routing()
        assert routes.fit.requests["sample_weight"] is True
        assert routes.partial_fit.requests["classes"] == "labels"


def test_a_step_of_a_pipeline_is_replaced():
    X, y = problem("multiclass")
    model = make_pipeline(StandardScaler(), nnjit.MLPClassifier(**NETWORK, random_state=0))
    quietly(model.fit, X, y)
    theirs = make_pipeline(*model[:-1], model[-1].to_sklearn())
    assert_same_outputs(model, theirs, X, rtol=1e-12)
    ours = make_pipeline(*theirs[:-1], nnjit.MLPClassifier.from_sklearn(theirs[-1]))
    assert_same_outputs(ours, theirs, X, rtol=1e-12)
    assert ours[-1].n_iter_ == model[-1].n_iter_


def test_there_and_back_many_times_changes_nothing():
    X, y = inputs()[:30], np.arange(30) % 3
    model = quietly(nnjit.MLPClassifier((4,), max_iter=3, random_state=0).fit, X, y)
    expected = model.predict_proba(X)
    for _ in range(50):
        model = nnjit.MLPClassifier.from_sklearn(model.to_sklearn())
    np.testing.assert_array_equal(model.predict_proba(X), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_batch_normalization_becomes_a_part_of_the_weights(kind, activation):
    X, y = problem(kind)
    parameters = {**NETWORK, "activation": activation, "normalization": "batch", "random_state": 0}
    ours = quietly(pair(kind)[0].set_params(**parameters).fit, X, y)
    with pytest.warns(UserWarning, match="has no parameter normalization: left out"):
        theirs = ours.to_sklearn()
    check_is_fitted(theirs)
    assert_same_outputs(ours, theirs, X, rtol=1e-11)
    theirs.partial_fit(X, y)  # goes on without
    with pytest.warns(UserWarning, match="has no parameter normalization"):
        assert not np.shares_memory(ours.coefs_[0], ours.to_sklearn().coefs_[0])


@pytest.mark.parametrize(
    "parameters, named",
    [
        ({"normalization": "layer"}, "normalization='layer' cannot be taken over"),
        ({"residual": True, "hidden_layer_sizes": (5, 5)}, "residual=True cannot be taken over"),
    ],
)
def test_layers_that_scikit_learn_does_not_have_are_refused_by_name(parameters, named):
    X, y = problem("regression")
    ours = quietly(nnjit.MLPRegressor(**{**NETWORK, **parameters}, random_state=0).fit, X, y)
    with pytest.raises(ValueError, match=named):
        ours.to_sklearn()
