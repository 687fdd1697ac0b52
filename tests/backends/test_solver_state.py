"""What a solver carries from step to step: its form, the form it had, and what is refused."""

from typing import NamedTuple

import numpy as np
import pytest

from nnjit.backends.solver_state import SolverState, in_present_form


class Rule(NamedTuple):
    """As much of a solver as its state looks at."""

    name: str
    vectors: tuple
    hyperparameters: dict
    powers: tuple


SGD = Rule("sgd", ("velocity",), {"momentum": 0.9, "nesterov": 1.0}, ())
ADAM = Rule("adam", ("mean", "square"), {"beta_1": 0.5, "beta_2": 0.25, "epsilon": 1.0},
            ("beta_1", "beta_2"))  # fmt: skip
PLAIN = Rule("plain", (), {}, ())
THREE = Rule("three", ("a", "b", "c"), {"decay": 0.5}, ("decay",))
RULES = [SGD, ADAM, PLAIN, THREE]
N = 4


class State(SolverState):
    """Its vectors lie in a dictionary."""

    n_parameters = N

    def __init__(self, rule, average=None, **hyperparameters):
        super().__init__(rule, hyperparameters, average)
        self.kept = {name: np.zeros(N) for name in self.vector_names}

    def _read(self, name):
        return self.kept[name].copy()

    def _write(self, name, packed):
        self.kept[name][:] = packed


def after_steps(rule):
    state = State(rule)
    state.learning_rate = 0.125
    state.clock[:] = [3.0, *np.arange(1, 1 + len(rule.powers)) / 8]
    for number, vector in enumerate(state.kept.values()):
        vector[:] = np.arange(N) + number
    return state


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_state_goes_on_where_another_stopped(rule):
    given, taken = after_steps(rule), State(rule)
    state = given.state()
    assert list(state["vectors"]) == list(rule.vectors)
    assert (state["steps"], len(state["powers"])) == (3, len(rule.powers))
    taken.load_state(state)
    assert (taken.t, taken.learning_rate) == (3, 0.125)
    np.testing.assert_array_equal(taken.clock, given.clock)
    for name in rule.vectors:
        np.testing.assert_array_equal(taken.kept[name], given.kept[name])
    given.clock[:] = 7.0  # a state is a copy
    assert state["steps"] == 3 and not (state["powers"] == 7.0).any()


def test_settings_are_the_entrys_in_its_order_unless_given():
    np.testing.assert_array_equal(State(SGD, nesterov=False).settings, [0.9, 0.0])
    np.testing.assert_array_equal(State(ADAM, epsilon=0.5, beta_1=0).settings, [0.0, 0.25, 0.5])
    assert State(PLAIN).settings.shape == (0,)
    with pytest.raises(TypeError, match="'sgd' has no hyperparameter beta_1; it has momentum, n"):
        State(SGD, beta_1=0.5)


@pytest.mark.parametrize("rule", [SGD, ADAM], ids=lambda rule: rule.name)
def test_the_form_that_states_had_is_read(rule):
    first = np.arange(4.0)
    second = first + 1 if rule is ADAM else first[:0]
    older = {
        "learning_rate": np.float64(0.5), "clock": np.array([2.0, 0.25, 0.125]),
        "first": first, "second": second,
    }  # fmt: skip
    present = in_present_form(older, rule)
    assert in_present_form(present, rule) is present
    state = State(rule)
    state.load_state(older)
    assert (state.t, state.learning_rate) == (2, 0.5)
    np.testing.assert_array_equal(state.clock, [2.0, 0.25, 0.125][: 1 + len(rule.powers)])
    for name, vector in zip(rule.vectors, (first, second), strict=False):
        np.testing.assert_array_equal(state.kept[name], vector)


def test_an_average_is_one_vector_more():
    given, taken, without = after_average(), State(ADAM, average=0.5), State(ADAM)
    assert list(given.state()["vectors"]) == ["mean", "square", "average"]
    taken.load_state(given.state())
    np.testing.assert_array_equal(taken.kept["average"], [4.0] * N)
    assert without.averages() is None  # of an engine that keeps none
    with pytest.raises(ValueError, match="'mean', 'square', 'average', but 'adam' has 'mean', 's"):
        without.load_state(given.state())
    with pytest.raises(ValueError, match="are 'mean', 'square', but .* has .*'square', 'average'"):
        taken.load_state(after_steps(ADAM).state())


def after_average():
    state = State(ADAM, average=0.5)
    state.kept["average"][:] = 4.0
    return state


def of_another_solver():
    return after_steps(SGD).state()


def of_adam_in_the_former_form():
    ones = np.ones(N)
    return {"learning_rate": 1.0, "clock": np.ones(3), "first": ones, "second": ones}


def of_another_network():
    state = after_steps(THREE).state()
    return {**state, "vectors": {**state["vectors"], "b": np.zeros(N + 1)}}


def with_other_powers():
    return {**after_steps(THREE).state(), "powers": np.ones(2)}


@pytest.mark.parametrize(
    "made, message",
    [
        (of_another_solver, "its vectors are 'velocity', but 'three' has 'a', 'b', 'c'"),
        (of_adam_in_the_former_form, "its vectors are 'a', 'b', but 'three'"),
        (of_another_network, r"'b' has shape \(5,\), expected \(4,\)"),
        (with_other_powers, r"'powers' has shape \(2,\), expected \(1,\)"),
    ],
)
def test_a_state_of_something_else_is_refused_and_nothing_changes(made, message):
    state = after_steps(THREE)
    before = state.state()
    with pytest.raises(ValueError, match=f"another network or solver: {message}"):
        state.load_state(made())
    after = state.state()
    assert (after["steps"], after["learning_rate"]) == (before["steps"], before["learning_rate"])
    for name in THREE.vectors:
        np.testing.assert_array_equal(after["vectors"][name], before["vectors"][name])


def test_a_vector_too_many_in_the_former_form_is_named():
    with pytest.raises(ValueError, match="its vectors are 'velocity', 'second', but 'sgd' has"):
        State(SGD).load_state(of_adam_in_the_former_form())
