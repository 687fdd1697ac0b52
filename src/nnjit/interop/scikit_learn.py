"""scikit-learn's own MLPs made of ours and ours of theirs, with all that further training needs.

Parameters and fitted attributes have the same names on both sides and are copied. What differs is
the optimizer: one array for each weight matrix and bias there, one packed vector here.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from numbers import Integral
from typing import Any, TypeVar

import numpy as np
from sklearn import neural_network
from sklearn.base import ClassifierMixin

from nnjit._types import Array, StochasticSolverName, names
from nnjit.formulas.registry import find_solver
from nnjit.interop.holders import refuse_own_predictions
from nnjit.training.schedules import AdaptiveRate, InverseScalingRate, Schedule
from nnjit.training.solvers import StochasticSolver, make_solver

__all__ = ["from_sklearn", "to_sklearn"]

_Estimator = TypeVar("_Estimator")

# They say where a fit is computed and kept, not what comes out.
_WITHOUT_EFFECT = ("checkpoint", "checkpoint_interval", "device")

_FITTED = (
    "n_iter_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
    "t_",
    "loss_",
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "n_features_in_",
    "feature_names_in_",
    "classes_",
    "_label_binarizer",
    "_no_improvement_count",
)


def to_sklearn(estimator: Any) -> Any:
    """Return scikit-learn's estimator with the parameters and the fitted state of ours.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        One of nnjit's, fitted or not.

    Returns
    -------
    sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor
        It shares no array with `estimator`.

    Raises
    ------
    ValueError
        If a parameter has a value that scikit-learn does not know, a fitted layer or the output
        activation is none of those that it has, the network was fitted on y with several columns
        of classes, or a subclass has a ``predict`` or ``predict_proba`` of its own.

    Examples
    --------
    >>> from nnjit import MLPClassifier
    >>> from nnjit.interop import to_sklearn
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> ours = MLPClassifier(solver="lbfgs", tol=0.01, random_state=0).fit(X, y)
    >>> theirs = to_sklearn(ours)
    >>> type(theirs).__module__
    'sklearn.neural_network._multilayer_perceptron'
    >>> bool((theirs.predict(X) == ours.predict(X)).all())
    True
    """
    refuse_own_predictions(estimator)
    _refuse_other_layers(estimator)
    if isinstance(getattr(estimator, "classes_", None), list):
        raise ValueError(
            "scikit-learn's MLPClassifier takes no y with several columns of classes, so that this "
            "network cannot be converted."
        )
    theirs = _scikit_learns(type(estimator))()
    _copy_parameters(estimator, theirs, f"scikit-learn's {type(theirs).__name__}")
    if hasattr(estimator, "coefs_"):
        estimator._layer_units()  # refuses shapes that do not fit together
        _check_output(estimator)
        _copy_network(estimator, theirs)
        _fold_normalization(estimator, theirs)
        _prepare_training(theirs)
        solver = getattr(estimator, "_optimizer", None)
        if solver is not None and solver.name in ("adam", "sgd") and _matches(solver, theirs):
            theirs._optimizer = _their_optimizer(solver, theirs)
        if _has_own_stream(estimator):
            theirs._random_state = copy.deepcopy(estimator._random_state)
    return theirs


def from_sklearn(kind: type[_Estimator], model: Any) -> _Estimator:
    """Return an estimator of class `kind` with the parameters and fitted state of scikit-learn's.

    Parameters
    ----------
    kind : type
        Class of nnjit, or a subclass that can be called without arguments.
    model : sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor
        Fitted or not.

    Returns
    -------
    estimator : estimator
        It shares no array with `model`.

    Raises
    ------
    TypeError
        If `model` is anything else.
    ValueError
        If a parameter has a value that nnjit does not know, the shapes of the weights do not fit
        together, or a subclass has a ``predict`` or ``predict_proba`` of its own.

    Examples
    --------
    >>> from nnjit import MLPRegressor
    >>> from nnjit.interop import from_sklearn
    >>> from sklearn import neural_network
    >>> theirs = neural_network.MLPRegressor(alpha=0.1)
    >>> from_sklearn(MLPRegressor, theirs).alpha
    0.1
    """
    expected = _scikit_learns(kind)
    if not isinstance(model, expected):
        raise TypeError(
            f"{kind.__name__}.from_sklearn takes a sklearn.neural_network.{expected.__name__}, but "
            f"got {type(model).__name__}. Of a Pipeline or a search, give it the network inside "
            "(pipeline[-1], search.best_estimator_)."
        )
    refuse_own_predictions(model, "sklearn")
    ours: Any = kind()
    _copy_parameters(model, ours, f"nnjit's {kind.__name__}")
    if hasattr(model, "coefs_"):
        _copy_network(model, ours)
        ours._layer_units()  # refuses shapes that do not fit together
        _take_training(model, ours)
    taken: _Estimator = ours
    return taken


def _scikit_learns(cls: type) -> Any:
    """Return the class of scikit-learn that a class of ours stands in for."""
    if issubclass(cls, ClassifierMixin):
        return neural_network.MLPClassifier
    return neural_network.MLPRegressor


# Parameters


def _copy_parameters(source: Any, target: Any, whose: str) -> None:
    # Attributes, not get_params: a subclass may have a constructor of its own.
    for name in target._get_param_names():
        if hasattr(source, name) and name not in _WITHOUT_EFFECT:
            setattr(target, name, copy.deepcopy(getattr(source, name)))
    if getattr(target, "shuffle", True) == "blocks":
        target.shuffle = True  # where the rows lie is no matter of the network
    lost = [name for name in _unknown_parameters(source, target) if _is_set(source, name)]
    if lost:
        warnings.warn(
            f"{whose} has no parameter {', '.join(lost)}: left out. Predictions are the same, "
            "but a further fit does without.",
            stacklevel=4,
        )
    _copy_metadata_requests(source, target)
    try:
        target._validate_params()
    except ValueError as error:
        raise ValueError(f"{whose} cannot take the parameters over. {error}") from None


def _unknown_parameters(source: Any, target: Any) -> list[str]:
    taken = target._get_param_names()
    return [
        name
        for name in source._get_param_names()
        if name not in (*taken, *_WITHOUT_EFFECT)
        # scikit-learn's classifiers have their one loss as an attribute
        and repr(getattr(target, name, None)) != repr(getattr(source, name))
    ]


def _is_set(estimator: Any, name: str) -> bool:
    """Whether a parameter differs from its default."""
    default = inspect.signature(type(estimator).__init__).parameters[name].default
    return repr(getattr(estimator, name)) != repr(default)


def _copy_metadata_requests(source: Any, target: Any) -> None:
    if not hasattr(source, "_metadata_request"):
        return
    # A copy of the whole would refer to `source`.
    asked, requests = source.get_metadata_routing(), target.get_metadata_routing()
    for method in ("fit", "partial_fit", "score"):
        known = getattr(requests, method)
        for parameter, alias in getattr(asked, method).requests.items():
            if parameter in known.requests:  # X_val and its kin are ours alone
                known.add_request(param=parameter, alias=alias)
    target._metadata_request = requests


# Weights and attributes


def _copy_network(source: Any, target: Any) -> None:
    target.coefs_ = [np.array(weights, order="C") for weights in source.coefs_]
    target.intercepts_ = [np.array(biases) for biases in source.intercepts_]
    for name in _FITTED:
        if hasattr(source, name):
            setattr(target, name, copy.deepcopy(getattr(source, name)))


def _refuse_other_layers(estimator: Any) -> None:
    """Raise if a fitted network has layers that cannot be written as dense ones."""
    if not hasattr(estimator, "coefs_"):
        return
    layers = estimator._give_parameters()[0].layers
    kinds = {layer.kind: getattr(layer, "method", None) for layer in layers}
    if kinds.get("normalization") == "layer":
        raise ValueError(
            "scikit-learn's networks have no layer normalization: normalization='layer' cannot "
            "be taken over ('batch' can, as a part of the weights)."
        )
    if "residual" in kinds:
        raise ValueError(
            "scikit-learn's networks have no residual layers: residual=True cannot be taken over."
        )


def _fold_normalization(estimator: Any, theirs: Any) -> None:
    """Have the weights below a batch normalization do what it does with its running statistics."""
    network, arrays = estimator._give_parameters()
    numbered = [(number, one.name) for number, one in network.parameters()]
    given = dict(zip(numbered, arrays))
    normalized = [layer for layer in enumerate(network.layers) if layer[1].kind == "normalization"]
    for depth, (number, layer) in enumerate(normalized):
        scale, shift, mean, variance = (
            given[number, name].astype(np.float64)
            for name in ("scale", "shift", "mean", "variance")
        )
        weights, biases = theirs.coefs_[depth], theirs.intercepts_[depth]
        factor = scale / np.sqrt(variance + layer.epsilon)
        theirs.coefs_[depth] = (weights * factor).astype(weights.dtype)
        theirs.intercepts_[depth] = ((biases - mean) * factor + shift).astype(biases.dtype)


def _check_output(estimator: Any) -> None:
    """Refuse an output activation that scikit-learn does not have."""
    from sklearn.neural_network._base import ACTIVATIONS

    if estimator.out_activation_ not in ACTIVATIONS:
        raise ValueError(
            f"scikit-learn has no output activation {estimator.out_activation_!r}, only "
            f"{sorted(ACTIVATIONS)}."
        )


def _has_own_stream(estimator: Any) -> bool:
    """Whether `partial_fit` goes on with the generator of the last call.

    It does if `random_state` is the int that it began with. A RandomState is a parameter, and has
    been copied as such.
    """
    seed = estimator.random_state
    return isinstance(seed, Integral) and getattr(estimator, "_stream_seed", None) == seed


def _prepare_training(theirs: Any) -> None:
    """Set what scikit-learn sets up before its first epoch and reads in each."""
    theirs._best_coefs = [weights.copy() for weights in theirs.coefs_]
    theirs._best_intercepts = [biases.copy() for biases in theirs.intercepts_]
    if theirs.solver not in names(StochasticSolverName):
        return
    initial: dict[str, Any] = {"loss_curve_": [], "_no_improvement_count": 0}
    if theirs.early_stopping:
        initial |= {"validation_scores_": [], "best_validation_score_": -np.inf}
    else:
        initial["best_loss_"] = np.inf
    for name, value in initial.items():
        if getattr(theirs, name, None) is None:
            setattr(theirs, name, value)


def _take_training(model: Any, ours: Any) -> None:
    """Set what only ours has of training that was done by scikit-learn."""
    if hasattr(model, "loss_curve_"):
        ours.n_skipped_batches_ = 0
        ours._converged = getattr(model, "_no_improvement_count", 0) > model.n_iter_no_change
    if isinstance(model.random_state, Integral) and hasattr(model, "_random_state"):
        ours._stream_seed = model.random_state
        ours._random_state = copy.deepcopy(model._random_state)
    solver = _our_solver(getattr(model, "_optimizer", None), ours)
    if solver is not None and _matches(solver, ours):
        ours._optimizer = solver


# Optimizers


def _matches(solver: StochasticSolver, estimator: Any) -> bool:
    """Whether a solver's vectors are as long as all parameters together.

    They are not after the weights of another network have been assigned, or where ours has more
    than dense layers.
    """
    size = sum(a.size for a in (*estimator.coefs_, *estimator.intercepts_))
    vectors = {} if solver.arrays is None else solver.arrays["vectors"]
    return bool(vectors) and all(np.shape(vector) == (size,) for vector in vectors.values())


def _their_optimizer(solver: StochasticSolver, theirs: Any) -> Any:
    # Private to scikit-learn, and the same in all versions that are supported.
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

    parameters = theirs.coefs_ + theirs.intercepts_
    vectors: dict[str, Any] = (solver.arrays or {})["vectors"]
    if solver.name == "adam":
        adam = AdamOptimizer(parameters, solver.rate, **solver.hyperparameters)
        adam.learning_rate = solver.learning_rate
        adam.t = solver.steps
        adam.ms, adam.vs = [
            _cut(vectors[name], theirs) for name in ("first_moment", "second_moment")
        ]
        return adam
    sgd = SGDOptimizer(
        parameters,
        getattr(solver.schedule, "initial_rate", theirs.learning_rate_init),
        _schedule_name(solver.schedule),
        power_t=getattr(solver.schedule, "power", theirs.power_t),
        **solver.hyperparameters,
    )
    sgd.learning_rate = solver.rate
    sgd.velocities = _cut(vectors["velocity"], theirs)
    return sgd


def _our_solver(optimizer: Any, ours: Any) -> StochasticSolver | None:
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

    if isinstance(optimizer, AdamOptimizer):
        solver = make_solver(
            "adam",
            learning_rate_init=optimizer.learning_rate_init,
            beta_1=optimizer.beta_1,
            beta_2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
        )
        solver.steps = optimizer.t
        vectors = {"first_moment": optimizer.ms, "second_moment": optimizer.vs}
    elif isinstance(optimizer, SGDOptimizer):
        solver = make_solver(
            "sgd",
            learning_rate_init=optimizer.learning_rate_init,
            learning_rate=optimizer.lr_schedule,
            power_t=optimizer.power_t,
            momentum=optimizer.momentum,
            nesterov=bool(optimizer.nesterov),
        )
        solver.rate = float(optimizer.learning_rate)
        vectors = {"velocity": optimizer.velocities}
    else:
        return None
    dtype = ours._parameter_dtype()
    solver.arrays = _engine_state(solver, {name: _packed(v, dtype) for name, v in vectors.items()})
    return solver


def _engine_state(solver: StochasticSolver, vectors: dict[str, Array]) -> dict[str, Any]:
    """Return what `load_state` of an engine's optimizer takes."""
    bases = [solver.hyperparameters[name] for name in find_solver(solver.name).powers]
    return {
        "learning_rate": np.float64(solver.rate),
        "steps": solver.steps,
        "powers": np.array([_power(base, solver.steps) for base in bases]),
        "vectors": vectors,
    }


def _power(base: float, exponent: int) -> float:
    """Return a power to the bit as training has it: a product carried from step to step.

    It ends where the power no longer counts beside 1, which is all that it is used for.
    """
    product, negligible = 1.0, 2.0**-60
    for _ in range(exponent):
        product *= base
        if product < negligible:
            break
    return product


def _cut(packed: Array, network: Any) -> list[Array]:
    """Return a vector in pieces of the shapes of scikit-learn's parameters."""
    parameters = network.coefs_ + network.intercepts_
    ends = np.cumsum([a.size for a in parameters])
    dtype = np.result_type(*parameters)
    pieces = np.split(packed, ends[:-1])
    return [piece.reshape(a.shape).astype(dtype) for piece, a in zip(pieces, parameters)]


def _packed(arrays: list[Array], dtype: np.dtype[Any]) -> Array:
    return np.concatenate([np.ravel(a) for a in arrays]).astype(dtype)


def _schedule_name(schedule: Schedule) -> str:
    if isinstance(schedule, InverseScalingRate):
        return "invscaling"
    return "adaptive" if isinstance(schedule, AdaptiveRate) else "constant"
