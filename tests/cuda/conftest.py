"""The CUDA backend under Numba's simulator (NUMBA_ENABLE_CUDASIM=1) or on a GPU."""

import functools
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

# The oracle lies one folder up.
sys.path.insert(0, str(Path(__file__).parents[1]))

from nnjit.backends.cuda import _cuda

# Files whose tests need no device to run on.
TIMEOUT = 200  # seconds at a barrier
_NEED_NOTHING = ("test_cuda_device_choice.py", "test_cuda_machine_code.py")


def pytest_collection_modifyitems(items):
    """Skip what needs a device where there is none, and `gpu` tests in the simulator."""
    reason = _cuda.why_unavailable()
    for item in items:
        if Path(__file__).parent not in item.path.parents or item.path.name in _NEED_NOTHING:
            continue
        if reason is not None:
            text = f"no CUDA device ({reason}) and no simulator (NUMBA_ENABLE_CUDASIM=1)"
            item.add_marker(pytest.mark.skip(reason=text))
        elif _cuda.SIMULATED and item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a GPU, and this is the simulator"))


def run_grid(manager, grid_point, *arguments):
    """Run all blocks of a grid at once, their threads meeting in real barriers.

    The simulator runs one block after another, so it knows no grid of several blocks that wait
    for each other. It also polls its threads, which is many times slower, and lets a thread go
    that never comes to a barrier where the others wait; on a GPU that is undefined.
    """
    from numba.cuda.simulator.kernel import BlockThread

    if any(grid_point):
        return  # it ran with the first block
    barriers, threads = [], []
    everyone = threading.Barrier(int(np.prod(manager._grid_dim) * np.prod(manager._block_dim)))

    def body():
        try:
            manager._f(*arguments)
        except BaseException:
            for barrier in [*barriers, everyone]:
                barrier.abort()
            raise

    for block in np.ndindex(*manager._grid_dim):
        points = list(np.ndindex(*manager._block_dim))
        barriers.append(threading.Barrier(len(points)))
        for point in points:
            threads.append(BlockThread(body, manager, block, point, False))
            threads[-1].syncthreads = functools.partial(barriers[-1].wait, TIMEOUT)
            threads[-1].wait_for_grid = functools.partial(everyone.wait, TIMEOUT)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors = [thread.exception for thread in threads if thread.exception]
    for kind, traceback in sorted(
        errors, key=lambda e: isinstance(e[0], threading.BrokenBarrierError)
    ):
        raise kind.with_traceback(traceback)


@pytest.fixture(autouse=True)
def quick_simulator(monkeypatch):
    """Let the simulator run whole grids, soon."""
    if _cuda.SIMULATED:
        from numba.cuda.simulator import kernel, kernelapi

        monkeypatch.setattr(kernel.BlockManager, "run", run_grid)
        monkeypatch.setattr(
            kernelapi.GridGroup, "sync", lambda group: threading.current_thread().wait_for_grid()
        )
