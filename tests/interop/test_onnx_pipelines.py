"""Pipelines of scikit-learn's and nnjit's estimators as one ONNX model."""

import sys
import warnings

import numpy as np
import pytest
from frame_runs import assert_alike, run, session
from onnx_runs import NEEDED
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils._param_validation import InvalidParameterError

import nnjit
from nnjit.interop.onnx import register, to_onnx

skl2onnx = pytest.importorskip("skl2onnx", reason=NEEDED)
pd = pytest.importorskip("pandas", reason="frames need pandas")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 6)) * 3 + 1
BINARY, LETTERS = (
    (X[:, 0] > 1).astype(int),
    np.array(["a", "bä", "c"])[np.digitize(X[:, 1], [0, 2])],
)
VALUES = np.exp(X[:, 0] / 3)
SEVERAL = np.stack([VALUES, X[:, 2]], axis=1)
PRECISION = {np.float32: 1e-5, np.float64: 1e-10}
TABLE = {"preset": "fast", "n_members": 1, "max_iter": 2, "random_state": 0}


def classifier(**parameters):
    return nnjit.MLPClassifier((8,), max_iter=10, random_state=0, **parameters)


def regressor(**parameters):
    return nnjit.MLPRegressor(hidden_layer_sizes=(8,), max_iter=10, random_state=0, **parameters)


def encoder():
    return OneHotEncoder(handle_unknown="ignore")


def fitted(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


ALPHAS = {"alpha": [1e-4, 1.0]}
CASES = {
    "classes": lambda: (make_pipeline(StandardScaler(), classifier()), LETTERS),
    "nested": lambda: (
        make_pipeline(
            make_pipeline(StandardScaler(), "passthrough", MinMaxScaler()),
            make_pipeline(RobustScaler(), classifier()),
        ),
        BINARY,
    ),
    "values": lambda: (make_pipeline(StandardScaler(), regressor()), VALUES),
    "several values": lambda: (make_pipeline(StandardScaler(), regressor()), SEVERAL),
    "radial": lambda: (
        make_pipeline(StandardScaler(), nnjit.RBFClassifier(random_state=0)), LETTERS
    ),
    "radial values": lambda: (
        make_pipeline(StandardScaler(), nnjit.RBFRegressor(random_state=0)), VALUES
    ),
    "selected": lambda: (make_pipeline(SelectKBest(k=4), PCA(2), classifier()), BINARY),
    "union": lambda: (
        make_pipeline(
            FeatureUnion([
                ("scaled", StandardScaler()),
                ("hidden", nnjit.HiddenFeatures(classifier())),
                ("code", nnjit.AutoEncoder(3, max_iter=3, random_state=0)),
            ]),
            classifier(),
        ),
        BINARY,
    ),
    "code": lambda: (
        make_pipeline(
            StandardScaler(), nnjit.AutoEncoder(3, max_iter=3, random_state=0), LogisticRegression()
        ),
        BINARY,
    ),
    "map": lambda: (
        make_pipeline(
            StandardScaler(), nnjit.SelfOrganizingMap((3, 4), max_iter=3), LogisticRegression()
        ),
        BINARY,
    ),
    "map at the end": lambda: (
        make_pipeline(StandardScaler(), nnjit.SelfOrganizingMap((3, 4), max_iter=3)), None
    ),
    "series": lambda: (
        make_pipeline(nnjit.SeriesScaler(input_shape=(2, 3)), classifier()), LETTERS
    ),
    "table": lambda: (
        make_pipeline(StandardScaler(), nnjit.TabularClassifier(**TABLE)), LETTERS
    ),
    "logarithms": lambda: (
        TransformedTargetRegressor(
            make_pipeline(StandardScaler(), regressor()), func=np.log1p, inverse_func=np.expm1
        ),
        VALUES,
    ),
    "scaled targets": lambda: (
        make_pipeline(
            RobustScaler(), TransformedTargetRegressor(regressor(), transformer=StandardScaler())
        ),
        SEVERAL,
    ),
    "targets scaled twice": lambda: (
        TransformedTargetRegressor(
            regressor(), transformer=make_pipeline(MinMaxScaler(), RobustScaler())
        ),
        VALUES,
    ),
    "grid": lambda: (
        GridSearchCV(
            make_pipeline(StandardScaler(), classifier()), {"mlpclassifier__alpha": [1, 2]}, cv=2
        ),
        LETTERS,
    ),
    "grid inside": lambda: (
        make_pipeline(StandardScaler(), GridSearchCV(classifier(), ALPHAS, cv=2)), LETTERS
    ),
    "random": lambda: (RandomizedSearchCV(regressor(), ALPHAS, n_iter=2, cv=2), VALUES),
    "halving": lambda: (
        HalvingGridSearchCV(classifier(), ALPHAS, cv=2, min_resources=60), BINARY
    ),
    "sigmoid": lambda: (CalibratedClassifierCV(classifier(), cv=2), LETTERS),
    "isotonic": lambda: (
        CalibratedClassifierCV(
            make_pipeline(StandardScaler(), classifier()), method="isotonic", cv=2
        ),
        BINARY,
    ),
    "isotonic of three": lambda: (
        CalibratedClassifierCV(classifier(), method="isotonic", cv=2), LETTERS
    ),
    "frozen": lambda: (
        CalibratedClassifierCV(FrozenEstimator(fitted(classifier(), X, BINARY)), cv=2), BINARY
    ),
    "votes": lambda: (
        VotingClassifier(
            [("a", classifier()), ("b", LogisticRegression())],
            voting="soft", flatten_transform=False,
        ),
        BINARY,
    ),
    "stacked": lambda: (
        StackingRegressor(
            [("a", GridSearchCV(regressor(), ALPHAS, cv=2)), ("b", Ridge())], cv=2
        ),
        VALUES,
    ),
    "bagged": lambda: (BaggingRegressor(regressor(), n_estimators=2, random_state=0), VALUES),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_one_model_predicts_what_the_pipeline_does(name, dtype):
    if name.startswith("isotonic") and dtype == np.float32:
        pytest.skip("its slopes are steep: rounding in float32 is seen in probabilities")
    model, y = CASES[name]()
    rows = X.astype(dtype)
    fitted(model, rows, y)
    exported = to_onnx(model, rows)
    # members of a table are float32 whatever comes in
    assert_alike(exported, model, rows, 1e-5 if name == "table" else PRECISION[dtype])


FRAME = pd.DataFrame(
    {
        "x": X[:, 0],
        "kind": np.resize(["ape", "bée", "cow"], 120),
        "count": RNG.integers(0, 9, 120),
        "flag": RNG.random(120) > 0.5,
    }
)
FRAME.loc[3, "x"] = np.nan
UNSEEN = FRAME.copy()
UNSEEN.loc[0, "kind"] = "unseen"
IS_APE = (FRAME["kind"] == "ape").to_numpy().astype(int)
NUMBERS = FRAME[["x", "count"]].fillna(0.0)

FRAMES = {
    "columns": lambda: (
        make_pipeline(
            ColumnTransformer([
                ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["x", "count"]),
                ("words", OneHotEncoder(handle_unknown="ignore"), ["kind"]),
            ]),
            classifier(),
        ),
        UNSEEN,
    ),
    "columns of a network": lambda: (
        make_pipeline(
            ColumnTransformer([("hidden", nnjit.HiddenFeatures(regressor()), ["count", "x"])],
                              remainder="passthrough"),
            regressor(),
        ),
        NUMBERS,
    ),
    "numbers alone": lambda: (make_pipeline(StandardScaler(), classifier()), NUMBERS),
    "a table": lambda: (make_pipeline(nnjit.TabularClassifier(**TABLE)), UNSEEN),
    "a table that was searched": lambda: (
        GridSearchCV(nnjit.TabularClassifier(**TABLE), {"dropout": [0.0, 0.1]}, cv=2), UNSEEN
    ),
    "logarithms of a table": lambda: (
        TransformedTargetRegressor(
            nnjit.TabularRegressor(**TABLE), func=np.log1p, inverse_func=np.expm1
        ),
        UNSEEN,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_goes_in_column_by_column(name):
    model, rows = FRAMES[name]()
    known = NUMBERS if rows is NUMBERS else FRAME
    fitted(model, known, IS_APE)
    assert_alike(to_onnx(model, known), model, rows)


def test_text_of_a_pipeline_is_taken_as_it_is():
    words = ColumnTransformer(
        [
            ("filled", make_pipeline(SimpleImputer(strategy="most_frequent"), encoder()), ["a"]),
            ("words", encoder(), ["b"]),
            ("numbers", encoder(), ["c"]),
        ]
    )
    rows = pd.DataFrame(
        {
            "a": np.array(["x", " x", "n/a", np.nan, "y", "y"], dtype=object),
            "b": [" ", "", "nan", "z ", "z", "\u0142"],
            "c": pd.Categorical([3, 4, 5, 3, 4, 5]),
        }
    )
    model = fitted(make_pipeline(words, classifier()), rows, [0, 1, 0, 1, 0, 1])
    assert_alike(to_onnx(model, rows), model, rows)


@pytest.mark.parametrize(
    "names",
    [("X", "label"), ("X_", "X"), ("constant_1", "part_1_variable"), ("größe/m²", "größe?m²")],
    ids=" and ".join,
)
def test_columns_may_be_called_anything(names):
    rows = pd.DataFrame({names[0]: NUMBERS["x"], names[1]: FRAME["kind"]})
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), [names[0]]), ("words", encoder(), [names[1]])]
    )
    model = fitted(make_pipeline(columns, classifier()), rows, IS_APE)
    assert_alike(to_onnx(model, rows), model, rows)


def test_columns_picked_by_their_place_are_those_of_the_fit():
    columns = ColumnTransformer([("a", StandardScaler(), [0]), ("b", MinMaxScaler(), [1])])
    model = fitted(make_pipeline(columns, classifier()), NUMBERS, IS_APE)
    assert_alike(to_onnx(model, NUMBERS[NUMBERS.columns[::-1]]), model, NUMBERS)


@pytest.mark.parametrize("package", ["pandas", "polars", "pyarrow"])
def test_rows_of_one_input_are_taken_from_a_frame_by_name(package):
    pytest.importorskip(package, reason=f"frames of {package} need it")
    model = fitted(make_pipeline(StandardScaler(), classifier()), NUMBERS, IS_APE)
    exported = to_onnx(model, NUMBERS)
    frame = NUMBERS.assign(more=1.0)[["more", *NUMBERS.columns[::-1]]]
    if package == "polars":
        frame = sys.modules["polars"].from_pandas(frame)
    elif package == "pyarrow":
        frame = sys.modules["pyarrow"].Table.from_pandas(frame)
    np.testing.assert_array_equal(run(exported, frame)["label"], model.predict(NUMBERS))
    with pytest.raises(ValueError, match=f"X has no column '{NUMBERS.columns[0]}'"):
        run(exported, NUMBERS.drop(columns=NUMBERS.columns[0]))


def test_a_frame_of_numbers_is_one_input_where_nothing_is_picked():
    model = fitted(make_pipeline(StandardScaler(), classifier()), NUMBERS, IS_APE)
    assert [one.name for one in to_onnx(model, NUMBERS).graph.input] == ["X"]
    assert [one.name for one in to_onnx(model).graph.input] == ["X"]


@pytest.mark.parametrize("y", [BINARY, LETTERS], ids=["two classes", "three classes"])
def test_temperatures(y):
    try:
        model = fitted(CalibratedClassifierCV(classifier(), method="temperature", cv=2), X, y)
    except InvalidParameterError:
        pytest.skip("scikit-learn has them from 1.8 on")
    assert_alike(to_onnx(model, X), model, X, 1e-10)


def test_what_is_at_the_end_has_all_of_its_outputs():
    y = np.stack([LETTERS, np.where(X[:, 0] > 1, "p", "q")], axis=1)
    model = fitted(make_pipeline(StandardScaler(), classifier()), X, y)
    found, labels = run(to_onnx(model, X), X), model.predict(X)
    for k in range(2):
        np.testing.assert_array_equal(found[f"label_{k}"], labels[:, k])
    model = fitted(make_pipeline(StandardScaler(), nnjit.AutoEncoder(2, max_iter=2)), X, None)
    scores = run(to_onnx(model, X, output="scores"), X)["scores"]
    np.testing.assert_allclose(scores, model.score_samples(X), rtol=1e-9)


def test_skl2onnx_knows_the_estimators_once_they_are_registered():
    register()
    model = fitted(make_pipeline(StandardScaler(), classifier()), X, LETTERS)
    rows = X.astype(np.float32)
    exported = skl2onnx.to_onnx(model, rows[:1], options={"zipmap": False})
    assert_alike(exported, model, rows)
    zipped = session(skl2onnx.to_onnx(model, rows[:1]))
    name = zipped.get_inputs()[0].name
    _, maps = zipped.run(None, {name: rows[:2]})
    found = [[one[label] for label in model.classes_] for one in maps]
    np.testing.assert_allclose(found, model.predict_proba(rows[:2]), atol=1e-5)


def test_skl2onnx_gives_an_estimator_of_tables_the_columns_of_a_frame():
    register()
    known = FRAME.dropna()
    model = make_pipeline(nnjit.TabularClassifier(**TABLE)).fit(known, IS_APE[known.index])
    exported = skl2onnx.to_onnx(model, known[:1], options={"zipmap": False}, target_opset=20)
    made = session(exported)
    given = {name: known[[name]].to_numpy() for name in known}
    given["x"] = given["x"].astype(np.float64)
    label, p = made.run(None, given)
    np.testing.assert_array_equal(label, model.predict(known))
    np.testing.assert_allclose(p, model.predict_proba(known), atol=1e-5)
    with pytest.raises(ValueError, match="needs opset 20"):
        skl2onnx.to_onnx(model, known[:1], target_opset=18)


@pytest.mark.parametrize(
    "model, error, words",
    [
        (TransformedTargetRegressor(regressor(), transformer=PowerTransformer()), ValueError,
         "PowerTransformer as the transformer of a target has no form in ONNX"),
        (TransformedTargetRegressor(regressor(), func=np.cbrt, inverse_func=lambda y: y**3),
         ValueError, "has no form in ONNX; NumPy's exp"),
        (GridSearchCV(regressor(), ALPHAS, cv=2, refit=False), ValueError, "refit=False"),
        (CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=2), ValueError,
         "of a LogisticRegression has no form in ONNX"),
        (make_pipeline(PolynomialFeatures(2), regressor()), ValueError,
         "skl2onnx cannot write this PolynomialFeatures: .* give to_onnx rows of float32"),
        (make_pipeline(SimpleImputer(add_indicator=True), regressor()), ValueError,
         "add_indicator=True"),
    ],
)  # fmt: skip
def test_what_has_no_form_is_refused_by_name(model, error, words):
    fitted(model, X, BINARY)
    with pytest.raises(error, match=words):
        to_onnx(model, X)


def test_a_pipeline_that_picks_columns_asks_for_rows():
    model, _ = FRAMES["columns"]()
    fitted(model, FRAME, IS_APE)
    with pytest.raises(ValueError, match="to_onnx needs X, some rows of the frame"):
        to_onnx(model)
    with pytest.raises(ValueError, match="Column 'x': it holds dates"):
        to_onnx(model, FRAME.assign(x=pd.Timestamp("2020-01-01")))
    with pytest.raises(ValueError, match="Column 'x': it holds values of several kinds"):
        to_onnx(model, FRAME.assign(x=np.resize(np.array([1, "a"], dtype=object), 120)))
    with pytest.raises(ValueError, match="opset"):
        to_onnx(model, FRAME, opset=23)
    fitted(model, FRAME.assign(kind=FRAME["kind"].where(FRAME["count"] > 1, None)), IS_APE)
    with pytest.raises(ValueError, match="OneHotEncoder has a category for missing text"):
        to_onnx(model, FRAME)


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch):
    model = fitted(Pipeline([("a", StandardScaler()), ("b", Ridge())]), X, VALUES)
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r"skl2onnx: pip install 'nnjit\[onnx\]'"):
        to_onnx(model, X)
