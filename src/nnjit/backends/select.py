"""Who runs a network."""

import sys

from nnjit.core.compiling import undisturbed

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
        with undisturbed():
            import nnjit.backends.cpu  # noqa: F401
    from nnjit.backends.cpu import CpuEngine

    return CpuEngine(tuple(layer_units), activation, out_activation, loss, dtype)
