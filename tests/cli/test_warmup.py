"""`python -m nnjit warmup`: afterwards nothing is left to compile."""

import json

import pytest

from nnjit.backends.units import FAMILIES

# Notes the names of files of kernels that are looked for; they say all that the code depends on.
_NOTING = """
import json
from nnjit.core.compiler import folders

asked, read = set(), folders.read

def noting(folder, name):
    asked.add(name)
    return read(folder, name)

folders.read = noting
"""

_WARMUP = """
from nnjit.cli import main

assert main(["warmup"]) == 0
print(json.dumps(sorted(asked)))
"""

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
print(json.dumps(sorted(asked)))
"""


@pytest.fixture
def kernels(tmp_path):
    """Compiled kernels in the cache that the processes of this test share."""
    return lambda: sorted(path.name for path in (tmp_path / "cache").rglob("*.nnjit"))


@pytest.mark.timeout(1800)
def test_after_a_warmup_no_fit_compiles(python):
    """In the folder of all tests, for which nothing is compiled in vain."""
    *lines, warmed = python(_NOTING + _WARMUP).splitlines()
    for family in FAMILIES:
        for dtype in ("float32", "float64"):
            assert any(line.startswith(family) and dtype in line for line in lines)
    needed = json.loads(python(_NOTING + _FITS))
    assert len(needed) > 50
    assert set(needed) <= set(json.loads(warmed))


def test_a_family_can_be_chosen(command, tmp_path, kernels):
    done = command("warmup", "--only", "solver", NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    families = {line.split()[0] for line in done.stdout.splitlines()[1:] if "float" in line}
    assert families == {"solver"}
    assert kernels() and all(name.startswith("solver_") for name in kernels())
    assert f"{len(kernels())} new files" in done.stdout
    again = command("warmup", "--only", "solver", NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert "0 new files" in again.stdout


def test_an_unknown_family_is_refused_with_those_that_there_are(command):
    done = command("warmup", "--only", "gradients")
    assert done.returncode == 2
    for family in FAMILIES:
        assert family in done.stderr
