"""Functions that compiled kernels call by a symbol's name, made and made known when first needed.

LLVM ends the process where it links code that calls a name nobody knows. So whoever emits a call
says `require` first, and whoever loads code from a file `require_those_in` it. The names carry a
digest of all that the code depends on: two versions cannot be mixed up.
"""

import hashlib
import re
import threading

import llvmlite.binding as llvm

from nnjit.core.compiler.compiling import undisturbed
from nnjit.core.compiler.numba_internals import compiler_lock
from nnjit.core.compiler.sources import machine, source_digest

__all__ = ["offer", "require", "require_those_in"]

_PREFIX, _DIGITS = "nnjit_symbol_", 32
_NAMES = re.compile(rb"%s\w+?_[0-9a-f]{%d}" % (_PREFIX.encode(), _DIGITS))

_makers = {}  # by name
_known = set()
# That of compilations, for which a fork waits (see jit.py).
_lock = compiler_lock() or threading.RLock()


def offer(stem, make):
    """Name of a function that ``make(name)`` gives the address of, once, when it is needed."""
    identity = "\0".join((stem, str(source_digest()), *machine()))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:_DIGITS]
    name = f"{_PREFIX}{stem}_{digest}"
    _makers[name] = make
    return name


def require(name):
    """Have the linker know a name; KeyError for one that was not offered."""
    if name in _known:
        return
    with _lock:
        if name not in _known:
            make = _makers[name]
            with undisturbed():
                llvm.add_symbol(name, make(name))
            _known.add(name)


def require_those_in(code):
    """The same for every name that machine code, as bytes, may call."""
    for name in sorted(set(_NAMES.findall(code))):
        require(name.decode())
