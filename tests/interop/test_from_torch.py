"""Modules of PyTorch as estimators: predictions, labels, further training, and what is refused."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

torch = pytest.importorskip("torch", reason="needs PyTorch")

from sklearn.base import clone  # noqa: E402
from torch import nn  # noqa: E402
from torch_networks import equal  # noqa: E402

from nnjit import (  # noqa: E402
    ConvClassifier,
    MLPClassifier,
    MLPRegressor,
    NetworkClassifier,
    NetworkRegressor,
    RBFClassifier,
    RBFRegressor,
    RecurrentClassifier,
    RecurrentRegressor,
)
from nnjit.interop import from_torch, to_torch  # noqa: E402
from nnjit.layers import Conv, Dense, Dropout, Flatten, PiecewiseLinear, Residual  # noqa: E402

LIMITS = {torch.float64: 1e-12, torch.float32: 1e-5}
every_precision = pytest.mark.parametrize("dtype", LIMITS, ids=["float64", "float32"])
RNG = np.random.default_rng(0)
ROWS, SERIES, IMAGES = (RNG.normal(size=(30, *shape)) for shape in ((5,), (2, 11), (2, 6, 7)))


@pytest.fixture(autouse=True)
def same_weights():
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def drawn(module, dtype=torch.float64):
    """The module with running statistics drawn as well, in evaluation mode."""
    module = module.to(dtype)
    with torch.no_grad():
        for name, one in module.named_buffers():
            if "running" in name:
                one.uniform_(0.5, 1.5)
        for one in module.parameters():
            one.uniform_(-0.6, 0.6)
    return module.eval()


def outputs_of(module, X, dtype=torch.float64):
    with torch.no_grad():
        return module(torch.from_numpy(X).to(dtype)).numpy()


def assert_close(found, expected, dtype):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=LIMITS[dtype], rtol=LIMITS[dtype])


def convolutions(*before):
    return nn.Sequential(*before, nn.Flatten(), nn.LazyLinear(3))


VECTORS = {
    "one layer": lambda: nn.Sequential(nn.Linear(5, 3)),
    "nested": lambda: nn.Sequential(
        nn.Sequential(nn.Linear(5, 4), nn.ReLU()), nn.Identity(), nn.Sequential(nn.Linear(4, 3))
    ),
    "activations": lambda: nn.Sequential(
        nn.Linear(5, 4), nn.GELU(), nn.Linear(4, 4), nn.SiLU(), nn.Linear(4, 4), nn.Mish(),
        nn.Linear(4, 4), nn.ELU(), nn.Linear(4, 4), nn.SELU(), nn.Linear(4, 4), nn.LeakyReLU(),
        nn.Linear(4, 4), nn.Softsign(), nn.Linear(4, 4), nn.Hardtanh(), nn.Linear(4, 4),
        nn.Softplus(threshold=60), nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 3),
    ),
    "no biases": lambda: nn.Sequential(
        nn.Linear(5, 4, bias=False), nn.Tanh(), nn.Linear(4, 3, bias=False)
    ),
    "normalized": lambda: nn.Sequential(
        nn.BatchNorm1d(5), nn.Linear(5, 4), nn.LayerNorm(4), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(4, 6), nn.BatchNorm1d(6, eps=1e-3, momentum=0.2, affine=False), nn.Linear(6, 3),
    ),
    "two activations": lambda: nn.Sequential(
        nn.Linear(5, 4), nn.Tanh(), nn.GELU(), nn.LayerNorm(4, elementwise_affine=False),
        nn.Linear(4, 3),
    ),
}  # fmt: skip
CASES = {
    "LeNet": lambda: convolutions(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 3, (1, 3), padding="same"), nn.Tanh(),
    ),
    "strides": lambda: convolutions(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(4), nn.ReLU(),
        nn.AvgPool2d((1, 2), stride=1),
    ),
    "an even kernel": lambda: convolutions(nn.ZeroPad2d((1, 2, 0, 1)), nn.Conv2d(2, 4, (2, 4))),
    "without padding": lambda: convolutions(
        nn.Conv2d(2, 4, 3, dilation=(2, 1)), nn.ReLU(), nn.MaxPool2d(2, stride=1), nn.ELU()
    ),
    "global": lambda: convolutions(nn.Conv2d(2, 4, 2), nn.AdaptiveAvgPool2d(1)),
    "largest": lambda: convolutions(nn.Conv2d(2, 4, 2), nn.AdaptiveMaxPool2d((1, 1))),
    "half the points": lambda: convolutions(nn.Conv2d(2, 4, (4, 1), (2, 1), padding=(1, 0))),
}  # fmt: skip


@every_precision
@pytest.mark.parametrize("name", VECTORS)
def test_modules_of_vectors(name, dtype):
    module = drawn(VECTORS[name](), dtype)
    model = from_torch(module)
    X = ROWS.astype(model.coefs_[0].dtype)
    assert model.predict(X).dtype == torch.empty(0, dtype=dtype).numpy().dtype
    assert_close(model.predict(X), outputs_of(module, X, dtype), dtype)


@every_precision
@pytest.mark.parametrize("name", CASES)
def test_modules_of_images(name, dtype):
    module = CASES[name]()
    module(torch.from_numpy(IMAGES).float())  # makes the last layer
    module = drawn(module, dtype)
    model = from_torch(module, input_shape=(2, 6, 7))
    X = IMAGES.astype(model.coefs_[0].dtype)
    assert_close(model.predict(X), outputs_of(module, X, dtype), dtype)
    assert_close(model.predict(X.reshape(30, -1)), outputs_of(module, X, dtype), dtype)
    again = from_torch(to_torch(model), input_shape=(2, 6, 7))
    assert again.layers == model.layers


@every_precision
def test_modules_of_series(dtype):
    module = nn.Sequential(
        nn.ZeroPad1d((1, 2)), nn.Conv1d(2, 4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(4, 3, 3, padding=1, stride=2), nn.Sigmoid(), nn.AdaptiveAvgPool1d(1),
        nn.Flatten(), nn.Linear(3, 2),
    )  # fmt: skip
    module = drawn(module, dtype)
    model = from_torch(module, input_shape=(2, 11))
    X = SERIES.astype(model.coefs_[0].dtype)
    assert_close(model.predict(X), outputs_of(module, X, dtype), dtype)


class LastStates(nn.Module):
    """What from_torch says that it reads of a list: all states but those of the last layers."""

    def __init__(self, modules):
        super().__init__()
        self.parts = nn.ModuleList(modules)

    def forward(self, x):
        x = x.transpose(1, 2)
        for module, behind in zip(self.parts, [*self.parts[1:], None]):
            if not isinstance(module, nn.RNNBase):
                x = module(x)
                continue
            states, left = module(x)
            h = left[0] if isinstance(module, nn.LSTM) else left
            directions = 2 if module.bidirectional else 1
            goes_on = isinstance(behind, nn.RNNBase)
            x = states if goes_on else torch.cat([*h[-directions:]], dim=1)
        return x


@every_precision
@pytest.mark.parametrize("make", [
    lambda: [nn.GRU(2, 3, num_layers=2, bidirectional=True, dropout=0.1), nn.Linear(6, 2)],
    lambda: [nn.LSTM(2, 3, batch_first=True), nn.GRU(3, 4), nn.Linear(4, 2)],
    lambda: [nn.RNN(2, 3, nonlinearity="relu", bias=False), nn.Linear(3, 2)],
    lambda: [nn.RNN(2, 3, num_layers=3), nn.ReLU(), nn.Linear(3, 2)],
])  # fmt: skip
def test_lists_with_recurrent_modules(make, dtype):
    parts = make()
    for one in parts:
        one.batch_first = True
    reference = drawn(LastStates(parts), dtype)
    model = from_torch(parts, input_shape=(2, 11))
    X = SERIES.astype(model.coefs_[0].dtype)
    assert_close(model.predict(X), outputs_of(reference, X, dtype), dtype)


def test_series_of_any_length_go_through_recurrent_layers():
    parts = [nn.GRU(2, 3, batch_first=True), nn.Linear(3, 1)]
    reference = drawn(LastStates(parts))
    model = from_torch(parts, input_shape=(2, 11))
    longer = np.concatenate([SERIES, SERIES], axis=2)
    assert_close(model.predict(longer), outputs_of(reference, longer)[:, 0], torch.float64)


@every_precision
def test_an_embedding_of_one_column(dtype):
    module = drawn(nn.Sequential(nn.Embedding(6, 3), nn.Flatten(), nn.Linear(3, 2)), dtype)
    codes = np.arange(6)[:, np.newaxis]
    with torch.no_grad():
        expected = module(torch.from_numpy(codes)).numpy()
    model = from_torch(module)
    assert_close(model.predict(codes.astype(model.coefs_[0].dtype)), expected, dtype)


# Classes


def chain(outputs, *behind):
    return drawn(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, outputs), *behind))


def test_labels_in_any_order():
    module = chain(3)
    model = from_torch(module, classes=["cat", "ant", "bee"])
    assert model.classes_.tolist() == ["ant", "bee", "cat"]
    p = torch.softmax(torch.from_numpy(outputs_of(module, ROWS)), 1).numpy()
    assert_close(model.predict_proba(ROWS), p[:, [1, 2, 0]], torch.float64)
    assert [*model.predict(ROWS)] == [["cat", "ant", "bee"][k] for k in p.argmax(axis=1)]


@pytest.mark.parametrize("behind", [nn.Softmax(dim=1), nn.LogSoftmax(dim=-1)])
def test_a_softmax_at_the_end_is_that_of_a_classifier(behind):
    module = chain(3, behind)
    model = from_torch(module)
    assert isinstance(model, MLPClassifier) and model.classes_.tolist() == [0, 1, 2]
    p = outputs_of(module, ROWS)
    p = np.exp(p) if isinstance(behind, nn.LogSoftmax) else p
    assert_close(model.predict_proba(ROWS), p, torch.float64)


@pytest.mark.parametrize("classes", [None, [3, 7], [7, 3]])
@pytest.mark.parametrize("outputs, behind", [(2, [nn.Softmax(dim=1)]), (1, [nn.Sigmoid()])])
def test_two_classes_by_one_output_or_two(outputs, behind, classes):
    module = chain(outputs, *behind)
    model = from_torch(module, classes=classes)
    p = outputs_of(module, ROWS)
    p = np.hstack([1 - p, p]) if outputs == 1 else p
    p = p[:, ::-1] if classes == [7, 3] else p
    assert model.classes_.tolist() == ([0, 1] if classes is None else [3, 7])
    assert model.n_outputs_ == 1
    assert_close(model.predict_proba(ROWS), p, torch.float64)


def test_a_sigmoid_of_several_outputs_is_multilabel():
    module = chain(3, nn.Sigmoid())
    model = from_torch(module)
    assert_close(model.predict_proba(ROWS), outputs_of(module, ROWS), torch.float64)
    np.testing.assert_array_equal(model.predict(ROWS), outputs_of(module, ROWS) > 0.5)


@pytest.mark.parametrize("behind, options", [
    ([nn.Softplus(threshold=60)], {"loss": "poisson"}),
    ([nn.Sigmoid()], {"cls": MLPRegressor}),
    ([nn.Tanh()], {}),
])  # fmt: skip
def test_a_regressor_may_end_in_an_activation(behind, options):
    module = chain(2, *behind)
    model = from_torch(module, **options)
    assert isinstance(model, MLPRegressor)
    assert_close(model.predict(ROWS), outputs_of(module, ROWS), torch.float64)
    assert model.partial_fit(ROWS, np.abs(ROWS[:, :2])).loss_ > 0


@pytest.mark.parametrize("classes", [None, [["b", "a"], [1, 3, 2]]])
def test_classes_of_several_columns(classes):
    y = np.stack([RNG.integers(0, 2, 30), RNG.integers(0, 3, 30)], 1)
    fitted = MLPClassifier((4,), max_iter=2, random_state=0).fit(ROWS, y)
    model = from_torch(to_torch(fitted), classes=classes)
    first, second = fitted.predict_proba(ROWS)
    if classes is not None:
        first, second = first[:, ::-1], second[:, [0, 2, 1]]
        assert [one.tolist() for one in model.classes_] == [["a", "b"], [1, 2, 3]]
    for found, expected in zip(model.predict_proba(ROWS), (first, second)):
        np.testing.assert_allclose(found, expected, atol=1e-15)


@pytest.mark.parametrize("classes", [5, [1, 2], ["ab", "abc"], [[0, 0], [1, 2, 3]]])
def test_what_is_no_list_of_classes_for_each_column_is_refused(classes):
    targets = np.stack([np.arange(30) % 2, np.arange(30) % 3], axis=1)
    module = to_torch(MLPClassifier((4,), max_iter=1).fit(ROWS, targets))
    with pytest.raises(ValueError, match=r"those of each column, \[2, 3\] different ones"):
        from_torch(module, classes=classes)


# What is made of them


def test_which_estimator_it_becomes():
    assert isinstance(from_torch(chain(2)), MLPRegressor)
    assert isinstance(from_torch(chain(2), NetworkClassifier), NetworkClassifier)
    model = from_torch(chain(3), classes=[1, 2, 3], alpha=0.5, solver="sgd")
    assert repr(model) == "MLPClassifier(alpha=0.5, hidden_layer_sizes=(4,), solver='sgd')"
    two = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 1))
    assert from_torch(two).activation == ["tanh", "gelu"]
    odd = nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.2), nn.ReLU(), nn.Linear(4, 1))
    assert type(from_torch(odd)) is NetworkRegressor  # the activation is behind dropout
    assert from_torch(odd).layers[1] == Dropout(0.2)


@pytest.mark.parametrize("make", [
    lambda: MLPClassifier((4, 4), residual=True, normalization="layer", input_dropout=0.1),
    lambda: RBFClassifier(6),
    lambda: ConvClassifier(input_shape=(2, 6, 7), normalization="batch", dropout=0.2),
    lambda: RecurrentClassifier((4,), input_shape=(2, 11), pool="mean", recurrent_dropout=0.1),
])  # fmt: skip
@every_precision
def test_what_to_torch_wrote_is_read_to_the_bit(make, dtype):
    model = make().set_params(max_iter=2, random_state=0)
    X = {5: ROWS, 84: IMAGES, 22: SERIES}
    X = X[int(np.prod(getattr(model, "input_shape", (5,))))].astype(np.dtype(str(dtype)[6:]))
    model.fit(X, RNG.integers(0, 3, 30))
    back = from_torch(to_torch(model))
    assert equal(back._give_parameters()[1], model._give_parameters()[1])
    np.testing.assert_array_equal(back.predict_proba(X), model.predict_proba(X))


def test_a_radial_network_and_its_unit():
    model = RBFRegressor(6, max_iter=2, random_state=0).fit(1000 + 50 * ROWS, ROWS[:, 0])
    back = from_torch(to_torch(model))
    assert isinstance(back, RBFRegressor) and back._unit == model._unit
    np.testing.assert_array_equal(back.predict(1000 + 40 * ROWS), model.predict(1000 + 40 * ROWS))


def test_training_goes_on():
    module = chain(3)
    model = from_torch(module, classes=[0, 1, 2], random_state=0, warm_start=True, max_iter=3)
    y = RNG.integers(0, 3, 30)
    before = copy.deepcopy(model.coefs_)
    model.partial_fit(ROWS, y)
    assert model.n_iter_ == 1 and len(model.loss_curve_) == 1
    change = max(np.abs(a - b).max() for a, b in zip(model.coefs_, before))
    assert 0 < change < 0.01  # it has not begun anew
    model.fit(ROWS, y)
    assert model.n_iter_ == 3
    assert clone(model).fit(ROWS, y).coefs_[0].shape == (5, 4)


def test_training_of_convolutions_goes_on():
    module = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten())
    module = drawn(nn.Sequential(*module, nn.Linear(4 * 42, 3)))
    model = from_torch(module, input_shape=(2, 6, 7), classes=[0, 1, 2], random_state=0)
    assert model.layers == [Conv(4, 3, "relu"), Flatten()]
    before = model.coefs_[0].copy()
    model.partial_fit(IMAGES, RNG.integers(0, 3, 30))
    assert 0 < np.abs(model.coefs_[0] - before).max() < 0.01


def test_nothing_of_pytorch_is_left():
    module = chain(3)
    model = from_torch(module, classes=[0, 1, 2])
    expected = model.predict_proba(ROWS)
    assert b"torch" not in pickle.dumps(model)
    with torch.no_grad():
        for one in module.parameters():
            one.zero_()
    np.testing.assert_array_equal(model.predict_proba(ROWS), expected)


def test_a_module_that_stands_there_twice_is_read_twice():
    shared, again = nn.Tanh(), nn.Linear(4, 4)
    module = nn.Sequential(nn.Linear(5, 4), shared, again, shared, again, shared, nn.Linear(4, 2))
    model = from_torch(drawn(module))
    assert len(model.coefs_) == 4
    assert_close(model.predict(ROWS), outputs_of(module, ROWS), torch.float64)


def test_lower_precisions_are_taken_as_float32():
    module = chain(3).to(torch.bfloat16)
    model = from_torch(module)
    assert model.coefs_[0].dtype == np.float32
    np.testing.assert_array_equal(model.coefs_[0], module[0].weight.float().detach().numpy().T)


def test_residual_connections_that_were_changed_are_refused():
    layers = [Dense(5), Dense(5, "identity"), Residual(2)]
    module = to_torch(NetworkRegressor(layers, max_iter=2).fit(ROWS, ROWS[:, 0]))
    assert from_torch(module).layers == layers
    module[3].span = 2  # what comes into the activation of the first layer
    with pytest.raises(ValueError, match="Module '3', Residual.* no layer begins 2 modules before"):
        from_torch(module)


def test_what_is_added_may_be_as_wide_as_the_rows_whose_width_is_told_later():
    layers = [PiecewiseLinear(2, 1), Residual(1), Dense(4)]
    model = NetworkRegressor(layers, max_iter=2, random_state=0).fit(ROWS, ROWS[:, 0])
    back = from_torch(to_torch(model))
    assert back.layers[:2] == layers[:2]
    np.testing.assert_array_equal(back.predict(ROWS), model.predict(ROWS))


# What has no layer here


class Strange(nn.Module):
    def forward(self, x):
        return x


REFUSED = {
    "1.*Strange.*nnjit has no layer": lambda: nn.Sequential(nn.Linear(5, 2), Strange()),
    "0.1.*Strange": lambda: nn.Sequential(nn.Sequential(nn.Linear(5, 2), Strange())),
    "'Strange'.*no layer": lambda: Strange(),
    "PReLU.*no layer": lambda: nn.Sequential(nn.Linear(5, 2), nn.PReLU(), nn.Linear(2, 1)),
    "negative_slope=0.01 here, not 0.2": lambda: nn.Sequential(
        nn.Linear(5, 2), nn.LeakyReLU(0.2), nn.Linear(2, 1)
    ),
    "approximate='none' here, not 'tanh'": lambda: nn.Sequential(
        nn.Linear(5, 2), nn.GELU("tanh"), nn.Linear(2, 1)
    ),
    "it takes 3 values, but 2 come in": lambda: nn.Sequential(nn.Linear(5, 2), nn.Linear(3, 1)),
    "give input_shape": lambda: nn.Sequential(nn.Conv1d(2, 3, 3), nn.Flatten(), nn.Linear(3, 1)),
    "behind what makes predictions": lambda: nn.Sequential(
        nn.Linear(5, 2), nn.Softmax(dim=1), nn.Linear(2, 1)
    ),
    "another axis": lambda: nn.Sequential(nn.Linear(5, 2), nn.Softmax(dim=0)),
    "momentum": lambda: nn.Sequential(nn.BatchNorm1d(5, momentum=None), nn.Linear(5, 1)),
    "tuple to the next module": lambda: nn.Sequential(nn.GRU(5, 2), nn.Linear(2, 1)),
    "max_norm": lambda: nn.Sequential(nn.Embedding(5, 2, max_norm=1.0), nn.Linear(2, 1)),
    "ends in a dense layer": lambda: nn.Sequential(nn.Linear(5, 2), nn.LayerNorm(2)),
    "no layer with weights": lambda: nn.Sequential(nn.Dropout(0.1)),
    "MultiheadAttention.*no layer": lambda: nn.Sequential(nn.MultiheadAttention(4, 1)),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_has_no_layer_here_is_named(words):
    with pytest.raises(ValueError, match=words):
        from_torch(REFUSED[words]())


REFUSED_OF_IMAGES = {
    "padding of .*2, 2": nn.Conv2d(2, 3, 3, padding=2),
    "padding of .*1, 1": nn.Conv2d(2, 3, 4, padding=1),
    "'circular'": nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"),
    "takes 3 channels": nn.Conv2d(3, 3, 3),
    "other arrays": nn.Conv1d(2, 3, 3),
    "no padding=1": nn.MaxPool2d(3, padding=1),
    "no ceil_mode=True": nn.AvgPool2d(4, ceil_mode=True),
    "output_size=1": nn.AdaptiveAvgPool2d(2),
    "convolution has to follow": nn.ZeroPad2d(1),
    "no normalization of arrays": nn.BatchNorm1d(2),
    "only vectors": nn.LayerNorm((2, 6, 7)),
    "it takes 7 values, but arrays of shape": nn.Linear(7, 2),
    "Dropout2d.*no layer": nn.Dropout2d(0.1),
}


@pytest.mark.parametrize("words", REFUSED_OF_IMAGES)
def test_what_images_cannot_go_through_is_named(words):
    module = nn.Sequential(REFUSED_OF_IMAGES[words], nn.Flatten(), nn.Linear(2, 1))
    with pytest.raises(ValueError, match=words):
        from_torch(module, input_shape=(2, 6, 7))


@pytest.mark.parametrize("place, name", [((0, 0), "0.0"), ((0,), "0"), ((), "Sequential")])
def test_hooks_are_refused_of_sequences_too(place, name):
    module = hooked = nn.Sequential(nn.Sequential(nn.Linear(5, 2)))
    for number in place:
        hooked = hooked[number]
    handle = hooked.register_forward_hook(lambda module, given, found: 2 * found)
    with pytest.raises(ValueError, match=f"Module '{name}'.*hooks"):
        from_torch(module)
    handle.remove()
    hooked.register_forward_pre_hook(lambda module, given: (2 * given[0],))
    with pytest.raises(ValueError, match=f"Module '{name}'.*hooks"):
        from_torch(module)


def test_a_hook_inside_of_what_to_torch_wrote_is_refused():
    series = RNG.normal(size=(20, 10))
    model = RecurrentRegressor(3, input_shape=(2, 5), max_iter=2).fit(series, series[:, 0])
    module = to_torch(model)
    module[1].rnn.register_forward_hook(lambda module, given, found: found)
    with pytest.raises(ValueError, match="Module '1', Recurrent.*hooks"):
        from_torch(module)


class Doubled(nn.Sequential):
    def __call__(self, x):
        return 2.0 * super().__call__(x)


def with_another_forward(module):
    module.forward = lambda x: x
    return module


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(with_another_forward(nn.Linear(5, 2))),
        with_another_forward(nn.Sequential(nn.Linear(5, 2))),
        nn.Sequential(Doubled(nn.Linear(5, 2))),
    ],
    ids=["of a layer", "of a sequence", "of a call"],
)
def test_a_forward_that_was_replaced_is_refused(module):
    with pytest.raises(ValueError, match="Module '.*its forward was replaced"):
        from_torch(module)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_script_is_refused():
    script = torch.jit.script(nn.Sequential(nn.Linear(5, 2)))
    with pytest.raises(ValueError, match="RecursiveScriptModule.*cannot be taken over"):
        from_torch(script)


def test_weights_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="Module '0', LazyLinear.*no weights yet"):
        from_torch(nn.Sequential(nn.LazyLinear(2)))
    with pytest.raises(ValueError, match="Module '0', Linear.*on the device 'meta'"):
        from_torch(nn.Sequential(nn.Linear(5, 2, device="meta")))
    module = chain(3)
    with torch.no_grad():
        module[0].bias[1] = float("inf")
    with pytest.raises(ValueError, match="Module '0', Linear.*biases contain NaN or infinity"):
        from_torch(module)


def test_weights_that_are_computed_are_refused():
    module = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 2)))
    with pytest.raises(ValueError, match="Parametrized"):
        from_torch(module)


@pytest.mark.parametrize("options, words", [
    ({"classes": ["a", "b"]}, "classes are 3 different labels"),
    ({"classes": [1, 1, 2]}, "different labels"),
    ({"classes": [None, "a", 1]}, "different labels"),
    ({"cls": ConvClassifier}, "cls is one of MLPClassifier"),
    ({"cls": RBFRegressor}, "An RBF network is a radial layer"),
    ({"cls": MLPRegressor, "classes": [1, 2, 3]}, "no classes"),
    ({"hidden_layer_sizes": (3,)}, "hidden_layer_sizes cannot be given"),
    ({"alpha": -1.0}, "alpha"),
    ({"input_shape": (1, 2, 3, 4)}, "input_shape is"),
    ({"input_shape": (1.5, 2)}, "input_shape is"),
    ({"input_shape": "ab"}, "input_shape is"),
    ({"input_shape": 5}, "input_shape is"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        from_torch(chain(3), **options)


@pytest.mark.parametrize("given", [{}, "model.pt", [1, 2], {"0.weight": torch.zeros(2, 2)}])
def test_what_is_no_module_is_refused(given):
    with pytest.raises(TypeError, match=r"from_torch takes a torch.nn.Module, or a list of such"):
        from_torch(given)


def test_a_parameter_that_is_none_is_refused():
    with pytest.raises(TypeError, match="speed"):
        from_torch(chain(3), speed=3)
