"""Who runs a network."""

import re
import sys

from nnjit._warnings import warn
from nnjit.core.compiler.compiling import undisturbed

__all__ = ["is_device_name", "make_engine", "on_device", "resolve"]

_DEVICE = re.compile(r"cuda(?::(\d+))?")


def make_engine(network, dtype, device="cpu", ready=False, solver=None, options=()):
    """Engine for one network.

    Parameters
    ----------
    network : nnjit.layers.network.Network
    dtype : numpy.float32 or numpy.float64
        Precision of everything.
    device, ready
        See `resolve`.
    solver : str, optional
        Name of the solver's entry, where the network is to be trained.
    options : sequence of str
        What else the solver will be asked for, by the names that `optimizer` has.

    Returns
    -------
    CpuEngine or CudaEngine

    Raises
    ------
    RuntimeError, ValueError
        See `resolve`; and where the device has no code for a kind of layer, a formula or an
        option, unless the CPU will do, which is said once.
    """
    ordinal = resolve(device, ready)
    if ordinal is not None:
        from nnjit.backends.cuda.engine import CudaEngine, why_not

        reason = why_not(network, dtype, solver, options)
        if reason is None:
            return CudaEngine(network, dtype, ordinal)
        if not (device == "auto" or ready):
            raise ValueError(f"device={device!r} cannot be used: {reason}.")
        _say_once(f"device={device!r} runs on the CPU: {reason}.")
    if "nnjit.backends.cpu" not in sys.modules:
        with undisturbed():
            import nnjit.backends.cpu  # noqa: F401
    from nnjit.backends.cpu import CpuEngine

    return CpuEngine(network, dtype)


def is_device_name(device):
    """Whether a string names a device: 'cpu', 'cuda', 'cuda:N' or 'auto'."""
    return device in ("cpu", "auto") or bool(_DEVICE.fullmatch(device))


def resolve(device, ready=False):
    """Number of the CUDA device to use; None for the CPU.

    Parameters
    ----------
    device : {'cpu', 'cuda', 'cuda:N', 'auto'}
        'auto' is 'cuda' where there is a CUDA device and the CPU elsewhere, said once.
    ready : bool, default=False
        The CPU will do, said once, where the device cannot be used: a network fitted on a GPU
        predicts anywhere.

    Raises
    ------
    RuntimeError
        If the device cannot be used; the message says what to install.
    ValueError
        If `device` names none.
    """
    if device == "cpu":
        return None
    if not isinstance(device, str) or not is_device_name(device):
        raise ValueError(f"device must be 'cpu', 'cuda', 'cuda:N' or 'auto', got {device!r}.")
    ordinal = 0 if device == "auto" else int(_DEVICE.fullmatch(device)[1] or 0)
    reason = _why_no_cuda(ordinal)
    if reason is None:
        return ordinal
    if device == "auto" or ready:
        _say_once(f"device={device!r} runs on the CPU: {reason}.")
        return None
    raise RuntimeError(
        f"device={device!r} cannot be used: {reason}. A GPU needs NVIDIA's driver and "
        "pip install 'nnjit[cuda]', with versions of numba-cuda, Numba and NumPy that fit each "
        "other; device='auto' falls back to the CPU."
    )


def _why_no_cuda(ordinal):
    """None if there is a CUDA device of that number which works, else the reason in words."""
    try:
        if "nnjit.backends.cuda._cuda" not in sys.modules:
            with undisturbed():
                import nnjit.backends.cuda._cuda  # noqa: F401
        from nnjit.backends.cuda import _cuda
    except Exception as error:  # numba-cuda beside a NumPy or Numba that it does not fit
        return f"numba-cuda cannot be loaded ({type(error).__name__}: {error})"
    reason = _cuda.why_unavailable()
    if reason is None and ordinal >= (count := _cuda.device_count()):
        reason = f"there are {count} CUDA devices, numbered from 0"
    return reason


_said = set()


def _say_once(text):
    if text not in _said:
        _said.add(text)
        warn(text, module="nnjit")


def on_device(X, device):
    """Rows on the device for an array that lies there, of any library; None for other input."""
    lies_there = hasattr(X, "__cuda_array_interface__") or hasattr(X, "__cuda_ndarray__")
    if not lies_there or (ordinal := resolve(device, ready=True)) is None:
        return None
    from nnjit.backends.cuda import rows

    with rows.cuda.gpus[ordinal]:
        return rows.device_rows(X)
