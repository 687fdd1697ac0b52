"""What README.md and the pages of docs/ say of files and names is so, and their Python runs."""

import importlib
import json
import re
import warnings

import numpy as np
import pytest

from documents import EXAMPLES, ROOT, TEXTS, table
from entries_of_tests import loggers_kept, registries_kept

# What an example may need beside what it imports itself, by what stands in it.
NEEDS = {
    "nnjit.agents": "gymnasium",
    "Display": "matplotlib",
    "to_onnx": "onnx",
    "to_torch": "torch",
    "from_torch": "torch",
    "nnjit.dask": "dask",
}
# Modules that are imported but for those that are always there.
IMPORTS = re.compile(r"^ *(?:import|from) (?!(?:nnjit|numpy|scipy|sklearn)\b)(\w+)", re.MULTILINE)


def needed(code):
    """Modules without which an example cannot run, Python's own among them."""
    return {name for text, name in NEEDS.items() if text in code} | set(IMPORTS.findall(code))


def run_example(example):
    """Run an example; return the names that it defines, and what was warned of."""
    for name in sorted(needed(example.code)):
        pytest.importorskip(name, reason=f"the example needs {name}")
    if "Display" in example.code:
        pyplot = pytest.importorskip("matplotlib.pyplot", reason="the example draws")
        pyplot.switch_backend("Agg")
        pyplot.close("all")  # those of other tests, of which there are warnings
    names = {"__name__": "__main__"}
    with warnings.catch_warnings(record=True) as caught, registries_kept(), loggers_kept():
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", message=r"device='auto' runs on the CPU")
        exec(compile(example.code, str(example), "exec"), names)
    return names, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_examples_run_quietly(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_example(example)[1] == []


def test_the_network_of_scikit_learn_predicts_what_the_one_here_does():
    [example] = [e for e in EXAMPLES if e.path == "docs/guide/interchange.md" if e.number == 1]
    names, _ = run_example(example)
    X, ours, theirs = (names[name] for name in ("X", "ours", "theirs"))
    assert type(theirs).__module__.startswith("sklearn.")
    np.testing.assert_allclose(theirs.predict_proba(X), ours.predict_proba(X), rtol=1e-12)


def test_there_are_examples():
    assert len([example for example in EXAMPLES if example.path == "README.md"]) >= 2
    assert len(EXAMPLES) >= 30


def named(pattern):
    return sorted({name for text in TEXTS.values() for name in re.findall(pattern, text)})


@pytest.mark.parametrize("name", named(r"`((?:\w+/)+(?:\w+\.py)?)`"))
def test_named_files_are_there(name):
    assert any((folder / name).exists() for folder in (ROOT, ROOT / "src/nnjit"))


@pytest.mark.parametrize("name", named(r"`([01]\d_\w+)`"))
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
        assert f"`{name}`" in TEXTS["docs/design/index.md"]
        assert re.search(rf"^\s*(def {name}\(|{name}(:.*)? = )", source, re.MULTILINE), name


@pytest.mark.parametrize(
    "name, place",
    [("speed table", "README.md"), ("unit table", "docs/how_it_is_fast.md")],
)
def test_the_table_stands_in_one_place(name, place):
    path, lines = table(name)
    assert path == place
    assert len({line.count("|") for line in lines}) == 1


def two_digits(value):
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def told_seconds(seconds):
    return f"{seconds:.2f} s" if seconds >= 0.5 else f"{two_digits(seconds * 1e3)} ms"


def test_the_speed_table_is_the_stored_report(monkeypatch):
    """That of asv_bench/peers.py on two cores, which the page of benchmarks draws as well."""
    monkeypatch.syspath_prepend(str(ROOT / "asv_bench"))
    cases = importlib.import_module("benchmarks.cases").CASES
    report = json.loads((ROOT / "asv_bench/results/peers/two_cores.json").read_text("utf-8"))
    seconds = {(row["case"], row["dtype"]): row["seconds"] for row in report["cases"]}
    rows = []
    for name, case in cases.items():
        single, double = (seconds[name, dtype] for dtype in ("float32", "float64"))
        ratios = [
            single["scikit-learn"] / single["nnjit"], double["scikit-learn"] / double["nnjit"],
            single["PyTorch"] / single["nnjit"], single["JAX"] / single["nnjit"],
        ]  # fmt: skip
        hidden = "-".join(map(str, case.hidden))
        shape = f"{case.rows} x {case.features}, {hidden}, {case.batch}, {case.epochs}"
        times = [told_seconds(one["nnjit"]) for one in (single, double)]
        rows.append(f"| {shape} | {' | '.join([*times, *map(two_digits, ratios)])} |")
    assert table("speed table")[1][2:] == rows, "\n".join(rows)


def test_the_table_of_units_has_every_family():
    from nnjit.backends.units import FAMILIES

    _, lines = table("unit table")
    assert set(FAMILIES) <= {line.split("|")[1].strip() for line in lines}


PICTURES = [
    (path, picture)
    for path, text in TEXTS.items()
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
]


@pytest.mark.parametrize("path, picture", PICTURES)
def test_pictures_are_there_and_small(path, picture):
    assert 0 < ((ROOT / path).parent / picture).stat().st_size < 150_000


def test_there_are_pictures():
    assert "README.md" in {path for path, _ in PICTURES}


def test_the_readme_is_short():
    """What takes longer to say has a page under docs/."""
    assert len(TEXTS["README.md"].splitlines()) <= 400
