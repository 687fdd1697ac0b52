"""Values of the functions against the oracle and against differences."""

import numpy as np
import pytest

import naive
from nnjit import functional as F

DTYPES = [np.float32, np.float64]
EDGES = [1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100]


def normal(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def wide(*arrays):
    return [a.astype(np.float64) for a in arrays]


def assert_close(actual, expected, depth=1):
    """Within the rounding of a sum of `depth` products of numbers of order 1."""
    eps = np.finfo(actual.dtype).eps
    np.testing.assert_allclose(actual, expected, rtol=0, atol=eps * (8 + 4 * depth))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", sorted(naive.ACTIVATIONS))
def test_dense_forward(activation, dtype):
    for m, k, n in [(1, 1, 1), (2, 3, 2), (33, 17, 10), (64, 8, 100), (31, 65, 16)]:
        a, w, b = normal(m, k, dtype=dtype), normal(k, n, dtype=dtype) / 4, normal(n, dtype=dtype)
        w /= np.sqrt(dtype(k))
        expected = naive.dense_forward(*wide(a, w, b), activation)
        actual = F.dense_forward(a, w, b, activation)
        scale = max(1, np.abs(expected).max())
        assert_close(actual / dtype(scale), expected / scale, k)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_at_the_edges_of_the_tiles(dtype):
    """Every combination of sizes around the vectors' and tiles' edges, in any order."""
    sizes = EDGES[::2]
    for m in sizes:
        for n in EDGES:
            k = sizes[(m + n) % len(sizes)]
            a, w = normal(m, k, dtype=dtype), normal(k, n, dtype=dtype)
            assert_close(F.dense_forward(a, w), np.matmul(*wide(a, w)), k)
            assert_close(F.dense_forward(np.asfortranarray(a), w.T.copy().T),
                         np.matmul(*wide(a, w)), k)  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", sorted(naive.ACTIVATIONS))
def test_dense_backward(activation, dtype):
    for m, k, n in [(1, 1, 1), (5, 3, 2), (33, 17, 10), (64, 8, 33)]:
        a, w, b = normal(m, k, dtype=dtype), normal(k, n, dtype=dtype), normal(n, dtype=dtype)
        w /= k
        h = naive.dense_forward(a, w, b, activation).astype(dtype)
        dh = normal(m, n, dtype=dtype, seed=1)
        actual = F.dense_backward(dh, a, w, h, activation)
        expected = naive.dense_backward(*wide(dh, a, w, h), activation)
        for ours, theirs in zip(actual, expected):
            assert ours.dtype == dtype
            scale = max(1, np.abs(theirs).max())
            assert_close(ours / dtype(scale), theirs / scale, m + n)


@pytest.mark.parametrize("activation", sorted(naive.ACTIVATIONS))
def test_dense_backward_is_the_derivative(activation):
    a, w, b = normal(4, 3), normal(3, 5), normal(5)
    dh = normal(4, 5, seed=1)

    def value(a, w, b):
        return float((F.dense_forward(a, w, b, activation) * dh).sum())

    dA, dW, db = F.dense_backward(dh, a, w, F.dense_forward(a, w, b, activation), activation)
    for actual, expected in [
        (dA, naive.central_differences(lambda x: value(x, w, b), a)),
        (dW, naive.central_differences(lambda x: value(a, x, b), w)),
        (db, naive.central_differences(lambda x: value(a, w, x), b)),
    ]:
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-8)


def test_dense_backward_out_and_errors():
    a, w, dh = normal(4, 3), normal(3, 5), normal(4, 5)
    expected = F.dense_backward(dh, a, w)
    out = (np.empty((4, 3)), np.empty((3, 5), order="F"), np.empty(5))
    for result, target, wanted in zip(F.dense_backward(dh, a, w, out=out), out, expected):
        assert result is target
        np.testing.assert_array_equal(result, wanted)
    in_place = a.copy()
    F.dense_backward(dh, in_place, w, out=(in_place, out[1], out[2]))
    np.testing.assert_array_equal(in_place, expected[0])
    np.testing.assert_array_equal(out[1], expected[1])
    with pytest.raises(ValueError, match="three arrays"):
        F.dense_backward(dh, a, w, out=out[:2])
    with pytest.raises(ValueError, match="H is needed for the activation 'relu'"):
        F.dense_backward(dh, a, w, activation="relu")
    with pytest.raises(ValueError, match=r"dH must have shape \(4, 5\), got \(4, 4\)"):
        F.dense_backward(dh[:, :4], a, w)
    with pytest.raises(ValueError, match=r"H must have shape \(4, 5\)"):
        F.dense_backward(dh, a, w, dh[:3], "relu")


def test_dense_forward_errors():
    with pytest.raises(ValueError, match="A's columns must match W's rows"):
        F.dense_forward(normal(2, 3), normal(4, 5))
    with pytest.raises(ValueError, match=r"b must have shape \(5,\), got \(4,\)"):
        F.dense_forward(normal(2, 3), normal(3, 5), normal(4))
    with pytest.raises(ValueError, match="A must have 2 dimensions, got 1"):
        F.dense_forward(normal(3), normal(3, 5))
    with pytest.raises(ValueError, match="activation must be one of .*'tanh'.*, got 'swish'"):
        F.dense_forward(normal(2, 3), normal(3, 5), activation="swish")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_losses(dtype, weighted):
    rng = np.random.default_rng(0)
    w = rng.uniform(0, 2, 50).astype(dtype) if weighted else None
    w64 = w if w is None else w.astype(np.float64)
    y, p = normal(50, 3, dtype=dtype), normal(50, 3, dtype=dtype, seed=1)
    counts, rates = (
        rng.poisson(1.0, (50, 3)).astype(dtype),
        rng.uniform(0.1, 2, (50, 3)).astype(dtype),
    )
    flags, shares = rng.integers(0, 2, (50, 3)).astype(dtype), naive.softmax(p)
    labels = rng.integers(0, 3, 50)
    indicator = np.eye(3, dtype=dtype)[labels]
    cases = [
        (F.squared_error, "squared_error", y, p, {}),
        (F.poisson, "poisson", counts, rates, {}),
        (F.cross_entropy, "bernoulli", flags, shares, {"kind": "multilabel"}),
        (F.cross_entropy, "multinomial", indicator, shares, {}),
    ]
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    for function, name, target, output, extra in cases:
        value = function(target, output, sample_weight=w, **extra)
        assert isinstance(value, float)
        assert value == pytest.approx(naive.LOSSES[name](*wide(target, output), w64), rel=rtol)
        gradient = getattr(F, f"{function.__name__}_gradient")
        expected = naive.loss_gradient(name, *wide(target, output), w64)
        actual = gradient(target, output, sample_weight=w, **extra)
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol / 100)
        if name != "squared_error":
            actual = gradient(target, output, sample_weight=w, wrt="logits", **extra)
            expected = naive.logits_gradient(*wide(target, output), w64)
            np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol / 10)
    by_label = F.cross_entropy(labels, shares, sample_weight=w)
    assert by_label == pytest.approx(F.cross_entropy(indicator, shares, sample_weight=w), rel=rtol)
    np.testing.assert_allclose(
        F.cross_entropy_gradient(labels, shares, sample_weight=w, wrt="logits"),
        F.cross_entropy_gradient(indicator, shares, sample_weight=w, wrt="logits"),
        rtol=rtol, atol=1e-12,
    )  # fmt: skip


def test_logits_gradient_is_the_chain_rule():
    """Softmax with cross-entropy: the vjp of the gradient by the outputs is p - y."""
    z, y = normal(6, 4), np.eye(4)[[0, 1, 2, 3, 1, 0]]
    p = F.softmax(z)
    chained = F.softmax_vjp(p, F.cross_entropy_gradient(y, p))
    np.testing.assert_allclose(chained, F.cross_entropy_gradient(y, p, wrt="logits"), atol=1e-12)
    jacobian = F.softmax_jacobian(z)
    by_matrix = np.einsum("ijk,ij->ik", jacobian, F.cross_entropy_gradient(y, p))
    np.testing.assert_allclose(by_matrix, chained, atol=1e-12)


def test_binary_takes_vectors_and_columns():
    y, p = np.array([0, 1, 1]), np.array([0.2, 0.7, 0.9])
    expected = -np.log([0.8, 0.7, 0.9]).mean()
    assert F.cross_entropy(y, p, kind="binary") == pytest.approx(expected, rel=1e-14)
    column = p[:, np.newaxis]
    assert F.cross_entropy(y, column, kind="binary") == pytest.approx(expected, rel=1e-14)
    assert F.cross_entropy_gradient(y, column, kind="binary").shape == (3, 1)


def test_loss_errors():
    p = naive.softmax(normal(3, 4))
    with pytest.raises(ValueError, match=r"in 0 \.\. 3"):
        F.cross_entropy([0, 1, 4], p)
    with pytest.raises(ValueError, match=r"in 0 \.\. 3"):
        F.cross_entropy([0, 1, -1], p)
    with pytest.raises(ValueError, match="must be integers"):
        F.cross_entropy([0.0, 1.0, 2.0], p)
    with pytest.raises(ValueError, match=r"Y must have shape \(3,\)"):
        F.cross_entropy([0, 1], p)
    with pytest.raises(ValueError, match="kind must be one of"):
        F.cross_entropy([0, 1, 2], p, kind="hinge")
    with pytest.raises(ValueError, match="wrt must be one of"):
        F.cross_entropy_gradient([0, 1, 2], p, wrt="inputs")
    for weights in ([0, 0, 0], [1, -1, 1], [1, np.nan, 1]):
        with pytest.raises(ValueError, match="sample_weight must not be negative"):
            F.cross_entropy([0, 1, 2], p, sample_weight=weights)
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(3,\)"):
        F.cross_entropy([0, 1, 2], p, sample_weight=[1, 1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_do_not_cancel_where_the_activation_saturates(dtype):
    z = np.array([-30, 30], dtype)
    np.testing.assert_allclose(F.sigmoid_derivative(z), np.exp([-30.0, -30.0]), rtol=1e-5)
    np.testing.assert_allclose(F.tanh_derivative(z / 2), 4 * np.exp([-30.0, -30.0]), rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, where nothing is compiled
def test_softmax_of_the_largest_numbers(dtype):
    largest = np.finfo(dtype).max
    rows = [[largest, -largest, 0], [largest] * 3, [-largest, -largest, 0], [largest, 0, largest]]
    expected = np.array([[1, 0, 0], [1 / 3] * 3, [0, 0, 1], [0.5, 0, 0.5]], dtype)
    z = np.array(rows, dtype)
    for repeats in (1, 100):
        np.testing.assert_allclose(F.softmax(np.tile(z, (repeats, 1)))[-4:], expected, rtol=1e-6)
    s = expected.astype(float)
    jacobian = s[:, :, None] * (np.eye(3) - s[:, None, :])
    np.testing.assert_allclose(F.softmax_jacobian(z), jacobian, rtol=1e-6)
    np.testing.assert_allclose(F.softmax_vjp(F.softmax(z), np.ones_like(z)), 0 * s, atol=1e-6)
    log_p = F.log_softmax(z / 2)
    assert np.isfinite(log_p).all()
    np.testing.assert_allclose(log_p[0] / largest, [0, -1, -0.5], rtol=1e-6)
    assert F.log_softmax(z)[0, 1] == -np.inf  # twice the largest number
    for activation in (F.sigmoid, F.tanh, F.sigmoid_derivative, F.tanh_derivative):
        assert np.isfinite(activation(z)).all()
    labels = np.array([0, 1, 2, 0])
    assert np.isfinite(F.cross_entropy(labels, F.softmax(z)))
    assert np.isfinite(F.cross_entropy_gradient(labels, F.softmax(z), wrt="logits")).all()
