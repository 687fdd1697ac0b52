"""`python -m nnjit warmup`: afterwards nothing is left to compile."""

import pytest

from nnjit.backends.units import FAMILIES

_FITS = """
import warnings
import numpy as np
import scipy.sparse
import nnjit

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
for dtype in (np.float32, np.float64):
    X = rng.standard_normal((5000, 40)).astype(dtype)
    y = (X[:, 0] > 0).astype(int)
    for options in (
        {"hidden_layer_sizes": (60, 50), "batch_size": 2000},
        {"solver": "sgd", "activation": "tanh", "early_stopping": True},
        {"solver": "lbfgs", "activation": "logistic", "hidden_layer_sizes": ()},
    ):
        nnjit.MLPClassifier(max_iter=2, **options).fit(X, y).predict_proba(X)
    nnjit.MLPClassifier(max_iter=1).fit(scipy.sparse.csr_matrix(X), y).predict(X[:1])
    nnjit.MLPClassifier(max_iter=1).fit(X[:300], np.arange(300) % 3, np.ones(300))
    nnjit.MLPRegressor(max_iter=1, loss="poisson").fit(X[:50], np.abs(X[:50, 0]))
    nnjit.MLPRegressor(max_iter=1).fit(np.asfortranarray(X[:50]), X[:50, :2])
    nnjit.RBFClassifier(20, max_iter=1).fit(X, y).predict(X[:5])
    nnjit.RBFRegressor(20, normalized=True, max_iter=1).fit(X, X[:, 0]).predict(X[:5])
"""


@pytest.fixture
def kernels(tmp_path):
    """Compiled kernels in the cache that the processes of this test share."""
    return lambda: sorted(path.name for path in (tmp_path / "cache").rglob("*.nnjit"))


@pytest.mark.timeout(1800)
def test_after_a_warmup_no_fit_compiles(command, python, tmp_path, kernels):
    done = command("warmup", NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for family in FAMILIES:
        for dtype in ("float32", "float64"):
            assert any(line.startswith(family) and dtype in line for line in lines)
    after_warmup = kernels()
    assert after_warmup
    assert f"{len(after_warmup)} new files" in done.stdout
    python(_FITS, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert kernels() == after_warmup
    assert "0 new files" in command("warmup", NUMBA_CACHE_DIR=str(tmp_path / "cache")).stdout


def test_a_family_can_be_chosen(command, tmp_path, kernels):
    done = command("warmup", "--only", "solver", NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    families = {line.split()[0] for line in done.stdout.splitlines()[1:] if "float" in line}
    assert families == {"solver"}
    assert kernels() and all(name.startswith("solver_") for name in kernels())


def test_an_unknown_family_is_refused_with_those_that_there_are(command):
    done = command("warmup", "--only", "gradients")
    assert done.returncode == 2
    for family in FAMILIES:
        assert family in done.stderr
