"""What the compiler is spared while it works: Ctrl-C and the garbage collector."""

import contextlib
import gc

from nnjit.core.interrupts import Interrupts

__all__ = ["undisturbed"]


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
    try:
        with interrupts:
            yield
    finally:
        if collecting:
            gc.enable()
    interrupts.deliver()
