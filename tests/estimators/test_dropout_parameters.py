"""Dropout as parameters of the perceptrons, and samples of their predictions."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.exceptions import NotFittedError

from nnjit import MLPClassifier, MLPRegressor
from nnjit.estimators import _trainable_network as training
from nnjit.inspection import NetworkDisplay, check_gradient
from nnjit.training import checkpoint as checkpoints

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, LABELS = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
VALUES = X @ [1.0, -2.0, 0.5, 0.0]
SETTINGS = {"random_state": 0, "max_iter": 4, "batch_size": 32, "tol": 0.0}


def classifier(**parameters):
    settings = {"hidden_layer_sizes": (8, 6), "dropout": (0.3, 0.1), **SETTINGS, **parameters}
    return MLPClassifier(**settings)


def regressor(**parameters):
    return MLPRegressor(**{"hidden_layer_sizes": (8,), "dropout": 0.3, **SETTINGS, **parameters})


def arrays(model):
    return [*model.coefs_, *model.intercepts_]


def assert_same(one, other):
    for a, b in zip(arrays(one), arrays(other), strict=True):
        np.testing.assert_array_equal(a, b)


def differs(one, other):
    return any((a != b).any() for a, b in zip(arrays(one), arrays(other), strict=True))


def test_attributes_are_those_of_the_dense_layers():
    plain = classifier(dropout=0.0).fit(X, LABELS)
    for model in (classifier(), classifier(input_dropout=0.2), classifier(dropout=0.5)):
        model.fit(X, LABELS)
        assert model.n_layers_ == plain.n_layers_ == 4
        assert [a.shape for a in arrays(model)] == [a.shape for a in arrays(plain)]
        assert differs(model, plain)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rates_come_in_any_sequence_and_one_for_all(dtype):
    wanted = classifier(dropout=(0.25, 0.25)).fit(X.astype(dtype), LABELS)
    assert wanted.coefs_[0].dtype == dtype
    for rates in ([0.25, 0.25], np.array([0.25, 0.25]), 0.25, np.float64(0.25)):
        assert_same(clone(wanted).set_params(dropout=rates).fit(X.astype(dtype), LABELS), wanted)
    only = classifier(hidden_layer_sizes=(8,), dropout=[0.25]).fit(X, LABELS)
    assert_same(classifier(hidden_layer_sizes=(8,), dropout=0.25).fit(X, LABELS), only)


def test_predictions_leave_nothing_out():
    model = classifier(input_dropout=0.2).fit(X, LABELS)
    p, labels = model.predict_proba(X), model.predict(X)
    model.set_params(dropout=0.0, input_dropout=0.0)
    np.testing.assert_array_equal(model.predict_proba(X), p)
    np.testing.assert_array_equal(model.predict(X), labels)


def test_it_learns():
    model = classifier(hidden_layer_sizes=(32, 16), max_iter=200, input_dropout=0.1).fit(X, LABELS)
    assert model.score(X, LABELS) > 0.9
    assert regressor(max_iter=400, dropout=0.1).fit(X, VALUES).score(X, VALUES) > 0.8


def test_the_seed_is_drawn_after_the_split_and_before_the_first_shuffle(monkeypatch):
    states = {}

    def seed(rng):
        states["seed"] = rng.get_state()[1].tolist(), rng.get_state()[2]
        return 7

    def epochs(engine, dataset, state, plan, *others):
        states["epochs"] = state.rng.get_state()[1].tolist(), state.rng.get_state()[2]
        raise RuntimeError("far enough")

    monkeypatch.setattr(training, "draw_seed", seed)
    classifier(early_stopping=True).fit(X, LABELS)
    monkeypatch.setattr(training, "run_epochs", epochs)
    with pytest.raises(RuntimeError, match="far enough"):
        classifier(early_stopping=True, dropout=0.0).fit(X, LABELS)
    assert states["seed"] == states["epochs"]


def test_other_random_states_drop_other_values():
    one, two = (classifier(random_state=k, shuffle=False).fit(X, LABELS) for k in (0, 1))
    assert one._optimizer.seed != two._optimizer.seed and min(one._optimizer.seed, 1) == 1
    assert classifier(dropout=0.0).fit(X, LABELS)._optimizer.seed == 0


def test_partial_fit_goes_on_with_seed_and_steps():
    whole = classifier(shuffle=False).fit(X, LABELS)
    model = classifier(shuffle=False)
    for _ in range(4):
        model.partial_fit(X, LABELS, classes=[0, 1, 2])
        model = pickle.loads(pickle.dumps(model))
    assert_same(model, whole)
    assert model._optimizer.seed == whole._optimizer.seed


def test_a_further_fit_draws_a_seed_anew():
    model = classifier(warm_start=True, random_state=np.random.RandomState(0)).fit(X, LABELS)
    first = model._optimizer.seed
    assert model.fit(X, LABELS)._optimizer.seed != first
    plain = classifier(dropout=0.0).partial_fit(X, LABELS, classes=[0, 1, 2])
    plain.set_params(dropout=0.5).partial_fit(X, LABELS)
    assert plain._optimizer.seed > 0


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_run_that_was_cut_off_goes_on_to_the_bit(tmp_path, solver, early_stopping):
    options = {"solver": solver, "early_stopping": early_stopping, "input_dropout": 0.1}
    whole = classifier(max_iter=6, **options).fit(X, LABELS)
    path = tmp_path / "run"
    for epochs in (2, 3, 6):
        model = classifier(max_iter=epochs, checkpoint=path, checkpoint_interval=1, **options)
        model.fit(X, LABELS)
    assert_same(model, whole)
    assert model.loss_curve_ == whole.loss_curve_


def test_a_checkpoint_without_its_seed_is_damaged(tmp_path, monkeypatch):
    path = str(tmp_path / "run")
    kept = {}
    write = checkpoints.write

    def without(path, meta, arrays):
        kept.update(meta)
        write(path, {name: value for name, value in meta.items() if name != "seed"}, arrays)

    monkeypatch.setattr(checkpoints, "write", without)
    model = classifier(checkpoint=path).fit(X, LABELS)
    assert kept["seed"] == model._optimizer.seed
    with pytest.raises(ValueError, match="seed is missing"):
        classifier(checkpoint=path, max_iter=9).fit(X, LABELS)
    kept.clear()
    classifier(checkpoint=str(tmp_path / "plain"), dropout=0.0).fit(X, LABELS)
    assert kept and "seed" not in kept


def test_epochs_in_one_call_and_one_by_one_draw_the_same():
    together = classifier(max_iter=9).fit(X, LABELS)
    apart = classifier(max_iter=9, verbose=2).fit(X, LABELS)
    assert_same(apart, together)


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"dropout": 1.0}, r"'dropout' parameter .* must be a float in the range \[0.0, 1.0\)"),
        ({"dropout": -0.1}, "'dropout' parameter"),
        ({"dropout": (0.1, 1.0)}, "'dropout' parameter .* sequence of floats"),
        ({"dropout": "half"}, "'dropout' parameter"),
        ({"dropout": None}, "'dropout' parameter"),
        ({"dropout": [[0.1, 0.2]]}, "'dropout' parameter"),
        ({"dropout": (0.1, 0.1, 0.1)}, "dropout has 3 values, but there are 2 hidden layers"),
        ({"input_dropout": 1}, "'input_dropout' parameter"),
        ({"input_dropout": (0.1,)}, "'input_dropout' parameter"),
        ({"solver": "lbfgs"}, "solver='lbfgs' cannot be used with dropout="),
        (
            {"solver": "lbfgs", "input_dropout": 0.1},
            "solver='lbfgs' cannot be used with input_dropout=0.1",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(parameters, message):
    model = classifier().fit(X, LABELS)
    before, p = pickle.dumps(model.__dict__["coefs_"]), model.predict_proba(X)
    given = model.get_params()
    with pytest.raises(ValueError, match=message):
        model.set_params(**parameters).fit(X, LABELS)
    model.set_params(**given)
    assert pickle.dumps(model.coefs_) == before
    np.testing.assert_array_equal(model.predict_proba(X), p)


def test_sparse_rows_go_with_dropout_behind_the_hidden_layers_alone():
    dense = regressor(max_iter=3).fit(X, VALUES)
    model = regressor(max_iter=3).fit(sparse.csr_array(X), VALUES)
    np.testing.assert_allclose(model.predict(X), dense.predict(X), rtol=1e-9)
    samples = model.predict_samples(sparse.csc_array(X), 3, random_state=1)
    np.testing.assert_allclose(samples, model.predict_samples(X, 3, random_state=1), rtol=1e-9)
    both = regressor(max_iter=3, input_dropout=0.2)
    with pytest.raises(ValueError, match="input_dropout=0.2 needs dense X in training"):
        both.fit(sparse.csr_array(X), VALUES)
    assert not hasattr(both, "coefs_")
    both.fit(X, VALUES)
    np.testing.assert_allclose(both.predict(sparse.csr_array(X)), both.predict(X), rtol=1e-9)
    with pytest.raises(ValueError, match="needs dense X with input_dropout=0.2"):
        both.predict_samples(sparse.csr_array(X), 3)


# Samples of predictions


def test_samples_of_a_classifier_are_probabilities():
    samples = classifier().fit(X, LABELS).predict_samples(X, 5)
    assert samples.shape == (5, 150, 3)
    np.testing.assert_allclose(samples.sum(axis=2), 1)
    two = classifier().fit(X[:100], LABELS[:100]).predict_samples(X, 5)
    assert two.shape == (5, 150, 2)
    np.testing.assert_allclose(two.sum(axis=2), 1)
    rows, many = make_multilabel_classification(60, n_classes=4, random_state=0)
    assert classifier().fit(rows, many).predict_samples(rows, 2).shape == (2, 60, 4)


def test_samples_of_a_regressor_have_the_shape_of_its_predictions():
    assert regressor().fit(X, VALUES).predict_samples(X[:7], 5).shape == (5, 7)
    two = regressor().fit(X, np.column_stack([VALUES, -VALUES]))
    assert two.predict_samples(X[:7], 5).shape == (5, 7, 2)


def test_samples_of_several_quantiles_do_not_cross():
    model = regressor(loss="quantile", quantile=[0.9, 0.1], dropout=0.5).fit(X, VALUES)
    samples = model.predict_samples(X, 20)
    assert samples.shape == (20, 150, 2)
    assert (samples[:, :, 0] >= samples[:, :, 1]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_follow_from_the_random_state_and_the_row(dtype):
    rows = X.astype(dtype)
    model = regressor().fit(rows, VALUES)
    samples = model.predict_samples(rows, 6)
    assert samples.dtype == dtype
    np.testing.assert_array_equal(model.predict_samples(rows, 6), samples)
    np.testing.assert_array_equal(model.predict_samples(rows[:50], 3), samples[:3, :50])
    np.testing.assert_array_equal(model.predict_samples(rows, 6, random_state=0), samples)
    assert (model.predict_samples(rows, 6, random_state=1) != samples).any()
    generator = np.random.RandomState(3)
    first = model.predict_samples(rows, 6, random_state=generator)
    assert (model.predict_samples(rows, 6, random_state=generator) != first).any()
    assert len(np.unique(samples[:, 0])) > 1


def test_the_mean_of_samples_of_a_linear_network_is_its_prediction():
    model = regressor(activation="identity", input_dropout=0.1, max_iter=50).fit(X, VALUES)
    samples = model.predict_samples(X[:20], 4000)
    error = samples.std(axis=0) / np.sqrt(len(samples))
    assert (np.abs(samples.mean(axis=0) - model.predict(X[:20])) < 4.5 * error).all()


def test_samples_are_drawn_with_the_present_rates():
    model = regressor().fit(X, VALUES)
    before = model.predict_samples(X, 50)
    model.set_params(dropout=0.01)
    assert model.predict_samples(X, 50).std(axis=0).mean() < before.std(axis=0).mean()


@pytest.mark.parametrize("n", [0, -1, 1.5, True, None, "3"])
def test_a_number_of_samples_is_an_int_above_zero(n):
    with pytest.raises(ValueError, match="n must be an int of at least 1, got"):
        regressor().fit(X, VALUES).predict_samples(X, n)


def test_samples_need_dropout_a_fit_and_rows():
    model = regressor(dropout=0.0)
    with pytest.raises(NotFittedError):
        model.predict_samples(X, 3)
    model.fit(X, VALUES)
    with pytest.raises(ValueError, match="needs a network with dropout, but dropout=0.0 and"):
        model.predict_samples(X, 3)
    with pytest.raises(ValueError, match="X has 2 features"):
        model.predict_samples(X[:, :2], 3)
    model.set_params(dropout=0.5)
    with pytest.raises(ValueError, match="NaN"):
        model.predict_samples(np.full((1, 4), np.nan), 3)
    with pytest.raises(ValueError, match="cannot be used to seed"):
        model.predict_samples(X, 3, random_state="a")


def test_samples_that_overflow_are_refused():
    model = regressor(hidden_layer_sizes=(2,), dropout=0.999).fit(X, VALUES)
    model.coefs_ = [np.full((4, 2), 1e150), np.full((2, 1), 1e157)]
    with pytest.raises(ValueError, match="A sample of the predictions overflows"):
        model.predict_samples(np.ones((1, 4)), 10_000)


# What else there is


def test_scikit_learns_form_predicts_the_same():
    model = classifier(input_dropout=0.1).fit(X, LABELS)
    with pytest.warns(UserWarning, match="has no parameter dropout, input_dropout: left out"):
        theirs = model.to_sklearn()
    np.testing.assert_allclose(theirs.predict_proba(X), model.predict_proba(X), rtol=1e-12)
    back = MLPClassifier.from_sklearn(theirs).set_params(dropout=0.5).partial_fit(X, LABELS)
    assert back._optimizer.seed > 0 and back.predict_samples(X, 2).shape == (2, 150, 3)


def test_the_gradient_check_and_displays_know_it():
    model = classifier(activation="tanh", input_dropout=0.2).fit(X, LABELS)
    assert check_gradient(model, X, LABELS).error < 1e-6
    ax = NetworkDisplay.from_estimator(model).ax_
    drawn = [text.get_text() for text in ax.texts]
    plain = classifier(activation="tanh", dropout=0.0).fit(X, LABELS)
    assert drawn == [text.get_text() for text in NetworkDisplay.from_estimator(plain).ax_.texts]


@pytest.mark.parametrize("layer", [1, 2])
def test_dead_units_are_told_of_with_dropout_too(layer):
    model = classifier(warm_start=True, max_iter=8, learning_rate_init=1e-4).fit(X, LABELS)
    model.intercepts_[layer - 1] = np.full_like(model.intercepts_[layer - 1], -1e3)
    with pytest.warns(UserWarning, match=f"All units of hidden layer {layer} are 0"):
        model.fit(X, LABELS)
