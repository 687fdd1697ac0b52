"""Activation functions.

Each returns value(z) = phi(z), derivative(z) = phi'(z), accurate where phi saturates, and
backward(delta, ...) = delta phi'(z), which reads the pre-activation z, the output h = phi(z), or
both, as its arguments say. z is kept from infinity where a product with 0 would be NaN.

The initial weights of those that scikit-learn has are scikit-learn's. Of the others those that
are about the identity above 0 and vanish or are small below it start by He's rule (K. He et al.,
"Delving deep into rectifiers", ICCV 2015), selu by LeCun's (as G. Klambauer et al., NIPS 2017, ask
for), and those that saturate on both sides as tanh does.
"""

import math

from nnjit.formulas.registry import FAN_IN, activation

__all__ = [
    "elu", "exp", "gelu", "hard_tanh", "identity", "leaky_relu", "logistic", "mish", "relu",
    "selu", "silu", "softplus", "softsign", "tanh",
]  # fmt: skip

HE, LECUN = 6.0, 3.0  # of the variance 2 / fan_in and 1 / fan_in
_VANISHED = -750.0  # from here down e^z is 0 in either precision


@activation()
def identity(m):
    """Return z itself, linear."""
    one = m.one

    def value(z):
        return z

    def derivative(z):
        return one

    def backward(delta):
        return delta

    return value, derivative, backward


@activation(gain=2.0, range=(0.0, 1.0))
def logistic(m):
    """1 / (1 + exp(-z)); its gain is the one of scikit-learn."""
    one, sigmoid = m.one, m.sigmoid

    def value(z):
        return sigmoid(z)

    def derivative(z):
        return sigmoid(z) * sigmoid(-z)

    def backward(delta, h):
        return delta * (h * (one - h))

    return value, derivative, backward


@activation(range=(-1.0, 1.0))
def tanh(m):
    """Hyperbolic tangent."""
    one, two, sigmoid, hyperbolic = m.one, m.two, m.sigmoid, m.tanh

    def value(z):
        return hyperbolic(z)

    def derivative(z):
        return two * two * (sigmoid(two * z) * sigmoid(-two * z))

    def backward(delta, h):
        return delta * ((one - h) * (one + h))

    return value, derivative, backward


@activation(range=(0.0, math.inf), epilogue="relu")
def relu(m):
    """max(z, 0); NaN stays NaN. The derivative at 0 is 0."""
    zero, one, select = m.zero, m.one, m.select

    def value(z):
        return select(z < zero, zero, z)

    def derivative(z):
        return select(z > zero, one, zero)

    def backward(delta, h):
        return select(h > zero, delta, zero)

    return value, derivative, backward


@activation(gain=HE / (1.0 + 0.01**2), fan=FAN_IN)
def leaky_relu(m):
    """z above 0, z / 100 below; A. Maas et al., ICML 2013."""
    zero, one, select, leak = m.zero, m.one, m.select, m.real(0.01)

    def value(z):
        return select(z > zero, z, leak * z)

    def derivative(z):
        return select(z > zero, one, leak)

    def backward(delta, h):
        return delta * select(h > zero, one, leak)

    return value, derivative, backward


@activation(gain=HE, fan=FAN_IN, range=(-1.0, math.inf))
def elu(m):
    """z above 0, e^z - 1 below; D.-A. Clevert et al., ICLR 2016."""
    zero, one, select, exp, expm1 = m.zero, m.one, m.select, m.exp, m.expm1

    def value(z):
        return select(z > zero, z, expm1(select(z > zero, zero, z)))

    def derivative(z):
        return exp(select(z > zero, zero, z))

    def backward(delta, h):
        return delta * select(h > zero, one, h + one)

    return value, derivative, backward


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


@activation(gain=LECUN, fan=FAN_IN, range=(-_SELU_SCALE * _SELU_ALPHA, math.inf))
def selu(m):
    """elu with the two factors that keep mean 0 and variance 1; G. Klambauer et al., NIPS 2017."""
    zero, select, exp, expm1 = m.zero, m.select, m.exp, m.expm1
    scale, below = m.real(_SELU_SCALE), m.real(_SELU_SCALE * _SELU_ALPHA)

    def value(z):
        return select(z > zero, scale * z, below * expm1(select(z > zero, zero, z)))

    def derivative(z):
        return select(z > zero, scale, below * exp(select(z > zero, zero, z)))

    def backward(delta, h):
        return delta * select(h > zero, scale, h + below)

    return value, derivative, backward


@activation(gain=HE, fan=FAN_IN, range=(-0.17, math.inf))
def gelu(m):
    """z Phi(z), Phi the normal distribution; D. Hendrycks and K. Gimpel, arXiv:1606.08415.

    Backward has Phi(z) as h / z, which costs less than to compute it again.
    """
    half, one, eps, select, clip = m.half, m.one, m.eps, m.select, m.clip
    normal_cdf, normal_pdf = m.normal_cdf, m.normal_pdf
    low, high = m.real(-40.0), m.real(40.0)

    def value(z):
        return select(z < low, low, z) * normal_cdf(z)

    def derivative(z):
        return normal_cdf(z) + clip(z, low, high) * normal_pdf(z)

    def backward(delta, z, h):
        near = clip(z, low, high)
        known = select(z < high, h, near) / select(abs(z) < eps, one, near)
        return delta * (select(abs(z) < eps, half, known) + near * normal_pdf(z))

    return value, derivative, backward


@activation(gain=HE, fan=FAN_IN, range=(-0.2785, math.inf))
def silu(m):
    """z sigmoid(z); S. Elfwing et al., Neural Networks 107, 2018.

    Backward has sigmoid(z) as h / z, which costs less than to compute it again.
    """
    half, one, eps, select, clip = m.half, m.one, m.eps, m.select, m.clip
    sigmoid, low, high = m.sigmoid, m.real(_VANISHED), m.real(40.0)

    def value(z):
        return select(z < low, low, z) * sigmoid(z)

    def derivative(z):
        near, share = clip(z, low, high), sigmoid(z)
        return share * (one + near * (one - share))

    def backward(delta, z, h):
        near = clip(z, low, high)
        known = select(z < high, h, near) / select(abs(z) < eps, one, near)
        share = select(abs(z) < eps, half, known)
        return delta * (share * (one + near * (one - share)))

    return value, derivative, backward


@activation(gain=HE, fan=FAN_IN, range=(-0.309, math.inf))
def mish(m):
    """z tanh(softplus(z)); D. Misra, BMVC 2020.

    With e = exp(z) and n = e (e + 2) the tanh is n / (n + 2), 1 from z = 20 on.
    """
    one, two, select, clip, exp = m.one, m.two, m.select, m.clip, m.exp
    four, low, high = m.real(4.0), m.real(_VANISHED), m.real(20.0)

    def value(z):
        e = exp(clip(z, low, high))
        n = e * (e + two)
        return select(z < low, low, z) * (n / (n + two))

    def derivative(z):
        near = clip(z, low, high)
        e = exp(near)
        n = e * (e + two)
        inverse = one / (n + two)
        return inverse * (n + four * near * (e * (one + e)) * inverse)

    def backward(delta, z):
        near = clip(z, low, high)
        e = exp(near)
        n = e * (e + two)
        inverse = one / (n + two)
        return delta * (inverse * (n + four * near * (e * (one + e)) * inverse))

    return value, derivative, backward


@activation(gain=HE, fan=FAN_IN, range=(0.0, math.inf))
def softplus(m):
    """log(1 + e^z); C. Dugas et al., NIPS 2000. Its derivative sigmoid(z) is 1 - e^-h."""
    smooth, sigmoid, expm1 = m.softplus, m.sigmoid, m.expm1

    def value(z):
        return smooth(z)

    def derivative(z):
        return sigmoid(z)

    def backward(delta, h):
        return -(delta * expm1(-h))

    return value, derivative, backward


@activation(range=(-1.0, 1.0))
def hard_tanh(m):
    """z between -1 and 1, else the nearer of the two; R. Collobert, 2004."""
    zero, one, select, clip = m.zero, m.one, m.select, m.clip
    low = -one

    def value(z):
        return clip(z, low, one)

    def derivative(z):
        return select(abs(z) < one, one, zero)

    def backward(delta, h):
        return select(abs(h) < one, delta, zero)

    return value, derivative, backward


@activation(range=(-1.0, 1.0))
def softsign(m):
    """z / (1 + |z|); J. Bergstra et al., 2009."""
    one, clip = m.one, m.clip
    high = m.huge
    low = -high

    def value(z):
        near = clip(z, low, high)
        return near / (one + abs(near))

    def derivative(z):
        share = one / (one + abs(z))
        return share * share

    def backward(delta, h):
        share = one - abs(h)
        return delta * (share * share)

    return value, derivative, backward


@activation(range=(0.0, math.inf), hidden=False)
def exp(m):
    """e^z, for outputs that are positive."""
    exponential = m.exp

    def value(z):
        return exponential(z)

    def derivative(z):
        return exponential(z)

    def backward(delta, h):
        return delta * h

    return value, derivative, backward
