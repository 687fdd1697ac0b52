"""A network as data: sizes, parameters and their order, work, and what a file keeps of it."""

import json
from typing import NamedTuple

import numpy as np
import pytest

from nnjit.layers.convolution.spec import Conv
from nnjit.layers.dense.spec import Dense
from nnjit.layers.network import Network, mlp
from nnjit.layers.radial.spec import RadialBasis
from nnjit.layers.registry import find_kind, kinds
from numpy_engine import as_mlp

MLP = mlp(8, (16, 5), 3, "relu", "log_loss", "softmax")
RADIAL = Network(
    4, (RadialBasis(6, normalized=True), Dense(2, "identity")), "squared_error", "identity"
)


def test_sizes_and_outputs_are_those_of_the_layers():
    assert MLP.sizes == (8, 16, 5, 3) and MLP.outputs == 3
    assert RADIAL.sizes == (4, 6, 2)


def test_parameters_come_layer_by_layer():
    found = [(number, one.name, one.shape) for number, one in MLP.parameters()]
    assert found[:3] == [(0, "weights", (8, 16)), (0, "biases", (16,)), (1, "weights", (16, 5))]
    assert len(found) == 6


def test_the_packing_of_an_mlp_is_scikit_learns():
    assert MLP.packing() == (0, 2, 4, 1, 3, 5)  # coefs_, then intercepts_


def test_the_packing_has_penalized_parameters_first():
    named = list(RADIAL.parameters())
    order = [named[number][1].name for number in RADIAL.packing()]
    assert order == ["weights", "centers", "log_widths", "biases"]


def test_numbers_of_parameters_and_of_multiply_adds():
    assert MLP.n_parameters == 9 * 16 + 17 * 5 + 6 * 3
    assert MLP.work == 8 * 16 + 16 * 5 + 5 * 3  # a dense layer's: its weights
    assert RADIAL.n_parameters == 6 * 4 + 6 + 6 * 2 + 2
    assert RADIAL.work == RadialBasis(6).work(4) + 6 * 2


def test_networks_of_equal_data_are_equal():
    again = mlp(8, [16, np.int64(5)], 3, "relu", "log_loss", "softmax")
    assert again == MLP and hash(again) == hash(MLP)
    assert mlp(8, (16, 5), 3, "tanh", "log_loss", "softmax") != MLP


def test_the_text_of_a_network_tells_all_of_it():
    assert str(MLP) == (
        "8 -> dense(16, activation='relu') -> dense(5, activation='relu') -> dense(3), "
        "output 'softmax', loss 'log_loss'"
    )
    assert "radial(6, normalized=True)" in str(RADIAL)


def test_layers_are_counted_by_their_matrices():
    network = mlp(
        4, (4, 6, 6), 2, "relu", "squared_error", "identity", normalization="batch", residual=True
    )
    assert [layer.kind for layer in network.layers] == [
        "dense", "normalization", "residual", "dense", "normalization",
        "dense", "normalization", "residual", "dense",
    ]  # fmt: skip
    assert network.sizes == (4, 4, 4, 4, 6, 6, 6, 6, 6, 2)
    assert network.widths == (4, 4, 6, 6, 2)
    assert network.shortcuts == ((0, 2), (5, 7))
    assert network.joins_rows and not MLP.joins_rows and not MLP.shortcuts
    assert MLP.widths == MLP.sizes and RADIAL.widths == RADIAL.sizes


def test_the_packing_has_at_its_end_what_no_solver_trains():
    network = mlp(4, (3,), 2, "relu", "squared_error", "identity", normalization="batch")
    named = network.parameters()
    assert [named[number][1].name for number in network.packing()] == [
        "weights", "weights", "biases", "scale", "shift", "biases", "mean", "variance",
    ]  # fmt: skip


@pytest.mark.parametrize("network", [MLP, RADIAL], ids=["mlp", "radial"])
def test_a_network_goes_through_json_and_back(network):
    assert Network.from_state(json.loads(json.dumps(network.to_state()))) == network


def test_numpys_integers_become_plain_ones():
    network = mlp(np.int64(3), np.array([4]), np.int32(2), "tanh", "squared_error", "identity")
    assert Network.from_state(json.loads(json.dumps(network.to_state()))) == network


def test_an_unknown_kind_is_refused_with_those_that_there_are():
    state = RADIAL.to_state()
    state["layers"][0]["kind"] = "raidal"
    with pytest.raises(ValueError, match="no layer kind 'raidal'; there are .*dense.*radial"):
        Network.from_state(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("loss"), "The data of a network are inputs, layers"),
        (lambda state: state.update(more=1), "The data of a network are"),
        (lambda state: state["layers"][0].pop("units"), "of a dense layer are units, activation"),
        (lambda state: state["layers"][0].pop("kind"), "A layer has no kind"),
        (lambda state: state["layers"][0].update(units=0), "each layer one output"),
        (lambda state: state["layers"][0].update(units="2"), "each layer one output"),
        (lambda state: state.update(inputs=-1), "at least one input"),
        (lambda state: state.update(layers=[]), "ends in a dense layer"),
        (lambda state: state["layers"].reverse(), "ends in a dense layer"),
    ],
)  # fmt: skip
def test_data_of_no_network_are_refused(change, message):
    state = MLP.to_state()
    change(state)
    with pytest.raises(ValueError, match=message):
        Network.from_state(state)


def test_a_network_ends_in_a_dense_layer_without_activation():
    with pytest.raises(ValueError, match="ends in a dense layer without an activation"):
        Network(2, (Dense(3, "tanh"),), "squared_error", "identity")


class Behind(NamedTuple):
    """A layer without units of its own."""

    kind: str

    def outputs(self, inputs):
        return inputs

    def parameters(self, inputs):
        return ()


def test_a_hidden_layer_ends_where_the_next_one_begins():
    assert MLP.hidden_ends == (1, 2) and RADIAL.hidden_ends == (1,)
    assert mlp(8, (), 3, "relu", "log_loss", "softmax").hidden_ends == ()
    drop, norm, add = map(Behind, ("dropout", "normalization", "residual"))
    layers = (
        drop,
        Dense(5, "identity"),
        norm,
        drop,
        Dense(5, "identity"),
        norm,
        add,
        Dense(2, "identity"),
    )
    network = Network(5, layers, "squared_error", "identity")
    assert network.hidden_ends == (4, 7)


def test_the_first_layers_are_a_network_without_a_loss():
    first = MLP.first(1)
    assert first.sizes == (8, 16) and first.layers == MLP.layers[:1]
    assert first.parameters() == MLP.parameters()[:2]
    with pytest.raises(ValueError, match="ends in a dense layer"):
        MLP.first(0)


def test_every_kind_is_found_under_its_name():
    assert {"dense", "radial"} <= set(kinds())
    for name in kinds():
        assert find_kind(name).kind == name


def test_what_an_mlp_was_made_of_is_read_from_it():
    assert as_mlp(MLP) == ((8, 16, 5, 3), "relu")
    linear = mlp(2, (), 1, "tanh", "squared_error", "identity")
    assert as_mlp(linear) == ((2, 1), "identity")


def test_other_networks_are_refused_as_mlps():
    mixed = Network(
        2, (Dense(3, "tanh"), Dense(3, "relu"), Dense(1, "identity")), "squared_error", "identity"
    )
    for network in (RADIAL, mixed):
        with pytest.raises(ValueError, match="Dense layers of one activation are needed"):
            as_mlp(network)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((("quantile", float("nan")),), "finite numbers"),
        ((("quantile", (0.1, "0.9")),), "finite numbers"),
        ((("quantile", 0.1), ("quantile", 0.2)), "given twice"),
    ],
)
def test_parameters_of_a_loss_that_are_no_numbers_or_given_twice_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mlp(2, (), 2, "relu", "quantile", "identity", loss_parameters=options)


def test_the_text_of_a_network_names_the_parameters_of_its_loss():
    made = mlp(2, (), 1, "relu", "huber", "identity", loss_parameters=[("huber_delta", 2.0)])
    assert str(made).endswith("loss 'huber', huber_delta=2.0")


@pytest.mark.parametrize("name", ["filters", "groups"])
def test_numbers_of_filters_and_groups_are_single_ints(name):
    given = {"filters": 4, name: np.int64(2)}
    assert type(getattr(Conv(**given), name)) is int
    for wrong in (0, 2.0, True, (2, 2)):
        with pytest.raises(ValueError, match=rf"^{name} is an int of at least 1, got "):
            Conv(**{**given, name: wrong})
