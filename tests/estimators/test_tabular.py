"""TabularClassifier and TabularRegressor: frames in, networks that are good without tuning."""

import pickle
import signal
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score

from nnjit import TabularClassifier, TabularRegressor
from nnjit.estimators._tabular_folds import folds
from nnjit.estimators._tabular_members import LeastLoss, ended
from nnjit.estimators._tabular_recipe import PRESETS, asked_recipe, epochs, for_rows, minibatch_rows
from nnjit.layers import Dense
from nnjit.training.members import Members

SMALL = {
    "hidden_layer_sizes": (16,),
    "n_members": 2,
    "max_iter": 12,
    "batch_size": 16,
    "learning_rate_init": 0.03,
    "random_state": 0,
}


def values_of(n=160, seed=0):
    """Rows of two numbers, and a value that is a function of them and some noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    return X, 100 + 10 * np.sin(X[:, 0]) + 5 * X[:, 1] + rng.normal(size=n)


@pytest.fixture(scope="module")
def houses():
    """A frame of several kinds of columns, and prices."""
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    n = 240
    frame = pd.DataFrame(
        {
            "number": [f"H-{k}" for k in rng.permutation(n)],
            "area": rng.lognormal(4, 0.5, n).round(),
            "street": rng.choice([f"{a}{b} street" for a in "ABCD" for b in "xyz"], n),
            "garden": rng.choice([True, False], n),
            "heating": pd.Categorical(rng.choice(["gas", "oil", "wood"], n)),
            "built": pd.Timestamp("1990-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), "D"),
            "country": "here",
        }
    )
    price = frame["area"] * 3 + 200 * frame["garden"] + 50.0 * frame["street"].str[0].eq("A")
    frame.loc[::7, "area"] = np.nan
    frame.loc[::11, "heating"] = None
    return frame, price.to_numpy()


@pytest.fixture(scope="module")
def of_houses(houses):
    settings = SMALL | {"max_iter": 40, "hidden_layer_sizes": (32,)}
    return TabularRegressor(**settings).fit(*houses)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return X, np.array(["setosa", "versicolor", "virginica"])[y]


@pytest.fixture(scope="module")
def classifier(iris):
    return TabularClassifier(**SMALL).fit(*iris)


@pytest.fixture(scope="module")
def regressor():
    options = SMALL | {"max_iter": 30, "learning_rate": "coslog"}
    return TabularRegressor(**options).fit(*values_of())


# Predictions


def test_probabilities_are_the_mean_of_the_members(classifier, iris):
    rows = classifier._encoder.transform(iris[0])
    mean = np.mean([one.predict_proba(rows) for one in classifier.members_], axis=0)
    np.testing.assert_allclose(classifier.predict_proba(iris[0]), mean, rtol=1e-5)
    assert [one.random_state for one in classifier.members_] != [0, 0]


def test_a_classifier_predicts_the_labels_of_the_fit(classifier, iris):
    X, y = iris
    assert list(classifier.classes_) == ["setosa", "versicolor", "virginica"]
    p = classifier.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(classifier.predict(X), classifier.classes_[p.argmax(axis=1)])
    np.testing.assert_allclose(classifier.predict_log_proba(X), np.log(p))
    assert classifier.score(X, y) == accuracy_score(y, classifier.predict(X)) > 0.9


def test_logarithms_of_vanishing_probabilities_are_finite(iris):
    X, y = iris
    model = TabularClassifier(**SMALL).fit(X, y)
    for member in model.members_:
        member.coefs_[-1] = member.coefs_[-1] * np.float32(500)
    p, log_p = model.predict_proba(X), model.predict_log_proba(X)
    assert (p == 0).any()
    assert np.isfinite(log_p).all() and log_p.min() < -100
    np.testing.assert_allclose(np.exp(log_p), p, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize(
    "labels", [[3, 7], [True, False], [-1.0, 2.0], ["b", "a"], np.array(["x", "y"], dtype=object)]
)
def test_labels_of_any_type_come_back(labels):
    X, y = values_of(60)
    chosen = np.asarray(labels)[(y > 100).astype(int)]
    model = TabularClassifier(**SMALL | {"max_iter": 2}).fit(X, chosen)
    assert list(model.classes_) == sorted(labels)
    assert set(model.predict(X)) <= set(labels)
    assert model.predict_proba(X).shape == (60, 2)


def test_labels_of_pandas_own_types_come_back_as_numbers_and_booleans():
    pd = pytest.importorskip("pandas")
    X, y = values_of(60)
    model = TabularClassifier(**SMALL | {"max_iter": 2})
    for dtype, kind in (("Int64", "i"), ("boolean", "b"), ("category", "i")):
        assert (
            model.fit(X, pd.Series((y > 100).astype(int)).astype(dtype)).classes_.dtype.kind == kind
        )
    missing = pd.Series((y > 100).astype(int), dtype="Int64").where(y > 90)
    with pytest.raises(ValueError, match="Input y contains NaN|contains None"):
        model.fit(X, missing)


def test_several_columns_of_labels_and_multilabel_targets(iris):
    X, y = iris
    columns = np.stack([y, np.where(X[:, 0] > 5.8, "long", "short")], axis=1)
    model = TabularClassifier(**SMALL).fit(X, columns)
    p = model.predict_proba(X)
    assert [one.shape for one in p] == [(150, 3), (150, 2)]
    assert model.predict(X).shape == (150, 2)
    assert model.score(X, columns) > 0.7
    assert [one.shape for one in model.predict_log_proba(X)] == [(150, 3), (150, 2)]
    indicator = (columns == ["setosa", "long"]).astype(int)
    model.fit(X, indicator)
    assert model.predict_proba(X).shape == (150, 2)
    assert model.score(X, indicator) > 0.7


def test_targets_are_standardized_inside(regressor):
    X, y = values_of()
    assert regressor.score(X, y) > 0.8
    moved = clone(regressor).fit(X, 1e150 * (y - 90))
    np.testing.assert_allclose(moved.predict(X), 1e150 * (regressor.predict(X) - 90), rtol=1e-3)


def test_a_regressor_of_several_outputs():
    X, y = values_of()
    both = np.stack([y, X[:, 0], np.full(len(y), 3.0)], axis=1)
    model = TabularRegressor(**SMALL | {"max_iter": 30}).fit(X, both)
    assert model.predict(X).shape == (160, 3)
    assert model.score(X[:, :], both) > 0.7
    np.testing.assert_allclose(model.predict(X)[:, 2], 3.0, atol=0.5)
    assert model.predict_interval(X).shape == (160, 3, 2)


def test_predictions_stay_in_the_range_of_the_fit_if_asked():
    X, y = values_of()
    far = X * 30
    model = TabularRegressor(**SMALL, smooth_clip=False).fit(X, y)
    free = clone(model).set_params(clip_predictions=False).fit(X, y)
    assert model.predict(far).max() <= y.max() < free.predict(far).max()
    np.testing.assert_array_equal(model.predict(far), np.clip(free.predict(far), y.min(), y.max()))


def test_quantiles_do_not_cross_and_are_about_right():
    X, y = values_of(300)
    model = TabularRegressor(**SMALL | {"max_iter": 40}, quantile=(0.9, 0.1, 0.5)).fit(X, y)
    predicted = model.predict(X)
    assert predicted.shape == (300, 3)
    assert (predicted[:, 0] >= predicted[:, 2]).all() and (predicted[:, 2] >= predicted[:, 1]).all()
    interval = model.predict_interval(X, coverage=0.8)
    np.testing.assert_array_equal(interval, predicted[:, [1, 0]])
    inside = ((interval[:, 0] <= y) & (y <= interval[:, 1])).mean()
    assert 0.6 < inside < 0.95
    assert 0 < model.score(X, y) < 1
    with pytest.raises(ValueError, match="coverage=0.9 needs the quantiles"):
        model.predict_interval(X, coverage=0.9)
    assert TabularRegressor(**SMALL, quantile=0.5).fit(X, y).predict(X).shape == (300,)


@pytest.mark.parametrize("weight", [None, 5.0])
def test_quantiles_are_those_of_the_rows_held_out(weight):
    X, y = values_of(200)
    weights = None if weight is None else np.where(y > 100, weight, 1.0)
    settings = SMALL | {"n_members": 1, "max_iter": 3}
    model = TabularRegressor(**settings, quantile=(0.1, 0.5, 0.9)).fit(
        X[:100],
        y[:100],
        X_val=X[100:],
        y_val=y[100:],
        sample_weight_val=None if weights is None else weights[100:],
    )
    below = y[100:, np.newaxis] <= model.predict(X[100:])
    shares = np.average(below, axis=0, weights=None if weights is None else weights[100:])
    np.testing.assert_allclose(shares, [0.1, 0.5, 0.9], atol=0.03)


def test_intervals_of_a_mean_come_from_the_rows_held_out(regressor):
    X, y = values_of()
    new_X, new_y = values_of(600, seed=1)
    interval = regressor.predict_interval(new_X, coverage=0.8)
    inside = ((interval[:, 0] <= new_y) & (new_y <= interval[:, 1])).mean()
    assert 0.7 < inside < 0.95
    widths = np.diff(interval, axis=1)
    np.testing.assert_allclose(widths, widths[0, 0])
    assert np.diff(regressor.predict_interval(X, coverage=0.5), axis=1)[0] < widths[0, 0]
    with pytest.raises(ValueError, match="coverage must be above 0 and below 1, got 1"):
        regressor.predict_interval(X, coverage=1)
    without = clone(regressor).set_params(validation_fraction=0, max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match="predict_interval needs errors of rows that were held"):
        without.predict_interval(X)


# Columns of all kinds


def test_a_frame_of_all_kinds_of_columns_is_learned(of_houses, houses):
    frame, price = houses
    assert of_houses.score(frame, price) > 0.7
    report = {column.name: column for column in of_houses.report_.columns}
    left_out = {name for name, column in report.items() if not column.used}
    assert left_out == {"number", "country"}
    assert report["area"].n_missing == frame["area"].isna().sum()
    assert report["built"].kind == "date" and report["street"].n_levels == 12
    kinds = [layer.kind for layer in of_houses.members_[0].layers_]
    assert kinds == ["periodic", "embedding", "scaling", "dense", "dropout", "dense"]
    assert list(of_houses.feature_names_in_) == list(frame.columns)
    text = str(of_houses.report_)
    assert "number: identifier, left out:" in text and "street: category, 12 categories" in text


def test_rows_to_predict_may_hold_what_was_never_seen(of_houses, houses):
    pd = pytest.importorskip("pandas")
    frame = (
        houses[0]
        .head(3)
        .assign(street="elsewhere", heating=None, built=pd.NaT, area=np.inf, country="there")
    )
    assert np.isfinite(of_houses.predict(frame)).all()
    one_by_one = [of_houses.predict(frame.iloc[[k]])[0] for k in range(3)]
    np.testing.assert_array_equal(one_by_one, of_houses.predict(frame))


def test_frames_of_other_columns_are_refused_in_scikit_learns_words(of_houses, houses):
    frame = houses[0]
    with pytest.raises(
        ValueError, match="Feature names seen at fit time, yet now missing:\n- area"
    ):
        of_houses.predict(frame.drop(columns="area"))
    with pytest.raises(ValueError, match="Feature names unseen at fit time:\n- size"):
        of_houses.predict(frame.rename(columns={"area": "size"}))
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        of_houses.predict(frame[frame.columns[::-1]])
    with pytest.raises(ValueError, match="yet now missing:\n- garden"):
        TabularRegressor(**SMALL).fit(*houses, X_val=frame.drop(columns="garden"), y_val=houses[1])


def test_frames_of_polars_are_learned_as_those_of_pandas(of_houses, houses):
    polars = pytest.importorskip("polars")
    frame, price = houses
    same = polars.DataFrame(
        {
            name: [None if value is None or value != value else value for value in column.tolist()]
            for name, column in frame.astype({"heating": object}).items()
        }
    )
    model = clone(of_houses).fit(same, polars.Series(price))
    np.testing.assert_allclose(model.predict(same), of_houses.predict(frame), rtol=1e-4)
    with pytest.raises(TypeError, match="A LazyFrame was passed for X; call its method collect"):
        model.fit(same.lazy(), price)


def test_columns_can_be_said_to_be_categories():
    X = np.tile([[1, 0.5], [2, 0.25], [3, 0.125]], (20, 1))
    y = np.tile([0.0, 1.0, 0.0], 20)
    model = TabularRegressor(**SMALL, categorical_features=[0]).fit(X, y)
    assert [column.kind for column in model.report_.columns] == ["category", "number"]
    with pytest.raises(ValueError, match="categorical_features .* must be in"):
        TabularRegressor(categorical_features=[2]).fit(X, y)


def test_categories_become_zeros_and_ones_where_nothing_is_learned_of_them(houses):
    model = TabularRegressor(**SMALL | {"max_iter": 1}, embedding_dimension=0).fit(*houses)
    assert "embedding" not in [layer.kind for layer in model.members_[0].layers_]
    assert model._encoder.levels == () and model._encoder.n_indicators >= 12


def test_numbers_may_be_encoded_by_bins(houses):
    model = TabularRegressor(**SMALL | {"max_iter": 20}, numeric_embedding="piecewise").fit(*houses)
    assert model.members_[0].layers_[0].kind == "piecewise"
    assert model.score(*houses) > 0.5


def test_members_may_have_embeddings_of_numbers_in_turn(houses):
    model = TabularRegressor(
        **SMALL | {"max_iter": 1, "n_members": 3}, numeric_embedding="mixed", parametric=True
    ).fit(*houses)
    kinds = [[layer.kind for layer in member.layers_] for member in model.members_]
    plain = ["embedding", "scaling", "dense", "parametric", "dropout", "dense"]
    assert kinds == [plain, ["periodic", *plain], plain]


def test_members_of_best_have_all_embeddings_of_numbers_in_turn(iris):
    model = TabularClassifier("best", **SMALL | {"max_iter": 1, "n_members": 4}).fit(*iris)
    first = [member.layers_[0].kind for member in model.members_]
    assert first == ["scaling", "periodic", "piecewise", "scaling"]


def test_every_part_of_the_recipe_can_be_switched_off(houses):
    plain = TabularRegressor(
        **SMALL | {"max_iter": 1, "n_members": 1},
        numeric_embedding="none",
        embedding_dimension=0,
        smooth_clip=False,
        scaling_layer=False,
        parametric=False,
        parametrization="standard",
        learning_rate="constant",
        beta_2=0.999,
        weight_decay=0,
        dropout=0,
        validation_fraction=0,
        clip_predictions=False,
    ).fit(*houses)
    (member,) = plain.members_
    assert member.layers_ == (Dense(16, "mish"), Dense(1, "identity"))
    assert member.get_params()["parametrization"] == "standard"
    assert not member.early_stopping


def test_importances_and_dependences_are_those_of_raw_columns(of_houses, houses):
    frame, price = houses
    found = permutation_importance(of_houses, frame, price, n_repeats=2, random_state=0)
    importances = dict(zip(frame.columns, found.importances_mean))
    assert max(importances, key=importances.get) in ("area", "garden")
    assert importances["number"] == importances["country"] == 0
    curve = partial_dependence(
        of_houses, frame, ["garden"], categorical_features=["garden"], kind="average"
    )
    assert abs(np.diff(curve["average"][0])[0]) > 50


# Members and the rows that they hold out


def test_members_hold_out_rows_class_by_class():
    labels = np.repeat([0, 1, 2], [50, 9, 1])
    rows = np.arange(60)
    dealt = folds(rows, 7, 0.2, np.random.RandomState(0), labels)
    for training, held_out in dealt:
        np.testing.assert_array_equal(np.union1d(training, held_out), rows)
        assert len(np.intersect1d(training, held_out)) == 0
        assert 59 in training  # the only row of its class
        assert 10 <= len(held_out) <= 12
        assert np.isin([0, 1], labels[held_out]).all()
    together = np.concatenate([held_out for _, held_out in dealt[:5]])
    np.testing.assert_array_equal(np.sort(together), rows[:59])
    assert not np.array_equal(dealt[5][1], dealt[0][1])  # dealt anew


def test_no_rows_are_held_out_without_a_share_of_them(iris):
    X, y = iris
    model = TabularClassifier(**SMALL, validation_fraction=0).fit(X, y)
    assert [one.n_held_out for one in model.report_.members] == [0, 0]
    assert [one.best_epoch for one in model.report_.members] == [12, 12]
    assert model.report_.members[0].validation_loss is None
    assert model.score(X, y) > 0.9


def test_members_end_with_the_weights_of_their_best_epoch(classifier, iris):
    X, y = iris
    for member, told in zip(classifier.members_, classifier.report_.members, strict=True):
        assert told.n_epochs == member.n_iter_ == 12  # whatever the scores do
        best = member.validation_scores_[told.best_epoch - 1]
        assert best == pytest.approx(max(member.validation_scores_), abs=1e-5)
        assert told.validation_loss == -member.best_validation_score_
        assert told.n_rows + told.n_held_out == 150
        assert 0.8 < told.validation_score <= 1


def test_given_rows_take_the_place_of_those_held_out(iris):
    X, y = iris
    model = TabularClassifier(**SMALL).fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    for member, told in zip(model.members_, model.report_.members, strict=True):
        assert (told.n_rows, told.n_held_out) == (75, 0)
        p = member.predict_proba(model._encoder.transform(X[1::2])).astype(float)
        p /= p.sum(axis=1, keepdims=True)
        assert told.validation_loss == pytest.approx(log_loss(y[1::2], p), rel=1e-4)
    values = TabularRegressor(**SMALL).fit(X[::2], X[::2, 0], X_val=X[1::2], y_val=X[1::2, 0])
    assert values.predict_interval(X).shape == (150, 2)


def test_rows_of_weight_0_are_not_there(iris):
    X, y = iris
    weights = np.tile([1.0, 2.0, 0.0], 50)
    counted = weights > 0
    spoiled = X.copy()
    spoiled[~counted] = 1e6
    for Model, target in ((TabularClassifier, y), (TabularRegressor, X[:, 0] * X[:, 1])):
        model = Model(**SMALL)
        without = model.fit(X[counted], target[counted], weights[counted])
        expected = [one.coefs_ for one in without.members_]
        with_them = clone(model).fit(spoiled, target, weights)
        for coefs, member in zip(expected, with_them.members_, strict=True):
            assert all(map(np.array_equal, coefs, member.coefs_))


@pytest.mark.parametrize("others", [1e-300, -1.0])
def test_weights_of_any_size_and_sign_leave_targets_numbers(others):
    X, y = values_of(30)
    weights = np.full(30, others)
    weights[3] = abs(others) if others < 0 else 1.0
    model = TabularRegressor(**SMALL | {"max_iter": 1}).fit(X, y, weights)
    assert np.isfinite(model.predict(X)).all()


def test_sample_weights_are_routed(iris):
    X, y = iris
    weights = np.where(y == "setosa", 1e-3, 1.0)
    with config_context(enable_metadata_routing=True):
        model = TabularClassifier(**SMALL)
        model.set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        search = GridSearchCV(model, {"n_members": [1]}, cv=2).fit(X, y, sample_weight=weights)
    alone = clone(model).set_params(n_members=1).fit(X, y, weights)
    np.testing.assert_array_equal(search.predict_proba(X), alone.predict_proba(X))


def test_class_weights_count_as_weights(iris):
    X, y = iris
    given = {"setosa": 1.0, "versicolor": 3.0, "virginica": 0.5}
    weighed = TabularClassifier(**SMALL, class_weight=given).fit(X, y)
    same = TabularClassifier(**SMALL).fit(X, y, np.array([given[one] for one in y]))
    np.testing.assert_array_equal(weighed.predict_proba(X), same.predict_proba(X))


@pytest.mark.parametrize("n", [2, 3, 10])
def test_a_handful_of_rows_is_enough(n):
    X = np.linspace(0, 1, n)[:, np.newaxis]
    y = np.arange(n) % 2
    y[-1] = 5  # alone in its class
    model = TabularClassifier(**SMALL).fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()
    values = TabularRegressor(**SMALL).fit(X, X[:, 0])
    assert np.isfinite(values.predict_interval(X)).all()


def test_nothing_to_tell_rows_apart_by():
    X, y = np.ones((20, 2)), np.arange(20) % 4 == 0
    with pytest.warns(UserWarning, match="No column of X tells rows apart"):
        model = TabularClassifier(**SMALL | {"max_iter": 60}).fit(X, y)
    p = model.predict_proba(X)
    assert (p == p[0]).all() and p[0, 1] < 0.5
    one_class = TabularClassifier(**SMALL).fit(np.arange(20)[:, np.newaxis] % 7, np.full(20, "a"))
    assert (one_class.predict_proba(X[:, :1]) == 1).all()
    assert set(one_class.predict(X[:, :1])) == {"a"}


def test_the_same_seed_gives_the_same_bits(classifier, iris):
    again = clone(classifier).fit(*iris)
    np.testing.assert_array_equal(again.predict_proba(iris[0]), classifier.predict_proba(iris[0]))
    other = clone(classifier).set_params(random_state=1).fit(*iris)
    assert (other.predict_proba(iris[0]) != classifier.predict_proba(iris[0])).any()


@pytest.fixture
def at_epoch(monkeypatch):
    """Have something done in the fifth epoch of any member."""
    whole, passed = LeastLoss.after_epoch, []

    def with_action(action):
        def after_epoch(self, engine, loss, verbose):
            passed.append(self)
            if len(passed) == 5:
                action()
            return whole(self, engine, loss, verbose)

        monkeypatch.setattr(LeastLoss, "after_epoch", after_epoch)

    return with_action


def test_ctrl_c_keeps_what_was_learned(iris, at_epoch, heard):
    at_epoch(lambda: signal.raise_signal(signal.SIGINT))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = TabularClassifier(**SMALL | {"max_iter": 100_000}).fit(*iris)
    assert [str(one.message) for one in caught] == ["Training interrupted by user."]
    assert 1 <= len(model.members_) <= 2
    assert model.n_iter_ < 100_000
    assert model.predict_proba(iris[0]).shape == (150, 3)


def test_a_fit_ends_when_its_time_is_over(iris):
    settings = SMALL | {"max_iter": 10**6, "n_members": 50}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = TabularClassifier(**settings, max_time=0.2).fit(*iris)
    assert 1 <= len(model.members_) < 50
    assert model.report_.seconds["total"] < 20
    assert np.isfinite(model.predict_proba(iris[0])).all()


def test_members_that_were_broken_off_do_not_count_beside_whole_ones():
    assert ended(Members(["a", "b", "c"], [True, False, True], False)) == ["a", "c"]
    assert ended(Members(["a", "b"], [False, False], True)) == ["a", "b"]


def test_an_error_of_a_member_leaves_the_estimator_as_it_was(classifier, iris, at_epoch):
    def fail():
        raise OSError("full")

    model, before = clone(classifier).fit(*iris), classifier.predict_proba(iris[0])
    at_epoch(fail)
    with pytest.raises(OSError, match="full"):
        model.set_params(max_iter=20).fit(*iris)
    np.testing.assert_array_equal(model.predict_proba(iris[0]), before)


def test_bits_do_not_depend_on_threads(houses):
    numba = pytest.importorskip("numba")
    before, found = numba.get_num_threads(), []
    try:
        for count in (1, 2, 4):
            numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
            model = TabularRegressor(**SMALL | {"n_members": 3, "max_iter": 4}).fit(*houses)
            found.append(model.predict(houses[0]))
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


# The recipe


def test_none_is_what_the_preset_says_and_anything_else_is_taken():
    assert asked_recipe(TabularClassifier(), values=False) == PRESETS["default"][0]
    assert asked_recipe(TabularRegressor("fast"), values=True) == PRESETS["fast"][1]
    model = TabularClassifier("best", n_members=2, scaling_layer=False, hidden_layer_sizes=7)
    recipe = asked_recipe(model, values=False)
    assert (recipe.n_members, recipe.scaling_layer, recipe.hidden_layer_sizes) == (2, False, (7,))
    assert recipe.max_iter == PRESETS["best"][0].max_iter
    plain = asked_recipe(TabularClassifier(parametrization="standard"), values=False)
    assert plain.learning_rate_init < recipe.learning_rate_init / 5
    with pytest.raises(ValueError, match="hidden_layer_sizes must be > 0"):
        TabularClassifier(hidden_layer_sizes=(3, 0)).fit([[0], [1]], [0, 1])


def test_minibatches_go_with_the_rows():
    recipe = PRESETS["default"][0]
    sizes = [minibatch_rows(recipe, n) for n in (10, 1000, 5000, 20_000, 100_000, 10**6)]
    assert sizes == sorted(sizes) and sizes[0] == 10 and sizes[1] < sizes[-1]


def test_large_tables_take_fewer_epochs_unless_a_number_is_given():
    recipe = PRESETS["fast"][0]
    assert epochs(recipe, 10) == recipe.max_iter
    assert epochs(recipe, recipe.rows_enough / 20) == 20
    assert epochs(recipe, 50_000) == recipe.least_iter
    assert 1 < epochs(recipe, 10**7) < epochs(recipe, 200_000) < recipe.least_iter
    given = asked_recipe(TabularClassifier("fast", max_iter=30), values=False)
    assert epochs(given, 10**7) == 30


def test_best_takes_wider_layers_for_large_tables_unless_sizes_are_given():
    most = PRESETS["best"][0].wide_rows
    X = np.random.default_rng(0).normal(size=(int(most), 1))
    once = {"n_members": 1, "max_iter": 1, "random_state": 0}
    large = TabularRegressor("best", **once).fit(X, X.ravel())
    small = TabularRegressor("best", **once).fit(X[:-1], X[:-1].ravel())
    given = TabularRegressor("best", **once, hidden_layer_sizes=(5,)).fit(X, X.ravel())
    default = PRESETS["default"][1].hidden_layer_sizes
    units = [model.report_.recipe["hidden_layer_sizes"] for model in (large, small, given)]
    assert units == [tuple(2 * size for size in default), default, (5,)]
    shapes = [[w.shape[1] for w in model.members_[0].coefs_[:3]] for model in (large, small)]
    assert shapes == [list(units[0]), list(units[1])]
    assert for_rows(PRESETS["default"][0], 10**9) == PRESETS["default"][0]


def test_presets_take_ever_longer():
    for recipes in zip(*(PRESETS[name] for name in ("fast", "default", "best"))):
        members = [recipe.n_members for recipe in recipes]
        units = [recipe.hidden_layer_sizes for recipe in recipes]
        assert members == sorted(set(members)) and units == sorted(units)


# What an estimator of scikit-learn does


def test_report_says_what_became_of_the_columns_and_the_members(classifier, capsys, iris):
    report = classifier.report_
    assert len(report.members) == 2
    assert report.recipe["hidden_layer_sizes"] == (16,)
    assert report.seconds["total"] >= report.seconds["members"] > 0
    assert "epoch" in str(report)
    TabularClassifier(**SMALL | {"max_iter": 2}, verbose=True).fit(*iris)
    printed = capsys.readouterr().out
    assert printed.startswith("4 columns: 4 number\n2 members\n") and "\nseconds: " in printed
    few = TabularClassifier(**SMALL | {"n_members": 1, "max_iter": 2}).fit(iris[0][:, :1], iris[1])
    assert str(few.report_).startswith("1 column: 1 number\n1 member\n")


def test_pickles_and_clones(classifier, regressor, iris):
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(iris[0]), classifier.predict_proba(iris[0]))
    assert len(pickle.dumps(classifier)) < 60_000  # no moments of a solver, no rows
    X, _ = values_of()
    again = pickle.loads(pickle.dumps(regressor))
    np.testing.assert_array_equal(again.predict_interval(X), regressor.predict_interval(X))
    assert clone(classifier).get_params() == classifier.get_params()
    assert "TabularClassifier" in classifier._repr_html_()


def test_searches_importances_and_dependences_work_on_raw_rows(iris):
    X, y = iris
    model = TabularClassifier(**SMALL)
    search = GridSearchCV(model, {"n_members": [1, 2], "activation": ["tanh"]}, cv=2).fit(X, y)
    assert search.best_estimator_.score(X, y) > 0.8
    assert cross_val_score(model, X, y, cv=2, scoring="neg_log_loss").mean() > -1
    found = permutation_importance(search.best_estimator_, X, y, n_repeats=2, random_state=0)
    assert found.importances_mean.argmax() in (2, 3)
    curve = partial_dependence(search.best_estimator_, X, [2], grid_resolution=5)
    assert curve["average"].shape == (3, 5)


def test_bad_input_is_refused_and_changes_nothing(classifier, iris):
    X, y = iris
    model, before = clone(classifier).fit(X, y), classifier.predict_proba(X)
    bad = [
        (sparse.csr_matrix(X), y, "Sparse data was passed for X, but dense data is required"),
        (X[:, 0], y, "Expected 2D array, got 1D array instead"),
        (X[:1], y[:1], r"Found array with 1 sample\(s\) .* while a minimum of 2 is required"),
        (X, y[:-1], "Found input variables with inconsistent numbers of samples"),
        (X, None, "requires y to be passed, but the target y is None"),
        (X, X[:, 0] + 0.1, "Unknown label type"),
        (X * 1j, y, "Complex data not supported"),
    ]
    for rows, labels, message in bad:
        with pytest.raises((TypeError, ValueError), match=message):
            model.fit(rows, labels)
    with pytest.raises(ValueError, match="X_val is provided, but y_val was not provided"):
        model.fit(X, y, X_val=X)
    with pytest.raises(ValueError, match="y_val contains previously unseen labels"):
        model.fit(X, y, X_val=X, y_val=np.full(150, "rose"))
    with pytest.raises(ValueError, match="The 'preset' parameter of TabularClassifier must be a"):
        clone(model).set_params(preset="good").fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    with pytest.raises(ValueError, match="X has 3 features, but TabularClassifier is expecting 4"):
        model.predict(X[:, :3])
    with pytest.raises(NotFittedError):
        TabularClassifier().predict(X)
    with pytest.raises(TypeError, match="Input y contains dates or durations"):
        TabularRegressor().fit(X, np.arange(150).astype("datetime64[D]"))
    with pytest.raises(ValueError, match="y_val has 2 columns, but y has 1"):
        TabularRegressor(**SMALL).fit(X, X[:, 0], X_val=X, y_val=X[:, :2])


def test_missing_targets_and_texts_that_are_no_numbers_are_refused_in_clear_words():
    pd = pytest.importorskip("pandas")
    X, y = values_of(20)
    missing = pd.Series(["yes", None, *["no"] * 18], dtype="string")
    for model in (TabularClassifier(**SMALL), TabularRegressor(**SMALL)):
        with pytest.raises(ValueError, match="Input .*contains NaN"):
            model.fit(X, missing)
    model = TabularRegressor(**SMALL | {"max_iter": 1})
    with pytest.raises(ValueError, match="could not convert string to float: 'yes'"):
        model.fit(X, ["yes"] * 20)
    expected = model.fit(X, y).predict(X)
    np.testing.assert_array_equal(model.fit(X, list(map(str, y))).predict(X), expected)


def test_one_column_of_y_is_a_vector(iris):
    X, y = iris
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        model = TabularRegressor(**SMALL | {"max_iter": 1}).fit(X, X[:, :1])
    assert model.predict(X).shape == (150,)


def test_nobody_is_warned_of_what_is_as_it_should_be():
    X, y = load_diabetes(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TabularRegressor(**SMALL).fit(X[:100] * 1e4, y[:100])
