"""Ctrl-C held back while the compiler is at work."""

import contextlib
import signal
import threading

__all__ = ["interrupt_afterwards"]


@contextlib.contextmanager
def interrupt_afterwards():
    """Let Ctrl-C wait until the block has ended (at most the seconds of one compilation).

    Numba keeps tables of what it has imported and registered. An import or a compilation that
    is broken off leaves them half filled, and every later fit in this process would fail.
    """
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
