"""What the site draws itself: the map of the rooms by the contract, charts of stored results."""

import html
import importlib
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def extension(name):
    sys.path.insert(0, str(ROOT / "docs" / "_ext"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / "docs" / "_ext"))


@pytest.fixture(scope="module")
def rooms():
    pytest.importorskip("docutils")
    return extension("rooms")


@pytest.fixture(scope="module")
def benchmarks():
    return extension("benchmark_results")


def test_the_map_has_every_room_of_the_contract_at_its_level(rooms):
    levels, apart = rooms.contract()
    drawn = rooms.drawing()
    height = {
        name: int(top)
        for top, name in re.findall(r'<text class="name" x="[\d.]+" y="(\d+)">([\w.]+)<', drawn)
    }
    named = [[room.removeprefix("nnjit.") for room in level] for level in levels]
    assert height.keys() == {room for level in named for room in level} | {"functional"}
    for level in named:
        assert len({height[room] for room in level}) == 1
    tops = [height[level[0]] for level in named]
    assert tops == sorted(tops) and tops[-1] == height["formulas"]
    assert apart.keys() == {"nnjit.functional"}


def test_boxes_of_the_map_have_place_for_all_that_a_room_says(rooms):
    drawn = re.sub(r"<[^>]+>", " ", rooms.drawing())
    told = set(html.unescape(drawn).split())
    for room in ("nnjit.dask", "nnjit.rows", "nnjit.agents"):
        assert set(rooms.purpose(room).replace("`", "").split()) <= told


def test_a_room_that_is_added_to_the_contract_is_drawn(rooms, tmp_path):
    contract = """
[[tool.importlinter.contracts]]
id = "rooms"
type = "layers"
layers = ["nnjit.above | nnjit.beside", "nnjit.below"]
"""
    tmp_path.joinpath("pyproject.toml").write_text(contract, encoding="utf-8")
    for room in ("above", "beside", "below"):
        folder = tmp_path / "src" / "nnjit" / room
        folder.mkdir(parents=True)
        folder.joinpath("__init__.py").write_text(f'"""What is {room} & <all>. And more."""')
    drawn = rooms.drawing(tmp_path)
    assert re.findall(r">(above|beside|below)<", drawn) == ["above", "beside", "below"]
    assert "What is below &amp; &lt;all&gt;<" in drawn and "And more" not in drawn
    assert drawn.count('class="arrow"') == 2


def report(**seconds):
    machine = {"date": "2026-01-02", "note": "a toaster", "cpus": 2, "python": "3.11",
               "versions": {"nnjit": "1.0", "jax": None}}  # fmt: skip
    row = {"case": "3x4, 5, 6", "dtype": "float32", "seconds": seconds}
    return {"machine": machine, "cases": [row]}


def test_stored_reports_become_ratios_and_a_chart(benchmarks, tmp_path):
    pytest.importorskip("matplotlib")
    stored = report(nnjit=0.5, PyTorch=0.25, JAX=None, **{"scikit-learn": 5.0})
    tmp_path.joinpath("one.json").write_text(json.dumps(stored))
    tmp_path.joinpath("gpu.json").write_text('{"machine": {}, "cases": [{"times": {}}]}')
    text = benchmarks.peers_part(tmp_path, tmp_path)
    assert "| 3x4, 5, 6 | float32 | 500 ms | 10 | 0.5 | - |" in text
    assert "Measured on 2026-01-02: a toaster; 2 CPUs; Python 3.11, nnjit 1.0." in text
    assert "/_made/peers_0_float32.svg" in text and "float64" not in text
    assert "times as long as nnjit" in tmp_path.joinpath("peers_0_float32.svg").read_text("utf-8")


def test_reports_of_this_repository_are_complete(benchmarks):
    found = benchmarks.reports(ROOT / "asv_bench" / "results" / "peers")
    assert found
    for stored in found:
        assert stored["machine"]["note"] and stored["machine"]["date"]
        assert all(benchmarks.ratio(row, "scikit-learn") for row in stored["cases"])


def test_the_history_compares_the_newest_commit_with_the_first(benchmarks, tmp_path):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "box"
    folder.mkdir()
    folder.joinpath("machine.json").write_text('{"cpu": "c", "num_cpu": "2", "os": "o"}')
    for number, (commit, values) in enumerate(
        {"a" * 40: [1.0, 4.0], "b" * 40: [0.5, None]}.items()
    ):
        run = {"commit_hash": commit, "date": 1e12 + number, "results": {"fit.time_fit": [values]}}
        folder.joinpath(f"{commit[:8]}.json").write_text(json.dumps(run))
    unit = {"fit.time_fit": {"unit": "seconds"}}
    tmp_path.joinpath("benchmarks.json").write_text(json.dumps(unit))
    text = benchmarks.history_part(tmp_path, tmp_path)
    assert "| `fit.time_fit` | 500 ms | 0.25 |" in text  # of the geometric mean, 2 s
    assert "bbbbbbbb" in text and (tmp_path / "history_box.svg").exists()


def test_the_course_lists_every_notebook():
    text = (ROOT / "docs" / "course" / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"\]\((\d\d_\w+\.ipynb)\)", text)
    assert listed == sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
