"""What the compiler is spared while it works: Ctrl-C and the garbage collector."""

import contextlib
import gc
import signal
import threading

__all__ = ["undisturbed"]


@contextlib.contextmanager
def undisturbed():
    """Run a block (an import of Numba, a compilation) without interruptions and collections.

    Numba keeps tables of what it has imported and registered. An import or a compilation that
    is broken off leaves them half filled, and every later fit in this process would fail; so
    Ctrl-C waits until the block has ended, some seconds at most. The many objects that Numba
    makes and keeps would have the collector run hundreds of times, a fifth of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        with _interrupt_afterwards():
            yield
    finally:
        if collecting:
            gc.enable()


@contextlib.contextmanager
def _interrupt_afterwards():
    """Hold Ctrl-C back until the block has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is ever interrupted
        return
    pending = []
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):  # ignored, or not Python's to change
        yield
        return
    signal.signal(signal.SIGINT, lambda *arguments: pending.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pending:
        before(*pending[0])
