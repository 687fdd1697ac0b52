"""Random shapes and memory layouts against the oracle; weights; inputs left alone."""

import hashlib
import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import inputs, problem, quietly, weights

import naive
import nnjit
from engine_problems import LOSSES, in_layers
from engine_problems import network as engine_network
from nnjit.backends import plan, tuner
from nnjit.backends.select import make_engine

# Around the vector widths, the register tiles and the blocks of rows.
ROWS = [1, 2, 7, 8, 15, 16, 17, 31, 33, 63, 65, 127, 129, 255, 256, 257, 300]
UNITS = [1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 24, 31, 32, 33, 48, 49]


# Memory layouts of one and the same matrix

LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "every other column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "backwards": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "transposed": lambda X: np.ascontiguousarray(X.T).T,
    "other byte order": lambda X: X.astype(X.dtype.newbyteorder()),
    "unaligned": lambda X: (
        np.frombuffer(b"x" + X.tobytes(), np.uint8)[1:].view(X.dtype).reshape(X.shape)
    ),
    "read-only": lambda X: _locked(X),
    "one row broadcast": lambda X: np.broadcast_to(X[:1], X.shape),
}


def _locked(X):
    X = X.copy()
    X.flags.writeable = False
    return X


@st.composite
def networks(draw):
    """(loss, activation, units, rows, dtype, layout, weighted, seed)."""
    return (
        draw(st.sampled_from(list(LOSSES))),
        draw(st.sampled_from(["identity", "logistic", "tanh", "relu"])),
        tuple(draw(st.lists(st.sampled_from(UNITS), min_size=2, max_size=4))),
        draw(st.sampled_from(ROWS)),
        draw(st.sampled_from([np.float32, np.float64])),
        draw(st.sampled_from(list(LAYOUTS))),
        draw(st.booleans()),
        draw(st.integers(0, 2**31)),
    )


def draw_network(loss, units, n, dtype, weighted, seed):
    rng = np.random.default_rng(seed)
    k = units[-1]
    if loss == "multinomial":
        y = rng.integers(0, k, n)
        dense = np.eye(k, dtype=dtype)[y]
    else:
        y = dense = {
            "squared_error": lambda: rng.standard_normal((n, k)),
            "poisson": lambda: rng.poisson(2.0, (n, k)),
            "bernoulli": lambda: rng.integers(0, 2, (n, k)),
        }[loss]().astype(dtype)
    coefs = [
        (rng.standard_normal((a, b)) / np.sqrt(a)).astype(dtype)
        for a, b in itertools.pairwise(units)
    ]
    intercepts = [(rng.standard_normal(b) / 4).astype(dtype) for b in units[1:]]
    w = rng.uniform(0.5, 2.0, n).astype(dtype) if weighted else None
    return coefs, intercepts, rng.standard_normal((n, units[0])).astype(dtype), y, dense, w


def checksum(*arrays):
    parts = []
    for array in arrays:
        if array is not None:
            parts += [array.data, array.indices, array.indptr] if sp.issparse(array) else [array]
    return hashlib.sha256(b"".join(np.asarray(part).tobytes() for part in parts)).hexdigest()


@given(networks())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_gradient_training_and_prediction_equal_the_oracle(network):
    loss, activation, units, n, dtype, layout, weighted, seed = network
    if loss == "multinomial" and units[-1] == 1:
        units = (*units[:-1], 2)
    coefs, intercepts, X, y, dense, w = draw_network(loss, units, n, dtype, weighted, seed)
    X = LAYOUTS[layout](X)
    plain = np.ascontiguousarray(X, dtype)
    before = checksum(X, y, w)
    engine = make_engine(engine_network(units, activation, loss), dtype)
    engine.pack(in_layers(coefs, intercepts))

    out = naive.network_forward(coefs, intercepts, plain, activation, LOSSES[loss][1])[-1]
    tolerance = 1e-3 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(
        engine.predict(X), out, rtol=tolerance, atol=tolerance * np.abs(out).max()
    )

    packed = np.concatenate([p.ravel() for p in (*coefs, *intercepts)]).astype(float)
    value, gradient = engine.loss_gradient(packed, engine.dataset(X, y, w), 0.2)
    arguments = (coefs, intercepts, plain, dense, loss, activation, 0.2, w)
    parts = naive.network_gradient(*arguments)
    expected = np.concatenate([p.ravel() for p in (*parts[0], *parts[1])])
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    np.testing.assert_allclose(value, naive.network_loss(*arguments), rtol=tolerance)

    batch = max(1, n // 3)
    optimizer = engine.optimizer("sgd", momentum=0.5, nesterov=True)
    optimizer.learning_rate = 1e-3
    order = np.random.default_rng(seed).permutation(n)
    result = engine.train(engine.dataset(X, y, w), order, batch, optimizer, 0.2, 0, -(-n // batch))
    total = naive.train_epoch(
        coefs, intercepts, plain, dense, order, batch, naive.SGD(1e-3, 0.5, True), loss,
        activation, 0.2, w,
    )  # fmt: skip
    np.testing.assert_allclose(result.loss, total, rtol=10 * tolerance)
    assert checksum(X, y, w) == before


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_estimators_leave_their_inputs_alone(layout, dtype):
    X, y = problem("multioutput")
    X, y, w = LAYOUTS[layout](X.astype(dtype)), LAYOUTS[layout](y), weights()
    before = checksum(X, y, w)
    for early_stopping in (False, True):
        model = nnjit.MLPRegressor(
            hidden_layer_sizes=(5,), max_iter=2, early_stopping=early_stopping, random_state=0
        )
        quietly(model.fit, X, y, w)
        model.predict(X)
        model.score(X, y, w)
    assert checksum(X, y, w) == before


def test_sparse_inputs_are_left_alone():
    X, y = problem("multiclass")
    for container in (sp.csr_matrix, sp.csc_array):
        rows = container(X)
        before = checksum(rows)
        quietly(nnjit.MLPClassifier((5,), max_iter=2).fit, rows, y).predict(rows)
        assert checksum(rows) == before


# Weights

KINDS = ["binary", "multiclass", "multilabel", "regression", "multioutput", "poisson"]


def fitted(kind, X, y, weight=None, **parameters):
    cls = nnjit.MLPClassifier if kind in KINDS[:3] else nnjit.MLPRegressor
    if kind == "poisson":
        parameters["loss"] = "poisson"
    model = cls(
        hidden_layer_sizes=(6,), activation="tanh", max_iter=20, batch_size=len(X), shuffle=False,
        n_iter_no_change=100, random_state=0, **parameters,
    )  # fmt: skip
    return quietly(model.fit, X, y, weight)


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
@pytest.mark.parametrize("kind", KINDS)
def test_whole_weights_are_repeated_rows(kind, solver):
    """In full batches; alpha counts per weight, so the penalty agrees as well."""
    X, y = problem(kind)
    counts = np.random.RandomState(3).randint(0, 4, len(X))
    weighted = fitted(kind, X, y, counts.astype(float), solver=solver, alpha=0.5)
    repeated = fitted(
        kind, np.repeat(X, counts, axis=0), np.repeat(y, counts, axis=0), solver=solver, alpha=0.5
    )
    for a, b in zip(weighted.coefs_, repeated.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(weighted.loss_, repeated.loss_, rtol=1e-6)


@pytest.mark.parametrize("garbage", [1e6, -3.0])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Feature")
def test_rows_without_weight_change_nothing(kind, solver, garbage):
    """Not a bit: whatever stands in them, within the same minibatch."""
    X, y = problem(kind)
    w = weights()
    w[::5] = 0.0
    other = X.copy()
    other[::5] = garbage * inputs(7)[::5]
    a, b = (fitted(kind, rows, y, w, solver=solver) for rows in (X, other))
    for x, z in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_array_equal(x, z)


# Bits


def test_the_same_seed_gives_the_same_bits():
    X, y = problem("multiclass")
    models = [quietly(nnjit.MLPClassifier(max_iter=5, random_state=3).fit, X, y) for _ in range(2)]
    for a, b in zip(*(m.coefs_ + m.intercepts_ for m in models), strict=True):
        np.testing.assert_array_equal(a, b)
    assert models[0].loss_curve_ == models[1].loss_curve_


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_is_predicted_alone_as_among_thousands(dtype, parallel, monkeypatch):
    rng = np.random.default_rng(0)
    units = (40, 120, 9)
    coefs, intercepts, *_ = draw_network("multinomial", units, 1, dtype, False, 0)
    X = rng.standard_normal((3000, 40)).astype(dtype)
    engine = make_engine(engine_network(units, "logistic", "multinomial"), dtype)
    engine.pack(in_layers(coefs, intercepts))
    assert len(X) * (40 * 120 + 120 * 9) >= plan.PARALLEL_PREDICT
    monkeypatch.setattr(
        tuner.Tuner, "run", lambda tuner, run, first, last: run(parallel, first, last)
    )
    whole = engine.predict(X)
    for i in (0, 1, 255, 256, 257, 1000, 2999):
        np.testing.assert_array_equal(engine.predict(X[i : i + 1]), whole[i : i + 1])
    shuffled = rng.permutation(len(X))
    np.testing.assert_array_equal(engine.predict(X[shuffled]), whole[shuffled])
