"""A short run of scripts/interrupt.py; the long one is a command of its own."""

import subprocess
import sys
from pathlib import Path

import pytest
from fresh_python import jit_only

SCRIPT = Path(__file__).parents[2] / "scripts" / "interrupt.py"
pytestmark = [
    jit_only,
    pytest.mark.skipif(not SCRIPT.exists(), reason="scripts/ is not in this checkout"),
]


def test_fits_are_interrupted_at_random_moments():
    kinds = ["MLP", "checkpoint", "blocks", "RBF", "AutoEncoder"]
    command = [sys.executable, str(SCRIPT), "--fits", "8", "--longest", "60", *kinds]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 findings" in done.stdout and done.stdout.count("trained") == len(kinds)
