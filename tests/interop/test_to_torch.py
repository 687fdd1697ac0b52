"""Fitted estimators as modules of PyTorch: what goes in and comes out, training on, and files."""

import copy
import io
import math
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

torch = pytest.importorskip("torch", reason="needs PyTorch")

import nnjit  # noqa: E402
from entries_of_tests import registries_kept  # noqa: E402
from nnjit import (  # noqa: E402
    AutoEncoder,
    ConvClassifier,
    ConvRegressor,
    HiddenFeatures,
    MLPClassifier,
    MLPRegressor,
    NetworkClassifier,
    NetworkRegressor,
    RBFClassifier,
    RBFRegressor,
    RecurrentClassifier,
    RecurrentRegressor,
    TabularClassifier,
    TabularRegressor,
)
from nnjit.interop import to_torch  # noqa: E402
from nnjit.layers import (  # noqa: E402
    GRU,
    Augment,
    Conv,
    Dense,
    Flatten,
    GaussianNoise,
    GlobalPool,
    Normalization,
)

LIMITS = {np.float64: 1e-12, np.float32: 1e-5}
every_precision = pytest.mark.parametrize("dtype", LIMITS)
SHORT = {"max_iter": 2, "random_state": 0}


@pytest.fixture(autouse=True)
def unfinished_fits():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def outputs_of(module, X):
    with torch.no_grad():
        return module(torch.from_numpy(np.ascontiguousarray(X))).numpy()


def assert_close(found, expected, dtype):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=LIMITS[dtype], rtol=LIMITS[dtype])


RNG = np.random.default_rng(0)
ROWS, SERIES, IMAGES = (RNG.normal(size=(30, *shape)) for shape in ((5,), (2, 11), (2, 6, 7)))
for ending, length in ((3, 7), (9, 5), (10, 10)):
    SERIES[ending, :, length:] = np.nan
LABELS, TWO = RNG.integers(0, 3, 30), RNG.integers(0, 2, 30)
VALUES = RNG.normal(size=30)
CLASSIFIERS = {
    "three classes": (MLPClassifier((6, 5), activation=["gelu", "softplus"]), ROWS, LABELS),
    "two classes": (MLPClassifier((6,), activation="logistic"), ROWS, TWO),
    "two labels": (MLPClassifier((6,)), ROWS, np.stack([TWO, LABELS > 0], 1)),
    "batch normalization": (MLPClassifier((6,), normalization="batch"), ROWS, LABELS),
    "residual": (MLPClassifier((6, 6), residual=True, normalization="layer"), ROWS, TWO),
    "radial": (RBFClassifier(7), ROWS + 50, LABELS),
    "normalized radial": (RBFClassifier(7, normalized=True), ROWS, TWO),
    "series": (ConvClassifier(), SERIES, TWO),
    "images": (ConvClassifier(normalization="batch"), IMAGES, LABELS),
    "lstm": (RecurrentClassifier((4, 3), cell="lstm", bidirectional=True), SERIES, LABELS),
    "gru": (RecurrentClassifier((4,), cell="gru", pool="mean"), SERIES, TWO),
    "of layers": (NetworkClassifier([Conv(3, 4, stride=2), GRU(4)]), SERIES, TWO),
}
REGRESSORS = {
    "values": (MLPRegressor(hidden_layer_sizes=(6,), activation="mish"), ROWS, VALUES),
    "two values": (MLPRegressor(hidden_layer_sizes=(6,)), ROWS, ROWS[:, :2]),
    "counts": (MLPRegressor("poisson", hidden_layer_sizes=(6,)), ROWS, LABELS),
    "quantiles": (
        MLPRegressor("quantile", quantile=[0.9, 0.1, 0.5], hidden_layer_sizes=(6,)), ROWS, VALUES
    ),
    "radial": (RBFRegressor(7), ROWS, VALUES),
    "series": (ConvRegressor(global_pool="mean"), SERIES, VALUES),
    "rnn": (RecurrentRegressor((4,), cell="tanh"), SERIES, VALUES),
    "of layers": (NetworkRegressor([GlobalPool("max")]), IMAGES, VALUES),
}  # fmt: skip


@every_precision
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_probabilities_of_classifiers(name, dtype):
    model, X, y = CLASSIFIERS[name]
    model = copy.deepcopy(model).set_params(**SHORT).fit(X.astype(dtype), y)
    module, X = to_torch(model), X.astype(dtype)
    expected = model.predict_proba(X)
    assert_close(outputs_of(module, X), expected, dtype)
    assert_close(outputs_of(module, X.reshape(len(X), -1)), expected, dtype)  # rows
    np.testing.assert_array_equal(module.classes_, model.classes_)
    logits = outputs_of(to_torch(model, output="logits"), X)
    engine = model._make_engine()
    rows = model._engine_rows(X.reshape(len(X), -1))
    np.testing.assert_allclose(
        logits, engine.predict(rows, output="logits"), atol=10 * LIMITS[dtype], rtol=LIMITS[dtype]
    )
    assert not module.training


@every_precision
@pytest.mark.parametrize("name", REGRESSORS)
def test_values_of_regressors(name, dtype):
    model, X, y = REGRESSORS[name]
    model, X = copy.deepcopy(model).set_params(**SHORT), X.astype(dtype)
    predicted = model.fit(X, y).predict(X)
    assert_close(outputs_of(to_torch(model), X), predicted.reshape(len(X), -1), dtype)


@every_precision
def test_classes_of_several_columns_are_side_by_side(dtype):
    y, X = np.stack([LABELS, LABELS[::-1] + 5], axis=1), ROWS.astype(dtype)
    model = MLPClassifier((6,), **SHORT).fit(X, y)
    module = to_torch(model, output="probabilities")
    assert_close(outputs_of(module, X), np.hstack(model.predict_proba(X)), dtype)
    assert [one.tolist() for one in module.classes_] == [[0, 1, 2], [5, 6, 7]]


@every_precision
def test_a_target_at_each_point_of_series(dtype):
    X, y = SERIES.astype(dtype), (np.nan_to_num(SERIES[:, 0]) > 0).astype(int)
    layers = [GRU(4, return_sequences=True), Conv(3, 3, "logistic")]
    model = NetworkClassifier(layers, targets="sequence", **SHORT).fit(X, y)
    found = outputs_of(to_torch(model), X)
    assert found.shape == (30, 11, 2)
    for series, expected in zip(found, model.predict_proba([*map(whole, X)])):
        assert np.isnan(series[len(expected) :]).all()
        assert_close(series[: len(expected)], expected, dtype)


def whole(series):
    """Its points without the end that is NaN."""
    return series[:, ~np.isnan(series[0])]


def test_nan_behind_ends_of_series_does_no_harm_to_gradients():
    y = (np.nan_to_num(SERIES[:, 0]) > 0).astype(int)
    model = NetworkClassifier([GRU(4, return_sequences=True)], targets="sequence", **SHORT)
    module = to_torch(model.fit(SERIES, y))
    p = module(torch.from_numpy(SERIES))
    p[~p.isnan()].log().sum().backward()
    assert all(one.grad.isfinite().all() for one in module.parameters())
    assert any(one.grad.abs().max() > 0 for one in module.parameters())


@every_precision
@pytest.mark.parametrize("X, shape", [(SERIES, (11, 2)), (IMAGES, (6, 7, 2))])
def test_channels_that_are_last(X, shape, dtype):
    X = np.moveaxis(X, 1, -1).astype(dtype)
    model = ConvClassifier(channels_last=True, **SHORT).fit(X, TWO)
    expected = model.predict_proba(X)
    module = to_torch(model)
    assert_close(outputs_of(module, X), expected, dtype)
    assert_close(outputs_of(module, X.reshape(30, -1)), expected, dtype)


def test_longer_series_go_through_where_our_own_do():
    model = ConvClassifier(global_pool="mean", **SHORT).fit(SERIES, TWO)
    longer = np.concatenate([SERIES, SERIES], axis=2)
    longer[np.isnan(SERIES).any(axis=(1, 2))] = 1.0
    assert_close(outputs_of(to_torch(model), longer), model.predict_proba(longer), np.float64)


@every_precision
@pytest.mark.parametrize("tied", [False, True])
def test_reconstructions_and_codes_of_an_autoencoder(tied, dtype):
    X = ROWS.astype(dtype)
    model = AutoEncoder(2, tied=tied, noise=0.1, **SHORT).fit(X)
    assert_close(outputs_of(to_torch(model), X), model.reconstruct(X), dtype)
    assert_close(outputs_of(to_torch(model, output="code"), X), model.transform(X), dtype)


@every_precision
def test_reconstructions_of_images_with_the_channels_last(dtype):
    X = np.moveaxis(IMAGES, 1, -1).astype(dtype)
    model = AutoEncoder(2, input_shape=(6, 7, 2), channels_last=True, **SHORT)
    model.set_params(layers=[Conv(2, 3), Flatten()]).fit(X)
    rows = X.reshape(30, -1)
    assert_close(outputs_of(to_torch(model), X), model.reconstruct(rows), dtype)


@every_precision
@pytest.mark.parametrize("last", [False, True])
def test_reconstructions_of_series_end_where_the_series_do(last, dtype):
    X = (np.moveaxis(SERIES, 1, -1) if last else SERIES).astype(dtype)
    model = AutoEncoder(2, layers=[Conv(2, 3), Flatten()], channels_last=last, **SHORT).fit(X)
    expected = model.reconstruct(X)
    assert np.isnan(expected).sum() == 2 * (4 + 6 + 1)
    assert_close(outputs_of(to_torch(model), X), expected.reshape(30, -1), dtype)


@every_precision
@pytest.mark.parametrize("X", [ROWS, SERIES, IMAGES], ids=["rows", "series", "images"])
def test_features_of_a_hidden_layer(X, dtype):
    network = MLPClassifier((6, 4)) if X is ROWS else ConvClassifier()
    X = X.astype(dtype)
    model = HiddenFeatures(network.set_params(**SHORT), layer=1).fit(X, TWO)
    if X.ndim == 3:  # what lies behind ends of feature maps is 0 there
        X = X[~np.isnan(X).any(axis=(1, 2))]
    assert_close(outputs_of(to_torch(model), X), model.transform(X), dtype)


@pytest.mark.parametrize("y", [TWO, LABELS, np.stack([TWO, LABELS > 0], 1),
                               np.stack([LABELS, LABELS[::-1]], 1)],
                         ids=["two", "three", "labels", "columns"])  # fmt: skip
def test_the_mean_of_the_members_of_a_table(y):
    model = TabularClassifier("fast", n_members=2, random_state=0, max_time=2).fit(ROWS, y)
    module = to_torch(model)
    encoded = module.encoder_.transform(ROWS)
    expected = model.predict_proba(ROWS)
    expected = np.hstack(expected) if isinstance(expected, list) else expected
    assert_close(outputs_of(module, encoded), expected, np.float32)


@pytest.mark.parametrize("options, y", [({}, VALUES), ({}, ROWS[:, :2] * 40),
                                        ({"quantile": [0.1, 0.9]}, VALUES)])  # fmt: skip
def test_the_mean_of_the_members_of_a_table_of_values(options, y):
    model = TabularRegressor("fast", n_members=2, random_state=0, max_time=2, **options)
    module = to_torch(model.fit(ROWS, y))
    expected = model.predict(ROWS).reshape(30, -1)
    found = outputs_of(module, module.encoder_.transform(ROWS))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_networks_of_agents():
    pytest.importorskip("gymnasium")
    from nnjit.agents import PolicyAgent, QAgent

    rows = np.random.default_rng(0).uniform(-0.1, 0.1, (6, 4)).astype(np.float32)
    policy = PolicyAgent(rollout_size=32, random_state=0).fit("CartPole-v1", 64)
    rows = rows.astype(policy.coefs_[0].dtype)
    limits = policy.coefs_[0].dtype.type
    assert_close(outputs_of(to_torch(policy), rows), policy.predict_proba(rows), limits)
    values = outputs_of(to_torch(policy, output="values"), rows)
    assert_close(values[:, 0], policy.predict_values(rows), limits)
    agent = QAgent(random_state=0).fit("CartPole-v1", 64)
    assert_close(outputs_of(to_torch(agent), rows), agent._outputs(rows), limits)


# Modules as others read them


def test_a_perceptron_is_made_of_modules_of_pytorch_alone():
    model = MLPClassifier((6, 5), activation="tanh", normalization="batch", dropout=0.3, **SHORT)
    module = to_torch(model.fit(ROWS, LABELS))
    names = [type(one).__name__ for one in module]
    assert names == [*["Linear", "BatchNorm1d", "Tanh", "Dropout"] * 2, "Linear", "Softmax"]
    assert type(module) is torch.nn.Sequential
    assert [*module.state_dict()][:2] == ["0.weight", "0.bias"]
    np.testing.assert_array_equal(module[0].weight.detach().numpy(), model.coefs_[0].T)


def test_parameters_are_copies():
    model = MLPClassifier((6,), **SHORT).fit(ROWS, LABELS)
    before = model.predict_proba(ROWS)
    with torch.no_grad():
        for one in to_torch(model).parameters():
            one.zero_()
    np.testing.assert_array_equal(model.predict_proba(ROWS), before)


def test_random_numbers_of_pytorch_are_left_alone():
    model = MLPClassifier((6,), **SHORT).fit(ROWS, LABELS)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    to_torch(model)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", ["three classes", "residual", "radial", "lstm", "gru", "images"])
def test_a_module_is_saved_and_loaded(name):
    model, X, y = CLASSIFIERS[name]
    module = to_torch(copy.deepcopy(model).set_params(**SHORT).fit(X, y))
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    np.testing.assert_array_equal(outputs_of(loaded, X), outputs_of(module, X))
    with torch.no_grad():
        for one in loaded.parameters():
            one.zero_()
    loaded.load_state_dict(module.state_dict())
    np.testing.assert_array_equal(outputs_of(loaded, X), outputs_of(module, X))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["three classes", "residual", "radial", "series", "lstm"])
def test_a_module_goes_through_torch_export(name):
    model, X, y = CLASSIFIERS[name]
    module = to_torch(copy.deepcopy(model).set_params(**SHORT).fit(X, y))
    rows, sizes = torch.from_numpy(X), torch.export.Dim
    any_number = sizes.AUTO if hasattr(sizes, "AUTO") else sizes("rows")  # before PyTorch 2.6
    exported = torch.export.export(module, (rows,), dynamic_shapes=({0: any_number},))
    with torch.no_grad():
        found = exported.module()(rows[:7])
    np.testing.assert_allclose(found.numpy(), outputs_of(module, X[:7]), atol=1e-13)


# Training goes on


def test_dropout_drops_the_share_that_it_dropped():
    model = MLPRegressor(hidden_layer_sizes=(200,), dropout=0.25, **SHORT).fit(ROWS, VALUES)
    module = to_torch(model)[:-1].train()
    torch.manual_seed(0)
    with torch.no_grad():
        dropped = module(torch.from_numpy(ROWS)).numpy()
        whole_ = module.eval()(torch.from_numpy(ROWS)).numpy()
    alive = whole_ > 0
    assert (dropped[alive] == 0).mean() == pytest.approx(0.25, abs=0.03)
    kept = alive & (dropped > 0)
    np.testing.assert_allclose(dropped[kept], whole_[kept] / 0.75)


@pytest.mark.parametrize("cell", ["gru", "lstm", "tanh"])
def test_recurrent_dropout_goes_point_by_point_as_pytorch_does_otherwise(cell):
    model = RecurrentRegressor((5,), cell=cell, bidirectional=True, recurrent_dropout=0.4, **SHORT)
    module = to_torch(model.fit(SERIES, VALUES))
    rows, layer = torch.from_numpy(SERIES), module[1]
    torch.manual_seed(0)
    dropped = [module.train()(rows).detach() for _ in range(2)]
    assert not torch.allclose(*dropped)
    layer.recurrent_dropout = 1e-300  # the same way, where nothing is dropped
    with torch.no_grad():
        np.testing.assert_allclose(module(rows), module.eval()(rows), atol=1e-13)


def test_noise_has_the_deviation_that_it_had():
    model = NetworkRegressor([GaussianNoise(0.5), Dense(3)], **SHORT).fit(ROWS, VALUES)
    noise = to_torch(model)[0]
    x = torch.zeros(10_000, 1, dtype=torch.float64)
    assert float(noise.train()(x).std()) == pytest.approx(0.5, rel=0.05)
    assert torch.equal(noise.eval()(x), x)


def test_augmentation_that_moves_points_is_refused_in_training_by_name():
    layers = [Augment(shift=1, flip=True), Conv(2, 3), Flatten()]
    module = to_torch(NetworkRegressor(layers, **SHORT).fit(IMAGES, VALUES))
    with pytest.raises(RuntimeError, match=r"Augmentation\(shift=1, flip=True"):
        module.train()(torch.from_numpy(IMAGES))
    noisy = NetworkRegressor([Augment(noise=0.1), Conv(2, 3), Flatten()], **SHORT)
    module = to_torch(noisy.fit(IMAGES, VALUES)).train()
    assert module(torch.from_numpy(IMAGES)).shape == (30, 1)


def test_training_in_pytorch_takes_the_steps_of_our_own():
    """Plain gradient descent by all rows, from the same weights: momentum 0, no penalty."""
    options = {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.1, "alpha": 0.0}
    layers = [Dense(6, "identity"), Normalization("batch", "tanh"), Dense(4, "gelu")]
    model = NetworkClassifier(layers, batch_size=30, random_state=0, shuffle=False, **options)
    model.partial_fit(ROWS, LABELS, classes=[0, 1, 2])
    module = to_torch(model, output="logits").train()
    solver = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(5):
        model.partial_fit(ROWS, LABELS)
        solver.zero_grad()
        logits = module(torch.from_numpy(ROWS))
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(LABELS)).backward()
        solver.step()
    for name, value in to_torch(model, output="logits").state_dict().items():
        if "num_batches" not in name:
            np.testing.assert_allclose(module.state_dict()[name], value, atol=1e-12, err_msg=name)


# Activations of one's own, and what cannot be had


def swish2(z):
    return z / (1.0 + math.exp(-2.0 * z))


def swish2_slope(z):
    share = 1.0 / (1.0 + math.exp(-2.0 * z))
    return share + 2.0 * z * share * (1.0 - share)


def test_an_activation_of_ones_own_goes_along_by_its_name():
    with registries_kept():
        nnjit.register_activation("swish2", swish2, swish2_slope)
        model = MLPRegressor(hidden_layer_sizes=(4,), activation="swish2", **SHORT)
        module = to_torch(model.fit(ROWS, VALUES))
        found = outputs_of(module, ROWS)[:, 0]
        np.testing.assert_allclose(found, model.predict(ROWS), atol=1e-12)
        z = torch.linspace(-2, 2, 7, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(module[1], (z,))


def test_what_a_search_has_found_becomes_a_module():
    search = GridSearchCV(MLPRegressor(hidden_layer_sizes=(4,), **SHORT), {"alpha": [0.1]}, cv=2)
    search.fit(ROWS, VALUES)
    np.testing.assert_allclose(outputs_of(to_torch(search), ROWS)[:, 0], search.predict(ROWS))
    pipeline = make_pipeline(StandardScaler(), search.best_estimator_).fit(ROWS, VALUES)
    with pytest.raises(TypeError, match=r"give it the last step, pipeline\[-1\]"):
        to_torch(pipeline)


def test_what_an_estimator_does_not_give_out_is_refused():
    model = MLPRegressor(hidden_layer_sizes=(4,), **SHORT).fit(ROWS, VALUES)
    with pytest.raises(ValueError, match="output='code' is nothing that MLPRegressor gives out"):
        to_torch(model, output="code")
    with pytest.raises(TypeError, match="dict is none of nnjit's networks"):
        to_torch({})
    with pytest.raises(NotFittedError):
        to_torch(MLPRegressor())
    with pytest.raises(NotFittedError):
        to_torch(TabularRegressor())
