"""Every kind of layer as a module of PyTorch: outputs, gradients, and the way back."""

from dataclasses import fields
from itertools import product

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from torch_networks import equal, network_with, with_random_parameters  # noqa: E402

from networks_of_kinds import LAYERS  # noqa: E402
from nnjit import NetworkRegressor  # noqa: E402
from nnjit.backends.select import make_engine  # noqa: E402
from nnjit.estimators._arrays import pack_parameters, unpack_parameters  # noqa: E402
from nnjit.interop import from_torch, to_torch  # noqa: E402
from nnjit.interop.torch.reading import read_modules  # noqa: E402
from nnjit.interop.torch.writing import KINDS  # noqa: E402
from nnjit.layers import Conv, Flatten, PiecewiseLinear, Pool, Scaling  # noqa: E402
from nnjit.layers.registry import kinds  # noqa: E402

LIMITS = {np.float64: 1e-12, np.float32: 1e-5}
every_layer = pytest.mark.parametrize("kind, number, form", LAYERS)
every_precision = pytest.mark.parametrize("dtype", LIMITS)


def outputs_of(module, X):
    with torch.no_grad():
        return module(torch.from_numpy(X)).numpy()


def test_no_kind_of_layer_is_forgotten():
    assert {*KINDS} == {*kinds()} == {kind for kind, _, _ in LAYERS}


@every_precision
@every_layer
def test_outputs_are_the_same(kind, number, form, dtype):
    model, X, _ = network_with(kind, number, form, dtype)
    found = outputs_of(to_torch(model), X)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, model.predict(X), atol=LIMITS[dtype], rtol=LIMITS[dtype])


@every_layer
def test_nothing_stays_behind_when_a_module_is_moved_to_another_device(kind, number, form):
    model, X, _ = network_with(kind, number, form, np.float64)
    module = to_torch(model).to("meta")  # a tensor that is not there cannot be mixed with others
    assert module(torch.empty(*X.shape, dtype=torch.float64, device="meta")).shape == (len(X), 2)


def forms_of(layer, shape):
    """A layer with the sizes of all axes written out."""
    sizes = {"kernel_size", "stride", "dilation", "size"}
    values = {one.name: getattr(layer, one.name) for one in fields(layer)}
    if hasattr(layer, "axes"):
        values = {name: value for name, value in values.items() if name not in sizes}
        values["axes"] = layer.axes(shape)
    return layer.kind, values


@every_precision
@every_layer
def test_the_way_there_and_back_changes_no_bit(kind, number, form, dtype):
    model, X, _ = network_with(kind, number, form, dtype)
    module = to_torch(model)
    back = from_torch(module, type(model))
    (network, arrays), (same, others) = model._give_parameters(), back._give_parameters()
    assert equal(arrays, others)
    assert [*map(forms_of, network.layers, network.shapes)] == [
        *map(forms_of, same.layers, same.shapes)
    ]
    np.testing.assert_array_equal(back.predict(X), model.predict(X))
    states = module.state_dict(), to_torch(back).state_dict()
    assert [*states[0]] == [*states[1]]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def gradient_of_ours(model, X, y):
    network, arrays = model._give_parameters()
    engine = make_engine(network, np.float64)
    packed = pack_parameters(network, arrays)
    loss, found = engine.loss_gradient(packed, engine.dataset(X, y), 0.0)
    return loss, unpack_parameters(network, found, np.dtype(np.float64))


def gradient_of_torch(model, X, y):
    """The same by PyTorch, in the form of our parameters."""
    module = to_torch(model).train(model._give_parameters()[0].joins_rows)
    loss = ((module(torch.from_numpy(X)) - torch.from_numpy(y)) ** 2 / 2).mean()
    loss.backward()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(parameter.grad)
            if "bias_hh" in name:  # but for the new state of a GRU it is the other one's once more
                units = module.get_submodule(name.rpartition(".")[0]).hidden_size
                parameter[: 2 * units if len(parameter) == 3 * units else None] = 0.0
    read = read_modules(module, None)
    network = model._give_parameters()[0]
    return loss.item(), [read.arrays[number][one.name] for number, one in network.parameters()]


NOT_DRAWN = [
    (kind, number, form)
    for kind, number, form in LAYERS
    if kind not in ("augmentation", "dropout", "noise")
    and not (kind in ("rnn", "gru", "lstm") and number == 5)  # with recurrent dropout
]


@pytest.mark.parametrize("kind, number, form", NOT_DRAWN)
def test_gradients_are_the_same(kind, number, form):
    model, X, y = network_with(kind, number, form, np.float64)
    loss, ours = gradient_of_ours(model, X, y)
    loss_of_torch, theirs = gradient_of_torch(model, X, y)
    assert loss_of_torch == pytest.approx(loss, rel=1e-12)
    largest = max(1.0, *(np.abs(one).max() for one in ours))
    checked = 0
    for (_, one), a, b in zip(model._give_parameters()[0].parameters(), ours, theirs):
        if one.trained:
            checked += 1
            np.testing.assert_allclose(b, a, atol=1e-8 * largest, err_msg=one.name)
    assert checked >= 2


def windows_of(axes):
    """Layers over windows of every size, a convolution with or without padding, or pooling."""
    sizes = product((1, 2, 3, 4), (1, 2, 3), (1, 2), ("same", "valid"))
    for kernel, stride, dilation, padding in sizes:
        ways = (kernel, stride, dilation)
        if axes == 2:  # other sizes along the second axis
            ways = (kernel, 5 - kernel), (stride, 4 - stride), (dilation, 3 - dilation)
        yield Conv(2, ways[0], "softplus", ways[1], ways[2], padding=padding)
        if dilation == 1:
            yield Pool("max" if padding == "same" else "mean", ways[0], ways[1])


@pytest.mark.parametrize("shape", [(2, 11), (2, 9, 10)])
def test_windows_of_every_size_stand_where_ours_do(shape):
    X = np.random.default_rng(0).standard_normal((9, *shape))
    if len(shape) == 2:
        for number, series in enumerate(X):
            series[:, 11 - number % 4 :] = np.nan
    count = 0
    for layer in windows_of(len(shape) - 1):
        model = NetworkRegressor([layer, Conv(2, 2, "tanh"), Flatten()], random_state=0)
        model = with_random_parameters(model.partial_fit(X, X.reshape(9, -1)[:, 0]))
        module = to_torch(model)
        found = outputs_of(module, X)[:, 0]
        np.testing.assert_allclose(found, model.predict(X), atol=1e-12, err_msg=str(layer))
        back = from_torch(module)
        assert equal(back._give_parameters()[1], model._give_parameters()[1])
        np.testing.assert_array_equal(back.predict(X), model.predict(X), err_msg=str(layer))
        count += 1
    assert count == 72


def test_gradients_at_the_edges_of_bins_are_the_same():
    """A value on an edge belongs to the bin above it; bins without width are none."""
    X = np.array([[0.0, 5.0], [1.0, 5.0], [1.5, 5.0], [2.0, 6.0], [4.0, 6.0], [-1.0, 7.0]])
    y = np.random.default_rng(0).standard_normal((6, 2))
    model = NetworkRegressor([Scaling(), PiecewiseLinear(2, 4)], solver="sgd", random_state=0)
    model = with_random_parameters(model.partial_fit(X, y))
    model.layer_parameters_[0]["factors"][:] = 1.0
    model.layer_parameters_[1]["edges"][:] = [[0, 1, 1, 2, 4], [5, 5, 6, 6, 6]]
    np.testing.assert_allclose(outputs_of(to_torch(model), X), model.predict(X), atol=1e-12)
    ours, theirs = gradient_of_ours(model, X, y)[1], gradient_of_torch(model, X, y)[1]
    assert np.abs(ours[0]).max() > 0.01
    np.testing.assert_allclose(theirs[0], ours[0], atol=1e-12)
