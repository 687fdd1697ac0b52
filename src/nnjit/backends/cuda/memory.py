"""Memory of the device: allocation that fails with the size needed, and copies."""

import contextlib

import numpy as np

from nnjit.backends.cuda._cuda import SIMULATED, cuda

__all__ = ["allocate", "memory_error", "out_of_memory", "upload", "upload_or_one"]


def allocate(purpose, **sizes):
    """Allocate several vectors, or none.

    Parameters
    ----------
    purpose : str
        What the message says they are for.
    **sizes : tuple of (int, dtype)
        Elements and type by name.

    Returns
    -------
    dict
        Uninitialized device arrays by name.

    Raises
    ------
    MemoryError
        With the bytes needed. Nothing stays allocated.
    """
    needed = sum(max(1, n) * np.dtype(dtype).itemsize for n, dtype in sizes.values())
    made = {}
    try:
        for name, (n, dtype) in sizes.items():
            made[name] = cuda.device_array(max(1, int(n)), dtype)
    except Exception as error:
        if not out_of_memory(error):
            raise
        made.clear()
        raise memory_error(purpose, needed) from None
    return made


def upload(purpose, array):
    """Copy a contiguous host array to a vector of the device."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if not flat.size:
        return allocate(purpose, array=(1, flat.dtype))["array"]
    try:
        return cuda.to_device(flat)
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise memory_error(purpose, flat.nbytes) from None


def upload_or_one(purpose, array, dtype):
    """A device copy, or one element where there is nothing."""
    if array is None:
        return allocate(purpose, array=(1, dtype))["array"]
    return upload(purpose, np.asarray(array, dtype))


def memory_error(purpose, needed):
    """The error that says how much is missing."""
    release()
    return MemoryError(
        f"{purpose} needs {needed:,} bytes of GPU memory ({needed / 2**30:.2f} GiB){_free()}. "
        "Use fewer rows at a time (batch_size), float32 input, a smaller network, or device='cpu'."
    )


def out_of_memory(error):
    """Whether an error of the driver, or of the host, means that memory ran out."""
    return isinstance(error, MemoryError) or "OUT_OF_MEMORY" in str(error).upper().replace(" ", "_")


def release():
    """Give back what Numba holds for later."""
    if not SIMULATED:
        with contextlib.suppress(AttributeError):  # of another memory manager
            cuda.current_context().deallocations.clear()


def _free():
    if SIMULATED:
        return ""
    try:
        free, total = cuda.current_context().get_memory_info()
    except Exception:  # only a detail of a message
        return ""
    return f"; {free:,} of {total:,} are free"
