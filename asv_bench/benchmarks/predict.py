"""Prediction of one row and of many."""

import warnings

import numpy as np

import nnjit


class Predict:
    """`predict_proba` of a 64-100-10 network."""

    params = ([1, 200, 200000], ["float32", "float64"])
    param_names = ("rows", "dtype")

    def setup(self, rows, dtype):
        rng = np.random.default_rng(0)
        self.X = rng.standard_normal((rows, 64)).astype(dtype)
        X = rng.standard_normal((1000, 64)).astype(dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = nnjit.MLPClassifier((100,), max_iter=1, random_state=0)
            self.model = model.fit(X, np.arange(1000) % 10)
        self.model.predict_proba(self.X)

    def time_predict_proba(self, rows, dtype):
        self.model.predict_proba(self.X)

    def peakmem_predict_proba(self, rows, dtype):
        self.model.predict_proba(self.X)
