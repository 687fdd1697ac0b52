"""The display of what embeddings make of numbers and categories, alone and in tables."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from nnjit import MLPRegressor, NetworkRegressor, TabularRegressor
from nnjit.inspection import EmbeddedCategory, EmbeddedNumber, EmbeddingDisplay
from nnjit.inspection._boxes import _details
from nnjit.layers import (
    Conv,
    Dense,
    Embedding,
    Flatten,
    PeriodicEmbedding,
    PiecewiseLinear,
    Scaling,
)

plt = pytest.importorskip("matplotlib.pyplot")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
LEVELS, SETTINGS = (6, 3), {"max_iter": 3, "random_state": 0, "batch_size": 50}
# Two numbers are embedded; a third is handed on, in front of the codes of two columns.
PERIODIC = [PeriodicEmbedding(2, 4, 2), Embedding(LEVELS, 3), Scaling(), Dense(6)]


@pytest.fixture(autouse=True)
def figures():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    # no row has the last category
    codes = rng.integers(0, 5, 150), rng.integers(0, 3, 150)
    columns = {"a": rng.normal(size=150), "b": rng.uniform(2, 3, 150), "c": rng.normal(size=150)}
    return pd.DataFrame({**columns, "town": codes[0] * 1.0, "kind": codes[1] * 1.0})


@pytest.fixture(scope="module")
def network(frame):
    return NetworkRegressor(PERIODIC, **SETTINGS).fit(frame, frame["a"] + frame["town"])


@pytest.fixture(scope="module")
def tables(frame):
    """A table's estimator; towns are too many for indicators, and one of them is rare."""
    towns = pd.Series([f"town {number % 12}" for number in range(len(frame))])
    towns.iloc[0] = "nowhere"
    X = frame[["a", "b"]].assign(town=towns)
    model = TabularRegressor("fast", hidden_layer_sizes=(8,), max_iter=2, random_state=0)
    return model.fit(X, frame["a"]), X


def rendered(display):
    """Render the figure, and check that something other than white is in it."""
    display.figure_.canvas.draw()
    assert (np.asarray(display.figure_.canvas.buffer_rgba())[..., :3] < 250).any()
    return display


def test_every_embedded_column_has_a_panel(network, frame):
    display = rendered(EmbeddingDisplay.from_estimator(network, frame))
    assert [column.name for column in display.columns] == ["a", "b", "town", "kind"]
    assert len(display.axes_) == 4 and display.ax_ is display.axes_[0]
    assert [len(lines) for lines in display.lines_] == [3, 3, 0, 0]
    assert [points is not None for points in display.points_] == [False, False, True, True]
    few = EmbeddingDisplay.from_estimator(network, frame, max_columns=1)
    assert [column.name for column in few.columns] == ["a"]


def test_curves_are_what_the_embedding_gives_out(network, frame):
    display = EmbeddingDisplay.from_estimator(network, frame, features="b")
    (number,) = display.columns
    assert number.values[[0, -1]] == pytest.approx([frame["b"].min(), frame["b"].max()])
    np.testing.assert_array_equal(number.rows, frame["b"])
    rows = frame.iloc[:1].loc[[0] * len(number.values)].assign(b=number.values)
    expected = network.activations(rows, 0)[:, 3:6]  # behind those of a
    np.testing.assert_allclose(number.outputs, expected, rtol=1e-10)
    itself, *others = display.lines_[0]
    np.testing.assert_array_equal(itself.get_ydata(), number.outputs[:, 0])
    assert itself.get_label() == "itself" and itself.get_linestyle() == "--"
    assert [line.get_label() for line in others] == ["output 1", "output 2"]
    assert display.ax_.get_xlabel() == "b" and len(display.ax_.patches) == 1


def test_categories_are_their_vectors_along_the_principal_axes(network, frame):
    display = EmbeddingDisplay.from_estimator(network, frame, features=["town"])
    (town,) = display.columns
    vectors = network.layer_parameters_[1]["vectors"][:6]
    np.testing.assert_array_equal(town.vectors, vectors)
    counts = np.bincount(frame["town"].astype(int), minlength=6)
    np.testing.assert_array_equal(town.counts, counts)
    places = np.asarray(display.points_[0].get_offsets())
    learned = vectors[:5] - vectors[:5].mean(axis=0)
    _, sizes, ways = np.linalg.svd(learned)
    np.testing.assert_allclose(np.abs(places[:5]), np.abs(learned @ ways[:2].T), atol=1e-12)
    last = (vectors[5] - vectors[:5].mean(axis=0)) @ ways[:2].T
    np.testing.assert_allclose(np.abs(places[5]), np.abs(last), atol=1e-12)
    share = sizes[0] ** 2 / (sizes**2).sum()
    assert display.ax_.get_xlabel() == f"first principal axis ({share:.0%})"
    assert [text.get_text() for text in display.ax_.texts] == [*"012345"]
    filled = display.points_[0].get_facecolors()[:, 3] > 0
    assert filled.tolist() == [True] * 5 + [False]


def test_the_network_display_says_how_many_columns_are_embedded():
    assert "2 columns to 3" in _details(Embedding(LEVELS, 3), 5)
    assert _details(Embedding((4,), rate=0.1), 5) == ["1 column to 8", "rate 0.1"]


def test_the_most_frequent_categories_are_named():
    town = EmbeddedCategory("town", np.eye(3), ["a", "b", "c"], np.array([5, 1, 9]))
    display = rendered(EmbeddingDisplay([town]).plot(max_labels=2))
    assert [text.get_text() for text in display.ax_.texts] == ["a", "c"]
    assert not EmbeddingDisplay([town]).plot(max_labels=0).ax_.texts
    areas = display.points_[0].get_sizes()
    assert areas[2] > areas[0] > areas[1]


def test_vectors_of_one_number_lie_on_a_line():
    town = EmbeddedCategory("town", np.array([[0.0], [3.0]]), ["a", "b"])
    display = rendered(EmbeddingDisplay([town]).plot())
    np.testing.assert_allclose(display.points_[0].get_offsets(), [[-1.5, 0], [1.5, 0]])
    assert not len(display.ax_.get_yticks()) and display.ax_.get_ylabel() == ""


def test_without_rows_bins_are_drawn_from_their_first_edge_to_their_last(frame):
    X, y = frame[["a", "kind"]].to_numpy(), frame["a"]
    model = NetworkRegressor([PiecewiseLinear(1, 5), Embedding((3,))], **SETTINGS).fit(X, y)
    display = rendered(EmbeddingDisplay.from_estimator(model))
    number, category = display.columns
    assert (number.name, category.name) == ("x0", "x1")
    assert number.outputs.shape == (len(number.values), 5)
    assert number.values[[0, -1]] == pytest.approx([frame["a"].min(), frame["a"].max()])
    assert number.rows is None and category.counts is None
    assert category.levels == ["0", "1", "2"]


def test_rows_go_through_the_steps_of_a_pipeline(frame):
    halved = FunctionTransformer(lambda X: X * [0.5, 1])
    X, y = frame[["a", "kind"]].to_numpy(), frame["a"]
    layers = [Scaling(), PeriodicEmbedding(1, 2, 1), Embedding((3,))]
    model = make_pipeline(halved, NetworkRegressor(layers, **SETTINGS)).fit(X, y)
    number, _ = EmbeddingDisplay.from_estimator(model, X).columns
    np.testing.assert_array_equal(number.rows, X[:, 0] / 2)


def test_members_of_a_tables_estimator(tables):
    model, X = tables
    display = rendered(EmbeddingDisplay.from_estimator(model, X))
    assert [one.name for one in display.columns] == ["a (scaled)", "b (scaled)", "town"]
    town = display.columns[2]
    assert town.levels == ["other", *sorted(f"town {number}" for number in range(12))]
    assert town.counts.sum() == len(X) and town.counts[0] == 1
    last = EmbeddingDisplay.from_estimator(model, X, features="town", member=-1).columns[0]
    own = [one["vectors"] for one in model.members_[-1].layer_parameters_ if "vectors" in one]
    np.testing.assert_array_equal([last.vectors], own)
    count = len(model.members_)
    with pytest.raises(ValueError, match=f"There (is|are) {count} .*none with number {count}"):
        EmbeddingDisplay.from_estimator(model, member=count)


def test_a_member_with_waves_is_drawn_where_some_have_none():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    options = {"n_members": 3, "max_iter": 2, "hidden_layer_sizes": (4,), "random_state": 0}
    model = TabularRegressor(numeric_embedding="mixed", **options).fit(X, X[:, 0])
    kinds = [member.layers_[0].kind for member in model.members_]
    assert kinds == ["scaling", "periodic", "scaling"]
    drawn = EmbeddingDisplay.from_estimator(model).columns
    second = EmbeddingDisplay.from_estimator(model, member=1).columns
    np.testing.assert_array_equal(drawn[0].outputs, second[0].outputs)
    with pytest.raises(TypeError, match="needs a network whose first layers embed columns"):
        EmbeddingDisplay.from_estimator(model, member=0)


def test_columns_that_are_not_embedded_are_refused(network):
    for wrong in ("c", 2, 17, "elsewhere", ["a", "c"]):
        with pytest.raises(ValueError, match=r"is no column that is embedded; these are \['a'"):
            EmbeddingDisplay.from_estimator(network, features=wrong)
    with pytest.raises(ValueError, match="features are the columns to draw, at least one"):
        EmbeddingDisplay.from_estimator(network, features=[])
    with pytest.raises(ValueError, match="At least one column has to be drawn"):
        EmbeddingDisplay.from_estimator(network, max_columns=0)


def test_networks_without_embeddings_of_columns_are_refused(frame):
    X, y = frame[["a", "b"]].to_numpy(), frame["a"]
    models = (
        MLPRegressor(hidden_layer_sizes=(3,), max_iter=2),
        NetworkRegressor([Dense(4), Embedding((2,))], **SETTINGS),  # of what is no column
        NetworkRegressor([Conv(2), Flatten()], **SETTINGS),
    )
    for model in models:
        with pytest.raises(TypeError, match="EmbeddingDisplay needs a network whose first layers"):
            EmbeddingDisplay.from_estimator(model.fit(X, y))
    with pytest.raises(NotFittedError):
        EmbeddingDisplay.from_estimator(TabularRegressor())


def test_a_display_takes_an_axes_for_a_single_column():
    number = EmbeddedNumber("a", np.arange(3.0), np.eye(3))
    left, right = plt.subplots(1, 2)[1]
    assert EmbeddingDisplay([number]).plot(ax=right).ax_ is right and not left.lines
    with pytest.raises(ValueError, match="One column is drawn to one ax.*there are 2"):
        EmbeddingDisplay([number, number]).plot(ax=right)
    with pytest.raises(ValueError, match="there are 0"):
        EmbeddingDisplay([]).plot()


def test_shapes_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="3 values of 'a' need as many rows of outputs"):
        EmbeddingDisplay([EmbeddedNumber("a", np.arange(3.0), np.eye(2))]).plot()
    with pytest.raises(ValueError, match="1 categories of 'a' need as many vectors"):
        EmbeddingDisplay([EmbeddedCategory("a", np.eye(2), ["b"])]).plot()
