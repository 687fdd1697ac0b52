"""The on-disk cache of compiled kernels: one file per kernel and signature, no index.

Numba keeps one index file per function, and two processes that compile different signatures
at the same time can hand one signature the other's machine code. Here the file name is the
hash of everything the code depends on, so there is nothing to race for; a file is written
under a temporary name and moved into place. Whatever goes wrong with a file (truncated,
unreadable, no space, no folder) means "compile it", never an error for the user.
"""

import functools
import hashlib
import os
import pickle

import numba
from numba.core.caching import FunctionCache, NullCache, _Cache
from numba.core.runtime import rtsys

__all__ = ["KernelCache", "cache_folder", "source_digest"]

_DIGEST_BYTES = 32


def _hash_sources():
    digest = hashlib.sha256()
    folder = os.path.dirname(os.path.abspath(__file__))
    try:
        for name in sorted(os.listdir(folder)):
            if name.endswith(".py"):
                with open(os.path.join(folder, name), "rb") as source:
                    digest.update(name.encode() + b"\0" + source.read())
    except OSError:  # imported from an archive: keep nothing that could not be told apart
        return None
    return digest.hexdigest()


# At import, when the sources are those that this process runs: after an upgrade under a running
# process they are others, and its code would be filed under their name.
_SOURCES = _hash_sources()


def source_digest():
    """Hash of every kernel source: an edit in any of them recompiles all of them.

    Numba looks only at the file of the function itself and misses an edited callee. None if
    the sources cannot be read; then nothing is cached.
    """
    return _SOURCES


def cache_folder():
    """Folder that holds the compiled kernels, or None where no location is writable."""
    return KernelCache(_remove, {}).cache_path  # any function of this folder will do


class _FunctionCache(FunctionCache):
    """Numba's own choice of a folder and its (de)serialization, with our file handling."""

    def __init__(self, py_func, options):
        super().__init__(py_func)
        self._options = repr(sorted(options.items()))
        self._base = self._impl.filename_base

    def _path(self, sig, codegen):
        byte_code, captured = self._index_key(sig, codegen)[2]
        variant = (
            str(sig),
            captured,
            repr(codegen.magic_tuple()),
            self._options,
            repr((numba.config.BOUNDSCHECK, numba.config.OPT, numba.config.CPU_NAME)),
            os.environ.get("NNJIT_TILE", ""),
        )
        code = (
            source_digest(),
            numba.__version__,
            repr(self._impl.locator.get_source_stamp()),  # kernels outside of this folder
            byte_code,
        )
        name = f"{self._base}.{_short_hash(variant)}-{_short_hash(code)}.nnjit"
        return os.path.join(self._cache_path, name)

    def load_overload(self, sig, target_context):
        """Load a kernel, None if there is none.

        Numba would import everything that a compilation may need before it looks for a file;
        the code of a file needs Numba's runtime library alone.
        """
        rtsys.initialize(target_context)
        return self._load_overload(sig, target_context)

    def _load_overload(self, sig, target_context):
        path = self._path(sig, target_context.codegen())
        try:
            with open(path, "rb") as stream:
                digest, payload = stream.read(_DIGEST_BYTES), stream.read()
        except OSError:
            return None
        if hashlib.sha256(payload).digest() != digest:
            _remove(path)
            return None
        try:
            return self._impl.rebuild(target_context, pickle.loads(payload))
        except Exception:  # written by something we cannot read: recompile
            _remove(path)
            return None

    def _save_overload(self, sig, data):
        if not self._impl.check_cachable(data):
            return
        path = self._path(sig, data.codegen)
        temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
        try:
            payload = self._cache_file._dump(self._impl.reduce(data))
            os.makedirs(self._cache_path, exist_ok=True)
            with open(temporary, "wb") as stream:
                stream.write(hashlib.sha256(payload).digest() + payload)
            os.replace(temporary, path)
            self._remove_older(path)
        except OSError:  # read-only or full: the kernel works from memory
            _remove(temporary)

    def _remove_older(self, path):
        """Remove what older sources left for the same signature and machine."""
        folder, name = os.path.split(path)
        variant = name.rsplit("-", 1)[0] + "-"
        for other in os.listdir(folder):
            if other.startswith(variant) and other.endswith(".nnjit") and other != name:
                _remove(os.path.join(folder, other))

    def flush(self):
        """Remove every file of this kernel."""
        try:
            names = os.listdir(self._cache_path)
        except OSError:
            return
        for name in names:
            if name.startswith(self._base + ".") and name.endswith(".nnjit"):
                _remove(os.path.join(self._cache_path, name))


def _short_hash(parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class KernelCache(_Cache):
    """Cache of one kernel that looks for a folder only when something is first compiled.

    Parameters
    ----------
    py_func : function
        The kernel's Python function.
    options : dict
        Compilation options that change the machine code (Numba's own key ignores them).
    """

    def __init__(self, py_func, options):
        self._py_func = py_func
        self._options = options

    @functools.cached_property
    def _inner(self):
        if source_digest() is None:
            return NullCache()
        try:
            return _FunctionCache(self._py_func, self._options)
        except (RuntimeError, OSError):  # Numba found no writable folder
            return NullCache()

    @property
    def cache_path(self):
        return self._inner.cache_path

    def load_overload(self, sig, target_context):
        return self._inner.load_overload(sig, target_context)

    def save_overload(self, sig, data):
        self._inner.save_overload(sig, data)

    def enable(self):
        self._inner.enable()

    def disable(self):
        self._inner.disable()

    def flush(self):
        self._inner.flush()


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        pass
