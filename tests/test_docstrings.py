"""Public docstrings: complete by numpydoc's checks, and their examples run."""

import doctest
import importlib.util
import inspect
import tomllib
from pathlib import Path

import pytest
from numpydoc.validate import ERROR_MSGS, validate

from entries_of_tests import registries_kept

ROOT = Path(__file__).parents[1]
MODULES = (
    "nnjit",
    "nnjit.agents",
    "nnjit.callbacks",
    *(["nnjit.dask"] if importlib.util.find_spec("distributed") else []),
    "nnjit.forecasting",
    "nnjit.functional",
    "nnjit.inspection",
    "nnjit.interop",
    "nnjit.interop.mlflow",
    "nnjit.interop.onnx",
    "nnjit.exceptions",
    "nnjit.rows",
)


def public_objects():
    """Dotted name and object of every public function and class."""
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                yield f"{module_name}.{name}", thing


def methods(name, cls):
    """Dotted names of the public methods that nnjit defines for a class."""
    for method in dir(cls):
        owner = next((c for c in cls.__mro__ if method in vars(c)), None)
        if not method.startswith("_") and owner.__module__.startswith("nnjit."):
            if callable(getattr(cls, method)):
                yield f"{name}.{method}"


OBJECTS = dict(public_objects())
METHODS = [m for name, thing in OBJECTS.items() if inspect.isclass(thing)
           for m in methods(name, thing)]  # fmt: skip


def checks():
    """The checks that pyproject.toml asks for; "all" means all but those listed with it."""
    with open(ROOT / "pyproject.toml", "rb") as stream:
        listed = set(tomllib.load(stream)["tool"]["numpydoc_validation"]["checks"])
    return set(ERROR_MSGS) - listed if "all" in listed else listed


@pytest.mark.parametrize("name", [*OBJECTS, *METHODS])
def test_docstring_is_complete(name):
    wanted = checks()
    if name in METHODS:
        wanted -= {"EX01"}  # the example of the class shows its methods
    errors = [error for error in validate(name)["errors"] if error[0] in wanted]
    assert errors == []


def test_what_is_looked_at():
    assert len(OBJECTS) > 25
    assert "nnjit.MLPClassifier.fit" in METHODS
    assert "nnjit.inspection.WeightsDisplay.from_estimator" in METHODS


WITH_EXAMPLES = [*OBJECTS, "nnjit.MLPClassifier.to_sklearn", "nnjit.MLPClassifier.from_sklearn"]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name, monkeypatch, capsys):
    if name.startswith("nnjit.inspection."):
        monkeypatch.setenv("MPLBACKEND", "Agg")
        pytest.importorskip("matplotlib").use("Agg")
    if name.startswith("nnjit.agents."):
        pytest.importorskip("gymnasium")
    if name == "nnjit.rows.ParquetRows":
        pytest.importorskip("pyarrow")
    if name.endswith(("to_torch", "from_torch")):
        pytest.importorskip("torch")
    if name.startswith("nnjit.interop.onnx."):
        for module in ("onnxruntime", "pandas", "skl2onnx"):
            pytest.importorskip(module, reason=f"the example needs {module}")
    owner, _, method = name.rpartition(".")
    thing = OBJECTS[name] if name in OBJECTS else getattr(OBJECTS[owner], method)
    found = doctest.DocTestFinder(recurse=False).find(thing, name, globs={})
    examples = [example for test in found for example in test.examples]
    assert examples, "no example"
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    with registries_kept():
        for test in found:
            runner.run(test)
    assert runner.failures == 0, capsys.readouterr().out
