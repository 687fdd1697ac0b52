"""What `device` means where there is no GPU, and that CUDA stays unloaded unless asked for."""

import importlib.metadata
import os
import re
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import nnjit
from nnjit.backends import select
from nnjit.backends.cuda import _cuda

X, Y = np.random.default_rng(0).standard_normal((12, 2)), np.arange(12) % 2
SMALL = {"hidden_layer_sizes": (2,), "max_iter": 1}


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(_cuda, "why_unavailable", lambda: "no NVIDIA driver was found")
    monkeypatch.setattr(select, "_said", set())


def quietly(function, *arguments):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer")
        return function(*arguments)


@pytest.mark.parametrize("estimator", [nnjit.MLPClassifier, nnjit.MLPRegressor])
def test_cuda_without_a_gpu_says_what_to_install(no_gpu, estimator):
    model = estimator(device="cuda", **SMALL)
    message = r"device='cuda' cannot be used: no NVIDIA driver.*pip install 'nnjit\[cuda\]'"
    with pytest.raises(RuntimeError, match=message):
        model.fit(X, Y)
    assert not hasattr(model, "coefs_")


def test_auto_falls_back_and_says_so_once(no_gpu):
    model = nnjit.MLPClassifier(device="auto", random_state=0, **SMALL)
    with pytest.warns(UserWarning, match="device='auto' runs on the CPU: no NVIDIA driver"):
        quietly(model.fit, X, Y)
    expected = quietly(nnjit.MLPClassifier(random_state=0, **SMALL).fit, X, Y)
    np.testing.assert_array_equal(model.coefs_[0], expected.coefs_[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Stochastic Optimizer")
        model.fit(X, Y)
        model.predict(X)


@pytest.mark.parametrize("value", ["gpu", "cuda:", "cuda:x", "cuda:-1", "CUDA", "", None, 0])
def test_other_devices_are_refused_in_scikit_learns_words(value):
    message = (
        r"The 'device' parameter of MLPClassifier must be a str among \{'auto', 'cpu', 'cuda', "
        rf"'cuda:0', 'cuda:1', ...\}}. Got {value!r} instead."
    )
    with pytest.raises(ValueError, match=message):
        nnjit.MLPClassifier(device=value).fit(X, Y)


def test_the_default_device_is_the_cpu():
    assert nnjit.MLPClassifier().device == nnjit.MLPRegressor().device == "cpu"
    assert select.resolve("cpu") is None
    assert [select.is_device_name(n) for n in ("cuda:12", "auto", "cuda12")] == [True, True, False]


def test_a_fit_on_the_cpu_loads_nothing_of_cuda():
    """Nor does an import or a prediction; Numba's own module is a bare package."""
    code = (
        "import sys, numpy as np, nnjit; assert 'numba' not in sys.modules;"
        "X = np.ones((8, 2)); model = nnjit.MLPRegressor(hidden_layer_sizes=(2,), max_iter=1);"
        "model.fit(X, X[:, 0]).predict(X);"
        "loaded = [n for n in sys.modules if 'cuda' in n.split('.')[1:] or n == 'numba_cuda'];"
        "assert not any(n.startswith('nnjit') for n in loaded), loaded;"
        "assert not any('cudadrv' in n or 'simulator' in n for n in sys.modules), loaded"
    )
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_ENABLE_CUDASIM"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=300,
        env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "driver, package, message",
    [
        (False, True, "no NVIDIA driver was found"),
        (True, False, r"toolkit was not found; install it with: pip install 'nnjit\[cuda\]'"),
        (True, True, "no CUDA device is visible .CUDA_VISIBLE_DEVICES is '9'"),
    ],
)
def test_what_is_missing_is_named(monkeypatch, driver, package, message):
    def version(name):
        if not package:
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.30"

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "9")
    monkeypatch.setattr(_cuda, "SIMULATED", False)
    monkeypatch.setattr(_cuda, "_has_driver", lambda: driver)
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(_cuda, "_numba_cuda", SimpleNamespace(is_available=lambda: False))
    assert re.search(message, _cuda.why_unavailable())


def test_a_driver_that_breaks_is_reported(monkeypatch):
    class Broken:
        @staticmethod
        def is_available():
            raise OSError("libcuda is broken")

    monkeypatch.setattr(_cuda, "SIMULATED", False)
    monkeypatch.setattr(_cuda, "_numba_cuda", Broken)
    assert "does not answer (OSError: libcuda is broken)" in _cuda.why_unavailable()
    assert _cuda.device_count() == 0


@pytest.fixture
def not_loaded(request, monkeypatch):
    """Numba's CUDA fails when it first compiles, or already when it is imported."""
    monkeypatch.setattr(select, "_said", set())
    if request.param == "import":
        name = "nnjit.backends.cuda._cuda"
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.delattr("nnjit.backends.cuda._cuda")
        monkeypatch.setattr("nnjit.backends.cuda.__path__", [])
        return "ModuleNotFoundError: No module named"

    def try_out():
        raise AttributeError("module 'numpy' has no attribute 'row_stack'")

    _cuda._why_not_loaded.cache_clear()
    request.addfinalizer(_cuda._why_not_loaded.cache_clear)
    monkeypatch.setattr(_cuda, "SIMULATED", False)
    monkeypatch.setattr(_cuda, "_numba_cuda", SimpleNamespace(is_available=lambda: True))
    monkeypatch.setattr(_cuda, "_try_out", try_out)
    return "AttributeError: module 'numpy' has no attribute 'row_stack'"


@pytest.mark.parametrize("not_loaded", ["import", "first compilation"], indirect=True)
def test_a_numba_cuda_that_cannot_be_loaded_is_a_reason_as_any_other(not_loaded):
    reason = rf"numba-cuda cannot be loaded \({not_loaded}"
    model = nnjit.MLPRegressor(device="cuda", **SMALL)
    with pytest.raises(RuntimeError, match=f"device='cuda' cannot be used: {reason}.*pip install"):
        model.fit(X, Y)
    assert not hasattr(model, "coefs_")
    model = nnjit.MLPRegressor(device="auto", random_state=0, **SMALL)
    with pytest.warns(UserWarning, match=f"device='auto' runs on the CPU: {reason}"):
        quietly(model.fit, X, Y)
    expected = quietly(nnjit.MLPRegressor(random_state=0, **SMALL).fit, X, Y)
    np.testing.assert_array_equal(model.coefs_[0], expected.coefs_[0])
