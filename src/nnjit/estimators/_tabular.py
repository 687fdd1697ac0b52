"""What the classifier and the regressor of tables share: columns, members, and their mean."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import check_is_fitted

from nnjit._logging import told_fit
from nnjit._site import LinksToItsPage
from nnjit._types import Array, FloatArray
from nnjit._warnings import warn
from nnjit.estimators._device import to_host
from nnjit.estimators._persistence import checked, stamped
from nnjit.estimators._rollback import unchanged_on_error
from nnjit.estimators._table import TableEncoder
from nnjit.estimators._tabular_folds import folds
from nnjit.estimators._tabular_input import checked_table, checked_target, checked_weights
from nnjit.estimators._tabular_members import MemberFit, ended, member_parameters
from nnjit.estimators._tabular_parameters import TableRecipe
from nnjit.estimators._tabular_recipe import Recipe, asked_recipe, for_rows, hidden_layers
from nnjit.estimators._tabular_report import MemberReport, TableReport, columns_in_words
from nnjit.estimators._validation import validate_parameters
from nnjit.estimators._watching import Given, refuse_incomplete
from nnjit.training.members import fit_members
from nnjit.training.solvers import draw_seed

__all__ = ["TabularEstimator"]


class TabularEstimator(LinksToItsPage, TableRecipe, BaseEstimator, ABC):
    """Networks that learn a table, whose predictions are averaged.

    A subclass says what its members are, what they are told of y (`_take_target`), and what their
    outputs mean.
    """

    _member_class: Any
    _predicts_values: bool

    members_: list[Any]
    report_: TableReport
    n_iter_: int
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    _encoder: TableEncoder

    if TYPE_CHECKING:  # scikit-learn's, which has no types

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...
        def set_params(self, **params: Any) -> Self: ...

    def _validate_params(self) -> None:
        validate_parameters(self, super()._validate_params)

    # What depends on the target

    @abstractmethod
    def _take_target(self, y: Array, sample_weight: Array | None) -> Array:
        """Return checked y as members get it, and keep what leads back from their outputs."""

    @abstractmethod
    def _given_target(self, y: Any, X: Any) -> Array:
        """Return y_val, not checked yet, as members get it."""

    @abstractmethod
    def _member_options(self) -> dict[str, Any]:
        """Return the parameters of members that have to do with the target."""

    @abstractmethod
    def _stratification(self, target: Array) -> Array | None:
        """Return the classes by which rows are held out, or None."""

    def _take_outputs(self, fits: list[MemberFit], target: Array, validation: Given | None) -> None:
        """Learn from what members make of rows that they have not trained on."""

    # Fitting

    def _fit_table(self, X: Any, y: Any, sample_weight: Any, given: Given) -> Self:
        with told_fit(self), unchanged_on_error(self):
            times = [time.perf_counter()]
            recipe = asked_recipe(self, self._predicts_values)
            X = checked_table(self, X, reset=True)
            y = checked_target(self, y, X, values=self._predicts_values)
            weights = checked_weights(sample_weight, X)
            target = self._take_target(y, weights)
            encoded, rows = self._encode_first(X, weights, recipe)
            recipe = for_rows(recipe, len(rows))
            validation = self._checked_validation(given)
            if self.verbose:  # what training may take long after
                print(columns_in_words(self._encoder.report()), flush=True)
            data = Given(encoded, target, weights)
            times.append(time.perf_counter())
            left = None if self.max_time is None else max(0.0, self.max_time - times[1] + times[0])
            fits = fit_members(self._member_fits(data, rows, validation, recipe), max_time=left)
            self._take_members(ended(fits), target, validation)
            times.append(time.perf_counter())
            self._report(ended(fits), recipe, times)
        return self

    def _encode_first(
        self, X: Any, sample_weight: Array | None, recipe: Recipe
    ) -> tuple[FloatArray, NDArray[np.intp]]:
        """Return the rows of a fit as members get them, and which of them have a weight."""
        self._encoder = TableEncoder(
            categorical_features=self.categorical_features,
            one_hot=recipe.one_hot if recipe.embedding_dimension else np.iinfo(np.intp).max,
            clip=recipe.smooth_clip,
        )
        n_rows = len(X) if sample_weight is None else len(sample_weight)
        rows = np.arange(n_rows) if sample_weight is None else np.flatnonzero(sample_weight)
        self._encoder.fit(X if len(rows) == n_rows else _safe_indexing(X, rows))
        encoded = self._encoder.transform(X)
        if not any(column.used for column in self._encoder.report()):
            warn(
                "No column of X tells rows apart (see report_): all rows will be predicted alike.",
                module="nnjit",
            )
        return encoded, rows

    def _checked_validation(self, given: Given) -> Given | None:
        """Return X_val, y_val and sample_weight_val as members get them, None if not given."""
        if all(one is None for one in given):
            return None
        refuse_incomplete(given)
        X = checked_table(self, given.X, reset=False, name="X_val")
        encoded = self._encoder.transform(X)
        return Given(encoded, self._given_target(given.y, encoded), given.sample_weight)

    def _member_fits(
        self, data: Given, rows: NDArray[np.intp], validation: Given | None, recipe: Recipe
    ) -> list[MemberFit]:
        """Return the trainings of all members, none of which has begun."""
        rng = check_random_state(self.random_state)
        seeds = [draw_seed(rng) for _ in range(recipe.n_members)]
        fraction = recipe.validation_fraction if validation is None else 0.0
        dealt = folds(rows, recipe.n_members, fraction, rng, self._stratification(data.y))
        fits, encoder = [], self._encoder
        for number, (seed, part) in enumerate(zip(seeds, dealt)):
            layers = hidden_layers(recipe, encoder.n_numeric, encoder.levels, number)
            parameters = member_parameters(recipe, layers, len(part[0])) | self._member_options()
            member = self._member_class(**parameters, random_state=seed)
            fits.append(MemberFit(member, part, data, validation))
        return fits

    def _take_members(self, fits: list[MemberFit], target: Array, validation: Given | None) -> None:
        self.members_ = [fit.member for fit in fits]
        self.n_iter_ = max(member.n_iter_ for member in self.members_)
        self._take_outputs(fits, target, validation)

    def _report(self, fits: list[MemberFit], recipe: Recipe, times: list[float]) -> None:
        columns, members = np.diff(times).tolist()
        seconds = {"columns": columns, "members": members, "total": columns + members}
        reports = [MemberReport.of(fit) for fit in fits]
        self.report_ = TableReport(self._encoder.report(), reports, asdict(recipe), seconds)
        if self.verbose:
            print(self.report_.of_members())

    # Prediction

    def _rows(self, X: Any) -> FloatArray:
        """Return rows to predict, checked, as members get them."""
        check_is_fitted(self)
        return self._encoder.transform(checked_table(self, X, reset=False))

    def _mean_outputs(self, rows: FloatArray) -> FloatArray:
        """Return the mean of the members' outputs, in float64."""
        total = np.zeros(1)
        for member in self.members_:  # one after the other: the sum is the same each time
            total = total + to_host(member._forward(rows)[2])
        return total / len(self.members_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.target_tags.multi_output = True
        return tags

    # Pickling

    def __getstate__(self) -> dict[str, Any]:
        return stamped(super().__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(checked(self, state))
