"""`python -m nnjit info` and the command line's own behaviour."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
import sklearn

import nnjit
from nnjit.core.simd import TARGETS, TILE


def facts(output):
    """`name  value` lines as a dictionary."""
    pairs = [line.strip().split("  ", 1) for line in output.splitlines() if line.startswith("  ")]
    return {pair[0]: pair[1].strip() for pair in pairs}


def test_info(command, tmp_path):
    done = command("info", NUMBA_CACHE_DIR=str(tmp_path / "kernels"))
    assert done.returncode == 0, done.stderr
    found = facts(done.stdout)
    assert found["nnjit"] == nnjit.__version__
    assert found["numpy"] == np.__version__
    assert found["numba"] == numba.__version__
    assert found["scikit-learn"] == sklearn.__version__
    assert found["register tile"].startswith(TILE.name)
    assert found["threading layer"] in ("omp", "tbb", "workqueue")
    assert found["folder"].startswith(str(tmp_path / "kernels"))
    assert found["kernels"] == "0, 0.0 MB"


def test_show_versions_tells_the_same_and_starts_no_thread(command, tmp_path):
    code = (
        "import threading, nnjit; nnjit.show_versions()\n"
        "from nnjit.core.jobs import threads\n"
        "assert threading.active_count() == 1 and not threads._started"
    )
    # Folders of its own: tests beside this one file kernels in the usual ones.
    folders = {
        "NUMBA_CACHE_DIR": str(tmp_path / "kernels"),
        "XDG_CACHE_HOME": str(tmp_path),
        "LOCALAPPDATA": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **folders},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    shown = facts(done.stdout)
    told = facts(command("info", **folders).stdout)
    assert shown.pop("threading layer").startswith("not started yet")
    del told["threading layer"]
    assert shown == told


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_info_tells_the_forced_tile(command, name):
    found = facts(command("info", NNJIT_TILE=name).stdout)
    assert found["register tile"].startswith(f"{name}: {TARGETS[name].rows} rows")
    assert found["vector width"].startswith(f"{TARGETS[name].bytes} bytes")


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["demo", "--epochs", "0"]])
def test_wrong_arguments(command, arguments):
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "usage: python -m nnjit" in done.stderr


def test_version(command):
    assert command("--version").stdout == f"nnjit {nnjit.__version__}\n"
