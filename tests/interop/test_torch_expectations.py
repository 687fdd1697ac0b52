"""What PyTorch has computed, and what becomes of the two functions where it is not installed."""

import subprocess
import sys

import numpy as np
import pytest
from torch_expectations import of_pytorch, stored

from networks_of_kinds import LAYERS
from nnjit import MLPClassifier
from nnjit.backends.select import make_engine
from nnjit.interop import from_torch, to_torch
from nnjit.layers.network import Network


@pytest.fixture(scope="module")
def kept():
    return stored()


@pytest.mark.parametrize("dtype, limit", [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_networks_that_were_read_predict_what_pytorch_computed(kept, dtype, limit):
    assert len(kept) == len(LAYERS) + 3
    for name, (state, arrays, rows, outputs) in kept.items():
        engine = make_engine(Network.from_state(state), dtype)
        engine.pack([one.astype(dtype) for one in arrays])
        found = engine.predict(rows.reshape(len(rows), -1).astype(dtype))
        np.testing.assert_allclose(found, outputs, atol=limit, rtol=limit, err_msg=name)


def test_what_is_stored_is_what_pytorch_computes(kept):
    pytest.importorskip("torch", reason="needs PyTorch")
    found = of_pytorch()
    assert [*found] == [*kept]
    for name, (state, arrays, rows, outputs) in found.items():
        same, others, given, expected = kept[name]
        assert state == same, name
        for a, b in zip([*arrays, rows], [*others, given], strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
        np.testing.assert_allclose(outputs, expected, atol=1e-13, rtol=1e-13, err_msg=name)


@pytest.mark.parametrize("function", [to_torch, from_torch])
def test_where_pytorch_is_missing_the_extra_is_named(function, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=rf"{function.__name__} needs PyTorch: pip install"):
        function(MLPClassifier())


def test_pytorch_is_not_loaded_before_it_is_needed():
    code = "import sys, nnjit.interop.torch; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
