"""Scaling of series and images, by channel or each case by itself."""

import pickle

import numpy as np
import pytest
from cases import FlatClassifier, ragged, saved, series
from problems import quietly
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from nnjit import SeriesScaler


def flat(X):
    return X.reshape(len(X), -1)


def by_the_definition(X, axes):
    """X, of shape (cases, channels, ...), less its mean and divided by its standard deviation."""
    mean, deviation = (f(X, axis=axes, keepdims=True) for f in (np.nanmean, np.nanstd))
    return (X - mean) / deviation


@parametrize_with_checks([SeriesScaler(), SeriesScaler("case")])
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("per, axes", [("channel", (0, 2)), ("case", (2,))])
@pytest.mark.parametrize("dtype, error", [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_it_does_what_the_definition_says(per, axes, dtype, error):
    X, _, _ = ragged(n=700, time=50, dtype=dtype)  # more than one block
    X = X * np.array([[1], [20], [0.01]], dtype) + np.array([[0], [5], [-3]], dtype)
    scaled = SeriesScaler(per).fit_transform(X)
    assert scaled.dtype == dtype and scaled.shape == X.shape
    expected = by_the_definition(X.astype(float), axes)
    np.testing.assert_allclose(scaled, expected, atol=error * 10, rtol=error)


def test_one_channel_of_one_point_is_what_the_standard_scaler_does():
    X = np.random.default_rng(0).normal(3, 2, size=(200, 6))
    channels = X[:, :, np.newaxis]
    scaler, peer = SeriesScaler().fit(channels), StandardScaler().fit(X)
    np.testing.assert_allclose(scaler.mean_, peer.mean_)
    np.testing.assert_allclose(scaler.var_, peer.var_)
    np.testing.assert_allclose(scaler.transform(X), peer.transform(X))
    np.testing.assert_allclose(scaler.inverse_transform(X), peer.inverse_transform(X))


@pytest.mark.parametrize("per", ["channel", "case"])
def test_what_comes_out_has_the_form_of_what_went_in(per):
    X, listed, _ = ragged()
    scaler = SeriesScaler(per)
    expected = scaler.fit_transform(X)
    assert np.isnan(expected).sum() == np.isnan(X).sum()
    rows = SeriesScaler(per, input_shape=(3, 7)).fit_transform(flat(X))
    np.testing.assert_array_equal(rows, flat(expected))
    objects = np.empty(len(listed), object)
    objects[:] = listed
    for form in (listed, objects):
        series_ = SeriesScaler(per).fit_transform(form)
        assert isinstance(series_, list)
        for one, given, row in zip(series_, listed, expected):
            assert one.shape == given.shape
            np.testing.assert_array_equal(one, row[:, : one.shape[1]])
    np.testing.assert_array_equal(SeriesScaler(per).fit_transform(list(X)), expected)


@pytest.mark.parametrize("per", ["channel", "case"])
def test_channels_may_come_last(per):
    X, listed, _ = ragged()
    expected = SeriesScaler(per).fit_transform(X).transpose(0, 2, 1)
    last = X.transpose(0, 2, 1)
    found = SeriesScaler(per, channels_last=True).fit_transform(last)
    np.testing.assert_array_equal(found, expected)
    rows = SeriesScaler(per, channels_last=True, input_shape=(7, 3))
    np.testing.assert_array_equal(rows.fit_transform(flat(last)), flat(expected))
    assert rows.input_shape_ == (3, 7)
    turned = SeriesScaler(per, channels_last=True).fit_transform([one.T for one in listed])
    for one, row, given in zip(turned, expected, listed):
        assert one.shape == given.T.shape
        np.testing.assert_array_equal(one, row[: len(one)])


def test_series_of_one_channel_need_no_axis_for_it():
    X, listed, _ = ragged(channels=1)
    expected = SeriesScaler().fit_transform(X)
    np.testing.assert_array_equal(SeriesScaler().fit_transform(X[:, 0]), expected[:, 0])
    scaled = SeriesScaler().fit_transform([one[0] for one in listed])
    for one, row in zip(scaled, expected[:, 0]):
        np.testing.assert_array_equal(one, row[: len(one)])


@pytest.mark.parametrize("per, axes", [("channel", (0, 2, 3)), ("case", (2, 3))])
def test_images(per, axes):
    X = np.random.default_rng(0).normal(4, 3, size=(30, 2, 4, 5))
    expected = by_the_definition(X, axes)
    np.testing.assert_allclose(SeriesScaler(per).fit_transform(X), expected)
    last = SeriesScaler(per, channels_last=True).fit_transform(X.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(last, expected.transpose(0, 2, 3, 1))
    rows = SeriesScaler(per, input_shape=(2, 4, 5)).fit_transform(flat(X))
    np.testing.assert_allclose(rows, flat(expected))
    grey = SeriesScaler(per, input_shape=(1, 4, 5)).fit_transform(X[:, 0])
    np.testing.assert_allclose(grey, by_the_definition(X[:, :1], axes)[:, 0])
    square = X[:, :1, :, :4]
    scaled = SeriesScaler(per, input_shape=(4, 4)).fit_transform(flat(square))
    np.testing.assert_allclose(scaled, flat(by_the_definition(square, axes)))


@pytest.mark.parametrize("value", [0.0, 0.1, -1e9, 1e-30])
@pytest.mark.parametrize("per", ["channel", "case"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_channel_becomes_zero(per, value, dtype):
    X, _ = series(dtype=dtype)
    X[:, 1] = value
    scaled = SeriesScaler(per).fit_transform(X)
    # a mean of equal numbers is rounded
    assert np.abs(scaled[:, 1]).max() <= 8 * np.finfo(np.float64).eps * abs(value)
    assert np.isfinite(scaled).all()
    if per == "channel":
        assert SeriesScaler().fit(X).scale_[1] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_inverse_gives_back_what_there_was(dtype):
    X, listed, _ = ragged(dtype=dtype)
    scaler = SeriesScaler().fit(X)
    back = scaler.inverse_transform(scaler.transform(X))
    assert back.dtype == dtype
    np.testing.assert_allclose(back, X, rtol=1e-5, atol=1e-6)
    for one, given in zip(scaler.inverse_transform(scaler.transform(listed)), listed):
        np.testing.assert_allclose(one, given, rtol=1e-5, atol=1e-6)
    assert not hasattr(SeriesScaler("case").fit(X), "inverse_transform")


def test_parts_one_after_the_other_give_what_all_together_give():
    X, listed, _ = ragged(n=90)
    whole, parts = SeriesScaler().fit(X), SeriesScaler()
    for start in range(0, 90, 30):
        parts.partial_fit(listed[start : start + 30])
    for name in ("mean_", "var_", "scale_"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-12)
    np.testing.assert_array_equal(parts.n_points_seen_, whole.n_points_seen_)
    again = parts.fit(X[:5])
    np.testing.assert_array_equal(again.mean_, SeriesScaler().fit(X[:5]).mean_)


def test_a_far_mean_costs_no_precision():
    X, _ = series(n=400)
    near, far = SeriesScaler().fit(X), SeriesScaler().fit(X + 1e8)
    np.testing.assert_allclose(far.var_, near.var_, rtol=1e-6)


def test_series_of_other_lengths_than_in_the_fit_are_scaled():
    X, _ = series()
    scaler = SeriesScaler().fit(X)
    longer = np.concatenate([X, X], axis=2)
    np.testing.assert_array_equal(scaler.transform(longer)[:, :, :7], scaler.transform(X))
    np.testing.assert_array_equal(scaler.transform(X[:, :, :2]), scaler.transform(X)[:, :, :2])


@pytest.mark.parametrize(
    "X, message",
    [
        (np.zeros((2, 20)), "X has 20 features, but SeriesScaler is expecting 21 features"),
        (np.zeros((2, 2, 7)), r"X has cases of shape \(2, 7\), but the scaler is for \(3, 7\)"),
        (np.zeros((2, 3, 7, 1)), r"X has cases of shape \(3, 7, 1\), but the scaler is for"),
        ([np.zeros((2, 7)), np.zeros((2, 3))], "but the scaler is for"),
        (np.full((2, 3, 7), np.inf), "Input X contains infinity .*: case 0"),
        ([np.zeros((3, 7)), np.zeros((3, 0))], "Case 1 of X has no point"),
    ],
)
def test_what_does_not_fit_is_refused(X, message):
    scaler = SeriesScaler().fit(series()[0])
    before = pickle.dumps(scaler)
    for method in (scaler.transform, scaler.inverse_transform, scaler.partial_fit):
        with pytest.raises(ValueError, match=message):
            method(X)
    assert pickle.dumps(scaler) == before


def test_nan_inside_a_series_is_named():
    X, _ = series()
    X[4, 1, 2] = np.nan
    for form, parameters in (
        (X, {}),
        (flat(X), {"input_shape": (3, 7)}),
        (X.transpose(0, 2, 1), {"channels_last": True}),
    ):
        with pytest.raises(ValueError, match="NaN: case 4; channel 1 has it at point 2 of 7"):
            SeriesScaler(**parameters).fit(form)


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="The 'per' parameter of SeriesScaler must be"):
        SeriesScaler("point").fit(series()[0])
    with pytest.raises(ValueError, match="X has 21 features, but input_shape is of 20"):
        SeriesScaler(input_shape=(4, 5)).fit(flat(series()[0]))
    with pytest.raises(NotFittedError):
        SeriesScaler().transform(series()[0])
    with pytest.raises(NotFittedError):
        SeriesScaler("case").transform(series()[0])


def test_names_and_frames():
    pandas = pytest.importorskip("pandas")
    X, _ = series()
    frame = pandas.DataFrame(flat(X), columns=[f"v{k}" for k in range(21)])
    scaler = SeriesScaler(input_shape=(3, 7)).set_output(transform="pandas").fit(frame)
    scaled = scaler.transform(frame)
    assert list(scaled) == list(frame) == list(scaler.get_feature_names_out())
    np.testing.assert_array_equal(scaled, flat(SeriesScaler().fit_transform(X)))
    assert list(SeriesScaler().fit(X).get_feature_names_out())[:2] == ["x0", "x1"]


def test_clones_and_pickles():
    scaler = SeriesScaler("channel", input_shape=(3, 7), channels_last=False)
    assert clone(scaler).get_params() == scaler.get_params()
    X, _ = series()
    loaded = pickle.loads(pickle.dumps(scaler.fit(X)))
    np.testing.assert_array_equal(loaded.transform(X), scaler.transform(X))


@pytest.mark.parametrize("form", ["list", "array", "rows"])
def test_in_a_pipeline_with_a_network(form):
    X, listed, y = ragged(n=60)
    data = {"list": listed, "array": X, "rows": flat(X)}[form]
    shape = {"input_shape": (3, 7)}
    network = FlatClassifier(max_iter=5, random_state=0, **shape)
    model = make_pipeline(SeriesScaler(**shape), network)
    expected = clone(network)
    quietly(expected.fit, SeriesScaler().fit_transform(X), y)
    quietly(model.fit, data, y)
    np.testing.assert_array_equal(model[-1].coefs_, expected.coefs_)
    assert quietly(cross_val_predict, model, data, y, cv=3).shape == y.shape
    grid = GridSearchCV(model, {"seriesscaler__per": ["channel", "case"]}, cv=3)
    assert quietly(grid.fit, data, y).predict(data).shape == y.shape


def test_japanese_vowels():
    data = saved("japanese_vowels.npz")
    X = data["X"]
    scaled = SeriesScaler().fit_transform(X)
    np.testing.assert_allclose(scaled, by_the_definition(X, (0, 2)), atol=1e-12)
    listed = [one[:, :n] for one, n in zip(X, data["lengths"])]
    for one, row in zip(SeriesScaler().fit_transform(listed), scaled):
        np.testing.assert_allclose(one, row[:, : one.shape[1]], atol=1e-12)
