"""The loop over epochs, on the NumPy engine: nothing here depends on compiled code."""

import copy
import math
import signal
import warnings
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import shuffle as sklearn_shuffle

from nnjit.layers import Conv, Dense, Flatten, GlobalPool, Pool
from nnjit.layers.gru.spec import GRU
from nnjit.layers.layer import Parameter
from nnjit.layers.network import Network, mlp
from nnjit.training import loop
from nnjit.training.initialization import glorot_uniform
from nnjit.training.members import fit_members
from nnjit.training.solvers import make_solver
from nnjit.training.state import EpochPlan, TrainingState
from nnjit.training.stopping import LossMonitor, ScoreMonitor
from nnjit.training.watching import Watch
from numpy_engine import make_engine

MNIST_CNN = Network(
    784,
    (
        Conv(32, 3, padding="valid"),
        Conv(64, 3, padding="valid"),
        Pool("max", 2),
        Flatten(),
        Dense(128),
        Dense(10, "identity"),
    ),
    "log_loss",
    "softmax",
    shape=(1, 28, 28),
)
N_SAMPLES, N_FEATURES, N_OUTPUTS = 50, 4, 2
NETWORK = mlp(N_FEATURES, (5,), N_OUTPUTS, "tanh", "squared_error", "identity")


def run(engine=None, state=None, sample_weight=None, **changes):
    """Train a small regression; return the engine and the state after it."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((N_SAMPLES, N_FEATURES))
    y = np.tanh(X @ rng.standard_normal((N_FEATURES, N_OUTPUTS)))
    if engine is None:
        engine = make_engine(NETWORK, "f8")
        units = NETWORK.sizes
        layers = [glorot_uniform(rng, a, b, "tanh", "f8") for a, b in zip(units, units[1:])]
        engine.pack([array for layer in layers for array in layer])
    if state is None:
        state = TrainingState(
            rng=np.random.RandomState(1),
            solver=changes.pop("solver", None)
            or make_solver("adam", learning_rate_init=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-8),
            monitor=changes.pop("monitor", None) or LossMonitor(1e-4, math.inf),
            order=np.arange(N_SAMPLES),
            rate_curve=[] if changes.pop("keep_rates", False) else None,
        )
    stop_after = changes.pop("stop_after", None)
    hook = None if stop_after is None else StopAfter(stop_after)
    plan = {
        "batch_size": 8,
        "alpha": 0.01,
        "shuffle": True,
        "max_epochs": 6,
        "single_epoch": False,
        "verbose": False,
    }
    dataset = engine.dataset(X, y, sample_weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        loop.run_epochs(
            engine, dataset, state, EpochPlan(**{**plan, **changes}), sample_weight, hook
        )
    engine.data = X, y
    return engine, state


class StopAfter:
    """Has a run stop after some epochs."""

    def __init__(self, epochs):
        self.epochs = epochs

    def begin(self):
        pass

    def end(self, engine, state):
        return state.epoch == self.epochs


def parameters(engine):
    return engine.flat.copy()


def test_number_of_calls_does_not_change_the_parameters(monkeypatch):
    whole, state = run()
    monkeypatch.setattr(loop, "WORK_PER_CALL", 1.0)
    assert loop.batches_per_call(whole, 8) == 1
    pieces, piecewise = run()
    np.testing.assert_array_equal(parameters(whole), parameters(pieces))
    np.testing.assert_allclose(state.loss_curve, piecewise.loss_curve, rtol=1e-14)


def priced(network, work_per_call=None):
    """What the loop reads of an engine to see how long a call may be."""
    return SimpleNamespace(network=network, work_per_row=network.work, work_per_call=work_per_call)


@pytest.mark.parametrize("units", [1, 100, 3_000, 10**6])
@pytest.mark.parametrize("batch_size", [1, 200, 10**6])
@pytest.mark.parametrize("work_per_call", [None, 1e12])
def test_a_call_is_bounded_but_never_empty(units, batch_size, work_per_call):
    network = mlp(units, (units,), 3, "relu", "log_loss", "softmax")
    batches = loop.batches_per_call(priced(network, work_per_call), batch_size)
    assert batches >= 1
    work = 6 * network.work * batch_size * batches
    assert batches == 1 or work <= (work_per_call or loop.WORK_PER_CALL)


@dataclass(frozen=True)
class Convolution:
    """A layer of few parameters that are used a thousand times for each row."""

    kind = "convolution"

    def outputs(self, inputs):
        return inputs

    def parameters(self, inputs):
        return (Parameter("kernel", (3, 3), penalized=True),)

    def kept(self, inputs):
        return 0

    def work(self, inputs):
        return 9 * inputs


def test_a_call_is_priced_by_multiply_adds_whatever_the_layer_kind():
    network = Network(
        10_000, (Convolution(),) * 50 + (Dense(2, "identity"),), "log_loss", "softmax"
    )
    batches = loop.batches_per_call(priced(network), 32)
    assert batches >= 1 and 6 * network.work * 32 * batches <= loop.WORK_PER_CALL
    dense = mlp(10, (40,), 2, "relu", "log_loss", "softmax")
    assert dense.n_parameters > 450
    assert batches < loop.batches_per_call(priced(dense), 32) / 100


def series_network(filters, time):
    layers = [Conv(n, kernel) for n, kernel in zip(filters, (8, 5, 3), strict=True)]
    layers += [GlobalPool("mean"), Dense(2, "identity")]
    return Network(time, tuple(layers), "log_loss", "softmax", shape=(1, time))


@pytest.mark.parametrize("time", [24, 150, 1460])
@pytest.mark.parametrize("filters", [(16, 32, 16), (128, 256, 128)])
def test_a_call_for_convolutions_is_one_minibatch_or_bounded_work(filters, time):
    network = series_network(filters, time)
    batches = loop.batches_per_call(priced(network), 16)
    assert batches == 1 or 3 * 16 * batches * network.work <= loop.WORK_PER_CALL / 2


def test_a_minibatch_of_the_largest_networks_takes_no_second():
    """A call cannot be shorter: a fifth of a second or a third at 60e9 multiply-adds a second."""
    for network, batch_size in [(series_network((128, 256, 128), 1460), 16), (MNIST_CNN, 128)]:
        assert loop.batches_per_call(priced(network), batch_size) == 1
        assert 3 * batch_size * network.work <= 20e9


@pytest.mark.parametrize("units", [1, 4, 32, 128])
@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize("time", [1, 10, 1000])
def test_a_call_for_recurrent_layers_counts_their_points_of_time(units, batch_size, time):
    """A row of few units takes some 0.3 us at each, of many a ns for ten multiply-adds."""
    network = Network(
        2 * time, (GRU(units), Dense(2, "identity")), "log_loss", "softmax", shape=(2, time)
    )
    batches = loop.batches_per_call(priced(network), batch_size)
    cell = 3e-7 + 3 * units * (units + 2) / 1e10
    assert batches * batch_size * time * cell < 1.0


def test_calls_for_dense_layers_are_as_long_as_they_have_been():
    """Losses are summed call by call, so that another length would be other bits."""
    for hidden, batch_size in [((100,), 200), ((512, 512), 200), ((10,), 32), ((), 1)]:
        network = mlp(50, hidden, 10, "relu", "log_loss", "softmax")
        former = 6 * network.n_parameters + 2000
        former = int(4e9 / (batch_size * former + 30 * network.n_parameters))
        assert loop.batches_per_call(priced(network), batch_size) == former


def test_shuffles_are_those_of_scikit_learn():
    orders = []

    class Spy:
        def __init__(self, engine):
            self.__dict__.update(engine=engine)

        def __getattr__(self, name):
            return getattr(self.engine, name)

        def train(self, dataset, order, *args):
            orders.append(order.copy())
            return self.engine.train(dataset, order, *args)

        def train_epochs(self, dataset, rows, *args):
            orders.extend(rows.copy())
            return self.engine.train_epochs(dataset, rows, *args)

    engine, _ = run(max_epochs=1)
    run(engine=Spy(engine))
    assert len(orders) == 6
    generator, expected = np.random.RandomState(1), np.arange(N_SAMPLES)
    for order in orders:
        expected = sklearn_shuffle(expected, random_state=generator)
        np.testing.assert_array_equal(order, expected)


@pytest.mark.parametrize("schedule", ["constant", "adaptive", "invscaling"])
@pytest.mark.parametrize("patience, tol", [(1, 1e-2), (3, 5e-3), (10, 1e-4), (10, 10.0)])
@pytest.mark.parametrize("shuffle", [True, False])
def test_epochs_run_ahead_change_nothing(schedule, patience, tol, shuffle, monkeypatch):
    """Same parameters, losses, rates and end, whether or not epochs share a call."""

    def trained():
        solver = make_solver(
            "sgd",
            learning_rate_init=0.05,
            learning_rate=schedule,
            power_t=0.3,
            momentum=0.9,
            nesterov=True,
        )
        return run(
            max_epochs=47, solver=solver, monitor=LossMonitor(tol, patience), shuffle=shuffle
        )

    calls = []
    engine_class = type(run(max_epochs=1)[0])
    several = engine_class.train_epochs
    monkeypatch.setattr(
        engine_class,
        "train_epochs",
        lambda self, dataset, orders, *rest: (
            calls.append(len(orders)) or several(self, dataset, orders, *rest)
        ),
    )
    ahead, state = trained()
    assert bool(calls) == (schedule != "invscaling")
    assert max(calls, default=0) <= patience + 1
    monkeypatch.setattr(loop, "ROWS_AHEAD", 0)
    calls.clear()
    one_by_one, expected = trained()
    assert not calls
    np.testing.assert_array_equal(parameters(ahead), parameters(one_by_one))
    assert state.loss_curve == expected.loss_curve
    assert (state.epoch, state.converged) == (expected.epoch, expected.converged)
    assert state.solver.rate == expected.solver.rate
    np.testing.assert_array_equal(state.order, expected.order)
    assert state.rng.uniform() == expected.rng.uniform()


def test_without_shuffle_no_random_number_is_drawn():
    _, state = run(shuffle=False)
    np.testing.assert_array_equal(state.order, np.arange(N_SAMPLES))
    assert state.rng.uniform() == np.random.RandomState(1).uniform()


@pytest.mark.parametrize("solver_name", ["adam", "sgd"])
def test_state_holds_all_that_is_needed_to_go_on(solver_name):
    """Six epochs are three epochs, a copy of state and parameters, and three more."""

    def solver():
        if solver_name == "adam":
            return make_solver("adam", learning_rate_init=0.01)
        return make_solver(
            "sgd",
            learning_rate_init=0.1,
            learning_rate="invscaling",
            power_t=0.3,
            momentum=0.9,
            nesterov=True,
        )

    whole, reference = run(solver=solver())
    engine, state = run(solver=solver(), max_epochs=3)
    kept = copy.deepcopy((engine.unpack(), state))
    run(engine=engine, state=state)  # what goes on here must not matter
    arrays, state = kept
    fresh = make_engine(NETWORK, "f8")
    fresh.pack(arrays)
    run(engine=fresh, state=state)
    np.testing.assert_array_equal(parameters(whole), parameters(fresh))
    assert state.loss_curve == reference.loss_curve
    assert (state.epoch, state.samples_seen) == (6, 6 * N_SAMPLES)
    assert state.solver.rate == reference.solver.rate


class Failing:
    """An engine whose train call number `when` raises, or reports a loss that is not finite."""

    def __init__(self, engine, when, error=None):
        self.engine, self.when, self.error, self.calls = engine, when, error, 0

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def train(self, *args):
        self.calls += 1
        if self.calls != self.when:
            return self.engine.train(*args)
        if self.error:
            raise self.error
        return self.engine.train(*args)._replace(finite=False)

    def train_epochs(self, dataset, orders, *args):
        totals = []
        for order in orders:
            result = self.train(dataset, order, *args, 0, -(-len(order) // args[0]))
            totals.append(result.loss if result.finite else math.nan)
            if not result.finite:
                break
        return totals


def test_interrupt_keeps_the_last_minibatch(monkeypatch):
    monkeypatch.setattr(loop, "WORK_PER_CALL", 1.0)  # 7 calls an epoch
    engine, _ = run(max_epochs=1)
    before = parameters(engine)
    failing = Failing(engine, 7 + 3, KeyboardInterrupt())
    with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$"):
        _, state = run(engine=failing)
    assert state.interrupted
    assert state.epoch == 1
    assert len(state.loss_curve) == 1
    assert state.solver.steps == 7 + 2
    assert not np.array_equal(before, parameters(engine))


@pytest.mark.parametrize("epoch", [1, 4, 15])
def test_an_interrupt_waits_until_epochs_of_one_call_are_counted(epoch, monkeypatch, heard):
    """However early among them it comes; what is there then is a shorter run's."""

    def record(state, *values):
        recorded(state, *values)
        if state.epoch == epoch:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop, "ROWS_AHEAD", 9 * N_SAMPLES)
    recorded = TrainingState.record
    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="interrupted by user"):
        patch.setattr(TrainingState, "record", record)
        engine, state = run(max_epochs=1000)
    assert state.interrupted
    assert state.epoch == -(-epoch // 9) * 9
    shorter, whole = run(max_epochs=state.epoch)
    assert state.loss_curve == whole.loss_curve
    assert state.solver.steps == whole.solver.steps
    np.testing.assert_array_equal(parameters(engine), parameters(shorter))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_among_the_last_epochs_says_no_more_than_that(monkeypatch, heard):
    """And an error there is not taken for one."""

    def record(state, *values):
        recorded(state, *values)
        if state.epoch == 5:
            signal.raise_signal(signal.SIGINT)
            if failing:
                raise MemoryError

    recorded, failing = TrainingState.record, False
    monkeypatch.setattr(TrainingState, "record", record)
    monkeypatch.setattr(loop, "warn", lambda text, *_: pytest.fail(text))
    with pytest.warns(UserWarning, match="interrupted by user"):
        assert run(max_epochs=8)[1].epoch == 8
    failing = True
    with pytest.raises(MemoryError):
        run(max_epochs=8)


@pytest.mark.parametrize("restored", ["loss", "score"])
def test_an_interrupt_before_anything_was_scored_keeps_what_was_learned(restored, monkeypatch):
    """The best weights so far are those of the start."""
    monkeypatch.setattr(loop, "WORK_PER_CALL", 1.0)
    engine, _ = run(max_epochs=1)
    start = engine.unpack()
    if restored == "loss":
        monitor = LossMonitor(0.0, math.inf, best_weights=start)
    else:
        watch = Watch(engine.data[0], lambda *given: 0.0, scores=[])
        monitor = ScoreMonitor(watch, 0.0, math.inf, best_weights=start)
    with pytest.warns(UserWarning, match="interrupted by user"):
        _, state = run(engine=Failing(engine, 4, KeyboardInterrupt()), monitor=monitor)
    assert state.epoch == 0
    assert not state.monitor.restore  # so that the engine's are taken
    assert not np.array_equal(start[0], engine.unpack()[0])


@pytest.mark.parametrize("calls", [1, 7])
def test_time_that_is_over_ends_a_run_between_two_calls(calls, monkeypatch):
    """In an epoch of several calls, or between two epochs; the first call is always made."""
    monkeypatch.setattr(loop, "ROWS_AHEAD", 10 * N_SAMPLES)
    if calls > 1:
        monkeypatch.setattr(loop, "WORK_PER_CALL", 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit_members([lambda: run(max_epochs=10**6)] * 2, n_threads=2, max_time=0.4)
        at_once = fit_members([lambda: run(max_epochs=10**6)], max_time=0.0)
    for engine, state in found.results:
        assert state.interrupted
        assert 1 < state.epoch < 10**6
        assert len(state.loss_curve) == state.epoch
        assert np.isfinite(parameters(engine)).all()
    _, state = at_once.results[0]
    assert (state.epoch, state.solver.steps) == ((10, 70) if calls == 1 else (0, 1))
    assert found.complete == [False] * 2
    assert at_once.complete == [False]


def test_a_member_whose_time_ends_with_it_is_complete():
    with pytest.warns(ConvergenceWarning):
        found = fit_members([lambda: run(max_epochs=1)], max_time=0.0)
    assert found.complete == [True]
    assert found.results[0][1].epoch == 1


def test_other_errors_are_not_swallowed():
    engine, _ = run(max_epochs=1)
    with pytest.raises(MemoryError):
        run(engine=Failing(engine, 2, MemoryError()))


def test_loss_that_is_not_finite_ends_the_run():
    engine, _ = run(max_epochs=1)
    _, state = run(engine=Failing(engine, 3))
    assert state.diverged
    assert not state.converged
    assert state.epoch == 3
    assert math.isnan(state.loss)
    assert math.isnan(state.loss_curve[-1])


def test_loss_is_the_mean_over_the_rows_trained_on():
    weight = np.ones(N_SAMPLES)
    weight[8:16] = 0.0
    weight[48:] = 0.0  # the last minibatch, of two rows
    _, state = run(sample_weight=weight, shuffle=False, max_epochs=1)
    assert state.skipped_batches == 2
    engine, _ = run(max_epochs=1, shuffle=False, solver=frozen_solver())
    rng = np.random.RandomState(0)
    X = rng.standard_normal((N_SAMPLES, N_FEATURES))
    y = np.tanh(X @ rng.standard_normal((N_FEATURES, N_OUTPUTS)))
    _, frozen = run(
        sample_weight=weight, shuffle=False, max_epochs=1, solver=frozen_solver(), alpha=0.0
    )
    kept = weight > 0
    expected, _ = engine.backward(X[kept], y[kept], None, 0.0)
    np.testing.assert_allclose(frozen.loss, expected, rtol=1e-12)


def frozen_solver():
    return make_solver(
        "sgd",
        learning_rate_init=1e-300,
        learning_rate="constant",
        power_t=0.5,
        momentum=0.0,
        nesterov=False,
    )


def test_single_epoch_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, state = run(single_epoch=True)
    assert state.epoch == 1


def test_last_epoch_warns():
    engine, state = run(max_epochs=1)
    rng = np.random.RandomState(0)
    dataset = engine.dataset(
        rng.standard_normal((N_SAMPLES, N_FEATURES)), rng.standard_normal((N_SAMPLES, N_OUTPUTS))
    )
    plan = EpochPlan(8, 0.0, True, 2, False, False)
    with pytest.warns(
        ConvergenceWarning,
        match=r"Maximum iterations \(2\) reached and the optimization hasn't converged yet",
    ):
        loop.run_epochs(engine, dataset, state, plan)


def test_plateau_ends_the_run_after_patience_and_one_more_epoch():
    monitor = LossMonitor(tol=1e9, patience=4)
    _, state = run(monitor=monitor, max_epochs=100)
    assert state.converged
    assert state.epoch == 1 + 5  # the first epoch always improves on infinity
    assert monitor.count == 5


def test_adaptive_rate_falls_until_it_is_too_small(capsys):
    solver = make_solver(
        "sgd",
        learning_rate_init=1e-5,
        learning_rate="adaptive",
        power_t=0.5,
        momentum=0.0,
        nesterov=False,
    )
    _, state = run(
        solver=solver, monitor=LossMonitor(tol=1e9, patience=1), max_epochs=100, verbose=True
    )
    printed = capsys.readouterr().out.splitlines()
    said = [line for line in printed if "consecutive" in line]
    assert len(said) == 3  # 1e-5 -> 2e-6 -> 4e-7, and then the end
    assert said[0].endswith("for 1 consecutive epochs. Setting learning rate to 0.000002")
    assert said[-1].endswith("Learning rate too small. Stopping.")
    assert state.converged
    np.testing.assert_allclose(solver.learning_rate, 4e-7)


def test_score_monitor_keeps_the_weights_of_the_best_epoch():
    scores = iter([0.1, 0.7, 0.3, 0.7, 0.2])
    engine, _ = run(max_epochs=1)
    seen = []

    class Recording(Watch):
        def evaluate(self, engine):
            seen.append(parameters(engine))
            return next(scores), math.nan

    monitor = ScoreMonitor(Recording(None, None, scores=[]), 0.0, 10, best_weights=None)
    run(engine=engine, monitor=monitor, max_epochs=5)
    assert monitor.watch.scores == [0.1, 0.7, 0.3, 0.7, 0.2]
    assert monitor.best == 0.7
    engine.pack(monitor.best_weights)
    np.testing.assert_array_equal(parameters(engine), seen[1])
    assert monitor.count == 1  # 0.7 again is no fall below the best; 0.2 is
