"""How helpers, the functions that only kernels call, are compiled.

A first fit waits for some seventy of them, so nothing is done that they do not need.
"""

import llvmlite.binding as llvm
from numba import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, Flags
from numba.core.compiler_machinery import AnalysisPass, register_pass
from numba.core.errors import CompilerError
from numba.core.typed_passes import AnnotateTypes
from numba.core.typing.templates import _IntrinsicTemplate

__all__ = ["ApartHelperCompiler", "HelperCompiler", "ViewingHelperCompiler"]

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


class _HelperLibrary(JITCodeLibrary):
    """Code of a function that only kernels call: linked, but neither optimized nor emitted.

    Numba optimizes and emits every function on its own before it links it into its callers,
    where all of it happens again; that would make the first fit four times longer. What a
    helper calls is linked once, where a kernel asks for the helper, and not into every caller
    on the way up.
    """

    stays_a_function = False

    @property
    def codegen(self):
        return _WithoutEnvironment(self._codegen)

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


@register_pass(mutates_CFG=False, analysis_only=True)
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
                "return views alone (see nnjit.core.jit.viewing)."
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
        return callee.typing_key == "array.reshape"
    if isinstance(callee, types.Function):
        return all(issubclass(template, _IntrinsicTemplate) for template in callee.templates)
    return isinstance(callee, (types.Dispatcher, types.NamedTupleClass))  # another helper


class HelperCompiler(Compiler):
    """Numba's pipeline without what helpers do not need.

    That includes counting references: whoever calls the kernel keeps its arrays alive. Only a
    helper that makes arrays of its own counts, to free them. None may return an array: a kernel
    that calls it would give back a reference that was never taken.
    """

    may_return_arrays = False
    stays_a_function = False

    def compile_extra(self, func):
        library = _HelperLibrary(self.state.targetctx.codegen(), func.__qualname__)
        library.stays_a_function = self.stays_a_function
        self.state.library = library
        self.state.flags = _QuickFlags(self.state.flags)
        self.state.typingctx = _Remembering(self.state.typingctx)
        return super().compile_extra(func)

    def define_pipelines(self):
        pipelines = super().define_pipelines()
        for pipeline in pipelines:
            pipeline.passes = [
                step for step in pipeline.passes if step[0].__name__ not in _UNNEEDED
            ]
            pipeline.add_pass_after(_WithoutReferences, AnnotateTypes)
            pipeline.finalize()
        return pipelines


class ViewingHelperCompiler(HelperCompiler):
    """The same for a helper that returns arrays without an owner."""

    may_return_arrays = True


class ApartHelperCompiler(HelperCompiler):
    """The same for a helper that stays a function."""

    stays_a_function = True
