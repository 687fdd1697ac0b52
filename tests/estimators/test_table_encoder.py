"""Frames of any columns as one matrix of numbers, indicators and codes."""

import datetime
import pickle
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from nnjit.estimators._table import TableEncoder

pandas = pytest.importorskip("pandas", reason="frames are built by pandas")
tz = pytest.importorskip("dateutil.tz", reason="pandas needs it")

N = 200


@pytest.fixture(scope="module")
def frame():
    """A frame with columns of many kinds."""
    random = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "number": np.arange(N),
            "age": random.integers(18, 80, N),
            "pay": random.lognormal(size=N),
            "sex": random.choice(["m", "f"], N),
            "city": [f"c{i % 15:02}" for i in range(N)],
            "colour": random.choice(["red", "green", "blue"], N),
            "member": random.random(N) > 0.5,
            "name": [f"name {i}" for i in range(N)],
            "same": 1,
            "nothing": None,
        }
    )
    frame.loc[::9, "sex"] = None
    frame.loc[3, "pay"] = np.nan
    return frame


def report_of(values, **parameters):
    """What is found about a frame of one column."""
    (column,) = TableEncoder(**parameters).fit(pandas.DataFrame({"x": values})).report()
    return column


def encoded(values, others=None, **parameters):
    """The matrix by columns, of a frame with one column x: of `values`, or `others` if given."""
    encoder = TableEncoder(**parameters).fit(pandas.DataFrame({"x": values}))
    matrix = encoder.transform(pandas.DataFrame({"x": values if others is None else others}))
    assert matrix.dtype == np.float32 and matrix.flags.c_contiguous
    assert matrix.shape[1] == encoder.width == len(encoder.output_names())
    return dict(zip(encoder.output_names(), matrix.T.tolist()))


def smooth(z):
    return z / np.sqrt(1 + (z / 3) ** 2)


# What is found


def test_kinds_are_found(frame):
    report = {column.name: column for column in TableEncoder().fit(frame).report()}
    assert {name: column.kind for name, column in report.items()} == {
        "number": "identifier",
        "age": "number",
        "pay": "number",
        "sex": "category",
        "city": "category",
        "colour": "category",
        "member": "category",
        "name": "identifier",
        "same": "constant",
        "nothing": "empty",
    }
    assert {name: column.reason for name, column in report.items() if not column.used} == {
        "number": "its whole numbers number the rows",
        "name": "every row has another value",
        "same": "it has only one value, 1",
        "nothing": "all of its values are missing",
    }
    assert report["sex"].n_missing == 23 and report["sex"].n_levels == 2
    assert report["pay"].outputs == ("pay", "pay missing")
    assert list(pandas.DataFrame(report.values())) == [
        *("name", "kind", "used", "reason", "n_missing", "n_levels", "outputs")
    ]


def test_the_matrix_holds_numbers_then_indicators_then_codes(frame):
    encoder = TableEncoder().fit(frame)
    assert encoder.output_names() == [
        *("age", "pay"),
        *("pay missing", "sex=m", "sex missing", "colour=blue", "colour=green", "colour=red"),
        *("member=True", "city"),
    ]
    assert (encoder.n_numeric, encoder.n_indicators, encoder.levels) == (2, 7, (16,))
    matrix = dict(zip(encoder.output_names(), encoder.transform(frame).T))
    assert np.array_equal(matrix["sex=m"], frame["sex"].map({"m": 1, "f": -1}).fillna(0))
    assert np.array_equal(matrix["sex missing"], frame["sex"].isna())
    assert np.array_equal(matrix["colour=red"], frame["colour"] == "red")
    assert np.array_equal(matrix["city"], frame["city"].str[1:].astype(int) + 1)
    assert matrix["pay"][3] == 0 and matrix["pay missing"].sum() == 1


def test_it_is_pickled_with_what_it_found(frame):
    encoder = TableEncoder().fit(frame)
    again = pickle.loads(pickle.dumps(encoder))
    assert np.array_equal(again.transform(frame), encoder.transform(frame))


def test_a_table_of_which_nothing_is_left_is_one_column_of_zeros():
    assert encoded(["a"] * 3) == {"nothing": [0, 0, 0]}
    assert not TableEncoder().fit_transform(np.ones((4, 2))).any()


# Numbers


def test_numbers_are_centred_scaled_and_smoothly_clipped():
    x = np.array([[0.0], [1.0], [2.0], [3.0], [100.0]])
    np.testing.assert_allclose(TableEncoder().fit_transform(x), smooth((x - 2) / 2), rtol=1e-6)
    assert np.array_equal(TableEncoder(clip=False).fit_transform(x), (x - 2) / 2)


def test_numbers_of_equal_quartiles_are_scaled_by_their_range():
    x = np.array([[0.0]] * 9 + [[10.0]])
    assert np.array_equal(TableEncoder(clip=False).fit_transform(x), x / 5)


def test_infinite_values_are_the_limits():
    x = np.array([[0.0], [1.0], [2.0], [np.inf], [-np.inf]])
    np.testing.assert_allclose(TableEncoder().fit_transform(x)[3:, 0], [3, -3], rtol=1e-6)
    assert TableEncoder(clip=False).fit_transform(x)[:, 0].tolist() == [-1, 0, 1, 1, -1]


def test_missing_numbers_are_the_median_and_have_an_indicator_if_the_fit_had_such():
    seen = encoded([1.0, 2.0, 3.0, np.nan], [np.nan, 2.0, 3.0, 3.0])
    assert seen["x"][:2] == [0, 0] and seen["x missing"] == [1, 0, 0, 0]
    assert list(encoded([1.0, 2.0, 3.0], [np.nan, 2.0, 3.0])) == ["x"]


def test_of_a_constant_only_whether_it_is_missing_is_used():
    assert encoded([5.0, np.nan, 5.0]) == {"x missing": [0, 1, 0]}
    assert encoded(["a", None, "a"]) == {"x missing": [0, 1, 0]}


@pytest.mark.parametrize(
    "values", [[-1.7e308, 0, 1.7e308], [0, 5e-324, 1e-323], [1e300, 1, -np.inf], [1e-300, 0, 1e300]]
)
def test_numbers_of_any_size_stay_finite(values):
    for clip in (True, False):
        matrix = TableEncoder(clip=clip).fit_transform(np.array(values)[:, None])
        assert np.isfinite(matrix).all()


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "i1", "u8", ">i4"])
def test_numbers_of_any_type_are_encoded_alike(dtype):
    x = np.random.default_rng(0).integers(0, 100, (30, 3)).astype(dtype)
    expected = TableEncoder().fit_transform(x.astype(float))
    assert np.array_equal(TableEncoder().fit_transform(x), expected)
    assert np.array_equal(TableEncoder().fit_transform(x.astype(float).astype(object)), expected)


def test_columns_in_one_array_are_encoded_as_those_of_a_frame_are(monkeypatch):
    X = np.random.default_rng(1).normal(size=(500, 6))
    X[:, 1] = 3.0
    X[::7, 2] = np.nan
    X[5, 4] = np.inf
    X[:, 5] = np.where(X[:, 5] > 0, np.nan, 1.0)
    encoder = TableEncoder().fit(X)
    frame = pandas.DataFrame(X, columns=list("abcdef"))
    at_once = TableEncoder().fit(frame)
    monkeypatch.setattr("nnjit.estimators._table.frames._SMALL", 0)
    one_by_one = TableEncoder().fit(frame)
    expected = encoder.transform(X)
    assert np.array_equal(at_once.transform(X), expected)
    assert np.array_equal(at_once.transform(frame[list("fedcba")]), expected)
    assert np.array_equal(one_by_one.transform(frame[list("fedcba")]), expected)
    assert encoder.output_names() == ["x0", "x2", "x3", "x4", "x2 missing", "x5 missing"]


def test_numbers_of_two_values_stand_among_the_indicators():
    X = np.array([[0, 5.0, 1], [1, 7.0, 2], [0, np.nan, 3], [0, 5.0, 4], [0, 5.0, 5]])
    encoder = TableEncoder(clip=False).fit(X)
    assert encoder.output_names() == ["x2", "x0", "x1", "x1 missing"]
    matrix = encoder.transform(X)
    assert matrix[:, 1:].T.tolist() == [[0, 2, 0, 0, 0], [0, 4, 0, 0, 0], [0, 0, 1, 0, 0]]
    assert np.array_equal(encoder.transform(X.astype(object)), matrix)
    assert encoded([1.0, 2.0], [1.5, 9.0], clip=False)["x"] == [0, 15]


def test_numbers_are_found_again_in_the_matrix(frame):
    encoder = TableEncoder().fit(frame)
    found = encoder.numbers_of(encoder.transform(frame)[:, : encoder.n_numeric])
    np.testing.assert_allclose(found[:, 0], frame["age"], rtol=1e-5)
    np.testing.assert_allclose(found[:, 1], frame["pay"].fillna(frame["pay"].median()), rtol=1e-4)


# Categories


def test_few_levels_are_indicators_and_one_never_seen_is_zero():
    levels = ["b", "a", "c", "a"]
    found = encoded(levels, ["a", "b", "d", None])
    assert found == {"x=a": [1, 0, 0, 0], "x=b": [0, 1, 0, 0], "x=c": [0, 0, 0, 0]}
    assert encoded(["a", "b"], ["b", "a", "d", None])["x=b"] == [1, -1, 0, 0]
    assert encoded([*levels, None])["x missing"] == [0, 0, 0, 0, 1]


def test_many_levels_are_codes_and_single_ones_share_that_of_levels_never_seen():
    values = [*range(9), *range(9), 100]
    encoder = TableEncoder(["x"]).fit(pandas.DataFrame({"x": values}))
    assert encoder.levels == (10,)
    assert encoder.code_names() == [["missing or rare", *map(str, range(9))]]
    codes = encoder.transform(pandas.DataFrame({"x": [0.0, 8.0, 100, 55, np.nan]}))[:, 0]
    assert codes.tolist() == [1, 9, 0, 0, 0]


def test_levels_are_the_same_whatever_their_type():
    values = ["1", "2", "3", "x"] * 3
    assert encoded(values, [1, 2.0, np.int8(3), " x"]) == {
        f"x={level}": [float(i == place) for i in range(4)] for place, level in enumerate("123x")
    }
    truth = encoded([True, False, True], ["true", 0, True])
    assert truth == {"x=True": [1, -1, 1]}
    assert encoded([True, None, False]) == {"x=True": [1, 0, -1], "x missing": [0, 1, 0]}


def test_frames_may_say_that_numbers_are_categories():
    values = pandas.Series(pandas.Categorical([1.0, 2.5, np.nan, 1.0, 7.0], [7.0, 2.5, 1.0, 9.0]))
    assert list(encoded(values)) == ["x=1", "x=2.5", "x=7", "x missing"]
    assert list(encoded(pandas.Series(["2", "1"], dtype="category"))) == ["x=2"]


@pytest.mark.parametrize("features", [["a", "c"], [0, 2], [True, False, True]])
def test_the_user_may_say_which_columns_are_categories(features):
    frame = pandas.DataFrame({"a": [1, 2, 3, 1], "b": [1.5, 2, 3, 4], "c": [1, 1, 2, 2]})
    encoder = TableEncoder(categorical_features=features).fit(frame)
    assert encoder.output_names() == ["b", "a=1", "a=2", "a=3", "c=2"]
    if not isinstance(features[0], str):
        again = TableEncoder(categorical_features=features).fit(frame.to_numpy())
        assert np.array_equal(again.transform(frame.to_numpy()), encoder.transform(frame))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([3], r"integer indices must be in \[0, n_features - 1\]"),
        ([True], r"boolean mask must have shape \(n_features,\), got: \(1,\)"),
        (["d"], "has a item value 'd' which is not a valid feature name"),
        ([0.5], "must be an array-like of bool, int or str, got: float64"),
        (["a", 1.5, None], "must be an array-like of bool, int or str, got: NoneType, float, str"),
    ],
)
def test_features_that_are_not_there_are_refused(features, message):
    frame = pandas.DataFrame({"a": [1, 2], "b": [3, 4]})
    if features[1:]:
        features = np.array(features, dtype=object)
    with pytest.raises(ValueError, match=message):
        TableEncoder(categorical_features=features).fit(frame)


def test_names_of_features_need_a_frame_with_names():
    with pytest.raises(ValueError, match="fitted on data without feature names"):
        TableEncoder(categorical_features=["a"]).fit(np.ones((3, 2)))


# Texts


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1", " 2.5", "-3e2"], [1, 2.5, -300]),
        (["1,000.5", "2,000", "30"], [1000.5, 2000, 30]),
        (["1.000,5", "2.000,25", "30,0"], [1000.5, 2000.25, 30]),
        (["$5", "$1,200", "-$7.50"], [5, 1200, -7.5]),
        (["5 %", "10%", "7.5%"], [5, 10, 7.5]),
        (["1", "?", "n/a", "4"], [1, np.nan, np.nan, 4]),
        ([b"1", b"2.5", b"3"], [1, 2.5, 3]),
        ([1, "2", 3.5], [1, 2, 3.5]),
    ],
)
def test_numbers_in_texts_are_numbers(texts, numbers):
    frame, again = pandas.DataFrame({"x": texts * 2}), pandas.DataFrame({"x": numbers * 2})
    encoder = TableEncoder().fit(frame)
    assert encoder.report()[0].kind == "number"
    assert np.array_equal(encoder.transform(frame), TableEncoder().fit_transform(again))
    assert np.array_equal(encoder.transform(again), encoder.transform(frame))


def test_a_stray_text_among_many_numbers_is_a_missing_one():
    texts = [*map(str, range(150)), "about ten"]
    found = encoded([*texts, *texts])
    assert found["x missing"] == ([0] * 150 + [1]) * 2
    assert encoded(["1", "2", "3"], ["2", "x", None])["x"] == [0, 0, 0]


def test_few_numbers_with_a_text_among_them_are_categories():
    assert report_of(["0", "1", "2", "3", "4+"] * 40).kind == "category"


def test_digits_with_leading_zeros_are_codes():
    assert report_of([f"{i % 20:05}" for i in range(60)]).n_levels == 20
    assert report_of(["0", "0.5", "-0.25"]).kind == "number"


@pytest.mark.parametrize("word", ["", "?", "NA", "nan", "NULL", " n/a ", None, np.nan])
def test_words_that_mean_missing(word):
    assert encoded(["a", "b", word]) == {"x=b": [-1, 1, 0], "x missing": [0, 0, 1]}


# Dates


def test_dates_are_parts_that_vary():
    dates = pandas.to_datetime(["2020-01-31 06:30", "2020-03-01 12:00", None, "2021-12-31 00:00"])
    encoder = TableEncoder(clip=False).fit(pandas.DataFrame({"x": dates}))
    assert encoder.output_names() == [
        *("x days", "x year", "x month", "x day", "x weekday", "x hour", "x missing")
    ]
    matrix = encoder.transform(pandas.DataFrame({"x": dates}))
    np.testing.assert_allclose(
        encoder.numbers_of(matrix[:, :6])[[0, 1, 3]],
        [
            [0, 2020, 1, 31, 4, 6.5],
            [30 + 5.5 / 24, 2020, 3, 1, 6, 12],
            [700 - 6.5 / 24, 2021, 12, 31, 4, 0],
        ],
        rtol=1e-6,
        atol=1e-6,
    )
    assert matrix[2].tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert list(encoded(pandas.date_range("2020-03-02", periods=5))) == [
        *("x days", "x day", "x weekday")
    ]
    assert report_of(["2020-03-02"] * 3 + [None]).outputs == ("x missing",)


@pytest.mark.parametrize(
    "form",
    [
        lambda dates: dates.strftime("%Y-%m-%d"),
        lambda dates: dates.strftime("%Y-%m-%d %H:%M:%S"),
        lambda dates: dates.strftime("%Y-%m-%dT%H:%M:%S.0Z"),
        lambda dates: dates.strftime("%Y-%m-%dT02:00+02:00"),
        lambda dates: dates.to_period("D"),
        lambda dates: np.array([date.date() for date in dates], dtype=object),
        lambda dates: np.array([date.to_pydatetime() for date in dates], dtype=object),
        lambda dates: dates.astype("datetime64[s]"),
    ],
)
def test_dates_of_any_form_are_the_same(form):
    dates = pandas.date_range("1969-11-30", periods=400, freq="9D")
    frame, other = (pandas.DataFrame({"x": x}) for x in (dates, form(dates)))
    encoder = TableEncoder().fit(frame)
    expected = encoder.transform(frame)
    assert np.array_equal(TableEncoder().fit_transform(other), expected)
    assert np.array_equal(encoder.transform(other), expected)


def test_moments_with_a_zone_come_in_the_time_of_the_fits_zone():
    dates = pandas.date_range("2021-03-25", periods=100, freq="h", tz="Europe/Berlin")
    frame = pandas.DataFrame({"x": dates})
    encoder = TableEncoder().fit(frame)
    local = TableEncoder().fit_transform(pandas.DataFrame({"x": dates.tz_localize(None)}))
    assert np.array_equal(encoder.transform(frame), local)
    elsewhere = pandas.DataFrame({"x": dates.tz_convert("Asia/Tokyo")})
    assert np.array_equal(encoder.transform(elsewhere), local)


@pytest.mark.parametrize(
    "zone",
    [
        datetime.timezone(datetime.timedelta(hours=-3, minutes=-30)),
        "dateutil/Europe/Berlin",
        "dateutil/UTC",
        tz.tzoffset(None, 3600),
    ],
)
def test_zones_of_any_making_are_found_again(zone):
    try:
        dates = pandas.date_range("2021-03-29", periods=100, freq="h", tz=zone)
    except AttributeError:
        pytest.skip(f"pandas {pandas.__version__} makes no dates in the zone {zone}")
    encoder = TableEncoder().fit(pandas.DataFrame({"x": dates}))
    local = TableEncoder().fit_transform(pandas.DataFrame({"x": dates.tz_localize(None)}))
    elsewhere = pandas.DataFrame({"x": dates.tz_convert("UTC")})
    assert np.array_equal(encoder.transform(elsewhere), local)


def test_durations_are_seconds_and_so_are_times_of_day():
    seconds = [0.5, 30.0, 3600.0]
    expected = encoded(seconds)
    assert encoded(pandas.to_timedelta(seconds, unit="s")) == expected
    assert report_of(pandas.to_timedelta(seconds, unit="s")).kind == "duration"
    times = [datetime.time(0, 0, 0, 500_000), datetime.time(0, 0, 30), datetime.time(1)]
    assert encoded(times) == expected


@pytest.mark.parametrize(
    ("fitted", "now", "message"),
    [
        ([1.0, 2.0], pandas.to_datetime(["2020-01-01"]), "numbers in fit and holds dates now"),
        (["2020-01-01", "2020-01-02"], [1.0], "dates in fit and holds numbers now"),
        ([1.0, 2.0], ["a", "?"], "numbers in fit and holds values such as 'a' now"),
        (["2020-01-01", "2020-01-02"], ["a"], "dates in fit and holds values such as 'a' now"),
        (pandas.to_timedelta([1, 2], unit="s"), [1.0], "durations in fit and holds numbers now"),
    ],
)
def test_a_column_of_another_kind_is_refused_by_name(fitted, now, message):
    with pytest.raises(ValueError, match=f"^Column 'x': it held {message}"):
        encoded(fitted, now)


def test_a_column_that_is_all_missing_now_is_of_any_kind():
    for values in ([1.0, 2.0], ["2020-01-01", "2020-01-02"], pandas.to_timedelta([1, 2])):
        for nothing in ([None], [np.nan], pandas.to_datetime([None]), pandas.to_timedelta([None])):
            assert not any(map(any, encoded(values, nothing).values()))


# Identifiers


def test_running_numbers_are_left_out_after_a_split_too():
    numbers = np.random.default_rng(0).permutation(1000)[:400] + 5000
    assert report_of(numbers).kind == report_of(numbers.astype(str)).kind == "identifier"
    assert report_of(pandas.array(numbers, dtype="Int64")).kind == "identifier"


@pytest.mark.parametrize(
    "values",
    [
        np.arange(100.0),
        np.arange(100) ** 2,
        np.arange(1901, 2001),
        np.arange(19),
        np.r_[np.arange(99), 5],
    ],
    ids=["floats", "sparse", "years", "few", "twice"],
)
def test_other_whole_numbers_are_used(values):
    assert report_of(values).used


def test_arrays_have_no_running_numbers():
    assert TableEncoder().fit(np.arange(100)[:, None]).report()[0].used


def test_texts_of_which_nearly_all_are_distinct_are_identifiers():
    names = [f"name {i}" for i in range(50)]
    assert report_of([*names, "name 3"]).reason == "nearly every row has another value"
    assert report_of(pandas.Series(names, dtype="category")).kind == "identifier"
    assert report_of([*names, *names[:10]]).n_levels == 10
    assert report_of([*names, "name 3"], categorical_features=["x"]).n_levels == 1
    assert report_of([*names, "name 3"], one_hot=1000).kind == "identifier"
    assert report_of(names[:8], one_hot=1000).n_levels == 8


# Frames


def test_columns_are_found_by_name(frame):
    encoder = TableEncoder().fit(frame)
    again = encoder.transform(frame[frame.columns[::-1]])
    assert np.array_equal(again, encoder.transform(frame))
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- wage\n.*now missing:\n- pay\n"):
        encoder.transform(frame.rename(columns={"pay": "wage"}))
    with pytest.raises(ValueError, match="yet now missing:\n- age\n"):
        encoder.transform(frame.drop(columns="age"))
    with pytest.raises(ValueError, match="unseen at fit time:\n- more\n"):
        encoder.transform(frame.assign(more=1))


def test_columns_without_names_are_found_by_place(frame):
    encoder = TableEncoder().fit(frame)
    expected = encoder.transform(frame)
    assert np.array_equal(encoder.transform(frame.to_numpy()), expected)
    assert np.array_equal(encoder.transform(frame.to_numpy().tolist()), expected)
    numbered = frame.set_axis(range(frame.shape[1]), axis=1)
    assert np.array_equal(TableEncoder().fit(numbered).transform(frame), expected)
    with pytest.raises(ValueError, match="X has 2 features, but TableEncoder is expecting 10"):
        encoder.transform(frame.to_numpy()[:, :2])


def test_columns_of_the_same_name_are_found_by_place():
    twice = pandas.DataFrame([[1.0, 10.0], [2.0, 30.0], [4.0, 20.0]], columns=["a", "a"])
    encoder = TableEncoder().fit(twice)
    assert np.array_equal(encoder.transform(twice), TableEncoder().fit_transform(twice.to_numpy()))


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (sp.eye_array(3).tocsr(), TypeError, "Sparse data was passed for X.*toarray.*MLPClassif"),
        ([1.0, 2.0], ValueError, "Expected 2D array, got 1D array instead"),
        (np.ones((2, 2, 2)), ValueError, "dim 3"),
        (np.ones((2, 2)) * 1j, ValueError, "Complex data not supported"),
        (np.ones((0, 3)), ValueError, r"Found array with 0 sample\(s\) \(shape=\(0, 3\)\)"),
        (
            pandas.DataFrame({"a": []}),
            ValueError,
            r"Found array with 0 sample\(s\) \(shape=\(0, 1\)",
        ),
        (pandas.DataFrame(index=[1]), ValueError, r"Found array with 0 feature\(s\)"),
        (pandas.DataFrame({"a": [1j]}), ValueError, "Complex data not supported"),
    ],
)
def test_what_is_no_table_is_refused(X, error, message):
    with pytest.raises(error, match=message):
        TableEncoder().fit(X)


def test_cells_may_hold_anything():
    cells = [{"a": 1}, [1, 2], ("t",), 10**400, 1.5, pandas.NA, pandas.Interval(0, 1), "x"]
    report = report_of(np.array([*cells, *cells], dtype=object))
    assert report.kind == "category" and report.n_missing == 2 and report.n_levels == 7
    assert encoded(np.array([1, 10**400, 2], dtype=object))["x"][1] == 3
    cut = pandas.Series(pandas.cut(range(9), 3))
    assert [sum(indicator) for indicator in encoded(cut).values()] == [3, 3, 3]


def test_sparse_columns_and_nullable_ones_are_read():
    random = np.random.default_rng(0)
    values = random.integers(0, 5, 40).astype(float)
    expected = encoded(values)
    assert encoded(pandas.arrays.SparseArray(values, fill_value=0)) == expected
    values[::5] = np.nan
    assert encoded(pandas.array(values).astype("Int64")) == encoded(values)
    truth = [True, False, None] * 5
    assert encoded(pandas.array(truth, dtype="boolean")) == encoded(truth)
    texts = ["a", None, "b", "c"] * 5
    assert encoded(pandas.array(texts, dtype="string")) == encoded(texts)


def test_hardly_anything_is_made_beside_the_matrix():
    n = 100_000
    random = np.random.default_rng(0)
    frame = pandas.DataFrame({f"x{i}": random.normal(size=n) for i in range(20)})
    frame["city"] = pandas.Categorical.from_codes(random.integers(0, 30, n), range(30))
    frame["when"] = np.datetime64("2020-01-01", "us") + random.integers(0, 10**14, n)
    tracemalloc.start()
    try:
        encoder = TableEncoder().fit(frame)
        fitted = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        matrix = encoder.transform(frame)
        peak = tracemalloc.get_traced_memory()[1] - matrix.nbytes
    finally:
        tracemalloc.stop()
    column = 8 * n
    assert fitted < 15 * column and peak < 8 * column
