"""Series cut into windows, and predicted step by step."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnjit import MLPRegressor, RecurrentRegressor
from nnjit.forecasting import forecast, windows


def channels(n=30):
    time = np.arange(n)
    return np.column_stack([np.sin(time / 3), np.cos(time / 3)])


@pytest.mark.parametrize("length", [1, 4, 7])
@pytest.mark.parametrize("ahead, stride", [(1, 1), (1, 3), (2, 1), (3, 2)])
def test_windows_are_slices_and_what_follows_them(length, ahead, stride):
    series = np.random.default_rng(0).standard_normal(20)
    X, y = windows(series, length, ahead=ahead, stride=stride)
    starts = range(0, 20 - length - ahead + 1, stride)
    assert X.shape == (len(starts), length)
    for i, start in enumerate(starts):
        np.testing.assert_array_equal(X[i], series[start : start + length])
        np.testing.assert_array_equal(
            np.atleast_1d(y[i]), series[start + length : start + length + ahead]
        )
    assert y.shape == ((len(starts),) if ahead == 1 else (len(starts), ahead))


def test_windows_of_channels_have_the_channels_first():
    series = channels()
    X, y = windows(series, 5)
    assert X.shape == (25, 2, 5) and y.shape == (25, 2)
    np.testing.assert_array_equal(X[3], series[3:8].T)
    np.testing.assert_array_equal(y[3], series[8])
    X, y = windows(series, 5, target=1, ahead=2)
    np.testing.assert_array_equal(y[3], series[8:10, 1])
    assert X.shape == (24, 2, 5)
    frame = pd.DataFrame(series, columns=["sine", "cosine"])
    np.testing.assert_array_equal(windows(frame, 5, target="cosine")[1], series[5:, 1])


def test_windows_keep_float32_and_are_copies():
    series = np.arange(9, dtype=np.float32)
    X, y = windows(series, 3)
    assert X.dtype == y.dtype == np.float32
    X[:], y[:] = -1, -1
    assert series.min() == 0
    assert windows([1, 2, 3, 4], 2)[0].dtype == np.float64


@pytest.mark.parametrize(
    "given, message",
    [
        ({"series": np.zeros((2, 2, 2)), "length": 1}, r"got \(2, 2, 2\)"),
        ({"series": [], "length": 1}, "A series has the shape"),
        ({"series": [1.0, np.nan, 2.0], "length": 1}, "first at point 1"),
        ({"series": np.arange(5.0), "length": 5}, "has 5 points"),
        ({"series": np.arange(5.0), "length": 0}, "length is an int of at least 1"),
        ({"series": np.arange(5.0), "length": 2, "ahead": True}, "ahead is an int"),
        ({"series": np.arange(5.0), "length": 2, "stride": 1.5}, "stride is an int"),
        ({"series": channels(), "length": 2, "ahead": 2}, "needs a target"),
        ({"series": channels(), "length": 2, "target": 2}, "no channel of a series of 2"),
        ({"series": channels(), "length": 2, "target": "sine"}, "no channel"),
    ],
)
def test_what_is_no_series_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        windows(**given)


@pytest.mark.parametrize("ahead", [1, 4])
def test_a_forecast_goes_on_from_its_own_predictions(ahead):
    series = np.sin(np.arange(100) / 4)
    model = LinearRegression().fit(*windows(series, 12, ahead=ahead))
    past, wanted = list(series), []
    while len(wanted) < 10:
        points = model.predict([past[-12:]]).ravel()
        wanted += list(points)
        past += list(points)
    np.testing.assert_allclose(forecast(model, series, 10), wanted[:10], rtol=1e-10)
    np.testing.assert_allclose(wanted[:10], np.sin(np.arange(100, 110) / 4), atol=1e-8)


class Rotation(RegressorMixin, BaseEstimator):
    """Knows how the two channels go on."""

    def fit(self, X, y):
        self.n_features_in_, self.one = X[0].size, y.ndim == 1
        return self

    def predict(self, X):
        turn = np.array([[np.cos(1 / 3), np.sin(1 / 3)], [-np.sin(1 / 3), np.cos(1 / 3)]])
        following = X[:, :, -1] @ turn.T
        return following[:, 1] if self.one else following


def test_all_channels_or_one_with_the_others_known():
    series, behind = channels(40)[:30], channels(40)[30:]
    model = Rotation().fit(*windows(series, 6))
    np.testing.assert_allclose(forecast(model, series, 10), behind)
    model = Rotation().fit(*windows(series, 6, target=1))
    found = forecast(model, series, 10, target=1, future=behind)
    np.testing.assert_allclose(found, behind[:, 1])
    np.testing.assert_array_equal(found, forecast(model, series, 10, target=1, future=behind[:9]))
    hidden = np.column_stack([behind[:, 0], np.full(10, np.nan)])
    np.testing.assert_array_equal(found, forecast(model, series, 10, target=1, future=hidden))
    np.testing.assert_array_equal(found[:1], forecast(model, series, 1, target=1))


def test_forecasts_that_do_not_fit_are_refused():
    series = channels()
    model = Rotation().fit(*windows(series, 6, target=1))
    with pytest.raises(ValueError, match=r"need `future`.*\(4, 2\) at least, got \(3, 2\)"):
        forecast(model, series, 5, target=1, future=series[:3])
    with pytest.raises(ValueError, match="need `future`"):
        forecast(model, series, 5, target=1)
    with pytest.raises(ValueError, match="give the target"):
        forecast(model, series, 5)
    with pytest.raises(ValueError, match="all channels are predicted"):
        forecast(model, series, 5, future=series)
    with pytest.raises(ValueError, match="has 4 points, but the model's windows 6"):
        forecast(model, series[:4], 5, target=1, future=series)
    with pytest.raises(ValueError, match="steps is an int"):
        forecast(model, series, 0, target=1)
    with pytest.raises(ValueError, match="12 features, but the series has 5 channels"):
        forecast(model, np.zeros((20, 5)), 3)


def test_networks_and_pipelines_forecast():
    series = np.sin(np.arange(120) / 4)
    X, y = windows(series, 16)
    given = {"random_state": 0, "learning_rate_init": 0.01, "max_iter": 150}
    models = {
        "recurrent": RecurrentRegressor(8, **given),
        "scaled": make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(10,), **given)),
    }
    for name, model in models.items():
        found = forecast(model.fit(X, y), series, 5)
        error = np.abs(found - np.sin(np.arange(120, 125) / 4)).max()
        assert error < 0.2, name


@pytest.mark.parametrize(
    "model", [RecurrentRegressor(4), make_pipeline(StandardScaler(), LinearRegression())]
)
def test_a_model_without_a_fit_is_refused_as_such(model):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        forecast(model, np.arange(9.0), 2)
