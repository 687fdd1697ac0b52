"""Files beside the code say the same as the code: version, dependencies, commands."""

import re
import tomllib
from pathlib import Path

import pytest

from nnjit import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def read(path):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_the_changelog_begins_with_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version, date = re.search(r"^## (\S+) \(([\d-]+)\)$", text, re.MULTILINE).groups()
    assert version == __version__
    assert date == read("CITATION.cff")["date-released"].isoformat()


def test_the_citation_names_this_version():
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]
    assert {"message", "title", "authors"} <= citation.keys()


def test_the_conda_recipe_asks_for_what_the_wheel_asks_for():
    recipe = read("conda/recipe.yaml")
    assert recipe["context"]["version"] == __version__
    assert PROJECT["requires-python"] == f">={recipe['context']['python_min']}"
    python, *needs = recipe["requirements"]["run"]
    assert python == "python >=${{ python_min }}"
    assert [need.replace(" ", "") for need in needs] == PROJECT["dependencies"]
    [script] = recipe["build"]["python"]["entry_points"]
    assert dict([script.split(" = ")]) == PROJECT["scripts"]


def test_workflows_run_every_python_from_the_lowest_on():
    jobs = read(".github/workflows/tests.yml")["jobs"]
    tried = jobs["readme"]["strategy"]["matrix"]["python"]
    prefix = "Programming Language :: Python :: "
    named = [c.removeprefix(prefix) for c in PROJECT["classifiers"] if c.startswith(prefix + "3.")]
    assert tried[: len(named)] == named
    assert jobs["installed"]["strategy"]["matrix"] == jobs["readme"]["strategy"]["matrix"]
    assert {one.split("-")[0] for one in jobs["readme"]["strategy"]["matrix"]["os"]} == {
        "ubuntu",
        "macos",
        "windows",
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_what_is_there(path):
    for job in read(path)["jobs"].values():
        commands = [step["run"] for step in job["steps"] if "run" in step]
        assert commands and job["timeout-minutes"] <= 180
        for command in commands:
            for extra in re.findall(r"\.\[(\w+)\]", command):
                assert extra in PROJECT["optional-dependencies"]
            if command.startswith(".ci/"):
                assert (ROOT / command.split()[0]).is_file()


def test_a_stage_of_the_nightly_run_has_the_name_that_it_asks_for():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    stages = re.findall(r'^stage "([^"]+)"', script, re.MULTILINE)
    text = (ROOT / ".github/workflows/nightly.yml").read_text(encoding="utf-8")
    [pattern] = re.findall(r"\.ci/run '(\w+)\*'", text)
    assert any(stage.startswith(pattern) for stage in stages)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_form_for_issues_can_be_filled_in(path):
    form = read(path)
    if path.name == "config.yml":
        assert form == {"blank_issues_enabled": True}
        return
    assert form["name"] and form["description"]
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids)) and all(field["attributes"]["label"] for field in form["body"])


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md"])
def test_links_of_the_pages_lead_to_files(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        assert (ROOT / target).is_file(), target


def test_the_site_is_built_with_an_extra_that_there_is():
    settings = read(".readthedocs.yaml")
    assert (ROOT / settings["sphinx"]["configuration"]).is_file()
    [install] = settings["python"]["install"]
    assert set(install["extra_requirements"]) <= PROJECT["optional-dependencies"].keys()
    assert any("notebooks/*.ipynb" in job for job in settings["build"]["jobs"]["pre_build"])
