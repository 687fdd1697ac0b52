"""The parameters of a network as a call finds them: anything may have been assigned to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp

from nnjit._types import Array
from nnjit.estimators._names import hidden_layer_activations
from nnjit.formulas import ACTIVATIONS

# What a normalization has, in the order of its parameters; the first two are learned.
NORMALIZATION = ("scale", "shift", "mean", "variance")
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def checked_parameters(
    network: Any, n_features: int | None = None
) -> tuple[list[Array], list[Array]]:
    """Return the weights and biases of a fitted MLP, which may be scikit-learn's, as plain arrays.

    Numbers in any other form (integers, objects, lists, sparse matrices) become float64. They may
    be NaN or infinite: an infinite weight below a tanh is a finite prediction.

    Parameters
    ----------
    network : estimator
    n_features : int or None
        Columns of the rows that the network is for, if there are any.

    Returns
    -------
    coefs, intercepts : list of ndarray
        Of type float32 or float64 each; those of the network itself where they are that already.

    Raises
    ------
    ValueError
        If something that was assigned is no network, or not the one that the other attributes tell
        of.
    """
    weights, biases = _listed(network, "coefs_"), _listed(network, "intercepts_")
    # Shapes first: they tell without a look at every element.
    shapes = [_shape_of(w, f"coefs_[{i}]") for i, w in enumerate(weights)]
    _check_shapes(shapes, [_shape_of(b, f"intercepts_[{i}]") for i, b in enumerate(biases)])
    if n_features is not None and shapes[0][0] != n_features:
        raise ValueError(
            f"X has {n_features} features, but coefs_[0] has shape {shapes[0]}: the network has "
            f"{shapes[0][0]} inputs."
        )
    _check_numbers(network, shapes)
    hidden_layer_activations(getattr(network, "activation", None), len(shapes) - 1)
    check_output_activation(network)
    coefs = [as_floats(w, f"coefs_[{i}]") for i, w in enumerate(weights)]
    return coefs, [as_floats(b, f"intercepts_[{i}]") for i, b in enumerate(biases)]


def _check_numbers(network: Any, shapes: list[tuple[int, ...]]) -> None:
    """Refuse numbers of layers and outputs that are not those of the weight matrices."""
    n_layers = getattr(network, "n_layers_", None)
    if not _is_number(n_layers, len(shapes) + 1):
        raise ValueError(
            f"coefs_ has {len(shapes)} weight matrices, which make {len(shapes) + 1} layers, but "
            f"n_layers_ is {n_layers!r}. Assign n_layers_ as well."
        )
    n_outputs = getattr(network, "n_outputs_", None)
    # A regressor returns what there is.
    if hasattr(type(network), "predict_proba") and not _is_number(n_outputs, shapes[-1][1]):
        raise ValueError(
            f"The shapes of coefs_ and n_outputs_ do not fit together: coefs_[{len(shapes) - 1}] "
            f"has shape {shapes[-1]}, but n_outputs_ is {n_outputs!r}."
        )


def normalization_arrays(entries: Any) -> list[list[Any]]:
    """Return what is in `normalization_`, in the order of a network's parameters, unchecked."""
    return [[entry[name] for name in NORMALIZATION if name in entry] for entry in entries]


def checked_normalization(network: Any, units: Sequence[int]) -> list[list[Array]]:
    """Return the arrays of a fitted MLP's normalizations, one list for each hidden layer.

    Parameters
    ----------
    network : estimator
    units : sequence of int
        Units of each layer, the inputs first.

    Returns
    -------
    list of list of ndarray
        Scale and shift, and for 'batch' the running mean and variance, of type float32 or float64
        each. Empty where the network has no normalization.

    Raises
    ------
    ValueError
        If what was assigned is no normalization of these layers.
    """
    entries = getattr(network, "normalization_", [])
    if not isinstance(entries, (list, tuple)) or len(entries) not in (0, len(units) - 2):
        raise ValueError(
            "normalization_ must be a list of dicts, one for each of the "
            f"{len(units) - 2} hidden layers, got {entries!r:.200}."
        )
    known = [{*NORMALIZATION[:2]}, {*NORMALIZATION}]
    if any(not isinstance(entry, Mapping) or set(entry) not in known for entry in entries) or any(
        set(entry) != set(entries[0]) for entry in entries
    ):
        raise ValueError(
            "Each dict in normalization_ has 'scale' and 'shift', and for 'batch' also 'mean' and "
            f"'variance', got {entries!r:.200}."
        )
    return [
        [
            _checked_vector(entry[name], f"normalization_[{i}][{name!r}]", units[i + 1])
            for name in NORMALIZATION
            if name in entry
        ]
        for i, entry in enumerate(entries)
    ]


def _checked_vector(values: Any, name: str, units: int) -> Array:
    if _shape_of(values, name) != (units,):
        raise ValueError(
            f"{name} has shape {_shape_of(values, name)}, but the layer has {units} units."
        )
    vector = as_floats(values, name)
    if "'variance'" in name and (vector < 0).any():
        raise ValueError(f"{name} has negative numbers.")
    return vector


def units_of(coefs: Sequence[Array]) -> list[int]:
    """Return the number of units of each layer, the inputs first."""
    return [coefs[0].shape[0], *(weights.shape[1] for weights in coefs)]


def refuse_non_finite(attributes: Mapping[str, Any]) -> None:
    """Raise a ValueError that names the first array with NaN or infinity in it, if there is one.

    Parameters
    ----------
    attributes : dict
        Arrays, and lists or dicts of these, by name.
    """
    for name, value in attributes.items():
        if isinstance(value, list):
            refuse_non_finite({f"{name}[{i}]": one for i, one in enumerate(value)})
        elif isinstance(value, dict):
            refuse_non_finite({f"{name}[{key!r}]": one for key, one in value.items()})
        elif not np.isfinite(value).all():
            raise ValueError(f"{name} contains NaN or infinity.")


def _is_number(value: Any, expected: int) -> bool:
    return isinstance(value, Integral) and value == expected


def _listed(network: Any, attribute: str) -> list[Any]:
    arrays: Any = getattr(network, attribute, None)
    has_items = isinstance(arrays, np.ndarray) and arrays.ndim > 0
    if not has_items and not isinstance(arrays, (list, tuple)):
        raise ValueError(
            f"{attribute} must be a list of arrays, one for each layer after the input, got "
            f"{type(arrays).__name__}."
        )
    return list(arrays)


def _shape_of(values: Any, name: str) -> tuple[int, ...]:
    try:
        return np.shape(values)
    except ValueError:  # a ragged list
        raise ValueError(f"{name} must be an array of real numbers, got a ragged list.") from None


def as_floats(values: Any, name: str) -> Array:
    """Return an array of float32 or float64, which is `values` where it is one."""
    if type(values) in (np.ndarray, np.memmap) and values.dtype in _FLOATS:
        given: Array = values
        return given
    if sp.issparse(values):
        values = values.toarray()
    masked = isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values)
    try:
        array = np.asarray(values)
        numeric = array.dtype.kind in "biuf" or (
            array.dtype.kind == "O" and all(isinstance(value, Real) for value in array.flat)
        )
        if numeric and not masked:
            single = array.dtype == np.dtype(np.float32).newbyteorder()
            return array.astype(np.float32 if single else np.float64)
    except (TypeError, ValueError, OverflowError):  # ragged lists, integers too large
        pass
    kind = getattr(values, "dtype", type(values).__name__)
    masked_text = " with masked values" if masked else ""
    raise ValueError(f"{name} must be an array of real numbers, got {kind}{masked_text}.")


def _check_shapes(shapes: list[tuple[int, ...]], bias_shapes: list[tuple[int, ...]]) -> None:
    """Refuse weights and biases that do not make a chain of layers."""
    wrong = None
    if not shapes or len(shapes) != len(bias_shapes):
        wrong = f"there are {len(shapes)} weight matrices and {len(bias_shapes)} biases"
    for i, (shape, biases) in enumerate(zip(shapes, bias_shapes)):
        if wrong is not None:
            break
        if len(shape) != 2 or 0 in shape:
            wrong = f"coefs_[{i}] has shape {shape}, which is no layer"
        elif i and shape[0] != shapes[i - 1][1]:
            wrong = f"coefs_[{i}] has shape {shape}, but coefs_[{i - 1}] {shapes[i - 1]}"
        elif biases != shape[1:]:
            wrong = f"coefs_[{i}] has shape {shape}, but intercepts_[{i}] {biases}"
    if wrong is not None:
        raise ValueError(
            f"The shapes of coefs_ and intercepts_ do not fit together: {wrong}. All are "
            f"{shapes} and {bias_shapes}."
        )


def check_output_activation(network: Any) -> None:
    """Refuse an output activation that nobody knows; a fit chooses among fewer."""
    known = [*ACTIVATIONS, "softmax"]
    name = getattr(network, "out_activation_", None)
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"out_activation_ must be one of {known}, got {name!r}.")
