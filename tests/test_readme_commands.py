"""The README's two commands as .ci/run takes them from there."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("readme_command", ROOT / ".ci/readme_command.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_two(script):
    demo, tests = script.commands(README)
    assert demo == script.command("demo", README)
    assert tests == script.command("tests", README)
    assert demo.endswith(" && .venv/bin/python -m nnjit demo")
    assert tests.endswith(" && .venv/bin/python -m pytest -n 2")


def test_a_third_is_an_error(script):
    third = "\n```bash\npython3 -m venv .venv && .venv/bin/python -m nnjit info\n```\n"
    with pytest.raises(ValueError, match="two commands expected"):
        script.command("demo", README + third)


@pytest.mark.parametrize("name", ["demo", "tests"])
def test_a_command_that_is_gone_is_an_error(script, name):
    changed = README.replace(script.command(name, README), "make all")
    with pytest.raises(ValueError, match="two commands expected"):
        script.command(name, changed)


def test_ci_installs_nothing_before_it_runs_them(script):
    """A stage that added a package would hide that the command lacks it."""
    run = (ROOT / ".ci/run").read_text(encoding="utf-8")
    body = run.split("\nreadme() {")[1].split("\n}")[0]
    assert "install" not in body
    assert 'bash -c "$command"' in body
    assert run.count("stage ") > 10
    assert 'stage "README: the tests" readme tests' in run
