"""Whole fits with a Numba that has other private names than the one that is installed."""

import re
import shutil
from pathlib import Path

import pytest
from fresh_python import jit_only, run_python

import nnjit

pytestmark = jit_only

PACKAGE = Path(nnjit.__file__).parent
INTERNALS = Path("core", "compiler", "numba_internals.py")
SOURCE = (PACKAGE / INTERNALS).read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r'_private\("[\w.]+", "(\w+)"\)', SOURCE)))
FIT = """
import sys, warnings
sys.path.insert(0, sys.argv[1])
import workload as w, nnjit
assert nnjit.__file__.startswith(sys.argv[1])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", RuntimeWarning)
    digest = w.small("float32")
print(digest, sum("compiled in the ordinary way" in str(w.message) for w in caught))
"""
# Without these no kernel is compiled otherwise; some are not kept.
HARMLESS = {"CFunc", "CompileResult", "dumps", "global_compiler_lock", "rtsys"}


@pytest.fixture(scope="module")
def expected():
    return run_python("import workload; print(workload.small('float32'))", limit=240).strip()


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n == "JITCodeLibrary" else pytest.mark.slow) for n in NAMES],
)
def test_without_a_name_a_fit_gives_the_same_bits(tmp_path, expected, name):
    shutil.copytree(PACKAGE, tmp_path / "nnjit", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "nnjit" / INTERNALS).write_text(SOURCE.replace(f'"{name}")', f'"{name}_gone")'))
    output = run_python(FIT, tmp_path, limit=400, NUMBA_CACHE_DIR=tmp_path / "cache")
    assert output.split() == [expected, "0" if name in HARMLESS else "1"]
