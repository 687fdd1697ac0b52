"""What leans on Numba's private names: how helpers are compiled, and what is done without them."""

import contextlib
import importlib.util
import operator
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core.compiler import Flags
from numba.core.errors import CompilerError
from numba.core.runtime import _nrt_python, rtsys
from numba.extending import overload

from nnjit.core.compiler import numba_internals
from nnjit.core.compiler.jit import elementwise, inline, kernel, viewing
from nnjit.core.compiler.numba_internals import _QuickFlags, _Remembering
from nnjit.core.jobs.records import address_of, view

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


@inline
def second_half(x):
    return x[x.size // 2 :]


@inline
def sum_of_slices(x):
    half = x[x.size // 2 :]
    total = 0.0
    for value in half:
        total += value
    pair = (x[:1], half.reshape((half.size, 1)))
    return total + pair[0][0]


@inline
def filling(x):
    return np.full(1000, x[1])[-1] + x[0]


@inline
def adding(x):
    return (x + x)[1] - x[0]


@inline
def choosing(x):
    return x[x > x[0]][1]


@inline
def copying(x):
    return x.copy()[2]


@viewing
def allocating_view(x):
    return np.zeros(x.size)[1:]


@viewing
def view_of_half(address, n):
    return view(address, n, np.float64(0))[n // 2 :]


@pytest.mark.parametrize("helper", [second_half, allocating_view])
def test_a_helper_must_not_return_what_somebody_owns(helper):
    def function(x):
        return helper(x)[0]

    with pytest.raises(CompilerError, match=f"{helper.__name__} returns an array that somebody"):
        kernel(function)(np.arange(4.0))


@pytest.mark.parametrize("helper", [filling, adding, choosing, copying])
def test_a_helper_frees_what_it_makes(helper):
    def function(x):
        return helper(x)

    compiled, x = kernel(function), np.arange(1.0, 5.0)
    compiled(x)
    _nrt_python.memsys_enable_stats()
    try:
        before = rtsys.get_allocation_stats()
        assert [compiled(x) for _ in range(100)] == [3.0] * 100
        after = rtsys.get_allocation_stats()
    finally:
        _nrt_python.memsys_disable_stats()
    assert after.alloc - before.alloc == after.free - before.free >= 100


def test_references_to_an_array_are_left_alone():
    def function(x):
        return sum_of_slices(x)

    x = np.arange(6.0)
    compiled, before = kernel(function), sys.getrefcount(x)
    for _ in range(100):
        assert compiled(x) == 3.0 + 4.0 + 5.0 + 0.0
    assert sys.getrefcount(x) == before


def test_a_view_owns_nothing():
    def function(address, n):
        return view_of_half(address, n)[0]

    x = np.arange(6.0)
    compiled, before = kernel(function), sys.getrefcount(x)
    assert [compiled(address_of(x), 6) for _ in range(100)] == [3.0] * 100
    assert sys.getrefcount(x) == before


def test_flags_are_equal_when_numba_says_so():
    one, other = Flags(), Flags()
    one.nrt, other.nrt, other.release_gil = True, True, True
    quick = _QuickFlags(one)
    assert quick == one
    assert one == quick
    assert quick != other
    assert other != quick
    assert hash(quick) == hash(one)
    same = _QuickFlags(one)
    same.release_gil = False  # its default, said
    assert quick == same
    assert (quick == 1) is False


def halved(x):
    raise NotImplementedError


@overload(halved)
def _halved(x):
    return lambda x: x * x.dtype.type(0.5) if hasattr(x, "dtype") else x * 0.5


@inline
def halving_freely(x, i):
    return halved(x[i]) + x[i]


@elementwise
def halving_exactly(x, i):
    return halved(x[i]) + x[i]


def test_operators_are_remembered_and_what_is_compiled_is_not(tmp_path, monkeypatch):
    for name in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))  # what an earlier run compiled is not found

    def function(x):
        return halving_freely(x, 1) + halving_exactly(x, 1)

    for dtype in (np.float32, np.float64, np.int32):
        assert kernel(function)(np.array([1, 4], dtype)) == 12
    names = {key[0].typing_key for key in _Remembering.known}
    assert {operator.getitem, operator.add} <= names
    assert halved not in names
    for (function, args), signature in _Remembering.known.items():
        assert function.get_impl_key(signature) is function.typing_key
        assert len(args) == len(signature.args)


# A version of Numba that has other names

SOURCE = Path(numba_internals.__file__).read_text(encoding="utf-8")
IMPORTED = sorted(set(re.findall(r'_private\("[\w.]+", "(\w+)"\)', SOURCE)))
READ = (
    "_cache", "_codegen", "_data_layout", "_ensure_finalized", "_final_module",
    "_finalize_dynamic_globals", "_finalized", "_is_initialized", "_linking_libraries",
    "_lookup_global", "_rebuild", "_reduce", "_reload_init", "_shared_module", "_values", "acquire",
    "calltypes", "func_id", "get_impl_key", "has_dynamic_globals", "initialize",
    "lifted", "passes", "subtarget", "targetctx", "templates", "typemap", "typing_key",
)  # fmt: skip
OVERRIDDEN = (
    "_get_module_for_linking", "_optimize_functions", "compile_extra", "define_pipelines",
    "finalize", "get_pointer_to_function", "resolve_function_type", "run_pass", "set_env",
)  # fmt: skip


def without(name):
    """numba_internals.py as it would be if Numba did not have a name."""
    source = re.sub(rf'(?<=["\'.]){name}\b', f"{name}_gone", SOURCE)
    source = source.replace(f"def {name}(", f"def {name}_gone(")
    assert source != SOURCE
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader(f"without_{name}", loader=None)
    )
    sys.modules[module.__name__] = module
    exec(compile(source, f"<without {name}>", "exec"), module.__dict__)
    return module


class Kept:
    """A cache in memory, in the form of `KernelCache`."""

    def __init__(self, module):
        self.module, self.content = module, None

    def load_overload(self, signature, context):
        self.module.trusted()
        return None if self.content is None else self.module.load(self.content, context)

    def save_overload(self, signature, compiled):
        self.content = self.module.dump(compiled)

    def release(self):
        pass


def weighted(x, n):
    total = 0.0
    for i in range(n):
        total += x[i] * (i + 1)
    return total


def sum_of_tail(x):
    return weighted(x[1:], x.size - 1)


def compiled_by(module, cache):
    """A kernel of helpers that call helpers, as a C function, called with an array."""
    apart = numba.njit(**module.helper_options(module.ApartHelperCompiler))(weighted)
    calling = {"weighted": apart}
    tail = numba.njit(**module.helper_options())(
        type(sum_of_tail)(sum_of_tail.__code__, calling, "sum_of_tail")
    )
    viewing = numba.njit(**module.helper_options(module.ViewingHelperCompiler))(
        lambda address, n: view(address, n, np.float64(0))
    )

    def kernel_of_tail(address, n):
        return tail(viewing(address, n)) + apart(viewing(address, n), 1)

    signature = numba.types.float64(numba.types.int64, numba.types.int64)
    options = {"nopython": True, "fastmath": {"contract"}, "error_model": "numpy"}
    made = module.c_function(kernel_of_tail, signature, options, cache)
    x = np.array([5.0, 1.0, 2.0, 3.0])
    return made.ctypes(address_of(x), 4)


@pytest.mark.parametrize("name", [*IMPORTED, *READ, *OVERRIDDEN])
def test_without_one_of_numbas_names_kernels_are_compiled_and_right(name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = without(name)
        try:
            cache = Kept(module)
            assert compiled_by(module, cache) == 14.0 + 5.0
            with contextlib.suppress(Exception):  # what cannot be read is compiled again
                assert compiled_by(module, cache) == 14.0 + 5.0
            print(f"{name}: trusted {module.trusted()}, kept {cache.content is not None}")
            lock = module.compiler_lock()
            if lock is not None:
                lock.acquire()
                lock.release()
            assert module.pool_started() in (True, False)
        finally:
            del sys.modules[module.__name__]
    said = [str(w.message) for w in caught if issubclass(w.category, RuntimeWarning)]
    assert len(said) == (not module.trusted())  # once, and only if it matters
    assert all("compiled in the ordinary way" in text for text in said)


def test_python_that_calls_a_helper_is_refused():
    """Before a kernel called it and after; in a process of its own, which could crash."""
    code = (
        "import numpy as np\n"
        "from nnjit.core import scalar\n"
        "from nnjit.core.compiler.jit import elementwise, inline, kernel, vectorized, viewing\n"
        "def refused(helper, *values):\n"
        "    try:\n"
        "        helper(*values)\n"
        "    except TypeError as error:\n"
        "        assert 'which Python cannot call' in str(error), error\n"
        "    else:\n"
        "        raise SystemExit('called')\n"
        "def double(x):\n"
        "    return x + x\n"
        "for decorate in (inline, elementwise, vectorized, viewing, scalar.helper):\n"
        "    helper = decorate(double)\n"
        "    refused(helper, 1.0)\n"
        "    assert kernel(lambda x: helper(x))(2.0) == 4.0\n"
        "    refused(helper, 1.0)\n"
        "refused(scalar.exp, np.float32(1))\n"
        "refused(scalar.clip, 1.0, 0.0, 2.0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_with_all_names_there_is_nothing_to_say():
    assert numba_internals.trusted()
    assert not numba_internals._missing
    cache = Kept(numba_internals)
    assert compiled_by(numba_internals, cache) == 19.0
    assert cache.content
