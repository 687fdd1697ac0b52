"""Ctrl-C, held back while it would leave things half done."""

import signal
import threading

__all__ = ["Interrupts"]


class Interrupts:
    """Keeps Ctrl-C away from a `with` block; `deliver` afterwards lets it happen.

    May be used for several blocks, one after the other. Does nothing outside the main thread,
    which is the only one that is ever interrupted, and where Ctrl-C is ignored or not Python's.
    """

    __slots__ = ("_handler", "_missed")

    def __init__(self):
        self._handler = self._missed = None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler):
                self._handler = handler
                signal.signal(signal.SIGINT, self._keep)
        return self

    def __exit__(self, *exception):
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)

    def _keep(self, *arguments):
        self._missed = arguments

    def deliver(self):
        """Have the caller's handler answer a Ctrl-C that came in a block, once."""
        missed, self._missed = self._missed, None
        if missed is not None:
            self._handler(*missed)
