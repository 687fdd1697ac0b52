"""Activations chosen by an integer code, for the engines that still choose so.

Everything else takes units of `nnjit.core.maps.activations`.
"""

from nnjit.core.compiler.jit import vectorized
from nnjit.core.scalar import exp, relu, sigmoid, sigmoid_derivative, tanh

__all__ = [
    "CODES",
    "EXP",
    "IDENTITY",
    "LOGISTIC",
    "RELU",
    "TANH",
    "activate_piece",
    "backward_piece",
]

# 4 is the softmax, which is not element by element (output.py).
IDENTITY, LOGISTIC, TANH, RELU, EXP = 0, 1, 2, 3, 5
CODES = {"identity": IDENTITY, "logistic": LOGISTIC, "tanh": TANH, "relu": RELU, "exp": EXP}


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
