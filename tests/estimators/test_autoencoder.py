"""AutoEncoder: the transformer, the detector, and what every network has."""

import pickle
import threading
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

import nnjit
from nnjit import AutoEncoder
from nnjit.layers import (
    GRU,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    GlobalPool,
    Pool,
    TiedDense,
)
from nnjit.training import members

SETTINGS = {"hidden_layer_sizes": (16,), "max_iter": 8, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    return load_digits().data[:600] / 16


@pytest.fixture(scope="module")
def model(digits):
    return AutoEncoder(4, **SETTINGS).fit(digits)


def arrays_of(model):
    return model._give_parameters()[1]


def assert_same(one, other):
    for a, b in zip(arrays_of(one), arrays_of(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert one.offset_ == other.offset_


# The network


def test_encoder_and_decoder_mirror_each_other(digits):
    model = AutoEncoder(3, (12, 7), activation=("tanh", "relu"), mask=0.25, max_iter=2)
    assert model.fit(digits).layers_ == (
        Dropout(0.25),
        *(Dense(12, "tanh"), Dense(7, "relu"), Dense(3, "identity")),
        *(Dense(7, "relu"), Dense(12, "tanh"), Dense(64, "identity")),
    )
    assert (model.n_layers_, model.n_outputs_) == (7, 64)


def test_a_tied_decoder_has_the_weights_of_the_encoder(digits):
    model = AutoEncoder(3, (12, 7), tied=True, mask=0.1, max_iter=3, random_state=0).fit(digits)
    tied = (TiedDense(1, "relu", 7), TiedDense(3, "relu", 12), TiedDense(5, "identity", 64))
    assert model.layers_[4:] == tied
    assert [one.shape for one in model.coefs_] == [(64, 12), (12, 7), (7, 3)]
    assert [one.shape for one in model.intercepts_] == [(12,), (7,), (3,), (7,), (12,), (64,)]
    h = model.transform(digits)
    for weights, biases in zip(model.coefs_[::-1], model.intercepts_[3:]):
        z = h @ weights.T + biases
        h = np.maximum(z, 0)
    np.testing.assert_allclose(model.reconstruct(digits), 1 / (1 + np.exp(-z)))
    np.testing.assert_array_equal(
        model.inverse_transform(model.transform(digits)), model.reconstruct(digits)
    )
    again = pickle.loads(pickle.dumps(model)).partial_fit(digits)
    assert again.score(digits) > model.score(digits)
    with pytest.raises(ValueError, match="tied=True has the decoder share .* layers are given"):
        AutoEncoder(tied=True, layers=[Dense(3)]).fit(digits)


def test_the_output_is_logistic_where_all_values_lie_from_0_to_1(digits):
    def output(X, **parameters):
        return AutoEncoder(2, (4,), max_iter=1, **parameters).fit(X).out_activation_

    assert output(digits) == "logistic"
    assert output(digits * 1.1) == output(digits - 0.1) == "identity"
    assert output(digits, activation="identity") == "identity"
    assert output(digits, output_activation="softplus") == "softplus"


def test_the_target_is_the_rows_and_no_copy_of_them(digits, monkeypatch):
    from nnjit.backends.cpu import CpuEngine

    seen = []
    whole = CpuEngine.dataset
    monkeypatch.setattr(
        CpuEngine,
        "dataset",
        lambda self, X, y, *more: seen.append((X, y)) or whole(self, X, y, *more),
    )
    AutoEncoder(2, **SETTINGS).fit(digits)
    assert seen[0][0] is seen[0][1] is digits


def test_its_loss_is_that_of_a_regressor_fitted_to_the_rows(digits):
    same = {"solver": "lbfgs", "max_iter": 5, "random_state": 0, "tol": 0.0}
    model = AutoEncoder(3, (8,), output_activation="identity", activation="tanh", **same)
    layers = [Dense(8, "tanh"), Dense(3, "identity"), Dense(8, "tanh")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        twin = nnjit.NetworkRegressor(layers, **same).fit(digits, digits)
        model.fit(digits)
    for a, b in zip(arrays_of(model), arrays_of(twin), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model.reconstruct(digits), twin.predict(digits))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_linear_network_finds_the_subspace_of_pca(dtype):
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(400, 3)) * (3, 2, 1) @ rng.normal(size=(3, 12))
    X = (mixed + 0.1 * rng.normal(size=mixed.shape)).astype(dtype)
    model = AutoEncoder(3, (), activation="identity", alpha=0.0, max_iter=300, random_state=0)
    model.fit(X)
    decoded = model.inverse_transform(np.eye(3)) - model.inverse_transform(np.zeros((1, 3)))
    basis, _ = np.linalg.qr(decoded.astype(float).T)
    cosines = np.linalg.svd(PCA(3).fit(X).components_ @ basis)[1]
    sines = np.sqrt(np.maximum(0, 1 - cosines**2))
    assert np.arcsin(sines).max() < 1e-3
    assert arrays_of(model)[0].dtype == dtype


# Layers of one's own: images and series


IMAGES = [Conv(4, 3), Pool("max", 2)]


def test_layers_of_ones_own_are_the_encoder(digits):
    model = AutoEncoder(3, (12, 7), layers=IMAGES, noise=0.1, mask=0.2, input_shape=(1, 8, 8))
    model.set_params(max_iter=2, random_state=0).fit(digits)
    assert model.layers_ == (
        *(GaussianNoise(0.1), Dropout(0.2), *IMAGES, Flatten(), Dense(3, "identity")),
        *(Dense(7), Dense(12), Dense(64, "identity")),
    )
    assert model.get_params()["layers__0__filters"] == 4
    assert model.set_params(layers__0__filters=6).layers[0] == Conv(6, 3)


def test_images_come_back_in_the_form_that_they_came_in(digits):
    def fit(**parameters):
        return AutoEncoder(3, layers=IMAGES, **{**SETTINGS, "max_iter": 2}, **parameters)

    rows = fit(input_shape=(1, 8, 8)).fit(digits)
    expected = rows.reconstruct(digits)
    assert expected.shape == digits.shape
    np.testing.assert_array_equal(rows.inverse_transform(rows.transform(digits)), expected)
    forms = ((fit(), (-1, 1, 8, 8)), (fit(channels_last=True), (-1, 8, 8, 1)))
    for model, shape in forms:
        given = model.fit(digits.reshape(shape)).reconstruct(digits.reshape(shape))
        np.testing.assert_array_equal(given, expected.reshape(shape))
        np.testing.assert_array_equal(model.predict(digits), rows.predict(digits))


@pytest.fixture(scope="module")
def waves():
    rng = np.random.default_rng(0)
    steps = [
        np.arange(n) * rate for n, rate in zip(rng.integers(8, 21, 80), rng.uniform(0.2, 1, 80))
    ]
    return [np.stack([np.sin(one), np.cos(one)]) for one in steps]


ENCODERS = {
    "recurrent": {"layers": [GRU(12)]},
    "convolutional": {"layers": [Conv(8, 3), GlobalPool("mean")]},
    "dense": {"input_shape": (2, 20)},
}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_series_of_unequal_length_are_given_back_as_far_as_they_go(waves, encoder):
    model = AutoEncoder(4, (16,), max_iter=60, random_state=0, early_stopping=True)
    model.set_params(**ENCODERS[encoder]).fit(waves)
    back = model.reconstruct(waves)
    assert [one.shape for one in back] == [one.shape for one in waves]
    lost = sum(np.square(one - other).sum() for one, other in zip(back, waves, strict=True))
    assert lost < 0.6 * sum(np.square(one).sum() for one in waves)
    filled = np.full((80, 2, 20), np.nan)
    for case, one in zip(filled, waves, strict=True):
        case[:, : one.shape[1]] = one
    rows = model.reconstruct(filled)
    np.testing.assert_array_equal(np.isnan(rows), np.isnan(filled))
    np.testing.assert_array_equal(rows[3, :, : waves[3].shape[1]], back[3])
    np.testing.assert_array_equal(model.transform(filled), model.transform(waves))
    assert (model.predict(waves) == -1).sum() == 8
    alone = model.reconstruct(waves[5:6])
    np.testing.assert_array_equal(alone[0], back[5])
    squares = [np.square(one - other) for one, other in zip(back, waves, strict=True)]
    scale = model.scale_.reshape(2, 20)
    errors = [(one / scale[:, : one.shape[1]] ** 2).mean() for one in squares]
    np.testing.assert_allclose(model.score_samples(waves), np.negative(errors))


def test_what_is_behind_the_end_of_a_series_is_no_target(waves):
    from nnjit.inspection import check_gradient

    model = AutoEncoder(2, (6,), layers=[GRU(5)], activation="tanh", max_iter=1, random_state=0)
    model.fit(waves)
    assert check_gradient(model, waves, random_state=0).error < 1e-6


def test_a_longer_series_has_a_code_but_is_not_given_back(waves):
    model = AutoEncoder(2, layers=[GRU(5)], max_iter=1, random_state=0).fit(waves)
    longer = [np.zeros((2, 30))]
    assert model.transform(longer).shape == (1, 2)
    for method in (model.reconstruct, model.score_samples, model.predict, model.score):
        with pytest.raises(ValueError, match="X has series of 30 points"):
            method(longer)


# The transformer


def test_a_code_of_digits_gives_back_more_than_pca(digits):
    train, test = digits[:450], digits[450:]
    model = AutoEncoder(8, max_iter=60, random_state=0).fit(train)
    pca = PCA(8).fit(train)
    lost = np.square(test - pca.inverse_transform(pca.transform(test))).sum()
    assert model.score(test) > 1 - lost / np.square(test - train.mean(axis=0)).sum() + 0.02
    assert model.score(test) == pytest.approx(
        1 - np.square(test - model.reconstruct(test)).sum() / np.square(test - train.mean(0)).sum()
    )


def test_codes_and_rows_are_two_halves_of_the_network(digits, model):
    codes = model.transform(digits)
    assert codes.shape == (600, 4)
    np.testing.assert_array_equal(codes, model.activations(digits, 1))
    np.testing.assert_array_equal(model.inverse_transform(codes), model.reconstruct(digits))
    np.testing.assert_array_equal(AutoEncoder(4, **SETTINGS).fit_transform(digits), codes)


def test_names_and_frames_of_the_code(digits):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(digits, columns=[f"pixel {k}" for k in range(64)])
    model = AutoEncoder(2, **SETTINGS).set_output(transform="pandas").fit(frame)
    assert list(model.transform(frame).columns) == ["autoencoder0", "autoencoder1"]
    assert list(model.feature_names_in_) == list(frame.columns)


def test_float32_stays_float32(digits):
    X = digits.astype(np.float32)
    model = AutoEncoder(2, **SETTINGS).fit(X)
    for one in (model.transform(X), model.reconstruct(X), model.inverse_transform([[0.0, 1.0]])):
        assert one.dtype == np.float32
    assert model.score(X) == pytest.approx(AutoEncoder(2, **SETTINGS).fit(digits).score(X), 0.1)


def test_it_goes_into_pipelines_and_searches(digits):
    y = load_digits().target[:600]
    pipe = make_pipeline(AutoEncoder(6, **SETTINGS), KNeighborsClassifier()).fit(digits, y)
    assert pipe.score(digits, y) > 0.7
    alone = GridSearchCV(AutoEncoder(**SETTINGS), {"n_components": [1, 6]}, cv=2).fit(digits)
    assert alone.best_params_ == {"n_components": 6}


# The detector


def test_scores_are_errors_beside_the_usual_ones_of_each_feature(digits, model):
    np.testing.assert_allclose(model.mean_, digits.mean(axis=0))
    squares = np.square(digits - model.reconstruct(digits))
    least = 0.01 * squares.mean()  # of the pixels that are never lit
    scale = np.sqrt(np.maximum(squares.mean(axis=0), least))
    np.testing.assert_allclose(model.scale_, scale)
    np.testing.assert_allclose(model.score_samples(digits), -(squares / scale**2).mean(axis=1))
    decision = model.decision_function(digits)
    np.testing.assert_array_equal(decision, model.score_samples(digits) - model.offset_)
    np.testing.assert_array_equal(model.predict(digits), np.where(decision < 0, -1, 1))


@pytest.mark.parametrize("contamination", [0.01, 0.1, 0.5])
def test_so_many_training_rows_are_outliers(digits, contamination):
    model = AutoEncoder(contamination=contamination, **SETTINGS).fit(digits)
    assert (model.predict(digits) == -1).sum() == round(600 * contamination)


def test_members_are_networks_of_other_seeds_that_are_averaged(digits):
    one, three = (AutoEncoder(4, n_members=n, **SETTINGS).fit(digits) for n in (1, 3))
    assert_same(one.set_params(contamination=0.1), clone(one).fit(digits))
    np.testing.assert_array_equal(three.transform(digits), one.transform(digits))
    members = [three, *three.members_]
    assert len({member.coefs_[0].tobytes() for member in members}) == 3
    errors = [np.square((digits - m.reconstruct(digits)) / three.scale_).mean(1) for m in members]
    np.testing.assert_allclose(three.score_samples(digits), -np.mean(errors, axis=0))
    assert (three.predict(digits) == -1).sum() == 60
    assert_same(three, clone(three).fit(digits))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_members_trained_at_once_are_those_trained_one_by_one(digits, dtype, monkeypatch):
    X, found = digits.astype(dtype), []
    for count in (1, 2, 4):
        monkeypatch.setattr(members, "free_threads", lambda count=count: count)
        model = AutoEncoder(4, n_members=4, early_stopping=True, **SETTINGS).fit(X)
        found.append([model.score_samples(X), *(one.coefs_[0] for one in model.members_)])
    for one, two, four in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, four)
    assert len(found[0]) == 4


@pytest.mark.parametrize("looks", ["verbose", "scoring", "nobody"])
def test_who_looks_at_a_fit_sees_one_member_after_the_other(digits, looks, monkeypatch, capsys):
    threads = set()

    def score(estimator, X, y):
        threads.add(threading.get_ident())
        return 0.0

    options = {"verbose": {"verbose": True}, "scoring": {"scoring": score}, "nobody": {}}[looks]
    monkeypatch.setattr(members, "free_threads", lambda: 2)
    started, start = [], threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda t: (started.append(t), start(t)))
    AutoEncoder(2, n_members=3, **options, **SETTINGS).fit(digits, X_val=digits[:50])
    assert len(started) == (2 if looks == "nobody" else 0)
    assert threads <= {threading.get_ident()}
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Iter")]
    numbers = [int(line.split()[1].rstrip(",")) for line in lines]
    assert numbers == ([*range(1, 9)] * 3 if looks == "verbose" else [])


def test_an_error_of_a_member_leaves_the_estimator_as_it_was(digits, monkeypatch):
    model = AutoEncoder(2, n_members=3, **SETTINGS).fit(digits)
    before, codes = dict(vars(model)), model.transform(digits)
    monkeypatch.setattr(members, "free_threads", lambda: 2)
    model.set_params(solver="sgd", learning_rate_init=1e300)
    with warnings.catch_warnings(), pytest.raises(ValueError, match="not finite|non-finite"):
        warnings.simplefilter("ignore")
        model.fit(digits)
    model.set_params(solver="adam", learning_rate_init=before["learning_rate_init"])
    assert vars(model).keys() == before.keys()
    np.testing.assert_array_equal(model.transform(digits), codes)


def test_rows_of_no_weight_are_as_if_they_were_not_there(digits):
    weight = np.ones(600)
    weight[400:] = 0
    fit = {"batch_size": 600, "shuffle": False, **SETTINGS}
    some = AutoEncoder(2, **fit).fit(digits, sample_weight=weight)
    few = AutoEncoder(2, **{**fit, "batch_size": 400}).fit(digits[:400])
    np.testing.assert_allclose(some.scale_, few.scale_)
    assert some.offset_ == pytest.approx(few.offset_)
    assert (some.predict(digits[:400]) == -1).sum() == 40


# What every network has


def test_held_out_rows_are_scored_and_the_best_epoch_kept(digits):
    model = AutoEncoder(4, early_stopping=True, **SETTINGS).fit(digits)
    assert len(model.validation_scores_) == 8
    assert model.best_validation_score_ == max(model.validation_scores_)
    given = AutoEncoder(4, early_stopping=True, scoring="loss", **SETTINGS)
    given.fit(digits[:500], X_val=digits[500:])
    best = np.argmax(given.validation_scores_)
    half = np.square(digits[500:] - given.reconstruct(digits[500:])).mean() / 2
    assert given.validation_loss_curve_[best] == pytest.approx(half)
    with pytest.raises(ValueError, match="sample_weight_val is provided, but X_val was not"):
        given.fit(digits, sample_weight_val=np.ones(3))


def test_a_scorer_of_ones_own_gets_the_rows_as_target(digits):
    def score(estimator, X, y):
        assert X is y
        return estimator.score(X)

    ours, theirs = (
        AutoEncoder(2, early_stopping=True, scoring=one, **SETTINGS) for one in (None, score)
    )
    ours.fit(digits, X_val=digits[:99])
    theirs.fit(digits, X_val=digits[:99])
    assert ours.validation_scores_ == pytest.approx(theirs.validation_scores_)


def test_no_warning_of_a_cycle_that_has_ended(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AutoEncoder(2, **SETTINGS).fit(digits)
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        AutoEncoder(2, n_iter_no_change=10, **SETTINGS).fit(digits)


def test_partial_fit_goes_on_and_counts_all_rows_for_the_mean(digits):
    model = AutoEncoder(2, (8,), random_state=0)
    for part in (digits[:200], digits[200:]):
        model.partial_fit(part)
    np.testing.assert_allclose(model.mean_, digits.mean(axis=0))
    assert (model.predict(digits[200:]) == -1).sum() == 40
    first = model.score(digits)
    for _ in range(5):
        model.partial_fit(digits)
    assert model.score(digits) > first
    assert model.t_ == 600 * 6


def test_a_warm_start_goes_on_with_all_members(digits):
    model = AutoEncoder(2, n_members=2, warm_start=True, **SETTINGS).fit(digits)
    losses = [one.loss_ for one in (model, *model.members_)]
    model.fit(digits)
    assert [one.loss_ for one in (model, *model.members_)] < losses
    assert len(model.members_[0].loss_curve_) == 16


def test_a_fit_cut_off_goes_on_from_its_checkpoints(digits, tmp_path):
    path = tmp_path / "fit.npz"
    settings = {**SETTINGS, "n_members": 2, "learning_rate": "constant"}
    whole = AutoEncoder(3, **settings).fit(digits)
    part = AutoEncoder(3, checkpoint=path, **{**settings, "max_iter": 4}).fit(digits)
    again = part.set_params(max_iter=8).fit(digits)
    assert_same(again, whole)
    assert (tmp_path / "fit.npz.member1").exists()
    with pytest.raises(ValueError, match="needs a random_state"):
        part.set_params(random_state=None).fit(digits)


def test_ctrl_c_keeps_what_was_learned_and_begins_no_other_member(digits, monkeypatch):
    from nnjit.backends.cpu import CpuEngine
    from nnjit.training import members

    def stop(*arguments):
        raise KeyboardInterrupt

    model = AutoEncoder(2, n_members=3, **SETTINGS)
    monkeypatch.setattr(CpuEngine, "train", stop)
    monkeypatch.setattr(CpuEngine, "train_epochs", stop)
    monkeypatch.setattr(members, "free_threads", lambda: 1)  # with two another one may have begun
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(digits)
    assert model.members_ == []
    assert (model.predict(digits) == -1).sum() == 60


def test_callbacks_hear_of_every_epoch_and_can_score_it(digits):
    pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    scores = []

    class Scores:
        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
            if context.task_name == "epoch":
                scores.append(fitted_estimator.score(X))

    model = AutoEncoder(2, n_members=2, **SETTINGS).set_callbacks(Scores()).fit(digits)
    assert len(scores) == 8  # of the transformer
    assert scores[-1] == model.score(digits) > scores[0]


def test_a_pickle_predicts_the_same_and_holds_arrays(digits):
    model = AutoEncoder(2, n_members=2, **SETTINGS).fit(digits)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.score_samples(digits), model.score_samples(digits))
    np.testing.assert_array_equal(again.transform(digits), model.transform(digits))


def test_the_gradient_is_that_of_the_loss(digits):
    from nnjit.inspection import check_gradient

    for activation in ("logistic", "identity"):
        tied = activation == "identity"
        model = AutoEncoder(2, (5,), activation="tanh", output_activation=activation, tied=tied)
        model.set_params(noise=0.1, max_iter=1)
        model.fit(digits[:50])
        assert check_gradient(model, digits[:50], random_state=0).error < 1e-6


def test_threads_change_no_bit(digits):
    numba = pytest.importorskip("numba")
    before, fits = numba.get_num_threads(), []
    try:
        for count in (1, 2, 4):
            numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
            fits.append(AutoEncoder(4, (200,), batch_size=300, max_iter=2, random_state=0))
            fits[-1].fit(digits)
    finally:
        numba.set_num_threads(before)
    assert_same(fits[0], fits[1])
    assert_same(fits[0], fits[2])


# What is refused


@pytest.mark.parametrize(
    "parameters",
    [{"n_components": 0}, {"contamination": 0.6}, {"contamination": 0}, {"mask": 1.0},
     {"n_members": 0}, {"scoring": "r2"}, {"output_activation": "softmax"}, {"layers": 3}],
    ids=str,
)  # fmt: skip
def test_bad_parameters_are_refused_in_scikit_learns_words(digits, parameters):
    (name,) = parameters
    with pytest.raises(ValueError, match=f"The '{name}' parameter of AutoEncoder must be"):
        AutoEncoder(**parameters).fit(digits)


def test_a_bad_call_leaves_it_as_it_was(digits):
    model = AutoEncoder(2, n_members=2, **SETTINGS).fit(digits)
    before = pickle.dumps(model)
    bad = digits.copy()
    bad[3, 3] = np.nan
    for call, words in (
        (lambda: model.fit(bad), "Input X contains NaN"),
        (lambda: model.partial_fit(digits[:, :5]), "X has 5 features, but AutoEncoder"),
        (lambda: model.fit(digits, X_val=digits[:, :5]), "X_val has 5 features"),
        (lambda: model.inverse_transform(digits), "X has 64 features, .* expecting 2 components"),
        (lambda: model.fit(digits, sample_weight=np.zeros(600)), "at least one non-zero"),
        (lambda: clone(model).set_params(mask=0.1, solver="lbfgs").fit(digits), "mask=0.1"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
        assert pickle.dumps(model) == before
    with pytest.raises(NotFittedError):
        AutoEncoder().reconstruct(digits)


def test_sparse_rows_are_refused_with_advice(digits):
    sp = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="dense data is required"):
        AutoEncoder().fit(sp.csr_matrix(digits))
