"""Every kind of layer, activation and loss in C, compared with `predict`."""

import math

import numpy as np
import pytest
from compiled_models import compiled

import nnjit
from nnjit.formulas import ACTIVATIONS, hidden_activations, own
from nnjit.formulas.registry import OWN
from nnjit.interop.c.layers.registry import EMITTERS, VANISHING
from nnjit.layers import (
    GRU,
    LSTM,
    RNN,
    Augment,
    Conv,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalPool,
    Normalization,
    ParametricActivation,
    PeriodicEmbedding,
    PiecewiseLinear,
    Pool,
    RadialBasis,
    Residual,
    Scaling,
    TiedDense,
)
from nnjit.layers.registry import kinds

pytestmark = pytest.mark.filterwarnings("ignore")
PRECISIONS = (np.float32, np.float64)
BOUNDS = {np.float32: {"rtol": 1e-5, "atol": 2e-6}, np.float64: {"rtol": 1e-12, "atol": 1e-13}}

VECTORS = {
    "dense": [Dense(6, "tanh"), Dense(4, "gelu")],
    "batch": [Dense(6, "identity"), Normalization("batch", "silu")],
    "layer": [Dense(6, "identity"), Normalization("layer", "relu")],
    "residual": [Dense(7, "tanh"), Dense(7, "relu"), Residual(1), Dense(7, "elu"), Residual(3)],
    "radial": [RadialBasis(4), Dense(3, "tanh")],
    "normalized": [Scaling(2.0), RadialBasis(4, normalized=True)],
    "embedding": [Embedding((3, 2), 2), Dense(5, "softplus")],
    "periodic": [PeriodicEmbedding(3, 4, 2), Dense(5, "mish")],
    "piecewise": [PiecewiseLinear(4, 3), Dense(5, "selu")],
    "parametric": [Dense(5, "identity"), ParametricActivation("mish"), Dropout(0.3)],
    "tied": [Dense(3, "tanh"), TiedDense(1, "relu"), GaussianNoise(0.1), Scaling()],
}
SERIES = {
    "conv": [Conv(4, 3, "tanh"), Conv(3, 2, "relu", padding="valid"), GlobalPool("max")],
    "stride": [Conv(4, 3, "gelu", stride=2, dilation=2, groups=2), GlobalPool()],
    "pooled": [Conv(4, 3, "tanh"), Pool("max", 3, 2), Pool("mean", 2, 1), Flatten()],
    "normal": [
        Augment(noise=0.1),
        Conv(4, 5, "identity"),
        Normalization("batch", "softplus"),
        Conv(4, 3, "tanh"),
        Residual(1),
        Scaling(),
        ParametricActivation("selu"),
        Flatten(),
    ],
    "wide": [
        Conv(8, 3, "tanh", stride=2),
        Conv(16, 2, "relu", groups=2, padding="valid"),
        Flatten(),
    ],
    "raw": [Flatten(), Dense(5)],
    "rnn": [RNN(4, return_sequences=True, activation="relu"), RNN(3)],
    "gru": [GRU(4, bidirectional=True, return_sequences=True), GRU(3, recurrent_dropout=0.2)],
    "lstm": [LSTM(4, return_sequences=True), LSTM(3, bidirectional=True)],
    "mean": [LSTM(4, return_sequences=True), GlobalPool()],
    "skip": [Conv(2, 3, "logistic"), Residual(1), GRU(2, return_sequences=True), Flatten()],
}
IMAGES = {
    "image": [Conv(4, (3, 2), "tanh", stride=(2, 1), dilation=(1, 2)), Flatten()],
    "filters": [Conv(18, (3, 2), "tanh", stride=(2, 1), dilation=(1, 2), groups=2), GlobalPool()],
    "groups": [Conv(4, 3, "relu", groups=2, padding="valid"), Pool("mean", (2, 1)), GlobalPool()],
    "largest": [Pool("max", 2, 1), Conv(3, 2, "tanh"), Normalization("batch", "relu"), Flatten()],
}  # fmt: skip


def stack(layers, X, seed=0, **options):
    y = np.random.default_rng(seed).normal(size=(len(X), 2))
    model = nnjit.NetworkRegressor(layers, max_iter=3, random_state=0, **options)
    return model.fit(X, y.astype(X.dtype))


def vectors(dtype):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40, 7))
    X[:, 5:] = rng.integers(0, [3, 2], (40, 2))
    return X.astype(dtype)


def series(dtype):
    X = np.random.default_rng(2).normal(size=(30, 2, 14)).astype(dtype)
    for row, n in zip(X[10:], range(14, 5, -1)):
        row[:, n:] = np.nan
    return X


def images(dtype):
    return np.random.default_rng(3).normal(size=(20, 2, 7, 6)).astype(dtype)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_every_kind_of_layer_predicts_the_same_in_c(tmp_path, dtype):
    given = {}
    for layers, X in ((VECTORS, vectors(dtype)), (SERIES, series(dtype)), (IMAGES, images(dtype))):
        given.update({name: (stack(one, X), X) for name, one in layers.items()})
    found = compiled(tmp_path, {name: model for name, (model, _) in given.items()})
    for name, (model, X) in given.items():
        assert found[name].dtype == dtype
        X[-9:] *= dtype(-2.5)  # beyond the rows of the fit, codes that are none among them
        np.testing.assert_allclose(
            found[name].predict(X), model.predict(X), **BOUNDS[dtype], err_msg=name
        )


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_a_bin_without_a_finite_inverse_is_none(tmp_path, dtype):
    tiny = np.finfo(dtype).smallest_normal / 8
    X = np.repeat(np.array([0.0, tiny, 1.0, 2.0], dtype), 15)[:, np.newaxis]
    model = nnjit.NetworkRegressor([PiecewiseLinear(1, 3)], max_iter=1, random_state=0)
    model.fit(X, X[:, 0])
    rows = np.array([[-1.0], [0.5], [3.0]], dtype)
    (found,) = compiled(tmp_path, {"bins": model}).values()
    np.testing.assert_allclose(found.predict(rows)[:, 0], model.predict(rows), **BOUNDS[dtype])


def test_no_kind_of_layer_is_forgotten():
    assert {*EMITTERS, *VANISHING} == {*kinds()}
    used = {
        one.kind for group in (VECTORS, SERIES, IMAGES) for net in group.values() for one in net
    }
    assert used == {*kinds()}


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_every_activation_predicts_the_same_in_c(tmp_path, dtype):
    X = 8 * vectors(dtype)
    models = {
        f"of_{name}": nnjit.MLPRegressor(
            hidden_layer_sizes=(5,), activation=name, max_iter=1, random_state=0
        ).fit(X, X[:, 0])
        for name in hidden_activations()
    }
    y = np.random.default_rng(0).uniform(0.1, 0.9, len(X)).astype(dtype)
    outputs = {"exp": "poisson", "logistic": "squared_error", "softplus": "squared_error"}
    for name, loss in outputs.items():
        models[f"out_{name}"] = nnjit.MLPRegressor(
            loss, (5,), output_activation=name, max_iter=2, random_state=0
        ).fit(X, y)
    assert {*outputs, *hidden_activations()} == {*ACTIVATIONS}
    for name, one in compiled(tmp_path, models).items():
        np.testing.assert_allclose(
            one.predict(X)[:, 0], models[name].predict(X), **BOUNDS[dtype], err_msg=name
        )


def kinked(z):
    low = math.tanh(z)
    if z > 1.0 and low > 0.0:
        return math.sqrt(z) + low
    return max(low * z, -0.5) if z > -3.0 else low**2


def slope(z):
    return 1.0 + 0.0 * z


def unwritable(z):
    return sum(z**k for k in range(int(abs(z))))


def test_an_activation_of_ones_own_is_translated_or_refused_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(own, "_check_slope", lambda *given, **more: None)
    for name, function in (("kinked", kinked), ("unwritable", unwritable)):
        nnjit.register_activation(name, function, slope)
    try:
        X = 3 * vectors(np.float64)
        net = nnjit.MLPRegressor(hidden_layer_sizes=(4,), activation="kinked", random_state=0)
        net.fit(X, X[:, 0])
        (found,) = compiled(tmp_path, {"own": net}).values()
        np.testing.assert_allclose(found.predict(X)[:, 0], net.predict(X), rtol=1e-12)
        net.activation = "unwritable"
        with pytest.raises(ValueError, match="'unwritable' cannot be written in C"):
            nnjit.interop.export_c(net)
    finally:
        for name in ("kinked", "unwritable"):
            ACTIVATIONS.pop(name)
            OWN.pop(("activation", name))
