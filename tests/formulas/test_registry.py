"""Looking entries up, and what is refused when one is registered."""

import re

import pytest

from nnjit.formulas import (
    ACTIVATIONS,
    LOSSES,
    SOLVERS,
    find_activation,
    find_loss,
    find_solver,
    registry,
)


def test_entries_are_found_by_name():
    for name, entry in ACTIVATIONS.items():
        assert find_activation(name) is entry
        assert entry.name == name
    for name, entry in SOLVERS.items():
        assert find_solver(name) is entry
    for (name, output), entry in LOSSES.items():
        if output is not None:
            assert find_loss(name, output) is entry


@pytest.mark.parametrize("find", [find_activation, find_solver])
@pytest.mark.parametrize("name", ["no such", None, ["relu"], 3])
def test_an_unknown_name_is_an_error_that_lists_those_that_there_are(find, name):
    entries = ACTIVATIONS if find is find_activation else SOLVERS
    with pytest.raises(ValueError, match=re.escape(f"{sorted(entries)}, got {name!r}")):
        find(name)


def test_an_unknown_loss_is_an_error_that_lists_the_losses():
    known = sorted({name for name, _ in LOSSES})
    with pytest.raises(ValueError, match=re.escape(f"{known}, got 'mse'")):
        find_loss("mse", "identity")


@pytest.mark.parametrize("output", ["identity", "tanh", "no such", None])
def test_a_pair_that_does_not_go_together_is_an_error_that_lists_what_does(output):
    with pytest.raises(ValueError, match="'poisson' does not go with") as caught:
        find_loss("poisson", output)
    for name in registry.outputs_of("poisson"):
        assert repr(name) in str(caught.value)
    for name in registry.losses_of(output):
        assert repr(name) in str(caught.value)


def test_every_output_activation_of_a_loss_is_known():
    for _, output in LOSSES:
        assert output in (None, "softmax") or find_activation(output)


def test_a_loss_of_the_output_is_joined_to_every_activation_that_stays_in_its_range():
    entry = find_loss("huber", "tanh")
    assert entry.by_output and entry.link is find_activation("tanh")
    assert entry is find_loss("huber", "tanh")
    assert entry.parameters == LOSSES["huber", None].parameters
    assert {"exp", "softplus", "logistic"} <= set(registry.outputs_of("gamma"))
    assert not {"identity", "tanh", "softmax"} & set(registry.outputs_of("gamma"))
    assert find_loss("squared_error_of_classes", "softmax").link is None
    for name, output in registry.known_pairs():
        assert output in registry.outputs_of(name) and name in registry.losses_of(output)


def test_a_pair_made_by_itself_goes_before_the_joined_one():
    assert not find_loss("poisson", "exp").by_output
    assert find_loss("poisson", "softplus").by_output
    assert find_loss("squared_error", "identity").gradient_of_sum
    assert find_loss("squared_error", "tanh").gradient_of_mean


def test_parameters_of_a_loss_are_one_number_or_one_for_each_output():
    entry = find_loss("quantile", "identity")
    assert entry.settings((), 2) == [(0.5,), (0.5,)]
    assert entry.settings([("quantile", 0.1)], 2) == [(0.1,), (0.1,)]
    assert entry.settings([("quantile", (0.1, 0.9))], 2) == [(0.1,), (0.9,)]
    with pytest.raises(ValueError, match=re.escape("parameters ['quantile'], got 'q'")):
        entry.settings([("q", 0.1)], 2)
    with pytest.raises(ValueError, match="for each of 3 outputs"):
        entry.settings([("quantile", (0.1, 0.9))], 3)
    with pytest.raises(ValueError, match="'focal' is not one number"):
        find_loss("focal", "softmax").settings([("focal_gamma", (1.0, 2.0))], 2)


def formula(*reads):
    """A function with arguments of these names."""
    known = {
        ("z",): lambda z: z,
        ("delta", "h", "z"): lambda delta, h, z: delta,
        ("delta", "z", "h"): lambda delta, z, h: delta,
        ("y", "q"): lambda y, q: y,
    }
    return known[reads]


def test_backward_is_asked_what_it_reads():
    made = (formula("z"), formula("z"), formula("delta", "z", "h"))
    assert registry.Activation("both", lambda m: made).reads == ("z", "h")
    assert find_activation("relu").reads == ("h",)
    assert find_activation("identity").reads == ()


def test_a_backward_that_reads_something_else_is_refused():
    made = (formula("z"), formula("z"), formula("delta", "h", "z"))
    with pytest.raises(ValueError, match="'twisted' takes delta and z, h, or z and h"):
        registry.Activation("twisted", lambda m: made)


def test_a_loss_may_read_its_parameters_and_nothing_unknown():
    made = (formula("y", "q"),) * 2
    entry = registry.Loss("quantile", lambda m: made, "identity", parameters={"q": 0.5})
    assert entry.value_reads == entry.slope_reads == ("y", "q")
    with pytest.raises(ValueError, match="loss 'quantile' may read"):
        registry.Loss("quantile", lambda m: made, "identity")


def test_powers_are_of_hyperparameters():
    with pytest.raises(ValueError, match="powers of the solver 'odd'"):
        registry.Solver("odd", lambda m: (None, formula("z")), powers=("beta",))


def test_traits_of_a_solver_name_what_it_has():
    made = (None, formula("z"))
    with pytest.raises(ValueError, match="penalized of the solver 'odd' are of its hyperparam"):
        registry.Solver("odd", lambda m: made, penalized=("decay",))
    with pytest.raises(ValueError, match=r"squares of .* its vectors \['a'\], got \['b'\]"):
        registry.Solver("odd", lambda m: made, vectors=("a",), squares=("b",))
    with pytest.raises(ValueError, match="a vector of the solver 'odd' is called 'average'"):
        registry.Solver("odd", lambda m: made, vectors=("average",))


def test_rates_of_a_step_are_a_tuple():
    adam, adamw = find_solver("adam"), find_solver("adamw")
    assert find_solver("sgd").step_rates(0.5, {}, ()) == (0.5,)
    (rate,) = adam.step_rates(0.5, adam.hyperparameters, (0.9, 0.999))
    assert rate == pytest.approx(0.5 * 0.001**0.5 / 0.1)
    rates = adamw.step_rates(0.5, adamw.hyperparameters, (0.9, 0.999))
    assert rates == pytest.approx((0.5 / 0.1, 0.001**-0.5, 0.5))


def test_entries_do_not_change():
    with pytest.raises(AttributeError):
        find_activation("relu").gain = 1.0
    with pytest.raises(TypeError):
        find_solver("adam").hyperparameters["beta_1"] = 0.5
    assert len({*ACTIVATIONS.values(), *LOSSES.values(), *SOLVERS.values()}) == (
        len(ACTIVATIONS) + len(LOSSES) + len(SOLVERS)
    )


def test_what_is_offered_comes_from_the_entries():
    assert {"identity", "logistic", "tanh", "relu"} <= set(registry.hidden_activations())
    assert "exp" not in registry.hidden_activations()
    assert {"squared_error", "poisson"} <= set(registry.regression_losses())
    assert "log_loss" not in registry.regression_losses()
    assert registry.outputs_of("log_loss") == ("logistic", "softmax")
    assert registry.outputs_of("no such") == ()
    assert registry.losses_of("exp")[:2] == ("poisson", "gamma")
    assert registry.losses_of("identity")[0] == "squared_error"
    assert registry.default_output("poisson") == registry.default_output("gamma") == "exp"
    assert registry.default_output("huber") == registry.default_output("squared_error")
    assert list(registry.classification_losses()) == ["log_loss", "squared_error", "focal"]


def test_activations_say_whether_they_saturate_or_die():
    assert find_activation("relu").dies
    assert not any(find_activation(name).dies for name in ("identity", "tanh", "logistic", "exp"))
    assert find_activation("tanh").bounded and find_activation("logistic").bounded
    assert not find_activation("relu").bounded
