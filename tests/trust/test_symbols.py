"""The register tiles: compiled once, kept beside the kernels, found by whoever calls them."""

import ast
import ctypes
import os
import shutil
import threading
from pathlib import Path

import pytest
from fresh_python import jit_only, run_python

from nnjit.core.compiler import sources, symbols
from nnjit.core.compiler.cache import SUFFIX

pytestmark = jit_only

# The Jacobian of the softmax needs a transpose and an outer product, and nothing else.
JACOBIAN = """
import os, sys
import numpy as np
import workload
from nnjit.core.compiler import numba_internals, symbols
from nnjit.functional import softmax_jacobian
if "ordinary" in sys.argv:
    numba_internals._Trust.known = False
kernels = workload.compiled()
print(symbols._known)
x = np.arange(12, dtype=sys.argv[1]).reshape(3, 4) / 8
print(hash(softmax_jacobian(x).tobytes()))
print(kernels)
print(sorted(symbols._known))
"""


def jacobian(folder, way="quick", **environment):
    """Hash of the result, kernels compiled, and primitives known to the linker."""
    output = run_python(
        JACOBIAN, "float32", way, NUMBA_CACHE_DIR=folder, PYTHONHASHSEED=0, **environment
    )
    before, result, kernels, known = output.splitlines()
    assert before == "set()"
    return result, ast.literal_eval(kernels), {stem(name) for name in ast.literal_eval(known)}


def stem(name):
    """A symbol's name without the digest and what is the same for all."""
    return name.removeprefix("nnjit_symbol_").rsplit("_", 1)[0].split("x")[0]


def tiles(folder):
    return sorted(Path(folder).rglob(f"nnjit_symbol_*{SUFFIX}"))


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiles")
    return folder, jacobian(folder)


NEEDED = {"outer_product_f32", "transpose_into_f32"}


def test_a_kernel_from_the_cache_finds_what_it_calls_and_nothing_else_is_made(cold):
    folder, (result, kernels, known) = cold
    assert kernels
    assert known == NEEDED
    assert {stem(path.stem) for path in tiles(folder)} == NEEDED
    assert jacobian(folder) == (result, [], NEEDED)


@pytest.mark.parametrize("how", ["truncated", "one bit", "no object", "another's", "gone"])
def test_a_bad_file_is_compiled_again(cold, how):
    folder, (result, _, _) = cold
    sound = {path: path.read_bytes() for path in tiles(folder)}
    for path, content in sound.items():
        damage(path, content, how, others=[c for c in sound.values() if c != content])
    assert jacobian(folder) == (result, [], NEEDED)
    assert {path: path.read_bytes() for path in tiles(folder)} == sound


def damage(path, content, how, others):
    if how == "gone":
        path.unlink()
        return
    if how == "truncated":
        content = content[: len(content) // 2]
    elif how == "one bit":
        content = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
    elif how == "no object":  # but the right digest
        import hashlib

        content = hashlib.sha256(b"nonsense").digest() + b"nonsense"
    else:
        content = others[0]
    path.write_bytes(content)


def test_kernels_compiled_in_the_ordinary_way_find_them_too(cold, tmp_path):
    """As with a version of Numba that nnjit's own way does not fit."""
    result, kernels, known = jacobian(tmp_path, "ordinary")
    assert kernels
    assert (result, known) == (cold[1][0], NEEDED)
    assert jacobian(tmp_path, "ordinary") == (result, [], NEEDED)


def test_without_a_folder_tiles_are_compiled_in_memory(cold, tmp_path):
    (tmp_path / "file").touch()
    nowhere = tmp_path / "file" / "folder"
    places = {"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "LOCALAPPDATA": nowhere}
    result, kernels, known = jacobian(nowhere, **places)
    assert (result, known) == (cold[1][0], NEEDED)
    assert kernels == cold[1][1]


TOGETHER = """
import os, sys, time
from pathlib import Path
from nnjit.core.compiler import symbols
from nnjit.core.simd import objects
me, other, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
deadline = time.monotonic() + 60
replace = os.replace

def wait_for_the_other(source, target):  # both have compiled, neither has written
    (folder / f"{me}.written").touch()
    while not (folder / f"{other}.written").exists():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    replace(source, target)

os.replace = wait_for_the_other
symbols.require(objects._SYMBOLS["transpose_into", "f32"])
"""


def test_two_processes_at_once(cold, tmp_path):
    """Both find no tile, both compile, both write the same file."""
    outcomes = []

    def run(*names):
        outcomes.append(run_python(TOGETHER, *names, tmp_path, NUMBA_CACHE_DIR=tmp_path / "c"))

    threads = [threading.Thread(target=run, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["", ""]
    (path,) = tiles(tmp_path)
    assert not list(tmp_path.rglob("*.tmp"))
    for kernel in cold[0].rglob("softmax_jacobian*"):
        shutil.copy(kernel, path.parent)
    assert jacobian(tmp_path / "c") == (cold[1][0], [], NEEDED)


def test_a_tile_of_another_shape_has_another_name(cold, tmp_path):
    """Machine code for one tile cannot be linked with a kernel for another."""
    jacobian(tmp_path, NNJIT_TILE="generic")
    names = [{path.name for path in tiles(folder)} for folder in (cold[0], tmp_path)]
    assert len(names[0]) == len(names[1]) == len(NEEDED)
    assert not names[0] & names[1]


# Names


@pytest.fixture
def offered():
    """A symbol that counts how often it is made, and has the address of a C function."""
    callback = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)
    made = []

    def make(name):
        made.append(name)
        return ctypes.cast(callback, ctypes.c_void_p).value

    name = symbols.offer(f"test_{os.getpid()}", make)
    yield name, made
    symbols._makers.pop(name)
    symbols._known.discard(name)


def test_a_symbol_is_made_once_by_whichever_thread_comes_first(offered):
    name, made = offered
    ready = threading.Barrier(8)

    def require():
        ready.wait()
        symbols.require(name)

    threads = [threading.Thread(target=require) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [name]
    symbols.require_those_in(b"\0" + 2 * name.encode() + b"_tail")  # as a string table has them
    assert made == [name]


def test_code_that_calls_a_name_of_another_version_is_refused(offered):
    name, made = offered
    other = name[:-1] + ("0" if name[-1] != "0" else "1")
    with pytest.raises(KeyError, match=other):
        symbols.require_those_in(other.encode())
    assert made == []


def test_names_tell_sources_and_machines_apart(monkeypatch):
    names = {symbols.offer("test", None)}
    monkeypatch.setattr(symbols, "machine", lambda: ("another",))
    names.add(symbols.offer("test", None))
    monkeypatch.setattr(symbols, "source_digest", lambda: "another")
    names.add(symbols.offer("test", None))
    assert len(names) == 3
    for name in names:
        symbols._makers.pop(name)
    assert sources.source_digest() != "another"


FORK = """
import os
import numpy as np
from nnjit.functional import softmax_jacobian
from nnjit.core.compiler import symbols
x = np.arange(12.0, dtype=np.float32).reshape(3, 4) / 8
expected = softmax_jacobian(x)
child = os.fork()
if child == 0:
    same = np.array_equal(softmax_jacobian(x), expected)
    other = softmax_jacobian(x.astype(np.float64))  # whose tiles the parent has not loaded
    known = len(symbols._known)
    os._exit(not (same and np.allclose(other, expected) and known == 4))
assert os.waitpid(child, 0)[1] == 0
assert len(symbols._known) == 2
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_fork_inherits_tiles_and_loads_others(cold):
    run_python(FORK, NUMBA_CACHE_DIR=cold[0])
