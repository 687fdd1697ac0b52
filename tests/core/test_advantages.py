"""Generalized advantage estimation."""

import numpy as np
import pytest

import naive
from nnjit.core.arrays.advantages import advantages


def steps(n, seed=0):
    """Rewards and values of episodes, some of which come to their end and some are broken off."""
    rng = np.random.default_rng(seed)
    rewards, values, next_values = rng.normal(size=(3, n))
    last = (rng.random(n) < 0.2).astype(np.uint8)
    last[-1:] = 1
    terminated = last & (rng.random(n) < 0.5)
    following = last[:-1] == 0
    next_values[:-1][following] = values[1:][following]  # the same observation
    return rewards, values, next_values, terminated.astype(np.uint8), last


@pytest.mark.parametrize("n", [1, 2, 7, 64, 257])
def test_each_is_the_sum_of_the_errors_of_values_that_follow_in_its_episode(n):
    given, out = steps(n), np.empty(n)
    advantages(*given, 0.97, 0.9, out)
    np.testing.assert_allclose(out, naive.advantages(*given, 0.97, 0.9), rtol=1e-12, atol=1e-13)


def test_without_decay_it_is_what_the_rewards_to_come_are_more_than_the_value():
    rewards, values, next_values, terminated, last = steps(100)
    out, gamma = np.empty(100), 0.95
    advantages(rewards, values, next_values, terminated, last, gamma, 1.0, out)
    to_come = 0.0
    for t in reversed(range(100)):
        if last[t]:
            to_come = 0.0 if terminated[t] else next_values[t]
        to_come = rewards[t] + gamma * to_come
        assert out[t] == pytest.approx(to_come - values[t], abs=1e-12)


def test_of_complete_decay_the_error_of_the_next_value_is_left():
    rewards, values, next_values, terminated, last = steps(100)
    out = np.empty(100)
    advantages(rewards, values, next_values, terminated, last, 0.9, 0.0, out)
    expected = rewards + 0.9 * np.where(terminated == 1, 0.0, next_values) - values
    np.testing.assert_allclose(out, expected, rtol=1e-14, atol=1e-15)


def test_what_follows_the_end_of_an_episode_is_of_no_effect_on_it():
    given, out, changed = steps(50), np.empty(50), np.empty(50)
    advantages(*given, 0.99, 0.95, out)
    end = int(np.flatnonzero(given[-1])[2])
    given[0][end + 1 :] = 1e6
    advantages(*given, 0.99, 0.95, changed)
    assert changed[: end + 1].tobytes() == out[: end + 1].tobytes()
    assert (changed[end + 1 :] != out[end + 1 :]).all()
