"""All that leans on Numba's private names, and what is done where a version has others.

`HelperCompiler` compiles the functions that only kernels call: a first fit waits for some seventy
of them, so nothing is done that they do not need. `dump` and `load` turn compiled code into bytes
and back. Before the first compilation of a process a small kernel is compiled in this way; where
that fails, `trusted` is false from then on, and kernels are compiled by plain `numba.njit`, which
takes longer and gives the same results.
"""
# mypy: ignore-errors

import contextlib
import ctypes
import functools
import importlib
import pickle
import sys
import warnings

import llvmlite.binding as llvm
import numba
from numba import types

__all__ = [
    "ApartHelperCompiler",
    "HelperCompiler",
    "KernelCompiler",
    "ViewingHelperCompiler",
    "WideHelperCompiler",
    "attach_cache",
    "c_function",
    "compiler_lock",
    "dump",
    "helper",
    "helper_options",
    "kernel_options",
    "load",
    "pool_started",
    "trusted",
]


class _Absent:
    """Stands for a name that this version of Numba does not have."""

    def __init__(self, *arguments, **options):
        pass

    def __call__(self, decorated):
        return decorated


_missing = []


def _private(module, name):
    """A name of one of Numba's modules that its manual does not promise."""
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        _missing.append(f"{module}.{name}")
        return type(name, (_Absent,), {})


def _overriding(child):
    """Note methods of a class that its base does not have: Numba would not call them."""
    (base,) = child.__bases__
    for name, method in vars(child).items():
        if callable(method) and not hasattr(base, name):
            _missing.append(f"{base.__name__}.{name}")
    return child


JITCodeLibrary = _private("numba.core.codegen", "JITCodeLibrary")
Compiler = _private("numba.core.compiler", "Compiler")
Flags = _private("numba.core.compiler", "Flags")
AnalysisPass = _private("numba.core.compiler_machinery", "AnalysisPass")
register_pass = _private("numba.core.compiler_machinery", "register_pass")
CompilerError = _private("numba.core.errors", "CompilerError")
AnnotateTypes = _private("numba.core.typed_passes", "AnnotateTypes")
_IntrinsicTemplate = _private("numba.core.typing.templates", "_IntrinsicTemplate")

# Passes for what no helper contains: closures, comprehensions, `with`, literal_unroll, literally,
# exceptions with arguments, whole-array expressions, Numba's own inlining.
_UNNEEDED = frozenset({
    "WithLifting", "InlineClosureLikes", "MakeFunctionToJitFunction", "RewriteDynamicRaises",
    "InlineInlinables", "FindLiterallyCalls", "LiteralUnroll", "LiteralPropagationSubPipelinePass",
    "InlineOverloads", "NopythonRewrites", "NoPythonSupportedFeatureValidation",
    "DumpParforDiagnostics",
})  # fmt: skip


class _Around:
    """One of Numba's objects, but for the methods that a subclass defines."""

    def __init__(self, real):
        self._real = real
        for name, method in vars(type(self)).items():
            if callable(method):
                getattr(real, name)  # Numba would not call one that it does not have

    def __getattr__(self, name):
        return getattr(self._real, name)


class _WithoutEnvironment(_Around):
    """A code generator that does not bind a function's constants to loaded code."""

    def set_env(self, env_name, env):
        """Nothing is loaded yet; kernels raise nothing and so never read it."""


class _Remembering(_Around):
    """A typing context that finds an operator's signature for the same types once.

    Numba asks one template of the operator after the other each time it is used, in a first fit
    three thousand times for some two hundred combinations.
    """

    known = {}

    def resolve_function_type(self, function, args, kws):
        kind = function if isinstance(function, types.Type) else self._lookup_global(function)
        if kws or not isinstance(kind, types.Function):
            return self._real.resolve_function_type(function, args, kws)
        key = kind, tuple(args)
        signature = self.known.get(key)
        if signature is None:
            signature = self._real.resolve_function_type(function, args, kws)
            # what is itself compiled from Python depends on its caller's flags as well
            if signature and kind.get_impl_key(signature) is kind.typing_key:
                self.known[key] = signature
        return signature


_WIDEST = '"prefer-vector-width"="512"'


@_overriding
class _HelperLibrary(JITCodeLibrary):
    """Code of a function that only kernels call: linked, but neither optimized nor emitted.

    Numba optimizes and emits every function on its own before it links it into its callers,
    where all of it happens again; that would make the first fit four times longer. What a
    helper calls is linked once, where a kernel asks for the helper, and not into every caller
    on the way up.
    """

    stays_a_function = False
    prefers_wide = False

    @property
    def codegen(self):
        return _WithoutEnvironment(self._codegen)

    def add_ir_module(self, ir_module):
        if self.prefers_wide:
            for function in ir_module.functions:
                if function.blocks and isinstance(function.attributes, set):
                    set.add(function.attributes, _WIDEST)  # llvmlite itself knows no such name
        super().add_ir_module(ir_module)

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self):
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == llvm.Linkage.external:
                function.linkage = "linkonce_odr"  # may come in by several ways
                if self.stays_a_function:
                    function.add_function_attribute("noinline")
        self._finalize_dynamic_globals()
        self._finalized = True

    def _get_module_for_linking(self):
        if self._shared_module is None:
            self._ensure_finalized()
            self._shared_module = self._final_module.clone()
            for library in _called_by(self):
                self._reload_init.update(library._reload_init)
                helper = isinstance(library, _HelperLibrary)
                module = library._final_module if helper else library._get_module_for_linking()
                self._shared_module.link_in(module, preserve=True)
        return self._shared_module

    def get_pointer_to_function(self, name):
        self._ensure_finalized()
        return 0  # no Python wrapper


@_overriding
class _AloneLibrary(JITCodeLibrary):
    """Code of a kernel whose helpers nobody else sees.

    Numba numbers functions from 1 in every process and leaves helpers open to the linker: of two
    kernels from files of different processes, whose helpers share name, types and number, the
    second one would get the first one's helper. They are closed after the optimizer, which so
    does what it would do otherwise.
    """

    def _optimize_final_module(self):
        super()._optimize_final_module()
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage in _MERGED:
                function.linkage = "internal"


_MERGED = frozenset({
    llvm.Linkage.linkonce_any, llvm.Linkage.linkonce_odr,
    llvm.Linkage.weak_any, llvm.Linkage.weak_odr,
})  # fmt: skip


def _called_by(library):
    """The libraries that a helper's code calls, directly and through other helpers."""
    found, left = {}, list(library._linking_libraries)
    while left:
        other = left.pop()
        if other not in found:
            found[other] = None
            if isinstance(other, _HelperLibrary):
                left += other._linking_libraries
    return list(found)


class _QuickFlags(Flags):
    """Compiler flags compared by what was set; Numba looks all sixty of them up each time.

    Every use of an operator looks for its implementation by these flags, tens of thousands of
    times in a first fit.
    """

    __slots__ = ()
    _HASH = hash(Flags())  # that of any: only names go into it

    def __hash__(self):
        return self._HASH

    def __eq__(self, other):
        if isinstance(other, Flags) and self._values.keys() == other._values.keys():
            return self._values == other._values
        return super().__eq__(other)


def _holds_array(kind):
    if isinstance(kind, types.BaseTuple):
        return any(_holds_array(member) for member in kind)
    return isinstance(kind, types.Buffer)


@_overriding
class _WithoutReferences(AnalysisPass):
    """Has the code that is generated next count no references, unless it makes arrays."""

    _name = "nnjit_without_references"

    def __init__(self):
        super().__init__()  # which is abstract there

    def run_pass(self, state):
        makes = any(
            _holds_array(signature.return_type) and not _gives_view(expression, signature, state)
            for expression, signature in state.calltypes.items()
            if signature is not None  # an element of a tuple
        )
        returns = _holds_array(state.return_type)
        if returns and (makes or not state.pipeline.may_return_arrays):
            raise CompilerError(
                f"{state.func_id.func_qualname} returns an array that somebody owns; a helper may "
                "return views alone (see nnjit.core.compiler.jit.viewing)."
            )
        if not makes:
            state.targetctx = state.targetctx.subtarget(enable_nrt=False)
        return False


def _gives_view(expression, signature, state):
    """Whether the array that an expression gives can be nothing but a view of another."""
    kind = getattr(expression, "op", None)
    if kind in ("getitem", "static_getitem"):
        return not any(map(_holds_array, signature.args[1:]))  # an index that is an array copies
    if kind != "call":
        return False
    callee = state.typemap[expression.func.name]
    if isinstance(callee, types.BoundFunction):
        return False  # a method
    if isinstance(callee, types.Function):
        return all(issubclass(template, _IntrinsicTemplate) for template in callee.templates)
    return isinstance(callee, (types.Dispatcher, types.NamedTupleClass))  # another helper


@_overriding
class HelperCompiler(Compiler):
    """Numba's pipeline without what helpers do not need.

    That includes counting references: whoever calls the kernel keeps its arrays alive. Only a
    helper that makes arrays of its own counts, to free them. None may return an array: a kernel
    that calls it would give back a reference that was never taken.
    """

    may_return_arrays = False
    stays_a_function = False
    prefers_wide = False

    def compile_extra(self, func):
        if not trusted():
            return super().compile_extra(func)
        library = _HelperLibrary(self.state.targetctx.codegen(), func.__qualname__)
        library.stays_a_function = self.stays_a_function
        library.prefers_wide = self.prefers_wide
        self.state.library = library
        self.state.flags = _QuickFlags(self.state.flags)
        self.state.typingctx = _Remembering(self.state.typingctx)
        return super().compile_extra(func)

    def define_pipelines(self):
        pipelines = super().define_pipelines()
        if not trusted():
            return pipelines
        for pipeline in pipelines:
            pipeline.passes = [
                step for step in pipeline.passes if step[0].__name__ not in _UNNEEDED
            ]
            pipeline.add_pass_after(_WithoutReferences, AnnotateTypes)
            pipeline.finalize()
        return pipelines


class KernelCompiler(Compiler):
    """Numba's pipeline for what Python calls, or calls by address."""

    def compile_extra(self, func):
        library = _AloneLibrary(self.state.targetctx.codegen(), func.__qualname__)
        library.enable_object_caching()
        self.state.library = library
        return super().compile_extra(func)


_NEEDED_BY_HELPERS = tuple(_missing)
if not _NEEDED_BY_HELPERS:
    register_pass(mutates_CFG=False, analysis_only=True)(_WithoutReferences)


class ViewingHelperCompiler(HelperCompiler):
    """The same for a helper that returns arrays without an owner."""

    may_return_arrays = True


class ApartHelperCompiler(HelperCompiler):
    """The same for a helper that stays a function."""

    stays_a_function = True


class WideHelperCompiler(ApartHelperCompiler):
    """The same with the widest vectors that the processor has.

    For x86 processors with vectors of 512 bits LLVM prefers half of them, since they may lower
    the clock; the register tiles next to these loops take them anyhow.
    """

    prefers_wide = True


def helper_options(compiler=HelperCompiler):
    """Options of `numba.njit` for a helper: no Python wrapper, which costs a third of the time."""
    options = {"nogil": True, "error_model": "numpy"}
    if not _NEEDED_BY_HELPERS:
        options |= {
            "no_cpython_wrapper": True,
            "no_cfunc_wrapper": True,
            "pipeline_class": compiler,
        }
    return options


def helper(compiler=HelperCompiler, **options):
    """A decorator as `numba.njit`'s for a helper.

    Python cannot call what it makes: there is no wrapper to call, and Numba would jump to where
    none is.
    """
    decorate = numba.njit(**options, **helper_options(compiler))

    def compiled(function):
        dispatcher = decorate(function)
        if dispatcher is not function:  # Numba's compiler may be off
            dispatcher._insert = _forget
            dispatcher._compile_for_args = functools.partial(_refuse, function.__name__)
        return dispatcher

    return compiled


def _forget(*arguments):
    """In the place of what enters compiled code among that which Python may call."""


def _refuse(name, *arguments, **named):
    raise TypeError(f"{name}() is a helper of compiled code, which Python cannot call")


def kernel_options():
    """Options of `numba.njit` and of C functions for a kernel."""
    return {} if _NEEDED_BY_HELPERS else {"pipeline_class": KernelCompiler}


# Whether the above works with this Numba


class _Trust:
    """What is known about it: nothing yet, or the outcome of `_try_out`; True while that runs."""

    known = None


def trusted():
    """Whether helpers may be compiled in the short way; finds out when first asked."""
    if _Trust.known is None:
        with compiler_lock() or contextlib.nullcontext():  # another thread may be finding out
            if _Trust.known is None:
                _Trust.known = True
                try:
                    _try_out()
                except Exception as error:  # whatever another Numba may think of
                    _Trust.known = False
                    _warn(error)
    return _Trust.known


def _try_out():
    """Compile a kernel that calls helpers of each kind; raise if it cannot or is wrong."""
    if _NEEDED_BY_HELPERS:
        raise AttributeError(f"no {', '.join(_NEEDED_BY_HELPERS)}")
    double = _helper_for_trial(HelperCompiler, lambda x: 2.0 * x)
    rest = _helper_for_trial(ViewingHelperCompiler, lambda x: x[1:])
    half = _helper_for_trial(ApartHelperCompiler, lambda x: double(rest(x)[0]) * 0.25)

    def kernel(address):
        x = numba.carray(address, 2)
        return double(x[0]) + half(x)

    signature = types.float64(types.CPointer(types.float64))
    compiled = numba.cfunc(signature, nopython=True, error_model="numpy")(kernel)
    value = compiled.ctypes((ctypes.c_double * 2)(4.0, 6.0))
    if value != 11.0:
        raise ArithmeticError(f"a kernel for trial gave {value}")


def _helper_for_trial(compiler, function):
    return helper(compiler)(function)


def _warn(error):
    warnings.warn(
        f"nnjit's way of compiling does not fit Numba {numba.__version__} ({error}): kernels are "
        "compiled in the ordinary way, which takes longer and gives the same results.",
        RuntimeWarning,
        stacklevel=2,
    )


# Compiled code as bytes


def dump(compiled):
    """What is kept on disk of a compiled kernel; None where it cannot be kept."""
    try:
        if compiled.lifted or compiled.library.has_dynamic_globals:  # addresses of this process
            return None
        if not isinstance(compiled.library, _AloneLibrary):  # safe in this process alone
            return None
        return _private("numba.core.serialize", "dumps")(compiled._reduce())
    except Exception:  # what cannot be written is compiled anew
        return None


def load(payload, context):
    """The kernel that `dump` wrote; raises anything where it cannot be read.

    Numba would import everything that a compilation may need before it looks for a file; the
    code of a file needs Numba's runtime library alone.
    """
    _private("numba.core.runtime", "rtsys").initialize(context)
    rebuild = _private("numba.core.compiler", "CompileResult")._rebuild
    return rebuild(context, *pickle.loads(payload))


def attach_cache(kernel, cache):
    """Have a compiled function look for its code in `cache`, and keep it there."""
    if hasattr(kernel, "_cache"):
        kernel._cache = cache


def c_function(function, signature, options, cache):
    """A C function made of a Python function, with its `address`."""
    try:
        CFunc = _private("numba.core.ccallback", "CFunc")
        made = CFunc(function, (signature.args, signature.return_type), {}, options,
                     **kernel_options())  # fmt: skip
        attach_cache(made, cache)
        made.compile()
    except Exception:  # the ordinary way, which is without a cache that is safe
        made = numba.cfunc(signature, **options)(function)
    finally:
        cache.release()
    return made


# State of the process


def compiler_lock():
    """The lock that Numba holds while it compiles; None where it has none that we know."""
    lock = _private("numba.core.compiler_lock", "global_compiler_lock")
    return lock if hasattr(lock, "acquire") and hasattr(lock, "release") else None


def pool_started():
    """Whether anyone in this process, the user's own kernels included, started Numba's threads."""
    pool = sys.modules.get("numba.np.ufunc.parallel")
    return getattr(pool, "_is_initialized", False)
