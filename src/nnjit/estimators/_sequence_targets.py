"""Networks with a target at every point of a series: labels or values in, as many out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.validation import check_consistent_length

from nnjit._types import Array, FloatArray
from nnjit.estimators._arrays import to_dtype
from nnjit.estimators._class_weight import class_factors
from nnjit.estimators._device import as_given, host_target
from nnjit.estimators._labels import encode_known
from nnjit.estimators._layered import LayeredNetwork
from nnjit.estimators._point_targets import (
    Lengths,
    are_whole,
    by_case,
    case_and_point,
    gathered,
    points_of,
    read_labels,
    read_values,
    spread,
    there,
)
from nnjit.estimators._validation import refuse_no_target, validate_sample_weight
from nnjit.estimators._watching import Given
from nnjit.estimators.classifier import BaseClassifier
from nnjit.estimators.regressor import BaseRegressor
from nnjit.layers.convolution.spec import Conv
from nnjit.layers.layer import Layer, Shape
from nnjit.layers.stack import check_points

__all__ = ["SequenceLabels", "SequenceTargets", "SequenceValues"]


class SequenceTargets(LayeredNetwork):
    """A network whose targets may be one for each point of a series.

    In front of `BaseClassifier` or `BaseRegressor`, as `SequenceLabels` and `SequenceValues`. What
    those make of outputs, a row for each sample, they make of the outputs at all points here; this
    gathers them from the engine's array (cases, points, outputs), and gives them back by case.
    """

    targets: Any

    def _fits_points(self) -> bool:
        """Whether a fit is to have a target at every point."""
        return bool(self.targets == "sequence")

    def _predicts_points(self) -> bool:
        """Whether the fitted network has a target at every point."""
        layers = self.__dict__.get("layers_")
        last = layers[-1] if isinstance(layers, tuple) and layers else None
        return getattr(last, "kind", None) == "convolution"

    def _reads_blocks(self, fitting: bool) -> bool:
        return not (self._fits_points() if fitting else self._predicts_points())

    # The network

    def _takes_arrays(self) -> bool:
        fitting = "layers_" not in self.__dict__ and self._fits_points()
        return fitting or super()._takes_arrays()

    def _axes(self) -> int | None:
        return 1 if self._fits_points() else super()._axes()

    def _output_layer(self, layers: tuple[Layer, ...], shape: Shape, outputs: int) -> Layer:
        if not self._fits_points():
            return super()._output_layer(layers, shape, outputs)
        check_points(layers, shape)
        return Conv(outputs, 1, "identity")

    def _without_device_code(self) -> str:
        return super()._without_device_code() or "targets='sequence' has" * self._fits_points()

    # Fitting

    def _series(self, X: Any, y: Any, reset: bool) -> tuple[Array, Lengths]:
        """Return X as checked rows, and how many points each has.

        Raises
        ------
        ValueError
            If X is invalid or holds images, or there is no y.
        """
        refuse_no_target(self, y)
        rows = self._given_rows(X, reset, longer=False)
        if len(self.input_shape_) != 2:
            raise ValueError(
                "targets='sequence' needs series, whose points have a target each, but X has "
                f"cases of shape {self.input_shape_}, which are images."
            )
        return rows, self._lengths(rows)

    def _lengths(self, rows: Any) -> Lengths:
        """Return how many points each of some rows, which may be longer than the fit's, has."""
        channels = self.input_shape_[0]
        return points_of(rows, (channels, rows.shape[1] // channels))

    def _steps(self, rows: Any) -> int:
        return int(rows.shape[1] // self.input_shape_[0])

    def _point_weights(self, X: Any, sample_weight: Array | None) -> Array | None:
        """Return weights of the points, 0 behind ends; those of the rows where all are whole."""
        if not self._fits_points():
            return super()._point_weights(X, sample_weight)
        lengths, steps = self._lengths(X), self._steps(X)
        if are_whole(lengths, steps):
            return sample_weight
        counts = there(lengths, steps)
        return counts * (1.0 if sample_weight is None else sample_weight[:, np.newaxis])

    def _row_weights(self, X: Any, target: Array, sample_weight: Array | None) -> Array | None:
        if not self._fits_points():
            return super()._row_weights(X, target, sample_weight)
        return self._point_weights(X, sample_weight)

    # Predictions

    def _samples(self, outputs: Array, rows: Any) -> Array:
        if outputs.ndim < 3:
            return super()._samples(outputs, rows)
        return gathered(outputs, self._lengths(rows))

    def _returned(self, result: Any, rows: Any, X: Any) -> Any:
        if not self._predicts_points():
            return super()._returned(result, rows, X)
        found = by_case(result, self._lengths(rows), _is_list(X))
        if isinstance(found, list):
            return [as_given(one, rows, X) for one in found]
        return as_given(found, rows, X)

    def _returned_samples(self, samples: FloatArray, rows: Any, X: Any) -> Any:
        if samples.ndim < 4:
            return super()._returned_samples(samples, rows, X)
        lengths = self._lengths(rows)
        flat = np.stack([gathered(one, lengths) for one in samples])
        found = by_case(np.moveaxis(self._samples_as_predictions(flat), 0, 1), lengths, _is_list(X))
        if isinstance(found, list):
            return [as_given(np.moveaxis(one, 1, 0), rows, X) for one in found]
        return as_given(np.moveaxis(found, 2, 0), rows, X)

    def _place_of(self, sample: int, rows: Any) -> str:
        if not self._predicts_points():
            return super()._place_of(sample, rows)
        case, point = case_and_point(sample, self._lengths(rows))
        return f"point {point} of row {case}"

    # Scores

    def _score_by(self, metric: Callable[..., float], X: Any, y: Any, sample_weight: Any) -> float:
        if not self._predicts_points():
            return super()._score_by(metric, X, y, sample_weight)

        def of_points(y: Any, predicted: Any, sample_weight: Any) -> float:
            lengths = np.array([*map(len, predicted)], np.int64)
            flat = self._read_points(y, lengths, self._most_entries(X), "y")
            found = np.concatenate([*predicted])
            if sample_weight is not None:
                check_consistent_length(predicted, sample_weight)
                weights = validate_sample_weight(sample_weight, np.empty((len(predicted), 1)))
                sample_weight = np.repeat(weights, lengths)
            return metric(flat, found, sample_weight=sample_weight)

        return super()._score_by(of_points, X, y, sample_weight)

    def _most_entries(self, X: Any) -> int | None:
        """Return how many points a case of X has with what stands behind ends, if X is an array."""
        shape = getattr(X, "shape", ())
        return int(np.prod(shape[1:])) // self.input_shape_[0] if len(shape) > 1 else None

    def _for_named_scorer(self, rows: Any, given: Given) -> Given:
        if not self._fits_points():
            return super()._for_named_scorer(rows, given)
        for name in ("predict", "predict_proba", "predict_log_proba"):
            if hasattr(self, name):  # for all points, one after the other
                setattr(self, name, _joining(getattr(self, name)))
        lengths, weight = self._lengths(rows), given.weight_of_rows
        y = self._read_points(host_target(given.y), lengths, self._steps(rows), "y")
        return Given(given.X, y, None if weight is None else np.repeat(weight, lengths))

    def _target_of_points(self, y: Any, rows: Array, name: str) -> Array:
        """Return y, which belongs to checked rows, as the engine of the fitted network takes it."""
        lengths, steps = self._lengths(rows), self._steps(rows)
        found = self._known(self._read_points(y, lengths, steps, name), name)
        return spread(found, lengths, steps)

    def _read_points(self, y: Any, lengths: Lengths, most: int | None, name: str) -> Array:
        """Return what y has at all points, flat."""
        raise NotImplementedError

    def _known(self, flat: Array, name: str) -> Array:
        """Return what was read as the engine takes it, which has to be as y of the fit was."""
        raise NotImplementedError


class SequenceLabels(SequenceTargets, BaseClassifier):
    """A classifier that may have a label at every point."""

    def _read_points(self, y: Any, lengths: Lengths, most: int | None, name: str) -> Array:
        return read_labels(y, lengths, most, name)

    def _check_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        if not self._fits_points():
            return super()._check_input(X, y, incremental, reset)
        self._check_loss()
        X, lengths = self._series(X, y, reset)
        steps = self._steps(X)
        labels = self._read_points(y, lengths, steps, "y")
        return X, spread(self._encoded(labels, incremental), lengths, steps)

    def _known(self, flat: Array, name: str) -> Array:
        return encode_known(self._label_binarizer, flat, name)

    def _check_validation_target(self, y: Any, X: Any) -> Array:
        if not self._fits_points():
            return super()._check_validation_target(y, X)
        return self._target_of_points(y, X, "y_val")

    def _row_weights(self, X: Any, target: Array, sample_weight: Array | None) -> Array | None:
        class_weight = getattr(self, "class_weight", None)
        if not self._fits_points() or class_weight is None:
            return super()._row_weights(X, target, sample_weight)
        lengths, steps = self._lengths(X), self._steps(X)
        numbers = gathered(target, lengths).astype(np.intp, copy=False).ravel()
        factors = class_factors(class_weight, [(self._label_binarizer.classes_, numbers)])
        of_rows = None if sample_weight is None else sample_weight[:, np.newaxis]
        return self._weighed(spread(factors, lengths, steps, behind=0.0), of_rows)

    def _output_count(self, target: Array) -> int:
        if not self._fits_points():
            return super()._output_count(target)
        return len(self.classes_) if target.ndim == 2 else int(target.shape[2])

    def _stratification(self, target: Array) -> Array | None:
        return None if self._fits_points() else super()._stratification(target)

    def _make_score(self, target: Array, sample_weight: Array | None) -> Callable[[Array], float]:
        make = super()._make_score
        if not self._fits_points():
            return make(target, sample_weight)
        return _score_of_points(make, target, sample_weight)

    def _announce_classes(self, y: Any, classes: Any) -> None:
        # of one column, whatever the shape of y
        super()._announce_classes(classes if self._fits_points() else y, classes)


class SequenceValues(SequenceTargets, BaseRegressor):
    """A regressor that may have values at every point."""

    def _read_points(self, y: Any, lengths: Lengths, most: int | None, name: str) -> Array:
        return read_values(y, lengths, most, name, self)

    def _check_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        if not self._fits_points():
            return super()._check_input(X, y, incremental, reset)
        X, lengths = self._series(X, y, reset)
        steps = self._steps(X)
        values = self._read_points(y, lengths, steps, "y")
        values = to_dtype(values, X.dtype if reset else self._parameter_dtype(), "y")
        self._check_domain(values)
        self._take_quantiles(values.shape[1])
        return X, spread(values, lengths, steps)

    def _known(self, flat: Array, name: str) -> Array:
        self._check_domain(flat, name)
        return flat

    def _check_validation_target(self, y: Any, X: Any) -> Array:
        if not self._fits_points():
            return super()._check_validation_target(y, X)
        return self._target_of_points(y, X, "y_val")

    def _make_score(self, target: Array, sample_weight: Array | None) -> Callable[[Array], float]:
        make = super()._make_score
        if not self._fits_points():
            return make(target, sample_weight)
        return _score_of_points(make, target, sample_weight)


def _score_of_points(
    make: Callable[..., Callable[[Array], float]], target: Array, sample_weight: Array | None
) -> Callable[[Array], float]:
    """Return the function that scores an engine's outputs for held-out rows at all their points.

    Parameters
    ----------
    make : callable
        Maps flat (targets, weights) to the function that scores flat outputs.
    target : ndarray of shape (n_rows, n_steps, ...)
    sample_weight : ndarray of shape (n_rows,) or (n_rows, n_steps), or None
        0 behind the ends of series.
    """
    steps, targets = target.shape[1], target.reshape(-1, *target.shape[2:])
    if sample_weight is None:
        own = make(targets, None)
        return lambda outputs: own(outputs.reshape(-1, outputs.shape[-1]))
    weights = sample_weight if sample_weight.ndim == 2 else np.repeat(sample_weight, steps)
    counts = np.flatnonzero(weights)
    own = make(targets[counts], weights.ravel()[counts])
    return lambda outputs: own(outputs.reshape(-1, outputs.shape[-1])[counts])


def _joining(predict: Callable[[Any], Any]) -> Callable[[Any], Array]:
    """Return what joins the predictions of all cases."""

    @functools.wraps(predict)  # scikit-learn goes by its name
    def joined(X: Any) -> Array:
        return np.concatenate([*predict(X)])

    return joined


def _is_list(X: Any) -> bool:
    """Whether X is a list of series, or an array or pandas' Series of these."""
    return isinstance(X, list | tuple) or len(getattr(X, "shape", (0, 0))) == 1
