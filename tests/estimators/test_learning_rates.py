"""Learning-rate schedules of all networks: rates, steps that go on, what is refused."""

import functools
import inspect
import math
import pickle

import numpy as np
import pytest
from problems import problem, quietly
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from nnjit import MLPClassifier, MLPRegressor, RBFRegressor
from nnjit.training.schedules import StepRates, make_schedule

NEW = ["cosine", "one_cycle", "coslog", "exponential", "step", "plateau"]
SETTINGS = {
    "max_iter": 12, "batch_size": 20, "random_state": 0, "n_iter_no_change": 100,
    "learning_rate_init": 0.02, "learning_rate_step": 3,
}  # fmt: skip
BATCHES = 5  # of 96 rows


def halving(step, steps):
    return 0.02 * 0.5 ** (step / steps)


def fitted(cls=MLPClassifier, kind="multiclass", **parameters):
    network = {} if cls is RBFRegressor else {"hidden_layer_sizes": (6,)}
    return quietly(cls(**{**network, **SETTINGS, **parameters}).fit, *problem(kind))


def weights(model):
    return [np.array(a) for a in model._give_parameters()[1]]


def assert_same(a, b):
    for ours, theirs in zip(weights(a), weights(b), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("warmup", [0, 7, 0.25])
@pytest.mark.parametrize("schedule", [*NEW, halving, "constant"])
def test_the_rate_of_each_epoch_is_recorded(schedule, warmup, solver):
    model = fitted(learning_rate=schedule, warmup=warmup, solver=solver)
    made = make_schedule(schedule, 0.02, epochs=3)
    rates = StepRates(made, warmup, 12, BATCHES).of(0, 12 * BATCHES, 0.02)
    if rates is None:
        expected = None if schedule == "constant" else [0.02] * 12
    else:
        expected = rates[BATCHES - 1 :: BATCHES].tolist()
    assert model.learning_rate_curve_ == expected
    assert len(model.loss_curve_) == 12


@pytest.mark.parametrize("schedule", [*NEW, halving])
def test_networks_of_every_kind_have_them(schedule):
    constant = fitted(RBFRegressor, "regression")
    model = fitted(RBFRegressor, "regression", learning_rate=schedule, warmup=10)
    assert len(model.learning_rate_curve_) == 12
    assert not np.array_equal(constant.centers_, model.centers_)


def test_a_schedule_that_is_constant_changes_no_bit():
    assert_same(fitted(), fitted(learning_rate="step", learning_rate_step=1000))
    assert_same(fitted(), fitted(learning_rate=lambda step, steps: 0.02))
    assert_same(fitted(), fitted(learning_rate="exponential", learning_rate_decay=1.0))


def test_scikit_learns_schedules_are_recorded_too():
    assert fitted(learning_rate="invscaling").learning_rate_curve_ is None  # of 'sgd' alone
    model = fitted(learning_rate="invscaling", solver="sgd")
    expected = [
        0.02 / math.sqrt(96 * epoch + bool(epoch)) if epoch else 0.02 for epoch in range(12)
    ]
    np.testing.assert_allclose(model.learning_rate_curve_, expected)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_plateau_lowers_the_rate_of_every_solver(solver, capsys):
    model = fitted(
        learning_rate="plateau", solver=solver, tol=10.0, n_iter_no_change=1, max_iter=50,
        learning_rate_decay=0.01, verbose=True,
    )  # fmt: skip
    # The first epoch improves on infinity; then two go by without an improvement.
    expected = [0.02] * 3 + [2e-4] * 2 + [2e-6] * 2 + [2e-8] * 2
    np.testing.assert_allclose(model.learning_rate_curve_, expected)
    printed = capsys.readouterr().out
    assert printed.count("Setting learning rate to") == 3
    assert "Learning rate too small. Stopping." in printed


@pytest.mark.parametrize("schedule", [*NEW, halving])
def test_partial_fit_goes_on_with_the_steps(schedule):
    """As many calls as epochs are one fit where rows are not shuffled."""
    settings = {"learning_rate": schedule, "warmup": 6, "shuffle": False}
    whole = fitted(**settings)
    X, y = problem("multiclass")
    model = MLPClassifier((6,), **{**SETTINGS, **settings})
    for _ in range(12):
        model.partial_fit(X, y, classes=np.unique(y))
    assert_same(model, whole)
    assert model.learning_rate_curve_ == whole.learning_rate_curve_
    model.partial_fit(X, y)
    if schedule != "plateau":
        assert model.learning_rate_curve_[-1] == model.learning_rate_curve_[-2]


def test_a_further_fit_begins_its_schedule_anew():
    X, y = problem("multiclass")
    model = fitted(learning_rate="cosine", warm_start=True)
    quietly(model.fit, X, y)
    assert model.learning_rate_curve_[:12] == model.learning_rate_curve_[12:]
    assert len(model.learning_rate_curve_) == len(model.loss_curve_) == 24
    quietly(model.set_params(learning_rate="constant").fit, X, y)
    assert model.learning_rate_curve_[24:] == [0.02] * 12
    assert quietly(model.set_params(warm_start=False).fit, X, y).learning_rate_curve_ is None


def test_minibatches_without_weight_make_no_step():
    X, y = problem("multiclass")
    weight = np.ones(len(y))
    weight[20:40] = 0.0
    model = MLPClassifier((6,), **{**SETTINGS, "shuffle": False, "learning_rate": "cosine"})
    quietly(model.fit, X, y, weight)
    rates = StepRates(make_schedule("cosine", 0.02), 0, 12, BATCHES)
    assert model.learning_rate_curve_[-1] == rates.of(12 * 4 - 1, 1, 0.02)[0]
    assert model.n_skipped_batches_ == 12


def test_the_rate_of_an_epoch_is_that_of_its_last_step_where_others_have_no_weight():
    X, y = problem("multiclass")
    weight = np.ones(len(y))
    weight[40:] = 0.0
    model = MLPClassifier((6,), **{**SETTINGS, "shuffle": False, "warmup": 4})
    quietly(model.fit, X, y, weight)
    rate = model.learning_rate_init
    assert model.learning_rate_curve_[:3] == [rate * 2 / 4, rate, rate]


# Callables


def test_a_callable_survives_pickles_and_clones():
    model = fitted(learning_rate=halving)
    again = pickle.loads(pickle.dumps(model))
    X, y = problem("multiclass")
    assert_same(model.partial_fit(X, y), again.partial_fit(X, y))
    assert clone(model).learning_rate is halving
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(fitted(learning_rate=lambda step, steps: 0.1))


def test_a_search_over_schedules():
    X, y = problem("binary")
    choices = {"learning_rate": ["cosine", halving, "constant"], "warmup": [0, 0.1]}
    search = GridSearchCV(MLPClassifier((4,), max_iter=3, random_state=0), choices, cv=2)
    assert len(quietly(search.fit, X, y).cv_results_["params"]) == 6


@pytest.mark.parametrize("value", [0, -0.1, math.nan, math.inf, None, "0.1"])
@pytest.mark.parametrize("at", [0, 23])
def test_what_is_no_rate_leaves_the_estimator_as_it_was(value, at):
    X, y = problem("multiclass")
    model = fitted()
    before = pickle.dumps(model)
    model.learning_rate = lambda step, steps: value if step == at else 0.1
    words = f"positive finite number; at step {at} of 60 it returned"
    with pytest.raises(ValueError, match=words):
        model.fit(X, y)
    model.learning_rate = "constant"
    assert pickle.dumps(model) == before


def test_errors_of_a_callable_are_passed_on():
    def fails(step, steps):
        if step == 17:
            raise RuntimeError("no rate today")
        return 0.1

    X, y = problem("multiclass")
    new = MLPClassifier((6,), **SETTINGS, learning_rate=fails)
    known = set(vars(new))
    with pytest.raises(RuntimeError, match="no rate today"):
        new.fit(X, y)
    assert set(vars(new)) == known


# What is refused


@pytest.mark.parametrize(
    "parameters",
    [
        {"learning_rate": "cosinus"}, {"learning_rate": 0.1}, {"learning_rate": ["cosine"]},
        {"warmup": -1}, {"warmup": 1.0}, {"warmup": -0.1}, {"warmup": "long"},
        {"learning_rate_decay": 0.0}, {"learning_rate_decay": 1.5}, {"learning_rate_step": 0},
    ],
    ids=repr,
)  # fmt: skip
def test_bad_values_are_refused_by_name(parameters):
    (name,) = parameters
    with pytest.raises(ValueError, match=f"The '{name}' parameter of MLPClassifier must be"):
        fitted(**parameters)


@pytest.mark.parametrize("parameters", [{"learning_rate": "cosine"}, {"warmup": 5}], ids=repr)
def test_lbfgs_has_no_steps(parameters):
    ((name, value),) = parameters.items()
    with pytest.raises(ValueError, match=rf"{name}={value!r} with solver='lbfgs'"):
        fitted(solver="lbfgs", **parameters)
    fitted(solver="lbfgs", learning_rate="adaptive")  # which scikit-learn takes


def test_scikit_learns_network_has_none_of_them():
    with pytest.raises(ValueError, match="'learning_rate' parameter"):
        fitted(learning_rate="cosine", learning_rate_step=10).to_sklearn()


def test_the_table_shows_the_rate_of_the_last_step(capsys):
    model = fitted(learning_rate="cosine", verbose=2, max_iter=3)
    lines = capsys.readouterr().out.splitlines()
    shown = [line.split()[3] for line in lines[1:4]]
    assert shown == [f"{rate:.3g}" for rate in model.learning_rate_curve_]


# Checkpoints


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", halving, "constant", "exponential"])
def test_a_checkpoint_of_another_length_is_another_run_where_that_counts(schedule, tmp_path):
    fitted(learning_rate=schedule, warmup=0.1, checkpoint=tmp_path / "run", max_iter=6)
    with pytest.raises(ValueError, match="another run: max_iter differ"):
        fitted(learning_rate=schedule, warmup=0.1, checkpoint=tmp_path / "run")
    if schedule in ("constant", "exponential"):
        path = tmp_path / "by steps"
        fitted(learning_rate=schedule, warmup=6, checkpoint=path, max_iter=6)
        longer = fitted(learning_rate=schedule, warmup=6, checkpoint=path)
        assert_same(longer, fitted(learning_rate=schedule, warmup=6))


class Halving:
    def __init__(self, start):
        self.start = start

    def __call__(self, step, steps):
        return self.start * 0.5 ** (step / steps)


def test_a_checkpoint_knows_a_callable_by_its_name(tmp_path):
    for number, one in enumerate([halving, Halving(0.1), functools.partial(halving)]):
        path = tmp_path / str(number)
        fitted(learning_rate=one, checkpoint=path)
        fitted(learning_rate=one, checkpoint=path)
        with pytest.raises(ValueError, match="another run: learning_rate differ"):
            fitted(learning_rate=lambda step, steps: 0.1, checkpoint=path)
    assert "0x" not in (tmp_path / "2").read_bytes().decode("latin-1")


def test_new_parameters_come_by_name_alone():
    for cls in (MLPClassifier, MLPRegressor, RBFRegressor):
        for name in ("warmup", "learning_rate_decay", "learning_rate_step"):
            assert inspect.signature(cls).parameters[name].kind == inspect.Parameter.KEYWORD_ONLY
