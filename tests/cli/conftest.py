"""Running the command line as its users do, and small tables to run it on."""

import os
import subprocess
import sys

import numpy as np
import pytest


def _interpreter(folder, arguments, environment):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "Agg", **environment},
        timeout=900,  # a warm-up compiles everything
    )


@pytest.fixture
def command(tmp_path):
    """Run `python -m nnjit ...` in an empty folder; returns the finished process."""

    def run(*arguments, **environment):
        return _interpreter(tmp_path, ["-m", "nnjit", *arguments], environment)

    return run


@pytest.fixture
def python(tmp_path):
    """Run code in a fresh interpreter and an empty folder; returns its output."""

    def run(code, **environment):
        done = _interpreter(tmp_path, ["-c", code], environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def write(tmp_path):
    """Write a text file and return its path."""

    def to_file(text, name="table.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return to_file


@pytest.fixture
def flowers(write):
    """A table with numbers, text, missing cells, a name per row and two classes."""
    rng = np.random.default_rng(0)
    rows = ["name;length;colour;empty;kind"]
    for i in range(80):
        kind = "rose" if i % 2 else "lily"
        length = f"{rng.normal(5 if kind == 'rose' else 2):.3f}"
        colour = "red" if kind == "rose" or rng.random() < 0.2 else "white"
        rows.append(f"n{i};{'NA' if i % 9 == 0 else length};{colour if i % 11 else ''};;{kind}")
    return write("\n".join(rows) + "\n")
