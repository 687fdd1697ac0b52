"""Rates step by step: against PyTorch's, at the ends, and in the loop, on the NumPy engine."""

import json
import math
import pickle

import numpy as np
import pytest
from pytorch_rates import CASES, EXPECTED, RATE, rates_of_pytorch
from test_loop import N_SAMPLES, parameters, run

from nnjit._types import ScheduleName, names
from nnjit.training import loop
from nnjit.training.schedules import SCHEDULES, Span, StepRates, make_schedule
from nnjit.training.solvers import SCIKIT_LEARNS, make_solver
from nnjit.training.stopping import LossMonitor

BATCHES = 7  # of an epoch in `run`
NEW = [*(name for name in names(ScheduleName) if name not in SCIKIT_LEARNS), "callable"]


def falling(step, steps):
    return 0.05 * (steps - step) / steps


def solver_of(schedule, name="adam", **settings):
    """A solver with a schedule by name, or with a function of the user."""
    learning_rate = falling if schedule == "callable" else schedule
    return make_solver(name, learning_rate_init=0.05, learning_rate=learning_rate, **settings)


def all_rates(schedule, warmup, n_epochs, epoch, rate=RATE):
    return StepRates(schedule, warmup, n_epochs, epoch).of(0, n_epochs * epoch, rate)


# Formulas


def rates_of(name):
    kind, steps, epoch, decay, epochs = CASES[name]
    schedule = make_schedule(kind, RATE, decay=decay, epochs=epochs)
    return all_rates(schedule, 0, steps // epoch, epoch)


@pytest.mark.parametrize("name", CASES)
def test_rates_are_those_of_pytorch(name):
    expected = json.loads(EXPECTED.read_text(encoding="utf-8"))[name]
    np.testing.assert_allclose(rates_of(name), expected, rtol=0, atol=1e-12 * RATE)


@pytest.mark.parametrize("name", CASES)
def test_rates_are_those_of_pytorch_where_it_is_installed(name):
    pytest.importorskip("torch")
    np.testing.assert_allclose(rates_of(name), rates_of_pytorch(name), rtol=0, atol=1e-12 * RATE)


def test_every_schedule_has_a_name_that_type_checkers_know():
    assert set(SCHEDULES) == set(names(ScheduleName))
    with pytest.raises(ValueError, match=r"learning_rate must be one of \['constant'.*'cosinus'"):
        make_schedule("cosinus", 0.1)


@pytest.mark.parametrize("warmup", [0, 1, 5, 0.1, 0.25, 10**6])
@pytest.mark.parametrize("name", ["constant", "cosine", "one_cycle", "coslog", "step"])
def test_the_schedule_has_the_steps_that_the_warmup_leaves(name, warmup):
    schedule = make_schedule(name, RATE, epochs=1)
    rates = all_rates(schedule, warmup, 4, 10)
    steps = warmup if isinstance(warmup, int) else round(40 * warmup)
    if rates is None:
        assert (name, warmup) == ("constant", 0)
        return
    left = max(40 - steps, 1)
    later = [schedule.at_step(RATE, t, Span(left, 10)) for t in range(left)]
    rising = later[0] * (np.arange(min(steps, 40)) + 1) / max(steps, 1)
    np.testing.assert_allclose(rates, [*rising, *later][:40], rtol=1e-14)


def test_rates_do_not_depend_on_how_the_steps_are_cut():
    rates = StepRates(make_schedule("cosine", RATE), 3, 5, 8)
    whole = rates.of(0, 40, RATE)
    pieces = [rates.of(first, 5, RATE) for first in range(0, 40, 5)]
    np.testing.assert_array_equal(whole, np.concatenate(pieces))


@pytest.mark.parametrize("name", ["cosine", "one_cycle", "coslog", "exponential", "step"])
def test_after_the_last_step_its_rate_stays(name):
    rates = StepRates(make_schedule(name, RATE), 0, 2, 8)
    np.testing.assert_array_equal(rates.of(16, 3, RATE), [rates.of(15, 1, RATE)[0]] * 3)


def test_coslog_has_four_waves_each_twice_as_long_as_the_one_before():
    """Zeros where 1 + 15 t / T is a power of 2, the whole rate half-way between in logarithms."""
    at_step, span = make_schedule("coslog", RATE).at_step, Span(1500, 10)
    for k in range(4):
        assert at_step(RATE, 100 * (2**k - 1), span) == pytest.approx(0.0, abs=1e-12)
    tops = [100 * (2 ** (k + 0.5) - 1) for k in range(4)]
    np.testing.assert_allclose([at_step(RATE, t, span) for t in tops], RATE)
    assert 0.0 < at_step(RATE, 1499, span) < 1e-4 * RATE


def test_minibatches_without_weight_are_no_steps():
    rates = StepRates(make_schedule("cosine", RATE), 0, 2, 8)
    moved = np.array([True, False, True, False, False, True])
    given = rates.of(4, 6, RATE, lambda: moved)
    np.testing.assert_array_equal(given, rates.of(4, 3, RATE)[[0, 0, 1, 1, 1, 2]])
    for step, wanted in ((0, 0), (4, 3)):  # the last step's, from the second one on
        given = rates.of(step, 2, RATE, lambda: np.array([False, True]))
        np.testing.assert_array_equal(given, [rates.of(at, 1, RATE)[0] for at in (wanted, step)])


def test_where_all_steps_have_the_same_rate_there_are_none():
    assert StepRates(make_schedule("constant", RATE), 0, 2, 8).of(0, 8, RATE) is None
    warm = StepRates(make_schedule("plateau", RATE), 3, 2, 8)
    np.testing.assert_allclose(warm.of(2, 3, RATE), [RATE, RATE, RATE])
    assert warm.of(3, 8, RATE) is None


def test_a_callable_is_called_for_each_step_with_the_number_of_all():
    seen = []

    def rate(step, steps):
        seen.append((step, steps))
        return np.float32(0.5)

    rates = all_rates(make_schedule(rate, RATE), 2, 2, 3)
    assert seen == [
        (0, 4),
        (0, 4),
        (0, 4),
        (1, 4),
        (2, 4),
        (3, 4),
    ]  # the warm-up asks for the first
    np.testing.assert_array_equal(rates, [0.25, 0.5, 0.5, 0.5, 0.5, 0.5])


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, None, "0.1", [0.1], 1j])
def test_what_is_no_rate_is_refused_with_step_and_value(value):
    schedule = make_schedule(lambda step, steps: value if step == 3 else 0.1, RATE)
    with pytest.raises(ValueError, match="positive finite number; at step 3 of 8 it") as error:
        all_rates(schedule, 0, 2, 4)
    assert repr(value) in str(error.value)


def test_a_plateau_lowers_the_rate_until_it_is_too_small():
    schedule, rate = make_schedule("plateau", 1e-4, decay=0.1), 1e-4
    for expected in (1e-5, 1e-6):
        action = schedule.on_plateau(rate)
        assert not action.stop
        rate = action.rate
        np.testing.assert_allclose(rate, expected)
        assert schedule.reaches(rate, 1e-4, 100)
    assert schedule.on_plateau(9e-7).stop
    assert not schedule.reaches(3e-5, 1e-4, 100)
    assert not schedule.reaches(0.0, 1e-4, 100)


@pytest.mark.parametrize("name", names(ScheduleName))
def test_schedules_can_be_pickled_and_compared(name):
    schedule = make_schedule(name, RATE)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert pickle.loads(pickle.dumps(make_schedule(falling, RATE))).function is falling


def test_scikit_learns_schedules_are_for_the_solvers_that_have_them_there():
    for name in ("invscaling", "adaptive"):
        assert not solver_of(name).varies
        assert solver_of(name, "sgd").varies
    for name in NEW:
        assert solver_of(name).varies and solver_of(name, "sgd").varies
    assert solver_of("adaptive", warmup=3).varies


# In the loop


@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("warmup", [0, 10])
@pytest.mark.parametrize("schedule", ["constant", *NEW])
def test_epochs_run_ahead_change_nothing(schedule, warmup, name, monkeypatch):
    """Same parameters, losses and rates, whether or not epochs share a call."""

    def trained():
        solver = solver_of(schedule, name, warmup=warmup)
        monitor = LossMonitor(1e-2, 3)
        engine, state = run(max_epochs=23, solver=solver, monitor=monitor, keep_rates=True)
        return parameters(engine), state

    ahead, state = trained()
    monkeypatch.setattr(loop, "ROWS_AHEAD", 0)
    one_by_one, expected = trained()
    np.testing.assert_array_equal(ahead, one_by_one)
    monkeypatch.setattr(loop, "WORK_PER_CALL", 1.0)
    by_minibatch, _ = trained()
    np.testing.assert_array_equal(ahead, by_minibatch)
    assert state.loss_curve == expected.loss_curve
    assert state.rate_curve == expected.rate_curve
    assert (state.epoch, state.solver.rate) == (expected.epoch, expected.solver.rate)
    assert state.solver.last_rate in (None, state.rate_curve[-1])


def test_the_rate_of_an_epoch_is_that_of_its_last_step():
    _, state = run(solver=solver_of("cosine"), keep_rates=True)
    rates = all_rates(make_schedule("cosine", 0.05), 0, 6, BATCHES, 0.05)
    assert state.rate_curve == rates[BATCHES - 1 :: BATCHES].tolist()


def test_without_a_schedule_no_rates_are_kept_or_given():
    engine, state = run()
    assert state.rate_curve is None and state.solver.last_rate is None


def test_steps_without_weight_do_not_move_the_schedule():
    weight = np.ones(N_SAMPLES)
    weight[8:24] = 0.0  # two of seven minibatches
    seen = []
    solver = make_solver(
        "sgd",
        learning_rate_init=0.1,
        learning_rate=lambda step, steps: seen.append(step) or 1e-3,
    )
    _, state = run(solver=solver, sample_weight=weight, shuffle=False, max_epochs=2)
    assert seen == [0, 0, 0, 1, 2, 3, 4, 5, 5, 5, 6, 7, 8, 9]
    assert state.solver.steps == 10 and state.skipped_batches == 4


def test_fifty_steps_are_those_of_a_loop_by_hand():
    """Gradient descent with momentum on the minibatches in order, at PyTorch's rates."""
    rates = json.loads(EXPECTED.read_text(encoding="utf-8"))["one_cycle"]
    settings = {"momentum": 0.9, "nesterov": False}
    solver = make_solver("sgd", learning_rate_init=RATE, learning_rate="one_cycle", **settings)
    engine, _ = run(solver=solver, shuffle=False, max_epochs=6, batch_size=5)  # 60 steps
    by_hand, _ = run(max_epochs=1, solver=make_solver("sgd", learning_rate_init=1e-300))
    X, y = by_hand.data
    velocity = np.zeros_like(by_hand.flat)
    for step in range(60):
        rows = slice(5 * (step % 10), 5 * (step % 10) + 5)
        _, gradient = by_hand.backward(X[rows], y[rows], None, 0.01)
        velocity = 0.9 * velocity - rates[step] * gradient
        by_hand.flat = by_hand.flat + velocity
    np.testing.assert_allclose(parameters(engine), parameters(by_hand), rtol=1e-9)


@pytest.mark.parametrize("schedule", NEW)
def test_a_run_that_goes_on_is_one_run(schedule):
    whole, expected = run(solver=solver_of(schedule, warmup=0.2), keep_rates=True)
    engine, state = run(solver=solver_of(schedule, warmup=0.2), keep_rates=True, stop_after=3)
    assert state.epoch == 3
    run(engine=engine, state=state)
    np.testing.assert_array_equal(parameters(whole), parameters(engine))
    assert state.rate_curve == expected.rate_curve


def test_an_error_of_a_callable_is_passed_on():
    def fails(step, steps):
        raise ZeroDivisionError("mine")

    solver = make_solver("adam", learning_rate_init=0.1, learning_rate=fails)
    with pytest.raises(ZeroDivisionError, match="mine"):
        run(solver=solver)
