"""RecurrentClassifier, RecurrentRegressor: layers by keywords; see test_preset_networks.py too."""

import pickle
import warnings

import numpy as np
import pytest
from cases import saved
from preset_networks import RECURRENT, SETTINGS
from problems import (
    CLASSIFICATION,
    REGRESSION,
    assert_same_bits,
    problem,
    quietly,
)
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline

import nnjit
from nnjit import (
    NetworkClassifier,
    NetworkRegressor,
    RecurrentClassifier,
    SeriesScaler,
)
from nnjit.estimators._start import starting_values
from nnjit.layers import (
    GRU,
    LSTM,
    RNN,
    Augment,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Pool,
)
from nnjit.layers.network import Network
from nnjit.layers.presets.recurrent import CELLS, recurrent
from nnjit.training.initialization import orthogonal

model_of, fitted = RECURRENT.model_of, RECURRENT.fitted
every_stack = pytest.mark.parametrize("stack", RECURRENT.stacks)
every_cell = pytest.mark.parametrize("cell", CELLS)


def ragged(seed=0, n=60, shortest=5, longest=13):
    """Series of two channels, of unequal length, one of which has a slow or a fast wave."""
    rng = np.random.RandomState(seed)
    y = np.arange(n) % 2
    series = []
    for label in y:
        points = rng.randint(shortest, longest)
        wave = np.sin((1 + label) * np.arange(points) + rng.uniform(0, 6))
        series.append(np.stack([wave, rng.standard_normal(points)]))
    return series, y


# The preset


def test_a_stack_is_recurrent_layers_pooling_and_dense_layers():
    layers = recurrent(
        (3, 9), (4, 8), "lstm", (10,), bidirectional=True, pool="mean", activation="tanh",
        dropout=(0, 0.1, 0.2), recurrent_dropout=0.3, augment={"noise": 0.1},
    )  # fmt: skip
    more = {"bidirectional": True, "return_sequences": True, "recurrent_dropout": 0.3}
    assert layers == (
        Augment(noise=0.1),
        *(LSTM(4, **more), LSTM(8, **more), Dropout(0.1)),
        *(GlobalPool("mean"), Dense(10, "tanh"), Dropout(0.2)),
    )
    assert recurrent((1, 9), 3, "gru", ()) == (GRU(3),)
    assert recurrent((1, 9), np.array([3, 2]), "relu", (), truncate=4) == (
        RNN(3, return_sequences=True, truncate=4, activation="relu"),
        RNN(2, truncate=4, activation="relu"),
    )


def test_where_each_point_has_a_target_dense_layers_are_convolutions_of_one_point():
    layers = recurrent((3, 9), (4,), "tanh", (5, 6), activation=("relu", "elu"), each_point=True)
    assert layers == (RNN(4, return_sequences=True), Conv(5, 1, "relu"), Conv(6, 1, "elu"))


def test_images_are_refused():
    X = np.zeros((6, 2, 4, 5))
    with pytest.raises(ValueError, match=r"A gru layer takes series .*, but it gets images"):
        RecurrentClassifier().fit(X, [0, 1] * 3)


# Initial values


@pytest.mark.parametrize("size", [1, 2, 7, 33])
def test_an_orthogonal_matrix_is_one(size):
    found = orthogonal(np.random.RandomState(1), size)
    np.testing.assert_allclose(found @ found.T, np.eye(size), atol=1e-12)
    signs = [np.sign(orthogonal(np.random.RandomState(k), size)[0, 0]) for k in range(30)]
    assert {*signs} == {-1.0, 1.0}


def starts(layer, dtype=np.float64, seed=3):
    network = Network(20, (layer, Dense(2, "identity")), "log_loss", "softmax", shape=(2, 10))
    rng = np.random.RandomState(seed)
    arrays = starting_values(network, np.zeros((3, 20), dtype), None, rng, np.dtype(dtype))
    names = [one.name for number, one in network.parameters() if number == 0]
    return dict(zip(names, arrays)), rng.get_state(legacy=False)["state"]["pos"]


@pytest.mark.parametrize("layer", [RNN(5), GRU(5), LSTM(5), GRU(5, True), LSTM(5, True)], ids=str)
def test_recurrent_layers_start_from_orthogonal_matrices_and_lecuns_bound(layer):
    found, used = starts(layer)
    prefixes = ("", "reverse_")[: layer.directions]
    for prefix in prefixes:
        inputs = found[f"{prefix}weights"]
        bound = np.sqrt(3 / 2)
        assert 0.7 * bound < np.abs(inputs).max() <= bound
        for gate in np.split(found[f"{prefix}recurrent_weights"], layer.gates, axis=1):
            np.testing.assert_allclose(gate.T @ gate, np.eye(5), atol=1e-12)
        biases = np.zeros((layer.gates, 5))
        if layer.kind == "lstm":
            biases[1] = 1  # of the forget gate
        np.testing.assert_array_equal(found[f"{prefix}biases"], biases.ravel())
        assert not np.any(found.get(f"{prefix}recurrent_biases", 0))
    assert len({found[f"{prefix}weights"][0, 0] for prefix in prefixes}) == len(prefixes)
    single, same = starts(layer, np.float32)
    assert same == used
    for name, array in found.items():
        assert single[name].dtype == np.float32
        np.testing.assert_array_equal(single[name], array.astype(np.float32))


# Fitting


@every_stack
@pytest.mark.parametrize("kind", [*CLASSIFICATION, *REGRESSION])
def test_every_target_is_learned(kind, stack):
    more = {"units": 12} if stack == "plain" else {}
    model, X, y = fitted(kind, stack, max_iter=60, alpha=1e-4, **more)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert model.predict(X).shape == y.shape
    if kind not in ("poisson", "multilabel", "multioutput") and stack == "plain":
        assert model.score(X, y) > 0.7


def test_attributes():
    model, X, _ = fitted("multiclass", "all")
    assert [w.shape for w in model.coefs_] == [(1, 15), (10, 12), (8, 6), (6, 3)]
    assert [b.shape for b in model.intercepts_] == [(15,), (12,), (6,), (3,)]
    shapes = {name: array.shape for name, array in model.layer_parameters_[0].items()}
    one = {"recurrent_weights": (5, 15), "recurrent_biases": (5,)}
    both = {"weights": (1, 15), "biases": (15,), **one}
    assert shapes == {**one, **{f"reverse_{name}": shape for name, shape in both.items()}}
    assert len(model.layer_parameters_) == 2 and not hasattr(model, "normalization_")
    assert model.input_shape_ == (1, 8) and model.n_layers_ == 5 and model.n_features_in_ == 8
    assert model.layers_[-1] == Dense(3, "identity")
    assert model.activations(X, 0).shape == (len(X), 10, 8)
    assert model.activations(X, 1).shape == (len(X), 8)  # behind the pooling
    assert model.activations(X).shape == (len(X), 6)
    assert nnjit.HiddenFeatures(model, layer=0, prefit=True).fit(X).transform(X).shape == (96, 80)
    plain, _, _ = fitted("multiclass", "lstm")
    assert plain.layer_parameters_[0].keys() == {"recurrent_weights"}


@every_cell
def test_outputs_are_those_of_the_formulas(cell):
    X, y = problem("regression")
    model = quietly(model_of("regression", cell=cell).fit, X, y)
    W, b = model.coefs_[0], model.intercepts_[0]
    own = model.layer_parameters_[0]
    U = own["recurrent_weights"]
    h, c = np.zeros((2, len(X), 6))

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    for x in X.T:
        a, s = np.outer(x, W) + b, h @ U
        if cell == "gru":
            r, z = sigmoid(a + s)[:, :6], sigmoid(a + s)[:, 6:12]
            n = np.tanh(a[:, 12:] + r * (s[:, 12:] + own["recurrent_biases"]))
            h = (1 - z) * n + z * h
        elif cell == "lstm":
            i, f, o = (sigmoid((a + s)[:, k * 6 : (k + 1) * 6]) for k in (0, 1, 3))
            c = f * c + i * np.tanh((a + s)[:, 12:18])
            h = o * np.tanh(c)
        else:
            h = np.tanh(a + s) if cell == "tanh" else np.maximum(a + s, 0)
    expected = (h @ model.coefs_[1] + model.intercepts_[1])[:, 0]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("more", [{"dropout": 0.3}, {"recurrent_dropout": 0.3}], ids=str)
def test_quantiles_and_samples(more):
    X, y = problem("regression")
    model = model_of("regression", loss="quantile", quantile=[0.1, 0.9], **more)
    low, high = quietly(model.fit, X, y).predict_interval(X, coverage=0.8).T
    assert (low <= high).all()
    samples = model.predict_samples(X, 5, random_state=0)
    assert samples.shape == (5, len(X), 2) and (samples[0] != samples[1]).any()
    with pytest.raises(ValueError, match="but dropout=0.0 and recurrent_dropout=0.0"):
        fitted("regression")[0].predict_samples(X, 2)


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"dropout": 0.1}, "solver='lbfgs' cannot be used with dropout=0.1"),
        ({"recurrent_dropout": 0.1}, "solver='lbfgs' cannot be used with recurrent_dropout=0.1"),
        ({"augment": {"shift": 1}}, "solver='lbfgs' cannot be used with augment="),
        ({"truncate": 3}, "solver='lbfgs' cannot be used with truncate"),
        ({"clip_norm": 2.0}, "clip_norm needs a stochastic solver, got clip_norm=2.0"),
    ],
)
def test_lbfgs_refuses_what_is_no_gradient_of_one_function(parameters, words):
    X, y = problem("regression")
    with pytest.raises(ValueError, match=words):
        model_of("regression", solver="lbfgs", **parameters).fit(X, y)
    plain = quietly(model_of("regression", solver="lbfgs", max_iter=150).fit, X, y)
    assert plain.score(X, y) > 0.8


@every_cell
def test_a_gpu_is_refused_by_name(cell):
    X, y = problem("regression")
    with pytest.raises(ValueError, match="Recurrent layers have no code for a GPU"):
        model_of("regression", cell=cell, device="cuda").fit(X, y)
    stack = NetworkRegressor([LSTM(3)], device="cuda:1")
    with pytest.raises(ValueError, match=r"layers\[0\], LSTM\(units=3, .* no code for a GPU"):
        stack.fit(X, y)
    assert_same_bits(
        fitted("regression", cell=cell, device="auto")[0], fitted("regression", cell=cell)[0]
    )


def test_what_has_no_parameters_may_change_before_training_goes_on():
    model, X, y = fitted("multiclass", warm_start=True, dropout=0.5)
    quietly(model.set_params(dropout=0.0, recurrent_dropout=0.2, truncate=2).fit, X, y)
    assert model.layers_[0] == GRU(6, recurrent_dropout=0.2, truncate=2)
    model.set_params(cell="lstm")
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match="The fitted network is .* ask for"):
        model.fit(X, y)
    assert pickle.dumps(model) == before


# Fitted attributes


def test_what_is_assigned_is_used():
    model, X, _ = fitted("multiclass", "all")
    before = model.predict_proba(X)
    own = model.layer_parameters_[1]
    own["reverse_recurrent_weights"] = (2 * own["reverse_recurrent_weights"]).tolist()
    assert (model.predict_proba(X) != before).any()
    own["reverse_recurrent_weights"] = np.array(own["reverse_recurrent_weights"]) / 2
    np.testing.assert_array_equal(model.predict_proba(X), before)
    model.set_params(cell="tanh", pool="last")  # it was fitted as it was fitted
    np.testing.assert_array_equal(model.predict_proba(X), before)


# A target at every point


@pytest.mark.parametrize("stack", ["plain", "tanh", "all"])
def test_points_of_series_have_targets_of_their_own(stack):
    series, _ = ragged()
    values = [np.cumsum(one[0]) > 0 for one in series]
    more = {"pool": "last", "targets": "sequence", "max_iter": 40, "dropout": 0.0}
    model = quietly(model_of("binary", stack, **more).fit, series, values)
    assert model.layers_[-1] == Conv(1, 1, "identity") and model.coefs_[-1].shape[0] == 1
    assert not any(isinstance(one, Dense | GlobalPool) for one in model.layers_)
    found = model.predict(series)
    assert [one.shape for one in found] == [one.shape for one in values]
    share = np.mean(np.concatenate(found) == np.concatenate(values))
    assert share > 0.85 and np.isclose(share, model.score(series, values))
    longer = [np.concatenate([one, one], axis=1) for one in series]
    if stack != "all":  # what comes later does not count
        for one, p in zip(model.predict_proba(longer), model.predict_proba(series)):
            np.testing.assert_array_equal(one[: len(p)], p)
    regressor = quietly(
        model_of("regression", stack, **more).fit, series, [np.cumsum(one[0]) for one in series]
    )
    assert regressor.predict(longer)[3].shape == (longer[3].shape[1],)


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"pool": "mean"}, "pool='mean' makes one value of all points of a series"),
        ({"augment": {"flip": True}}, "augment=.* moves the points of series"),
        ({"augment": {"noise": 0.1, "shift": 1}}, "augment=.* moves the points of series"),
    ],
    ids=str,
)
def test_what_mixes_points_goes_with_no_target_at_each(parameters, words):
    series, _ = ragged()
    model = model_of("binary", targets="sequence", **parameters)
    with pytest.raises(ValueError, match=words):
        model.fit(series, [one[0] > 0 for one in series])


# Series


@pytest.mark.parametrize("stack", ["plain", "lstm", "all"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_series_result_depends_neither_on_others_nor_on_what_follows_it(stack, dtype):
    series, y = ragged()
    series = [one.astype(dtype) for one in series]
    model = quietly(model_of("multiclass", stack).fit, series, y)
    longer = [*series, *(np.concatenate([one, one], axis=1) for one in series[:7])]
    expected = model.predict_proba(longer)
    alone = [model.predict_proba([one]) for one in longer]
    np.testing.assert_array_equal(np.concatenate(alone), expected)
    filled = np.full((len(longer), 2, 40), np.nan, dtype)
    for row, one in zip(filled, longer):
        row[:, : one.shape[1]] = one
    np.testing.assert_array_equal(model.predict_proba(filled), expected)
    np.testing.assert_array_equal(model.predict_proba(filled[::-1]), expected[::-1])
    assert model.activations(longer, 0).shape[0] == len(longer)


def test_rows_arrays_and_lists_are_fitted_alike():
    series, y = ragged()
    X = np.full((len(series), 2, 12), np.nan)
    for row, one in zip(X, series):
        row[:, : one.shape[1]] = one
    model = quietly(model_of("binary").fit, series, y)
    for form, shape, last in (
        (X, None, False),
        (X.reshape(len(X), -1), (2, 12), False),
        ([one.T for one in series], None, True),
        (X.transpose(0, 2, 1).reshape(len(X), -1), (12, 2), True),
    ):
        other = model_of("binary", input_shape=shape, channels_last=last)
        assert_same_bits(quietly(other.fit, form, y), model)
    assert_same_bits(quietly(model_of("binary", input_shape=(2, 12)).fit, series, y), model)


def test_two_equal_numbers_are_channels_and_time():
    X = np.random.default_rng(0).standard_normal((20, 16))
    y = np.arange(20) % 2
    for model in (RecurrentClassifier(3, **SETTINGS), NetworkClassifier([Conv(2), GRU(3)])):
        model.set_params(input_shape=(4, 4), max_iter=1)
        assert quietly(model.fit, X, y).input_shape_ == (4, 4)


BAD_SERIES = {
    "NaN inside": (lambda s: s[3].__setitem__((1, 2), np.nan), "case 3; channel 1 has it at point"),
    "infinity": (lambda s: s[3].__setitem__((1, 2), np.inf), "case 3"),
    "no point": (lambda s: s.__setitem__(4, np.zeros((2, 0))), "Case 4 of X has no point"),
    "channels": (lambda s: s.__setitem__(5, np.zeros((3, 6))), "Case 5 of X has 3 channels"),
    "unequal channels": (lambda s: s.__setitem__(2, [[1.0, 2.0], [1.0]]), "Case 2 of X is no arr"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_SERIES)
def test_bad_series_are_named(name):
    change, words = BAD_SERIES[name]
    series, y = ragged()
    model = quietly(model_of("binary", warm_start=True).fit, series, y)
    before = pickle.dumps(model)
    change(series)
    for call in (lambda: model.fit(series, y), lambda: model.predict(series)):
        with pytest.raises(ValueError, match=words):
            call()
        assert pickle.dumps(model) == before


def test_stacks_of_layers_take_recurrent_ones_also_behind_convolutions():
    series, y = ragged()
    layers = [Conv(6, 3), Pool("max", 2), GRU(5, return_sequences=True), LSTM(4), Dense(6)]
    model = NetworkClassifier(layers, max_iter=60, learning_rate_init=0.02, random_state=0)
    quietly(model.fit, series, y)
    assert model.score(series, y) > 0.8
    assert [w.shape for w in model.coefs_] == [(3, 2, 6), (6, 15), (5, 16), (4, 6), (6, 1)]
    longer = [np.concatenate([one, one], axis=1) for one in series]
    alone = np.concatenate([model.predict_proba([one]) for one in longer])
    np.testing.assert_array_equal(model.predict_proba(longer), alone)
    flat = NetworkClassifier([GRU(3, return_sequences=True), Flatten()], max_iter=2)
    quietly(flat.fit, series, y)
    with pytest.raises(ValueError, match="layers that read every point of a series"):
        flat.predict(longer)
    with pytest.raises(ValueError, match="end with .* a recurrent layer without return_sequences"):
        NetworkClassifier([GRU(3, return_sequences=True)]).fit(series, y)
    with pytest.raises(ValueError, match="takes series .* but it gets vectors"):
        NetworkClassifier([Dense(3), GRU(3)]).fit(*problem("binary"))


def test_a_stack_is_the_preset_to_the_bit():
    X, y = problem("multiclass")
    settings = {**SETTINGS, "alpha": 0.01, "clip_norm": 1.0, "learning_rate_init": 0.01}
    stack = quietly(NetworkClassifier([GRU(6, bidirectional=True)], **settings).fit, X, y)
    model = RecurrentClassifier(6, bidirectional=True, learning_rate="constant", **settings)
    assert_same_bits(quietly(model.fit, X, y), stack)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_grid_search_over_layers():
    series, y = ragged()
    grid = {"units": [2, (2, 4)], "cell": [*CELLS], "pool": ["last", "mean"]}
    search = GridSearchCV(model_of("binary", max_iter=2), grid, cv=2, error_score="raise")
    assert search.fit(series, y).best_params_.keys() == grid.keys()
    stack = NetworkClassifier([GRU(2), Dense(3)], max_iter=2)
    search = GridSearchCV(stack, {"layers__0__units": [2, 5]}, cv=2, error_score="raise")
    assert search.fit(series, y).best_params_["layers__0__units"] in (2, 5)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_series_go_through_pipelines_with_their_scaler():
    series, y = ragged(n=40)
    model = make_pipeline(SeriesScaler(), model_of("binary", max_iter=20))
    assert cross_val_score(model, series, y, cv=2).mean() > 0.5


def test_defaults_end_by_themselves_on_a_small_set():
    series, y = ragged(shortest=12)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = RecurrentClassifier(random_state=0).fit(series, y)
    assert model.score(series, y) == 1.0 and model.n_iter_ < 300


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_of_pixels_are_read_as_series():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        (X / 16).astype(np.float32), y, test_size=0.25, random_state=0
    )
    model = RecurrentClassifier(input_shape=(8, 8), max_iter=20, random_state=0)
    assert model.fit(X_train, y_train).score(X_test, y_test) > 0.94


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_speakers_of_vowels_are_told_apart():
    data = saved("japanese_vowels.npz")
    train, test = data["train_idx"], data["test_idx"]
    X = data["X"].astype(np.float32)
    model = RecurrentClassifier(max_iter=40, random_state=0).fit(X[train], data["y"][train])
    assert model.score(X[test], data["y"][test]) > 0.95
