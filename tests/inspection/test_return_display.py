"""The display of an agent's returns is drawn, and what was drawn is looked at."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import nnjit
from nnjit.inspection import ReturnDisplay

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def figures():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


@pytest.fixture
def returns():
    return np.random.default_rng(0).normal(size=60).cumsum()


def test_points_and_the_mean_of_the_last_episodes(returns):
    steps = np.arange(1, 61) * 7
    display = ReturnDisplay(returns, steps=steps, window=5).plot()
    np.testing.assert_array_equal(display.points_.get_xydata(), np.column_stack([steps, returns]))
    np.testing.assert_array_equal(display.line_.get_xdata(), steps[4:])
    expected = [returns[end - 5 : end].mean() for end in range(5, 61)]
    np.testing.assert_allclose(display.line_.get_ydata(), expected)
    assert display.ax_.get_xlabel() == "step"
    assert display.ax_.get_legend().get_texts()[0].get_text() == "mean of 5 episodes"
    display.figure_.canvas.draw()


@pytest.mark.parametrize(
    ("episodes", "window", "used"), [(60, 100, 6), (60, 5, 5), (3, 100, 2), (1, 100, 1), (5, 1, 1)]
)
def test_the_window_is_a_tenth_of_the_episodes_at_most(episodes, window, used):
    display = ReturnDisplay(np.arange(episodes), window=window).plot()
    assert display.window_ == used
    assert len(display.line_.get_ydata()) == episodes - used + 1
    assert display.ax_.get_xlabel() == "episode"


def test_agents_share_axes_in_colours_of_their_own(returns):
    first = ReturnDisplay(returns, name="a").plot()
    second = ReturnDisplay(-returns, name="b").plot(first.ax_)
    assert second.ax_ is first.ax_
    assert first.line_.get_color() == first.points_.get_color() != second.line_.get_color()
    assert [text.get_text() for text in first.ax_.get_legend().get_texts()] == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"returns": []}, "No episode has come to its end"),
        ({"returns": [[1.0, 2.0]]}, "returns must have one axis"),
        ({"returns": [1.0], "window": 0}, "window must be at least 1, got 0"),
        ({"returns": [1.0, 2.0], "steps": [1]}, "as many steps as returns"),
    ],
)
def test_what_cannot_be_drawn(arguments, message):
    with pytest.raises(ValueError, match=message):
        ReturnDisplay(**arguments).plot()
    assert not plt.get_fignums()


def test_only_agents_have_returns():
    with pytest.raises(TypeError, match=r"an agent of nnjit\.agents .* got MLPClassifier"):
        ReturnDisplay.from_estimator(nnjit.MLPClassifier())


def test_an_agent_has_to_have_learned():
    agents = pytest.importorskip("nnjit.agents")
    with pytest.raises(NotFittedError):
        ReturnDisplay.from_estimator(agents.QAgent())
