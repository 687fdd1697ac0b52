"""The design page's way to add an activation, a loss, a solver and so on, followed to the letter.

In a copy of the package; the code is the page's own.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from documents import RECIPE, STEPS, TEXTS

ROOT = Path(__file__).parents[1]
PAGE = "docs/design/index.md"
BLOCKS = [(RECIPE.match(step.code)[1], RECIPE.sub("", step.code, count=1)) for step in STEPS]
# Names for type checkers, in `_types.py`.
LITERALS = {
    "ScheduleName": "polynomial",
    "ActivationName": "relu6",
    "RegressionLossName": "cubic",
    "StochasticSolverName": "adamax",
}
FILES = ["tests/formulas", "tests/backends/test_entries.py", "tests/layers/test_kinds.py"]
FILES += ["tests/training/test_schedules.py"]
NAMES = "test_type_checkers_know_the_name_of_every_entry"
ADDED = ["relu6", "cubic", "adamax", "gain", "polynomial"]

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Run Python with a copy of the package that has all that the page adds; its output."""
    folder = tmp_path_factory.mktemp("recipe")
    package = folder / "src/nnjit"
    shutil.copytree(
        ROOT / "src/nnjit", package, ignore=shutil.ignore_patterns("__pycache__", "*.so")
    )
    for path, code in BLOCKS:
        follow(package / path, code)
    add_names(package / "_types.py")

    def run(*arguments, **environment):
        path = os.pathsep.join([str(folder / "src"), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": path.rstrip(os.pathsep),
                "NUMBA_CACHE_DIR": str(folder / "cache"),
                **environment,
            },
            timeout=500,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout

    assert str(folder) in run("-c", "import nnjit; print(nnjit.__file__)")
    return run


def follow(path, code):
    """Put a block of code at the end of a file, or into a new one."""
    path.parent.mkdir(exist_ok=True)
    before = path.read_text(encoding="utf-8") + "\n\n" if path.exists() else ""
    path.write_text(before + code, encoding="utf-8")


def add_names(path):
    source = path.read_text(encoding="utf-8")
    for literal, name in LITERALS.items():
        assert f"`{literal}`" in TEXTS[PAGE]
        source, count = re.subn(
            rf"^({literal}: TypeAlias = Literal\[[^\]]*?),?\s*\]$",
            rf'\1, "{name}"]',
            source,
            flags=re.M,
        )
        assert count == 1, literal
    path.write_text(source, encoding="utf-8")


def test_an_addition_is_one_function_in_one_file_or_one_folder():
    assert {step.path for step in STEPS} == {PAGE}
    paths = [path for path, _ in BLOCKS]
    assert paths == [
        *(f"formulas/{name}.py" for name in ("activations", "losses", "solvers")),
        *(f"layers/gain/{name}.py" for name in ("__init__", "spec", "cpu")),
        "training/schedules.py",
    ]
    assert not (ROOT / "src/nnjit/layers/gain").exists()
    for path, code in BLOCKS[:3]:
        assert len(re.findall(r"^\S", code, re.M)) == 2, path  # a decorator and a function


def generic_tests(python, *options, **environment):
    """Run the tests over the registries in the copy; how many passed for each addition."""
    files = [*FILES, f"tests/test_architecture.py::{NAMES}"]
    output = python(
        *("-m", "pytest", "-v", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml"),
        *("--rootdir", ROOT, "-m", "not slow", *options, *(ROOT / file for file in files)),
        **environment,
    )
    return {name: len(re.findall(rf"{name}.* PASSED", output)) for name in ADDED}


def test_the_tests_over_the_registries_take_them_up(python):
    """As plain Python, which takes seconds."""
    passed = generic_tests(
        python, "-k", " or ".join([*ADDED, "registry", "every_kind", NAMES]), NUMBA_DISABLE_JIT="1"
    )
    assert passed["relu6"] >= 8 and passed["cubic"] >= 4
    assert passed["adamax"] >= 3 and passed["gain"] >= 10 and passed["polynomial"] >= 6


@jit_only
@pytest.mark.slow
def test_the_compiled_tests_over_the_registries_take_them_up(python):
    passed = generic_tests(python)
    assert passed["relu6"] >= 8 and passed["cubic"] >= 4
    assert passed["adamax"] >= 3 and passed["gain"] >= 15 and passed["polynomial"] >= 6


ESTIMATORS = """
import pickle
import warnings
import numpy as np
from nnjit import MLPClassifier, MLPRegressor
from nnjit.inspection import check_gradient
from nnjit.inspection._network import loss_gradient

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 3))
y = X @ [1.0, -2.0, 0.5]
added = dict(activation="relu6", loss="cubic", solver="adamax")
warnings.simplefilter("error")
model = MLPRegressor(hidden_layer_sizes=(8,), learning_rate_init=0.1, max_iter=30, tol=0,
                     n_iter_no_change=99, batch_size=20, random_state=0, **added)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    whole = model.fit(X, y)
    assert whole.loss_ < 0.2 * whole.loss_curve_[0], whole.loss_curve_
    assert whole.score(X, y) > 0.9
    model.set_params(checkpoint="halfway", max_iter=15).fit(X, y)
    resumed = model.set_params(max_iter=30).fit(X, y)
    scheduled = model.set_params(checkpoint=None, learning_rate="polynomial", power_t=2).fit(X, y)
    rates = scheduled.learning_rate_curve_
    assert len(rates) == 30 and 0 < rates[-1] < 1e-3 < rates[0] < 0.1, rates
    model.set_params(learning_rate="constant").fit(X, y)
assert check_gradient(model, X, y).error < 1e-6
np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
assert all(np.isfinite(a).all() for a in loss_gradient(model, X, y).weights)
for call in (model.to_sklearn, lambda: model.set_params(activation="relu7").fit(X, y)):
    try:
        call()
    except ValueError as error:
        assert "relu6" in str(error), error
    else:
        raise AssertionError("nothing was refused")
assert "polynomial" in MLPClassifier.__doc__
assert "relu6" in MLPClassifier.__doc__ and "cubic" in MLPRegressor.__doc__
"""


@jit_only
def test_estimators_fit_with_them(python):
    python("-c", ESTIMATORS)


LAYERS = """
import numpy as np
from nnjit import NetworkRegressor
from nnjit.backends.cuda.arguments import why_no_layers as why_not
from nnjit.backends.select import make_engine
from nnjit.layers.dense.spec import Dense
from nnjit.layers.network import Network
from nnjit.layers.gain.spec import Gain

layers = Gain(), Dense(8, "tanh"), Gain(), Dense(1, "identity")
network = Network(3, layers, "squared_error", "identity")
rng = np.random.default_rng(0)
X = rng.standard_normal((200, 3)).astype(np.float32)
y = np.tanh(X[:, :1] - 2 * X[:, 1:2])
engine = make_engine(network, np.float32)
engine.pack([rng.uniform(0.5, 1, one.shape) for _, one in network.parameters()])
before = engine.unpack()
solver = engine.optimizer("adam")
solver.learning_rate = 0.01
orders = np.array([rng.permutation(200) for _ in range(60)])
losses = engine.train_epochs(engine.dataset(X, y), orders, 20, solver, 1e-4)
assert losses[-1] < 0.1 * losses[0], losses
assert all((a != b).all() for a, b in zip(before, engine.unpack()))
assert np.mean((engine.predict(X) - y) ** 2) < 0.1 * np.var(y)
assert "no device code for gain layers" in why_not(network)
model = NetworkRegressor([Gain(), Dense(8, "tanh")], tol=0.1, random_state=0).fit(X, y.ravel())
assert model.layer_parameters_[0]["factors"].shape == (3,) and model.score(X, y) > 0.5
"""


@jit_only
def test_a_network_with_the_new_kind_is_trained(python):
    python("-c", LAYERS)
