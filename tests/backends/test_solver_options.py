"""Every solver's epochs, clipped gradients and averages of the parameters on the CPU's engine."""

import numba
import numpy as np
import pytest

import naive
from engine_problems import DTYPES, in_layers, network, problem, tolerance
from nnjit.backends import plan, tuner
from nnjit.backends.select import make_engine

RATE, ALPHA = 0.01, 0.1
SOLVERS = {
    "sgd": lambda: naive.SGD(RATE, 0.9, True),
    "adam": lambda: naive.Adam(RATE),
    "amsgrad": lambda: naive.AMSGrad(RATE),
    "adamw": lambda: naive.AdamW(RATE, weight_decay=0.5),
    "rmsprop": lambda: naive.RMSProp(RATE, 0.9),
    "lion": lambda: naive.Lion(RATE, weight_decay=0.5),
    "adagrad": lambda: naive.AdaGrad(RATE, 1e-4),
}
SETTINGS = {
    "adamw": {"weight_decay": 0.5}, "rmsprop": {"beta_2": 0.9}, "lion": {"weight_decay": 0.5},
    "adagrad": {"epsilon": 1e-4},
}  # fmt: skip
OPTIONS = {"clip_norm": 0.3, "clip_value": 0.02, "average": 0.75}
# one part and several, padded rows, enough weights for chunks of their own
SHAPES = [((5, 9, 3), 41, 8), ((40, 128, 3), 90, 37), ((64, 150, 7), 900, 700)]
if numba.config.DISABLE_JIT:
    SHAPES = [((5, 9, 3), 21, 8), ((3, 64, 3), 9, 4)]
every_shape = pytest.mark.parametrize("units, n, batch", SHAPES)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def orders_of(n):
    rng = np.random.default_rng(1)
    return np.array([rng.permutation(n) for _ in range(2)])


def engine_and_data(units, n, dtype):
    coefs, intercepts, X, y, dense, w = problem("multinomial", dtype, n, units, True)
    w[:] += 1
    engine = make_engine(network(units, "tanh", "multinomial"), dtype)
    engine.pack(in_layers(coefs, intercepts))
    return engine, engine.dataset(X, y, w), (coefs, intercepts, X, dense, w)


def trained(units, n, batch, dtype, solver, **options):
    """(optimizer, parameters, losses) after two epochs."""
    engine, dataset, _ = engine_and_data(units, n, dtype)
    optimizer = engine.optimizer(solver, **SETTINGS.get(solver, {}), **options)
    optimizer.learning_rate = RATE
    losses = engine.train_epochs(dataset, orders_of(n), batch, optimizer, ALPHA)
    flat = engine.parameters.copy()
    for parameter in engine.layout.views(flat):
        parameter[...] = 0
    assert not flat.any()  # padding stays zero
    return optimizer, engine.unpack(), losses


def of_the_oracle(units, n, batch, dtype, solver):
    """(parameters, losses) of the same epochs; `solver` may be wrapped."""
    _, _, (coefs, intercepts, X, dense, w) = engine_and_data(units, n, dtype)
    losses = [
        naive.train_epoch(
            coefs, intercepts, X, dense, order, batch, solver, "multinomial", "tanh", ALPHA, w
        )
        for order in orders_of(n)
    ]
    return in_layers(coefs, intercepts), losses


def assert_agree(found, expected, dtype):
    limit = tolerance(dtype)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=limit, atol=limit)


@pytest.mark.parametrize("solver", SOLVERS)
@every_shape
@every_dtype
def test_epochs_of_every_solver_equal_the_oracle(units, n, batch, dtype, solver):
    if solver == "lion" and dtype == np.float32:
        pytest.skip("a sign that is within rounding of zero may be either")
    case = units, n, batch, dtype
    _, found, losses = trained(*case, solver)
    expected, expected_losses = of_the_oracle(*case, SOLVERS[solver]())
    assert_agree(found, expected, dtype)
    np.testing.assert_allclose(losses, expected_losses, rtol=tolerance(dtype))


@pytest.mark.parametrize("solver", ["sgd", "adamw"])
@pytest.mark.parametrize("fused_from", [0, 10**9], ids=["fused", "summed"])
@every_shape
@every_dtype
def test_clipped_epochs_equal_the_oracle(units, n, batch, dtype, fused_from, solver, monkeypatch):
    """Which gets a large enough network as well: its gradient is then summed before it moves."""
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", fused_from)
    case = units, n, batch, dtype
    for kind in ("norm", "value"):
        limit = OPTIONS[f"clip_{kind}"]
        _, found, losses = trained(*case, solver, **{f"clip_{kind}": limit})
        clipped = naive.Clipped(SOLVERS[solver](), **{kind: limit})
        expected, expected_losses = of_the_oracle(*case, clipped)
        assert_agree(found, expected, dtype)
        np.testing.assert_allclose(losses, expected_losses, rtol=tolerance(dtype))
        plain = trained(*case, solver)[1]
        assert max(np.abs(a - b).max() for a, b in zip(found, plain, strict=True)) > 1e-4


@pytest.mark.parametrize("clip", [{}, {"clip_norm": 0.3}], ids=["plain", "clipped"])
@pytest.mark.parametrize("solver", ["sgd", "adamw"])
@every_shape
@every_dtype
def test_averages_equal_the_oracle_and_change_no_step(units, n, batch, dtype, solver, clip):
    case = units, n, batch, dtype
    optimizer, found, losses = trained(*case, solver, average=0.75, **clip)
    _, plain, plain_losses = trained(*case, solver, **clip)
    assert losses == plain_losses
    for a, b in zip(found, plain, strict=True):
        np.testing.assert_array_equal(a, b)
    oracle = naive.Averaged(naive.Clipped(SOLVERS[solver](), clip.get("clip_norm")), 0.75)
    of_the_oracle(*case, oracle)
    half = len(oracle.averages) // 2
    expected = in_layers(oracle.averages[:half], oracle.averages[half:])
    assert_agree(optimizer.averages(), expected, dtype)


@every_dtype
def test_limits_that_nothing_reaches_change_next_to_nothing(dtype):
    """The sums are the same; a finished gradient is rounded once more."""
    case = (5, 9, 3), 41, 8, dtype
    plain = trained(*case, "adam")[1]
    for options in ({"clip_norm": 1e9}, {"clip_value": 1e9}, {"clip_norm": np.inf}):
        assert_agree(trained(*case, "adam", **options)[1], plain, dtype)


def test_the_first_step_copies_the_parameters():
    engine, dataset, _ = engine_and_data((5, 9, 3), 16, np.float64)
    optimizer = engine.optimizer("adam", average=0.9)
    optimizer.learning_rate = RATE
    assert optimizer.averages() is None
    engine.train(dataset, np.arange(16), 8, optimizer, ALPHA, 0, 1)
    for average, parameter in zip(optimizer.averages(), engine.unpack(), strict=True):
        np.testing.assert_array_equal(average, parameter)
    engine.train(dataset, np.arange(16), 8, optimizer, ALPHA, 1, 2)
    assert any((a != p).any() for a, p in zip(optimizer.averages(), engine.unpack(), strict=True))
    optimizer.averages()[0][:] = 0  # a copy
    assert optimizer.averages()[0].any()


def test_large_gradients_of_float32_are_brought_down_not_lost():
    """Their squares overflow."""
    engine = make_engine(network((2, 1), "tanh", "squared_error"), np.float32)
    X, y = np.array([[3.0, 4.0]], np.float32), np.array([[-1e19]], np.float32)
    optimizer = engine.optimizer("sgd", momentum=0.0, clip_norm=1.0)
    optimizer.learning_rate = 1.0
    result = engine.train(engine.dataset(X, y), np.arange(1), 1, optimizer, 0.0, 0, 1)
    assert result.finite
    weights, bias = engine.unpack()
    expected = np.array([3.0, 4.0, 1.0]) / 26**0.5
    np.testing.assert_allclose(-np.append(weights, bias), expected, rtol=1e-5)


def test_minibatches_without_weight_move_no_average():
    engine, _, (_, _, X, dense, w) = engine_and_data((5, 9, 3), 24, np.float64)
    w[8:16] = 0
    dataset = engine.dataset(X, dense.argmax(axis=1), w)
    optimizer = engine.optimizer("sgd", average=0.5, clip_value=0.1)
    optimizer.learning_rate = RATE
    engine.train(dataset, np.arange(24), 8, optimizer, ALPHA, 0, 1)
    before = optimizer.averages()
    assert engine.train(dataset, np.arange(24), 8, optimizer, ALPHA, 1, 2).skipped == 1
    for a, b in zip(before, optimizer.averages(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("options", [{"clip_norm": 0.3}, {"clip_value": 0.01}, {"average": 0.9}])
@every_dtype
def test_bits_do_not_depend_on_threads(dtype, options, monkeypatch):
    if numba.config.DISABLE_JIT:
        pytest.skip("needs compiled code")
    before, results = numba.get_num_threads(), []
    try:
        for count in (1, 2, 4):
            numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
            monkeypatch.setattr(
                tuner.Tuner,
                "run",
                lambda tuner, function, a, b, count=count: function(count > 1, a, b),
            )
            optimizer, found, _ = trained((64, 150, 7), 2500, 700, dtype, "adamw", **options)
            results.append([*found, *optimizer.state()["vectors"].values()])
    finally:
        numba.set_num_threads(before)
    for arrays in results[1:]:
        for a, b in zip(arrays, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("options", [{"clip_norm": 0.3}, {"average": 0.9}], ids=str)
def test_a_state_that_was_kept_goes_on_bit_for_bit(options):
    """In calls of some minibatches each, and in another engine."""
    _, whole, _ = trained((5, 9, 3), 41, 8, np.float64, "adamw", **options)
    engine, dataset, _ = engine_and_data((5, 9, 3), 41, np.float64)
    kept, state = engine.unpack(), None
    for order in orders_of(41):
        for first in range(6):
            engine, dataset, _ = engine_and_data((5, 9, 3), 41, np.float64)
            engine.pack(kept)
            optimizer = engine.optimizer("adamw", **SETTINGS["adamw"], **options)
            if state is not None:
                optimizer.load_state(state)
            optimizer.learning_rate = RATE
            engine.train(dataset, order, 8, optimizer, ALPHA, first, first + 1)
            kept, state = engine.unpack(), optimizer.state()
    for a, b in zip(kept, whole, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"clip_norm": 1.0, "clip_value": 1.0}, "Only one of clip_norm and clip_value"),
        ({"clip_norm": 0.0}, "clip_norm must be above 0, got 0.0"),
        ({"clip_value": -1.0}, "clip_value must be above 0"),
        ({"clip_norm": np.nan}, "clip_norm must be above 0"),
        ({"average": 1.0}, "average must be between 0 and 1"),
        ({"average": 0.0}, "average must be between 0 and 1"),
    ],
)
def test_bad_options_are_refused(options, message):
    engine, _, _ = engine_and_data((5, 9, 3), 8, np.float64)
    with pytest.raises(ValueError, match=message):
        engine.optimizer("adam", **options)
