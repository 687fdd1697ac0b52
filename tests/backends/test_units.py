"""All units together: their names, whether each is kept in a file, and how long its code is."""

import json
import os
import subprocess
import sys

import numba
import pytest

from nnjit.backends.units import FAMILIES, all_units
from nnjit.core.compiler.sources import function_identity

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")

UNITS = [(*unit, single) for single in (True, False) for unit in all_units(single)]
# Most LLVM instructions of one unit after optimization for a processor without wide vectors, half
# as many again as the longest one has. They stand for the seconds that everybody waits who uses it.
LIMITS = {
    "driver": 1200,
    "layer": 3400,
    "activation": 300,
    "loss": 3000,
    "output": 1600,
    "solver": 650,
}


def test_units_have_names_of_their_own():
    """Cache files and symbols are called by them; what is of no precision occurs twice."""
    functions = {}
    for _, _, unit, _ in UNITS:
        functions.setdefault(unit.function.__name__, set()).add(function_identity(unit.function))
    assert [name for name, found in functions.items() if len(found) > 1] == []
    for single in (True, False):
        labels = [(family, name) for family, name, _ in all_units(single)]
        assert len(set(labels)) == len(labels)


def test_every_unit_belongs_to_a_family():
    assert list(dict.fromkeys(family for family, *_ in UNITS)) == list(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_units_close_over_is_known_to_the_cache(family):
    for of, name, unit, _ in UNITS:
        if of == family:
            assert function_identity(unit.function) is not None, (
                f"{name} closes over something that nnjit.core.compiler.sources does not know: it "
                "would be compiled anew in every process"
            )


_COMPILE = """
import json
import re
from nnjit.backends.units import all_units
from nnjit.core.compiler import cache

compiled, lengths = [], {}
save = cache.KernelCache.save_overload

def noting(self, signature, result):
    compiled.append((self._function.__name__, cache.dump(result) is not None))
    save(self, signature, result)

cache.KernelCache.save_overload = noting
for family, name, unit in all_units(True):
    before = len(compiled)
    unit.address
    if len(compiled) > before:
        code = unit._compiled.inspect_llvm()
        lengths[f"{family}: {name}"] = len(re.findall(r"^  \\S", code, re.M))
print(json.dumps([compiled, lengths]))
"""


@pytest.fixture(scope="module")
def compile_all(tmp_path_factory):
    """Compile or load all units of float32 in a new process.

    Returns (name and whether it could be written) of what it compiled, and instructions by unit.
    """
    folder = tmp_path_factory.mktemp("units")
    environment = {"NUMBA_CACHE_DIR": folder, "NUMBA_CPU_NAME": "generic", "NNJIT_TILE": "generic"}

    def run():
        done = subprocess.run(
            [sys.executable, "-c", _COMPILE],
            capture_output=True,
            text=True,
            env={**os.environ, **{name: str(value) for name, value in environment.items()}},
            timeout=1500,  # all units of all kinds, on a busy machine
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def first(compile_all):
    return compile_all()


@jit_only
@pytest.mark.timeout(1800)
def test_a_second_process_finds_every_unit(first, compile_all):
    compiled, _ = first
    assert len(compiled) >= len(list(all_units(True)))
    assert [name for name, written in compiled if not written] == []
    assert compile_all()[0] == []


@jit_only
@pytest.mark.timeout(1800)
def test_no_unit_has_become_long(first):
    _, lengths = first
    assert len(lengths) == len(list(all_units(True)))
    for label, length in lengths.items():
        limit = LIMITS[label.split(":")[0]]
        assert 0 < length <= limit, (
            f"{label} has {length} instructions, and units of its family at most {limit}. Cut it "
            "in two, keep what few networks need in a unit of its own, or have a helper that is "
            "called several times stay a function (nnjit.core.compiler.jit.vectorized); only then "
            "raise the limit."
        )
