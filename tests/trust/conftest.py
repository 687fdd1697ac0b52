import sys
from pathlib import Path

import pytest

# The oracle lies one folder up, the small data sets in tests/estimators.
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "estimators")]

from fresh_python import LAYERS, run_python  # noqa: E402


def pytest_generate_tests(metafunc):
    if "layer" in metafunc.fixturenames:
        metafunc.parametrize("layer", LAYERS)


@pytest.fixture(scope="session")
def serial_digests():
    """What `large` gives by the serial driver, for float32 and float64."""
    output = run_python(
        "import workload; print(workload.large('float32'), workload.large('float64'))",
        NNJIT_TEST_DRIVER="serial",
    )
    return output.split()
