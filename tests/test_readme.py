"""What the README says of files and names is so, and its Python runs."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from entries_of_tests import registries_kept

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
# The others begin with the file that they go into; tests/test_recipe.py puts them there.
EXAMPLES = [block for block in BLOCKS if not block.startswith("# src/nnjit/")]


def run_example(number):
    """Run an example; return the names that it defines, and what was warned of."""
    for name in ("onnxruntime", "skl2onnx"):
        if name in EXAMPLES[number]:
            pytest.importorskip(name, reason="the example needs pip install 'nnjit[onnx]'")
    if "nnjit.agents" in EXAMPLES[number]:
        pytest.importorskip("gymnasium", reason="the example needs pip install 'nnjit[agents]'")
    if "Display" in EXAMPLES[number]:
        pyplot = pytest.importorskip("matplotlib.pyplot", reason="the example draws")
        pyplot.switch_backend("Agg")
        pyplot.close("all")  # those of other tests, of which there are warnings
    names = {}
    with warnings.catch_warnings(record=True) as caught, registries_kept():
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", message=r"device='auto' runs on the CPU")
        exec(compile(EXAMPLES[number], f"README, example {number + 1}", "exec"), names)
    return names, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_run_quietly(number):
    assert run_example(number)[1] == []


def test_the_onnx_example_predicts_what_the_model_does():
    (number,) = (i for i, example in enumerate(EXAMPLES) if "to_onnx" in example)
    names, _ = run_example(number)
    model, X, labels, p = (names[name] for name in ("model", "X", "labels", "p"))
    np.testing.assert_allclose(p, model.predict_proba(X), rtol=1e-4, atol=1e-5)
    assert np.mean(labels == model.predict(X)) > 0.999


def test_there_are_examples():
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+(?:\.py|/))`", README))))
def test_named_files_are_there(name):
    assert any((folder / name).exists() for folder in (ROOT, ROOT / "src/nnjit"))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(0\d_\w+)`", README))))
def test_named_notebooks_are_there(name):
    assert (ROOT / "notebooks" / f"{name}.ipynb").is_file()


@pytest.mark.parametrize(
    "path, names",
    [
        (
            "_types.py",
            ["ActivationName", "RegressionLossName", "StochasticSolverName", "ScheduleName"],
        ),
    ],
)
def test_where_to_add_something(path, names):
    source = (ROOT / "src/nnjit" / path).read_text(encoding="utf-8")
    for name in names:
        assert f"`{name}`" in README
        assert re.search(rf"^\s*(def {name}\(|{name}(:.*)? = )", source, re.MULTILINE), name


@pytest.mark.parametrize("name", ["speed table", "unit table"])
def test_the_table_stands_in_one_place(name):
    before, after = f"<!-- {name} -->", f"<!-- end of {name} -->"
    assert README.count(before) == README.count(after) == 1
    table = README.split(before)[1].split(after)[0].strip().splitlines()
    assert len({line.count("|") for line in table}) == 1


def test_the_table_of_units_has_every_family():
    from nnjit.backends.units import FAMILIES

    table = README.split("<!-- unit table -->")[1].split("<!-- end of unit table -->")[0]
    assert set(FAMILIES) <= {line.split("|")[1].strip() for line in table.strip().splitlines()}


def test_pictures_are_there_and_small():
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert 0 < (ROOT / picture).stat().st_size < 150_000
