"""Long series with a target at every point: training in windows, predictions, and their memory."""

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from nnjit import NetworkClassifier, NetworkRegressor, RecurrentClassifier
from nnjit.backends.cpu import CpuEngine
from nnjit.layers import GRU, LSTM, RNN, Conv, Dropout
from nnjit.training import loop

sys.path.insert(0, str(Path(__file__).parents[1] / "trust"))
from fresh_python import jit_only, run_python

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def switches(n, time, seed=0):
    """Series of rare pulses up or down, and at every point which the last one was."""
    rng = np.random.default_rng(seed)
    pulses = rng.choice([-1.0, 0.0, 1.0], (n, time), p=[0.05, 0.9, 0.05])
    pulses[:, 0] = rng.choice([-1.0, 1.0], n)
    last = np.maximum.accumulate(np.where(pulses != 0, np.arange(time), 0), axis=1)
    return pulses, np.take_along_axis(pulses, last, axis=1)


def classifier(truncate=8, **options):
    layers = [GRU(6, return_sequences=True, truncate=truncate)]
    options = {"max_iter": 4, "batch_size": 3, "random_state": 0, "tol": 0.0, **options}
    return NetworkClassifier(layers, targets="sequence", learning_rate_init=0.02, **options)


def weights(model):
    return np.concatenate([one.ravel() for one in [*model.coefs_, *model.intercepts_]])


def test_states_are_remembered_for_longer_than_a_window():
    X, y = switches(16, 160)  # pulses are ten points apart, windows have five
    model = classifier(truncate=5, max_iter=15).fit(X, y)
    longer, labels = switches(8, 400, seed=1)
    assert model.score(longer[:, np.newaxis], labels) > 0.95
    assert model.t_ == 15 * 16
    assert model.n_skipped_batches_ == 0
    assert model.loss_curve_[-1] < 0.2 < model.loss_curve_[0]


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
def test_recurrent_estimators_train_in_windows_as_a_stack_of_layers_does(cell):
    X, y = switches(9, 40)
    kind = {"tanh": RNN, "gru": GRU, "lstm": LSTM}[cell]
    options = {"targets": "sequence", "batch_size": 3, "max_iter": 2, "random_state": 0}
    own = RecurrentClassifier(6, cell, truncate=8, **options).fit(X, y)
    stack = NetworkClassifier([kind(6, return_sequences=True, truncate=8)])
    shared = {name: one for name, one in own.get_params().items() if hasattr(stack, name)}
    stack.set_params(**shared).fit(X, y)
    assert own.layers_ == stack.layers_
    np.testing.assert_array_equal(weights(own), weights(stack))
    assert own._optimizer.arrays["steps"] == 2 * 3 * 5


def test_an_update_follows_every_window():
    X, y = switches(6, 40)
    fits = {}
    for truncate in (8, 10, 40, None):
        model = classifier(truncate, max_iter=1, solver="adam").fit(X, y)
        fits[truncate] = model._optimizer.arrays["steps"] if model._optimizer.arrays else None
    assert fits == {8: 2 * 5, 10: 2 * 4, 40: 2, None: 2}


def test_series_of_unequal_length_train_as_they_do_behind_nan():
    X, y = switches(7, 40)
    lengths = [40, 13, 8, 25, 1, 40, 9]
    lists = [row[:n] for row, n in zip(X, lengths)], [row[:n] for row, n in zip(y, lengths)]
    rows = X.copy(), y.copy()
    for row, target, n in zip(*rows, lengths):
        row[n:] = target[n:] = np.nan
    of_lists = classifier().fit(*lists)
    of_rows = classifier(input_shape=(40,)).fit(*rows)
    np.testing.assert_array_equal(weights(of_lists), weights(of_rows))
    longer = np.pad(rows[0], ((0, 0), (0, 11)), constant_values=np.nan)
    targets = np.pad(rows[1], ((0, 0), (0, 11)), constant_values=np.nan)
    padded = classifier(input_shape=(51,)).fit(longer, targets)
    np.testing.assert_array_equal(weights(padded), weights(of_rows))


def test_a_series_of_weight_0_is_as_if_it_were_not_there():
    X, y = switches(6, 40)
    weight = np.array([1.0, 1, 1, 0, 1, 1])
    left = weight > 0
    options = {"batch_size": 1, "shuffle": False}
    whole = classifier(**options).fit(X, y, sample_weight=weight)
    without = classifier(**options).fit(X[left], y[left], sample_weight=weight[left])
    np.testing.assert_array_equal(weights(whole), weights(without))


def test_weights_of_whole_numbers_are_those_of_the_points():
    X, y = switches(6, 40)
    equal = classifier().fit(X, y)
    ones = classifier().fit(X, y, sample_weight=np.ones(6))
    np.testing.assert_allclose(weights(ones), weights(equal), rtol=1e-12)
    balanced = classifier(class_weight={-1.0: 1.0, 1.0: 1.0}).fit(X, y)
    np.testing.assert_allclose(weights(balanced), weights(equal), rtol=1e-12)


def test_validation_partial_fits_and_restarts_go_on_as_ever(tmp_path):
    X, y = switches(12, 40)
    stopped = classifier(early_stopping=True, validation_fraction=0.25).fit(X, y)
    assert len(stopped.validation_scores_) == 4
    assert stopped.t_ == 4 * 9

    given = classifier().fit(X, y, X_val=X[:3], y_val=y[:3])
    assert len(given.validation_loss_curve_) == 4

    at_once = classifier(shuffle=False).fit(X, y)
    bit_by_bit = classifier(shuffle=False)
    for _ in range(4):
        bit_by_bit.partial_fit(X, y, classes=[-1.0, 1.0])
    np.testing.assert_array_equal(weights(bit_by_bit), weights(at_once))

    path = tmp_path / "fit"
    whole = classifier(max_iter=6).fit(X, y)
    classifier(max_iter=3, checkpoint=path).fit(X, y)
    gone_on = classifier(max_iter=6, checkpoint=path).fit(X, y)
    np.testing.assert_array_equal(weights(gone_on), weights(whole))


@pytest.mark.parametrize("learning_rate", ["cosine", "plateau", "invscaling"])
def test_schedules_know_how_many_windows_there_are(learning_rate):
    X, y = switches(6, 40)
    model = classifier(learning_rate=learning_rate, warmup=0.2, max_iter=5).fit(X, y)
    assert len(model.learning_rate_curve_) == 5
    if learning_rate == "cosine":
        assert model.learning_rate_curve_[-1] < 1e-3 < model.learning_rate_curve_[1]


def test_bits_are_those_of_a_float32_fit_and_layers_between_the_states_take_part():
    X, y = switches(9, 40)
    layers = [
        Conv(4, 1, "tanh"),
        GRU(5, return_sequences=True, truncate=7),
        Dropout(0.2),
        GRU(4, return_sequences=True, truncate=7, recurrent_dropout=0.1),
    ]
    model = NetworkRegressor(layers, targets="sequence", max_iter=3, batch_size=4, random_state=0)
    found = [clone(model).fit(X.astype(np.float32), y).predict(X.astype(np.float32)) for _ in "ab"]
    assert found[0].dtype == np.float32
    np.testing.assert_array_equal(*found)


def test_a_long_series_is_predicted_as_its_parts_are_one_after_the_other():
    X, y = switches(4, 40)
    model = classifier().fit(X, y)
    long, _ = switches(3, 700, seed=5)
    p = model.predict_proba(long[:, np.newaxis])
    assert p.shape == (3, 700, 2)
    stream = model.predict_stream()
    np.testing.assert_array_equal([stream.predict_proba(x) for x in long[1]], p[1])
    lists = model.predict_proba([long[0], long[1, :300], long[2, :5]])
    for found, n in zip(lists, (700, 300, 5)):
        assert found.shape == (n, 2)
    np.testing.assert_array_equal(lists[1], p[1, :300])


def test_calls_may_end_behind_any_window(monkeypatch):
    X, y = switches(6, 40)
    at_once = classifier().fit(X, y)
    monkeypatch.setattr(loop, "WORK_PER_CALL", 1)
    np.testing.assert_array_equal(weights(classifier().fit(X, y)), weights(at_once))


def test_ctrl_c_between_windows_keeps_what_has_been_learned(monkeypatch):
    X, y = switches(6, 40)
    monkeypatch.setattr(loop, "WORK_PER_CALL", 1)
    train, calls = CpuEngine.train, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 13:  # in the second epoch, of ten windows each
            raise KeyboardInterrupt
        return train(*arguments)

    monkeypatch.setattr(CpuEngine, "train", interrupted)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model = classifier().fit(X, y)
    assert model.n_iter_ == 1
    assert model._optimizer.arrays["steps"] == 12


MEMORY = r"""
import re, sys, warnings
import numpy as np
from nnjit import NetworkRegressor
from nnjit.layers import GRU

warnings.simplefilter("ignore")
steps, units = int(sys.argv[1]), int(sys.argv[2])
x = np.random.default_rng(0).normal(size=(1, steps))
y = np.roll(np.tanh(x), 1, axis=1)
model = NetworkRegressor(
    [GRU(units, return_sequences=True, truncate=100)], targets="sequence", input_shape=(steps,),
    max_iter=1, random_state=0,
)
assert model.fit(x, y).predict(x).shape == (1, steps)
# that of this process alone: `resource` has what its parent had at the fork
print(int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024)  # MB
"""


def peak(steps, units=16):
    return float(run_python(MEMORY, steps, units, limit=300))


@jit_only
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is told in Linux's units")
def test_memory_is_that_of_the_data_whatever_the_length_of_a_series():
    peak(1000)  # compiles, which takes more memory than anything else
    more = peak(200_000) - peak(50_000)
    arrays = 150_000 * 8 / 2**20
    assert more < 12 * arrays, "x, y, and a few copies; states and gates would be a hundred"


@jit_only
@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is told in Linux's units")
def test_a_series_of_a_million_steps_trains_within_300_mb():
    peak(1000, 32)
    assert peak(1_000_000, 32) < 300
