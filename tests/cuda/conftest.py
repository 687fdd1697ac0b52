"""The CUDA backend under Numba's simulator (NUMBA_ENABLE_CUDASIM=1) or on a GPU."""

import sys
from pathlib import Path

import pytest

# The oracle lies one folder up.
sys.path.insert(0, str(Path(__file__).parents[1]))

from nnjit.backends.cuda import _cuda

# Files whose tests need no device to run on.
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


@pytest.fixture(autouse=True)
def quick_threads():
    """Let the simulator's threads take turns sooner: it starts one for every CUDA thread."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5 if _cuda.SIMULATED else before)
    yield
    sys.setswitchinterval(before)
