"""One long series: training in windows, its memory, predictions, and one point after the other."""

import numpy as np

from nnjit import NetworkRegressor
from nnjit.layers import GRU

STEPS, TRUNCATE = 1_000_000, 100
POINTS = 1000


def _model(units, steps, max_iter=1):
    layers = [GRU(units, return_sequences=True, truncate=TRUNCATE)]
    return NetworkRegressor(
        layers, targets="sequence", input_shape=(steps,), max_iter=max_iter, tol=1.0, random_state=0
    )


def _series(steps, dtype):
    x = np.random.default_rng(0).normal(size=(1, steps)).astype(dtype)
    return x, np.roll(np.tanh(x), 1, axis=1)


class LongSeries:
    """An epoch over a series of 1,000,000 steps, an update each 100, and its prediction."""

    params = ([16, 32], ["float32", "float64"])
    param_names = ("units", "dtype")
    timeout = 300

    def setup(self, units, dtype):
        _model(units, 1000).fit(*_series(1000, dtype))  # compiles
        self.x, self.y = _series(STEPS, dtype)
        self.model = _model(units, STEPS)
        self.fitted = _model(units, 1000).fit(*_series(1000, dtype))

    def time_fit(self, units, dtype):
        self.model.fit(self.x, self.y)

    def peakmem_fit(self, units, dtype):
        self.model.fit(self.x, self.y)

    def time_predict(self, units, dtype):
        self.fitted.predict(self.x[:, np.newaxis])

    def peakmem_predict(self, units, dtype):
        self.fitted.predict(self.x[:, np.newaxis])


class Stream:
    """Points of 12 channels that come one after the other; 1000 of them."""

    params = (["float32", "float64"],)
    param_names = ("dtype",)

    def setup(self, dtype):
        X = np.random.default_rng(0).normal(size=(32, 12, 20)).astype(dtype)
        layers = [GRU(32, return_sequences=True)]
        model = NetworkRegressor(layers, targets="sequence", max_iter=1, random_state=0)
        self.stream = model.fit(X, X[:, 0]).predict_stream()
        self.points = list(np.ascontiguousarray(X[0].T)) * (POINTS // 20)

    def time_1000_points(self, dtype):
        for point in self.points:
            self.stream.predict(point)
