"""Subprocesses with a time limit, and the threading layers of this machine."""

import importlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import pytest

HERE = Path(__file__).parent


def _available(module):
    try:
        importlib.import_module(f"numba.np.ufunc.{module}")
    except ImportError:
        return False
    return True


LAYERS = [
    name
    for name, module in [("omp", "omppool"), ("workqueue", "workqueue"), ("tbb", "tbbpool")]
    if _available(module)
]


def run_python(code, *arguments, limit=120, cwd=None, **environment):
    """Run code in a fresh interpreter; its output, or an AssertionError with its errors.

    A process that does not end in time is a failure, and is ended with its children.
    """
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, **{k: str(v) for k, v in environment.items()}},
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        raise AssertionError(f"no end within {limit} s\n{output}\n{errors}") from None
    assert process.returncode == 0, f"status {process.returncode}\n{output}\n{errors}"
    return output


jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
