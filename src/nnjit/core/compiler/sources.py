"""What compiled code depends on: the sources of all kernels, and the machine."""

import functools
import hashlib
import importlib.resources
import os
import sys
import types
from itertools import chain

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np

__all__ = ["function_identity", "machine", "source_digest"]

# What goes into kernels.
_PACKAGES = ("nnjit.core", "nnjit.formulas", "nnjit.layers")
# Others whose names say enough.
_LIBRARIES = frozenset({"builtins", "math", "numba", "numpy"})
_PYC_HEADER = 16  # bytes; dates and sizes of the source
# Numba's settings that change the code it makes.
_SETTINGS = (
    "BOUNDSCHECK", "CPU_FEATURES", "CPU_NAME", "DEBUGINFO_DEFAULT", "ENABLE_AVX", "LOOP_VECTORIZE",
    "OPT", "SLP_VECTORIZE", "USING_SVML",
)  # fmt: skip


def _hash_sources(*packages):
    """Hash of packages' modules, those in folders below as well; None if one has none."""
    digest = hashlib.sha256()
    for package in packages:
        try:
            contents = dict(_modules(importlib.resources.files(package)))
        except (OSError, ModuleNotFoundError, TypeError):
            return None
        if not contents:
            return None
        for name in sorted(contents):
            digest.update(f"{package}/{name}".encode() + b"\0" + contents[name])
    return digest.hexdigest()


def _modules(folder, above=""):
    """Name and content of every module, its source if it is there, else what Python compiled.

    `folder` may lie in an archive.
    """
    entries = {entry.name: entry for entry in folder.iterdir()}
    for name, entry in entries.items():
        if name.endswith(".py"):
            yield above + name, entry.read_bytes()
        elif name.endswith(".pyc") and name[:-1] not in entries:
            yield above + name, entry.read_bytes()[_PYC_HEADER:]
        elif name != "__pycache__" and entry.is_dir():
            yield from _modules(entry, f"{above}{name}/")


# At import, when the sources are those that this process runs: after an upgrade under a running
# process they are others, and its code would be filed under their name.
_SOURCES = _hash_sources(*_PACKAGES)


def source_digest():
    """Hash of every kernel source: an edit in any of them recompiles all of them.

    Numba looks only at the file of the function itself and misses an edited callee. None if
    the sources cannot be read; then nothing is cached.
    """
    return _SOURCES


@functools.cache
def machine():
    """What else compiled code depends on: versions, processor, settings, as strings."""
    return (
        numba.__version__,
        llvmlite.__version__,
        sys.implementation.cache_tag,
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
        repr([getattr(numba.config, name, None) for name in _SETTINGS]),
        os.environ.get("NNJIT_TILE", ""),
    )


def function_identity(function):
    """Strings that say which function this is, with what it closes over; None if unknown.

    A function of another file (a test's, somebody's formula) is known by the whole file as well,
    and by the globals that it reads: these may come from files that nobody has looked at.
    """
    return _function_identity(function, ())


def _function_identity(function, above):
    """The same inside the identity of the functions `above`, which it may call in turn."""
    if function in above:
        return ("again", str(above.index(function)))
    above = (*above, function)
    parts = [function.__module__ or "", function.__qualname__, *_code_identity(function.__code__)]
    values = [cell.cell_contents for cell in function.__closure__ or ()]
    values += [function.__defaults__, *(function.__kwdefaults__ or {}).items()]
    if not parts[0].startswith(_PACKAGES):
        try:
            with open(function.__code__.co_filename, "rb") as source:
                parts.append(hashlib.sha256(source.read()).hexdigest())
        except OSError:
            return None
        names = _global_names(function.__code__) & function.__globals__.keys()
        values += [function.__globals__[name] for name in sorted(names)]
    for value in values:
        captured = _value_identity(value, above)
        if captured is None:
            return None
        parts += captured
    return tuple(parts)


def _code_identity(code):
    yield str(code.co_firstlineno)
    yield code.co_code.hex()
    yield repr(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code_identity(constant)
        elif isinstance(constant, frozenset):
            yield repr(sorted(map(repr, constant)))  # in the same order in every process
        else:
            yield repr(constant)


def _global_names(code):
    """Names that code, or a function inside of it, reads, attributes among them."""
    inner = [part for part in code.co_consts if isinstance(part, types.CodeType)]
    return set(code.co_names).union(*map(_global_names, inner))


def _value_identity(value, above):
    """The same for something that a function closes over, or reads as a global."""
    if isinstance(value, np.generic):
        return (value.dtype.str, value.tobytes().hex())
    if isinstance(value, int | float | str | bool | type(None)):
        return (repr(value),)
    if isinstance(value, numba.types.Type):
        return (type(value).__name__, str(value))
    if isinstance(value, tuple):
        members = [_value_identity(member, above) for member in value]
        return None if None in members else (f"{len(value)} values", *chain(*members))
    named = _name_of(value)
    if named is not None:
        return named
    options = getattr(value, "targetoptions", {})  # of a compiled function
    if not isinstance(value, types.FunctionType):  # compiled, or an intrinsic
        value = getattr(value, "py_func", getattr(value, "__wrapped__", None))
    if not isinstance(value, types.FunctionType):
        return None
    identity = _function_identity(value, above)
    return identity and (
        *identity,
        repr(sorted((name, _option(options[name])) for name in options)),
    )


def _name_of(value):
    """Name of a module, a class or a built-in function that is the same in every process.

    None for those of files that nobody has looked at, and for anything else.
    """
    if isinstance(value, types.ModuleType):
        name = value.__name__
    elif isinstance(value, np.ufunc):
        name = f"numpy.{value.__name__}" if getattr(np, value.__name__, None) is value else ""
    elif isinstance(value, type | types.BuiltinFunctionType):
        name = f"{value.__module__}.{value.__qualname__}"
    else:
        return None
    known = name.split(".")[0] in _LIBRARIES or name.startswith(_PACKAGES)
    return (name,) if known else None


def _option(value):
    """A compilation option as text that is the same in every process."""
    return str(sorted(value) if isinstance(value, set | frozenset) else value)
