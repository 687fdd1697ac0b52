"""Every estimator in C, compared with what it predicts in Python."""

import ctypes

import numpy as np
import pytest
from compiled_models import compiled
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

import nnjit
from nnjit.interop import export_c
from nnjit.layers import LSTM, Conv, Dense, GlobalPool

pytestmark = pytest.mark.filterwarnings("ignore")
PRECISIONS = (np.float32, np.float64)
BOUNDS = {np.float32: {"rtol": 1e-5, "atol": 2e-6}, np.float64: {"rtol": 1e-12, "atol": 1e-13}}
OPTIONS = {"max_iter": 4, "random_state": 0}


def rows(dtype, n=40):
    return np.random.default_rng(0).normal(size=(n, 4)).astype(dtype)


def series(dtype, channels=2):
    X = np.random.default_rng(1).normal(size=(24, channels, 9)).astype(dtype)
    for row, n in zip(X[8:], range(9, 3, -1)):
        row[:, n:] = np.nan
    return X


def classes_of(X, labels, seed=0):
    return np.asarray(labels)[np.random.default_rng(seed).integers(0, len(labels), len(X))]


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_classifiers_of_all_kinds_of_targets(tmp_path, dtype):
    X = rows(dtype)
    words, numbers = classes_of(X, ["ape", "bée", "cat"]), classes_of(X, [3, 5], 1)
    bits = np.random.default_rng(0).integers(0, 2, (len(X), 3))
    columns = np.column_stack([classes_of(X, [0, 1, 7]), classes_of(X, [2, 4], 2)])
    targets = {
        "words": words, "two": numbers, "one": np.full(len(X), 4), "bits": bits,
        "columns": columns, "floats": classes_of(X, [0.0, 1.0, 2.0]),
        "large": classes_of(X, [-(2**40), 2**62, 5]), "truths": classes_of(X, [True, False]),
    }  # fmt: skip
    models = {name: nnjit.MLPClassifier((6,), **OPTIONS).fit(X, y) for name, y in targets.items()}
    models["radial"] = nnjit.RBFClassifier(5, **OPTIONS).fit(X, words)
    found = compiled(tmp_path, models)
    for name, one in found.items():
        p = models[name].predict_proba(X)
        p = np.hstack(p) if isinstance(p, list) else p
        np.testing.assert_allclose(one.predict(X), p, **BOUNDS[dtype], err_msg=name)
    for name in ("words", "radial"):
        assert found[name].strings(3) == models[name].classes_.tolist() == ["ape", "bée", "cat"]
    for name in ("words", "two", "one", "floats", "large", "truths", "radial"):
        chosen = models[name].classes_[found[name].number(X)]
        assert (chosen == models[name].predict(X)).all(), name
    assert (found["bits"].numbers(X) == models["bits"].predict(X)).all()
    numbers = found["columns"].numbers(X)
    for k, known in enumerate(models["columns"].classes_):
        assert (known[numbers[:, k]] == models["columns"].predict(X)[:, k]).all()
    table = (ctypes.c_int64 * 3).in_dll(found["large"].library, "large_labels")
    assert [*table] == models["large"].classes_.tolist()


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_regressors_of_several_values_and_of_quantiles_that_cross(tmp_path, dtype):
    X = rows(dtype)
    models = {
        "several": nnjit.MLPRegressor(hidden_layer_sizes=(5, 4), normalization="batch", **OPTIONS),
        "counts": nnjit.MLPRegressor("poisson", hidden_layer_sizes=(5,), **OPTIONS),
        "crossing": nnjit.MLPRegressor(
            "quantile", hidden_layer_sizes=(9,), quantile=[0.9, 0.1, 0.5], **OPTIONS
        ),
        "bumps": nnjit.RBFRegressor(6, **OPTIONS),
        "search": GridSearchCV(nnjit.MLPRegressor(**OPTIONS), {"hidden_layer_sizes": [(3,)]}, cv=2),
    }
    y = np.random.default_rng(3).uniform(0.5, 2.0, (len(X), 2)).astype(dtype)
    for name, model in models.items():
        model.fit(X, y if name in ("several", "counts", "bumps") else y[:, 0])
    crossed = models["crossing"]._forward(X)[2]
    assert (np.diff(crossed[:, [1, 2, 0]]) < 0).any()  # else the test shows nothing
    for name, one in compiled(tmp_path, models).items():
        expected = models[name].predict(X).reshape(len(X), -1)
        np.testing.assert_allclose(one.predict(X), expected, **BOUNDS[dtype], err_msg=name)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_networks_of_series_and_images_with_the_channels_first_or_last(tmp_path, dtype):
    X, images = series(dtype), np.random.default_rng(2).normal(size=(20, 6, 5, 3)).astype(dtype)
    y, z = classes_of(X, ["a", "b", "c"]), classes_of(images, [0, 1])
    last = np.ascontiguousarray(X.transpose(0, 2, 1))
    models = {
        "series": (nnjit.ConvClassifier(**OPTIONS), X, y),
        "images": (nnjit.ConvClassifier(channels_last=True, **OPTIONS), images, z),
        "states": (nnjit.RecurrentClassifier(5, **OPTIONS), X, y),
        "turned": (nnjit.RecurrentClassifier(5, channels_last=True, **OPTIONS), last, y),
        "values": (nnjit.RecurrentRegressor(4, **OPTIONS), X, np.nansum(X, axis=(1, 2))),
    }
    for model, *given in models.values():
        model.fit(*given)
    for name, one in compiled(tmp_path, {n: model for n, (model, *_) in models.items()}).items():
        model, X, _ = models[name]
        if name == "values":
            np.testing.assert_allclose(one.predict(X)[:, 0], model.predict(X), **BOUNDS[dtype])
            continue
        np.testing.assert_allclose(
            one.predict(X), model.predict_proba(X), **BOUNDS[dtype], err_msg=name
        )
        assert (model.classes_[one.number(X)] == model.predict(X)).all()


def padded(cases, points, behind):
    """Arrays of cases (points, ...) of unequal length in one, `behind` behind their ends."""
    found = np.full((len(cases), points, *np.shape(cases[0])[1:]), behind, cases[0].dtype)
    for one, case in zip(found, cases):
        one[: len(case)] = case
    return found


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_a_target_at_every_point(tmp_path, dtype):
    X = series(dtype)
    labels = np.random.default_rng(0).integers(0, 3, (len(X), 9))
    values = np.random.default_rng(1).normal(size=(len(X), 9, 2)).astype(dtype)
    options = {"targets": "sequence"} | OPTIONS
    models = {
        "labels": nnjit.RecurrentClassifier(4, **options).fit(X, labels),
        "pair": nnjit.RecurrentClassifier(4, **options).fit(X, labels > 0),
        "values": nnjit.RecurrentRegressor(4, **options).fit(X, values),
    }
    found = compiled(tmp_path, models)
    for name in ("labels", "pair"):
        p = padded(models[name].predict_proba(X), 9, np.nan)
        np.testing.assert_allclose(
            found[name].predict(X), p.reshape(len(X), -1), **BOUNDS[dtype], err_msg=name
        )
        numbers = padded([one.astype(int) for one in models[name].predict(X)], 9, -1)
        assert (found[name].numbers(X) == numbers).all()
    expected = padded(models["values"].predict(X), 9, np.nan).reshape(len(X), -1)
    np.testing.assert_allclose(found["values"].predict(X), expected, **BOUNDS[dtype])


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_a_stream_takes_point_after_point(tmp_path, dtype):
    X = series(dtype)[:8]  # of full length
    y, labels = classes_of(X, [0, 1, 2]), np.random.default_rng(0).integers(0, 3, (len(X), 9))
    pooled = [LSTM(4, return_sequences=True), Conv(3, 1, "tanh"), GlobalPool(), Dense(3, "relu")]
    models = {
        "gru": nnjit.RecurrentClassifier(4, cell="gru", **OPTIONS).fit(X, y),
        "mean": nnjit.NetworkClassifier(pooled, **OPTIONS).fit(X, y),
        "max": nnjit.NetworkClassifier([pooled[0], GlobalPool("max")], **OPTIONS).fit(X, y),
        "points": nnjit.RecurrentClassifier(4, targets="sequence", **OPTIONS).fit(X, labels),
        "scaled": make_pipeline(
            nnjit.SeriesScaler(), nnjit.RecurrentClassifier(4, cell="tanh", **OPTIONS)
        ).fit(X, y),
    }
    found = compiled(tmp_path, models)
    for name, one in found.items():
        whole = one.predict(X).reshape(len(X), -1, 3)
        state = np.full(200, 7, dtype)
        for row, expected in zip(X, whole):
            steps = one_series(one, state, row.T)
            if name == "points":
                np.testing.assert_allclose(steps, expected, **BOUNDS[dtype])
            else:
                np.testing.assert_allclose(steps[-1], expected[0], **BOUNDS[dtype], err_msg=name)
    assert "both_step" not in export_c(
        nnjit.RecurrentClassifier(4, bidirectional=True, **OPTIONS).fit(X, y), name="both"
    )


def one_series(model, state, points):
    reset, step = (getattr(model.library, f"{model.name}_{one}") for one in ("reset", "step"))
    at, found = ctypes.c_void_p(state.ctypes.data), np.zeros((len(points), 3), state.dtype)
    reset(at)
    for point, out in zip(np.ascontiguousarray(points), found):
        step(at, ctypes.c_void_p(point.ctypes.data), ctypes.c_void_p(out.ctypes.data))
    return found


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_scalers_and_networks_in_front_of_a_network(tmp_path, dtype):
    X, cases = (300 + 5 * rows(dtype)).astype(dtype), (9 + 4 * series(dtype)).astype(dtype)
    cases = cases.reshape(len(cases), -1)
    y, z, shape = classes_of(X, [0, 1, 2]), classes_of(cases, [0, 1]), {"input_shape": (2, 9)}
    scalers = {
        "standard": StandardScaler(), "centered": StandardScaler(with_std=False),
        "range": MinMaxScaler((-1, 1), clip=True), "largest": MaxAbsScaler(),
        "robust": RobustScaler(), "none": "passthrough",
        "codes": nnjit.AutoEncoder(2, hidden_layer_sizes=(3,), **OPTIONS),
        "hidden": nnjit.HiddenFeatures(nnjit.MLPClassifier((5,), **OPTIONS)),
    }  # fmt: skip
    models = {
        name: make_pipeline(one, nnjit.MLPClassifier((6,), **OPTIONS)).fit(X, y)
        for name, one in scalers.items()
    }
    for per in ("channel", "case"):
        net = nnjit.ConvClassifier(**OPTIONS, **shape)
        models[f"by_{per}"] = make_pipeline(nnjit.SeriesScaler(per=per, **shape), net).fit(cases, z)
    models["only"] = nnjit.HiddenFeatures(nnjit.MLPClassifier((5, 4), **OPTIONS), layer=0).fit(X, y)
    X[:3] += 40  # beyond the range
    cases[0, :9] = 0.1  # a channel that is constant
    for name, one in compiled(tmp_path, models).items():
        given, model = cases if name.startswith("by") else X, models[name]
        expected = model.transform(X) if name == "only" else model.predict_proba(given)
        bounds = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else BOUNDS[dtype]
        np.testing.assert_allclose(one.predict(given), expected, **bounds, err_msg=name)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_autoencoders_give_back_rows_codes_and_outliers(tmp_path, dtype):
    X, cases = np.abs(rows(dtype)) / 9, series(dtype)
    last = np.ascontiguousarray(cases.transpose(0, 2, 1))
    models = {
        "tied": (nnjit.AutoEncoder(2, hidden_layer_sizes=(5,), tied=True, **OPTIONS), X),
        "several": (nnjit.AutoEncoder(2, hidden_layer_sizes=(5,), n_members=3, **OPTIONS), X),
        "series": (nnjit.AutoEncoder(2, layers=[Conv(3, 3), GlobalPool()], **OPTIONS), cases),
        "last": (nnjit.AutoEncoder(2, channels_last=True, input_shape=(9, 2), **OPTIONS), last),
    }
    for model, given in models.values():
        model.fit(given)
    for name, one in compiled(tmp_path, {n: model for n, (model, _) in models.items()}).items():
        model, given = models[name]
        back = model.reconstruct(given).reshape(len(given), -1)
        np.testing.assert_allclose(one.predict(given), back, **BOUNDS[dtype], err_msg=name)
        codes = model.transform(given)
        np.testing.assert_allclose(one.of_rows("encode", given, 2), codes, **BOUNDS[dtype])
        decoded = one.of_rows("decode", codes, one.macro("N_OUTPUTS"))
        np.testing.assert_allclose(decoded, model.inverse_transform(codes), **BOUNDS[dtype])
        scores = one.number(given, "score", ctypes.c_double)
        np.testing.assert_allclose(scores, model.score_samples(given), rtol=1e-4)
        certain = np.abs(model.decision_function(given)) > 1e-4  # one row may be the offset
        assert (one.number(given) == model.predict(given))[certain].all(), name
        assert certain.sum() >= len(given) - 1
        assert {*one.number(given)} == {-1, 1}


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_maps_find_the_nearest_unit_with_values_missing(tmp_path, dtype):
    X = rows(dtype, 80)
    X[::5, 1] = np.nan
    models = {
        "units": nnjit.SelfOrganizingMap((3, 4), max_iter=3),
        "angles": nnjit.SelfOrganizingMap((3, 4), metric="cosine", max_iter=3),
        "segments": nnjit.SelfOrganizingMap((4, 4), n_clusters=3, max_iter=3),
        "scaled": make_pipeline(RobustScaler(), nnjit.SelfOrganizingMap((3, 3), max_iter=3)),
    }
    for model in models.values():
        model.fit(X)
    for name, one in compiled(tmp_path, models).items():
        model = models[name]
        distances = model.transform(X)
        np.testing.assert_allclose(one.predict(X), distances, rtol=1e-4, atol=1e-5, err_msg=name)
        assert (one.number(X) == model.predict(X)).all(), name
        assert (one.number(X, "unit") == distances.argmin(axis=1)).mean() > 0.95


def table():
    X = np.random.default_rng(0).normal(size=(60, 6))
    X[:, 1] = np.where(X[:, 1] > 0, 4.0, 9.0)  # two values
    X[:, 2] = 3.0  # constant
    X[::7, 3] = np.nan
    X[:, 4] *= 1e6
    return X


def test_tables_of_numbers(tmp_path):
    X = table()
    y, values = classes_of(X, ["a", "b", "c"]), np.nansum(X, axis=1)
    two = np.column_stack([classes_of(X, [0, 1, 2]), classes_of(X, [5, 6, 7], 3)])
    bits = np.random.default_rng(0).integers(0, 2, (len(X), 3))
    sizes = {"hidden_layer_sizes": (17, 12), "max_iter": 3, "random_state": 0}
    options = {"preset": "fast", "n_members": 2} | sizes
    models = {
        "three": nnjit.TabularClassifier(**options).fit(X, y),
        "two": nnjit.TabularClassifier(**options).fit(X, y == "a"),
        "single": nnjit.TabularClassifier(**options).fit(X, np.zeros(len(X), int)),
        "bits": nnjit.TabularClassifier(**options).fit(X, bits),
        "columns": nnjit.TabularClassifier(**options).fit(X, two),
        "value": nnjit.TabularRegressor(**options).fit(X, values),
        "quantiles": nnjit.TabularRegressor(**options, quantile=[0.9, 0.1, 0.5]).fit(X, values),
        "best": nnjit.TabularRegressor("best", n_members=1, **sizes).fit(X, values),
    }
    X[0, 0], X[1, 0], X[2] = np.inf, -np.inf, np.nan
    found = compiled(tmp_path, models)
    for name, one in found.items():
        assert one.dtype == np.float64
        model = models[name]
        values = hasattr(model, "classes_")
        expected = model.predict_proba(X) if values else model.predict(X)
        expected = np.hstack(expected) if isinstance(expected, list) else expected
        expected = expected.reshape(len(X), -1)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            one.predict(X) / scale, expected / scale, rtol=1e-5, atol=3e-6, err_msg=name
        )
    for name in ("three", "two", "single"):
        assert (models[name].classes_[found[name].number(X)] == models[name].predict(X)).all()


def test_a_table_of_something_else_than_numbers_is_refused_by_the_name_of_its_column():
    X = np.empty((40, 2), object)
    X[:, 0], X[:, 1] = np.arange(40.0) % 7, ["x", "y"] * 20
    model = nnjit.TabularClassifier("fast", max_iter=1, n_members=1).fit(X, X[:, 1])
    with pytest.raises(ValueError, match="only tables of numbers have C"):
        export_c(model)
