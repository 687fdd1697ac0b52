"""Labels: in native byte order, and clear words about those that are no classes."""

import traceback

import numpy as np
import pytest
from problems import N_SAMPLES, inputs, outcome, pair, problem, quietly
from sklearn.linear_model import LogisticRegression
from test_bad_input import fingerprint

from nnjit import MLPClassifier, MLPRegressor

X = inputs()
RNG = np.random.RandomState(3)


def network(**parameters):
    return MLPClassifier(hidden_layer_sizes=(4,), max_iter=3, random_state=0, **parameters)


SWAPPED = {
    "integers": (np.arange(N_SAMPLES) % 2).astype(">i4"),
    "three integers": (np.arange(N_SAMPLES) % 3 - 1).astype(">i8"),
    "unsigned": (np.arange(N_SAMPLES) % 3).astype(">u2"),
    "floats": (np.arange(N_SAMPLES) % 2).astype(">f8"),
    "three floats": (np.arange(N_SAMPLES) % 3).astype(">f4"),
    "text": np.array(["a", "bb", "c"])[np.arange(N_SAMPLES) % 3].astype(">U2"),
    "multilabel": (RNG.uniform(size=(N_SAMPLES, 3)) > 0.5).astype(">i4"),
    "multilabel floats": (RNG.uniform(size=(N_SAMPLES, 2)) > 0.5).astype(">f8"),
    "one class": np.ones(N_SAMPLES, dtype=">i4"),
    "a column": (np.arange(N_SAMPLES) % 2).astype(">i4")[:, np.newaxis],
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.parametrize("name", SWAPPED)
def test_labels_come_back_in_native_byte_order(name):
    y = SWAPPED[name]
    native = y.astype(y.dtype.newbyteorder("="))
    assert not y.dtype.isnative
    models = {"fit": quietly(network().fit, X, y)}
    multilabel = name.startswith("multilabel")
    classes = np.arange(y.shape[1]).astype(">i4") if multilabel else np.unique(y)
    models["partial_fit"] = network().partial_fit(X, y, classes=classes).partial_fit(X, y)
    expected = {
        "fit": quietly(network().fit, X, native),
        "partial_fit": network().partial_fit(X, native, classes=classes).partial_fit(X, native),
    }
    for method, model in models.items():
        predicted = model.predict(X)
        assert predicted.dtype.isnative
        assert model.classes_.dtype.isnative
        assert predicted.dtype == expected[method].predict(X).dtype
        assert (predicted != expected[method].predict(X)).sum() == 0
        assert model.score(X, y) == expected[method].score(X, native)


def test_pandas_counts_predictions_of_big_endian_labels():
    pandas = pytest.importorskip("pandas")
    model = quietly(network().fit, X, SWAPPED["integers"])
    assert pandas.Series(model.predict(X)).value_counts().sum() == N_SAMPLES


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_everything_may_be_big_endian(solver):
    _, y = problem("multioutput")
    weight = np.linspace(0.5, 2, N_SAMPLES)
    results = []
    for order in "=>":
        model = MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, random_state=0, solver=solver)
        rows = X.astype(f"{order}f8")
        quietly(model.fit, rows, y.astype(f"{order}f8"), weight.astype(f"{order}f8"))
        if solver == "adam":
            model.partial_fit(rows, y.astype(f"{order}f4"))
        predicted = model.predict(rows)
        assert predicted.dtype.isnative
        results.append((predicted, model.score(rows, y.astype(f"{order}f8"))))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


# What is no class


def classifiers():
    """A new network, one that was fitted, and one that goes on from a fit."""
    y = np.arange(N_SAMPLES) % 2
    return [network(), quietly(network().fit, X, y), quietly(network(warm_start=True).fit, X, y)]


def check_refused(y, error, words):
    """Refused in the same words by fit and partial_fit, with the estimator as it was."""
    for model in classifiers():
        methods = [("fit", {})]
        if hasattr(model, "classes_"):
            methods.append(("partial_fit", {}))
        else:
            methods.append(("partial_fit", {"classes": [0, 1]}))
        for method, parameters in methods:
            before = fingerprint(model)
            got = outcome(getattr(model, method), X, y, **parameters)
            assert got[0] is error
            assert words in got[1]
            assert len(got[1]) < 300
            assert fingerprint(model) == before


def test_a_continuous_target_is_named_as_logistic_regression_names_it():
    y = np.linspace(0, 1, N_SAMPLES)
    expected = outcome(LogisticRegression().fit, X, y)
    assert expected[1].startswith("Unknown label type: continuous. Maybe you are trying to fit a")
    check_refused(y, *expected)
    check_refused(y.tolist(), *expected)
    check_refused(y.astype(np.float32), *expected)


def test_continuous_classes_are_not_printed():
    got = outcome(network().partial_fit, X, np.arange(N_SAMPLES) % 2, classes=np.linspace(0, 1, 50))
    assert got[0] is ValueError
    assert got[1].startswith("Unknown label type: continuous. Maybe")
    got = outcome(network().partial_fit, X, np.arange(N_SAMPLES) % 2, classes=[0, None])
    assert got[0] is ValueError
    assert got[1].startswith("Input classes contains None (1 of 2 labels, the first at index 1).")


@pytest.mark.parametrize("label", ["a", 1, 1.5, True])
def test_none_among_labels_is_named(label):
    y = [label] * N_SAMPLES
    y[5] = y[9] = None
    words = f"Input y contains None (2 of {N_SAMPLES} labels, the first at index 5)."
    check_refused(y, ValueError, words)
    check_refused(np.array(y, dtype=object), ValueError, words)
    check_refused([None] * N_SAMPLES, ValueError, f"({N_SAMPLES} of {N_SAMPLES} labels, the first")


TEXT = ["rye", "oat"] * (N_SAMPLES // 2)
GAPS = [None if i in (5, 9) else text for i, text in enumerate(TEXT)]


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="needs NumPy 2")
def test_numpys_texts_of_any_width_are_labels():
    y = np.array(TEXT, dtype=np.dtypes.StringDType())
    kept = np.array(TEXT, dtype=np.dtypes.StringDType(na_object=None))
    expected = quietly(network().fit, X, np.array(TEXT))
    model = quietly(network().fit, X, y)
    for got in (model, quietly(network().fit, X, kept)):
        assert got.classes_.tolist() == ["oat", "rye"]
        assert got.classes_.dtype == got.predict(X).dtype == "<U3"
        np.testing.assert_array_equal(got.predict_proba(X), expected.predict_proba(X))
    assert model.score(X, y) == expected.score(X, TEXT)
    model.partial_fit(X, y)
    first = network().partial_fit(X, y, classes=np.array(["rye", "oat"], dtype=y.dtype))
    assert first.classes_.tolist() == ["oat", "rye"]
    assert quietly(network().fit, X, np.c_[y, y]).classes_[1].tolist() == ["oat", "rye"]


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="needs NumPy 2")
@pytest.mark.parametrize("mark", [None, np.nan, "pandas"])
def test_missing_ones_among_numpys_texts_are_named(mark):
    mark = pytest.importorskip("pandas").NA if mark == "pandas" else mark
    y = np.array(GAPS, dtype=object)
    y[[5, 9]] = mark
    check_refused(y.astype(np.dtypes.StringDType(na_object=mark)), ValueError, "contains NaN")
    for empty in (y[:0], np.c_[y, y][:0]):
        with pytest.raises(ValueError, match="Found array with 0 sample"):
            network().fit(X[:0], empty.astype(np.dtypes.StringDType(na_object=mark)))


@pytest.mark.parametrize("kind", ["string", "string[python]", "string[pyarrow]"])
def test_missing_ones_among_pandas_texts_are_named(kind):
    """In fits, validation rows and scores; of frames, arrays, indices and categories as well."""
    pd = pytest.importorskip("pandas")
    if kind.endswith("[pyarrow]"):
        pytest.importorskip("pyarrow")
    y = pd.Series(GAPS, dtype=kind)
    check_refused(y, ValueError, "contains NaN")
    check_refused(pd.DataFrame({"a": TEXT, "b": y}), ValueError, "contains NaN")
    check_refused(y.astype("category"), ValueError, "contains NaN")
    check_refused(y.array, ValueError, "contains NaN")
    check_refused(pd.Index(y), ValueError, "contains NaN")
    check_refused(np.array(y, dtype=object), ValueError, "contains NaN")
    model = quietly(network().fit, X, TEXT)
    with pytest.raises(ValueError, match="contains NaN"):
        network().fit(X, TEXT, X_val=X, y_val=y)
    with pytest.raises(ValueError, match="contains NaN"):
        model.score(X, y)
    assert quietly(network().fit, X, y.fillna("oat")).classes_.tolist() == ["oat", "rye"]


def test_labels_of_several_types_are_named():
    y = np.array(["a", 1] * (N_SAMPLES // 2), dtype=object)
    check_refused(y, TypeError, "uniformly strings or numbers. Got ['int', 'str'].")


@pytest.mark.parametrize("label", [3, {"a": 1}.keys(), object()], ids=["int", "keys", "object"])
def test_objects_are_to_be_converted(label):
    y = np.empty(N_SAMPLES, dtype=object)
    y[:] = [label] * N_SAMPLES
    words = f"Objects ({type(label).__name__}) have to be converted to numbers, text or datetime64."
    check_refused(y, ValueError, words)


def test_the_print_of_all_labels_is_not_in_the_traceback_either():
    try:
        network().fit(X, np.linspace(0, 1, N_SAMPLES))
    except ValueError:
        assert "array(" not in traceback.format_exc()


def test_errors_that_are_clear_already_are_those_of_scikit_learn():
    y = np.array(["a", np.nan] * (N_SAMPLES // 2), dtype=object)
    for labels in (y, np.array([0, np.nan] * (N_SAMPLES // 2))):
        ours, theirs = pair("binary")
        assert outcome(ours.fit, X, labels) == outcome(theirs.fit, X, labels)
