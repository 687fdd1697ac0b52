"""Dates and durations are refused where numbers belong, and are fine as labels."""

import datetime
import sys

import numpy as np
import pytest
from problems import outcome, quietly
from test_bad_input import fingerprint

import nnjit
from nnjit.estimators._dates import date_type_in
from nnjit.inspection import ActivationDisplay

N = 24
X = np.random.RandomState(0).standard_normal((N, 2))
Y = np.arange(N) % 2
DAYS = np.datetime64("2020-01-01") + np.arange(N)
SPANS = DAYS - DAYS[0]
MOMENTS = [datetime.datetime(2020, 1, 1) + datetime.timedelta(days=i) for i in range(N)]
PLACES = {"X": (2,), "y": ()}


def objects(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


# One column each.
COLUMNS = {
    "datetime64": lambda: DAYS,
    "datetime64 in nanoseconds": lambda: DAYS.astype("datetime64[ns]"),
    "big-endian datetime64": lambda: DAYS.astype(">M8[s]"),
    "timedelta64": lambda: SPANS,
    "objects of datetime64": lambda: objects(list(DAYS)),
    "objects of timedelta64": lambda: objects(list(SPANS)),
    "datetimes": lambda: objects(MOMENTS),
    "dates": lambda: objects([moment.date() for moment in MOMENTS]),
    "times": lambda: objects([moment.time() for moment in MOMENTS]),
    "timedeltas": lambda: objects([moment - MOMENTS[0] for moment in MOMENTS]),
}
PANDAS = {
    "datetime64": lambda pandas: pandas.to_datetime(MOMENTS),
    "with time zone": lambda pandas: pandas.to_datetime(MOMENTS).tz_localize("UTC"),
    "timedelta64": lambda pandas: pandas.to_timedelta(np.arange(N), unit="D"),
    "period": lambda pandas: pandas.period_range("2020-01-01", periods=N, freq="D"),
    "date": lambda pandas: objects([moment.date() for moment in MOMENTS]),
    "Timestamp": lambda pandas: objects([pandas.Timestamp(moment) for moment in MOMENTS]),
    "categories": lambda pandas: pandas.Categorical(pandas.to_datetime(MOMENTS)),
    "NaT": lambda pandas: objects([pandas.NaT] * N),
}
POLARS = {
    "datetime": lambda: MOMENTS,
    "date": lambda: [moment.date() for moment in MOMENTS],
    "duration": lambda: [moment - MOMENTS[0] for moment in MOMENTS],
    "time": lambda: [moment.time() for moment in MOMENTS],
}


def fitted(kind, **parameters):
    model = getattr(nnjit, kind)(hidden_layer_sizes=(2,), max_iter=2, random_state=0, **parameters)
    return quietly(model.fit, X, Y)


def check_refused(model, method, name, *args, **kwargs):
    before = fingerprint(model)
    error, message = outcome(getattr(model, method), *args, **kwargs)
    assert error is TypeError
    assert message.startswith(f"Input {name} contains dates or durations (")
    assert "Convert them to numbers" in message
    assert fingerprint(model) == before
    return message


def check_rows(rows):
    """Rows with dates are refused by every method of both estimators."""
    for kind in ("MLPClassifier", "MLPRegressor"):
        model = fitted(kind)
        for method in ("predict", "predict_proba", "predict_log_proba"):
            if hasattr(model, method):
                check_refused(model, method, "X", rows)
        for method in ("fit", "partial_fit", "score"):
            check_refused(model, method, "X", rows, Y)
        check_refused(fitted(kind, solver="lbfgs"), "fit", "X", rows, Y)
        check_refused(fitted(kind, warm_start=True), "fit", "X", rows, Y)
        fresh = getattr(nnjit, kind)()
        check_refused(fresh, "fit", "X", rows, Y)
        classes = {"classes": [0, 1]} if kind == "MLPClassifier" else {}
        check_refused(fresh, "partial_fit", "X", rows, Y, **classes)


def check_target(y):
    model = fitted("MLPRegressor")
    for method in ("fit", "partial_fit", "score"):
        check_refused(model, method, "y", X, y)
    check_refused(fitted("MLPRegressor", solver="lbfgs"), "fit", "y", X, y)


@pytest.mark.parametrize("column", COLUMNS)
def test_arrays_and_lists_of_dates(column):
    values = COLUMNS[column]()
    check_rows(np.column_stack([values, values]))
    check_rows([[value, value] for value in values])
    check_rows([np.array([value, value]) for value in values])
    check_target(values)
    check_target(list(values))
    check_target(np.column_stack([values, values]))


@pytest.mark.parametrize("column", ["datetime64", "timedelta64", "datetimes"])
def test_one_date_among_numbers(column):
    values = COLUMNS[column]()
    rows = X.astype(object)
    rows[-1, -1] = values[-1]
    check_rows(rows)
    check_rows(rows.tolist())
    check_rows(tuple(map(tuple, rows)))
    check_target(rows[:, 1])


@pytest.mark.parametrize("column", PANDAS)
def test_pandas_columns_of_dates(column):
    pandas = pytest.importorskip("pandas")
    values = PANDAS[column](pandas)
    series = pandas.Series(values, name="when")
    mixed = pandas.DataFrame({"size": X[:, 0], "when": series})
    check_rows(mixed)
    check_rows(pandas.DataFrame({"when": series, "again": series}))
    check_target(series)
    check_target(mixed)
    assert "column 'when' of type" in check_refused(fitted("MLPRegressor"), "fit", "X", mixed, Y)
    # Of columns that have one name, too, the right one is looked at.
    mixed.columns = ["when", "when"]
    check_refused(fitted("MLPRegressor"), "fit", "X", mixed, Y)


@pytest.mark.parametrize("column", POLARS)
def test_polars_columns_of_dates(column):
    polars = pytest.importorskip("polars")
    series = polars.Series("when", POLARS[column]())
    mixed = polars.DataFrame({"size": X[:, 0], "when": series})
    check_rows(mixed)
    check_target(series)
    assert "column 'when' of type" in check_refused(fitted("MLPRegressor"), "fit", "X", mixed, Y)


def test_weights_that_are_durations():
    for kind in ("MLPClassifier", "MLPRegressor"):
        model = fitted(kind)
        for method in ("fit", "partial_fit", "score"):
            check_refused(model, method, "sample_weight", X, Y, SPANS)


def test_displays_refuse_dates():
    pytest.importorskip("matplotlib")
    with pytest.raises(TypeError, match="Input X contains dates"):
        ActivationDisplay.from_estimator(fitted("MLPClassifier"), np.column_stack([DAYS, DAYS]))


def test_other_values_are_let_through():
    class Array:
        def __init__(self, values):
            self.values = values

        def __array__(self, dtype=None, copy=None):
            if isinstance(self.values, Exception):
                raise self.values
            return np.asarray(self.values, dtype)

    harmless = [None, 3.0, "2020-01-01", b"2020-01-01", X, X.tolist(), list(X), range(3), [[1], 2]]
    harmless += [X.astype(object), np.array(["2020-01-01"]), Array(X), Array(ValueError()), [], ()]
    for values in harmless:
        assert date_type_in(values) is None
    assert date_type_in(Array(DAYS)) == "datetime64[D]"
    for library in ("pandas", "polars"):
        if library in sys.modules:
            frame = sys.modules[library].DataFrame({"date": X[:, 0], "time": ["a", "b"] * (N // 2)})
            assert date_type_in(frame) is None


@pytest.mark.parametrize(
    "classes",
    [
        np.array(["2020-01-01", "2020-05-01"], "M8[D]"),
        np.array(["2020-01-01", "2020-05-01", "2021-02-03"], "M8[ns]"),
        np.array([1, 5, 7], "m8[h]"),
        np.array(["2020-01-01", "2020-05-01"], ">M8[s]"),
    ],
    ids=["two days", "three moments", "durations", "big-endian"],
)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_labels_that_are_dates_come_back(classes, early_stopping):
    y = classes[np.arange(N) % len(classes)]
    model = nnjit.MLPClassifier((3,), max_iter=3, early_stopping=early_stopping, random_state=0)
    quietly(model.fit, X, y)
    numbers = quietly(nnjit.MLPClassifier(**model.get_params()).fit, X, np.arange(N) % len(classes))
    assert model.classes_.dtype == classes.dtype.newbyteorder("=")
    np.testing.assert_array_equal(model.classes_, classes)
    np.testing.assert_array_equal(model.predict(X), classes[numbers.predict(X)])
    assert model.predict(X).dtype == model.classes_.dtype
    assert model.score(X, y) == numbers.score(X, np.arange(N) % len(classes))
    if not early_stopping:
        quietly(model.partial_fit, X, y)
        first = quietly(nnjit.MLPClassifier((3,)).partial_fit, X, y, classes=classes)
        np.testing.assert_array_equal(first.classes_, classes)
        assert first.predict(X).dtype == model.classes_.dtype


def test_a_label_that_is_not_a_time_is_missing():
    y = DAYS[Y].copy()
    y[3] = "NaT"
    model = nnjit.MLPClassifier((2,), max_iter=2, warm_start=True)
    assert outcome(model.fit, X, y) == (ValueError, "Input y contains NaT.")
    assert not hasattr(model, "classes_")
    quietly(model.fit, X, DAYS[Y])
    for method in ("fit", "partial_fit"):
        assert outcome(getattr(model, method), X, y) == (ValueError, "Input y contains NaT.")
