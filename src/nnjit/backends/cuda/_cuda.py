"""The one place that imports CUDA: Numba's API from whichever package provides it.

`numba.cuda` is the package numba-cuda where that is installed (it puts itself in Numba's place)
and Numba's own former copy otherwise. Under NUMBA_ENABLE_CUDASIM=1 it is a simulator: every
thread of a block is a Python thread, blocks run one after the other.
"""

import contextlib
import functools
import importlib.metadata
import inspect
import os
import sys
import threading
import warnings

import numba
import numpy as np
from numba import cuda as _numba_cuda
from numba import types

__all__ = [
    "SIMULATED",
    "as_device_array",
    "cuda",
    "device",
    "device_count",
    "flat_view",
    "is_device_array",
    "kernel",
    "launch",
    "most_blocks",
    "multiply_add",
    "smaller",
    "type_of",
    "uncontracted",
    "why_unavailable",
]

SIMULATED = bool(numba.config.ENABLE_CUDASIM)


class _InSimulator:
    """What `cuda` is to kernels under the simulator.

    The simulator puts its own module into the globals of each function that is called, which is
    not safe where a block's threads call functions of another module; this looks it up instead.
    """

    @property
    def shared(self):
        return _SharedInSimulator

    def __getattr__(self, name):
        return getattr(_simulated_kernel() or _numba_cuda, name)


def _simulated_kernel():
    from numba.cuda.simulator import kernel

    return kernel._get_kernel_context()


class _SharedInSimulator:
    """Shared memory of each block.

    The simulator's own has a race (the first two threads may make an array each) and is the same
    for all blocks, which its tests here run at the same time.
    """

    _lock = threading.Lock()

    @classmethod
    def array(cls, shape, dtype):
        real, frame = _simulated_kernel().shared, sys._getframe(1)
        dtype = np.dtype(str(dtype))
        place = frame.f_code, frame.f_lineno, tuple(threading.current_thread().blockIdx)
        with cls._lock:
            if place not in real._allocations:
                if shape == 0:  # dynamic
                    shape = real._dynshared_size // dtype.itemsize
                real._allocations[place] = np.empty(shape, dtype)
            return real._allocations[place]


cuda = _InSimulator() if SIMULATED else _numba_cuda


def device(function):
    """Compile a function that kernels call."""
    return function if SIMULATED else _numba_cuda.jit(device=True)(function)


@device
def smaller(a, b):
    """min(a, b), which Numba's former copy of the CUDA target cannot compile."""
    return a if a < b else b


def _multiply_add(a, b, c):
    return _numba_cuda.fma(a, b, c)


def _multiply_add_in_simulator(a, b, c):
    return a * b + c


# a * b + c, rounded once. (The simulator rounds twice.)
multiply_add = _multiply_add_in_simulator if SIMULATED else device(_multiply_add)


# Contraction. The compiler may make one instruction of a multiplication and an addition, which
# rounds once, and decides that anew in every kernel that a function is part of: the same formula
# would give other bits in another kernel. It is told not to; `multiply_add` asks for it by name.
# What tells it is an option of NVVM that Numba has but does not pass on.


class _Contraction(threading.local):
    off = False


_contraction = _Contraction()


@contextlib.contextmanager
def uncontracted():
    """Have Numba compile CUDA code in this thread without contraction."""
    _tell_nvvm()
    before, _contraction.off = _contraction.off, True
    try:
        yield
    finally:
        _contraction.off = before


@functools.cache
def _tell_nvvm():
    from numba.cuda.cudadrv import nvvm

    compile_ir = nvvm.compile_ir

    @functools.wraps(compile_ir)
    def compile_as_told(llvmir, **options):
        if _contraction.off:
            options["fma"] = False
        return compile_ir(llvmir, **options)

    nvvm.compile_ir = compile_as_told


def kernel(function):
    """Compile a kernel, without contraction."""
    if SIMULATED:
        return _numba_cuda.jit(function)
    options = {}
    if "lto" in inspect.signature(_numba_cuda.jit).parameters:
        options["lto"] = False  # else NVVM compiles once more when linking, and contracts
    dispatcher = _numba_cuda.jit(function, **options)
    compile = dispatcher.compile

    @functools.wraps(compile)
    def compile_uncontracted(*arguments):
        with uncontracted():
            return compile(*arguments)

    dispatcher.compile = compile_uncontracted
    return dispatcher


@functools.lru_cache(maxsize=512)
def _configured(compiled, blocks, threads, shared_bytes, device_number):
    with warnings.catch_warnings():  # Numba warns of grids of few blocks
        warnings.simplefilter("ignore")
        return compiled[blocks, threads, 0, shared_bytes]


def launch(compiled, blocks, threads, *arguments, shared_bytes=0):
    """Launch a kernel; `shared_bytes` is the dynamic shared memory of a block."""
    if SIMULATED:  # there a configuration is the kernel's state
        compiled[blocks, threads, 0, shared_bytes](*arguments)
    else:
        number = _numba_cuda.get_current_device().id
        _configured(compiled, blocks, threads, shared_bytes, number)(*arguments)


def type_of(dtype):
    """Numba's type of a NumPy dtype."""
    return types.float32 if np.dtype(dtype) == np.float32 else types.float64


def most_blocks(compiled, arguments, threads, shared_bytes):
    """Blocks that can wait for each other in a cooperative launch; 0 where there is none."""
    if SIMULATED:
        return 1
    if not _numba_cuda.get_current_device().COOPERATIVE_LAUNCH:
        return 0
    signature = tuple(compiled.typeof_pyval(argument) for argument in arguments)
    return compiled.compile(signature).max_cooperative_grid_blocks(threads, shared_bytes)


def is_device_array(array):
    """Whether an array lies on a device."""
    return hasattr(array, "__cuda_array_interface__") or (
        SIMULATED and getattr(array, "__cuda_ndarray__", False) is True
    )


def as_device_array(array):
    """Numba's view of a device array of any library, without a copy."""
    if not SIMULATED:
        return _numba_cuda.as_cuda_array(array)
    if getattr(array, "__cuda_ndarray__", False) is True:
        return array
    return _numba_cuda.devicearray.FakeCUDAArray(np.asarray(_OnHost(array)))


def flat_view(array):
    """One-dimensional view of the memory that a two-dimensional device array spans."""
    item = array.dtype.itemsize
    size = 1 + sum((n - 1) * stride // item for n, stride in zip(array.shape, array.strides))
    if SIMULATED:
        flat = np.lib.stride_tricks.as_strided(array._ary, (size,), (item,))
        return _numba_cuda.devicearray.FakeCUDAArray(flat)
    description = {**array.__cuda_array_interface__, "shape": (size,), "strides": None}
    return _numba_cuda.from_cuda_array_interface(description, owner=array)


class _OnHost:
    """The simulator's device memory is the host's."""

    def __init__(self, array):
        self.__array_interface__ = {**array.__cuda_array_interface__, "version": 3}
        self.owner = array


def device_count():
    """How many devices there are; 0 without a driver."""
    return len(_numba_cuda.gpus) if why_unavailable() is None else 0


def why_unavailable():
    """None if a device can be used, else what is missing and what to install."""
    if SIMULATED:
        return None
    try:
        if _numba_cuda.is_available():
            return _why_not_loaded()
    except Exception as error:  # whatever a broken installation raises
        return f"the CUDA driver does not answer ({type(error).__name__}: {error})"
    if not _has_driver():
        return "no NVIDIA driver was found (it comes with the GPU's system software)"
    try:
        importlib.metadata.version("numba-cuda")
    except importlib.metadata.PackageNotFoundError:
        return "the CUDA toolkit was not found; install it with: pip install 'nnjit[cuda]'"
    return (
        "no CUDA device is visible (CUDA_VISIBLE_DEVICES is "
        + repr(os.environ.get("CUDA_VISIBLE_DEVICES"))
        + ")"
    )


@functools.cache
def _why_not_loaded():
    """None if a kernel can be compiled and launched, else the reason.

    Numba loads most of its CUDA target when it first compiles, and may fail there beside a NumPy
    or a toolkit that it does not fit.
    """
    try:
        _try_out()
    except Exception as error:
        return f"numba-cuda cannot be loaded ({type(error).__name__}: {error})"
    return None


def _try_out():
    def one(values):
        values[0] = 1.0

    values = _numba_cuda.device_array(1, np.float64)
    launch(kernel(one), 1, 1, values)
    if values.copy_to_host()[0] != 1.0:
        raise RuntimeError("a kernel for trial wrote something else")


def _has_driver():
    try:
        _numba_cuda.cudadrv.driver.driver.cuDeviceGetCount  # noqa: B018 (loads the library)
    except Exception:
        return False
    return True
