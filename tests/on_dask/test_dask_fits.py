"""Fits on Dask collections are those of one machine, of whatever kind and however cut."""

import asyncio
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning

from nnjit import MLPClassifier, MLPRegressor

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")
distributed = pytest.importorskip("distributed")
delayed = pytest.importorskip("dask").delayed
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CHUNKS = (70, 130, 40, 60)
EXACT = {"solver": "lbfgs", "hidden_layer_sizes": (8,), "random_state": 3, "max_iter": 15}


def classes_of(n_classes=3, **options):
    X, y = make_classification(
        sum(CHUNKS), 6, n_informative=5, n_redundant=0, n_classes=n_classes, random_state=0
    )
    return X, y


def parts(*arrays):
    return [
        da.from_array(one, chunks=(CHUNKS, *[-1] * (one.ndim - 1)), asarray=False) for one in arrays
    ]


def assert_same(found, expected, tolerance=1e-8):
    assert found.n_iter_ == expected.n_iter_
    np.testing.assert_allclose(found.loss_, expected.loss_, rtol=tolerance)
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(found, name), getattr(expected, name), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def both(kind, X, y, sample_weight=None, **options):
    """The same network fitted on parts and in one place."""
    from nnjit import dask as on_dask

    local = {"Classifier": MLPClassifier, "Regressor": MLPRegressor}[kind](**{**EXACT, **options})
    model = getattr(on_dask, f"DaskMLP{kind}")(**{**EXACT, **options})
    weights = [] if sample_weight is None else [sample_weight]
    return model.fit(*parts(X, y, *weights)), local.fit(X, y, *weights)


@pytest.mark.parametrize(
    "options",
    [{}, {"class_weight": "balanced"}, {"class_weight": {0: 3.0, 2: 0.5}, "alpha": 0.1},
     {"hidden_layer_sizes": (5, 4), "normalization": "layer", "residual": True}],
    ids=["plain", "balanced", "weights of classes", "layers"],
)  # fmt: skip
@pytest.mark.parametrize("weighted", [False, True])
def test_lbfgs_fits_classes_as_one_machine_does(client, options, weighted):
    X, y = classes_of()
    weight = np.random.RandomState(1).uniform(0, 2, len(y)) if weighted else None
    if weighted:
        weight[: CHUNKS[0]] = 0  # a part without any
    assert_same(*both("Classifier", X, y, weight, **options))


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "quantile"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_lbfgs_fits_values_as_one_machine_does(client, loss, outputs):
    X, y = make_regression(sum(CHUNKS), 6, n_targets=outputs, random_state=0)
    y = np.abs(y) / y.std()
    assert_same(*both("Regressor", X, y, loss=loss))


def test_float32_stays_float32(client):
    X, y = classes_of()
    found, expected = both("Classifier", X.astype(np.float32), y, max_iter=5)
    assert found.coefs_[0].dtype == np.float32
    assert_same(found, expected, 1e-4)


@pytest.mark.parametrize("kind", ["binary", "text", "labels", "columns"])
def test_targets_of_every_kind_are_found_in_a_pass_over_the_parts(client, kind):
    X, y = classes_of()
    y = {
        "binary": y == 1,
        "text": np.array(["low", "middle", "high"])[y],
        "labels": np.stack([y == 0, y > 0, X[:, 0] > 0], axis=1).astype(int),
        "columns": np.stack([y, (X[:, 1] > 0) + 5], axis=1),
    }[kind]
    found, expected = both("Classifier", X, y, class_weight="balanced")
    assert_same(found, expected)
    rows = parts(X)[0]
    np.testing.assert_array_equal(found.predict(rows).compute(), expected.predict(X))
    p, q = found.predict_proba(rows), expected.predict_proba(X)
    for a, b in zip(p, q) if isinstance(q, list) else [(p, q)]:
        assert a.chunks[0] == CHUNKS and a.dtype == b.dtype
        np.testing.assert_allclose(a.compute(), b, atol=1e-8)
    assert found.score(*parts(X, y)) == found.score(X, y) == expected.score(X, y)


def test_a_class_that_only_one_part_has_is_known_to_all(client):
    X, y = classes_of()
    y = np.where(np.arange(len(y)) < CHUNKS[0], 7, y)
    found, expected = both("Classifier", X, y)
    assert list(found.classes_) == [0, 1, 2, 7]
    assert_same(found, expected)


def test_frames_of_unknown_length_keep_their_names(client):
    X, y = classes_of()
    frame = pd.DataFrame(X, columns=list("abcdef"))
    frame["y"] = y
    many = dd.from_pandas(frame, npartitions=5)
    kept = many[many["a"] > -1.0]
    here = frame[frame["a"] > -1.0]
    model = on_dask_classifier(**EXACT).fit(kept[list("abcdef")], kept["y"])
    expected = MLPClassifier(**EXACT).fit(here[list("abcdef")], here["y"])
    assert_same(model, expected)
    assert list(model.feature_names_in_) == list("abcdef")
    predicted = model.predict(kept[list("abcdef")])
    assert np.isnan(predicted.shape[0])
    np.testing.assert_array_equal(predicted.compute(), expected.predict(here[list("abcdef")]))
    assert model.score(kept[list("abcdef")], kept["y"]) == expected.score(
        here[list("abcdef")], here["y"]
    )


def on_dask_classifier(**options):
    from nnjit.dask import DaskMLPClassifier

    return DaskMLPClassifier(**options)


def test_parts_without_rows_and_sparse_ones_are_taken(client):
    X, y = classes_of()
    X = np.where(X > 0, X, 0.0)
    rows = da.from_array(X, chunks=(CHUNKS, -1)).map_blocks(sp.csr_matrix)
    labels = da.from_array(y, chunks=(CHUNKS,))
    found = on_dask_classifier(**EXACT).fit(rows, labels)
    assert_same(found, MLPClassifier(**EXACT).fit(sp.csr_matrix(X), y))
    np.testing.assert_array_equal(found.predict(rows).compute(), found.predict(X))
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abcdef")).assign(y=y), npartitions=4)
    kept = frame.assign(k=frame.index)
    kept = kept[kept["k"] >= 80]  # nothing is left of the first part
    found = on_dask_classifier(**EXACT).fit(kept[list("abcdef")].to_dask_array(), kept["y"])
    assert_same(found, MLPClassifier(**EXACT).fit(X[80:], y[80:]))


def test_a_warm_start_goes_on(client):
    X, y = classes_of()
    rows, labels = parts(X, y)
    found = on_dask_classifier(**EXACT, warm_start=True)
    expected = MLPClassifier(**EXACT, warm_start=True)
    for _ in range(2):
        found.fit(rows, labels)
        expected.fit(X, y)
    assert_same(found, expected)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_one_part_gone_through_alone_is_a_fit_with_its_own_shuffles(client, solver):
    X, y = classes_of()
    options = {
        **EXACT,
        "solver": solver,
        "max_iter": 6,
        "shuffle": False,
        "nesterovs_momentum": True,
    }
    found = on_dask_classifier(**options).fit(da.from_array(X, (-1, -1)), da.from_array(y, -1))
    expected = MLPClassifier(**options).fit(X, y)
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-12)
    assert_same(found, expected, 1e-12)
    assert found.t_ == expected.t_


@pytest.mark.parametrize("split", [True, False], ids=["split", "own"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lion"])
def test_rounds_average_what_parts_make_of_minibatches(client, solver, split):
    """Epochs on each part alone, whose parameters and moments are averaged here."""
    X, y = classes_of()
    options = {**EXACT, "solver": solver, "max_iter": 4, "shuffle": False, "alpha": 0.5}
    found = on_dask_classifier(**options, batch_size=100, split_batches=split).fit(*parts(X, y))
    # three steps an epoch, as in one place, from 24, 44, 14 and 20 rows each
    sizes = np.ceil(np.array(CHUNKS) / 3) if split else np.minimum(100, CHUNKS)
    alphas = 0.5 * sizes / 100 if split else np.full(4, 0.5)
    expected, optimizer = one_by_one(X, y, options, sizes, alphas, rounds=4)
    for a, b in zip(found.coefs_ + found.intercepts_, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    assert found._optimizer.steps == optimizer["steps"] == (4 * 3 if split else 4 * 2)
    assert found._optimizer.arrays["vectors"].keys() == optimizer["vectors"].keys()
    for name, vector in found._optimizer.arrays["vectors"].items():
        np.testing.assert_allclose(vector, optimizer["vectors"][name], rtol=0, atol=1e-12)


def one_by_one(X, y, options, sizes, alphas, rounds):
    """The parameters, and the solver's arrays, that local epochs in this process end with."""
    ends, share = np.cumsum(CHUNKS), np.array(CHUNKS) / len(y)
    alone = [
        MLPClassifier(**{**options, "alpha": alpha}, batch_size=int(size))
        for size, alpha in zip(sizes, alphas)
    ]
    mean, vectors = [], {}
    for _ in range(rounds):
        for one, end, n_rows in zip(alone, ends, CHUNKS):
            if mean:
                one.coefs_, one.intercepts_ = mean[:2], mean[2:]
                one._optimizer.arrays = {**one._optimizer.arrays, "vectors": vectors}
            one.partial_fit(X[end - n_rows : end], y[end - n_rows : end], classes=[0, 1, 2])
        mean = [
            np.average(same, axis=0, weights=share)
            for same in zip(*(one.coefs_ + one.intercepts_ for one in alone))
        ]
        arrays = [one._optimizer.arrays for one in alone]
        vectors = {
            name: np.average([one["vectors"][name] for one in arrays], axis=0, weights=share)
            for name in arrays[0]["vectors"]
        }
    return mean, {"steps": max(one["steps"] for one in arrays), "vectors": vectors}


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_parts_that_are_alike_come_to_what_one_of_them_does(client, solver):
    X, y = classes_of()
    X, y = X[:60], y[:60]
    options = {**EXACT, "solver": solver, "max_iter": 6, "shuffle": False}
    rows, labels = da.from_array(np.tile(X, (4, 1)), (60, -1)), da.from_array(np.tile(y, 4), 60)
    found = on_dask_classifier(**options, batch_size=48, alpha=2.0).fit(rows, labels)
    expected = MLPClassifier(**options, batch_size=12, alpha=0.5).fit(X, y)
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-12)
    assert_same(found, expected, 1e-12)


def test_who_diverges_in_steps_of_few_rows_is_told_what_to_do(client):
    X, y = classes_of()
    options = {"solver": "sgd", "learning_rate_init": 1e30, "max_iter": 5, "random_state": 0}
    advice = []
    for split in (True, False):
        model = on_dask_classifier(**options, split_batches=split)
        with pytest.raises(ValueError, match="non-finite") as raised:
            model.fit(*parts(X * 1e30, y))
        advice.append("split_batches=False" in str(raised.value))
    assert advice == [True, False]


def test_the_same_seed_gives_the_same_bits_and_local_epochs_count(client):
    X, y = classes_of()
    rows, labels = parts(X, y)
    options = {**EXACT, "solver": "adam", "max_iter": 7, "dropout": 0.2}
    once, again, other = (
        on_dask_classifier(**options, local_epochs=k).fit(rows, labels) for k in (3, 3, 1)
    )
    assert once.loss_curve_ == again.loss_curve_
    np.testing.assert_array_equal(once.coefs_[0], again.coefs_[0])
    assert len(once.loss_curve_) == once.n_iter_ == 7
    assert once.t_ == 7 * len(y)
    assert once.loss_curve_[:1] == other.loss_curve_[:1]
    assert once.loss_curve_[1] != other.loss_curve_[1]


def test_stochastic_fits_learn_stop_early_and_go_on(client):
    X, y = classes_of()
    rows, labels = parts(X, y)
    model = on_dask_classifier(
        hidden_layer_sizes=(30,), max_iter=60, early_stopping=True, random_state=0,
        learning_rate_init=0.01, n_iter_no_change=5, batch_size=20,
    ).fit(rows, labels, X_val=rows, y_val=labels)  # fmt: skip
    assert model.score(rows, labels) > 0.75
    assert model.best_validation_score_ == max(model.validation_scores_)
    more = on_dask_classifier(hidden_layer_sizes=(30,), random_state=0, batch_size=20)
    for _ in range(3):
        more.partial_fit(rows, labels, classes=[0, 1, 2])
    assert more.n_iter_ == 1 and len(more.loss_curve_) == 3
    assert more.loss_curve_[2] < more.loss_curve_[0]


def test_pickles_and_clones(client):
    X, y = classes_of()
    rows, labels = parts(X, y)
    model = on_dask_classifier(**EXACT, client=client).fit(rows, labels)
    assert clone(model).client is client
    read = pickle.loads(pickle.dumps(model))
    assert read.client is None and read.client_ is client
    np.testing.assert_array_equal(read.predict(rows).compute(), model.predict(X))
    local = model.to_local()
    assert type(local) is MLPClassifier
    np.testing.assert_array_equal(local.predict_proba(X), model.predict_proba(rows).compute())
    np.testing.assert_array_equal(local.activations(X), model.activations(rows).compute())
    assert "client" not in local.get_params()


def test_arrays_in_memory_are_fitted_here(client):
    X, y = classes_of()
    found = on_dask_classifier(**EXACT).fit(X, y)
    np.testing.assert_array_equal(found.coefs_[0], MLPClassifier(**EXACT).fit(X, y).coefs_[0])


def test_intervals_are_lazy(client):
    from nnjit.dask import DaskMLPRegressor

    X, y = make_regression(sum(CHUNKS), 6, random_state=0)
    rows, values = parts(X, y / y.std())
    model = DaskMLPRegressor("quantile", quantile=[0.1, 0.9], **EXACT).fit(rows, values)
    interval = model.predict_interval(rows, coverage=0.8)
    assert interval.shape == (len(y), 2)
    np.testing.assert_array_equal(interval.compute(), model.predict_interval(X, coverage=0.8))


def bad(what):
    """A call of fit that is refused."""
    X, y = classes_of()
    rows, labels = parts(X, y)
    if what == "cut otherwise":
        return (rows, labels.rechunk(50)), {}, ValueError, r"labels|y\.rechunk"
    if what == "in memory":
        return (rows, y), {}, TypeError, "Dask collections"
    if what == "other lengths":
        frame = dd.from_pandas(pd.DataFrame(X), npartitions=4)
        series = dd.from_pandas(pd.Series(y), npartitions=4)
        return (frame, series[series > 0]), {}, ValueError, r"Part \d of X has 75 rows"
    if what == "not finite":
        return (da.where(rows > 2, np.nan, rows), labels), {}, ValueError, "Input X contains NaN"
    if what == "no classes":
        return (rows, labels + 0.5), {}, ValueError, "Unknown label type"
    if what == "early stopping":
        return (rows, labels), {"early_stopping": True, "solver": "adam"}, ValueError, "X_val"
    if what == "checkpoint":
        return (rows, labels), {"checkpoint": "x.npz", "solver": "adam"}, ValueError, "cluster"
    if what == "delayed":
        return (delayed(X), labels), {}, TypeError, "X is of type Delayed"
    if what == "text and numbers":
        mixed = labels.map_blocks(
            lambda y, block_id=None: y if any(block_id) else y.astype(str), dtype=int
        )
        return (rows, mixed), {}, ValueError, "values of different types: <U.*, int64"
    if what == "no weight":
        return (rows, labels, da.zeros_like(labels, dtype=float)), {}, ValueError, "non-zero"
    return (rows, labels), {"local_epochs": 0}, ValueError, "local_epochs"


@pytest.mark.parametrize(
    "what",
    ["cut otherwise", "in memory", "other lengths", "not finite", "no classes", "early stopping",
     "checkpoint", "no weight", "local epochs", "delayed", "text and numbers"],
)  # fmt: skip
def test_what_cannot_be_fitted_is_refused_and_changes_nothing(client, what):
    arguments, options, error, words = bad(what)
    model = on_dask_classifier(**{**EXACT, **options})
    before = dict(vars(model))
    with pytest.raises(error, match=words):
        model.fit(*arguments)
    assert vars(model) == before


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_a_client_that_is_closed_meanwhile_is_named(client, monkeypatch, solver):
    rows, labels = parts(*classes_of())
    calls = 0

    def gather(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == 4:
            own.close()
        return distributed.Client.gather(own, *arguments, **options)

    with distributed.Client(client.scheduler.address, set_as_default=False) as own:
        model = on_dask_classifier(**{**EXACT, "solver": solver, "max_iter": 9}, client=own)
        before = dict(vars(model))
        monkeypatch.setattr(own, "gather", gather)
        with pytest.raises(RuntimeError, match="client is closed"):
            model.fit(rows, labels)
    assert vars(model) == before


def test_a_client_to_be_awaited_is_refused(client):
    async def fit():
        async with distributed.Client(
            client.scheduler.address, asynchronous=True, set_as_default=False
        ) as own:
            on_dask_classifier(**EXACT, client=own).fit(*parts(*classes_of()))

    with pytest.raises(ValueError, match="must not be asynchronous"):
        asyncio.run(fit())


def test_fits_that_are_tasks_do_not_wait_for_one_another(client):
    from nnjit.dask import DaskMLPClassifier

    def fit(rows, labels, alpha):
        assert hasattr(rows, "chunks")
        return DaskMLPClassifier(**EXACT, alpha=alpha).fit(rows, labels).coefs_[0]

    X, y = classes_of()
    rows, labels = parts(X, y)  # as many fits as there are threads, each with tasks of its own
    alphas = [1e-4, 1.0]
    found = client.gather([client.submit(fit, rows, labels, alpha) for alpha in alphas])
    for coefs, alpha in zip(found, alphas):
        expected = MLPClassifier(**EXACT, alpha=alpha).fit(X, y).coefs_[0]
        np.testing.assert_allclose(coefs, expected, rtol=0, atol=1e-8)


def test_bounds_warn_as_on_one_machine(client):
    X, y = classes_of()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning, match="failed to converge after 2 iter"):
            on_dask_classifier(**{**EXACT, "max_iter": 2}).fit(*parts(X, y))


def test_tasks_of_a_worker_share_its_threads(client):
    def cores():
        from nnjit.core.jobs.threads import free_threads
        from nnjit.dask._part import company

        with company().joined():
            return free_threads()

    futures = [client.submit(cores, pure=False) for _ in range(2)]
    assert client.gather(futures) == [1, 1]
