"""The scalar functions in compiled loops: accuracy over the whole range, and vector code."""

import math
import re

import numba
import numpy as np
import pytest

import naive
from nnjit.core import scalar
from nnjit.core.compiler.jit import FASTMATH
from nnjit.core.simd import TILE
from nnjit.formulas import ACTIVATIONS

DTYPES = [np.float32, np.float64]
EXACT_DOUBLE = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant,
    reason="this platform has no type wider than float64 to compare with",
)


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _erfc(x):
    """erfc of long doubles: that of the nearest float64 and the slope there for what it leaves."""
    near = x.astype(np.float64)
    values = np.array([math.erfc(value) for value in near.ravel()]).reshape(near.shape)
    rest = np.where(np.isfinite(x), x - near, 0)
    return values - rest * 2 / np.sqrt(np.longdouble(np.pi)) * np.exp(-x * x)


def erf(x):
    wide = np.longdouble(x)
    near = np.array([math.erf(value) for value in x.astype(np.float64).ravel()])
    return np.where(np.abs(wide) < 0.5, near, np.sign(wide) * (1 - _erfc(np.abs(wide))))


def normal_cdf(x):
    return _erfc(-np.longdouble(x) / np.sqrt(np.longdouble(2))) / 2


def normal_pdf(x):
    wide = np.longdouble(x)
    return np.exp(-wide * wide / 2) / np.sqrt(2 * np.longdouble(np.pi))


def cos_2pi(x):
    r = np.abs(x - np.rint(x))  # near 1/4 the cosine of a rounded angle has no digits
    turn = 8 * np.arctan(x.dtype.type(1))
    return np.where(r < 0.125, np.cos(turn * r), np.sin(turn * (0.25 - r)))


def sin_2pi(x):
    r = x - np.rint(x)
    a, turn = np.abs(r), 8 * np.arctan(x.dtype.type(1))
    return np.copysign(np.sin(turn * np.minimum(a, 0.5 - a)), r)


# name -> reference; evaluated in float64 for float32 and in the wider long double for float64
REFERENCES = {
    "cos_2pi": cos_2pi,
    "erf": erf,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "normal_cdf": normal_cdf,
    "normal_pdf": normal_pdf,
    "sigmoid": naive.logistic,
    "sin_2pi": sin_2pi,
    "softplus": softplus,
    "tanh": np.tanh,
}
ULPS = {np.float32: 2, np.float64: 4}
# Below 1/2, or 1, a unit in the last place is half as large as at it, where they are easily had.
MORE_ULPS = {"cos_2pi": 4, "sin_2pi": 4, "erf": 4, "normal_cdf": 8, "normal_pdf": 4}

_loops = {}


def loop(name):
    """A loop over an array as kernels have it, with the kernels' own fast-math flags."""
    if name not in _loops:
        function = getattr(scalar, name)

        @numba.njit(fastmath=set(FASTMATH), error_model="numpy")
        def run(x, out):
            for i in range(len(x)):
                out[i] = function(x[i])

        _loops[name] = run
    return _loops[name]


def apply(name, x):
    out = np.empty_like(x)
    loop(name)(x, out)
    return out


def ulps(values, reference):
    """Distance in units in the last place of the correctly rounded result's binade."""
    info = np.finfo(values.dtype)
    with np.errstate(all="ignore"):
        rounded = reference.astype(values.dtype)
        exponent = np.maximum(np.frexp(reference)[1] - 1, info.minexp)
        distance = np.abs(values - reference) * np.ldexp(reference.dtype.type(1), -exponent)
        distance = np.ldexp(distance, info.nmant)
    same = (values == rounded) | (np.isnan(values) & np.isnan(reference))
    return np.where(
        same & ~np.isfinite(rounded), 0, np.where(np.isfinite(distance), distance, np.inf)
    )


def points(dtype, count):
    """Dense sweeps: the range of exp, around 0 and 1, all binades, and random bit patterns."""
    rng = np.random.default_rng(0)
    limit = 110 if dtype == np.float32 else 760
    bits = rng.integers(0, 2**64, count, dtype=np.uint64)
    anything = bits.view(np.float64)
    if dtype == np.float32:
        anything = (bits >> np.uint64(32)).astype(np.uint32).view(np.float32)
    sign = rng.choice([-1, 1], count)
    info = np.finfo(dtype)
    return np.concatenate(
        [
            np.linspace(-limit, limit, count),
            np.linspace(-3, 3, count),
            1 + rng.normal(size=count) * np.exp2(rng.uniform(-info.nmant, 0, count)),
            sign * np.exp2(rng.uniform(info.minexp - info.nmant, 12, count)),
        ]
    ).astype(dtype), anything


def reference(name, x):
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)
        return REFERENCES[name](wide)


@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=EXACT_DOUBLE)])
@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_accuracy(name, dtype):
    for x in points(dtype, 3000 if numba.config.DISABLE_JIT else 60_000):
        error = ulps(apply(name, x), reference(name, x))
        worst = error.argmax()
        limit = MORE_ULPS.get(name, ULPS[dtype])
        assert error[worst] <= limit, (x[worst], error[worst])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(REFERENCES.keys() - MORE_ULPS.keys()))
def test_accuracy_at_every_float32(name):
    """All numbers at which the result is neither constant nor the argument itself."""
    for low, high in ((2.0**-26, 110.0), (0.4, 3.0)):
        first, last = (int(np.float32(edge).view(np.uint32)) for edge in (low, high))
        for start in range(first, last, 2**22):
            x = np.arange(start, min(last, start + 2**22), dtype=np.uint32).view(np.float32)
            for signed in (x, -x):
                assert ulps(apply(name, signed), reference(name, signed)).max() <= 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype)
    peak, double = dtype(1 / np.sqrt(2 * np.pi)), dtype(np.log(2))
    expected = {
        "cos_2pi": [np.nan, np.nan, np.nan, 1, 1],
        "erf": [np.nan, 1, -1, 0, 0],
        "exp": [np.nan, np.inf, 0, 1, 1],
        "expm1": [np.nan, np.inf, -1, 0, 0],
        "log": [np.nan, np.inf, np.nan, -np.inf, -np.inf],
        "log1p": [np.nan, np.inf, np.nan, 0, 0],
        "normal_cdf": [np.nan, 1, 0, 0.5, 0.5],
        "normal_pdf": [np.nan, 0, 0, peak, peak],
        "sigmoid": [np.nan, 1, 0, 0.5, 0.5],
        "sin_2pi": [np.nan, np.nan, np.nan, 0, 0],
        "softplus": [np.nan, np.inf, 0, double, double],
        "tanh": [np.nan, 1, -1, 0, 0],
    }
    for name, values in expected.items():
        # exact, but for numbers that are no floats: plain Python contracts no multiply-adds
        limit = np.finfo(dtype).eps if name in ("normal_pdf", "softplus") else 0
        np.testing.assert_allclose(apply(name, x), values, rtol=limit, atol=0, err_msg=name)
    for name in ("erf", "expm1", "sin_2pi", "tanh"):
        assert np.signbit(apply(name, x)).tolist()[3:] == [False, True]


@pytest.mark.parametrize("dtype", DTYPES)
def test_edges_of_the_exponential(dtype):
    """The last finite value, the first infinite one, the least subnormal one and the first 0."""
    largest = np.log(np.finfo(dtype).max.astype(np.longdouble)).astype(dtype)
    while np.exp(largest.astype(np.longdouble)) > np.finfo(dtype).max:
        largest = np.nextafter(largest, dtype(0))
    least = dtype(-103.27893 if dtype == np.float32 else -744.4400719213812)
    zero = dtype(-103.98 if dtype == np.float32 else -745.14)
    x = np.array([largest, np.nextafter(largest, dtype(np.inf)) + 1, least, zero], dtype)
    result = apply("exp", x)
    assert np.isfinite(result[0]) and result[0] > np.finfo(dtype).max / 2
    assert result[1] == np.inf
    assert result[2] == np.finfo(dtype).smallest_subnormal
    assert result[3] == 0
    assert apply("sigmoid", x)[2] == np.finfo(dtype).smallest_subnormal


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_value_does_not_depend_on_the_position(name, dtype):
    """The vector body and the scalar remainder of a loop agree to the bit."""
    x = np.random.default_rng(1).uniform(0.01, 9, 131).astype(dtype)
    alone = np.concatenate([apply(name, x[i : i + 1]) for i in range(len(x))])
    assert apply(name, x).tobytes() == alone.tobytes()


def vectorized(run, dtype):
    """Whether a compiled loop has vector arithmetic and calls nothing of the C library."""
    signature = next(s for s in run.signatures if str(s[0].dtype) == np.dtype(dtype).name)
    code = run.inspect_llvm(signature)
    kind = "float" if dtype == np.float32 else "double"
    library = (
        r"@(?:llvm\.)?(?:erfc?|exp|expm1|log|log1p|tanh|cos|sin|rint|floor|ldexp)f?2?(?:\.f\d+)?\("
    )
    return re.search(rf"<\d+ x {kind}>", code) and not re.findall(library, code)


compiled_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
FEW_LANES = pytest.mark.skipif(
    TILE.name == "generic",
    reason="without AVX2 or NEON two float64 lanes may not repay the shuffling",
)
VECTORS = [np.float32, pytest.param(np.float64, marks=FEW_LANES)]


@compiled_only
@pytest.mark.parametrize("dtype", VECTORS)
@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_loop_is_vectorized(name, dtype):
    apply(name, np.ones(3, dtype))
    assert vectorized(loop(name), dtype)


@compiled_only
@pytest.mark.parametrize("dtype", VECTORS)
@pytest.mark.parametrize("name", sorted(ACTIVATIONS.keys() - {"identity"}))
def test_loops_of_formulas_are_vectorized(name, dtype):
    value, derivative, backward = scalar.compiled(ACTIVATIONS[name], dtype == np.float32)

    @numba.njit(fastmath={"contract"}, error_model="numpy")
    def values(z):
        for i in range(len(z)):
            z[i] = value(z[i])

    @numba.njit(fastmath={"contract"}, error_model="numpy")
    def derivatives(z):
        for i in range(len(z)):
            z[i] = derivative(z[i])

    @numba.njit(fastmath={"contract"}, error_model="numpy")
    def deltas(delta, read):  # one that reads z or h alone
        for i in range(len(delta)):
            delta[i] = backward(delta[i], read[i])

    x = np.ones(3, dtype)
    values(x)
    derivatives(x)
    assert vectorized(values, dtype) and vectorized(derivatives, dtype)
    reads = len(ACTIVATIONS[name].reads)
    if reads == 2:

        @numba.njit(fastmath={"contract"}, error_model="numpy")
        def deltas(delta, z, h):
            for i in range(len(delta)):
                delta[i] = backward(delta[i], z[i], h[i])

    deltas(x, *[x.copy() for _ in range(reads)])
    assert vectorized(deltas, dtype)
