"""Who runs a network."""

import contextlib
import signal
import sys
import threading

__all__ = ["make_engine"]


def make_engine(layer_units, activation, out_activation, loss, dtype):
    """Engine for one network.

    Parameters
    ----------
    layer_units : sequence of int
        Units of every layer, input and output included.
    activation : {'identity', 'logistic', 'tanh', 'relu'}
        Of the hidden layers.
    out_activation : {'identity', 'logistic', 'softmax', 'exp'}
        Of the last layer.
    loss : {'squared_error', 'poisson', 'log_loss'}
        Training loss.
    dtype : numpy.float32 or numpy.float64
        Precision of everything.

    Returns
    -------
    CpuEngine
    """
    if "nnjit.backends.cpu" not in sys.modules:
        with _interrupt_afterwards():
            import nnjit.backends.cpu  # noqa: F401
    from nnjit.backends.cpu import CpuEngine

    return CpuEngine(tuple(layer_units), activation, out_activation, loss, dtype)


@contextlib.contextmanager
def _interrupt_afterwards():
    """Hold Ctrl-C back while the compiler is imported (a second or so).

    An import of Numba that is broken off leaves half of its modules behind, and every later fit
    in this process would fail.
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
