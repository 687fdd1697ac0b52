"""Rollouts of a policy, and the distributions from which its actions are drawn."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))

import naive
from nnjit.agents._distributions import Categorical, Gaussian, distribution_over
from nnjit.agents._rollout import Rollout
from nnjit.agents._spaces import Space


def filled(ends, size=12):
    """A rollout of steps numbered from 0 on, with an episode's end behind some."""
    rollout = Rollout(size, 2, 1, np.dtype(np.float32))
    for step in range(size):
        rollout.begin(np.array([step, 0.5]), step % 3)
        kind = ends.get(step, "")
        rollout.complete(np.array([step + 1, 0.5]), 0.1 * step, kind == "terminated", bool(kind))
    return rollout


def test_a_rollout_keeps_what_was_seen_done_and_rewarded():
    rollout = filled({4: "terminated", 7: "truncated"})
    assert rollout.count == rollout.size == 12
    np.testing.assert_array_equal(rollout.observations[:, 0], np.arange(12))
    np.testing.assert_array_equal(rollout.following[:, 0], np.arange(1, 13))
    np.testing.assert_array_equal(rollout.actions[:, 0], np.arange(12) % 3)
    np.testing.assert_allclose(rollout.rewards, 0.1 * np.arange(12))
    assert np.flatnonzero(rollout.terminated).tolist() == [4]
    assert np.flatnonzero(rollout.last).tolist() == [4, 7]


def test_its_advantages_are_those_of_the_definition_with_its_end_as_that_of_an_episode():
    rollout = filled({4: "terminated", 7: "truncated"})
    values, following = np.random.default_rng(0).normal(size=(2, 12))
    found = rollout.advantages(values, following, 0.9, 0.8)
    terminated, last = np.zeros((2, 12), bool)
    terminated[4], last[[4, 7, 11]] = True, True
    expected = naive.advantages(rollout.rewards, values, following, terminated, last, 0.9, 0.8)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_what_follows_a_cut_is_another_episode():
    rollout = Rollout(4, 1, 1, np.dtype(np.float64))
    rollout.cut()
    assert not rollout.last.any()
    for step in range(2):
        rollout.begin(np.ones(1), 0)
        rollout.complete(np.ones(1), 1.0, False, False)
        if step == 0:
            rollout.cut()
    assert rollout.last.tolist() == [1, 0, 0, 0]


def test_a_rollout_goes_on_from_its_state_and_not_from_one_of_another_size():
    rollout, other, longer = filled({4: "terminated"}), filled({}), filled({}, 13)
    rollout.count = 5
    other.load_state(rollout.state())
    assert other.count == 5 and np.flatnonzero(other.last).tolist() == [4]
    longer.load_state(rollout.state())
    assert longer.count == 13 and not longer.last.any()


def test_drawn_actions_are_as_frequent_as_the_softmax_says():
    logits = np.array([0.3, -1.2, 1.5, -0.2], np.float32)
    rng, distribution = np.random.RandomState(0), Categorical(4)
    counts = np.bincount([distribution.draw(logits, rng) for _ in range(4000)], minlength=4)
    expected = naive.softmax(logits.astype(float))
    assert stats.chisquare(counts, 4000 * expected).pvalue > 0.01
    found = distribution.probabilities(np.tile(logits, (2, 1)))
    np.testing.assert_allclose(found, [expected] * 2, rtol=1e-6)


def test_logits_far_apart_are_no_overflow():
    rng, distribution = np.random.RandomState(0), Categorical(3)
    logits = np.array([1000.0, -1000.0, 999.0])
    assert {distribution.draw(logits, rng) for _ in range(20)} == {0, 2}
    found = distribution.log_probabilities(logits[np.newaxis], np.array([[1.0]]))
    assert found == pytest.approx(-2000.0 - np.log1p(np.exp(-1.0)))


def test_log_probabilities_of_a_softmax_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    logits, actions = rng.normal(size=(9, 3)), rng.integers(0, 3, (9, 1))
    expected = naive.log_softmax(logits)[np.arange(9), actions[:, 0]]
    found = Categorical(3).log_probabilities(logits, actions.astype(float))
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_normal_actions_have_the_mean_deviation_and_density_that_the_outputs_say():
    outputs, distribution = (
        np.array([0.5, -2.0, np.log(0.3), np.log(2.0)]),
        gaussian([-1, 0], [1, 3]),
    )
    rng = np.random.RandomState(0)
    drawn = np.array([distribution.draw(outputs, rng) for _ in range(4000)])
    for column, mean, deviation in ((0, 0.5, 0.3), (1, -2.0, 2.0)):
        assert stats.kstest(drawn[:, column], stats.norm(mean, deviation).cdf).pvalue > 0.01
    expected = stats.norm([0.5, -2.0], [0.3, 2.0]).logpdf(drawn[:9]).sum(axis=1)
    found = distribution.log_probabilities(np.tile(outputs, (9, 1)), drawn[:9])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def gaussian(low, high):
    bounds = [tuple(map(float, bound)) for bound in (low, high)]
    found = distribution_over(Space("box", (len(low),), low=bounds[0], high=bounds[1]))
    assert isinstance(found, Gaussian)
    return found


def test_the_bounds_of_a_box_are_minus_1_and_1_and_one_without_has_its_own_units():
    distribution = gaussian([-2.0, 0.0, -np.inf], [2.0, 10.0, 5.0])
    ends = distribution.to_environment(np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]))
    np.testing.assert_allclose(ends, [[-2.0, 0.0, -1.0], [2.0, 10.0, 1.0]])
    outputs = np.array([[0.5, 0.0, 3.0, 9.0, 9.0, 9.0]])
    np.testing.assert_allclose(distribution.best(outputs), [[1.0, 5.0, 3.0]])
