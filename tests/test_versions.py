"""Bounds of the dependencies are those that were run, and docs/versions.md says which."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from documents import TEXTS
from documents import table as marked_table

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, BUILD = PYPROJECT["project"], PYPROJECT["build-system"]["requires"]
EXTRAS = PROJECT["optional-dependencies"]
# Extras not run at their lowest: one needs a GPU, the site is built by what is newest, PyTorch is
# too large for .ci/run to install.
NOT_LOWEST = {"cuda", "docs", "torch"}


def lowest():
    """Name and version of all lines of .ci/lowest.txt."""
    lines = (ROOT / ".ci/lowest.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name: Version(version) for name, version in pins}


def declared():
    """All requirements of pyproject.toml but those on its own extras."""
    texts = [*BUILD, *PROJECT["dependencies"]]
    texts += [text for extra in EXTRAS.keys() - NOT_LOWEST for text in EXTRAS[extra]]
    return [need for need in map(Requirement, texts) if need.name != PROJECT["name"]]


def bound(requirement, operator):
    return [Version(s.version) for s in requirement.specifier if s.operator == operator]


def table():
    """Package, lowest and newest version of the rows of that page's table."""
    path, lines = marked_table("versions table")
    assert path == "docs/versions.md"
    cells = [re.findall(r"[^|]+", line) for line in lines[2:]]
    return {name.strip(): (low.strip(), high.strip()) for name, low, high in cells}


def test_every_lower_bound_is_the_version_that_is_run():
    pins = lowest()
    for need in declared():
        assert bound(need, ">=") == [pins[need.name]], f"{need} beside .ci/lowest.txt"


def test_nothing_else_is_held_low():
    assert lowest().keys() == {need.name for need in declared()}


def test_numba_has_an_upper_bound_of_one_minor_version():
    [numba] = [need for need in declared() if need.name == "numba"]
    [ceiling], newest = bound(numba, "<"), Version(table()["Numba"][1])
    assert newest in numba.specifier
    assert ceiling.release == (newest.major, newest.minor + 1)


@pytest.mark.parametrize("name", [Requirement(text).name for text in PROJECT["dependencies"]])
def test_the_table_begins_with_the_lowest_version(name):
    titles = {title.lower(): title for title in table()}
    low, high = map(Version, table()[titles[name]])
    assert low == lowest()[name] <= high
    [need] = [need for need in declared() if need.name == name]
    assert high in need.specifier


def test_the_table_names_the_pythons_that_are_declared():
    low, high = table()["Python"]
    assert PROJECT["requires-python"] == f">={low}"
    prefix = "Programming Language :: Python :: "
    named = [c.removeprefix(prefix) for c in PROJECT["classifiers"] if c.startswith(prefix + "3.")]
    assert (named[0], named[-1]) == (low, high)


def test_every_extra_is_looked_at():
    """An extra that drifts away from the bounds would be noticed by nobody."""
    assert EXTRAS.keys() >= {"test", "plot", "bench", "notebooks", "cuda", "dev"}
    assert {need.name for need in declared()} >= {"pytest", "matplotlib", "asv", "nbclient"}


def test_the_readme_says_what_every_extra_is_for():
    rows = TEXTS["README.md"].split("| extra | for |")[1].split("\n\n")[0]
    named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]+)\|", rows, re.MULTILINE)))
    assert EXTRAS.keys() <= set(named)
