"""Convolution and pooling of arrays: their definitions, differences, and what is refused."""

import numba
import numpy as np
import pytest

import naive
from nnjit import functional as F
from nnjit.core.arrays import convolution, pooling

DTYPES = [np.float32, np.float64]
# (cases, channels, points, filters, options)
SERIES = [
    (1, 1, (1,), 1, {"kernel": (1,)}),
    (2, 3, (7,), 4, {"kernel": (3,)}),
    (3, 2, (16,), 3, {"kernel": (4,)}),
    (2, 1, (33,), 2, {"kernel": (5,), "dilation": 3}),
    (2, 4, (17,), 6, {"kernel": (3,), "stride": 2, "groups": 2}),
    (1, 2, (5,), 2, {"kernel": (9,)}),  # a kernel that is longer than the series
    (2, 3, (12,), 3, {"kernel": (2,), "stride": 5, "dilation": 4, "groups": 3}),
]
IMAGES = [
    (1, 1, (1, 1), 1, {"kernel": (1, 1)}),
    (2, 3, (5, 8), 4, {"kernel": (3, 3)}),
    (2, 2, (6, 5), 3, {"kernel": (2, 4)}),
    (2, 4, (9, 17), 6, {"kernel": (3, 5), "stride": (2, 3), "dilation": (2, 1), "groups": 2}),
    (1, 2, (3, 4), 2, {"kernel": (5, 5)}),
]
PADDINGS = ["same", "valid"]


def normal(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def arguments(case, dtype=np.float64):
    """x, weights, bias and the options of one of the cases above."""
    n, channels, points, filters, options = case
    options = dict(options)
    kernel = options.pop("kernel")
    weights = normal(*kernel, channels // options.get("groups", 1), filters, dtype=dtype)
    return normal(n, channels, *points, dtype=dtype), weights, normal(filters, dtype=dtype), options


def fits(case, padding):
    _, _, points, _, options = case
    dilation = np.broadcast_to(options.get("dilation", 1), len(points))
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, options["kernel"])]
    return padding == "same" or all(span <= n for span, n in zip(spans, points))


CASES = [
    pytest.param(case, padding, id=f"{'x'.join(map(str, case[2]))}-{case[4]}-{padding}")
    for case in SERIES + IMAGES
    for padding in PADDINGS
    if fits(case, padding)
]
convolutions = pytest.mark.parametrize("case, padding", CASES)


def by_definition(x, w, bias, delta=None, stride=1, dilation=1, groups=1, padding="same"):
    """What the oracle gives: the convolution, or of a delta the gradients."""
    each = [tuple(np.broadcast_to(given, x.ndim - 2).tolist()) for given in (stride, dilation)]
    if delta is None:
        return naive.convolve(x, w, bias, *each, groups, padding)
    return naive.convolve_backward(delta, x, w, *each, groups, padding)


def wide(*arrays):
    return [a.astype(np.float64) for a in arrays]


def assert_close(actual, expected, depth):
    """Within the rounding of a sum of `depth` products of numbers of order 1."""
    eps = np.finfo(actual.dtype).eps
    np.testing.assert_allclose(actual, expected, rtol=0, atol=eps * (8 + 8 * depth))


@convolutions
@pytest.mark.parametrize("dtype", DTYPES)
def test_convolve_is_its_definition(case, padding, dtype):
    x, w, b, options = arguments(case, dtype)
    expected = by_definition(*wide(x, w, b), padding=padding, **options)
    actual = F.convolve(x, w, b, padding=padding, **options)
    assert actual.dtype == dtype and actual.shape == expected.shape
    assert_close(actual, expected, w.size)
    without = F.convolve(x, w, padding=padding, **options)
    np.testing.assert_array_equal(
        without, F.convolve(x, w, np.zeros_like(b), padding=padding, **options)
    )


@convolutions
@pytest.mark.parametrize("dtype", DTYPES)
def test_convolve_backward_is_its_definition(case, padding, dtype):
    x, w, b, options = arguments(case, dtype)
    shape = F.convolve(x, w, padding=padding, **options).shape
    delta = normal(*shape, dtype=dtype, seed=1)
    actual = F.convolve_backward(x, w, delta, padding=padding, **options)
    expected = by_definition(*wide(x, w, b, delta), padding=padding, **options)
    for ours, theirs, like in zip(actual, expected, (x, w, b)):
        assert ours.dtype == dtype and ours.shape == like.shape
        assert_close(ours, theirs, delta.size)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes too long")
@convolutions
def test_convolve_backward_is_the_derivative(case, padding):
    x, w, b, options = arguments(case)
    delta = normal(*F.convolve(x, w, b, padding=padding, **options).shape, seed=1)

    def value(x, w, b):
        return float((F.convolve(x, w, b, padding=padding, **options) * delta).sum())

    dx, dw, db = F.convolve_backward(x, w, delta, padding=padding, **options)
    for actual, expected in [
        (dx, naive.central_differences(lambda v: value(v, w, b), x)),
        (dw, naive.central_differences(lambda v: value(x, v, b), w)),
        (db, naive.central_differences(lambda v: value(x, w, v), b)),
    ]:
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)


def test_the_kernel_is_not_turned():
    x = np.arange(5.0).reshape(1, 1, 5)
    w = np.array([1.0, 10.0, 100.0]).reshape(3, 1, 1)
    # x is 0 outside
    np.testing.assert_array_equal(F.convolve(x, w), [[[100, 210, 321, 432, 43]]])
    np.testing.assert_array_equal(F.convolve(x, w, padding="valid"), [[[210, 321, 432]]])
    np.testing.assert_array_equal(F.convolve(x, w[:2]), [[[10, 21, 32, 43, 4]]])


def test_a_kernel_of_one_point_is_a_dense_layer_at_every_point():
    x, w, b = normal(2, 3, 4, 5), normal(1, 1, 3, 6), normal(6)
    rows = x.transpose(0, 2, 3, 1).reshape(-1, 3)
    expected = F.dense_forward(rows, w.reshape(3, 6), b).reshape(2, 4, 5, 6).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(F.convolve(x, w, b), expected, atol=1e-14)


# --- pooling -----------------------------------------------------------------------------

POOLS = [
    ((1,), 1, None),
    ((7,), 2, None),
    ((16,), 3, 1),
    ((33,), 4, 5),
    ((9,), 9, 2),
    ((6, 8), 2, None),
    ((7, 19), (3, 2), (1, 2)),
    ((5, 5), (5, 4), 3),
]
pools = pytest.mark.parametrize("points, size, stride", POOLS)


def each_axis(x, size, stride):
    """Sizes and strides, a number for each axis."""
    stride = size if stride is None else stride
    return [tuple(np.broadcast_to(given, x.ndim - 2).tolist()) for given in (size, stride)]


def pooled(x, name, size, stride):
    return naive.pool_forward(x, name.removesuffix("_pool"), *each_axis(x, size, stride))


def unpooled(x, delta, name, size, stride):
    method = name.removesuffix("_pool")
    return naive.pool_backward(delta, x, method, *each_axis(x, size, stride))


every_method = pytest.mark.parametrize("name", ["max_pool", "mean_pool"])


@pools
@every_method
@pytest.mark.parametrize("dtype", DTYPES)
def test_pooling_is_its_definition(name, dtype, points, size, stride):
    x = normal(2, 3, *points, dtype=dtype)
    expected = pooled(x.astype(np.float64), name, size, stride)
    actual = getattr(F, name)(x, size, stride)
    assert actual.dtype == dtype and actual.shape == expected.shape
    assert_close(actual, expected, 1)
    delta = normal(*expected.shape, dtype=dtype, seed=1)
    gradient = getattr(F, f"{name}_backward")(x, delta, size, stride)
    assert gradient.dtype == dtype
    assert_close(gradient, unpooled(*wide(x, delta), name, size, stride), 20)


@pools
@every_method
def test_pooling_backward_is_the_derivative(name, points, size, stride):
    x = np.random.default_rng(0).permutation(2 * 3 * np.prod(points)) / 10.0  # no ties
    x = x.reshape(2, 3, *points)
    forward = getattr(F, name)
    delta = normal(*forward(x, size, stride).shape, seed=1)
    gradient = getattr(F, f"{name}_backward")(x, delta, size, stride)
    expected = naive.central_differences(
        lambda v: float((forward(v, size, stride) * delta).sum()), x
    )
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_first_of_equal_values_gets_the_delta(dtype):
    x = np.random.default_rng(0).integers(0, 3, (3, 2, 17, 23)).astype(dtype)
    x[x == 0] *= -1.0  # -0 and 0 are equal
    x[0, 0, ::2] = 0
    for size, stride in [(2, None), (3, 1), ((2, 5), (3, 2))]:
        delta = normal(*F.max_pool(x, size, stride).shape, dtype=dtype)
        expected = unpooled(*wide(x, delta), "max_pool", size, stride)
        assert_close(F.max_pool_backward(x, delta, size, stride), expected, 20)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_is_the_largest_and_the_first_gets_the_delta(dtype):
    x = normal(2, 2, 40, dtype=dtype)
    x[:, :, ::3] = np.nan
    x[:, :, 5] = np.inf
    for size, stride in [(2, None), (5, None), (4, 1)]:
        actual = F.max_pool(x, size, stride)
        np.testing.assert_array_equal(actual, pooled(x, "max_pool", size, stride))
        delta = normal(*actual.shape, dtype=dtype)
        expected = unpooled(*wide(x, delta), "max_pool", size, stride)
        assert_close(F.max_pool_backward(x, delta, size, stride), expected, 20)
    assert np.isnan(F.mean_pool(x, 2)).any() and not np.isnan(F.mean_pool(x, 2)).all()


# --- what all have in common -------------------------------------------------------------

X4, W4, B4 = normal(3, 2, 6, 7), normal(3, 2, 2, 5), normal(5)
DELTA4 = normal(3, 5, 6, 7)
CALLS = {
    "convolve": ((X4, W4, B4), {}),
    "convolve_backward": ((X4, W4, DELTA4), {}),
    "max_pool": ((X4,), {"size": 2}),
    "max_pool_backward": ((X4, normal(3, 2, 3, 3)), {"size": 2}),
    "mean_pool": ((X4,), {"size": (2, 3), "stride": 2}),
    "mean_pool_backward": ((X4, normal(3, 2, 3, 3)), {"size": 2}),
}
every = pytest.mark.parametrize("name", sorted(CALLS))


def called(name, arrays, **more):
    """A tuple of results."""
    found = getattr(F, name)(*arrays, **CALLS[name][1], **more)
    return found if isinstance(found, tuple) else (found,)


@every
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_is_kept_inputs_are_not_changed_and_any_memory_layout_will_do(name, dtype):
    arrays = [a.astype(dtype) for a in CALLS[name][0]]
    before = [a.tobytes() for a in arrays]
    expected = called(name, arrays)
    assert [a.tobytes() for a in arrays] == before
    assert all(result.dtype == dtype for result in expected)
    others = [
        [np.asfortranarray(a) for a in arrays],
        [np.repeat(a, 2, axis=-1)[..., ::2] for a in arrays],
        [a.astype(a.dtype.newbyteorder()) for a in arrays],
        [np.flip(np.flip(a).copy()) for a in arrays],
    ]
    for one in arrays:
        one.flags.writeable = False
    for given in (arrays, *others):
        for ours, theirs in zip(called(name, given), expected):
            assert ours.tobytes() == theirs.tobytes()
    lists = called(name, [a.tolist() for a in arrays])
    assert all(result.dtype == np.float64 for result in lists)


@every
def test_results_go_where_they_are_wanted(name):
    arrays = CALLS[name][0]
    expected = called(name, arrays)
    for spread in (False, True):
        outs = [np.full((*e.shape, 2), np.nan)[..., 0] if spread else e * np.nan for e in expected]
        given = tuple(outs) if len(outs) > 1 else outs[0]
        for ours, out, theirs in zip(called(name, arrays, out=given), outs, expected):
            assert ours is out
            np.testing.assert_array_equal(ours, theirs)
    bad = tuple(np.empty((*e.shape, 1)) for e in expected)
    with pytest.raises(ValueError, match="out must have shape"):
        called(name, arrays, out=bad if len(bad) > 1 else bad[0])


def test_results_may_go_into_an_input():
    x, w = normal(2, 3, 8), normal(3, 3, 3)
    same = x.copy()
    np.testing.assert_array_equal(F.convolve(same, w, out=same), F.convolve(x, w))
    for name in ("max_pool", "mean_pool"):
        same = x.copy()
        assert getattr(F, name)(same, 1, out=same) is same
        delta = F.max_pool(x, 3, 2)
        same = x.copy()
        expected = getattr(F, f"{name}_backward")(x, delta, 3, 2)
        np.testing.assert_array_equal(
            getattr(F, f"{name}_backward")(same, delta, 3, 2, out=same), expected
        )


@every
def test_no_cases(name):
    arrays = [a[:0] if a.ndim == 4 and a is not W4 else a for a in CALLS[name][0]]
    results = called(name, arrays)
    assert [r.shape for r in results] == [
        e.shape if e.shape[0] != 3 or e.shape == W4.shape else (0, *e.shape[1:])
        for e in called(name, CALLS[name][0])
    ]
    assert not any(result.any() for result in results)  # gradients are sums over no cases


@every
def test_what_is_not_real_or_has_other_axes_is_refused(name):
    first, *rest = CALLS[name][0]
    for bad in (first + 1j, first.astype(object), np.full(first.shape, "a")):
        with pytest.raises(TypeError, match="x must hold real numbers, got dtype"):
            called(name, [bad, *rest])
    for bad in (first[0, 0], first[np.newaxis], first[:, :0], first[..., :0]):
        with pytest.raises(ValueError, match="x must have shape"):
            called(name, [bad, *rest])


def test_options_that_do_not_fit_are_refused():
    for name in ("convolve", "convolve_backward"):
        function = getattr(F, name)
        first, w, last = CALLS[name][0]
        for options, message in [
            ({"padding": "full"}, r"padding must be one of \['same', 'valid'\], got 'full'"),
            ({"stride": 0}, "stride must be an int of at least 1, or one for each axis, got 0"),
            ({"dilation": (1, 2, 3)}, "dilation must be an int"),
            ({"stride": 1.5}, "stride must be an int"),
            ({"groups": True}, "groups must be an int of at least 1, got True"),
            ({"groups": 2}, r"do not fit 2 channels in groups=2"),
            ({"padding": "valid", "dilation": 4}, "a window over 9 points does not fit into 6"),
        ]:
            with pytest.raises(ValueError, match=message):
                function(first, w, last, **options)
        with pytest.raises(ValueError, match=r"weights must have shape \(height, width, channels"):
            function(first, w[0], last)
    with pytest.raises(ValueError, match=r"bias must have shape \(5,\), got \(4,\)"):
        F.convolve(X4, W4, B4[:4])
    with pytest.raises(ValueError, match=r"delta must have shape \(3, 5, 6, 7\)"):
        F.convolve_backward(X4, W4, DELTA4[:, :, 1:])
    with pytest.raises(ValueError, match="out must be three arrays, for dx, dW and db"):
        F.convolve_backward(X4, W4, DELTA4, out=np.empty(3))
    for name in ("max_pool", "mean_pool"):
        with pytest.raises(ValueError, match="a window over 8 points does not fit into 6"):
            getattr(F, name)(X4, 8)
        with pytest.raises(ValueError, match="size must be an int of at least 1"):
            getattr(F, name)(X4, (2, 2, 2))
        with pytest.raises(ValueError, match=r"delta must have shape \(3, 2, 3, 3\)"):
            getattr(F, f"{name}_backward")(X4, X4, 2)


def test_both_twins_give_the_same_bits():
    x, w, b, options = arguments(IMAGES[3], np.float32)
    h = F.convolve(x, w, b, **options)
    job = F._convolution._checked(x, w, groups=2, padding="same", stride=(2, 3), dilation=(2, 1))
    geometry = job.channels, job.height, job.width
    rows = job.height._replace(stride=1, dilation=1, before=0, outputs=7)
    columns = job.width._replace(stride=2, before=0, outputs=7)
    deltas = normal(2 * 4, rows.outputs, columns.outputs, dtype=np.float32).reshape(-1)
    for kernel, inputs, size in [
        (convolution.convolve, (x, w, b, *geometry), h.size),
        (convolution.input_gradient, (w, h, *geometry), x.size),
        (convolution.weight_gradient, (x, h, *geometry), w.size),
        (convolution.bias_gradient, (h, h[0, 0].size), b.size),
        (pooling.max_pool, (x, rows, columns), deltas.size),
        (pooling.max_pool_backward, (x, deltas, rows, columns), x.size),
        (pooling.mean_pool, (x, rows, columns), deltas.size),
        (pooling.mean_pool_backward, (deltas, rows, columns), x.size),
    ]:
        flat = [a.reshape(-1) if isinstance(a, np.ndarray) else a for a in inputs]
        found = [np.full(size, np.nan, np.float32) for _ in range(2)]
        kernel.serial(*flat, found[0])
        kernel.parallel(*flat, found[1])
        assert not np.isnan(found[0]).any()
        assert found[0].tobytes() == found[1].tobytes()
