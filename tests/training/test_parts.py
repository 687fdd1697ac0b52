"""Schedules, solvers, initialization, splits and scores, each against scikit-learn's."""

import dataclasses
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from entries_of_tests import actions
from nnjit.backends.select import make_engine
from nnjit.formulas import find_loss, known_pairs
from nnjit.layers.network import mlp
from nnjit.training.initialization import glorot_uniform
from nnjit.training.schedules import make_schedule
from nnjit.training.scoring import R2, ClassAccuracy, LabelAccuracy, MeanLoss, row_losses
from nnjit.training.solvers import make_solver
from nnjit.training.stopping import LossMonitor, ScoreMonitor
from nnjit.training.validation import ValidationSplit, split_rows
from nnjit.training.watching import Watch

# Initialization


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_initial_values_are_those_of_scikit_learn(activation, dtype):
    peer = MLPClassifier(activation=activation)
    peer._random_state = np.random.RandomState(5)
    generator = np.random.RandomState(5)
    for shape in ((3, 7), (7, 1), (1, 1)):
        expected = peer._init_coef(*shape, dtype)
        for ours, theirs in zip(glorot_uniform(generator, *shape, activation, dtype), expected):
            assert ours.dtype == dtype
            np.testing.assert_array_equal(ours, theirs)
    assert generator.uniform() == peer._random_state.uniform()


# Schedules and solvers


@pytest.mark.parametrize("name", ["constant", "invscaling", "adaptive"])
def test_schedules_follow_scikit_learn(name, capsys):
    peer = SGDOptimizer([], 0.3, name, power_t=0.4)
    schedule, rate = make_schedule(name, 0.3, 0.4), 0.3
    for epoch in range(1, 12):
        peer.iteration_ends(epoch * 50)
        rate = schedule.after_epoch(rate, epoch * 50)
        assert rate == peer.learning_rate
        stop = peer.trigger_stopping("No improvement.", verbose=True)
        action = schedule.on_plateau(rate)
        rate = action.rate
        assert (action.stop, rate) == (stop, peer.learning_rate)
        assert capsys.readouterr().out == "No improvement." + action.text + "\n"


def test_adam_reports_the_rate_with_its_corrections():
    peer = AdamOptimizer([np.zeros(1)], 0.02, 0.8, 0.95)
    solver = make_solver("adam", learning_rate_init=0.02, beta_1=0.8, beta_2=0.95, epsilon=1e-8)
    assert solver.learning_rate == 0.02
    for step in range(1, 5):
        peer._get_updates([np.ones(1)])
        solver.steps = step
        np.testing.assert_allclose(solver.learning_rate, peer.learning_rate, rtol=1e-14)


def test_a_solver_has_the_defaults_of_its_entry():
    solver = make_solver("adam", learning_rate_init=0.1, beta_1=0.5)
    assert solver.hyperparameters == {"beta_1": 0.5, "beta_2": 0.999, "epsilon": 1e-8}
    assert make_solver("sgd", learning_rate_init=0.1).learning_rate == 0.1


def test_a_hyperparameter_that_a_solver_does_not_have_is_refused():
    with pytest.raises(ValueError, match=r"'sgd' has .*\['momentum', 'nesterov'\], not beta_1"):
        make_solver("sgd", learning_rate_init=0.1, beta_1=0.5)
    with pytest.raises(
        ValueError, match=r"solver must be one of \[.*'adam', .*'sgd'\], got 'lbfgs'"
    ):
        make_solver("lbfgs", learning_rate_init=0.1)


def test_schedules_apply_to_solvers_that_have_them():
    names = {"learning_rate_init": 0.1, "learning_rate": "invscaling"}
    assert make_solver("sgd", **names).schedule.after_epoch(0.1, 99) < 0.1
    assert make_solver("adam", **names).schedule.after_epoch(0.1, 99) == 0.1


# Stopping


@pytest.mark.parametrize("tol", [0.0, 0.1, np.inf])
def test_loss_monitor_counts_as_scikit_learn(tol):
    peer = MLPClassifier(tol=tol)
    peer.best_loss_, peer._no_improvement_count, peer.loss_curve_ = np.inf, 0, []
    monitor = LossMonitor(tol, 3)
    for loss in (3.0, 2.0, 1.95, 1.96, 1.5, 1.5, 1.5, 1.49, 1.0, 0.0, 5.0):
        peer.loss_curve_.append(loss)
        peer._update_no_improvement_count(False, None, None, None)
        monitor.after_epoch(None, loss, False)
        assert (monitor.count, monitor.best) == (peer._no_improvement_count, peer.best_loss_)
        assert monitor.on_plateau == (peer._no_improvement_count > 3)


@pytest.mark.parametrize("tol", [0.0, 0.1])
def test_score_monitor_counts_as_scikit_learn(tol):
    scores = [0.2, 0.2, 0.5, 0.55, 0.5, np.nan, 0.54, 0.9, 0.9]
    peer = MLPClassifier(tol=tol)
    peer.best_validation_score_, peer._no_improvement_count = -np.inf, 0
    peer.validation_scores_, peer.coefs_, peer.intercepts_ = [], [], []

    class Engine:
        def predict_checked(self, X):
            return X, True

        def unpack(self):
            return []

    left = iter(scores)
    watch = Watch(None, lambda output, engine: next(left), scores=[])
    monitor = ScoreMonitor(watch, tol, 3, best_weights=None)
    for score in scores:
        peer._score = lambda *args, score=score, **kwargs: score
        peer._update_no_improvement_count(True, None, None, None)
        monitor.after_epoch(Engine(), 0.0, False)
        assert monitor.count == peer._no_improvement_count
        assert monitor.best == peer.best_validation_score_


# Validation rows


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("n_samples", [20, 101])
def test_split_is_that_of_train_test_split(n_samples, stratified):
    labels = np.arange(n_samples) % 3 if stratified else None
    ours, theirs = np.random.RandomState(3), np.random.RandomState(3)
    rows, held_out = split_rows(n_samples, 0.25, ours, labels=labels)
    expected = train_test_split(
        np.arange(n_samples), test_size=0.25, random_state=theirs, stratify=labels
    )
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_array_equal(held_out, expected[1])
    assert ours.uniform() == theirs.uniform()


def test_split_that_cannot_be_stratified():
    labels = np.array([0] * 10 + [1] * 9 + [2])
    ours, theirs = np.random.RandomState(3), np.random.RandomState(3)
    rows, held_out = split_rows(20, 0.25, ours, labels=labels)
    expected = train_test_split(np.arange(20), test_size=0.25, random_state=theirs)
    np.testing.assert_array_equal(held_out, expected[1])
    with pytest.raises(ValueError, match="validation set is too small"):
        split_rows(5, 0.1, ours)


@pytest.mark.parametrize("n_samples", [4, 7, 8, 9, 1000])
def test_split_is_found_again(n_samples):
    rows, held_out = split_rows(n_samples, 0.5, np.random.RandomState(0))
    split = ValidationSplit(held_out, n_samples)
    again = pickle.loads(pickle.dumps(split))
    assert again.n_samples == n_samples
    found_rows, found_held_out = again.rows()
    np.testing.assert_array_equal(found_rows, np.sort(rows))
    np.testing.assert_array_equal(found_held_out, np.sort(held_out))
    assert len(pickle.dumps(split)) < 400 + n_samples // 8


# Scores


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn(seed, weighted):
    rng = np.random.RandomState(seed)
    n, k = rng.randint(2, 40), rng.randint(2, 5)
    weight = rng.uniform(0.1, 2, n) if weighted else None
    output = rng.uniform(size=(n, k))
    labels = rng.randint(k, size=n)
    assert ClassAccuracy(labels, weight)(output) == accuracy_score(
        labels, output.argmax(axis=1), sample_weight=weight
    )
    indicator = rng.uniform(size=(n, k)) < 0.5
    output[: n // 2] = np.where(indicator[: n // 2], 0.9, 0.1)
    assert LabelAccuracy(indicator, weight)(output) == accuracy_score(
        indicator, output > 0.5, sample_weight=weight
    )
    target = rng.standard_normal((n, k))
    target[:, 0] = 2.0  # constant, not met
    target[:, 1] = output[:, 1] = -1.0  # constant, met
    assert R2(target, weight)(output) == r2_score(target, output, sample_weight=weight)


def test_r2_of_an_output_that_is_not_finite_is_nan():
    target = np.arange(4.0)[:, np.newaxis]
    for value in (np.nan, np.inf):
        output = target.copy()
        output[2] = value
        assert np.isnan(R2(target, None)(output))
    assert R2(target, None)(target) == 1.0


# Losses


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pair", sorted(known_pairs()))
def test_the_mean_loss_is_that_of_the_engine(pair, dtype, weighted):
    """Of every loss, whatever its formula reads."""
    entry = find_loss(*pair)
    outputs = 4 if entry.by_row else 3
    network = mlp(4, (5,), outputs, "tanh", *pair)
    engine, rng = make_engine(network, dtype), np.random.default_rng(0)
    arrays = [rng.standard_normal(one.shape) for _, one in network.parameters()]
    engine.pack(arrays)
    X = rng.standard_normal((40, 4)).astype(dtype)
    y = rng.integers(0, 2, (40, 3)).astype(dtype)
    if entry.by_row:
        y = actions(entry, 40, outputs, rng)
    elif pair[1] == "softmax":
        y = rng.integers(0, 3, 40)
    elif entry.domain is None or entry.domain.holds(np.array([0.5])).all():
        y = rng.uniform(0.1, 2.0, (40, 3)).astype(dtype)
    weight = rng.uniform(0.1, 2.0, 40) if weighted else None
    loss = MeanLoss(X, y, weight)(engine.predict(X), engine)
    packed = np.concatenate([np.ravel(arrays[number]) for number in network.packing()])
    expected, _ = engine.loss_gradient(packed, engine.dataset(X, y, weight), 0.0)
    np.testing.assert_allclose(loss, expected, rtol=1e-5 if dtype == np.float32 else 1e-12)


def test_the_mean_loss_knows_parameters_of_each_output_and_several_softmaxes():
    @dataclasses.dataclass(frozen=True)
    class Entry:
        """A loss with a parameter, in the form that formulas have."""

        value_reads = ("y", "p", "share")
        parameters = {"share": 0.5}
        classes = by_row = mean_over_outputs = False
        output = "identity"

        def numpy(self, dtype):
            return SimpleNamespace(value=lambda y, p, share: share * abs(p - y))

    p, y = np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]])
    assert row_losses(Entry(), (), y, p, p) == [1.5]
    assert row_losses(Entry(), [("share", (1.0, 10.0))], y, p, p) == [21.0]
    outputs = np.array([[0.5, 0.5, 0.1, 0.2, 0.7]])
    network = SimpleNamespace(
        loss="log_loss", output="softmax", groups=(2, 3), loss_parameters=(), target_shape=()
    )
    loss = MeanLoss(None, np.array([[0, 2]]), None)(outputs, SimpleNamespace(network=network))
    np.testing.assert_allclose(loss, -np.log(0.5) - np.log(0.7))
