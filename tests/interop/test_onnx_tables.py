"""Estimators of tables as ONNX models whose inputs are the columns as they are."""

import numpy as np
import pytest
from frame_runs import assert_alike, run, session
from onnx_runs import NEEDED
from sklearn.exceptions import NotFittedError

import nnjit
from nnjit.estimators._table import TableEncoder
from nnjit.interop.onnx import feeds, to_onnx
from nnjit.interop.onnx.columns import METADATA, in_metadata, table_inputs
from nnjit.interop.onnx.graph import Graph
from nnjit.interop.onnx.table_columns import encoded

pd = pytest.importorskip("pandas", reason="frames need pandas")
pytest.importorskip("skl2onnx", reason=NEEDED)

DAY = 24 * 3600
SMALL = {"preset": "fast", "n_members": 2, "max_iter": 3, "random_state": 0}


def frame(n, seed=0):
    """Columns of every kind, with missing cells."""
    rng = np.random.default_rng(seed)

    def with_gaps(values, gap):
        return [gap if missing else value for value, missing in zip(values, rng.random(n) < 0.1)]

    seconds = rng.integers(0, 90 * 365 * DAY, n)
    when = pd.Timestamp("1931-02-27") + pd.to_timedelta(seconds, unit="s")
    days = pd.Timestamp("2000-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), unit="D")
    return pd.DataFrame(
        {
            "price": with_gaps(rng.normal(size=n) * 1e3 + 5e6, np.nan),
            "count": rng.integers(0, 50, n),
            "two": rng.choice([3, 8], n),
            "kind": rng.choice(["ape", "bee", "New York", "  cow"], n),
            "many": with_gaps(rng.choice([f"ärger {k}" for k in range(30)], n), None),
            "when": with_gaps(when, pd.NaT),
            "flag": rng.choice([True, False], n),
            "maybe": pd.array(rng.choice([True, False, None], n), dtype="boolean"),
            "euros": [f"{x:,.2f} €" for x in rng.uniform(0, 1e5, n)],
            "comma": [f"{x:.3f}".replace(".", ",") for x in rng.normal(size=n)],
            "day": days.strftime("%Y-%m-%d"),
            "took": pd.to_timedelta(rng.integers(0, 9999, n), unit="s"),
            "constant": 1,
            "number": pd.Categorical(rng.choice([1, 2, 30], n)),
        }
    )


FRAME = frame(300)
ROWS = frame(40, seed=1)
ROWS.loc[0, "kind"] = "öfter never seen"
ROWS.loc[1, "kind"] = "N/a"
ROWS.loc[2, "many"] = "ärger unseen"
ROWS.loc[3, "price"] = np.inf
ROWS.loc[4, "when"] = pd.Timestamp("2024-02-29 23:59:59.999999")
ROWS.loc[5, "when"] = pd.Timestamp("1900-03-01")
SIGNAL = np.nan_to_num(FRAME["price"].to_numpy(), nan=5e6) - 5e6 + 900 * (FRAME["kind"] == "ape")
LETTERS = np.array(["a", "bä", "c"])[np.digitize(SIGNAL, [-300, 600])]


def encoder_model(encoder, X=None):
    """A model whose output is the encoder's matrix."""
    inputs, graph = table_inputs(encoder, X), Graph(20)
    columns = {one.place: graph.input(one.name, one.dtype, ["n", 1]) for one in inputs}
    graph.output("features", encoded(graph, encoder, columns), ["n", encoder.width])
    return graph.model("table", metadata={METADATA: in_metadata(inputs)})


@pytest.mark.parametrize("types", ["of the rows", "as they come"])
def test_the_graph_makes_the_very_matrix_that_the_encoder_makes(types):
    encoder = TableEncoder(clip=types == "of the rows").fit(FRAME)
    model = encoder_model(encoder, FRAME if types == "of the rows" else None)
    for rows in (ROWS, ROWS[:1], FRAME):
        np.testing.assert_array_equal(run(model, rows)["features"], encoder.transform(rows))


def test_inputs_are_the_used_columns_in_the_types_of_the_rows():
    given = {one.name: one.type for one in table_inputs(TableEncoder().fit(FRAME), FRAME)}
    assert "constant" not in given
    assert given["price"] == given["euros"] == given["took"] == "float64"
    assert given["count"] == given["when"] == given["day"] == "int64"
    assert given["kind"] == given["maybe"] == "string"
    assert given["flag"] == "bool"


def test_blanks_around_text_that_the_runtime_is_given_are_no_part_of_it():
    encoder = TableEncoder().fit(FRAME[["kind", "count"]])
    rows = ROWS[["kind", "count"]][:8].assign(
        kind=["  ape", "ape   ", " New   York ", "cow", "   ", " n/a", "New York x", "Newer York"]
    )
    raw = rows["kind"].to_numpy(dtype=object)[:, np.newaxis]
    found = run(encoder_model(encoder), rows, kind=raw)["features"]
    expected = encoder.transform(rows.assign(kind=rows["kind"].replace(" New   York ", "New York")))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["int64", "float64", "float32"])
def test_categories_that_are_numbers(dtype):
    values = np.tile([0.5, 2.0, 7.0, np.nan] if dtype != "int64" else [1, 2, 70, 3], 20)
    X = pd.DataFrame({"a": values.astype(dtype), "b": np.arange(80.0) % 11})
    encoder = TableEncoder(categorical_features=["a"]).fit(X)
    rows = X[:6].copy()
    rows.loc[0, "a"] = 9 if dtype == "int64" else 1.25
    for types in (X, None):
        found = run(encoder_model(encoder, types), rows)["features"]
        np.testing.assert_array_equal(found, encoder.transform(rows))


def test_words_that_have_become_numbers_were_never_seen():
    X = pd.DataFrame({"a": ["p", "q", "r"] * 20, "b": np.arange(60.0) % 7})
    encoder = TableEncoder().fit(X)
    rows = X.assign(a=np.arange(60))
    found = run(encoder_model(encoder, rows), rows)["features"]
    np.testing.assert_array_equal(found, encoder.transform(rows))


def test_truth_that_has_become_numbers_is_read_as_truth():
    X = pd.DataFrame({"a": [True, False] * 20, "b": np.arange(40.0) % 7})
    encoder = TableEncoder().fit(X)
    rows = X.assign(a=X["a"].astype(int))
    found = run(encoder_model(encoder, rows), rows)["features"]
    np.testing.assert_array_equal(found, encoder.transform(rows))


def test_dates_come_in_the_time_of_the_fit():
    when = pd.date_range("2021-01-01", periods=60, freq="17h", tz="Europe/Berlin")
    X = pd.DataFrame({"when": when, "b": np.arange(60.0) % 7})
    encoder = TableEncoder().fit(X)
    rows = X.assign(when=X["when"].dt.tz_convert("America/New_York"))
    found = run(encoder_model(encoder), rows)["features"]
    np.testing.assert_array_equal(found, encoder.transform(X))


CLASSES = {
    "binary": SIGNAL > 0,
    "letters": LETTERS,
    "one class": np.full(300, "only"),
    "multilabel": np.stack([SIGNAL > 0, SIGNAL > 600], axis=1).astype(int),
}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_classifier_takes_raw_columns(kind):
    model = nnjit.TabularClassifier(**SMALL).fit(FRAME, CLASSES[kind])
    assert_alike(to_onnx(model, FRAME), model, ROWS)


def test_several_columns_of_classes():
    y = np.stack([LETTERS, np.where(SIGNAL > 0, "p", "q")], axis=1)
    model = nnjit.TabularClassifier(**SMALL).fit(FRAME, y)
    found, labels, p = run(to_onnx(model), ROWS), model.predict(ROWS), model.predict_proba(ROWS)
    for k in range(2):
        np.testing.assert_array_equal(found[f"label_{k}"], labels[:, k])
        np.testing.assert_allclose(found[f"probabilities_{k}"], p[k], atol=1e-5)


@pytest.mark.parametrize("quantile", [None, 0.3, (0.9, 0.1, 0.5)])
def test_a_regressor_moves_sorts_and_cuts_off_as_it_does(quantile):
    y = 1e5 + np.asarray(SIGNAL)
    model = nnjit.TabularRegressor(**SMALL, quantile=quantile).fit(FRAME, y)
    assert_alike(to_onnx(model), model, ROWS)


def test_several_values():
    model = nnjit.TabularRegressor(**SMALL).fit(FRAME, np.stack([SIGNAL, 5 - SIGNAL], axis=1))
    assert_alike(to_onnx(model), model, ROWS)


@pytest.mark.parametrize("numeric_embedding", ["periodic", "piecewise"])
def test_recipes(numeric_embedding):
    model = nnjit.TabularClassifier(
        **SMALL, numeric_embedding=numeric_embedding, parametric=True, smooth_clip=False
    ).fit(FRAME, LETTERS)
    assert_alike(to_onnx(model), model, ROWS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_of_numbers_are_one_input(dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 6)).astype(dtype)
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, 2], X[:, 3], X[:, 4] = X[:, 2] > 0, rng.choice([1, np.nan], 200), 1
    model = nnjit.TabularClassifier(**SMALL).fit(X, X[:, 5] > 0)
    exported = to_onnx(model, X)
    assert [one.name for one in exported.graph.input] == ["X"]
    rows = X[:30].copy()
    rows[0, 0], rows[1, 1] = np.inf, -np.inf
    assert_alike(exported, model, rows)


def test_arrays_of_objects_have_an_input_a_column():
    X = FRAME[["price", "kind", "count"]].to_numpy(dtype=object)
    model = nnjit.TabularClassifier(**SMALL).fit(X, LETTERS)
    exported = to_onnx(model)
    assert [one.name for one in exported.graph.input] == ["x0", "x1", "x2"]
    assert_alike(exported, model, X[:20])


def test_frames_of_polars():
    pl = pytest.importorskip("polars", reason="frames of polars")
    columns = ["price", "count", "kind", "many", "flag", "euros"]
    given = [X[columns].astype(object).where(X[columns].notna(), None) for X in (FRAME, ROWS)]
    frames = [pl.DataFrame({name: X[name].tolist() for name in columns}) for X in given]
    model = nnjit.TabularClassifier(**SMALL).fit(frames[0], LETTERS)
    assert_alike(to_onnx(model, frames[0]), model, frames[1])


def test_columns_in_another_order_are_found_by_name():
    model = nnjit.TabularClassifier(**SMALL).fit(FRAME, LETTERS)
    found = run(to_onnx(model), ROWS[ROWS.columns[::-1]])
    np.testing.assert_array_equal(found["label"], model.predict(ROWS))


def test_columns_that_are_called_as_outputs_are():
    X = FRAME[["price", "kind", "count"]].set_axis(["label", "X", "probabilities"], axis=1)
    model = nnjit.TabularClassifier(**SMALL).fit(X, LETTERS)
    exported = to_onnx(model)
    assert [one.name for one in exported.graph.input] == ["label_", "X_", "probabilities_"]
    assert_alike(exported, model, X[:9])


@pytest.mark.parametrize("names", [["constant_1", "Cast_1"], ["label_0", "probabilities_1"]])
def test_columns_that_are_called_as_what_the_graph_makes(names):
    X = FRAME[["price", "kind"]].set_axis(names, axis=1)
    targets = np.stack([LETTERS, LETTERS[::-1]], axis=1)
    model = nnjit.TabularClassifier(**SMALL).fit(X, targets)
    found = run(to_onnx(model, X), X[:9])
    for number, expected in enumerate(model.predict_proba(X[:9])):
        np.testing.assert_allclose(found[f"probabilities_{number}"], expected, atol=1e-5)


def test_what_cannot_be_written_is_refused():
    model = nnjit.TabularClassifier(**SMALL)
    with pytest.raises(NotFittedError):
        to_onnx(model)
    model.fit(FRAME, LETTERS)
    with pytest.raises(ValueError, match="opset is an int from 20"):
        to_onnx(model, opset=18)
    nothing = pd.DataFrame({"a": [1.0] * 40})
    with pytest.warns(UserWarning, match="No column"):
        model.fit(nothing, ["p", "q"] * 20)
    with pytest.raises(ValueError, match="No column tells rows apart"):
        to_onnx(model)


def test_tensors_are_made_for_models_alone():
    with pytest.raises(TypeError, match="feeds takes a model that to_onnx made.* got str"):
        feeds("model.onnx", FRAME)


def test_rows_that_do_not_fit_are_refused_by_column():
    made = session(to_onnx(nnjit.TabularClassifier(**SMALL).fit(FRAME, LETTERS), FRAME))
    with pytest.raises(ValueError, match="X has no column 'price'"):
        feeds(made, ROWS.drop(columns="price"))
    with pytest.raises(ValueError, match="Column 'count': it holds missing values or fractions"):
        feeds(made, ROWS.assign(count=0.5))
    with pytest.raises(ValueError, match="Column 'flag': it has missing values"):
        feeds(made, ROWS.assign(flag=None))
    with pytest.raises(ValueError, match="Column 'when': it held dates in fit"):
        feeds(made, ROWS.assign(when=1.0))
