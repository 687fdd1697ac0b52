"""Machine code of the primitives: made by LLVM alone, once, kept as files, called by name.

Kernels only declare them. A file holds one primitive in one precision, so who uses but the
transpose waits for nothing else.
"""

from collections.abc import Callable
from typing import NamedTuple

import llvmlite.binding as llvm
import numba
from llvmlite import ir

from nnjit.core.compiler import symbols
from nnjit.core.compiler.cache import SUFFIX, fetch, keep
from nnjit.core.compiler.sources import source_digest
from nnjit.core.simd import dot, gathered_dot, gathered_product, outer, product, transpose
from nnjit.core.simd.targets import TILE
from nnjit.core.simd.vectors import Vectors, external, function_type

__all__ = ["PRIMITIVES", "declare_primitive", "module_of", "optimized", "target_machine"]


class Primitive(NamedTuple):
    """An LLVM function: its arguments, a letter for each (see `vectors.declare`), and its code."""

    arguments: str
    emit: Callable  # of module, name, real, length, and the rows of the tile


PRIMITIVES = {
    "product": Primitive(product.ARGUMENTS, product.emit_product),
    "dot_product": Primitive(dot.ARGUMENTS, dot.emit_dot_product),
    "gathered_product": Primitive(
        gathered_product.ARGUMENTS, gathered_product.emit_gathered_product
    ),
    "gathered_dot": Primitive(gathered_dot.ARGUMENTS, gathered_dot.emit_gathered_dot),
    "outer_product": Primitive(outer.ARGUMENTS, outer.emit_outer_product),
    "transpose_into": Primitive(transpose.ARGUMENTS, transpose.emit_transpose_into),
}


def declare_primitive(module, name, real):
    """The primitive of this name as an LLVM function that a module may call."""
    symbol = _SYMBOLS[name, Vectors.suffix_of(real)]
    symbols.require(symbol)
    function = external(module, function_type(real, PRIMITIVES[name].arguments), symbol)
    function.attributes.add("nounwind")
    return function


def module_of(name, symbol, real, tile=TILE):
    """IR of a primitive, callable as `symbol`."""
    module = ir.Module(symbol)
    length = tile.bytes // Vectors.size_of(real)
    function = PRIMITIVES[name].emit(module, symbol, real, length, tile.rows)
    function.linkage = ""  # seen from outside, as those it calls are not
    return module


def target_machine():
    """This machine as Numba compiles for it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple, chosen = llvm.get_process_triple(), numba.config
    features = llvm.get_host_cpu_features()
    for feature in features:
        features[feature] &= bool(chosen.ENABLE_AVX) or not feature.startswith("avx")
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=chosen.CPU_NAME or llvm.get_host_cpu_name(),
        features=features.flatten() if chosen.CPU_FEATURES is None else chosen.CPU_FEATURES,
        opt=3,
        reloc={"x86": "static", "i68": "static", "ppc": "pic"}.get(triple[:3], "default"),
        codemodel="jitdefault",
        jit=True,
    )


def optimized(module, machine):
    """A module in LLVM's hands, optimized for a machine."""
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(parsed, builder)
    return parsed


class _Loader:
    """LLVM's linker for these files; what it has loaded stays for ever."""

    def __init__(self):
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
        self._loaded = []

    def load(self, code, symbol):
        """Address of a function in object code."""
        object_file = llvm.ObjectFileRef.from_data(code)
        self._engine.add_object_file(object_file)
        self._engine.finalize_object()
        self._loaded.append((object_file, code))
        return self._engine.get_function_address(symbol)


_loaders = []  # one, from when it is needed


def _address(name, symbol, real):
    """Load a primitive from its file, or compile it and keep it."""
    if not _loaders:
        _loaders.append(_Loader())
    (loader,) = _loaders

    title, cached = symbol.encode() + b"\0", source_digest() is not None

    def load(content):
        if not content.startswith(title):  # LLVM ends the process where it finds something else
            raise ValueError(f"not the code of {symbol}")
        return loader.load(content[len(title) :], symbol)

    address = fetch(symbol + SUFFIX, load) if cached else None
    if address is None:
        machine = target_machine()
        code = machine.emit_object(optimized(module_of(name, symbol, real), machine))
        address = load(title + code)
        if cached:
            keep(symbol + SUFFIX, title + code)
    return address


def _offered(name, real):
    vectors = Vectors(real, TILE.bytes // Vectors.size_of(real))
    stem = f"{name}_{vectors.suffix}x{vectors.length}_{TILE.rows}x{TILE.vectors}"
    return symbols.offer(stem, lambda symbol: _address(name, symbol, real))


_SYMBOLS = {
    (name, Vectors.suffix_of(real)): _offered(name, real)
    for name in PRIMITIVES
    for real in (ir.FloatType(), ir.DoubleType())
}
