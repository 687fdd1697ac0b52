"""What the compiler is spared while it works: Ctrl-C and the garbage collector."""

import contextlib
import gc
import threading

from nnjit.core.compiler.interrupts import Interrupts

__all__ = ["answer_interrupts", "undisturbed"]

_held_back = []  # the `Interrupts` of the blocks that run


@contextlib.contextmanager
def undisturbed():
    """Run a block (an import of Numba, a compilation) without interruptions and collections.

    Numba keeps tables of what it has imported and registered. An import or a compilation that
    is broken off leaves them half filled, and every later fit in this process would fail; so
    Ctrl-C waits until the block has ended, some seconds at most. The many objects that Numba
    makes and keeps would have the collector run hundreds of times, a fifth of the time.
    """
    interrupts, collecting = Interrupts(), gc.isenabled()
    gc.disable()
    _held_back.append(interrupts)
    try:
        with interrupts:
            yield
    finally:
        _held_back.remove(interrupts)
        if collecting:
            gc.enable()
    interrupts.deliver()


def answer_interrupts():
    """Let a Ctrl-C happen that an undisturbed block holds back; for when nothing is half done."""
    if threading.current_thread() is threading.main_thread():
        for interrupts in list(_held_back):
            interrupts.deliver()
