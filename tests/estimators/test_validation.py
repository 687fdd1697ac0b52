"""Valid input and parameters go a shorter way than scikit-learn's, with the same outcome."""

import warnings

import numpy as np
import pytest
import sklearn
import sklearn.neural_network
from sklearn.exceptions import NotFittedError

import nnjit
from nnjit.estimators import _validation
from nnjit.estimators._validation import parameters_key, validate_parameters

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.RandomState(0)
X, Y = RNG.standard_normal((40, 3)), np.arange(40) % 2
LIBRARIES = (nnjit, sklearn.neural_network)


def error_of(function):
    """(type, message) of the error that a call raises, None if it raises none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            function()
        except Exception as error:
            return type(error).__name__, str(error)
    return None


EQUAL = [1, 1.0, True, np.int64(1), np.float64(1.0), np.True_]


@pytest.mark.parametrize("name", ["max_iter", "alpha", "shuffle", "momentum", "batch_size", "tol"])
@pytest.mark.parametrize("first", EQUAL, ids=repr)
def test_values_that_are_equal_are_not_taken_for_each_other(name, first):
    def refused(library, value):
        model = library.MLPClassifier(max_iter=2).set_params(**{name: value})
        return error_of(lambda: model.fit(X, Y)) is not None

    refused(nnjit, first)
    for value in EQUAL:
        assert refused(nnjit, value) == refused(sklearn.neural_network, value), value


@pytest.mark.parametrize(
    "sizes", [(3,), [3], np.array([3]), 3, (3, (3,)), (np.int64(3),), ([3],)], ids=repr
)
def test_hidden_sizes_of_every_kind(sizes):
    results = []
    for library in LIBRARIES:
        model = library.MLPClassifier(sizes, max_iter=2)
        results.append([error_of(lambda m=model: m.fit(X, Y)) is None for _ in "ab"])
    assert results[0] == results[1]


def test_a_refused_parameter_is_refused_again():
    model = nnjit.MLPRegressor(max_iter=2)
    model.fit(X, X[:, 0])
    for _ in range(3):
        with pytest.raises(ValueError, match="The 'alpha' parameter of MLPRegressor must be"):
            model.set_params(alpha=-1.0).fit(X, X[:, 0])
    model.set_params(alpha=0.0).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="The 'alpha' parameter of Checked must be"):
        type("Checked", (nnjit.MLPRegressor,), {})(alpha=-1.0).fit(X, X[:, 0])


def test_a_fraction_of_a_row_is_no_batch():
    for library in LIBRARIES:
        model = library.MLPClassifier((2,), max_iter=2).fit(X, Y).set_params(batch_size=2.5)
        with pytest.raises(TypeError, match="ind(ex|ices)|integer"):
            model.partial_fit(X, Y)


def test_what_can_change_is_not_remembered(monkeypatch):
    assert parameters_key(nnjit.MLPClassifier(random_state=0)) is not None
    assert parameters_key(nnjit.MLPClassifier(random_state=np.random.RandomState(0))) is None
    assert parameters_key(nnjit.MLPClassifier([3])) is None
    assert parameters_key(nnjit.MLPClassifier(([3],))) is None
    monkeypatch.setattr(_validation, "_VALID", set())
    for number in range(1, 3 * _validation._REMEMBERED):
        model = nnjit.MLPClassifier(max_iter=number)
        validate_parameters(model, lambda: None)
    validate_parameters(nnjit.MLPClassifier(([3],)), lambda: None)
    assert parameters_key(model) in _validation._VALID
    assert None not in _validation._VALID
    assert len(_validation._VALID) <= _validation._REMEMBERED


def with_value(array, value):
    changed = array.astype(np.float64)
    changed.flat[-1] = value
    return changed


INPUTS = {
    "plain": (X, Y),
    "float32": (X.astype(np.float32), Y),
    "Fortran": (np.asfortranarray(X), Y),
    "strided": (np.repeat(X, 2, axis=1)[:, ::2], Y),
    "read-only": (np.frombuffer(X.tobytes()).reshape(X.shape), Y),
    "swapped": (X.astype(">f8"), Y),
    "integers": (X.astype(np.int64), Y),
    "NaN": (with_value(X, np.nan), Y),
    "infinity": (with_value(X, -np.inf), Y),
    "sum that overflows": (with_value(X, 1e200), Y),
    "NaN in y": (X, with_value(Y, np.nan)),
    "infinity in y": (X, with_value(Y, np.inf)),
    "complex": (X + 1j, Y),
    "no rows": (X[:0], Y[:0]),
    "no columns": (X[:, :0], Y),
    "vector": (X[:, 0], Y),
    "too few labels": (X, Y[1:]),
    "column of labels": (X, Y[:, np.newaxis]),
    "booleans": (X, Y == 1),
    "unsigned": (X, Y.astype(np.uint8)),
    "texts": (X, np.array(["a", "b"])[Y]),
    "objects": (X, Y.astype(object)),
    "matrix": (np.matrix(X), Y),
    "masked": (np.ma.array(X), Y),
    "list": (X.tolist(), Y.tolist()),
}


@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("name", INPUTS)
def test_the_same_input_is_taken(name, kind):
    features, target = INPUTS[name]
    results = []
    for library in LIBRARIES:
        model = getattr(library, kind)(hidden_layer_sizes=(2,), max_iter=2, random_state=0)
        error = error_of(lambda m=model: m.fit(features, target))
        results.append((error, getattr(model, "n_features_in_", None)))
    ours, theirs = results
    if name == "sum that overflows":  # accepted; what training says of it is its own
        assert (ours[0] is not None) == ("non-finite" in str(ours[0]))
        return
    assert (ours[0] is None) == (theirs[0] is None), results
    if theirs[0] is not None:
        assert ours[1] is None  # as it was before
        if "Unknown label type" in theirs[0][1]:  # and a print of all labels
            assert ours[0][1].startswith("Unknown label type")
        elif "ufunc" not in theirs[0][1]:  # an accident of NumPy's, not a refusal
            assert ours[0] == theirs[0]
    else:
        assert ours[1] == theirs[1]


def test_names_of_an_earlier_fit_are_forgotten():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    for library in LIBRARIES:
        model = library.MLPClassifier((2,), max_iter=2).fit(frame, Y)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            model.partial_fit(X, Y)
        assert list(model.feature_names_in_) == ["a", "b", "c"]
        model.fit(X, Y)
        assert not hasattr(model, "feature_names_in_")
        with pytest.raises(ValueError, match="X has 2 features, but MLPClassifier is expecting 3"):
            model.partial_fit(X[:, :2], Y)
        model.fit(X[:, :2], Y)
        assert model.n_features_in_ == 2


def test_scikit_learns_configuration_holds():
    bad = with_value(X, np.nan)
    with sklearn.config_context(skip_parameter_validation=True):
        nnjit.MLPClassifier(max_iter=1, tol=-1.0).fit(X, Y)
    with pytest.raises(ValueError, match="The 'tol' parameter"):
        nnjit.MLPClassifier(max_iter=1, tol=-1.0).fit(X, Y)
    by_training = pytest.raises(ValueError, match="non-finite")
    with sklearn.config_context(assume_finite=True), by_training:
        nnjit.MLPClassifier(max_iter=1).fit(bad, Y)


def test_an_unfitted_estimator_predicts_nothing():
    with pytest.raises(NotFittedError):
        nnjit.MLPClassifier().predict(X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_long_prediction_sees_every_value(dtype):
    rng = np.random.default_rng(0)
    many = rng.standard_normal((3001, 40)).astype(dtype)
    models = [
        library.MLPClassifier((100,), max_iter=1, random_state=0).fit(many[:50], many[:50, 0] > 0)
        for library in LIBRARIES
    ]
    good = [model.predict_proba(many) for model in models]
    for place in [(0, 0), (255, 39), (256, 0), (1700, 20), (3000, 39)]:
        for value in (np.nan, np.inf, -np.inf):
            bad = many.copy()
            bad[place] = value
            words = []
            for model in models:
                with pytest.raises(ValueError, match="Input X contains") as error:
                    model.predict_proba(bad)
                words.append(str(error.value))
            assert words[0] == words[1]
    large = many.copy()
    large[:2, 0] = np.finfo(dtype).max  # finite, though their sum is not
    bad[place] = np.nan
    for model, before in zip(models, good, strict=True):
        np.testing.assert_allclose(model.predict_proba(large)[2:], before[2:], rtol=1e-5)
        with sklearn.config_context(assume_finite=True):
            np.testing.assert_allclose(model.predict_proba(bad)[:-1], before[:-1], rtol=1e-5)


def test_rows_in_another_precision_are_converted():
    rng = np.random.default_rng(0)
    many = rng.standard_normal((300, 3))
    model = nnjit.MLPClassifier((4,), max_iter=2, random_state=0).fit(many, many[:, 0] > 0)
    single = many.astype(np.float32)
    p = model.predict_proba(single)
    assert p.dtype == np.float64
    np.testing.assert_array_equal(p, model.predict_proba(single.astype(np.float64)))
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.predict_proba(with_value(single, np.nan).astype(np.float32))
    small = nnjit.MLPClassifier((4,), max_iter=2, random_state=0).fit(single, many[:, 0] > 0)
    assert small.predict_proba(many).dtype == np.float32
    with warnings.catch_warnings(), pytest.raises(ValueError, match="too large for dtype"):
        warnings.simplefilter("error")
        small.predict_proba(with_value(many, 1e200))
    with pytest.raises(ValueError, match="Input X contains infinity"):
        small.predict_proba(with_value(many, np.inf))
