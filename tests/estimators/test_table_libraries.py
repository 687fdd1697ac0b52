"""Frames of every library are the same table."""

import datetime
import decimal

import numpy as np
import pytest

from nnjit.estimators._table import TableEncoder

N = 60
START = datetime.datetime(2021, 3, 25, 22, 30)
MOMENTS = [START + datetime.timedelta(hours=i) for i in range(N)]
ZONED = [moment.replace(tzinfo=datetime.UTC) for moment in MOMENTS]


def some_missing(values, every):
    return [None if i % every == 0 else value for i, value in enumerate(values)]


@pytest.fixture(scope="module")
def columns():
    random = np.random.default_rng(1)
    return {
        "number": some_missing(random.normal(size=N).tolist(), 7),
        "whole": some_missing(random.integers(0, 50, N).tolist(), 5),
        "truth": some_missing((random.random(N) > 0.5).tolist(), 6),
        "binary": some_missing(random.choice(["x", "y"], N).tolist(), 8),
        "city": some_missing([f"c{i % 13}" for i in range(N)], 9),
        "date": some_missing([moment.date() for moment in MOMENTS], 10),
        "moment": some_missing(MOMENTS, 11),
        "length": some_missing([datetime.timedelta(seconds=i * i) for i in range(N)], 12),
        "number of row": list(range(N)),
        "name": [f"name {i}" for i in range(N)],
    }


@pytest.fixture(scope="module")
def rows(columns):
    return np.array(list(columns.values()), dtype=object).T


def polars_frame(columns):
    return pytest.importorskip("polars").DataFrame(columns)


def polars_categories(columns):
    polars = pytest.importorskip("polars")
    return polars.DataFrame(columns).with_columns(
        polars.col("city").cast(polars.Categorical),
        polars.col("binary").cast(polars.Enum(["x", "y"])),
    )


def arrow_table(columns):
    return pytest.importorskip("pyarrow").table(columns)


def arrow_batch(columns):
    return arrow_table(columns).to_batches()[0]


def arrow_chunks(columns):
    table = arrow_table(columns)
    place = table.column_names.index("city")
    table = table.set_column(place, "city", table["city"].dictionary_encode())
    return pytest.importorskip("pyarrow").concat_tables([table.slice(0, 20), table.slice(20)])


def pandas_arrow(columns):
    pandas = pytest.importorskip("pandas")
    return arrow_table(columns).to_pandas(types_mapper=pandas.ArrowDtype)


def pandas_objects(columns):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({name: pandas.Series(c, dtype=object) for name, c in columns.items()})


def pandas_nullable(columns):
    return pandas_objects(columns).convert_dtypes()


@pytest.mark.parametrize(
    "library",
    [
        *(polars_frame, polars_categories, arrow_table, arrow_batch, arrow_chunks, pandas_arrow),
        *(pandas_objects, pandas_nullable),
    ],
)
def test_frames_of_any_library_are_encoded_alike(library, columns, rows):
    frame = library(columns)
    names = list(columns)
    by_rows = TableEncoder().fit(rows)
    encoder = TableEncoder().fit(frame)
    left_out = [column.name for column in encoder.report() if not column.used]
    # Python's whole numbers do not say that they are a column of such.
    running = ["number of row"] if library is not pandas_objects else []
    assert left_out == [*running, "name"]
    kept = [name.split(" ")[0] for name in by_rows.output_names()]
    expected = by_rows.transform(rows)
    if running:
        expected = np.delete(expected, kept.index(f"x{names.index('number of row')}"), axis=1)
    assert np.array_equal(encoder.transform(frame), expected)
    assert np.array_equal(encoder.transform(rows), expected)


def test_moments_of_polars_with_a_zone_are_local():
    polars = pytest.importorskip("polars")
    column = polars.Series("x", ZONED).dt.convert_time_zone("Europe/Berlin")
    encoder = TableEncoder().fit(polars.DataFrame({"x": column}))
    expected = encoder.transform(polars.DataFrame({"x": column}))
    wall = column.dt.replace_time_zone(None)
    assert np.array_equal(TableEncoder().fit_transform(polars.DataFrame({"x": wall})), expected)
    tokyo = polars.DataFrame({"x": column.dt.convert_time_zone("Asia/Tokyo")})
    assert np.array_equal(encoder.transform(tokyo), expected)


def test_moments_of_pyarrow_with_a_zone_are_local():
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"x": pyarrow.array(ZONED, pyarrow.timestamp("ns", "Europe/Berlin"))})
    encoder = TableEncoder().fit(table)
    tokyo = pyarrow.table({"x": pyarrow.array(ZONED, pyarrow.timestamp("us", "Asia/Tokyo"))})
    assert np.array_equal(encoder.transform(tokyo), encoder.transform(table))
    assert encoder.columns[0].first == np.datetime64("2021-03-25T23:30", "us")


def test_a_lazy_frame_has_to_be_collected(columns):
    frame = polars_frame(columns).lazy()
    with pytest.raises(TypeError, match=r"call its method collect\(\) first"):
        TableEncoder().fit(frame)


def test_decimals_times_and_columns_of_nothing():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {
            "price": [decimal.Decimal("1.50"), decimal.Decimal("2.25"), decimal.Decimal("4.00")],
            "time": [datetime.time(1), datetime.time(2, 30), None],
            "nothing": [None, None, None],
            "list": [[1], [2], [1]],
        }
    )
    encoder = TableEncoder().fit(frame)
    assert [column.kind for column in encoder.report()] == [
        *("number", "duration", "empty", "category")
    ]
    assert encoder.transform(frame)[1, 0] == 0
