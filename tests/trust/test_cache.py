"""The cache of compiled kernels: races, damage, no room, other sources."""

import ast
import compileall
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from fresh_python import HERE, jit_only, run_python

import nnjit
from nnjit.core.compiler import cache, folders, jit, locks, sources
from nnjit.core.compiler.compiling import undisturbed
from nnjit.core.scalar import compiled
from nnjit.formulas import ACTIVATIONS, LOSSES, SOLVERS

pytestmark = jit_only

CORE = Path(nnjit.__file__).parent / "core"
COMPILER = CORE / "compiler"
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
    kernels = [name for name in before if not Path(name).name.startswith("nnjit_symbol_")]
    assert len(kernels) == len(names)
    assert len(before) > len(kernels)  # the tiles that they call
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
from nnjit.core.compiler import cache, locks

me, other, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
# What both need is compiled by both, as where there are no locks: nobody waits at a lock for who
# waits here.
locks.acquire = lambda folder, name: None
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

os.replace = wait_for_the_other
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


def test_an_edit_in_any_kernel_source_changes_every_key(tmp_path, monkeypatch):
    copy = tmp_path / "core_of_a_copy"
    shutil.copytree(CORE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for path in copy.rglob("__init__.py"):  # the copy is hashed, not run
        path.write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    seen = {sources._hash_sources(copy.name)}
    for path in sorted(copy.rglob("*.py")):
        path.write_text(path.read_text() + "# edited\n")
        seen.add(sources._hash_sources(copy.name))
    assert None not in seen
    assert len(seen) == 1 + len(list(CORE.rglob("*.py")))


def test_sources_of_formulas_and_layers_go_into_every_key(tmp_path, monkeypatch):
    assert sources._PACKAGES == ("nnjit.core", "nnjit.formulas", "nnjit.layers")
    assert sources.source_digest() == sources._hash_sources(*sources._PACKAGES)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("one_room", "another_room"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    before = sources._hash_sources("one_room", "another_room")
    (tmp_path / "another_room" / "__init__.py").write_text("# edited\n")
    assert sources._hash_sources("one_room", "another_room") != before
    assert sources._hash_sources("one_room", "no_room") is None


def closing_over(value):
    def function():
        return value

    return sources.function_identity(function)


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (np.float32(0.5), np.float64(0.5)),
        (np.float64(0.1), np.nextafter(np.float64(0.1), 1)),
        (0.0, np.float64(0.0)),
        (0.0, -0.0),
        (np.float32, np.float64),
        ((np.float32(1.0), 2), (np.float32(1.0), 3)),
        ((1, (2, 3)), (1, 2, 3)),
        ((), (None,)),
    ],
    ids=repr,
)
def test_functions_are_told_apart_by_the_constants_that_they_close_over(value, other):
    assert closing_over(value) == closing_over(value) is not None
    assert closing_over(value) != closing_over(other)


# Names without addresses: processes that share the tests compare them.
@pytest.mark.parametrize(
    "value", [[1], np.zeros(2), (1, [2]), object()], ids=lambda value: type(value).__name__
)
def test_what_cannot_be_told_apart_is_not_cached(value):
    assert closing_over(value) is None


HALF = 0.5


def test_functions_are_told_apart_by_the_names_defaults_and_globals_that_they_read(monkeypatch):
    def scaled(by):
        def function(x, factor=by):
            return x * factor

        return function

    exponential, logarithm = lambda x: np.exp(x), lambda x: np.log(x)
    known = sources.function_identity
    assert known(exponential) != known(logarithm)
    assert known(scaled(1.0)) == known(scaled(1.0)) != known(scaled(2.0))

    def reading():
        return lambda x: HALF * x  # it is in a function inside

    before = known(reading)
    assert before == known(reading) is not None
    monkeypatch.setitem(globals(), "HALF", 0.25)
    assert known(reading) != before
    monkeypatch.setitem(globals(), "HALF", [0.25])
    assert known(reading) is None


def test_a_function_that_calls_itself_has_an_identity():
    def fall(x):
        return x if x < 1 else fall(x - 1)

    assert sources.function_identity(fall) is not None


def test_sets_look_the_same_in_every_process(tmp_path):
    """Their order depends on a seed that each process draws."""
    (tmp_path / "with_a_set.py").write_text("def known(x): return x in {'a', 'b', 'c', 'd', 'e'}")
    code = "import sys; sys.path.insert(0, sys.argv[1]); from with_a_set import known\n"
    code += "from nnjit.core.compiler.sources import function_identity as of; print(of(known))"
    assert len({run_python(code, tmp_path, PYTHONHASHSEED=seed) for seed in range(4)}) == 1


ENTRIES = [*ACTIVATIONS.values(), *LOSSES.values(), *SOLVERS.values()]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.name}-{type(entry).__name__}")
def test_kernels_of_formulas_can_be_cached(entry):
    """Their precisions are told apart by what they close over."""
    known = [
        [sources.function_identity(f.py_func) for f in filter(None, compiled(entry, single))]
        for single in (True, False)
    ]
    assert None not in known[0] + known[1]
    assert known[0] != known[1]


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
    source = package / "nnjit" / "formulas" / "solvers.py"
    text = source.read_text()
    assert "sqrt(second) + epsilon" in text
    source.write_text(text.replace("sqrt(second) + epsilon", "sqrt(second) + one"))
    edited = run()
    assert edited[0] != expected[1]
    assert edited[1] == "False"
    source.write_text(text)
    assert run()[0] == expected[1]


UPGRADED = """
import os, sys
sys.path.insert(0, sys.argv[1])
import workload as w, nnjit
from nnjit.core.compiler import cache
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
from nnjit.core.compiler.cache import cache_folder
assert cache_folder() is None, cache_folder()
print(w.small())
"""


def test_read_only_installation_and_no_other_place(tmp_path, expected):
    """Not by permissions, which root does not heed: files stand where the folders would be."""
    package = _copy_of_the_package(tmp_path)
    (tmp_path / "file").touch()
    nowhere = tmp_path / "file" / "folder"
    output = run_python(
        READ_ONLY, package, limit=240, PYTHONDONTWRITEBYTECODE=1,
        HOME=nowhere, XDG_CACHE_HOME=nowhere, NUMBA_CACHE_DIR=nowhere,
    )  # fmt: skip
    assert output.split() == expected[1:]
    assert not list(tmp_path.rglob("*.nnjit"))


# On a machine that others use

INNOCENT = (
    "import hashlib, os, sys\n"
    "from numba.core.registry import cpu_target\n"
    "from nnjit.core.compiler import cache\n"
    "found = cache._load(sys.argv[1], cpu_target.target_context)\n"
    "print(found, os.path.exists(sys.argv[2]))\n"
)


def _hostile_file(folder, marker):
    """A file as a kernel's, that makes `marker` exist when it is loaded."""
    import hashlib

    payload = b"cos\nmkdir\n(S'" + str(marker).encode() + b"'\ntR."
    path = Path(folder) / f"work_double-0{cache.SUFFIX}"
    path.write_bytes(hashlib.sha256(payload).digest() + payload)
    path.chmod(0o600)
    return path


def _loading(place, path, marker):
    """Whether loading the file ran what is in it."""
    outcome = run_python(INNOCENT, path.name, marker, NUMBA_CACHE_DIR=place, limit=60)
    assert outcome.startswith("None")
    return outcome.split()[1] == "True"


@pytest.fixture
def place(tmp_path):
    """(cache folder as it should be, a hostile file in it, what that file makes)."""
    folder = tmp_path / "place" / "nnjit"
    folder.mkdir(parents=True, mode=0o700)
    marker = tmp_path / "it_ran"
    return folder, _hostile_file(folder, marker), marker


def test_a_file_of_ones_own_is_loaded(place):
    """So the tests below would notice if theirs were."""
    folder, path, marker = place
    assert _loading(folder.parent, path, marker)


@pytest.mark.skipif(not folders._POSIX, reason="owners and modes are POSIX's")
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_loaded(place, mode):
    folder, path, marker = place
    path.chmod(mode)
    assert not _loading(folder.parent, path, marker)


@pytest.mark.skipif(not folders._POSIX, reason="owners and modes are POSIX's")
@pytest.mark.parametrize("mode", [0o770, 0o703, 0o1777])
def test_nothing_is_loaded_from_or_written_to_a_folder_that_others_may_write_to(place, mode):
    folder, path, marker = place
    folder.chmod(mode)
    assert not _loading(folder.parent, path, marker)
    assert folders.problem(folder) == "others may write to it"
    assert not folders.make(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may chown")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_nothing_of_another_user_is_loaded(place, what):
    folder, path, marker = place
    os.chown(path if what == "file" else folder, 12345, -1)
    assert not _loading(folder.parent, path, marker)
    assert (folders.problem(folder) is None) == (what == "file")


@pytest.mark.skipif(not folders._POSIX, reason="links need a privilege elsewhere")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_no_link_is_followed(place, tmp_path, what):
    folder, path, marker = place
    original = path if what == "file" else folder
    moved = original.rename(tmp_path / "moved")
    original.symlink_to(moved)
    assert not _loading(folder.parent, path, marker)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_in_the_place_of_a_file_does_not_hang(place):
    folder, path, marker = place
    path.unlink()
    os.mkfifo(path, 0o600)
    assert not _loading(folder.parent, path, marker)


@pytest.mark.skipif(not folders._POSIX, reason="modes are POSIX's")
def test_folder_and_files_are_made_for_their_user_alone(tmp_path):
    code = (
        "import os; os.umask(0)\n"
        "from nnjit.core.compiler import cache, folders\n"
        "folder = cache.cache_folder()\n"
        "folders.write(folder, 'a.nnjit', b'x'); print(folder)"
    )
    folder = Path(run_python(code, NUMBA_CACHE_DIR=tmp_path / "new" / "deep").strip())
    assert folder.parent == tmp_path / "new" / "deep"
    for made in (folder, folder.parent, tmp_path / "new"):
        assert made.stat().st_mode & 0o777 == 0o700
    assert (folder / "a.nnjit").stat().st_mode & 0o777 == 0o600


def test_an_unsafe_folder_means_the_users_own(place, tmp_path):
    folder, _, _ = place
    folder.chmod(0o777)
    code = "from nnjit.core.compiler.cache import cache_folder; print(cache_folder())"
    own = run_python(code, NUMBA_CACHE_DIR=folder.parent, XDG_CACHE_HOME=tmp_path / "own")
    if sys.platform.startswith("linux"):
        assert own.strip() == str(tmp_path / "own" / "nnjit")


def test_a_relative_folder_is_taken_from_where_the_process_is(tmp_path):
    code = "from nnjit.core.compiler.cache import cache_folder; print(cache_folder())"
    output = run_python(code, cwd=tmp_path, NUMBA_CACHE_DIR="kernels")
    assert output.strip() == str(tmp_path / "kernels" / "nnjit")


# Installations of other kinds

INSTALLED = """
import sys
sys.path.insert(0, sys.argv[1])
import workload as w, nnjit
assert nnjit.__file__.startswith(sys.argv[1]), nnjit.__file__
names = w.compiled()
print(w.small(), len(names))
"""


def _zipped(folder):
    archive = shutil.make_archive(str(folder / "archive"), "zip", _copy_of_the_package(folder))
    return Path(archive)


def _compiled_only(folder):
    package = _copy_of_the_package(folder)
    compileall.compile_dir(package, legacy=True, quiet=1)
    for source in package.rglob("*.py"):
        source.unlink()
    return package


@pytest.mark.parametrize("installed", [_zipped, _compiled_only])
def test_kernels_are_kept_for_an_installation_without_source_files(tmp_path, expected, installed):
    package = installed(tmp_path)
    first, second = (
        run_python(INSTALLED, package, limit=240, NUMBA_CACHE_DIR=tmp_path / "cache").split()
        for _ in range(2)
    )
    assert first[0] == second[0] == expected[1]
    assert int(first[1]) > 0 == int(second[1])
    assert not list(package.parent.rglob("*.nbi"))


def test_nothing_is_written_into_the_installed_package(tmp_path, expected):
    """So that nothing of it is left when it is removed."""
    package = _copy_of_the_package(tmp_path)
    before = files(package / "nnjit")
    output = run_python(
        INSTALLED, package, limit=240, PYTHONDONTWRITEBYTECODE=1, NUMBA_CACHE_DIR="",
        XDG_CACHE_HOME=tmp_path / "cache", HOME=tmp_path / "home",
        LOCALAPPDATA=tmp_path / "cache",
    )  # fmt: skip
    assert output.split()[0] == expected[1]
    assert files(package / "nnjit") == before


APART = """
import ctypes, sys
import numpy as np
from nnjit.core.maps.activations import value_unit
kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)
for name in sys.argv[1:]:
    x = np.array([-1.0, 0.5, 2.0])
    kind(value_unit(name, False).address)(x.ctypes.data, 3)
    print(*x.tolist())
"""


def test_kernels_from_files_of_different_processes_keep_to_their_own_helpers(tmp_path):
    """Each process numbers its functions from 1, so helpers have the same names."""
    names = ["relu", "tanh", "logistic"]
    apart = [run_python(APART, name, NUMBA_CACHE_DIR=tmp_path).strip() for name in names]
    assert len(set(apart)) == len(names)
    for order in (names, names[::-1]):
        together = run_python(APART, *order, NUMBA_CACHE_DIR=tmp_path).split("\n")
        assert dict(zip(order, together, strict=False)) == dict(zip(names, apart, strict=True))


# Two processes that want the same

TURNS = """
import sys, time
import workload as w
from nnjit.core.compiler import cache, locks
names = w.compiled()
print(w.small(), *names)
"""


def test_of_two_cold_processes_one_compiles_a_kernel_and_the_other_waits(tmp_path, expected):
    processes = [_start(TURNS, NUMBA_CACHE_DIR=tmp_path) for _ in range(2)]
    outputs = [output.split() for output in _outputs(processes, 240)]
    assert [output[0] for output in outputs] == [expected[1]] * 2
    compiled = [name for output in outputs for name in output[1:]]
    assert len(compiled) > 5
    assert sorted(compiled) == sorted(set(compiled))
    assert not list(tmp_path.rglob("*.lock"))


HOLDER = """
import sys, time
from nnjit.core.compiler import locks
locks.acquire(sys.argv[1], "kernel")
print("held", flush=True)
time.sleep(100)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of 'kernel'."""
    if locks.fcntl is None:
        pytest.skip("files cannot be locked in this way here")
    process = _start(HOLDER, tmp_path)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_waiting_has_an_end(holder, tmp_path):
    started = time.monotonic()
    locks.acquire(tmp_path, "kernel", limit=0.3)
    assert 0.3 <= time.monotonic() - started < 30
    assert "kernel" not in locks._held
    locks.acquire(tmp_path, "another", limit=0.0)  # not held by anybody
    assert "another" in locks._held
    locks.release("another")
    locks.release("another")  # a second time does nothing


def test_a_killed_process_holds_nobody_up(holder, tmp_path):
    holder.kill()
    holder.wait()
    locks.acquire(tmp_path, "kernel", limit=30.0)
    assert "kernel" in locks._held
    locks.release("kernel")
    assert not (tmp_path / "kernel.lock").exists()


def test_ctrl_c_is_heard_while_waiting(heard, holder, tmp_path):
    with pytest.raises(KeyboardInterrupt), undisturbed():
        threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
        locks.acquire(tmp_path, "kernel", limit=60.0)
        raise AssertionError("waited to the end")
    assert "kernel" not in locks._held


def test_a_fork_does_not_wait_for_another_process(holder, tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("no forks here")
    ended = threading.Event()

    def wait():
        with jit._lock:  # as in a compilation
            locks.acquire(tmp_path, "kernel", limit=60.0)
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    time.sleep(0.2)
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os._exit(locks._hurry)
    assert os.waitpid(child, 0)[1] == 0
    assert time.monotonic() - started < 30
    assert ended.wait(30)
    assert not locks._hurry


# What is kept


def test_what_was_not_used_for_long_goes_and_then_the_longest_unused(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_KEPT_BYTES", 25)
    now = time.time()
    for name, days in (("old", 40), ("a", 3), ("b", 2), ("c", 1)):
        path = tmp_path / f"{name}.nnjit"
        path.write_bytes(10 * b"x")
        os.utime(path, (now, now - days * 86400))
    (tmp_path / "k.nnjit.1.ab.tmp").touch()
    os.utime(tmp_path / "k.nnjit.1.ab.tmp", (now, now - 2 * 86400))
    (tmp_path / "new.nnjit.lock").touch()
    (tmp_path / "mine.txt").touch()
    cache._prune(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["b.nnjit", "c.nnjit", "mine.txt", "new.nnjit.lock"]
    cache.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "mine.txt").unlink()
    cache.clear(tmp_path)
    assert not tmp_path.exists()
    assert cache.cached_files(tmp_path) == []


def test_a_kernel_that_is_used_is_marked_as_used(tmp_path):
    path = tmp_path / "a.nnjit"
    path.touch()
    for days, moved in ((0.5, False), (2, True)):
        os.utime(path, (0, time.time() - days * 86400))
        before = path.stat().st_mtime
        cache._mark_as_used(path)
        assert (path.stat().st_mtime > before) == moved
