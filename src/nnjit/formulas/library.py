"""Scalar functions that formulas are made of, in one precision and for one target at a time.

Every function is branch-free arithmetic on one float32 or float64, so that LLVM turns a loop
that calls it into vector instructions: no call to the C library, no table. The bodies need
nothing but arithmetic and bit patterns, so they also run as plain Python on NumPy scalars.

Exponentials follow the classic scheme x = n ln 2 + r, exp(x) = 2^n exp(r) with |r| <= ln(2)/2
and a polynomial for exp(r); logarithms x = 2^k m, log(x) = k ln 2 + log(m) with
sqrt(1/2) <= m < sqrt(2) and log(m) = 2 atanh(f / (2 + f)), f = m - 1 (Muller, Elementary
Functions, 3rd ed., 2016). The tail of the normal distribution is exp(-a^2 / 2) P(q) / (a + k) with
one polynomial in q = (a - k) / (a + k) for all a >= 0 (M. Shepherd and J. Laframboise, Mathematics
of Computation 36, 1981). Cosine and sine are those of a number of turns, of which whole ones are
taken off without an error; either is then an odd polynomial of at most a quarter of a turn. The
coefficients are minimax and Chebyshev fits of our own, computed with 200 bits.

Whoever compiles these may allow contraction and nothing else of fast-math. 'reassoc' would merge
the two parts of ln 2 and fold away `(t + shifter) - shifter`; 'arcp' allows a division to become a
reciprocal estimate, which would cost the promised accuracy.
"""

import functools
import math
from types import SimpleNamespace

import numpy as np

__all__ = ["arrays", "bodies", "library"]


def _bits_single(x):
    return np.float32(x).view(np.int32)


def _float_single(bits):
    return np.int32(bits).view(np.float32)


def _bits_double(x):
    return np.float64(x).view(np.int64)


def _float_double(bits):
    return np.int64(bits).view(np.float64)


class _Format:
    """Constants of one binary floating-point format, each a scalar of that format."""

    def __init__(self, real, integer, to_bits, to_float):
        info = np.finfo(real)
        self.real, self.integer = real, integer
        self.to_bits, self.to_float = to_bits, to_float
        self.mantissa_bits = integer(info.nmant)
        bias = info.maxexp - 1
        # 2^bits * 1.5: adding it leaves an integer in the low bits of the sum.
        self.round = real(1.5 * 2.0**info.nmant)
        # The exponent's bias comes along, so that a shift makes 2^n of the sum's low bits.
        self.shifter = real(self.round + bias)
        # Powers of two in two factors, since 2^n alone may be subnormal or overflow.
        half = (bias + 1) // 2
        self.shifter_small, self.down = real(self.round + (bias + half)), real(2.0**-half)
        self.shifter_large, self.up = real(self.round + (bias - half)), real(2.0**half)
        # Beyond these the result is 0 or inf after rounding.
        self.exp_low = real(-104.0 if real is np.float32 else -746.0)
        self.exp_high = real(89.0 if real is np.float32 else 710.0)
        # From here on sigmoid(-x) and tanh(x) round to 1.
        self.sigmoid_one = real(-20.0 if real is np.float32 else -40.0)
        self.tanh_one = real(10.0 if real is np.float32 else 20.0)
        # ln 2 = high + low, with zeros at the end of high so that n * high is exact.
        self.log2_e = real(1.4426950408889634)
        self.ln2_high = real(0.693359375 if real is np.float32 else 0.6931471803691238)
        self.ln2_low = real(
            -2.1219444005469057e-4 if real is np.float32 else 1.9082149292705877e-10
        )
        self.min_normal = real(info.smallest_normal)
        self.lift, self.lift_exponent = real(2.0 ** (info.nmant + 2)), real(info.nmant + 2)
        self.sqrt_half_bits = real(np.sqrt(0.5)).view(integer)
        self.mantissa_mask = integer(2**info.nmant - 1)
        self.round_bits = self.round.view(integer)
        self.sign_bit = integer(np.iinfo(integer).min)
        # Where numbers up to it count beside 1, expm1(x) is x and exp(x) is 1.
        self.small = real(2.0 ** -(info.nmant + 2))
        # From here on expm1(x) rounds to -1, and exp(-x^2 / 2) to 0.
        self.expm1_low = self.sigmoid_one
        self.normal_high = real(14.43 if real is np.float32 else 38.63)
        # Half of the bits of a number, whose square is then exact.
        self.half_mask = integer(-(2 ** ((info.nmant + 2) // 2)))
        self.normal_k = real(4.0 if real is np.float32 else 6.0)
        # From here on numbers are whole; added to one below, it leaves the nearest whole number.
        self.whole = real(2.0**info.nmant)


# A literal in a kernel is a float64; float32 constants have to be made beforehand.
_E2, _E3, _E4, _E5, _E6 = map(
    np.float32,
    (0.5, 0.1666654795408249, 0.04166682809591293, 0.008366111665964127, 0.0013900421326979995),
)
_A0, _A1, _A2, _A3 = map(
    np.float32,
    (0.6666666865348816, 0.4000012278556824, 0.28550779819488525, 0.23331613838672638),
)


def _exp_tail_single(r):
    """(exp(r) - 1 - r) / r^2 for |r| <= ln(2)/2, to 1.4e-8 of exp(r) - 1."""
    return _E2 + r * (_E3 + r * (_E4 + r * (_E5 + r * _E6)))


def _exp_tail_double(r):
    """(exp(r) - 1 - r) / r^2 for |r| <= ln(2)/2, to 1.1e-16."""
    p = 2.7620088445409746e-07 + r * 2.510038549551032e-08
    p = 2.4801521295954376e-05 + r * (2.7557268459997064e-06 + r * p)
    p = 0.0013888888917213717 + r * (0.00019841269863053618 + r * p)
    p = 0.04166666666662413 + r * (0.008333333333330062 + r * p)
    return 0.5 + r * (0.16666666666666669 + r * p)


def _atanh_tail_single(z):
    """(2 atanh(s) / s - 2) / z with z = s^2 <= 0.0295, to 1.2e-9."""
    return _A0 + z * (_A1 + z * (_A2 + z * _A3))


def _atanh_tail_double(z):
    """(2 atanh(s) / s - 2) / z with z = s^2 <= 0.0295, to 2.1e-18."""
    p = 0.15386244737621665 + z * (0.13268638369266825 + z * 0.13088034850927555)
    p = 0.22222222392581045 + z * (0.18181795547521137 + z * p)
    p = 0.40000000000000885 + z * (0.28571428570799784 + z * p)
    return 0.6666666666666666 + z * p


_L0, _L1, _L2, _L3, _L4 = map(
    np.float32,
    (
        0.6666666732087151, 0.39999706206824964, 0.28592364795197617, 0.21706460997195692,
        0.23224921771214582,
    ),
)  # fmt: skip


def _log1p_tail_single(z):
    """(2 atanh(s) / s - 2) / z with z = s^2 <= 1/9, to 3.9e-10 of the whole."""
    return _L0 + z * (_L1 + z * (_L2 + z * (_L3 + z * _L4)))


def _log1p_tail_double(z):
    """(2 atanh(s) / s - 2) / z with z = s^2 <= 1/9, to 4.8e-18 of the whole."""
    p = 0.12001155182857778 + z * (0.08800317650868773 + z * 0.16164938169471338)
    p = 0.15385570592912243 + z * (0.13314135550881162 + z * p)
    p = 0.22222222717801782 + z * (0.18181789417326447 + z * p)
    p = 0.40000000000014596 + z * (0.2857142856710506 + z * p)
    return 0.6666666666666666 + z * p


_N0, _N1, _N2, _N3, _N4, _N5, _N6, _N7, _N8, _N9 = map(
    np.float32,
    (
        0.7552851438522339, -0.607896625995636, 0.38713666796684265, -0.18652300536632538,
        0.06040646880865097, -0.007527213077992201, -0.0035235739778727293, 0.001569313695654273,
        0.0001948018471011892, -0.00012298315414227545,
    ),
)  # fmt: skip
_F0, _F1, _F2, _F3, _F4 = map(
    np.float32,
    (
        1.1283791656017914, -0.37612609007469805, 0.11282831428465862, -0.026757732735015517,
        0.004719082567218814,
    ),
)  # fmt: skip


def _normal_tail_single(q):
    """(a + 4) exp(a^2 / 2) Phi(-a) with q = (a - 4) / (a + 4), a <= 14.5, to 1.3e-8."""
    p = _N6 + q * (_N7 + q * (_N8 + q * _N9))
    p = _N3 + q * (_N4 + q * (_N5 + q * p))
    return _N0 + q * (_N1 + q * (_N2 + q * p))


def _normal_tail_double(q):
    """(a + 6) exp(a^2 / 2) Phi(-a) with q = (a - 6) / (a + 6), a <= 39, to 8.7e-18."""
    p = -1.34456172912233e-10 + q * (5.237636606010233e-09 + q * 8.876840802023829e-10)
    p = 9.45572690337117e-09 + q * (-4.434552970785575e-08 + q * p)
    p = -4.3030600972602457e-07 + q * (3.1187244991295677e-07 + q * p)
    p = 6.796409416958435e-06 + q * (-1.800686073929392e-06 + q * p)
    p = -6.475191429322486e-05 + q * (1.0759772542319458e-06 + q * p)
    p = 3.2869980622442494e-05 + q * (0.00018136032488251668 + q * p)
    p = 0.010029820648351936 + q * (-0.002131605195723298 + q * p)
    p = 0.07517191566812548 + q * (-0.030985315509016793 + q * p)
    p = 0.2679742458416971 + q * (-0.15268023206441028 + q * p)
    p = 0.5689688918147829 + q * (-0.4139035857755929 + q * p)
    return 0.7773517718933622 + q * (-0.7010090295908655 + q * p)


def _erf_single(z):
    """erf(x) / x with z = x^2 <= 1/4, to 1.4e-9."""
    return _F0 + z * (_F1 + z * (_F2 + z * (_F3 + z * _F4)))


def _erf_double(z):
    """erf(x) / x with z = x^2 <= 1/4, to 4.0e-18."""
    p = 0.00012053335124353741 + z * (-1.4845849259707869e-05 + z * 1.4725865480556744e-06)
    p = 0.00522397737302147 + z * (-0.0008548297753674966 + z * p)
    p = 0.11283791670925353 + z * (-0.026866170632887928 + z * p)
    return 1.1283791670955126 + z * (-0.37612638903183476 + z * p)


_S0, _S1, _S2, _S3, _S4 = map(
    np.float32,
    (
        6.2831854820251465, -41.34168243408203, 81.60247802734375, -76.58116912841797,
        39.75982666015625,
    ),
)  # fmt: skip


def _sine_single(z):
    """sin(2 pi q) / q with z = q^2 <= 1/16, to 3.6e-8."""
    return _S0 + z * (_S1 + z * (_S2 + z * (_S3 + z * _S4)))


def _sine_double(z):
    """sin(2 pi q) / q with z = q^2 <= 1/16, to 3.9e-17."""
    p = 3.8199280942271643 + z * (-0.7177337921413454 + z * 0.10089695501646812)
    p = 42.058693925428685 + z * (-15.0946416761179 + z * p)
    p = 81.60524927607362 + z * (-76.70585975282492 + z * p)
    return 6.283185307179586 + z * (-41.341702240399755 + z * p)


def normal_tail(a):
    """(1 - Phi(a)) exp(a^2 / 2) for 0 <= a <= 39 in float64, by plain arithmetic alone.

    For those who have an exp and no function of the normal distribution.
    """
    inverse = 1.0 / (a + 6.0)
    return _normal_tail_double((a - 6.0) * inverse) * inverse


def _exponential(fmt, exp_tail):
    """Bodies of exp, expm1, sigmoid and tanh in one format."""
    real, bits = fmt.real, fmt.mantissa_bits
    to_bits, to_float = fmt.to_bits, fmt.to_float
    log2_e, ln2_high, ln2_low = fmt.log2_e, fmt.ln2_high, fmt.ln2_low
    zero, one, two = real(0), real(1), real(2)
    low, high, sign_bit = fmt.exp_low, fmt.exp_high, fmt.sign_bit
    saturated, tanh_one = fmt.sigmoid_one, fmt.tanh_one
    shifter, down, up = fmt.shifter, fmt.down, fmt.up
    shifter_small, shifter_large = fmt.shifter_small, fmt.shifter_large
    expm1_low, small, unit = fmt.expm1_low, fmt.small, real(1) / fmt.up

    def exp(x):
        y = low if x < low else x
        y = high if y > high else y
        shift = shifter_small if y < zero else shifter_large
        rest = down if y < zero else up
        t = y * log2_e + shift
        n = t - shift
        r = (y - n * ln2_high) - n * ln2_low
        scale = to_float(to_bits(t) << bits)
        return (one + (r + r * r * exp_tail(r))) * scale * rest

    def expm1(x):
        # 2^n exp(r) - 1 = 2^n (exp(r) - 1) + (2^n - 1), all times a power of two as in sigmoid.
        y = expm1_low if x < expm1_low else x
        y = high if y > high else y
        t = y * log2_e + shifter_large
        n = t - shifter_large
        r = (y - n * ln2_high) - n * ln2_low
        scale = to_float(to_bits(t) << bits)
        q = r + r * r * exp_tail(r)
        return x if abs(x) < small else (q * scale + (scale - unit)) * up

    def sigmoid(x):
        # 1 / (1 + e) with e = exp(-x), all times a power of two so that e does not overflow.
        y = -x
        y = saturated if y < saturated else y
        y = -low if y > -low else y
        t = y * log2_e + shifter_large
        n = t - shifter_large
        r = (y - n * ln2_high) - n * ln2_low
        scale = to_float(to_bits(t) << bits)
        return one / (((r + r * r * exp_tail(r)) * scale + down) + scale) * down

    def tanh(x):
        # tanh|x| = (1 - e) / (1 + e) with e = exp(-2|x|) = scale + scale q.
        y = abs(x)
        y = -two * (tanh_one if y > tanh_one else y)
        t = y * log2_e + shifter
        n = t - shifter
        r = (y - n * ln2_high) - n * ln2_low
        scale = to_float(to_bits(t) << bits)
        q = r + r * r * exp_tail(r)
        h = ((one - scale) - q * scale) / (q * scale + (scale + one))
        return to_float(to_bits(h) | (to_bits(x) & sign_bit))

    return exp, expm1, sigmoid, tanh


def _softplus(fmt, exp_tail, log1p_tail):
    """Body of softplus in one format."""
    real, bits = fmt.real, fmt.mantissa_bits
    to_bits, to_float = fmt.to_bits, fmt.to_float
    log2_e, ln2_high, ln2_low = fmt.log2_e, fmt.ln2_high, fmt.ln2_low
    low, shifter, down = fmt.exp_low, fmt.shifter_small, fmt.down
    zero, one, two = real(0), real(1), real(2)

    def softplus(x):
        # log(1 + e) = 2 atanh(s) with e = exp(-|x|) and s = e / (2 + e), so that 2 s = e - s e
        y = -abs(x)
        y = low if y < low else y
        t = y * log2_e + shifter
        n = t - shifter
        r = (y - n * ln2_high) - n * ln2_low
        scale = to_float(to_bits(t) << bits)
        e = (one + (r + r * r * exp_tail(r))) * scale * down
        s = e / (two + e)
        z = s * s
        return (zero if x < zero else x) + (e - s * (e - z * log1p_tail(z)))

    return softplus


def _logarithm(fmt, atanh_tail, helper):
    """Bodies of log and log1p in one format."""
    real, integer, bits = fmt.real, fmt.integer, fmt.mantissa_bits
    to_bits, to_float = fmt.to_bits, fmt.to_float
    ln2_high, ln2_low = fmt.ln2_high, fmt.ln2_low
    zero, half, one, two = real(0), real(0.5), real(1), real(2)
    min_normal, lift, lift_exponent = fmt.min_normal, fmt.lift, fmt.lift_exponent
    sqrt_half_bits, mask = fmt.sqrt_half_bits, fmt.mantissa_mask
    round_, round_bits = fmt.round, fmt.round_bits
    infinity, nan = real(np.inf), real(np.nan)

    @helper
    def positive(x):
        """log(x) for 0 < x < inf, 0 for what is not above 0."""
        y = x * lift if x < min_normal else x
        y = y if x > zero else one
        offset = integer(to_bits(y) - sqrt_half_bits)
        # The exponent becomes a float by way of the low bits of round_, as in exp.
        k = to_float(integer(offset >> bits) + round_bits) - round_
        k = k - (lift_exponent if x < min_normal else zero)
        f = to_float(integer(offset & mask) + sqrt_half_bits) - one
        s = f / (two + f)
        z = s * s
        square = half * f * f
        tail = s * (square + z * atanh_tail(z)) + k * ln2_low
        return k * ln2_high - ((square - tail) - f)

    def log(x):
        finite = infinity if x == infinity else positive(x)
        edge = -infinity if x == zero else nan
        return finite if x > zero else edge

    def log1p(x):
        u = one + x
        # What rounding took from u comes back to first order.
        lost = (x - (u - one)) / u
        finite = infinity if u == infinity else positive(u) + lost
        edge = -infinity if u == zero else nan
        return finite if u > zero else edge

    return log, log1p


def _normal(fmt, exp_tail, normal_tail, erf_near, helper):
    """Bodies of erf and of the normal distribution's functions in one format."""
    real, bits = fmt.real, fmt.mantissa_bits
    to_bits, to_float = fmt.to_bits, fmt.to_float
    log2_e, ln2_high, ln2_low = fmt.log2_e, fmt.ln2_high, fmt.ln2_low
    shifter, down, mask, sign_bit = fmt.shifter_small, fmt.down, fmt.half_mask, fmt.sign_bit
    high, k = fmt.normal_high, fmt.normal_k
    zero, half, one, two = real(0), real(0.5), real(1), real(2)
    root, factor = real(math.sqrt(2.0)), real(1.0 / math.sqrt(2.0 * math.pi))

    @helper
    def bell(a):
        """exp(-a^2 / 2) for a >= 0, the square in two parts of which the first is exact."""
        above = to_float(to_bits(a) & mask)
        y, rest = -half * (above * above), -half * ((a + above) * (a - above))
        t = (y + rest) * log2_e + shifter
        n = t - shifter
        r = ((y - n * ln2_high) - n * ln2_low) + rest
        scale = to_float(to_bits(t) << bits)
        return (one + (r + r * r * exp_tail(r))) * scale * down

    @helper
    def upper(a):
        """1 - Phi(a) for a >= 0."""
        inverse = one / (a + k)
        return bell(a) * (normal_tail((a - k) * inverse) * inverse)

    def normal_cdf(x):
        a = abs(x)
        tail = upper(high if a > high else a)
        return tail if x < zero else one - tail

    def normal_pdf(x):
        a = abs(x)
        return bell(high if a > high else a) * factor

    def erf(x):
        a = abs(x)
        far = root * a
        far = one - two * upper(high if far > high else far)
        near = a if a < half else half
        y = a * erf_near(near * near) if a < half else far
        return to_float(to_bits(y) | (to_bits(x) & sign_bit))

    return erf, normal_cdf, normal_pdf


def _circular(fmt, sine, helper):
    """Bodies of cos_2pi and sin_2pi in one format."""
    to_bits, to_float, sign_bit = fmt.to_bits, fmt.to_float, fmt.sign_bit
    quarter, half, whole = fmt.real(0.25), fmt.real(0.5), fmt.whole

    @helper
    def rest(a):
        """What a >= 0 is more, or less, than the nearest whole number."""
        n = (a + whole) - whole
        return a - (a if a >= whole else n)

    def cos_2pi(x):
        q = quarter - abs(rest(abs(x)))
        return q * sine(q * q)

    def sin_2pi(x):
        r = rest(abs(x))
        a = abs(r)
        q = half - a if a > quarter else a
        return to_float(to_bits(q * sine(q * q)) ^ ((to_bits(x) ^ to_bits(r)) & sign_bit))

    return cos_2pi, sin_2pi


def bodies(single, helper):
    """The functions of one precision, to be compiled by the caller.

    Parameters
    ----------
    single : bool
        float32 or float64.
    helper : callable
        Decorator that compiles a function called by one of these.

    Returns
    -------
    dict
        Python functions of one argument by their public names.
    """
    if single:
        fmt = _Format(np.float32, np.int32, helper(_bits_single), helper(_float_single))
        tails = helper(_exp_tail_single), helper(_atanh_tail_single)
        log1p_tail = helper(_log1p_tail_single)
        normal = helper(_normal_tail_single), helper(_erf_single)
        sine = helper(_sine_single)
    else:
        fmt = _Format(np.float64, np.int64, helper(_bits_double), helper(_float_double))
        tails = helper(_exp_tail_double), helper(_atanh_tail_double)
        log1p_tail = helper(_log1p_tail_double)
        normal = helper(_normal_tail_double), helper(_erf_double)
        sine = helper(_sine_double)
    functions = (
        *_exponential(fmt, tails[0]),
        *_logarithm(fmt, tails[1], helper),
        _softplus(fmt, tails[0], log1p_tail),
        *_normal(fmt, tails[0], *normal, helper),
        *_circular(fmt, sine, helper),
    )
    return {function.__name__: function for function in functions}


@functools.cache
def library(single, helper):
    """What a formula may use, in one precision: the namespace `m` of the entries.

    Parameters
    ----------
    single : bool
        float32 or float64.
    helper : callable
        Decorator that compiles a function called by a formula; the identity for plain Python. It
        may have an attribute `own`, a function (single, function) that does so with somebody's.

    Returns
    -------
    namespace
        `real`, which makes a number one of the type; the scalars `zero`, `half`, `one`, `two`,
        `eps` (spacing of numbers at 1), `tiny` (smallest normal number) and `huge` (the largest);
        the functions `exp`, `expm1`, `log`, `log1p`, `sigmoid`, `tanh`, `softplus`, `erf`,
        `normal_cdf` and `normal_pdf` (of the standard normal distribution), `cos_2pi` and `sin_2pi`
        (of 2 pi times the argument), `sqrt`, ``select(condition, a, b)`` and
        ``clip(value, low, high)``; ``own(function)`` and ``part(function)``, somebody's own
        function of numbers, and one of another formula, as formulas call them.
        Formulas take by local names what they need, since compilers close over functions and
        scalars, not over a namespace.
    """
    compiled = {name: helper(body) for name, body in bodies(single, helper).items()}
    own = getattr(helper, "own", None)
    compiled["own"] = functools.partial(own, single) if own else helper
    compiled["part"] = helper
    for function in _choices(_constants(np.float32 if single else np.float64).real):
        compiled[function.__name__] = helper(function)
    return _constants(np.float32 if single else np.float64, **compiled)


def _constants(real, **functions):
    info = np.finfo(real)
    return SimpleNamespace(
        real=real, zero=real(0), half=real(0.5), one=real(1), two=real(2),
        eps=real(info.eps), tiny=real(info.tiny), huge=real(info.max), **functions,
    )  # fmt: skip


def _choices(real):
    """Bodies of the functions that are no polynomials."""

    def sqrt(x):
        return real(math.sqrt(x))

    def select(condition, a, b):
        return a if condition else b

    def clip(value, low, high):
        """`value` in [low, high]; NaN stays NaN."""
        raised = low if value < low else value
        return high if raised > high else raised

    return sqrt, select, clip


@functools.cache
def arrays(dtype=np.float64):
    """The same namespace for NumPy arrays of one type, for displays and checks."""
    made = _constants(
        np.dtype(dtype).type, exp=np.exp, expm1=np.expm1, log=np.log, log1p=np.log1p,
        sigmoid=_array_sigmoid, tanh=np.tanh,
        softplus=lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
        erf=_elementwise(math.erf, dtype),
        normal_cdf=_elementwise(lambda x: math.erfc(-x * math.sqrt(0.5)) / 2, dtype),
        normal_pdf=lambda x: np.exp(-np.square(x) / 2) * np.dtype(dtype).type(0.3989422804014327),
        cos_2pi=lambda x: np.cos(2 * np.pi * (x - np.rint(x))),
        sin_2pi=lambda x: np.sin(2 * np.pi * (x - np.rint(x))),
        sqrt=np.sqrt, select=np.where,
        clip=lambda value, low, high: np.minimum(np.maximum(value, low), high),
        own=lambda function: _elementwise(function, dtype), part=lambda function: function,
    )  # fmt: skip
    # NumPy's types make a number of an array of one element, some versions of them
    made.real = lambda x: np.asarray(x, dtype)[()]
    return made


def _elementwise(function, dtype):
    """A function of numbers as one of arrays, NaN where it cannot be computed."""

    def of_number(*numbers):
        try:
            return function(*numbers)
        except (ArithmeticError, ValueError):
            return math.nan

    def of_arrays(*columns):
        columns = np.broadcast_arrays(*[np.asarray(column, np.float64) for column in columns])
        rows = zip(*[column.ravel().tolist() for column in columns])
        values = [of_number(*row) for row in rows]
        if values and isinstance(values[0], tuple):
            return tuple(in_shape(column, columns[0]) for column in zip(*values))
        return in_shape(values, columns[0])

    def in_shape(values, like):
        return np.array(values, np.float64).reshape(like.shape).astype(dtype)[()]

    return of_arrays


def _array_sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)
