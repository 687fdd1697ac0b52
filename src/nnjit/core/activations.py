"""Activations and their derivatives on flat arrays, chosen by an integer code.

An array is worked through in pieces that stay in the L1 cache: a piece is copied to the
output and transformed there in place. Loops over one array need no check for overlap, and an
output that is also the input costs nothing extra.
"""

from nnjit.core.compiler.jit import prange, twins, vectorized
from nnjit.core.scalar import exp, relu, relu_derivative, sigmoid, sigmoid_derivative, tanh

__all__ = [
    "CODES",
    "EXP",
    "IDENTITY",
    "LOGISTIC",
    "RELU",
    "TANH",
    "activate",
    "activation_backward",
    "activation_derivative",
    "output_derivative",
]

# 4 is the softmax, which is not element by element (output.py).
IDENTITY, LOGISTIC, TANH, RELU, EXP = 0, 1, 2, 3, 5
CODES = {"identity": IDENTITY, "logistic": LOGISTIC, "tanh": TANH, "relu": RELU, "exp": EXP}

PIECE = 4096


@vectorized
def copy(source, target):
    """target[i] = source[i]."""
    for i in range(len(target)):
        target[i] = source[i]


@vectorized
def _ones(target):
    """target[i] = 1."""
    for i in range(len(target)):
        target[i] = 1


@vectorized
def activate_piece(code, h):
    """h = phi(h)."""
    if code == LOGISTIC:
        for i in range(len(h)):
            h[i] = sigmoid(h[i])
    elif code == TANH:
        for i in range(len(h)):
            h[i] = tanh(h[i])
    elif code == RELU:
        for i in range(len(h)):
            h[i] = relu(h[i])
    elif code == EXP:
        for i in range(len(h)):
            h[i] = exp(h[i])


@vectorized
def _derivative_piece(code, z):
    """z = phi'(z). The logistic and tanh forms keep their accuracy where phi saturates."""
    one, two = z.dtype.type(1), z.dtype.type(2)
    if code == LOGISTIC:
        for i in range(len(z)):
            z[i] = sigmoid(z[i]) * sigmoid(-z[i])
    elif code == TANH:
        for i in range(len(z)):
            z[i] = two * two * (sigmoid(two * z[i]) * sigmoid(-two * z[i]))
    elif code == RELU:
        for i in range(len(z)):
            z[i] = relu_derivative(z[i])
    elif code == EXP:
        for i in range(len(z)):
            z[i] = exp(z[i])
    else:
        for i in range(len(z)):
            z[i] = one


@vectorized
def backward_piece(code, h, delta):
    """delta = delta * phi'(z), expressed by h = phi(z)."""
    zero, one = h.dtype.type(0), h.dtype.type(1)
    if code == LOGISTIC:
        for i in range(len(h)):
            delta[i] *= sigmoid_derivative(h[i])
    elif code == TANH:
        for i in range(len(h)):
            delta[i] *= (one - h[i]) * (one + h[i])
    elif code == RELU:
        for i in range(len(h)):
            delta[i] = delta[i] if h[i] > zero else zero
    elif code == EXP:
        for i in range(len(h)):
            delta[i] *= h[i]


@twins
def activate(code, x, copied, out):
    """out = phi(x). x IN (n,), out OUT (n,); `copied` says that out is x."""
    for piece in prange((len(x) + PIECE - 1) // PIECE):
        target = out[piece * PIECE : (piece + 1) * PIECE]
        if not copied:
            copy(x[piece * PIECE : (piece + 1) * PIECE], target)
        activate_piece(code, target)


@twins
def activation_derivative(code, x, copied, out):
    """out = phi'(x). x IN (n,), out OUT (n,); `copied` says that out is x."""
    for piece in prange((len(x) + PIECE - 1) // PIECE):
        target = out[piece * PIECE : (piece + 1) * PIECE]
        if not copied:
            copy(x[piece * PIECE : (piece + 1) * PIECE], target)
        _derivative_piece(code, target)


@twins
def output_derivative(code, h, copied, out):
    """out = phi'(z) where h = phi(z). h IN (n,), out OUT (n,); `copied`: out is h."""
    for piece in prange((len(h) + PIECE - 1) // PIECE):
        source = h[piece * PIECE : (piece + 1) * PIECE]
        target = out[piece * PIECE : (piece + 1) * PIECE]
        if copied:
            source = source.copy()
        _ones(target)
        backward_piece(code, source, target)


@twins
def activation_backward(code, h, delta, copied, out):
    """out = delta * phi'(z) where h = phi(z). h, delta IN (n,), out OUT (n,), not h.

    `copied` says that out is delta.
    """
    for piece in prange((len(h) + PIECE - 1) // PIECE):
        target = out[piece * PIECE : (piece + 1) * PIECE]
        if not copied:
            copy(delta[piece * PIECE : (piece + 1) * PIECE], target)
        backward_piece(code, h[piece * PIECE : (piece + 1) * PIECE], target)
