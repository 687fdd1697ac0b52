"""The cache of compiled kernels: races, damage, no room, other sources."""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fresh_python import HERE, jit_only, run_python

import nnjit

pytestmark = jit_only

CORE = Path(nnjit.__file__).parent / "core"
RUN = """
import sys
import workload as w
names = w.compiled()
print([w.small(dtype) for dtype in sys.argv[1:]])
print(sorted(names))
"""


def digests_and_compilations(*dtypes, **environment):
    first, second = run_python(RUN, *dtypes, limit=240, **environment).splitlines()
    return ast.literal_eval(first), ast.literal_eval(second)


def files(folder):
    """Name, size and time of every file under a folder."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="session")
def cold(tmp_path_factory):
    """(cache folder filled by one run in float64, what that run printed)."""
    folder = tmp_path_factory.mktemp("cache")
    return folder, digests_and_compilations("float64", NUMBA_CACHE_DIR=folder)


@pytest.fixture
def warm(cold, tmp_path):
    """A copy of that folder."""
    shutil.copytree(cold[0], tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def expected():
    """What `small` gives in float32 and in float64 with the cache of this test run."""
    return digests_and_compilations("float32", "float64")[0]


def test_second_run_compiles_nothing_and_writes_nothing(cold):
    folder, (digest, names) = cold
    assert names
    before = files(folder)
    assert len(before) == len(names)
    assert digests_and_compilations("float64", NUMBA_CACHE_DIR=folder) == (digest, [])
    assert files(folder) == before


def _damage(path, how):
    if how in ("loop", "folder", "deleted"):
        path.unlink()
    if how == "loop":  # cannot be opened, by root neither
        path.symlink_to(path.name)
    elif how == "folder":
        path.mkdir()
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "one bit":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif how == "right digest, no pickle":
        import hashlib

        path.write_bytes(hashlib.sha256(b"nonsense").digest() + b"nonsense")
    elif how == "unreadable":
        path.chmod(0)


DAMAGES = (
    "truncated", "empty", "deleted", "unreadable", "loop", "folder", "one bit",
    "right digest, no pickle",
)  # fmt: skip


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=() if how == "truncated" else pytest.mark.slow)
            for how in DAMAGES]
)  # fmt: skip
def test_damaged_files_are_compiled_again(cold, warm, how):
    """Every file is damaged; the run is right, says nothing, and leaves a sound cache."""
    paths = sorted(warm.rglob("*.nnjit"))
    for path in paths:
        _damage(path, how)
    digest, names = digests_and_compilations("float64", NUMBA_CACHE_DIR=warm)
    assert digest == cold[1][0]
    if how == "unreadable" and os.geteuid() == 0:
        assert names == []  # nothing is unreadable to root
        return
    assert names == cold[1][1]
    assert not list(warm.rglob("*.tmp"))
    if how != "folder":  # which is not ours to remove
        assert digests_and_compilations("float64", NUMBA_CACHE_DIR=warm) == (digest, [])


LOCKSTEP = """
import os, sys, time
from pathlib import Path
import workload as w
from nnjit.core import cache

me, other, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
step = 0
replace = os.replace

def wait_for_the_other(source, target):
    # Both have compiled and written; neither has moved its file into place.
    global step
    step += 1
    (folder / f"{me}.{step}").touch()
    deadline = time.monotonic() + 100
    while not (folder / f"{other}.{step}").exists() and not (folder / f"{other}.end").exists():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    replace(source, target)

cache.os.replace = wait_for_the_other
try:
    print(w.small(me))
finally:
    (folder / f"{me}.end").touch()
assert step > 0
"""


def _start(code, *arguments, **environment):
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **{k: str(v) for k, v in environment.items()}},
    )


def _outputs(processes, limit):
    try:
        return [process.communicate(timeout=limit)[0].strip() for process in processes]
    finally:
        for process in processes:
            process.kill()


def test_two_cold_processes_write_at_the_same_moment(tmp_path, expected):
    """One in float32, one in float64, in step at every file that they move into place."""
    cache = tmp_path / "cache"
    pairs = [("float32", "float64"), ("float64", "float32")]
    processes = [_start(LOCKSTEP, a, b, tmp_path, NUMBA_CACHE_DIR=cache) for a, b in pairs]
    assert _outputs(processes, 240) == expected
    third = digests_and_compilations("float32", "float64", NUMBA_CACHE_DIR=cache)
    assert third == (expected, [])


@pytest.mark.slow
def test_eight_cold_processes(tmp_path, expected):
    processes = [
        _start(
            "import sys, workload; print(workload.small(sys.argv[1]))",
            ("float32", "float64")[i % 2],
            NUMBA_CACHE_DIR=tmp_path,
        )
        for i in range(8)
    ]
    assert _outputs(processes, 400) == 4 * expected
    assert not list(tmp_path.rglob("*.tmp"))
    third = digests_and_compilations("float32", "float64", NUMBA_CACHE_DIR=tmp_path)
    assert third == (expected, [])


# Other sources


def _digest_of(core):
    spec = importlib.util.spec_from_file_location("cache_of_a_copy", core / "cache.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.source_digest()


def test_an_edit_in_any_kernel_source_changes_every_key(tmp_path):
    shutil.copytree(CORE, tmp_path / "core", ignore=shutil.ignore_patterns("__pycache__"))
    seen = {_digest_of(tmp_path / "core")}
    for path in sorted((tmp_path / "core").glob("*.py")):
        path.write_text(path.read_text() + "# edited\n")
        seen.add(_digest_of(tmp_path / "core"))
    assert len(seen) == 1 + len(list(CORE.glob("*.py")))


def _copy_of_the_package(folder):
    shutil.copytree(
        CORE.parent, folder / "nnjit", ignore=shutil.ignore_patterns("__pycache__", "*.nnjit")
    )
    return folder


EDITED = """
import sys
sys.path.insert(0, sys.argv[1])
import workload as w, nnjit
assert nnjit.__file__.startswith(sys.argv[1])
names = w.compiled()
print(w.small())
print(names == [])
"""


@pytest.mark.slow
def test_every_caller_sees_an_edited_callee(tmp_path, expected):
    """A constant deep in the arithmetic: all kernels are compiled again, with it."""
    package = _copy_of_the_package(tmp_path)

    def run():
        return run_python(EDITED, package, NUMBA_CACHE_DIR=tmp_path / "cache").split()

    assert run() == [expected[1], "False"]
    assert run() == [expected[1], "True"]
    source = package / "nnjit" / "core" / "optimizers.py"
    text = source.read_text()
    assert "1.0 - " in text
    source.write_text(text.replace("1.0 - ", "1.25 - "))
    edited = run()
    assert edited[0] != expected[1]
    assert edited[1] == "False"
    source.write_text(text)
    assert run()[0] == expected[1]


UPGRADED = """
import os, sys
sys.path.insert(0, sys.argv[1])
import workload as w, nnjit
from nnjit.core import cache
assert cache.__file__.startswith(sys.argv[1])
before = cache.source_digest()
with open(cache.__file__, "a") as source:
    source.write("# upgraded while this process runs\\n")
assert cache.source_digest() == before
"""


def test_sources_replaced_under_a_running_process(tmp_path):
    """Its code must not be filed under the digest of sources that it does not run."""
    run_python(UPGRADED, _copy_of_the_package(tmp_path))


# No room


SMALL_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
import workload as w
print(w.small())
"""


@pytest.mark.slow
def test_a_full_disk_while_saving(tmp_path, expected):
    """No file may grow beyond 2000 bytes; the error is that of a full disk but for its number."""
    pytest.importorskip("resource")
    assert run_python(SMALL_FILES, NUMBA_CACHE_DIR=tmp_path, limit=240).split() == expected[1:]
    assert files(tmp_path) == {}


@pytest.mark.slow
def test_a_disk_that_is_really_full(tmp_path, expected):
    """A file system of 64 KiB."""
    options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    try:
        output = run_python("import workload as w; print(w.small())", NUMBA_CACHE_DIR=tmp_path)
        assert output.split() == expected[1:]
        assert not list(tmp_path.rglob("*.tmp"))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


READ_ONLY = """
import sys
sys.path.insert(0, sys.argv[1])
import workload as w, nnjit
assert nnjit.__file__.startswith(sys.argv[1])
from nnjit.core.cache import cache_folder
assert cache_folder() is None, cache_folder()
print(w.small())
"""


def test_read_only_installation_and_no_other_place(tmp_path, expected):
    """Not by permissions, which root does not heed: files stand where the folders would be."""
    package = _copy_of_the_package(tmp_path)
    (package / "nnjit" / "core" / "__pycache__").touch()
    (tmp_path / "file").touch()
    nowhere = tmp_path / "file" / "folder"
    output = run_python(
        READ_ONLY, package, limit=240, PYTHONDONTWRITEBYTECODE=1,
        HOME=nowhere, XDG_CACHE_HOME=nowhere, NUMBA_CACHE_DIR=nowhere,
    )  # fmt: skip
    assert output.split() == expected[1:]
    assert not list(tmp_path.rglob("*.nnjit"))
