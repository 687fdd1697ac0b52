"""Whether the compiled gradient is the derivative of the compiled loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from nnjit._types import Array
from nnjit.estimators._arrays import engine_input, pack_parameters
from nnjit.estimators._autoencoding import AutoEncodingNetwork
from nnjit.estimators._base import NetworkEstimator
from nnjit.inspection._network import check_loss, encode_target, find_network, label_columns
from nnjit.layers.layer import Layer
from nnjit.layers.network import Network
from nnjit.training.engine import Engine


class GradientCheck(NamedTuple):
    """Outcome of `check_gradient`.

    Parameters
    ----------
    error : float
        Largest difference beside the largest gradient component.
    indices : ndarray of int
        The parameters checked, numbered as all weights and then all biases in one vector.
    gradient, differences : ndarray
        Derivative by each of them: backpropagated, and by central differences.
    worst : str, default=''
        Where the difference is largest, as in "coefs_[1][3, 0]".

    Examples
    --------
    >>> from nnjit.inspection import GradientCheck
    >>> check = GradientCheck(2e-9, [0, 3], [0.5, -1.0], [0.5, -1.0], "coefs_[0][0, 1]")
    >>> check.error < 1e-6
    True
    >>> check
    GradientCheck(error=2e-09, 2 parameters checked, worst: coefs_[0][0, 1])
    """

    error: float
    indices: NDArray[np.intp]
    gradient: NDArray[np.float64]
    differences: NDArray[np.float64]
    worst: str = ""

    def __repr__(self) -> str:
        worst = f", worst: {self.worst}" if self.worst else ""
        return (
            f"GradientCheck(error={self.error:.3g}, {len(self.indices)} parameters checked{worst})"
        )


def check_gradient(
    estimator: Any,
    X: Any,
    y: Any = None,
    sample_weight: ArrayLike | None = None,
    *,
    n_parameters: int | None = 200,
    step: float = 1e-5,
    random_state: Any = None,
) -> GradientCheck:
    r"""Compare a network's backpropagated gradient with central differences of its loss.

    .. math:: \frac{\partial L}{\partial\theta_i} \approx
        \frac{L(\theta + h e_i) - L(\theta - h e_i)}{2h}

    The loss is that of all rows, L2 term included, at the fitted parameters, in float64; dropout
    leaves out the same values each time, and the gradient goes all the way back through time where
    `truncate` of a recurrent layer cuts it in training: cut, it is no derivative. An error up to
    about 1e-6 is rounding. With 'relu', or an absolute or quantile loss, a parameter whose step
    crosses a kink differs more; a smaller `step` tells the two apart.

    Parameters
    ----------
    estimator : estimator
        A fitted network of `nnjit`, alone or in a Pipeline, TransformedTargetRegressor or search.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows, as `estimator` takes them.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their targets; None for an AutoEncoder, whose targets are the rows.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row in the loss.
    n_parameters : int, default=200
        How many parameters, drawn at random, are checked; None for all.
    step : float, default=1e-5
        The h above.
    random_state : int, RandomState instance or None, default=None
        Draws the parameters.

    Returns
    -------
    GradientCheck
        With the largest error and where it is, and both derivatives of each parameter.

    Raises
    ------
    TypeError
        If the network is not one of nnjit's.
    ValueError
        If its loss has no gradient there: parameters that are not finite, or an overflow.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnjit import MLPClassifier
    >>> from nnjit.inspection import check_gradient
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier((10,), activation="tanh", solver="lbfgs", max_iter=5)
    >>> check = check_gradient(network.set_params(tol=10.0).fit(X, y), X, y, random_state=0)
    >>> check.error < 1e-6
    True
    """
    network, X, y = find_network(estimator, X, y, any_kind=True)
    if not isinstance(network, NetworkEstimator):
        raise TypeError(
            "The gradient of nnjit's networks can be checked, not that of a "
            f"{type(network).__module__}.{type(network).__name__}."
        )
    check_loss(network)
    engine, dataset = double_engine(network, X, y, sample_weight, truncated=False)
    packed = pack_parameters(*network._give_parameters())

    def loss_at(parameters: NDArray[np.float64]) -> float:
        return float(engine.loss_gradient(parameters, dataset, network.alpha)[0])

    loss, gradient = engine.loss_gradient(packed, dataset, network.alpha)
    if not (np.isfinite(loss) and np.isfinite(gradient).all()):
        raise ValueError("The loss or its gradient overflows. Scale X and the targets.")
    indices = _checked(engine.network)
    if n_parameters is not None and n_parameters < len(indices):
        random = check_random_state(random_state)
        indices = np.sort(random.choice(indices, n_parameters, replace=False))
    differences = central_differences(loss_at, packed, indices, step)
    scale = max(float(np.abs(gradient).max()), np.finfo(np.float64).tiny)
    gaps = np.abs(gradient[indices] - differences)
    error = float(gaps.max(initial=0.0)) / scale
    worst = _place(network, int(indices[gaps.argmax()])) if len(gaps) else ""
    return GradientCheck(error, indices, gradient[indices], differences, worst)


def _checked(network: Network) -> NDArray[np.int64]:
    """Return the numbers of the parameters, but for edges of bins: of these nobody has a gradient.

    Running statistics have one: 0, since the loss does not depend on them.
    """
    owners = network.parameters()
    ordered = [owners[number][1] for number in network.packing()]
    wanted = [one.name != "edges" for one in ordered]
    return np.flatnonzero(np.repeat(wanted, [one.size for one in ordered]))


def _place(estimator: NetworkEstimator, index: int) -> str:
    """Return which entry of which attribute a parameter of the packed vector is."""
    network, arrays = estimator._give_parameters()
    for number in network.packing():
        array = arrays[number]
        if index < array.size:
            entry = ", ".join(str(i) for i in np.unravel_index(index, array.shape))
            return f"{_name(estimator, arrays, number)}[{entry}]"
        index -= array.size
    raise IndexError(index)


def _name(estimator: NetworkEstimator, arrays: list[Array], number: int) -> str:
    """Return what a parameter is called: as an attribute, unless that is computed from it."""
    for name, value in estimator._as_attributes(arrays).items():
        if value is arrays[number]:
            return name
        for i, one in enumerate(value if isinstance(value, list) else ()):
            if one is arrays[number]:
                return f"{name}[{i}]"
            for key, inner in one.items() if isinstance(one, dict) else ():
                if inner is arrays[number]:
                    return f"{name}[{i}][{key!r}]"
    layer, parameter = estimator._give_parameters()[0].parameters()[number]
    return f"layer {layer}: {parameter.name}"


def double_engine(
    estimator: NetworkEstimator,
    X: Any,
    y: Any,
    sample_weight: ArrayLike | None,
    *,
    truncated: bool = True,
) -> tuple[Engine, Any]:
    """Return an engine for the network in float64, and the rows as it takes them.

    Where it is not `truncated`, the gradient goes all the way back through time.
    """
    from nnjit.backends import select

    network, _ = estimator._give_parameters(X.shape[1])
    if not truncated:
        network = replace(network, layers=tuple(map(_whole, network.layers)))
    engine: Engine = select.make_engine(network, np.dtype(np.float64))
    target = engine_target(estimator, network, X, y)
    if sample_weight is not None:
        sample_weight = np.asarray(sample_weight, dtype=np.float64)
    rows = estimator._engine_rows(engine_input(X, engine.dtype))
    return engine, engine.dataset(rows, target, sample_weight)


def _whole(layer: Any) -> Layer:
    """Return a layer through which the gradient goes all the way back."""
    whole: Layer = replace(layer, truncate=None) if hasattr(layer, "truncate") else layer
    return whole


def engine_target(estimator: Any, network: Network, X: Any, y: Any) -> Array:
    """Return the targets of rows as the engine of the fitted network takes them."""
    if isinstance(estimator, AutoEncodingNetwork):
        return np.asarray(X, dtype=np.float64)
    if network.target_shape:  # one for each point of a series
        found: Array = estimator._target_of_points(y, X, "y")
        return found
    target = encode_target(estimator, y, network.outputs)
    if (columns := label_columns(estimator)) is not None:
        return np.stack([part.argmax(axis=1) for part in columns.split(target)], axis=1)
    return target.argmax(axis=1) if network.output == "softmax" else target


def central_differences(
    function: Any, at: NDArray[np.float64], indices: NDArray[np.intp], step: float
) -> NDArray[np.float64]:
    """Return ``(f(x + h e_i) - f(x - h e_i)) / 2h`` for each i of `indices`.

    Parameters
    ----------
    function : callable
        Maps a vector to a float.
    at : ndarray of shape (n,)
        The point x; left as it is.
    indices : ndarray of int
    step : float
        The step h.

    Returns
    -------
    ndarray, one value per index
    """
    moved = at.copy()
    slopes = np.empty(len(indices))
    for place, i in enumerate(indices):
        moved[i] = at[i] + step
        above = function(moved)
        moved[i] = at[i] - step
        slopes[place] = (above - function(moved)) / (2.0 * step)
        moved[i] = at[i]
    return slopes
