"""The kernels as functions of arrays: activations, softmax, layers, pooling, losses.

Every function takes anything NumPy can make an array of (lists, any strides, any byte order,
read-only), computes float32 in float32 and float64 in float64, and everything else that is
real in float64. NaN and infinity pass through. Inputs are never changed, unless the same
array is given as `out`, which is allowed everywhere.

Rows are samples, columns are units, as in ``H = phi(A @ W + b)``. Series have the shape
(n, channels, time), images (n, channels, height, width).
"""

from nnjit.functional._activations import (
    relu,
    relu_derivative,
    sigmoid,
    sigmoid_derivative,
    tanh,
    tanh_derivative,
)
from nnjit.functional._convolution import convolve, convolve_backward
from nnjit.functional._dense import dense_backward, dense_forward
from nnjit.functional._hadamard import hadamard
from nnjit.functional._losses import (
    cross_entropy,
    cross_entropy_gradient,
    poisson,
    poisson_gradient,
    squared_error,
    squared_error_gradient,
)
from nnjit.functional._pooling import (
    max_pool,
    max_pool_backward,
    mean_pool,
    mean_pool_backward,
)
from nnjit.functional._softmax import log_softmax, softmax, softmax_jacobian, softmax_vjp

__all__ = [
    "convolve",
    "convolve_backward",
    "cross_entropy",
    "cross_entropy_gradient",
    "dense_backward",
    "dense_forward",
    "hadamard",
    "log_softmax",
    "max_pool",
    "max_pool_backward",
    "mean_pool",
    "mean_pool_backward",
    "poisson",
    "poisson_gradient",
    "relu",
    "relu_derivative",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
    "softmax_jacobian",
    "softmax_vjp",
    "squared_error",
    "squared_error_gradient",
    "tanh",
    "tanh_derivative",
]
