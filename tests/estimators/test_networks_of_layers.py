"""NetworkClassifier and NetworkRegressor: networks of the user's own layers."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from problems import CLASSIFICATION, REGRESSION, assert_same_bits, pair, problem, quietly
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nnjit.inspection
from nnjit import NetworkClassifier, NetworkRegressor
from nnjit.layers import (
    Augment,
    Conv,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalPool,
    Normalization,
    ParametricActivation,
    PeriodicEmbedding,
    PiecewiseLinear,
    Pool,
    RadialBasis,
    Residual,
    Scaling,
    TiedDense,
)

SETTINGS = {"max_iter": 8, "random_state": 3, "batch_size": 20}
STACKS = {
    "none": [],
    "dense": [Dense(7, "tanh"), Dropout(0.1), Dense(5), GaussianNoise(0.1)],
    "tied": [Dense(7, "tanh"), Dense(3, "identity"), TiedDense(1), TiedDense(3, "tanh")],
    "normalized": [Normalization("batch"), Dense(8, "identity"), Normalization("layer", "gelu"),
                   Dense(8, "elu"), Residual(1)],
    "scaled": [Scaling(6.0), Dense(7, "identity"), ParametricActivation("mish", 0.1), Dropout(0.1)],
    "radial": [Dense(4, "tanh"), RadialBasis(6), Dropout(0.1)],
    "embedding": [Embedding((3, 2), 2), Dense(6, "tanh")],
    "radial first": [RadialBasis(5, normalized=True)],
    "numeric": [PeriodicEmbedding(2, 4), Dense(6), PiecewiseLinear(5, 4), Dense(5, "tanh")],
    "convolution": [Augment(noise=0.1), Conv(4, 3, "identity"), Normalization("batch", "relu"),
                    Conv(4, 2), Residual(1), Pool("mean", 2), Flatten(), RadialBasis(4)],
    "global": [Conv(6), GlobalPool("max"), Dense(4, "tanh")],
}  # fmt: skip
every_stack = pytest.mark.parametrize("stack", STACKS)


def model_of(kind, layers, **parameters):
    cls = NetworkClassifier if kind in CLASSIFICATION else NetworkRegressor
    loss = {"loss": "poisson"} if kind == "poisson" else {}
    return cls(layers, **{**SETTINGS, **loss, **parameters})


def fitted(kind, layers, **parameters):
    X, y = problem(kind)
    return quietly(model_of(kind, layers, **parameters).fit, X, y), X, y


# As the MLP


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"solver": "lbfgs"},
        {"solver": "sgd", "learning_rate": "adaptive", "early_stopping": True},
        {"alpha": 0.1, "average": 0.9, "clip_norm": 1.0},
        {"parametrization": "ntk", "learning_rate": "coslog", "learning_rate_init": 0.01},
    ],
    ids=str,
)
@pytest.mark.parametrize("activation", ["relu", "logistic", "selu"])
@pytest.mark.parametrize("kind", [*CLASSIFICATION, *REGRESSION])
def test_dense_layers_are_an_mlp_to_the_bit(kind, activation, parameters):
    X, y = problem(kind)
    layers = [Dense(9, activation), Dense(4, activation)]
    mlp, _ = pair(kind)
    mlp.set_params(hidden_layer_sizes=(9, 4), activation=activation, **SETTINGS, **parameters)
    model = quietly(model_of(kind, layers, **parameters).fit, X, y)
    quietly(mlp.fit, X, y)
    assert_same_bits(model, mlp)
    np.testing.assert_array_equal(model.predict(X), mlp.predict(X))
    assert model.loss_ == mlp.loss_ and model.n_layers_ == mlp.n_layers_


def test_options_of_the_mlp_are_layers():
    X, y = problem("multiclass")
    options = {"dropout": 0.2, "input_dropout": 0.1, "normalization": "batch", "residual": True}
    mlp = nnjit.MLPClassifier((6, 6), "tanh", **options, **SETTINGS)
    block = [Dense(6, "identity"), Normalization("batch", "tanh"), Dropout(0.2)]
    model = model_of("multiclass", [Dropout(0.1), *block, *block, Residual(3)])
    assert_same_bits(quietly(model.fit, X, y), quietly(mlp.fit, X, y))
    for one, other in zip(model.normalization_, mlp.normalization_, strict=True):
        for name in other:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows_go_into_a_dense_layer(dtype):
    X, y = problem("multiclass")
    X = X.astype(dtype)
    layers = [Dense(6), Dropout(0.1)]
    sparse = quietly(model_of("multiclass", layers).fit, sp.csr_matrix(X), y)
    mlp = nnjit.MLPClassifier((6,), dropout=0.1, **SETTINGS)
    assert_same_bits(sparse, quietly(mlp.fit, sp.csr_matrix(X), y))
    for others in ([Dropout(0.1), Dense(6)], [Conv(3), Flatten()]):
        with pytest.raises(TypeError, match="[Ss]parse"):
            model_of("multiclass", others).fit(sp.csr_matrix(X), y)


# Any layers


@every_stack
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression", "poisson"])
def test_every_target_is_learned(kind, stack):
    model, X, y = fitted(kind, STACKS[stack], max_iter=60, learning_rate_init=0.01)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert model.predict(X).shape == y.shape
    assert_same_bits(pickle.loads(pickle.dumps(model)), model)


@every_stack
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_precisions_start_and_end_near_each_other(stack, dtype):
    X, y = problem("regression")
    model = quietly(model_of("regression", STACKS[stack]).fit, X.astype(dtype), y)
    assert {array.dtype for array in model._give_parameters()[1]} == {np.dtype(dtype)}
    double = quietly(model_of("regression", STACKS[stack]).fit, X, y)
    np.testing.assert_allclose(model.predict(X), double.predict(X), atol=0.02)


@every_stack
def test_a_fit_that_was_cut_off_goes_on_to_the_bit(stack, tmp_path):
    X, y = problem("multiclass")
    expected = quietly(model_of("multiclass", STACKS[stack]).fit, X, y)
    model = model_of(
        "multiclass", STACKS[stack], checkpoint=tmp_path / "run", checkpoint_interval=1
    )
    quietly(clone(model).set_params(max_iter=3).fit, X, y)
    assert_same_bits(quietly(clone(model).fit, X, y), expected)


def test_a_fit_with_rates_of_single_parameters_goes_on_to_the_bit(tmp_path):
    X, y = problem("multiclass")
    rates = {"parametrization": "ntk", "learning_rate": "coslog", "learning_rate_init": 0.04}
    expected = quietly(model_of("multiclass", STACKS["dense"], **rates).fit, X, y)
    model = model_of("multiclass", STACKS["dense"], checkpoint=tmp_path / "run", **rates)
    whole = quietly(clone(model).set_params(checkpoint_interval=1).fit, X, y)
    assert_same_bits(whole, expected)
    assert_same_bits(quietly(clone(model).fit, X, y), expected)
    assert expected._fitted_network().parametrization == "ntk"


@every_stack
def test_training_goes_on_where_it_stood(stack):
    X, y = problem("multiclass")
    whole = model_of("multiclass", STACKS[stack], max_iter=1, shuffle=False)
    one = quietly(clone(whole).set_params(warm_start=True).fit, X, y)
    before = [array.copy() for array in one._give_parameters()[1]]
    quietly(one.fit, X, y)
    network, arrays = one._give_parameters()
    for a, b, (_, parameter) in zip(arrays, before, network.parameters(), strict=True):
        assert (a != b).any() != (parameter.name == "edges")
    if not any(layer.kind == "radial" for layer in STACKS[stack]):  # whose centres need all rows
        start = quietly(clone(whole).partial_fit, X, y, classes=np.unique(y))
        assert_same_bits(start, quietly(clone(whole).fit, X, y))


def test_attributes():
    layers = [Conv(4), Normalization("batch", "relu"), Flatten(), Dense(6), RadialBasis(5)]
    model, X, _ = fitted("multiclass", layers)
    assert [w.shape for w in model.coefs_] == [(3, 1, 4), (32, 6), (5, 3)]
    assert [b.shape for b in model.intercepts_] == [(4,), (6,), (3,)]
    assert [sorted(one) for one in model.normalization_] == [["mean", "scale", "shift", "variance"]]
    (radial,) = model.layer_parameters_
    assert {name: one.shape for name, one in radial.items()} == {
        "centers": (5, 6), "log_widths": (5,)
    }  # fmt: skip
    assert model.layers_ == (*layers, Dense(3, "identity"))
    assert [model.activations(X, k).shape[1:] for k in range(3)] == [(4, 8), (6,), (5,)]
    quietly(model.set_params(layers=[Dense(3)]).fit, X, _)
    gone = ("normalization_", "layer_parameters_", "input_shape_")
    assert not any(hasattr(model, name) for name in gone)


def test_centres_start_amid_what_comes_into_their_layer():
    X, y = problem("multiclass")
    model = model_of("multiclass", STACKS["radial"], max_iter=1, learning_rate_init=1e-12)
    hidden = quietly(model.fit, X, y).activations(X, 0)
    centers = model.layer_parameters_[0]["centers"]
    nearest = np.linalg.norm(hidden[:, None] - centers, axis=2).argmin(axis=1)
    means = np.stack([hidden[nearest == k].mean(axis=0) for k in range(6)])
    np.testing.assert_allclose(centers, means, atol=1e-6)
    with pytest.raises(ValueError, match="has 97 centres|n_samples=96 should be >= n_centers=97"):
        model_of("multiclass", [RadialBasis(97)]).fit(X, y)
    with pytest.raises(ValueError, match="has 4 centres, but only 1 different rows"):
        model_of("multiclass", [RadialBasis(4)]).fit(np.ones_like(X), y)


def test_a_learned_number_of_each_unit_is_a_parameter_of_its_layer():
    model, X, y = fitted("multiclass", STACKS["scaled"])
    factors, shares = model.layer_parameters_
    assert factors["factors"].shape == (8,) and shares["shares"].shape == (7,)
    z = (X * factors["factors"]) @ model.coefs_[0] + model.intercepts_[0]
    mish = z * np.tanh(np.logaddexp(0, z))
    np.testing.assert_allclose(
        model.activations(X), z + shares["shares"] * (mish - z), rtol=0, atol=1e-12
    )
    layers = STACKS["scaled"][:3]
    start = model_of("multiclass", layers, max_iter=1, learning_rate_init=1e-12)
    plain = model_of("multiclass", [Dense(7, "mish")], max_iter=1, learning_rate_init=1e-12)
    for a, b in zip(quietly(start.fit, X, y).coefs_, quietly(plain.fit, X, y).coefs_):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)  # drawn for the activation behind


def test_embeddings_of_numbers_start_from_their_bounds():
    X, y = problem("multiclass")
    layers = [PeriodicEmbedding(3, 400, 20, scale=0.5)]
    model = model_of("multiclass", layers, max_iter=1, learning_rate_init=1e-12)
    (found,) = quietly(model.fit, X, y).layer_parameters_
    assert {name: one.shape for name, one in found.items()} == {
        "frequencies": (3, 400), "phases": (3, 400), "amplitudes": (3, 400, 20), "offsets": (3, 20),
    }  # fmt: skip
    assert found["frequencies"].std() == pytest.approx(0.5, rel=0.1)
    for name, bound in {"phases": np.pi, "amplitudes": 0.05, "offsets": 0.05}.items():
        assert 0.9 * bound < np.abs(found[name]).max() <= bound
        assert abs(found[name].mean()) < 0.2 * bound
    assert model.n_layers_ == 3 and model.coefs_[0].shape == (3 * 21 + X.shape[1] - 3, 3)


def test_edges_of_bins_are_quantiles_of_the_training_rows():
    X, y = problem("regression")
    model, weights = model_of("regression", [PiecewiseLinear(2, 4), Dense(3)]), np.ones(len(X))
    weights[50:] = 0
    quietly(model.fit, X, y, sample_weight=weights)
    ((edges,),) = (one.values() for one in model.layer_parameters_)
    np.testing.assert_array_equal(edges[:, [0, -1]].T, [X[:50, :2].min(0), X[:50, :2].max(0)])
    for column, inner in zip(X[:50, :2].T, edges[:, 1:-1], strict=True):
        np.testing.assert_array_equal(
            inner, np.quantile(column, [0.25, 0.5, 0.75], method="inverted_cdf")
        )
    assert model.n_layers_ == 3  # the encoding has no units
    below = model_of("regression", [Dense(4, "tanh"), PiecewiseLinear(4, 3)], max_iter=1)
    quietly(below.set_params(learning_rate_init=1e-12).fit, X, y)
    hidden = np.tanh(X @ below.coefs_[0] + below.intercepts_[0])
    edges = below.layer_parameters_[0]["edges"]
    np.testing.assert_allclose(edges[:, [0, -1]].T, [hidden.min(0), hidden.max(0)], atol=1e-6)


def test_the_gradient_of_embeddings_is_checked_but_for_the_edges():
    model, X, y = fitted("multiclass", STACKS["numeric"])
    check = nnjit.inspection.check_gradient(model, X[:30], y[:30], n_parameters=None)
    edges = sum(one["edges"].size for one in model.layer_parameters_ if "edges" in one)
    sizes = [one.size for one in model._give_parameters()[1]]
    assert len(check.indices) == sum(sizes) - edges and check.error < 1e-5


def test_edges_of_many_rows_are_those_of_some(monkeypatch):
    from nnjit.estimators import _start

    monkeypatch.setattr(_start, "_ROWS_FOR_EDGES", 40)
    model, X, y = fitted("regression", [PiecewiseLinear(1, 3), Dense(3)])
    (edges,) = model.layer_parameters_[0]["edges"]
    assert set(edges) < set(X[:, 0])
    assert_same_bits(quietly(clone(model).fit, X, y), model)


def test_rows_are_vectors_series_or_images_as_the_layers_take_them():
    X, y = problem("multiclass")
    assert not hasattr(fitted("multiclass", STACKS["dense"])[0], "input_shape_")
    assert fitted("multiclass", STACKS["global"])[0].input_shape_ == (1, 8)
    assert fitted("multiclass", STACKS["global"], input_shape=(2, 4))[0].input_shape_ == (2, 4)
    pairs = [Conv(3, (2, 3)), Flatten()]
    assert fitted("multiclass", pairs, input_shape=(2, 4))[0].input_shape_ == (1, 2, 4)
    with pytest.raises(ValueError, match=r"layers\[0\], Dense.* takes vectors"):
        model_of("multiclass", STACKS["dense"], input_shape=(2, 4)).fit(X, y)


WRONG = {
    "no layer": ([Dense(3), 4], r"layers\[1\] is no layer description: 4"),
    "a class": ([Dense], r"layers\[0\] is no layer description"),
    "an activation": ([Dense(3, "foo")], r"layers\[0\], Dense.*activation must be one of"),
    "no units": ([Dense(4), Dense(0)], r"layers\[1\], Dense.* at least one"),
    "units of no number": ([Dense(2.5)], r"layers\[0\], Dense.* at least one"),
    "a vector for a convolution": ([Dense(3), Conv(3)], r"layers\[1\], Conv.* it gets vectors"),
    "a kernel too long": ([Conv(8, 9, padding="valid"), Flatten()], r"layers\[0\], Conv.*reaches"),
    "a series for a dense layer": ([Conv(3), Dense(3)], r"layers\[1\], Dense.* takes vectors"),
    "too few numbers": ([PeriodicEmbedding(9)], r"layers\[0\], PeriodicEmbedding.*got 8"),
    "too few outputs": ([Dense(3), PiecewiseLinear(4)], r"layers\[1\], PiecewiseLinear.*got 3"),
    "a sum of two sizes": ([Dense(3), Residual(1)], r"layers\[1\], Residual.* of shape 8 to those"),
    "a sum with nothing": ([Dense(8), Residual(2)], r"layers\[1\], Residual.* 1 layers before"),
    "windows": ([Conv(3), Pool("max", 9), Flatten()], r"layers\[1\], Pool.*No window fits"),
    "an end in series": ([Conv(3)], r"has the shape \(3, 8\), but the output layer takes vectors"),
    "changes of what is no row": ([Conv(3), Augment(flip=True), Flatten()], "has to come first"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_first_layer_that_does_not_fit_is_named(name):
    layers, words = WRONG[name]
    X, y = problem("multiclass")
    for model in (model_of("multiclass", layers), fitted("multiclass", [Dense(3)])[0]):
        model.set_params(layers=layers)
        before = pickle.dumps(model)
        with pytest.raises(ValueError, match=words):
            model.fit(X, y)
        assert pickle.dumps(model) == before


def test_layers_are_looked_at_before_series_are_refused():
    series = np.zeros((6, 2, 5))
    for layers, words in {
        (Conv,): r"layers\[0\] is no layer description",
        (Dense(3),): "dim <= 2 is required by NetworkClassifier where layers take vectors.*Flatten",
    }.items():
        with pytest.raises(ValueError, match=words):
            NetworkClassifier(layers).fit(series, [0, 1] * 3)


def test_something_else_than_a_list_is_refused_in_scikit_learns_words():
    with pytest.raises(ValueError, match="The 'layers' parameter of NetworkClassifier must be"):
        NetworkClassifier(Dense(3)).fit(*problem("multiclass"))


@pytest.mark.parametrize(
    "layers, words",
    [
        ([Dense(3), Dropout(0.1)], r"solver='lbfgs' .* layers_\[1\], Dropout"),
        ([Dense(3), Normalization("batch")], "normalization='batch'.*normalization='layer' can"),
        ([Conv(3), Normalization("batch"), Flatten()], "normalization='batch'.*minibatches.$"),
    ],
)
def test_lbfgs_refuses_what_changes_from_step_to_step(layers, words):
    with pytest.raises(ValueError, match=words):
        model_of("regression", layers, solver="lbfgs").fit(*problem("regression"))


def test_a_gpu_is_refused_by_the_first_layer_without_code():
    from nnjit.estimators._layered import ON_A_GPU

    X, y = problem("regression")
    with pytest.raises(ValueError, match=r"layers\[1\], Residual.* no code for a GPU"):
        model_of("regression", [Dense(8), Residual(1)], device="cuda").fit(X, y)
    with pytest.raises(ValueError, match=r"layers\[0\], GaussianNoise.* no code for a GPU"):
        model_of("regression", [GaussianNoise(0.1), Dense(8)], device="cuda").fit(X, y)
    with pytest.raises(ValueError, match=r"layers\[0\], Scaling.* no code for a GPU"):
        model_of("regression", [Scaling(), Dense(8)], device="cuda").fit(X, y)
    with pytest.raises(ValueError, match=r"layers\[1\], ParametricActivation.* no code for a GPU"):
        model_of("regression", [Dense(8), ParametricActivation()], device="cuda").fit(X, y)
    with pytest.raises(ValueError, match=r"layers\[1\], TiedDense.* no code for a GPU"):
        model_of("regression", [Dense(8), TiedDense(1)], device="cuda").fit(X, y)
    with pytest.raises(ValueError, match=r"layers\[0\], Embedding.* no code for a GPU"):
        model_of("regression", [Embedding((3,)), Dense(8)], device="cuda").fit(X, y)
    for layer in (PeriodicEmbedding(2), PiecewiseLinear(2)):
        with pytest.raises(
            ValueError, match=rf"layers\[0\], {type(layer).__name__}.* no code for a GPU"
        ):
            model_of("regression", [layer, Dense(8)], device="cuda").fit(X, y)
    assert ON_A_GPU == ("dense", "dropout")
    auto = fitted("regression", [Dense(8), Residual(1)], device="auto")[0]
    assert_same_bits(auto, fitted("regression", [Dense(8), Residual(1)])[0])


def test_tied_weights_are_there_once():
    model, X, _ = fitted("regression", STACKS["tied"])
    features = X.shape[1]
    assert [one.shape for one in model.coefs_] == [(features, 7), (7, 3), (features, 1)]
    assert [len(one) for one in model.intercepts_] == [7, 3, 7, features, 1]
    assert model.n_layers_ == 6 and model.layers_[2] == TiedDense(1, units=7)
    model.coefs_[1] = np.zeros((7, 3))
    expected = np.maximum(model.intercepts_[2], 0) @ model.coefs_[0].T + model.intercepts_[3]
    np.testing.assert_allclose(model.activations(X[:2]), np.tanh([expected, expected]), rtol=1e-12)


def test_sparse_rows_go_under_tied_weights():
    X, y = problem("regression")
    layers = [Dense(6), TiedDense(1, "tanh")]
    dense = quietly(model_of("regression", layers).fit, X, y)
    sparse = quietly(model_of("regression", layers).fit, sp.csr_matrix(X), y)
    np.testing.assert_allclose(sparse.predict(X), dense.predict(X), rtol=1e-10)


def test_vectors_of_categories_start_as_normal_numbers_and_are_learned():
    """Code 0 is that of what is missing or was never seen."""
    rng = np.random.default_rng(0)
    codes, effects = rng.integers(1, 30, (400, 2)), rng.standard_normal(30)
    X = np.column_stack([rng.standard_normal(400), codes])
    y = X[:, 0] + effects[codes[:, 0]] * np.sign(effects[codes[:, 1]])
    layers = [Embedding((30, 30), 2), Dense(16, "tanh")]
    model = model_of("regression", layers, max_iter=200, learning_rate_init=0.02)
    quietly(model.fit, X[:300], y[:300])
    assert model.score(X[300:], y[300:]) > 0.9
    (vectors,) = (one["vectors"] for one in model.layer_parameters_)
    start = quietly(clone(model).set_params(max_iter=1, learning_rate_init=1e-12).fit, X, y)
    drawn = start.layer_parameters_[0]["vectors"]
    assert vectors.shape == drawn.shape == (60, 2)
    assert abs(drawn.mean()) < 0.3 and abs(drawn.std() - 1) < 0.3
    np.testing.assert_allclose(vectors[0], drawn[0], atol=1e-9)  # no row has moved it
    never, missing = X[:1].copy(), X[:1].copy()
    never[0, 2], missing[0, 2] = 30, 0
    np.testing.assert_array_equal(model.predict(never), model.predict(missing))
    np.testing.assert_allclose(
        model.activations(X[:1], 0)[0], [X[0, 0], *vectors[codes[0] + [0, 30]].ravel()]
    )


def test_levels_of_categories_say_nothing_about_the_axes_of_rows():
    X, y = problem("regression")
    model = quietly(model_of("regression", [Conv(3), Flatten(), Embedding((3, 3), 2)]).fit, X, y)
    assert model.input_shape_ == (1, X.shape[1])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("first", [Dropout(0.3), GaussianNoise(0.1)])
@pytest.mark.parametrize("chosen", [PiecewiseLinear(4, 5), RadialBasis(3)])
def test_what_is_chosen_by_the_rows_is_so_behind_layers_of_training_alone(first, chosen):
    """Their outputs are the rows then, so that it starts as if they were not there."""
    X, y = problem("binary")
    layers = [chosen, Dense(3, "tanh")]
    models = [
        model_of("binary", each, max_iter=1, learning_rate_init=1e-30).fit(X, y)
        for each in (layers, [first, *layers])
    ]
    one, other = (model.predict_proba(X) for model in models)
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_samples_of_predictions():
    model, X, _ = fitted("multiclass", STACKS["radial"])
    samples = model.predict_samples(X, 4, random_state=0)
    assert samples.shape == (4, len(X), 3) and samples.std(axis=0).max() > 0
    noisy = fitted("multiclass", [Dense(3), GaussianNoise(0.1)])[0]
    assert noisy.predict_samples(X, 4).std(axis=0).min() > 0
    with pytest.raises(ValueError, match="needs a network with dropout, but none of its layers"):
        fitted("multiclass", [Dense(3)])[0].predict_samples(X, 2)


# Parameters of the layers


def test_attributes_of_layers_are_parameters():
    layers = [Conv(4), Flatten(), Dense(5, "tanh")]
    model = NetworkClassifier(layers)
    parameters = model.get_params()
    assert parameters["layers"] is layers and "layers__0" not in model.get_params(deep=False)
    assert parameters["layers__0__filters"] == 4 and parameters["layers__2"] == Dense(5, "tanh")
    model.set_params(layers__0__filters=8, layers__0__kernel_size=(5,), layers__2=Dense(9))
    assert model.layers == [Conv(8, (5,)), Flatten(), Dense(9)]
    assert layers == [Conv(4), Flatten(), Dense(5, "tanh")]  # what was given stays as it was
    model.set_params(layers=(Dense(2),), layers__0__units=7, alpha=0.5)
    assert model.layers == (Dense(7),) and model.alpha == 0.5
    model.set_params(layers__0=Dense(3), layers__0__activation="tanh")
    assert model.layers == (Dense(3, "tanh"),)
    assert clone(model).set_params(**model.get_params()).layers == model.layers


@pytest.mark.parametrize(
    "parameters",
    [{"layers__1": Dense(3)}, {"layers__0__filters": 3}, {"layers__x": 1}, {"layers__0__": 1},
     {"layer__0": 1}, {"layers__0__units": 4, "layers__0__no": 3}, {"layers__0__units__x": 4}],
    ids=str,
)  # fmt: skip
def test_parameters_that_are_none_are_refused_and_nothing_is_set(parameters):
    model = NetworkClassifier([Dense(3)], alpha=0.1)
    with pytest.raises(ValueError, match="Invalid parameter"):
        model.set_params(alpha=0.2, **parameters)
    assert model.layers == [Dense(3)]
    with pytest.raises(ValueError, match="at least one centre"):
        NetworkClassifier([RadialBasis(3)]).set_params(layers__0__centers=0)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_grid_search_reaches_into_layers():
    X, y = problem("multiclass")
    model = model_of("multiclass", [Conv(2), GlobalPool(), Dense(3)], max_iter=2)
    grid = {"layers__0__filters": [2, 5], "layers__1": [GlobalPool("max"), Flatten()]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)
    best = search.best_estimator_
    assert best.layers[0].filters == search.best_params_["layers__0__filters"]
    assert best.layers_[1] == search.best_params_["layers__1"]
    assert model.layers == [Conv(2), GlobalPool(), Dense(3)]
    pipeline = make_pipeline(StandardScaler(), model)
    grid = {"networkclassifier__layers__0__kernel_size": [1, 2]}
    assert GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, y).best_params_


def test_texts_can_be_read():
    model = NetworkRegressor([Conv(4), GlobalPool()], alpha=0.5)
    text = "".join(repr(model).split())
    assert "layers=[Conv(filters=4," in text
    assert "GlobalPool(method='mean')]" in text
    assert "Conv" in model._repr_html_()
