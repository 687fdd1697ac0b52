"""Pooling and global pooling against PyTorch's, in float64: outputs, and who gets the delta."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed import OneLayer
from pytorch_pooling import (
    CASES,
    LENGTHS,
    ROWS,
    all_of_pytorch,
    delta_of,
    inputs_of,
    stored,
)

from nnjit.layers.global_pooling.spec import GlobalPool
from nnjit.layers.pooling.spec import Pool


def passes_of_ours(name):
    method, shape, size, stride = CASES[name]
    layer = GlobalPool(method) if size is None else Pool(method, size, stride)
    one = OneLayer(layer, shape, np.float64, ROWS)
    outputs = one.forward(inputs_of(name), LENGTHS.get(name))
    return [outputs, one.backward(delta_of(name, outputs.shape[1:]))]


def assert_agree(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_both_passes_are_those_of_pytorch(name):
    assert_agree(passes_of_ours(name), stored()[name])


def test_what_is_stored_is_what_pytorch_finds():
    pytest.importorskip("torch")
    found, kept = all_of_pytorch(), stored()
    assert list(found) == list(kept) == list(CASES)
    for name in CASES:
        assert_agree(found[name], kept[name])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), method=st.sampled_from(["max", "mean"]), axes=st.integers(1, 2))
def test_odd_shapes_are_pooled_as_by_pytorch(data, method, axes):
    torch = pytest.importorskip("torch")
    size = tuple(data.draw(st.integers(1, 4)) for _ in range(axes))
    stride = tuple(data.draw(st.integers(1, 4)) for _ in range(axes))
    shape = (data.draw(st.integers(1, 3)), *(k + data.draw(st.integers(0, 5)) for k in size))
    rows, rng = data.draw(st.integers(1, 9)), np.random.default_rng(0)
    x = rng.integers(-2, 3, (rows, *shape)).astype(float)
    given_x = torch.tensor(x, requires_grad=True)
    form = f"max_pool{axes}d" if method == "max" else f"avg_pool{axes}d"
    expected = getattr(torch.nn.functional, form)(given_x, size, stride)
    delta = rng.standard_normal(tuple(expected.shape))
    expected.backward(torch.tensor(delta))
    one = OneLayer(Pool(method, size, stride), shape, np.float64, rows)
    assert_agree(
        [one.forward(x), one.backward(delta)], [expected.detach().numpy(), given_x.grad.numpy()]
    )
