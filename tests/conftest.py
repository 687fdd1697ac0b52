"""What tests of every folder may ask for."""

import signal

import pytest


@pytest.fixture
def heard():
    """Ctrl-C raises KeyboardInterrupt, also where this process was started with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
