"""The seven fits that every speed comparison uses, from 150 x 4 to 10000 x 784."""

from __future__ import annotations

import dataclasses

import numpy as np

__all__ = ["CASES", "GPU_CASES", "GPU_PREDICTION", "Case", "estimator", "make_data"]


@dataclasses.dataclass(frozen=True)
class Case:
    """One fit: Adam, ReLU, a fixed number of epochs.

    Attributes
    ----------
    rows, features : int
        Shape of X.
    classes : int
        Number of classes; 0 for regression on one target.
    hidden : tuple of int
    batch, epochs : int
    budgets : tuple of float
        How many times the fit of scikit-learn in float32, scikit-learn in float64 and the
        better of PyTorch and JAX in float32 should take, compared with nnjit's.
    """

    rows: int
    features: int
    classes: int
    hidden: tuple
    batch: int
    epochs: int
    budgets: tuple

    @property
    def name(self):
        return f"{self.rows}x{self.features}, {'-'.join(map(str, self.hidden))}, {self.batch}"

    @property
    def widths(self):
        """Units of every layer, input and output included."""
        return (self.features, *self.hidden, self.classes or 1)

    @property
    def flops(self):
        """Floating-point operations in the products of one fit.

        A multiply and an add per row and weight, forward and for the weights' gradient, and
        once more for the inputs' gradient of every layer but the first.
        """
        weights = [a * b for a, b in zip(self.widths, self.widths[1:])]
        return 2 * self.rows * self.epochs * (3 * sum(weights) - weights[0])


CASES = {
    case.name: case
    for case in (
        Case(150, 4, 3, (10,), 32, 200, (50, 50, 15)),
        Case(210, 7, 3, (16, 16), 32, 200, (40, 40, 10)),
        Case(1797, 64, 10, (100,), 200, 50, (9, 6, 4)),
        Case(20640, 8, 0, (100,), 200, 10, (9, 7, 3.5)),
        Case(20640, 8, 0, (64, 64), 64, 10, (12, 8, 3)),
        Case(10000, 784, 10, (100,), 200, 5, (4, 4, 2.3)),
        Case(10000, 784, 10, (512, 512), 128, 3, (3.2, 2.8, 1.4)),
    )
}

# Beside the seven, on a GPU.
GPU_CASES = {
    case.name: case
    for case in (
        Case(60000, 784, 10, (512, 512), 128, 3, ()),
        Case(60000, 784, 10, (2048, 2048), 4096, 3, ()),
    )
}
# Predicted from rows that lie on the device; the fit before it is not timed.
GPU_PREDICTION = Case(1_000_000, 64, 10, (100, 100), 1000, 1, ())


def make_data(case, dtype, seed=0):
    """Standard normal features and a target that a network can learn.

    Parameters
    ----------
    case : Case
    dtype : {"float32", "float64"}
    seed : int

    Returns
    -------
    X : ndarray of shape (rows, features)
    y : ndarray of shape (rows,)
        Class numbers (int64), or a smooth function of the first features in X's precision.
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((case.rows, case.features)).astype(dtype)
    directions = rng.standard_normal((case.features, case.classes or 1))
    projected = X @ directions / np.sqrt(case.features)
    if case.classes:
        return X, np.argmax(projected, axis=1)
    return X, (np.sin(2 * projected[:, 0]) + 0.1 * rng.standard_normal(case.rows)).astype(dtype)


def estimator(library, case, **options):
    """The case's estimator of a library with scikit-learn's classes; it runs every epoch.

    Parameters
    ----------
    library : module
        `nnjit` or `sklearn.neural_network`.
    case : Case
    **options
        Further constructor parameters.

    Returns
    -------
    MLPClassifier or MLPRegressor
        Unfitted.
    """
    parameters = {
        "hidden_layer_sizes": case.hidden,
        "batch_size": case.batch,
        "max_iter": case.epochs,
        "tol": 0.0,
        "n_iter_no_change": case.epochs + 1,
        "random_state": 0,
        **options,
    }
    kind = library.MLPClassifier if case.classes else library.MLPRegressor
    return kind(**parameters)
