"""A table with every kind of trouble that tables have, and large ones."""

import datetime
import decimal
import importlib.util
import pickle
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest

from nnjit import TabularClassifier, TabularRegressor
from nnjit.training import members

pd = pytest.importorskip("pandas")

N = 360


def columns(n=N, seed=0):
    """Columns by name, and what two targets are made of."""
    rng = np.random.default_rng(seed)
    size, noise = rng.lognormal(3, 1, n), rng.normal(size=n)
    town, grade = rng.integers(0, 30, n), rng.integers(0, 3, n)
    day = rng.integers(0, 2000, n)
    on = rng.random(n) < 0.5
    days = np.datetime64("2015-01-01") + day
    found = {
        # What tells something
        "size": size,
        "town": np.array([f"town {k:02}" for k in town], dtype=object),
        "grade": pd.Categorical(np.array(["low", "mid", "top"])[grade], ["top", "mid", "low", "?"]),
        "on": on,
        # Numbers
        "price in text": [f"{1000 * v:,.2f}" for v in size],
        "money": [decimal.Decimal(f"{v:.2f}") for v in size],
        "count": pd.array(rng.integers(-3, 4, n), dtype="Int64"),
        "byte": rng.integers(0, 256, n).astype(np.uint8),
        "wide": rng.integers(2**62, 2**63, n),
        "huge": noise * 1e300,
        "tiny": np.abs(noise) * 1e-310,
        "infinite": noise.copy(),
        "mostly 0": np.where(rng.random(n) < 0.95, 0.0, noise),
        "half": noise.astype(np.float16),
        # Categories
        "nullable": pd.array(on, dtype="boolean"),
        "truth or none": on.astype(object),
        "levels of numbers": pd.Categorical(grade * 10),
        "zip code": np.array([f"0{k:04}" for k in town], dtype=object),
        "mixed": np.array([[1, "a", 2.5, "b "][k % 4] for k in town], dtype=object),
        "rare": np.where(np.arange(n) < 3, "once in a while", "always"),
        # Dates
        "day": days,
        "day in text": days.astype(str),
        "day as object": days.astype(object),
        "moment": pd.DatetimeIndex(days).tz_localize("Europe/Vienna"),
        "month": pd.PeriodIndex(days, freq="M"),
        "delay": (day % 100).astype("timedelta64[h]"),
        # Nothing to be learned from
        "constant": 7.5,
        "one word": "here",
        "nothing": None,
        "no number": np.nan,
        "no day": pd.NaT,
        "row": np.arange(5, n + 5),
        "name": [f"k{k}-{v:.3f}" for k, v in zip(rng.permutation(n), noise)],
    }
    score = np.log(size) + 0.1 * (town % 5) + (grade == 2) + on
    return found, score + 0.1 * noise


WITH_GAPS = ("size", "town", "grade", "price in text", "money", "count", "nullable",
             "truth or none", "levels of numbers", "mixed", "day", "day in text", "day as object",
             "moment", "month", "delay")  # fmt: skip
LEFT_OUT = {
    "constant": "constant",
    "one word": "constant",
    "nothing": "empty",
    "no number": "empty",
    "no day": "empty",
    "row": "identifier",
    "name": "identifier",
}
KINDS = {
    **dict.fromkeys(
        ("size", "price in text", "money", "count", "byte", "wide", "huge", "tiny", "infinite",
         "mostly 0", "half"), "number"
    ),
    **dict.fromkeys(
        ("town", "grade", "on", "nullable", "truth or none", "levels of numbers", "zip code",
         "mixed", "rare"), "category"
    ),
    **dict.fromkeys(("day", "day in text", "day as object", "moment", "month"), "date"),
    "delay": "duration",
    **LEFT_OUT,
}  # fmt: skip


def frame(n=N, seed=0):
    """A frame of all of them, with missing and infinite cells, and what targets are made of."""
    found, score = columns(n, seed)
    X = pd.DataFrame(found)
    rng = np.random.default_rng(seed + 1)
    for name in WITH_GAPS:
        X.loc[rng.random(n) < 0.05, name] = None
    X.loc[::9, "infinite"], X.loc[1::9, "infinite"], X.loc[2::9, "infinite"] = np.inf, -np.inf, None
    return X, score


def labels(score):
    return np.where(score > np.median(score), "dear", "cheap").astype(object)


@pytest.fixture(scope="module")
def classifier():
    X, score = frame()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return TabularClassifier("fast", n_members=2, random_state=0).fit(X, labels(score))


def test_it_is_learned_without_a_warning(classifier):
    X, score = frame(300, seed=10)
    assert classifier.score(X, labels(score)) > 0.85
    p = classifier.predict_proba(X)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert set(classifier.predict(X)) == {"cheap", "dear"}


def test_the_report_says_what_each_column_is(classifier):
    found = {column.name: column for column in classifier.report_.columns}
    assert {name: column.kind for name, column in found.items()} == KINDS
    assert {name for name, column in found.items() if not column.used} == set(LEFT_OUT)
    assert all(found[name].reason for name in LEFT_OUT)
    X, _ = frame()
    for name in ("size", "town", "day", "delay", "truth or none"):
        assert found[name].n_missing == X[name].isna().sum()
    text = str(classifier.report_)
    assert all(f"{name}: {kind}" in text for name, kind in LEFT_OUT.items())


def test_what_was_never_seen_is_predicted(classifier):
    X, _ = frame(40, seed=2)
    X["town"] = "elsewhere"
    X["grade"] = pd.Categorical(["new"] * 40)
    X["mixed"] = [object()] * 20 + [(1, 2)] * 20
    X["on"] = pd.array([None] * 40, dtype="boolean")  # none was missing
    X["byte"] = np.where(np.arange(40) % 2, np.inf, np.nan)
    X["day"] = pd.Timestamp("1815-06-18")
    X["constant"] = "another kind"
    X["row"] = None
    assert np.isfinite(classifier.predict_proba(X)).all()


def test_all_cells_may_be_missing(classifier):
    X, _ = frame(3)
    p = classifier.predict_proba(pd.DataFrame(dict.fromkeys(X), index=range(3), dtype=object))
    assert np.isfinite(p).all()
    np.testing.assert_array_equal(p, p[[0, 0, 0]])


def test_a_row_is_predicted_alike_alone_and_in_another_order_of_rows_and_types(classifier):
    X, _ = frame(30, seed=3)
    p = classifier.predict_proba(X)
    np.testing.assert_array_equal(classifier.predict_proba(X[7:8]), p[7:8])
    np.testing.assert_array_equal(classifier.predict_proba(X[::-1]), p[::-1])
    as_objects = X.astype(dict.fromkeys(set(X) - {"month"}, object))
    np.testing.assert_array_equal(classifier.predict_proba(as_objects), p)
    categories = X.assign(town=X["town"].astype("category"))
    np.testing.assert_array_equal(classifier.predict_proba(categories), p)


def test_the_frame_is_left_as_it_was(classifier):
    X, score = frame(60, seed=4)
    before = X.copy(deep=True)
    TabularClassifier("fast", max_iter=1, random_state=0).fit(X, labels(score)).predict(X)
    pd.testing.assert_frame_equal(X, before)


def test_a_pickle_predicts_the_same(classifier):
    X, _ = frame(30, seed=5)
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))


@pytest.mark.parametrize("threads", [1, 4])
def test_any_number_of_threads_gives_the_same_bits(classifier, threads, monkeypatch):
    monkeypatch.setattr(members, "free_threads", lambda: threads)
    X, score = frame()
    again = TabularClassifier("fast", n_members=2, random_state=0).fit(X, labels(score))
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))


def test_values_of_it_are_learned_with_intervals():
    X, score = frame()
    Z, expected = frame(300, seed=10)
    model = TabularRegressor("fast", random_state=0).fit(X, 1e6 * score)
    assert model.score(Z, 1e6 * expected) > 0.7
    low, high = model.predict_interval(Z, 0.8).T
    assert 0.6 < np.mean((low <= 1e6 * expected) & (1e6 * expected <= high)) < 0.95


def test_polars_frames_of_it_are_learned():
    pl = pytest.importorskip("polars")
    found, score = columns(120)
    kept = ["size", "on", "byte", "huge", "infinite", "rare", "day", "day in text", "name"]
    X = pl.DataFrame({name: found[name] for name in kept}).with_columns(
        pl.lit("here").alias("one word"),
        pl.lit(None).alias("nothing"),
        pl.Series("delay", found["delay"].astype("timedelta64[us]")),
        pl.Series("grade", list(found["grade"]), dtype=pl.Categorical),
        pl.when(pl.col("size") > 50).then(None).otherwise(pl.col("size")).alias("size"),
    )
    model = TabularClassifier("fast", random_state=0).fit(X, labels(score))
    kinds = {column.name: column.kind for column in model.report_.columns}
    assert kinds == {name: KINDS[name] for name in X.columns}
    p = model.predict_proba(X)
    np.testing.assert_array_equal(model.predict_proba(X.reverse()), p[::-1])


def test_dates_of_other_kinds_than_in_the_fit_are_the_same_moments(classifier):
    X, _ = frame(30, seed=6)
    p = classifier.predict_proba(X)
    Z = X.copy()
    Z["day"] = X["day"].astype(object).where(X["day"].notna(), None)
    Z["moment"] = X["moment"].dt.tz_convert("America/New_York")
    Z["day as object"] = [
        day if day is None or day != day else datetime.datetime(day.year, day.month, day.day)
        for day in X["day as object"]
    ]
    np.testing.assert_array_equal(classifier.predict_proba(Z), p)


# Large tables

SCRIPT = Path(__file__).parents[2] / "asv_bench" / "large_table.py"


def test_a_fit_needs_little_more_memory_than_its_matrix():
    spec = importlib.util.spec_from_file_location("large_table", SCRIPT)
    large_table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(large_table)
    X, y = large_table.mixed_table(10_000)
    model = TabularRegressor("fast", n_members=1, max_iter=2, batch_size=500, random_state=0)
    tracemalloc.start()
    try:
        model.fit(X, y)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    matrix = 4 * len(X) * model.members_[0].n_features_in_
    assert most < 6 * matrix
    assert sum(column.used for column in model.report_.columns) == 49


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is Linux's word")
def test_a_million_rows_of_fifty_columns_fit_in_two_gigabytes():
    arguments = [sys.executable, str(SCRIPT), "--rows", "1000000", "--megabytes", "2000"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=1700)
    assert done.returncode == 0, done.stdout + done.stderr
