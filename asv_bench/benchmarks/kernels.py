"""The kernels as people call them, through `nnjit.functional`."""

import numpy as np

from nnjit import functional

_ACTIVATIONS = ["relu", "sigmoid", "tanh"]
_DTYPES = ["float32", "float64"]


class Elementwise:
    """Activations and the Hadamard product of a 1000 x 1000 matrix, into a given array."""

    params = ([*_ACTIVATIONS, "hadamard"], _DTYPES)
    param_names = ("function", "dtype")

    def setup(self, function, dtype):
        rng = np.random.default_rng(0)
        Z = rng.standard_normal((1000, 1000)).astype(dtype)
        self.arguments = (Z, Z) if function == "hadamard" else (Z,)
        self.function = getattr(functional, function)
        self.out = np.empty_like(Z)
        self.function(*self.arguments, out=self.out)

    def time_function(self, function, dtype):
        self.function(*self.arguments, out=self.out)


class Softmax:
    """Softmax, its batched Jacobian, and the Jacobian's product with a vector."""

    params = ([(200, 10), (1024, 10), (1024, 100)], _DTYPES)
    param_names = ("shape", "dtype")

    def setup(self, shape, dtype):
        rng = np.random.default_rng(0)
        self.Z, self.V = rng.standard_normal((2, *shape)).astype(dtype)
        self.S = functional.softmax(self.Z)
        functional.softmax_jacobian(self.Z)
        functional.softmax_vjp(self.S, self.V)

    def time_softmax(self, shape, dtype):
        functional.softmax(self.Z)

    def time_softmax_jacobian(self, shape, dtype):
        functional.softmax_jacobian(self.Z)

    def time_softmax_vjp(self, shape, dtype):
        functional.softmax_vjp(self.S, self.V)


class Dense:
    """A layer forward, of (rows, inputs, outputs)."""

    params = ([(32, 16, 16), (200, 64, 100), (128, 784, 512)], _DTYPES)
    param_names = ("shape", "dtype")

    def setup(self, shape, dtype):
        rows, inputs, outputs = shape
        rng = np.random.default_rng(0)
        self.A = rng.standard_normal((rows, inputs)).astype(dtype)
        self.W = rng.standard_normal((inputs, outputs)).astype(dtype)
        self.b = np.zeros(outputs, dtype)
        functional.dense_forward(self.A, self.W, self.b)

    def time_forward(self, shape, dtype):
        functional.dense_forward(self.A, self.W, self.b)
