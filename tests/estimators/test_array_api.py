"""Arrays of other libraries under scikit-learn's `array_api_dispatch`.

It can only be switched on in a process that set SCIPY_ARRAY_API before it imported SciPy.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy
import sklearn

import nnjit
from nnjit.estimators._device import is_dispatched, to_host


class Foreign:
    """An array of a library that has nothing but the protocol."""

    def __init__(self, values):
        self.values = np.asarray(values)
        self.dtype, self.shape, self.ndim = self.values.dtype, self.values.shape, self.values.ndim
        self.device = "cpu"

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)

    def __array_namespace__(self, api_version=None):
        return ForeignNamespace

    def __len__(self):
        return len(self.values)


class ForeignNamespace:
    """Its functions; the rest of the standard is not needed."""

    __name__ = "foreign"

    @staticmethod
    def asarray(values, device=None):
        assert device in (None, "cpu")
        return Foreign(values)


LIBRARIES = ["foreign", "torch", "array_api_strict"]


def namespace(library):
    return ForeignNamespace if library == "foreign" else importlib.import_module(library)


def host(array):
    return np.asarray(array)


@pytest.mark.parametrize("library", LIBRARIES)
def test_in_a_process_with_dispatch(library):
    if library != "foreign" and importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    if tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 14):
        pytest.skip("scikit-learn wants SciPy 1.14 for this")
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            f"import test_array_api as t; t.check_library({library!r})",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "SCIPY_ARRAY_API": "1",
            "PYTHONPATH": os.pathsep.join(
                [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
            ).rstrip(os.pathsep),
        },
    )
    assert done.returncode == 0, done.stderr


def check_library(library):
    """All checks on one library; called in a process of its own."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((60, 3))
    targets = {
        "binary": (X[:, 0] > 0).astype(np.int64),
        "booleans": X[:, 0] > 0,
        "multiclass": X.argmax(axis=1),
        "multilabel": (X > 0).astype(np.int64),
        "text": np.array(["a", "b"])[(X[:, 0] > 0).astype(int)],
        "regression": X[:, 0],
        "multioutput": X * 2,
    }
    with sklearn.config_context(array_api_dispatch=True):
        for name, y in targets.items():
            for parameters in ({}, {"early_stopping": True}, {"solver": "lbfgs"}):
                check_problem(library, name, X, y, parameters)
        check_partial_fit(namespace(library), X, targets["multiclass"])
        check_errors(namespace(library), X)


def check_problem(library, name, X, y, parameters):
    xp = namespace(library)
    regression = name in ("regression", "multioutput")
    cls = nnjit.MLPRegressor if regression else nnjit.MLPClassifier
    weight = np.linspace(0.5, 1, len(X))
    theirs = [xp.asarray(X), y if name == "text" else xp.asarray(y), xp.asarray(weight)]
    networks = []
    for data in (theirs, [X, y, weight]):
        model = cls(hidden_layer_sizes=(4,), max_iter=5, random_state=0, **parameters)
        model.fit(*data)
        networks.append(model)
    model, expected = networks
    assert type(model.coefs_[0]) is np.ndarray
    assert [model.score(*theirs), model.score(theirs[0], y)] == [
        expected.score(X, y, weight),
        expected.score(X, y),
    ]
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(model, method):
            result, numbers = getattr(model, method)(theirs[0]), getattr(expected, method)(X)
            np.testing.assert_array_equal(host(result), numbers)
            if not (name == "text" and method == "predict"):
                assert type(result) is type(theirs[0])
            assert type(getattr(model, method)(X)) is np.ndarray
    single = model.fit(xp.asarray(X.astype(np.float32)), theirs[1])
    assert single.coefs_[0].dtype == np.float32


def check_partial_fit(xp, X, y):
    model, expected = (nnjit.MLPClassifier((4,), random_state=0) for _ in "ab")
    for _ in range(2):
        model.partial_fit(xp.asarray(X), xp.asarray(y), classes=xp.asarray([0, 1, 2]))
        expected.partial_fit(X, y, classes=np.arange(3))
    np.testing.assert_array_equal(
        host(model.predict_proba(xp.asarray(X))), expected.predict_proba(X)
    )
    assert type(model.classes_) is np.ndarray


def check_errors(xp, X):
    model = nnjit.MLPClassifier(max_iter=2).fit(xp.asarray(X), xp.asarray(X[:, 0] > 0))
    for call, words in [
        (lambda: model.predict(xp.asarray(X * np.nan)), "Input X contains NaN"),
        (lambda: model.predict(xp.asarray(X[:, :2])), "X has 2 features, but MLPClassifier"),
        (lambda: model.fit(xp.asarray(X[:, 0]), xp.asarray(X[:, 0] > 0)), "Expected 2D array"),
        (lambda: model.fit(xp.asarray(X), xp.asarray(X[:, 0])), "Unknown label type: continuous"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_arrays_are_left_to_scikit_learn_without_dispatch():
    array = Foreign(np.arange(3.0))
    assert not is_dispatched(array)
    assert to_host(array) is array
    X = np.random.RandomState(0).standard_normal((20, 2))
    with sklearn.config_context(array_api_dispatch=False):
        model = nnjit.MLPRegressor(max_iter=2).fit(Foreign(X), X[:, 0])
    assert type(model.predict(Foreign(X))) is np.ndarray


class Tensor:
    """What matters of a PyTorch tensor that keeps a gradient, in a type that NumPy lacks."""

    __cuda_array_interface__ = {"shape": (2,)}

    def __init__(self, values, steps=()):
        self.values, self.steps = values, steps

    def _after(self, step):
        return Tensor(self.values, (*self.steps, step))

    def detach(self):
        return self._after("detach")

    def cpu(self):
        return self._after("cpu")

    def float(self):
        return self._after("float")

    def numpy(self):
        if "detach" not in self.steps:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        if "float" not in self.steps:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return np.asarray(self.values, np.float32)


def test_tensors_with_gradients_and_of_types_that_numpy_lacks_are_taken():
    np.testing.assert_array_equal(to_host(Tensor([1.5, 2.0])), np.array([1.5, 2.0], np.float32))
