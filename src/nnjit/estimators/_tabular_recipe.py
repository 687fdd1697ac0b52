"""The recipes by which tables are learned: what each preset says, and what layers that makes."""

from __future__ import annotations

import operator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from nnjit.layers.dense.spec import Dense
from nnjit.layers.dropout.spec import Dropout
from nnjit.layers.embedding.spec import Embedding
from nnjit.layers.layer import Layer
from nnjit.layers.parametric.spec import ParametricActivation
from nnjit.layers.periodic.spec import PeriodicEmbedding
from nnjit.layers.piecewise.spec import PiecewiseLinear
from nnjit.layers.scaling.spec import Scaling

__all__ = [
    "PRESETS",
    "Recipe",
    "asked_recipe",
    "epochs",
    "for_rows",
    "hidden_layers",
    "minibatch_rows",
    "presets_in_words",
]

# Factors on the learning rate: RealMLP's.
_SCALING_RATE, _MIX_RATE, _VECTORS_RATE = 6.0, 0.1, 0.1
# Learning rate where weights have none that goes with their layer, of which ntk's is no measure.
_STANDARD_RATE = 0.004
# What members have in turn where not all have the same embedding of numbers.
_IN_TURN = {"mixed": ("none", "periodic"), "varied": ("none", "periodic", "piecewise")}
# Epochs of tables that are so large that few will do.
_FEWEST_EPOCHS = 4
# Rows up to which 'auto' takes minibatches of so many.
_MINIBATCHES = ((30_000, 256), (100_000, 512))
_LARGEST_MINIBATCH = 1024


@dataclass(frozen=True)
class Recipe:
    """All that a fit depends on beside the table; each is a parameter of the estimators as well."""

    n_members: int
    hidden_layer_sizes: tuple[int, ...]
    activation: str
    parametric: bool
    numeric_embedding: str
    frequency_scale: float  # of the periodic one, see `nnjit.layers.PeriodicEmbedding`
    one_hot: int
    embedding_dimension: int
    smooth_clip: bool
    scaling_layer: bool
    parametrization: str
    dropout: float
    weight_decay: float
    learning_rate: Any
    learning_rate_init: float
    beta_2: float
    batch_size: Any
    max_iter: int
    # where max_iter is the preset's, how many rows are gone through, in all epochs together: enough
    # of a small table, but in `least_iter` epochs at least; and at most of a large one
    rows_enough: float
    least_iter: int
    rows_most: float
    validation_fraction: float
    clip_predictions: bool = False  # of a regression
    # rows of a table from which the preset's hidden layers have twice their units
    wide_rows: float = np.inf


_CLASSES = Recipe(
    n_members=5,
    hidden_layer_sizes=(128, 128, 128),
    activation="selu",
    parametric=False,
    numeric_embedding="mixed",
    frequency_scale=0.5,
    one_hot=8,
    embedding_dimension=8,
    smooth_clip=True,
    scaling_layer=True,
    parametrization="ntk",
    dropout=0.15,
    weight_decay=0.02,
    learning_rate="one_cycle",
    learning_rate_init=0.04,
    beta_2=0.95,
    batch_size="auto",
    max_iter=64,
    rows_enough=350e3,
    least_iter=48,
    rows_most=8e6,
    validation_fraction=0.1,
)
_VALUES = replace(
    _CLASSES,
    activation="mish",
    n_members=3,
    numeric_embedding="periodic",
    max_iter=512,
    rows_enough=400e3,
    clip_predictions=True,
)
_FAST: dict[str, Any] = {
    "n_members": 2,
    "hidden_layer_sizes": (128, 128),
    "learning_rate": "coslog",  # of few epochs the better one
    "least_iter": 16,
    "rows_most": 2e6,
}
_BEST: dict[str, Any] = {"n_members": 12, "wide_rows": 10e3, "rows_most": 64e6}

# Of each preset the recipe for classes and the one for values.
PRESETS = {
    "fast": (
        replace(_CLASSES, **_FAST, max_iter=32, rows_enough=100e3),
        replace(_VALUES, **_FAST, max_iter=128, rows_enough=150e3),
    ),
    "default": (_CLASSES, _VALUES),
    "best": (
        replace(_CLASSES, **_BEST, numeric_embedding="varied"),
        replace(_VALUES, **_BEST, numeric_embedding="mixed"),
    ),
}


def presets_in_words(values: bool) -> str:
    """Return what sets the presets apart, for a docstring."""
    lines = []
    for name, recipes in PRESETS.items():
        one = recipes[values]
        units = " ".join(map(str, one.hidden_layer_sizes))
        if one.wide_rows < np.inf:
            units += f" (twice as many from {one.wide_rows:,.0f} rows)"
        members = f"{one.n_members} member" + "s" * (one.n_members > 1)
        embedding = {
            "none": "no embedding of numbers",
            "mixed": "periodic embedding of numbers in every second",
            "varied": "no, periodic and piecewise embedding of numbers in turn",
        }.get(one.numeric_embedding, f"{one.numeric_embedding} embedding of numbers")
        lines.append(f"- {name!r}: {members}, {units} units, {one.max_iter} epochs, {embedding}")
    return ",\n".join(lines) + "."


def asked_recipe(estimator: Any, values: bool) -> Recipe:
    """Return the recipe that an estimator's parameters ask for.

    Parameters
    ----------
    estimator : estimator
    values : bool
        Whether values are predicted, not classes.

    Raises
    ------
    ValueError
        If a layer has no units.
    """
    recipe = PRESETS[estimator.preset][values]
    asked = {one.name: getattr(estimator, one.name, None) for one in fields(Recipe)}
    given = {name: value for name, value in asked.items() if value is not None}
    if "hidden_layer_sizes" in given:
        given["hidden_layer_sizes"] = _sizes(given["hidden_layer_sizes"])
        given["wide_rows"] = np.inf
    if "max_iter" in given:
        given |= {"rows_enough": np.inf, "rows_most": np.inf}
    if given.get("parametrization") == "standard":
        given.setdefault("learning_rate_init", _STANDARD_RATE)
    return replace(recipe, **given)


def _sizes(asked: Any) -> tuple[int, ...]:
    sizes = tuple(operator.index(size) for size in np.ravel(np.asarray(asked, dtype=object)))
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {list(sizes)}.")
    return sizes


def for_rows(recipe: Recipe, n_rows: int) -> Recipe:
    """Return the recipe with the hidden layers that so many rows get."""
    if n_rows < recipe.wide_rows:
        return recipe
    wide = tuple(2 * size for size in recipe.hidden_layer_sizes)
    return replace(recipe, hidden_layer_sizes=wide)


def hidden_layers(
    recipe: Recipe, n_numeric: int, levels: tuple[int, ...], member: int
) -> list[Layer]:
    """Return the layers of a member before the output layer.

    Parameters
    ----------
    recipe : Recipe
    n_numeric : int
        Columns of numbers, which come first in a row.
    levels : tuple of int
        Sizes of the columns of categories that are numbers of learned vectors, which come last.
    member : int
        Its number.
    """
    layers: list[Layer] = []
    embedding = recipe.numeric_embedding
    if embedding in _IN_TURN:
        embedding = _IN_TURN[embedding][member % len(_IN_TURN[embedding])]
    if n_numeric and embedding == "periodic":
        scale = recipe.frequency_scale
        layers.append(PeriodicEmbedding(n_numeric, scale=scale, rate=_VECTORS_RATE))
    elif n_numeric and embedding == "piecewise":
        layers.append(PiecewiseLinear(n_numeric))
    if levels:
        layers.append(Embedding(levels, recipe.embedding_dimension, rate=_VECTORS_RATE))
    if recipe.scaling_layer:
        layers.append(Scaling(_SCALING_RATE))
    for size in recipe.hidden_layer_sizes:
        layers += _hidden_layer(recipe, size)
    return layers


def _hidden_layer(recipe: Recipe, units: int) -> list[Layer]:
    dropout = [Dropout(recipe.dropout)] if recipe.dropout else []
    if not recipe.parametric:
        return [Dense(units, recipe.activation), *dropout]
    mix = ParametricActivation(recipe.activation, _MIX_RATE)
    return [Dense(units, "identity"), mix, *dropout]


def epochs(recipe: Recipe, n_rows: int) -> int:
    """Return the number of epochs, where so many rows are trained on."""
    wanted = min(recipe.max_iter, max(recipe.least_iter, recipe.rows_enough / n_rows))
    return int(min(wanted, max(_FEWEST_EPOCHS, recipe.rows_most / n_rows)))


def minibatch_rows(recipe: Recipe, n_rows: int) -> int:
    """Return the number of rows in a minibatch, where so many are trained on."""
    size = recipe.batch_size
    if size == "auto":
        size = next((b for most, b in _MINIBATCHES if n_rows <= most), _LARGEST_MINIBATCH)
    return min(operator.index(size), n_rows)
