"""Every network of the package as an ONNX model, in both precisions, run by onnxruntime."""

import inspect
import sys
import warnings

import numpy as np
import pytest
from onnx_runs import Session, close
from problems import quietly
from sklearn.exceptions import NotFittedError

import nnjit
from nnjit.estimators._base import NetworkEstimator
from nnjit.interop import to_onnx
from nnjit.layers import Conv, Dense, Embedding, Flatten, GlobalPool, Normalization, TiedDense

RNG = np.random.default_rng(0)
N = 60
VECTORS = RNG.normal(size=(N, 6))
SIGNAL = VECTORS @ RNG.normal(size=(6, 3))
IMAGES = RNG.normal(size=(N, 2 * 6 * 6))  # of two channels
SERIES = RNG.normal(size=(N, 2, 14))
for _k, _series in enumerate(SERIES):  # most end before others
    _series[:, 14 - _k % 5 :] = np.nan
LAST = np.moveaxis(SERIES, 1, 2).reshape(N, -1)  # with the channels last
SERIES = SERIES.reshape(N, -1)

TARGETS = {
    "binary": (SIGNAL[:, 0] > 0).astype(int) * 3,
    "bools": SIGNAL[:, 0] > 0,
    "floats": SIGNAL.argmax(axis=1) * 2.0,
    "multiclass": SIGNAL.argmax(axis=1),
    "small ints": SIGNAL.argmax(axis=1).astype(np.int8),
    "strings": np.array(["ape", "bee", "cow"])[SIGNAL.argmax(axis=1)],
    "objects": np.array(["ape", "bee"], dtype=object)[(SIGNAL[:, 0] > 0).astype(int)],
    "multilabel": (SIGNAL > 0).astype(int),
    "columns": np.c_[SIGNAL.argmax(axis=1), 2 * (SIGNAL[:, 0] > 0)],
    "mixed columns": np.array(
        [["ape", 1], ["bee", 2], ["cow", 3]], dtype=object
    )[SIGNAL.argmax(axis=1)],
    "one class": np.full(N, 7),
    "values": np.tanh(SIGNAL[:, 0]),
    "several values": np.tanh(SIGNAL),
    "counts": RNG.poisson(np.exp(0.3 * SIGNAL[:, 0])).astype(float),
    "above 0": np.exp(SIGNAL[:, 0]),
    "itself": None,
    "labels of points": np.array(["ape", "bee", "cow"])[RNG.integers(3, size=(N, 14))],
    "two labels of points": RNG.integers(2, size=(N, 14)),
    "values of points": RNG.normal(size=(N, 14)),
    "several values of points": RNG.normal(size=(N, 14, 2)),
}  # fmt: skip

mlp, mlp_values = nnjit.MLPClassifier, nnjit.MLPRegressor
conv, conv_values = nnjit.ConvClassifier, nnjit.ConvRegressor
recurrent, recurrent_values = nnjit.RecurrentClassifier, nnjit.RecurrentRegressor
images, series = {"input_shape": (2, 6, 6)}, {"input_shape": (2, 14)}
of_points = {**series, "targets": "sequence"}
small = {"hidden_layer_sizes": (8, 8)}

CASES = [
    *[(mlp, VECTORS, kind, {}) for kind in list(TARGETS)[:11]],
    (mlp, VECTORS, "multiclass", {**small, "normalization": "batch", "residual": True}),
    (mlp, VECTORS, "binary", {**small, "normalization": "layer", "dropout": 0.2}),
    (mlp, VECTORS, "multiclass", {**small, "activation": ["gelu", "mish"]}),
    (mlp, VECTORS, "multiclass", {"loss": "focal", "label_smoothing": 0.0}),
    (mlp, VECTORS, "multiclass", {"loss": "squared_error", "label_smoothing": 0.1}),
    (mlp_values, VECTORS, "values", {}),
    (mlp_values, VECTORS, "several values", {**small, "activation": "selu"}),
    (mlp_values, VECTORS, "counts", {"loss": "poisson"}),
    (mlp_values, VECTORS, "above 0", {"loss": "gamma"}),
    (mlp_values, VECTORS, "values", {"loss": "huber", "output_activation": "tanh"}),
    (mlp_values, VECTORS, "above 0", {"output_activation": "softplus"}),
    (mlp_values, VECTORS, "values", {"loss": "quantile", "quantile": 0.3}),
    (mlp_values, VECTORS, "values", {"loss": "quantile", "quantile": [0.9, 0.1, 0.5]}),
    (nnjit.RBFClassifier, VECTORS, "binary", {}),
    (nnjit.RBFClassifier, 100 + 5 * VECTORS, "strings", {"normalized": True}),
    (nnjit.RBFRegressor, 100 + 5 * VECTORS, "several values", {"n_centers": 9}),
    (conv, IMAGES, "multiclass", images),
    (conv, IMAGES, "binary", {"input_shape": (6, 6, 2), "channels_last": True, "pool": "mean"}),
    (conv, IMAGES, "columns", {**images, "normalization": "batch", "global_pool": "max"}),
    (conv, IMAGES, "multiclass", {**images, "kernel_size": (3, 2), "groups": 2, "dilation": 2}),
    (conv, SERIES, "multiclass", {**series, "normalization": "batch", "augment": {"noise": 0.1}}),
    (conv, LAST, "binary", {"input_shape": (14, 2), "channels_last": True}),
    (conv_values, SERIES, "values", {**series, "global_pool": "mean", "activation": "softplus"}),
    (conv_values, IMAGES, "counts", {**images, "loss": "poisson", "residual": True}),
    *[(recurrent, SERIES, "multiclass", {**series, "cell": c}) for c in ("gru", "lstm", "tanh")],
    (recurrent, SERIES, "binary", {**series, "bidirectional": True, "units": (6, 5)}),
    (recurrent, SERIES, "strings", {**series, "pool": "max", "hidden_layer_sizes": (5,)}),
    (recurrent, SERIES, "labels of points", {**of_points, "units": (6, 5)}),
    (recurrent, SERIES, "two labels of points", {**of_points, "cell": "lstm"}),
    (recurrent_values, SERIES, "values", {**series, "pool": "mean", "cell": "relu"}),
    (recurrent_values, SERIES, "several values", {**series, "channels_last": False}),
    (recurrent_values, SERIES, "values of points", of_points),
    (recurrent_values, SERIES, "several values of points", {**of_points, "bidirectional": True}),
    (
        nnjit.NetworkClassifier, VECTORS, "multiclass",
        {"layers": [Dense(4, "tanh"), TiedDense(1), Normalization("layer")]},
    ),
    (
        nnjit.NetworkClassifier, np.c_[VECTORS, RNG.integers(-1, 5, N)], "binary",
        {"layers": [Embedding((4,), 3), Dense(5)]},
    ),
    (
        nnjit.NetworkClassifier, SERIES, "labels of points",
        {"layers": [Conv(4, 3), Conv(3, 1, "gelu")], **of_points},
    ),
    (
        nnjit.NetworkRegressor, IMAGES, "values",
        {"layers": [Conv(4, 3, stride=2), GlobalPool("max")], **images},
    ),
    (nnjit.NetworkRegressor, SERIES, "values", {"layers": [Flatten(), Dense(4)], **series}),
    (nnjit.AutoEncoder, VECTORS, "itself", {"noise": 0.1, "n_members": 2}),
    (nnjit.AutoEncoder, (VECTORS > 0) * 1.0, "itself", {"tied": True, "mask": 0.2}),
    (nnjit.AutoEncoder, SERIES, "itself", {**series, "layers": [Conv(4, 3)]}),
    (nnjit.AutoEncoder, IMAGES, "itself", {"input_shape": (6, 6, 2), "channels_last": True}),
]  # fmt: skip
NAMES = [f"{made.__name__}-{target}-{number}" for number, (made, _, target, _) in enumerate(CASES)]


def fitted(made, X, target, options):
    y = TARGETS[target]
    model = made(max_iter=3, random_state=0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # too few epochs, classes, ...
        return quietly(model.fit, X) if y is None else quietly(model.fit, X, y)


def expected_of(model, X):
    """What the model is to give out, by name."""
    if isinstance(model, nnjit.AutoEncoder):
        return {
            "features": model.transform(X),
            "reconstruction": model.reconstruct(X),
            "scores": model.score_samples(X),
        }
    if not hasattr(model, "predict_proba"):
        return {"prediction": model.predict(X)}
    label, p = model.predict(X), model.predict_proba(X)
    if getattr(model, "targets", "one") == "one" and isinstance(p, list):
        found = {f"label_{k}": label[:, k] for k in range(len(p))}
        return found | {f"probabilities_{k}": one for k, one in enumerate(p)}
    return {"label": label, "probabilities": p}


def is_tied(p, tolerance):
    """Whether the largest probabilities, or one and its threshold, are as good as equal."""
    ends = np.sort(p, axis=-1)
    return ends[..., -1] - ends[..., -2] < 2 * tolerance


def compare(found, expected, dtype, lengths=None):
    """Compare outputs by name; of series with a target at each point, those that are there."""
    for name, wanted in expected.items():
        given = found[name]
        if lengths is not None:
            whole = given
            given = np.concatenate([row[:n] for row, n in zip(whole, lengths)])
            wanted = np.concatenate([*wanted])
            if whole.dtype.kind == "f":
                assert all(np.isnan(row[n:]).all() for row, n in zip(whole, lengths))
        if not name.startswith("label"):
            assert given.dtype == wanted.dtype, name
            close(given, wanted, dtype)
            continue
        p = found[name.replace("label", "probabilities")]
        if lengths is not None:
            p = np.concatenate([row[:n] for row, n in zip(p, lengths)])
        if given.ndim == 2:  # a multilabel target
            sure = abs(p - 0.5) > 2e-5
        else:
            sure = ~is_tied(p, 1e-5)
        assert sure.mean() > 0.9
        np.testing.assert_array_equal(given[sure], wanted[sure])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("made, X, target, options", CASES, ids=NAMES)
def test_a_network_goes_there_and_predicts_the_same(made, X, target, options, dtype):
    X = X.astype(dtype)
    model = fitted(made, X, target, options)
    outputs = {"output": ["features", "reconstruction", "scores"]} if target == "itself" else {}
    session = Session(to_onnx(model, **outputs))
    assert session.dtype == dtype
    points = "of points" in target
    lengths = (~np.isnan(X[:, :14])).sum(axis=1) if points else None
    expected, found = expected_of(model, X), session(X)
    if points:
        np.testing.assert_array_equal(found.pop("lengths"), lengths)
    assert set(found) == set(expected)
    if "label" in found and found["label"].dtype != object:
        assert found["label"].dtype == np.asarray(TARGETS[target]).dtype
    compare(found, expected, dtype, lengths)
    alone, none = session(X[7:8]), session(X[:0])
    for name, value in found.items():
        assert none[name].shape == (0, *value.shape[1:])
        if value.dtype.kind == "f":
            close(alone[name], value[7:8], dtype)


def test_every_network_of_the_package_is_among_the_cases():
    public = (getattr(nnjit, name) for name in nnjit.__all__)
    networks = {c for c in public if inspect.isclass(c) and issubclass(c, NetworkEstimator)}
    assert networks == {made for made, *_ in CASES}


def test_shapes_are_declared_with_a_free_batch():
    model = to_onnx(fitted(mlp, VECTORS, "multiclass", {}))
    (given,) = model.graph.input
    sizes = [[d.dim_param or d.dim_value for d in one.type.tensor_type.shape.dim]
             for one in (given, *model.graph.output)]  # fmt: skip
    assert sizes == [["n", 6], ["n"], ["n", 3]]
    assert [one.name for one in model.graph.output] == ["label", "probabilities"]


def test_outputs_are_chosen_by_name():
    model = fitted(mlp, VECTORS, "multiclass", {})
    assert Session(to_onnx(model, output="label")).names == ["label"]
    assert Session(to_onnx(model, output=["label", "label"])).names == ["label"]
    for wrong in ("scores", 3, []):
        with pytest.raises(ValueError, match=r"output is one or several of \['label', 'prob"):
            to_onnx(model, output=wrong)
    assert len(to_onnx(model, output="label").graph.node) < len(to_onnx(model).graph.node)


def test_what_cannot_leave_is_refused():
    dates = np.array(["2020-01-01", "2021-01-01"], "datetime64[D]")[(SIGNAL[:, 0] > 0).astype(int)]
    model = quietly(mlp(max_iter=2).fit, VECTORS, dates)
    with pytest.raises(ValueError, match="datetime64"):
        to_onnx(model)
    with pytest.raises(NotFittedError, match="not fitted"):
        to_onnx(mlp())
    with pytest.raises(TypeError, match="object"):
        to_onnx(object())
    model = fitted(mlp, VECTORS, "binary", {})
    for opset in (17, 1000, "18", True):
        with pytest.raises(ValueError, match="opset is an int from 18 to"):
            to_onnx(model, opset=opset)


def test_assigned_parameters_are_those_that_leave():
    model = fitted(mlp, VECTORS, "multiclass", {})
    model.coefs_[0][...] = 0.0
    model.intercepts_[1] = np.array([1.0, 3.0, 2.0])
    found = Session(to_onnx(model))(VECTORS[:2])
    np.testing.assert_array_equal(found["label"], [1, 1])
    close(found["probabilities"], model.predict_proba(VECTORS[:2]), np.float64)


def test_without_onnx_the_extra_is_named(monkeypatch):
    model = fitted(mlp, VECTORS, "binary", {})
    for name in ("onnx", "onnx.defs", "onnx.helper"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"to_onnx needs onnx: pip install 'nnjit\[onnx\]'"):
        to_onnx(model)
