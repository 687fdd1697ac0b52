"""ConvClassifier and ConvRegressor: layers by keywords; see test_preset_networks.py as well."""

import pickle
import warnings

import numpy as np
import pytest
from preset_networks import CONVOLUTIONAL
from problems import (
    CLASSIFICATION,
    REGRESSION,
    assert_same_bits,
    problem,
    quietly,
)
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split

import nnjit
from nnjit import ConvClassifier
from nnjit.layers import (
    Augment,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Normalization,
    Pool,
    Residual,
)
from nnjit.layers.presets.convolutional import convolutional

model_of, fitted = CONVOLUTIONAL.model_of, CONVOLUTIONAL.fitted
every_stack = pytest.mark.parametrize("stack", CONVOLUTIONAL.stacks)


# The preset


def test_a_block_is_convolution_normalization_sum_pooling_and_dropout():
    layers = convolutional(
        (4, 9), (4, 8), (3, 5), (10,), normalization="batch", residual=True, dropout=0.1,
        activation="tanh", augment={"flip": True},
    )  # fmt: skip
    assert layers == (
        Augment(flip=True),
        *(Conv(4, 3, "identity"), Normalization("batch", "tanh"), Residual(2)),
        *(Pool("max", 2), Dropout(0.1)),
        *(Conv(8, 5, "identity"), Normalization("batch", "tanh"), Pool("max", 2), Dropout(0.1)),
        Flatten(),
        *(Dense(10, "identity"), Normalization("batch", "tanh"), Dropout(0.1)),
    )
    assert convolutional((1, 9), 3, 3, (), pool=None, global_pool="max") == (
        Conv(3, 3),
        GlobalPool("max"),
    )


def test_sequences_have_one_value_for_each_convolution_and_pairs_one_for_each_axis():
    layers = convolutional(
        (1, 12, 12), (2, 4), ((3, 5), 3), (7, 6), stride=(1, (2, 1)), groups=(1, 2),
        padding=("valid", "same"), pool=(None, "mean"), dilation=1, pool_size=((1, 1), (2, 3)),
        activation=("relu", "tanh", "elu", "gelu"), dropout=(0, 0.1, 0.2, 0),
    )  # fmt: skip
    assert layers == (
        Conv(2, (3, 5), padding="valid"),
        *(Conv(4, 3, "tanh", stride=(2, 1), groups=2), Pool("mean", (2, 3)), Dropout(0.1)),
        *(Flatten(), Dense(7, "elu"), Dropout(0.2), Dense(6, "gelu")),
    )
    same = convolutional((1, 12), np.array([2, 4]), np.array([3, 5]), [7])
    assert same == convolutional((1, 12), (2, 4), (3, 5), (7,))


def test_windows_are_no_larger_than_what_there_is():
    assert Pool("max", (1, 2)) in convolutional((1, 1, 8), 3, 1, ())
    assert not any(one.kind == "pooling" for one in convolutional((1, 1), 3, 3, ()))


# Fitting


@every_stack
@pytest.mark.parametrize("kind", [*CLASSIFICATION, *REGRESSION])
def test_every_target_is_learned(kind, stack):
    model, X, y = fitted(kind, stack, max_iter=80, learning_rate_init=0.01)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert model.predict(X).shape == y.shape
    if kind not in ("poisson", "multilabel") and stack == "plain":
        assert model.score(X, y) > 0.7


def test_attributes():
    model, X, _ = fitted("multiclass", "all", filters=(4, 4))
    assert [w.shape for w in model.coefs_] == [(3, 1, 4), (3, 4, 4), (8, 6), (6, 3)]
    assert [b.shape for b in model.intercepts_] == [(4,), (4,), (6,), (3,)]
    assert [entry["scale"].shape for entry in model.normalization_] == [(4,), (4,), (6,)]
    assert model.input_shape_ == (1, 8) and model.n_layers_ == 5 and model.n_features_in_ == 8
    assert model.layers_[-1] == Dense(3, "identity")
    assert model.activations(X, 0).shape == (len(X), 4, 4)  # behind the pooling
    assert model.activations(X, 1).shape == (len(X), 4, 2)
    assert model.activations(X).shape == (len(X), 6)
    assert nnjit.HiddenFeatures(model, layer=0, prefit=True).fit(X).transform(X).shape == (96, 16)


def test_initial_weights_are_scaled_by_what_a_filter_reads():
    X = np.zeros((10, 3 * 5 * 4))
    y = np.arange(10) % 2
    settings = {"max_iter": 1, "learning_rate_init": 1e-12, "random_state": 3}
    for activation, normalization, bound in (
        ("relu", None, np.sqrt(6 / (2 * 3 * 3))),  # He's
        ("elu", "batch", np.sqrt(6 / (2 * 3 * 3))),
        ("selu", None, np.sqrt(3 / (2 * 3 * 3))),  # LeCun's
        ("logistic", None, np.sqrt(1 / (2 * 3 * 3))),  # Glorot's, were there as many outputs
    ):
        model = ConvClassifier(
            8, ((2, 3),), input_shape=(3, 5, 4), activation=activation,
            normalization=normalization, **settings,
        )  # fmt: skip
        found = np.abs(quietly(model.fit, X, y).coefs_[0]).max()
        assert 0.9 * bound < found <= bound + 1e-9
        assert np.abs(model.intercepts_[0]).max() < 1e-9
        single = quietly(clone(model).fit, X.astype(np.float32), y)
        np.testing.assert_allclose(single.coefs_[0], model.coefs_[0], rtol=1e-6, atol=1e-8)


def test_quantiles_and_samples():
    X, y = problem("regression")
    model = model_of("regression", loss="quantile", quantile=[0.1, 0.9], dropout=0.3)
    low, high = quietly(model.fit, X, y).predict_interval(X, coverage=0.8).T
    assert (low <= high).all()
    assert model.predict_samples(X, 5, random_state=0).shape == (5, len(X), 2)
    with pytest.raises(ValueError, match="needs a network with dropout, but dropout=0.0"):
        fitted("regression")[0].predict_samples(X, 2)


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"dropout": 0.1}, "solver='lbfgs' cannot be used with dropout=0.1"),
        ({"augment": {"shift": 1}}, "solver='lbfgs' cannot be used with augment="),
        ({"normalization": "batch"}, "solver='lbfgs' .* normalization='batch'"),
    ],
)
def test_lbfgs_refuses_what_changes_from_step_to_step(parameters, words):
    X, y = problem("regression")
    with pytest.raises(ValueError, match=words):
        model_of("regression", solver="lbfgs", **parameters).fit(X, y)
    plain = quietly(model_of("regression", solver="lbfgs", max_iter=100).fit, X, y)
    assert plain.score(X, y) > 0.8


def test_a_gpu_is_refused_by_name():
    X, y = problem("regression")
    with pytest.raises(ValueError, match="Convolution layers have no code for a GPU"):
        model_of("regression", device="cuda").fit(X, y)
    assert_same_bits(fitted("regression", device="auto")[0], fitted("regression")[0])


def test_what_has_no_parameters_may_change_before_training_goes_on():
    model, X, y = fitted("multiclass", warm_start=True, dropout=0.5)
    quietly(model.set_params(dropout=0.0, augment={"noise": 0.1}).fit, X, y)
    assert model.layers_[0] == Augment(noise=0.1)
    model.set_params(filters=5)
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match="The fitted network is .* ask for"):
        model.fit(X, y)
    assert pickle.dumps(model) == before


# Fitted attributes


def test_what_is_assigned_is_used():
    model, X, _ = fitted("multiclass", "all")
    before = model.predict_proba(X)
    model.coefs_[0] = (2 * model.coefs_[0]).tolist()
    assert (model.predict_proba(X) != before).any()
    model.coefs_[0] = np.array(model.coefs_[0]) / 2
    np.testing.assert_array_equal(model.predict_proba(X), before)
    model.set_params(activation="tanh", pool=None)  # it was fitted as it was fitted
    np.testing.assert_array_equal(model.predict_proba(X), before)
    model.layers_ = tuple(
        Normalization("batch", "tanh") if one.kind == "normalization" else one
        for one in model.layers_
    )
    assert (model.predict_proba(X) != before).any()


# Images and series


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_digits_are_read():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        (X / 16).astype(np.float32), y, test_size=0.25, random_state=0
    )
    model = ConvClassifier(input_shape=(1, 8, 8), max_iter=25, random_state=0)
    assert model.fit(X_train, y_train).score(X_test, y_test) > 0.96
    images = X_test.reshape(-1, 1, 8, 8)
    np.testing.assert_array_equal(model.predict(images), model.predict(X_test))
    assert model.activations(images, 0).shape == (len(images), 16, 4, 4)


def ragged(seed=0, shortest=5):
    """Series of one of two shapes and of unequal length."""
    rng = np.random.RandomState(seed)
    y = np.arange(60) % 2
    series = []
    for label in y:
        points = rng.randint(shortest, 13)
        wave = np.sin((1 + label) * np.arange(points) + rng.uniform(0, 6))
        series.append(np.stack([wave, rng.standard_normal(points)]))
    return series, y


def test_series_of_other_lengths_go_through_global_pooling_only():
    series, y = ragged()
    model = ConvClassifier(
        (8, 8), pool=None, global_pool="mean", hidden_layer_sizes=(), random_state=0,
        max_iter=150, learning_rate_init=0.01,
    )  # fmt: skip
    assert quietly(model.fit, series, y).score(series, y) > 0.9
    longer = [np.concatenate([one, one], axis=1) for one in series]
    p = model.predict_proba(longer)
    alone = np.concatenate([model.predict_proba([one]) for one in longer])
    np.testing.assert_allclose(p, alone, rtol=1e-9)
    assert model.activations(longer, 0).shape[:2] == (len(longer), 8)
    flat = quietly(clone(model).set_params(global_pool=None, max_iter=2).fit, series, y)
    assert flat.predict(series).shape == y.shape
    with pytest.raises(ValueError, match="layers that read every point of a series"):
        flat.predict(longer)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_grid_search_over_layers():
    X, y = problem("multiclass")
    grid = {"filters": [2, (2, 4)], "kernel_size": [2, 3], "global_pool": [None, "max"]}
    search = GridSearchCV(model_of("multiclass", max_iter=3), grid, cv=2, error_score="raise")
    assert search.fit(X, y).best_params_.keys() == grid.keys()


def test_defaults_end_by_themselves_on_a_small_set():
    series, y = ragged(shortest=12)
    X = np.stack(series)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = ConvClassifier(random_state=0).fit(X, y)
    assert model.score(X, y) == 1.0 and model.n_iter_ < 300
    rates = np.unique(model.learning_rate_curve_)
    assert rates[-1] == 0.001 and rates[0] < 1e-5
