"""Searches on clusters: candidates are fitted by workers, and compiled kernels are shared."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV

from nnjit import MLPClassifier

distributed = pytest.importorskip("distributed", reason="Dask comes with pip install 'nnjit[dask]'")
joblib = pytest.importorskip("joblib")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def search():
    X, y = make_classification(120, 5, random_state=0)
    grid = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(4,), (8,)]}
    return GridSearchCV(MLPClassifier(max_iter=10, random_state=0), grid, cv=2), X, y


def assert_same(found, expected):
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )
    np.testing.assert_array_equal(
        found.best_estimator_.coefs_[0], expected.best_estimator_.coefs_[0]
    )


def test_a_grid_is_searched_on_dask(client):
    found, X, y = search()
    expected = search()[0].fit(X, y)
    with joblib.parallel_config("dask"):
        found.fit(X, y)
    assert_same(found, expected)


@pytest.mark.slow
def test_a_grid_is_searched_on_ray():
    ray = pytest.importorskip("ray", reason="needs pip install ray")
    from ray.util.joblib import register_ray

    found, X, y = search()
    expected = search()[0].fit(X, y)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        register_ray()
        with joblib.parallel_config("ray"):
            found.fit(X, y)
    finally:
        ray.shutdown()
    assert_same(found, expected)


def test_hyperband_goes_on_by_partial_fit(client):
    selection = pytest.importorskip("dask_ml.model_selection", reason="needs pip install dask-ml")
    X, y = make_classification(200, 5, random_state=0)
    search = selection.HyperbandSearchCV(
        MLPClassifier(random_state=0), {"alpha": [1e-4, 1e-2]}, max_iter=4, random_state=0
    )
    try:
        search.fit(X, y, classes=[0, 1])
    except RuntimeError as error:
        if "asynchronous" in str(error):
            pytest.skip(f"dask-ml does not run beside this version of Dask: {error}")
        raise
    assert search.best_score_ > 0.3
    assert search.best_estimator_.t_ > 0


COLD = """
import warnings
import numpy as np
from nnjit import MLPClassifier
from nnjit.core.compiler import folders

write, written = folders.write, []
folders.write = lambda folder, name, content: written.append(name) or write(folder, name, content)
warnings.simplefilter("ignore")
X = np.random.RandomState(0).standard_normal((60, 5))
MLPClassifier(max_iter=2, hidden_layer_sizes=(4,)).fit(X, X[:, 0] > 0).predict(X)
print(len(written))
"""


def compilations(folder, count):
    """How many kernels each of some processes compiles and files; they start at once."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", COLD]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    return [int(one.communicate(timeout=300)[0]) for one in running]


@pytest.mark.slow
def test_no_process_compiles_what_another_has_compiled(tmp_path):
    """Cold workers that start at once share the compilations of one."""
    (alone,) = compilations(tmp_path / "one", 1)
    assert alone > 5
    assert compilations(tmp_path / "one", 1) == [0]
    assert sum(compilations(tmp_path / "several", 3)) == alone
