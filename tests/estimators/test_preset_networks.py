"""What convolutional and recurrent networks have in common with every network."""

import pickle

import numpy as np
import pytest
from preset_networks import CONVOLUTIONAL, RECURRENT
from problems import assert_same_bits, problem, quietly, weights
from sklearn.base import clone

PRESETS = [CONVOLUTIONAL, RECURRENT]
every_preset = pytest.mark.parametrize("preset", PRESETS, ids=str)
every_stack = pytest.mark.parametrize(
    "preset, stack", [(one, stack) for one in PRESETS for stack in one.stacks], ids=str
)


def of_each(cases):
    """Every case of every preset by name."""
    found = [(preset, name) for preset, named in cases.items() for name in named]
    return pytest.mark.parametrize(
        "preset, name", found, ids=[f"{preset}-{name}" for preset, name in found]
    )


# Parameters

WRONG = {
    CONVOLUTIONAL: {
        "filters of no number": ({"filters": ()}, "at least one for each convolution"),
        "kernels for three": ({"kernel_size": (3, 3, 3)}, "kernel_size=.* has 3 values, .* are 2"),
        "a pair for series": ({"kernel_size": ((3, 3), 3)}, "Convolution 0 of 2 .*one axis"),
        "a kernel too long": ({"padding": "valid", "kernel_size": 9},
                              "Convolution 0 of 2 does not"),
        "groups that do not divide": ({"groups": (1, 3)}, "Convolution 1 of 2 .* groups=3"),
        "activations": ({"activation": ("relu",) * 2}, "2 convolutions and 1 hidden layers"),
        "dropouts": ({"dropout": (0.1,)}, "dropout=.* has 1 values"),
        "an augmentation": ({"augment": {"turn": 3}}, "augment is None, .* a dict of shift, flip"),
        "its value": ({"augment": {"crop": 2.0}}, "crop is a share"),
        "hidden units": ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be > 0"),
    },
    RECURRENT: {
        "no units": ({"units": ()}, "units is an int, or a sequence of at least one for each"),
        "units of 0": ({"units": (3, 0)}, "Recurrent layer 1 of 2 does not fit: units is an int"),
        "both ways and truncated": ({"bidirectional": True, "truncate": 2},
                                    "Recurrent layer 0 of 1 .* truncate does not go with bidir"),
        "dropouts": ({"dropout": (0.1, 0.2)}, "has 2 values, .* 1 recurrent layers and 0 hidden"),
        "activations": ({"activation": ("relu",)}, "activation=.* has 1 values, .* 0 hidden"),
        "an augmentation": ({"augment": {"turn": 3}}, "augment is None, .* a dict of shift, flip"),
        "hidden units": ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be > 0"),
    },
}  # fmt: skip
NO_VALUES = {
    CONVOLUTIONAL: {
        "padding": "full", "pool": ("max", "min"), "global_pool": "sum", "dropout": 1.0,
        "normalization": "layer", "activation": ["relu", "no"], "augment": 3, "stride": 0,
    },
    RECURRENT: {
        "cell": "rnn", "pool": "first", "units": 0, "recurrent_dropout": 1.0, "truncate": 0,
        "dropout": -0.1, "bidirectional": "yes", "activation": ["relu", "no"],
    },
}  # fmt: skip
SIZES = {CONVOLUTIONAL: {"filters": (4, 4)}, RECURRENT: {"units": 4}}


@of_each(WRONG)
def test_what_does_not_fit_is_named_and_the_estimator_left_as_it_was(preset, name):
    parameters, words = WRONG[preset][name]
    X, y = problem("multiclass")
    new = preset.model_of("multiclass", **SIZES[preset])
    for one in (new, quietly(clone(new).set_params(warm_start=True).fit, X, y)):
        one.set_params(**parameters)
        before = pickle.dumps(one)
        with pytest.raises(ValueError, match=words):
            one.fit(X, y)
        assert pickle.dumps(one) == before


@of_each(NO_VALUES)
def test_bad_values_are_refused_in_scikit_learns_words(preset, name):
    kind = preset.classifier
    with pytest.raises(ValueError, match=f"The '{name}' parameter of {kind.__name__} must be"):
        kind(**{name: NO_VALUES[preset][name]}).fit(*problem("multiclass"))


@every_preset
def test_minibatches_are_a_tenth_of_a_small_set(preset):
    for rows, expected in ((5, 5), (60, 8), (300, 30), (5000, 64)):
        assert preset.classifier()._minibatch_rows(rows) == expected
    assert preset.classifier(batch_size=7)._minibatch_rows(100) == 7


# Fitting


@every_stack
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pickles_and_clones(preset, stack, dtype):
    X, y = problem("multiclass")
    X = X.astype(dtype)
    model = quietly(preset.model_of("multiclass", stack).fit, X, y)
    assert {array.dtype for array in model._give_parameters()[1]} == {np.dtype(dtype)}
    assert model.predict_proba(X).dtype == dtype
    assert_same_bits(pickle.loads(pickle.dumps(model)), model)
    assert_same_bits(quietly(clone(model).fit, X, y), model)
    assert repr(model).startswith(f"{preset.classifier.__name__}(")
    assert f"{next(iter(SIZES[preset]))}=" in repr(model)


@every_stack
def test_training_goes_on_where_it_stood(preset, stack):
    X, y = problem("multiclass")
    whole = preset.model_of("multiclass", stack, max_iter=1, shuffle=False)
    one = quietly(clone(whole).partial_fit, X, y, classes=np.unique(y))
    other = quietly(clone(whole).set_params(warm_start=True).fit, X, y)
    assert_same_bits(one, other)
    before = [array.copy() for array in one._give_parameters()[1]]
    quietly(one.partial_fit, X, y)
    quietly(other.fit, X, y)
    assert all((a != b).any() for a, b in zip(one._give_parameters()[1], before, strict=True))


@every_stack
@pytest.mark.parametrize("more", [{}, {"restore_best": "loss"}, {"early_stopping": True}], ids=str)
def test_a_fit_that_was_cut_off_goes_on_to_the_bit(preset, stack, more, tmp_path):
    X, y = problem("multiclass")
    parameters = {**more, "max_iter": 8, "learning_rate_init": 0.02}
    if stack != "global":
        parameters |= preset.in_axes
    expected = quietly(preset.model_of("multiclass", stack, **parameters).fit, X, y)
    model = preset.model_of(
        "multiclass", stack, **parameters, checkpoint=tmp_path / "run", checkpoint_interval=1
    )
    quietly(clone(model).set_params(max_iter=4).fit, X, y)
    assert_same_bits(quietly(clone(model).fit, X, y), expected)


@every_preset
def test_weights_rows_of_validation_and_classes_count(preset):
    X, y = problem("multiclass")
    plain = preset.model_of("multiclass")
    weighted = quietly(clone(plain).fit, X, y, sample_weight=weights())
    balanced = quietly(clone(plain).set_params(class_weight="balanced").fit, X, y)
    unweighted = quietly(clone(plain).fit, X, y)
    assert (weighted.coefs_[0] != unweighted.coefs_[0]).any()
    assert (balanced.coefs_[0] != unweighted.coefs_[0]).any()
    stopped = clone(plain).set_params(early_stopping=True, validation_fraction=0.3)
    assert len(quietly(stopped.fit, X, y).validation_scores_) == 6
    watched = quietly(clone(plain).fit, X, y, X_val=X, y_val=y)
    assert watched.validation_scores_[-1] == watched.score(X, y)
    assert_same_bits(watched, unweighted)
    columns = np.stack([y, y % 2], axis=1)
    many = quietly(clone(plain).fit, X, columns)
    assert many.predict(X).shape == columns.shape


@every_preset
def test_best_loss_weights_are_those_of_that_epoch(preset):
    X, y = problem("regression")
    settings = {"learning_rate_init": 0.3, "learning_rate": "constant", "max_iter": 12}
    model = quietly(preset.model_of("regression", restore_best="loss", **settings).fit, X, y)
    best = int(np.argmin(model.loss_curve_)) + 1
    assert best < 12 and model.best_loss_ == min(model.loss_curve_)
    again = quietly(preset.model_of("regression", **{**settings, "max_iter": best}).fit, X, y)
    assert_same_bits(model, again)
    last = quietly(preset.model_of("regression", **settings).fit, X, y)
    assert last.loss_curve_ == model.loss_curve_
    assert (last.coefs_[0] != model.coefs_[0]).any()


@every_stack
def test_a_fit_that_fails_leaves_everything_as_it_was(preset, stack):
    more = {"warm_start": True, "solver": "sgd", "clip_norm": None}
    model, X, y = preset.fitted("regression", stack, **more)
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match="non-finite"):
        quietly(model.fit, X, y * 1e200)
    assert pickle.dumps(model) == before


# Fitted attributes

ASSIGNED = {
    CONVOLUTIONAL: {
        "a shape": (lambda m: m.coefs_.__setitem__(0, np.zeros((5, 1, 4))),
                    r"coefs_\[0\] has shape \(5, 1, 4\), but layers_\[1\], Conv.*\(3, 1, 4\)"),
        "no list": (lambda m: setattr(m, "coefs_", 3),
                    "coefs_ must be a list of arrays, one for each"),
        "one less": (lambda m: setattr(m, "intercepts_", m.intercepts_[1:]),
                     "each of the 3 layers"),
        "text": (lambda m: m.intercepts_.__setitem__(1, ["a"] * 6),
                 r"intercepts_\[1\] must be an"),
        "no dict": (lambda m: setattr(m, "normalization_", [1, 2]),
                    r"normalization_\[0\] must be a"),
        "variance": (lambda m: m.normalization_[0].__setitem__("variance", -np.ones(4)),
                     r"normalization_\[0\]\['variance'\] has negative"),
        "outputs": (lambda m: setattr(m, "n_outputs_", 7), "has 3 units, but n_outputs_ is 7"),
        "layers": (lambda m: setattr(m, "layers_", [3]), "layers_ must be a tuple of layers"),
        "NaN": (lambda m: m.coefs_.__setitem__(2, np.full((6, 3), np.nan)),
                r"coefs_\[2\] contains"),
    },
    RECURRENT: {
        "a shape": (lambda m: m.coefs_.__setitem__(0, np.zeros((1, 10))),
                    r"coefs_\[0\] has shape \(1, 10\), but layers_\[1\], GRU.*\(1, 15\)"),
        "no dict": (lambda m: setattr(m, "layer_parameters_", [1, 2]),
                    r"layer_parameters_\[0\] must be a dict with \['recurrent_weights', "),
        "one less": (lambda m: setattr(m, "layer_parameters_", m.layer_parameters_[1:]),
                     "layer_parameters_ must be a list of dicts, one for each of the 2 layers"),
        "recurrent": (lambda m: m.layer_parameters_[0].__setitem__("recurrent_weights", np.eye(5)),
                      r"layer_parameters_\[0\]\['recurrent_weights'\] has shape \(5, 5\)"),
        "NaN": (lambda m: m.layer_parameters_[1].__setitem__("recurrent_biases", [np.nan] * 4),
                r"layer_parameters_\[1\]\['recurrent_biases'\] contains"),
        "outputs": (lambda m: setattr(m, "n_outputs_", 7), "has 3 units, but n_outputs_ is 7"),
    },
}  # fmt: skip


@of_each(ASSIGNED)
def test_what_is_assigned_and_no_network_is_refused(preset, name):
    change, words = ASSIGNED[preset][name]
    model, X, _ = preset.fitted("multiclass", "all")
    change(model)
    with pytest.raises(ValueError, match=words):
        model.predict(X)
