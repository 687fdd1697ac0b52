"""Which run a checkpoint belongs to."""

from __future__ import annotations

import functools
import inspect
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from nnjit._types import Array
from nnjit.estimators._arrays import common_dtype
from nnjit.estimators._device import first_rows
from nnjit.estimators._training_call import TrainingCall
from nnjit.estimators._validation import weights_of_rows
from nnjit.training.reading import are_read

if TYPE_CHECKING:  # read only where a checkpoint is asked for
    from nnjit.training.checkpoint import Checkpoint
    from nnjit.training.snapshot import RunTerms

# May differ between the run that was cut off and the one that goes on.
_FREE = ("checkpoint", "checkpoint_interval", "max_iter", "max_fun", "verbose", "warm_start")


# Of a file that is read in blocks, evenly spread, with one more at its end.
_BLOCKS_LOOKED_AT = 15


def open_checkpoint(estimator: Any, call: TrainingCall) -> Checkpoint | None:
    """Return the checkpoint of a fit, or None if none is asked for.

    Parameters
    ----------
    estimator : estimator
        Initialized, and not trained yet by this fit.
    call : TrainingCall
        Its X may be `Rows` that are read.

    Returns
    -------
    Checkpoint or None

    Raises
    ------
    ValueError
        If the file is that of another run, or cannot be read, or none can be written.
    """
    if estimator.checkpoint is None:
        return None
    from nnjit.training.checkpoint import Checkpoint

    return Checkpoint(
        estimator.checkpoint,
        estimator.checkpoint_interval,
        _identity(estimator, call),
        _terms(estimator, call),
        estimator._random_state,
    )


def _identity(estimator: Any, call: TrainingCall) -> dict[str, str]:
    """Return what tells runs apart."""
    from nnjit.training.checkpoint import fingerprint

    identity = {
        name: text_of(value)
        for name, value in estimator.get_params(deep=False).items()
        if name not in _FREE
    }
    identity["estimator"] = type(estimator).__name__
    identity["the data"] = fingerprint(
        *_looked_at(call.X), call.target, call.sample_weight, *_classes_as_text(estimator)
    )
    watched = call.watched
    if watched is not None:
        identity["the validation data"] = fingerprint(
            *_looked_at(watched.X), watched.target, watched.sample_weight
        )
    solver = estimator._make_solver(incremental=False)
    if solver.schedule.spans or not isinstance(solver.warmup, Integral):
        identity["max_iter"] = text_of(estimator.max_iter)
    network, arrays = estimator._give_parameters()
    identity["the layers"] = f"{list(network.sizes)} {common_dtype(arrays)}"
    if not call.fresh:  # a warm start
        packing = network.packing()
        identity["the starting weights"] = fingerprint(*(arrays[number] for number in packing))
    return identity


def _looked_at(X: Any) -> list[Any]:
    """Return the rows that tell data apart: all, or of a file those of some of its blocks."""
    if not are_read(X):
        return [first_rows(X, None)]
    starts = X.block_starts().tolist()
    bounds, last = [*starts, X.shape[0]], len(starts) - 1
    numbers = sorted({k * last // _BLOCKS_LOOKED_AT for k in range(_BLOCKS_LOOKED_AT + 1)})
    return [np.array(X.shape), *(X.read(bounds[k], bounds[k + 1]) for k in numbers)]


def _terms(estimator: Any, call: TrainingCall) -> RunTerms:
    """Return what the values in a file have to fit."""
    from nnjit.training.snapshot import RunTerms

    network, arrays = estimator._give_parameters()
    solver, scored = estimator._make_solver(incremental=False), bool(estimator.early_stopping)
    watched = call.watched
    rates = estimator._rate_curve(solver)
    losses = watched is not None or (scored and estimator.scoring == "loss")
    return RunTerms(
        n_samples=len(call.target),
        sample_weight=weights_of_rows(call.sample_weight),
        network=network,
        dtype=common_dtype(arrays),
        solver=solver,
        shuffle=bool(estimator.shuffle),
        in_blocks=are_read(call.X),
        patience=estimator.n_iter_no_change,
        held_out=scored and watched is None,
        samples_seen=getattr(estimator, "t_", 0),
        n_losses=len(getattr(estimator, "loss_curve_", ())),
        n_scores=len(getattr(estimator, "validation_scores_", None) or ()),
        count=getattr(estimator, "_no_improvement_count", 0),
        defaults=_defaults(type(estimator)),
        scored=scored,
        watched=scored or watched is not None,
        restores=bool(estimator.restore_best) if scored else estimator.restore_best == "loss",
        n_rates=None if rates is None else len(rates),
        n_validation_losses=(
            len(getattr(estimator, "validation_loss_curve_", None) or ()) if losses else None
        ),
    )


def _defaults(kind: type) -> dict[str, str]:
    """Return what an identity says of the parameters that are at their defaults."""
    empty = inspect.Parameter.empty
    return {
        name: text_of(one.default)
        for name, one in inspect.signature(kind).parameters.items()
        if one.default is not empty and name not in _FREE
    }


def _classes_as_text(estimator: Any) -> list[Array]:
    """Return the classes as text, those of each column where there are several."""
    classes = getattr(estimator, "classes_", ())
    return [
        np.asarray(one).astype(str) for one in (classes if isinstance(classes, list) else [classes])
    ]


def refuse_checkpoint(estimator: Any) -> None:
    """Raise if a checkpoint is asked for of a solver that has none."""
    if estimator.checkpoint is not None:
        raise ValueError(
            "checkpoint needs a stochastic solver, such as 'adam' or 'sgd': the state of L-BFGS is "
            "inside SciPy."
        )


def text_of(value: Any) -> str:
    if isinstance(value, np.random.RandomState):
        return "a generator"  # its state is in the file
    if isinstance(value, Integral) and not isinstance(value, bool):
        return repr(int(value))
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, dict):
        return repr({text_of(key): text_of(item) for key, item in value.items()})
    if callable(value):
        return _name(value)
    if hasattr(value, "__iter__") and not isinstance(value, str):
        return repr([text_of(item) for item in value])
    return repr(value)


def _name(value: Any) -> str:
    """Return the qualified name of a function, or that of an object's class."""
    if isinstance(value, functools.partial):
        bound = sorted((name, text_of(one)) for name, one in value.keywords.items())
        return f"{_name(value.func)} of {[text_of(one) for one in value.args]} {bound}"
    if hasattr(value, "_score_func"):  # one of scikit-learn's scorers, whose text tells all
        return repr(value)
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"
