"""Votes, stacks, bags, thresholds and picked columns around networks, as one ONNX model."""

import warnings

import numpy as np
import pytest
from frame_runs import assert_alike, run
from onnx_runs import NEEDED
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import RFE
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import fbeta_score, make_scorer
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    PowerTransformer,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import LinearSVC
from sklearn.utils._param_validation import InvalidParameterError

import nnjit
from nnjit.interop.onnx import to_onnx

pytest.importorskip("skl2onnx", reason=NEEDED)
pd = pytest.importorskip("pandas", reason="frames need pandas")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
LETTERS = np.array(["a", "b", "c"])[np.argmax(X[:, :3] + RNG.normal(size=(90, 3)) / 3, axis=1)]
BINARY = np.where(X[:, 0] > 0, "no", "yes")
VALUES = X[:, 0] ** 2 + X[:, 1]
PRECISION = {np.float32: 2e-5, np.float64: 1e-6}


def classifier(activation="relu", **parameters):
    return nnjit.MLPClassifier(
        (6,), activation=activation, solver="lbfgs", max_iter=30, random_state=0, **parameters
    )


def regressor(activation="relu"):
    return nnjit.MLPRegressor(
        hidden_layer_sizes=(6,), activation=activation, solver="lbfgs", max_iter=30, random_state=0
    )


def fitted(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        return model.fit(X, y)


def three(make, dropped=False):
    members = [("a", make("relu")), ("b", make("tanh")), ("c", make("logistic"))]
    return [("dropped", "drop"), *members] if dropped else members


CASES = {
    "soft votes": lambda: (VotingClassifier(three(classifier), voting="soft"), LETTERS),
    "soft votes of a list of weights": lambda: (
        VotingClassifier(three(classifier), voting="soft", weights=[3, 1, 0.5]), LETTERS
    ),
    "votes without the one that was dropped": lambda: (
        VotingClassifier(three(classifier, True), voting="soft", weights=[99, 3, 1, 0.5]), BINARY
    ),
    "hard votes": lambda: (
        VotingClassifier(three(classifier, True), weights=[99, 1, 1.5, 0.7]), LETTERS
    ),
    "hard votes, of one without probabilities": lambda: (
        VotingClassifier([*three(classifier)[:2], ("svm", LinearSVC())]), LETTERS
    ),
    "a classifier without probabilities": lambda: (
        make_pipeline(nnjit.HiddenFeatures(classifier()), LinearSVC()), LETTERS
    ),
    "mean values": lambda: (
        VotingRegressor(three(regressor, True), weights=[99, 3, 1, 0.5]), VALUES
    ),
    "a stack": lambda: (
        StackingClassifier(three(classifier), final_estimator=classifier(), cv=2), LETTERS
    ),
    "a stack of two classes": lambda: (
        StackingClassifier(three(classifier, True), cv=2, passthrough=True), BINARY
    ),
    "a stack of predictions": lambda: (
        StackingClassifier(
            three(classifier), final_estimator=classifier(), cv=2, stack_method="predict"
        ),
        LETTERS,
    ),
    "a stack of large labels": lambda: (
        StackingClassifier(three(classifier), cv=2), (X[:, 0] > 0) * 10**12
    ),
    "a stack of values": lambda: (
        StackingRegressor(three(regressor), final_estimator=regressor(), passthrough=True), VALUES
    ),
    "a bag": lambda: (
        BaggingClassifier(classifier(), n_estimators=3, max_features=2, random_state=0), LETTERS
    ),
    "a bag whose members lack classes": lambda: (
        BaggingClassifier(classifier(), n_estimators=4, max_samples=4, random_state=0), LETTERS
    ),
    "a bag of several values": lambda: (
        BaggingRegressor(regressor(), n_estimators=3, random_state=0), np.c_[VALUES, X[:, 3]]
    ),
    "votes that are calibrated": lambda: (
        CalibratedClassifierCV(VotingClassifier(three(classifier), voting="soft"), cv=2), LETTERS
    ),
    "a stack that votes": lambda: (
        VotingClassifier(
            [("s", StackingClassifier(three(classifier), cv=2)), ("m", classifier())],
            voting="soft",
        ),
        BINARY,
    ),
    "votes inside of what skl2onnx writes": lambda: (
        OneVsRestClassifier(VotingClassifier(three(classifier, True), voting="soft")), LETTERS
    ),
    "a threshold": lambda: (FixedThresholdClassifier(classifier(), threshold=0.02), BINARY),
    "a threshold of the first label": lambda: (
        FixedThresholdClassifier(classifier(), threshold=0.02, pos_label="no"), BINARY
    ),
    "a threshold that was found": lambda: (
        make_pipeline(
            StandardScaler(),
            TunedThresholdClassifierCV(
                classifier(alpha=1.0),
                scoring=make_scorer(fbeta_score, beta=5, pos_label="no"),
                cv=2,
            ),
        ),
        BINARY,
    ),
    "the largest magnitude": lambda: (make_pipeline(Normalizer("max"), classifier()), LETTERS),
    "rows of length one": lambda: (make_pipeline(Normalizer(), classifier()), LETTERS),
    "a range that is kept": lambda: (
        make_pipeline(MinMaxScaler((-1, 2), clip=True), classifier()), LETTERS
    ),
    "a union with nothing dropped in it": lambda: (
        make_pipeline(
            FeatureUnion(
                [("a", StandardScaler()), ("b", "drop"), ("c", "passthrough")],
                transformer_weights={"a": 3.0},
            ),
            classifier(),
        ),
        LETTERS,
    ),
    "selected by a classifier": lambda: (
        make_pipeline(RFE(LogisticRegression(), n_features_to_select=2), classifier()), LETTERS
    ),
    "a mask of columns": lambda: (
        make_pipeline(
            ColumnTransformer(
                [("a", StandardScaler(), [False, True, False, True])], remainder="passthrough"
            ),
            classifier(),
        ),
        LETTERS,
    ),
    "columns from the right": lambda: (
        make_pipeline(
            ColumnTransformer([("a", StandardScaler(), [-1]), ("b", "passthrough", slice(-3, -1))]),
            classifier(),
        ),
        LETTERS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_one_model_predicts_what_the_ensemble_does(name, dtype):
    if name.endswith("without probabilities") and dtype == np.float64:
        pytest.skip("skl2onnx writes LinearSVC in float32 alone")
    model, y = CASES[name]()
    rows = X.astype(dtype)
    exported = to_onnx(fitted(model, rows, y), rows)
    outputs = [one.name for one in exported.graph.output]
    assert ("probabilities" in outputs) == hasattr(model, "predict_proba")
    assert_alike(exported, model, rows, PRECISION[dtype])


def test_a_threshold_is_not_left_out():
    low = fitted(FixedThresholdClassifier(classifier(), threshold=0.0), X, BINARY)
    assert set(run(to_onnx(low, X), X)["label"]) == {"yes"}
    assert set(run(to_onnx(low.set_params(threshold=1.1), X), X)["label"]) == {"no"}


def test_a_temperature_of_probabilities_that_are_one_but_for_rounding():
    network = fitted(classifier(), X.astype(np.float32), BINARY)
    network.coefs_ = [weights * 3 for weights in network.coefs_]
    rows = X.astype(np.float32)
    assert (network.predict_proba(rows) == 1).any()
    model = CalibratedClassifierCV(FrozenEstimator(network), method="temperature", cv=2)
    try:
        model.fit(rows, np.roll(BINARY, 1))
    except InvalidParameterError:
        pytest.skip("this scikit-learn has no temperatures")
    exported = to_onnx(model, rows)
    far = abs(run(exported, rows)["probabilities"] - model.predict_proba(rows))
    # Here and there a probability is 1 in one of both and almost 1 in the other.
    assert (far < 1e-5).mean() > 0.9


FRAME = pd.DataFrame(
    {
        "kind": np.resize(["ape", "bée", "cow"], 90),
        "x": X[:, 0],
        "y": X[:, 1],
        "count": RNG.integers(0, 9, 90),
        "flag": X[:, 2] > 0,
        "rare": np.repeat(["ant", "bee", "cow", "dog"], [40, 35, 10, 5]),
        "said": [" ".join(RNG.choice(["red", "blue", "Sky"], 3)) for _ in range(90)],
    }
)


def picked(*transformers):
    named = [(str(number), *one) for number, one in enumerate(transformers)]
    return make_pipeline(ColumnTransformer(named), classifier())


FRAMES = {
    "votes": lambda: VotingClassifier(
        [
            ("a", picked((OneHotEncoder(), ["kind"]), (StandardScaler(), ["y", "x"]))),
            ("b", picked((StandardScaler(), ["x"]))),
        ],
        voting="soft",
    ),
    "a stack": lambda: StackingClassifier(
        [
            ("a", picked((OneHotEncoder(), ["kind"]), ("passthrough", ["y"]))),
            ("b", picked((StandardScaler(), ["x"]))),
        ],
        final_estimator=classifier(),
        cv=2,
    ),
    "a slice of names": lambda: picked((StandardScaler(), slice("x", "y"))),
    "a mask": lambda: picked((StandardScaler(), [False, True, True] + [False] * 4)),
    "places from the right": lambda: picked((StandardScaler(), [-5, -6]), (OneHotEncoder(), [-3])),
    "truth": lambda: picked((OneHotEncoder(), ["flag"]), ("passthrough", ["flag", "x"])),
    "whole numbers beside others": lambda: picked((MinMaxScaler(), ["count", "x"])),
    "a transformer of columns in another": lambda: picked(
        (
            ColumnTransformer([("a", StandardScaler(), ["y"]), ("b", "passthrough", ["x"])]),
            ["x", "y"],
        )
    ),
    "rare words": lambda: picked(
        (OneHotEncoder(min_frequency=31, handle_unknown="infrequent_if_exist"), ["rare"]),
        ("passthrough", ["x"]),
    ),
    "one indicator of two": lambda: picked(
        (OneHotEncoder(drop="if_binary"), ["kind", "flag"]), ("passthrough", ["x"])
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_columns_of_a_frame_reach_the_part_that_picks_them(name):
    model = fitted(FRAMES[name](), FRAME, BINARY)
    assert_alike(to_onnx(model, FRAME), model, FRAME, 2e-5)


def test_columns_are_found_by_name_where_the_frame_lacks_some():
    model = fitted(picked((StandardScaler(), [2, 1])), FRAME, BINARY)
    fewer = FRAME[["y", "x"]]
    assert_alike(to_onnx(model, fewer), model, fewer, 2e-5)


def test_a_frame_without_rows_has_no_predictions():
    model = fitted(picked((OneHotEncoder(), ["kind"]), (StandardScaler(), ["x"])), FRAME, BINARY)
    found = run(to_onnx(model, FRAME), FRAME[:0])
    assert found["label"].shape == (0,) and found["probabilities"].shape == (0, 2)
    network = fitted(classifier(), FRAME[["x", "y"]], BINARY)
    assert run(to_onnx(network), FRAME[["x", "y"]][:0])["label"].shape == (0,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_categories_are_numbers_with_what_is_behind_the_point(dtype):
    rows = np.c_[X[:, :2], RNG.integers(0, 4, 90) / 2].astype(dtype)
    rows[::9, 2] = np.nan
    unseen = rows.copy()
    unseen[::2, 2] += 0.25
    for handles in (
        {"handle_unknown": "ignore"},
        {"handle_unknown": "infrequent_if_exist", "min_frequency": 20},
    ):
        model = make_pipeline(
            ColumnTransformer([("a", OneHotEncoder(**handles), [2])], remainder="passthrough"),
            classifier(),
        )
        exported = to_onnx(fitted(model, rows, BINARY), rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            for given in (rows, unseen):
                assert_alike(exported, model, given, PRECISION[dtype])


def test_limits_of_scalers_hold_for_rows_that_are_farther_away():
    clips = {"clip": True} if "clip" in MaxAbsScaler().get_params() else {}
    for scaler in (MaxAbsScaler(**clips), MinMaxScaler((-1, 2), clip=True)):
        model = fitted(make_pipeline(scaler, classifier()), X, LETTERS)
        assert_alike(to_onnx(model, X), model, X * 50, 1e-6)


@pytest.mark.parametrize(
    "model, words",
    [
        (make_pipeline(KMeans(3, n_init=1), classifier()), "KMeans as a transformer"),
        (make_pipeline(KMeans(3, n_init=1), StandardScaler(), classifier()), "KMeans as a tr"),
        (make_pipeline(FeatureUnion([("a", KMeans(3, n_init=1))]), classifier()), "KMeans as a"),
        (make_pipeline(VotingClassifier([("a", classifier())]), classifier()),
         "VotingClassifier as a transformer, in front of another step"),
        (make_pipeline(KNNImputer(), classifier()), "KNNImputer"),
        (make_pipeline(SplineTransformer(), classifier()),
         r"this SplineTransformer: it has no converter of SplineTransformer\.$"),
        (make_pipeline(PowerTransformer(), classifier()), "give to_onnx rows of float32"),
        (StackingClassifier([("a", LinearSVC()), ("b", classifier())], cv=2),
         "decision_function of LinearSVC in a stack"),
        (FixedThresholdClassifier(LogisticRegression(), response_method="decision_function"),
         "FixedThresholdClassifier of a decision function has no form"),
    ],
)  # fmt: skip
def test_what_has_no_form_is_refused_by_name(model, words):
    fitted(model, X, BINARY)
    with pytest.raises(ValueError, match=words):
        to_onnx(model, X)


def test_counts_of_words_are_refused():
    model = picked((CountVectorizer(), "said"), ("passthrough", ["x"]))
    fitted(model, FRAME, BINARY)
    with pytest.raises(ValueError, match="CountVectorizer has no form in ONNX"):
        to_onnx(model, FRAME)


def test_a_network_behind_a_stack_of_text_is_refused():
    model = StackingClassifier(
        [("a", picked((OneHotEncoder(), ["kind"])))],
        final_estimator=picked((StandardScaler(), [0])),
        passthrough=True,
        cv=2,
    )
    fitted(model, FRAME[["kind", "x"]], BINARY)
    with pytest.raises(ValueError, match=r"passthrough=True\) of text has no form"):
        to_onnx(model, FRAME[["kind", "x"]])
