"""Without Dask the package works, and nnjit.dask says what to install."""

import subprocess
import sys


def test_a_missing_dask_is_named_with_its_extra():
    code = """
import sys
sys.modules["distributed"] = None
import nnjit
try:
    import nnjit.dask
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "pip install 'nnjit[dask]'" in done.stdout, done.stderr
