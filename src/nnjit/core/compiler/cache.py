"""The on-disk cache of compiled kernels: one file per kernel and signature, no index.

Numba keeps one index file per function, and two processes that compile different signatures
at the same time can hand one signature the other's machine code. Here the file name is the
hash of everything the code depends on, so there is nothing to race for; a file is written
under a temporary name and moved into place. Whatever goes wrong with a file (truncated,
unreadable, not to be trusted, no space, no folder) means "compile it", never an error for the
user.
"""

import hashlib
import os
import time

from nnjit.core.compiler import folders, locks, symbols
from nnjit.core.compiler.numba_internals import dump, load, trusted
from nnjit.core.compiler.sources import function_identity, machine, source_digest

__all__ = ["SUFFIX", "KernelCache", "cache_folder", "cached_files", "clear", "fetch", "keep"]

SUFFIX = ".nnjit"
_DIGEST_BYTES = 32
_DAY = 86400.0  # seconds
# What has not been used for so long goes, and then the longest unused ones beyond so many bytes:
# every version of the sources leaves some files, and several environments share the folder.
_KEPT_DAYS = 30
_KEPT_BYTES = 256e6


def cache_folder():
    """Folder that compiled kernels are written to, or None where there is none."""
    return next(filter(folders.make, folders.candidates()), None)


class KernelCache:
    """The files of one kernel, in the form that Numba asks for.

    Parameters
    ----------
    function : function
        The kernel's Python function.
    options : dict
        Compilation options that change the machine code.
    """

    def __init__(self, function, options):
        self._function = function
        self._options = repr(sorted(options.items()))
        self._waiting = None  # name of the file that is being compiled

    @property
    def cache_path(self):
        """The folder; Numba prints it."""
        return cache_folder()

    def load_overload(self, signature, context):
        """Return the compiled kernel, None if it has to be compiled.

        Where another process is compiling it, its file is waited for.
        """
        name = self._file_name(signature)
        found = name and _load(name, context)
        if name and found is None:
            locks.acquire(cache_folder(), name)
            self._waiting = name
            found = _load(name, context)
        if found is None:
            trusted()  # better known before a compilation than found out amid it
        else:
            self.release()
        return found

    def save_overload(self, signature, compiled):
        """Keep a compiled kernel."""
        name = self._file_name(signature)
        payload = dump(compiled) if name and cache_folder() else None
        if payload is not None:
            keep(name, payload)
        self.release()

    def release(self):
        """Let processes that wait for this one go on, whether or not it has compiled anything."""
        if self._waiting is not None:
            locks.release(self._waiting)
            self._waiting = None

    def _file_name(self, signature):
        """Name of a file that says everything its code depends on; None if that is unknown."""
        identity = function_identity(self._function)
        if source_digest() is None or identity is None:
            return None
        parts = (*identity, source_digest(), str(signature), self._options, *machine())
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        return f"{self._function.__name__}-{digest[:32]}{SUFFIX}"


def _load(name, context):
    """Load a kernel, and before it what it calls by name."""

    def rebuild(payload):
        symbols.require_those_in(payload)
        return load(payload, context)

    return fetch(name, rebuild)


def fetch(name, rebuild):
    """What `rebuild` makes of a file of the folder in use, or one before it that can only be read.

    None where there is no file, or a bad one.
    """
    for folder in folders.candidates():
        compiled = _fetch_from(folder, name, rebuild)
        if compiled is not None or folders.make(folder):
            return compiled
    return None


def keep(name, payload):
    """Write a file for `fetch`, if there is a folder and it has room."""
    folder = cache_folder()
    if folder is None:
        return
    try:
        folders.write(folder, name, hashlib.sha256(payload).digest() + payload)
        _prune(folder)
    except OSError:  # read-only or full: the code works from memory
        pass


def _fetch_from(folder, name, rebuild):
    content = folders.read(folder, name)
    if content is None:
        return None
    digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    try:
        if hashlib.sha256(payload).digest() != digest:
            raise ValueError("damaged")
        compiled = rebuild(payload)
    except Exception:  # damaged, or written by something that we cannot read: compile it
        folders.remove(os.path.join(folder, name))
        return None
    _mark_as_used(os.path.join(folder, name))
    return compiled


def _mark_as_used(path):
    try:
        if time.time() - os.stat(path).st_mtime > _DAY:
            os.utime(path)
    except OSError:
        pass


def cached_files(folder):
    """Return (path, size, time of last use) of every compiled kernel in a folder, oldest first."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    status = entry.stat(follow_symlinks=False)
                    found.append((entry.path, status.st_size, status.st_mtime))
    except OSError:
        pass
    return sorted(found, key=lambda file: file[2])


def clear(folder):
    """Remove everything of ours from a folder, and the folder if nothing else is in it."""
    _remove_leftovers(folder, age=0.0)
    for path, _, _ in cached_files(folder):
        folders.remove(path)
    try:
        os.rmdir(folder)
    except OSError:
        pass


def _prune(folder):
    """Remove what has not been used for long, and what killed processes left."""
    now, files = time.time(), cached_files(folder)
    total = sum(size for _, size, _ in files)
    for path, size, used in files:
        if now - used > _KEPT_DAYS * _DAY or total > _KEPT_BYTES:
            folders.remove(path)
            total -= size
    _remove_leftovers(folder, age=_DAY)


def _remove_leftovers(folder, age):
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        path = os.path.join(folder, name)
        if SUFFIX in name and name.endswith((".tmp", locks.SUFFIX)):
            try:
                if time.time() - os.lstat(path).st_mtime >= age:
                    folders.remove(path)
            except OSError:
                pass
