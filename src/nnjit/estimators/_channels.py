"""Networks whose rows are series or images: X comes in more forms than rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_feature_names, check_array

from nnjit._types import Array
from nnjit.estimators._advice import advise
from nnjit.estimators._base import SET_BACK, NetworkEstimator
from nnjit.estimators._cases import (
    Shape,
    arranged,
    channels_first,
    channels_last_rows,
    lengths_of,
    read_by_fit,
    read_cases,
    refuse_misplaced,
    shape_asked,
)
from nnjit.estimators._validation import all_finite
from nnjit.estimators.parameters import InputShape

__all__ = ["ChannelsInput"]

_SIDE = 16  # points of a side from which on it may be one of an image

_INPUT = """
input_shape_ : tuple of int
    (channels, time) or (channels, height, width) of a case.
"""
_FORMS = """
X may be rows, which hold the values of a case in C order of `input_shape` (arrays, frames with
names); arrays of shape (cases, channels, time) or (cases, channels, height, width), of one channel
also without its axis where `input_shape` says so; or a list, or an array of objects, of series of
unequal length, of shape (channels, time) or (time,) each. All mean the same, to the bit. With
`channels_last` the channels are the last axis of a case in all of them. In rows and arrays a series
that is shorter than the others ends in NaN, in all channels; anywhere else NaN is refused, and an
error names the case. `n_features_in_` is the number of values of a case.

For predictions, series in an array of three axes or in a list may be shorter than those of the fit,
and longer where no parameter depends on the length, as in front of global pooling or of a recurrent
layer's last states. Rows always have `n_features_in_` values. scikit-learn's tools that split X
take all forms; those that look into it, as most transformers do, take rows.
"""


class ChannelsInput(NetworkEstimator, InputShape):
    """Reads X as series or images; the rows that a network gets have the channels first.

    A subclass whose network may also be one for vectors says so by `_takes_arrays`, and where
    its layers tell that they are for images, by `_axes`.
    """

    _shared_docs = {
        **NetworkEstimator._shared_docs,
        "attributes": _INPUT.lstrip() + NetworkEstimator._shared_docs["attributes"].lstrip(),
        "forms": _FORMS,
    }

    input_shape_: Shape

    def _takes_arrays(self) -> bool:
        return True

    def _axes(self) -> int | None:
        """Return how many axes a case has beside its channels, None where one or two will do."""
        return None

    def _given_rows(self, X: Any, reset: bool = False, name: str = "X", longer: bool = True) -> Any:
        """Return X checked, as rows with the channels first.

        Parameters
        ----------
        X : object
        reset : bool
            Whether this is a fit from scratch, which sets `input_shape_` and `n_features_in_`.
        name : str
            What messages call X.
        longer : bool
            Whether series may be longer than those of the fit.
        """
        if not self._takes_arrays():
            return super()._given_rows(X, reset, name, longer)
        last = bool(self.channels_last)
        asked = shape_asked(self.input_shape, last, self._axes())
        shape = asked if reset else self.input_shape_
        cases = read_cases(X, name, last)
        _check_feature_names(self, X, reset=reset)
        rows = check_array(
            cases.rows,
            dtype=(np.float64, np.float32),
            ensure_all_finite=False,
            input_name=name,
            estimator=self,
        )
        if not reset:
            cases = read_by_fit(cases, rows.shape[1], self, name)
        rows, found = arranged(rows, cases, shape, last, name, self._axes(), longer and not reset)
        refuse_misplaced(rows, found, name)
        if reset:
            self.input_shape_, self.n_features_in_ = found, math.prod(found)
            self._advise_on_shape()
        return rows

    def _advise_on_shape(self) -> None:
        """Warn where two numbers that look like the sides of an image are taken for a series."""
        given = self.input_shape
        if given is None or len(given) != 2 or self._axes() is not None:
            return
        if len(self.input_shape_) == 3 or min(given) < _SIDE or max(given) > 2 * min(given):
            return
        side, other = given
        channels, points = self.input_shape_
        advise(
            f"input_shape=({side}, {other}) is read as series of {channels} channels and {points} "
            f"points. For images of one channel it is (1, {side}, {other}), or with "
            f"channels_last=True ({side}, {other}, 1)."
        )

    def _plain_rows(self, X: Any) -> Any:
        if not self._takes_arrays():
            return super()._plain_rows(X)
        shape, last = self.__dict__.get("input_shape_"), self.channels_last
        if type(X) is np.ndarray and X.ndim > 2 and shape is not None:
            if X.shape[1:] == (channels_last_rows(shape) if last else shape):
                X = X.reshape(len(X), self.n_features_in_)
        rows = super()._plain_rows(X)
        return rows if rows is None or not last else channels_first(rows, self.input_shape_)

    def _engine_rows(self, X: Any, name: str = "X") -> Any:
        series = len(self.__dict__.get("input_shape_", ())) == 2
        if series and self._takes_arrays() and not all_finite(X):
            self._refuse_too_short(X, name)
        return super()._engine_rows(X, name)

    def _refuse_too_short(self, X: Array, name: str) -> None:
        """Raise if some layer has nothing left of a series."""
        network, _ = self._give_parameters(X.shape[1])
        lengths = lengths_of(X, network.shape).max(axis=1)
        alive = np.ones(network.shape[1] + 1, bool)  # by the points of a series
        for table in network.lengths:
            if table is not None:
                alive &= table > 0
        left = alive[lengths] | (lengths == 0)  # of no point: that is not finite
        if not left.all():
            case = int(left.argmin())
            points = "1 point" if lengths[case] == 1 else f"{lengths[case]} points"
            raise ValueError(
                f"Case {case} of {name} has {points}, but nothing is left of series of less than "
                f"{int(alive.argmax())} behind the layers of the network."
            )

    def _check_architecture(self, network: Any) -> None:
        self._check_shape_asked()
        super()._check_architecture(network)

    def _check_shape_asked(self) -> None:
        """Refuse to go on training a network for cases of another shape than asked for."""
        if not self._takes_arrays():
            return
        asked = shape_asked(self.input_shape, bool(self.channels_last), self._axes())
        if asked not in (None, self.input_shape_):
            raise ValueError(
                f"The fitted network is for cases of shape {self.input_shape_}, but input_shape="
                f"{self.input_shape!r} asks for {asked}. {SET_BACK}"
            )

    def _forget(self) -> None:
        super()._forget()
        if not self._takes_arrays():  # but the network of the last fit did
            self.__dict__.pop("input_shape_", None)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if self._takes_arrays():
            # NaN stands for the missing end of a series, not for a missing value.
            tags.input_tags.allow_nan = False
            tags.input_tags.sparse = False
            tags.input_tags.three_d_array = True
        return tags
