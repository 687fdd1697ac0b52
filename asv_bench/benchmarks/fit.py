"""Whole fits, as a user calls them, compile time apart."""

import warnings

import numpy as np

import nnjit
from nnjit.formulas import hidden_activations

from .cases import CASES, estimator, make_data


class _Quiet:
    """Epochs are fixed on purpose, so ConvergenceWarning is expected."""

    def fit(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.model.fit(self.X, self.y)


class Fit(_Quiet):
    """The seven cases in both precisions."""

    params = (list(CASES), ["float32", "float64"])
    param_names = ("case", "dtype")
    timeout = 300

    def setup(self, name, dtype):
        self.X, self.y = make_data(CASES[name], dtype)
        self.model = estimator(nnjit, CASES[name])
        self.fit()

    def time_fit(self, name, dtype):
        self.fit()

    def peakmem_fit(self, name, dtype):
        self.fit()


class Activation(_Quiet):
    """What the activations cost beside ReLU."""

    params = (list(hidden_activations()), ["float32", "float64"])
    param_names = ("activation", "dtype")

    def setup(self, activation, dtype):
        case = CASES["20640x8, 64-64, 64"]
        self.X, self.y = make_data(case, dtype)
        self.model = estimator(nnjit, case, activation=activation)
        self.fit()

    def time_fit(self, activation, dtype):
        self.fit()


class Dropout(_Quiet):
    """What dropout behind both hidden layers costs beside none."""

    params = ([0.0, 0.2, 0.5], ["float32", "float64"])
    param_names = ("dropout", "dtype")
    timeout = 300

    def setup(self, dropout, dtype):
        case = CASES["10000x784, 512-512, 128"]
        self.X, self.y = make_data(case, dtype)
        self.model = estimator(nnjit, case, dropout=dropout)
        self.fit()

    def time_fit(self, dropout, dtype):
        self.fit()


class Layers(_Quiet):
    """What normalization and residual layers cost beside dense ones."""

    params = (["plain", "batch", "layer", "residual"], ["float32", "float64"])
    param_names = ("layers", "dtype")

    def setup(self, layers, dtype):
        options = {
            "plain": {},
            "batch": {"normalization": "batch"},
            "layer": {"normalization": "layer"},
            "residual": {"residual": True},
        }
        case = CASES["20640x8, 64-64, 64"]
        self.X, self.y = make_data(case, dtype)
        self.model = estimator(nnjit, case, **options[layers])
        self.fit()

    def time_fit(self, layers, dtype):
        self.fit()


class Solver(_Quiet):
    """Digits-sized fits with each solver."""

    params = ["adam", "sgd", "lbfgs", "adamw", "rmsprop", "lion", "adagrad"]
    param_names = ("solver",)

    def setup(self, solver):
        case = CASES["1797x64, 100, 200"]
        self.X, self.y = make_data(case, "float64")
        self.model = estimator(nnjit, case, solver=solver)
        self.fit()

    def time_fit(self, solver):
        self.fit()


class SolverOption(_Quiet):
    """What solvers and options cost beside plain Adam where the parameters are many."""

    _OPTIONS = {
        "adam": {}, "adamw": {"solver": "adamw"}, "amsgrad": {"amsgrad": True},
        "clip_norm": {"clip_norm": 1.0}, "average": {"average": 0.999},
    }  # fmt: skip
    params = list(_OPTIONS)
    param_names = ("option",)
    timeout = 300

    def setup(self, option):
        case = CASES["10000x784, 512-512, 128"]
        self.X, self.y = make_data(case, "float32")
        self.model = estimator(nnjit, case, **self._OPTIONS[option])
        self.fit()

    def time_fit(self, option):
        self.fit()


class LateEpoch:
    """An epoch after few and after many, where half of the columns have never been anything but 0.

    Their weights decay by the penalty, and the moments with them, to where numbers are subnormal.
    """

    params = ([3, 300], ["adam", "adamw", "rmsprop"])
    param_names = ("epochs", "solver")
    timeout = 300

    def setup(self, epochs, solver):
        case = CASES["1797x64, 100, 200"]
        self.X, self.y = make_data(case, "float32")
        self.X[:, ::2] = 0
        self.model = estimator(nnjit, case, solver=solver)
        for _ in range(epochs):
            self.model.partial_fit(self.X, self.y, classes=np.unique(self.y))

    def time_epoch(self, epochs, solver):
        self.model.partial_fit(self.X, self.y)


class Sparse(_Quiet):
    """20000 x 5000 in CSR, 1% of it filled, hidden 100, two epochs."""

    params = ["float32", "float64"]
    param_names = ("dtype",)
    timeout = 300

    def setup(self, dtype):
        import scipy.sparse

        # One value in every 100 columns; scipy.sparse.random would need more memory than the fit.
        rng = np.random.default_rng(0)
        columns = 100 * np.arange(50) + rng.integers(0, 100, (20000, 50))
        values = rng.random(columns.size, dtype=dtype)
        starts = np.arange(0, columns.size + 1, 50)
        self.X = scipy.sparse.csr_matrix((values, columns.ravel(), starts), shape=(20000, 5000))
        self.y = rng.integers(0, 2, 20000)
        self.model = nnjit.MLPClassifier((100,), max_iter=2, random_state=0)
        self.fit()

    def time_fit(self, dtype):
        self.fit()

    def peakmem_fit(self, dtype):
        self.fit()


class Score(_Quiet):
    """Accuracy on digits: a fast fit that learns nothing is no gain."""

    params = (["adam", "sgd", "lbfgs"], ["float32", "float64"])
    param_names = ("solver", "dtype")
    unit = "accuracy"

    def setup(self, solver, dtype):
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        X, y = load_digits(return_X_y=True)
        X = (X / 16).astype(dtype)
        self.X, self.X_test, self.y, self.y_test = train_test_split(
            X, y, test_size=0.25, stratify=y, random_state=0
        )
        self.model = nnjit.MLPClassifier(solver=solver, max_iter=100, random_state=0)

    def track_score(self, solver, dtype):
        return self.fit().score(self.X_test, self.y_test)

    track_score.unit = "accuracy"
