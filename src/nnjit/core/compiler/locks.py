"""One process compiles a kernel, others that want the same one wait for it.

The lock is the system's on an open file, so it ends with the process that holds it. Where files
cannot be locked (Windows, some network drives) everybody compiles.
"""

import os
import time

from nnjit.core.compiler.compiling import answer_interrupts
from nnjit.core.compiler.folders import remove

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

__all__ = ["SUFFIX", "acquire", "after_fork", "before_fork", "release"]

SUFFIX = ".lock"
LIMIT = 60.0  # seconds; whoever compiles may have been stopped
_PAUSE = 0.02

_held = {}  # open files by name
_hurry = False  # a fork waits until this process compiles nothing


def acquire(folder, name, limit=None):
    """Wait until no other process compiles what is called `name`, some time at most.

    Ctrl-C is heard while waiting.
    """
    if fcntl is None or folder is None or name in _held:
        return
    path = os.path.join(folder, name + SUFFIX)
    deadline = time.monotonic() + (LIMIT if limit is None else limit)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        return
    locked = False
    try:
        while not (locked := _try(handle)) and time.monotonic() < deadline and not _hurry:
            answer_interrupts()
            time.sleep(_PAUSE)
    except OSError:  # locks do not work here
        pass
    finally:
        if locked:
            _held[name] = handle, path
        else:
            os.close(handle)


def before_fork():
    """Have whoever waits here give up."""
    global _hurry
    _hurry = True


def after_fork():
    """Let waiting be waiting again."""
    global _hurry
    _hurry = False


def _try(handle):
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def release(name):
    """Let others go on, if this process holds the lock."""
    handle, path = _held.pop(name, (None, None))
    if handle is not None:
        remove(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_UN)  # for forks as well
        finally:
            os.close(handle)
