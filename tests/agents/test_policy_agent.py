"""PolicyAgent: that its updates are those of the definition, and that it learns."""

import pickle
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from sklearn.exceptions import NotFittedError

sys.path.insert(0, str(Path(__file__).parents[1]))

import naive
from nnjit.agents import PolicyAgent
from nnjit.agents._environment import Environment
from nnjit.agents._spaces import read_space


class Corridor(gymnasium.Env):
    """Places in a row; a step to either side. At the right end there is 1, and it is over."""

    def __init__(self, places=5, breaks_at=None):
        self.observation_space, self.action_space = spaces.Discrete(places), spaces.Discrete(2)
        self.breaks_at, self.taken = breaks_at, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = int(self.np_random.integers(self.observation_space.n - 1)), 0
        return self.place, {}

    def step(self, action):
        self.taken += 1
        if self.taken == self.breaks_at:
            raise OSError("the simulator is gone")
        self.place, self.steps = max(0, self.place + (1 if action else -1)), self.steps + 1
        there = self.place == self.observation_space.n - 1
        return self.place, float(there) - 0.05, there, not there and self.steps >= 20, {}


class Follow(gymnasium.Env):
    """Two numbers are shown; the action should be half their difference, and their sum."""

    def __init__(self, dtype=np.float32):
        self.observation_space = spaces.Box(-1, 1, (2,), dtype)
        bound = np.array([1.0, 4.0], np.float32)
        self.action_space = spaces.Box(-bound, bound)

    def _draw(self):
        self.shown = self.np_random.uniform(-1, 1, 2).astype(self.observation_space.dtype)
        return self.shown

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._draw(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        a, b = map(float, self.shown)
        away = np.array([action[0] - (a - b) / 2, action[1] - (a + b)])
        self.steps += 1
        return self._draw(), -float(away @ away), False, self.steps >= 10, {}


class Constant(gymnasium.Env):
    """A reward of 1 in each of five steps, behind which it is over or only broken off."""

    observation_space, action_space = spaces.Box(-1, 1, (1,)), spaces.Discrete(2)

    def __init__(self, ends):
        self.ends = ends

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.ones(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        over = self.steps == 5
        return np.ones(1, np.float32), 1.0, over and self.ends, over and not self.ends, {}


def small(**parameters):
    given = {"hidden_layer_sizes": (16,), "rollout_size": 128, "learning_rate_init": 0.01}
    return PolicyAgent(**{**given, "random_state": 0, **parameters})


@pytest.fixture(scope="module")
def walker():
    return small().fit(Corridor(), n_steps=3000)


@pytest.fixture(scope="module")
def follower():
    return small(gamma=0.0, rollout_size=256).fit(Follow(), n_steps=5000)


# --- one update ----------------------------------------------------------------------------


def driven(agent, env, n_steps):
    """The agent's learner after steps in an environment, and its networks before."""
    observations, actions = (
        read_space(space, name, ("box", "discrete"), "PolicyAgent")
        for space, name in (
            (env.observation_space, "observation"), (env.action_space, "action"),
        )
    )  # fmt: skip
    dtype = observations.precision
    learner = agent._make_learner(observations, actions, dtype, np.random.RandomState(0))
    learner.last, before = n_steps, learner.parameters()
    environment = Environment(env, observations, actions, dtype)
    over = True
    while learner.steps < n_steps:
        if over:
            row = environment.reset(learner.steps)
            learner.begin(row)
        row, reward, terminated, truncated = environment.step(learner.act(row))
        learner.steps += 1
        learner.take(row, reward, terminated, truncated)
        over = terminated or truncated
    return learner, before


def linear(**parameters):
    """Linear networks, and one step of gradient descent for all of a rollout."""
    return PolicyAgent(
        (), solver="sgd", clip_norm=None, n_epochs=1, batch_size=64, rollout_size=64,
        learning_rate="constant", learning_rate_init=0.1, gamma=0.9, gae_lambda=0.8, **parameters,
    )  # fmt: skip


STEP = 0.1 * 1.9  # the first one of Nesterov's momentum 0.9


def definition(learner, before):
    """Observations, standardized advantages and returns of a rollout of the first networks."""
    rollout, (weights, bias) = learner._rollout, before["critic"]
    values, following = (
        (rows @ weights + bias)[:, 0].astype(float)
        for rows in (rollout.observations, rollout.following)
    )
    last = rollout.last.astype(bool)
    assert last[-1]
    advantages = naive.advantages(
        rollout.rewards, values, following, rollout.terminated.astype(bool), last, 0.9, 0.8
    )
    standardized = (advantages - advantages.mean()) / advantages.std()
    return rollout.observations.astype(float), standardized, advantages + values


def check_moved(before, after, rows, delta, tolerance):
    """That a linear network has moved down the gradient that belongs to these slopes by output."""
    weights, bias = before
    expected = weights - STEP * rows.T @ delta / len(rows), bias - STEP * delta.mean(axis=0)
    for array, one in zip(after, expected, strict=True):
        np.testing.assert_allclose(array, one, atol=tolerance)


@pytest.mark.parametrize("entropy", [0.0, 0.3])
def test_an_update_makes_actions_likelier_by_their_advantages(entropy):
    learner, before = driven(linear(entropy=entropy), Corridor(), 64)
    rows, advantages, _ = definition(learner, before)
    logits = rows @ before[""][0] + before[""][1]
    p, log_p = naive.softmax(logits), naive.log_softmax(logits)
    taken = np.eye(2)[learner._rollout.actions[:, 0].astype(int)]
    spread = -(p * log_p).sum(axis=1, keepdims=True)
    delta = -advantages[:, np.newaxis] * (taken - p) + entropy * p * (log_p + spread)
    check_moved(before[""], learner.parameters()[""], rows, delta, 2e-7)


def test_an_update_moves_means_and_deviations_of_actions_that_are_numbers():
    agent = linear(entropy=0.3, initial_std=0.5)
    learner, before = driven(agent, Follow(np.float64), 64)
    rows, advantages, _ = definition(learner, before)
    mean, log_std = np.split(rows @ before[""][0] + before[""][1], 2, axis=1)
    assert np.abs(log_std - np.log(0.5)).max() < 0.05
    away = (learner._rollout.actions - mean) / np.exp(log_std)
    by_mean, by_log_std = away / np.exp(log_std), away**2 - 1
    delta = -advantages[:, np.newaxis] * np.hstack([by_mean, by_log_std])
    delta[:, 2:] -= 0.3
    check_moved(before[""], learner.parameters()[""], rows, delta, 1e-9)


def test_an_update_moves_the_critic_towards_the_returns_in_their_own_units():
    learner, before = driven(linear(), Follow(np.float64), 64)
    rows, _, returns = definition(learner, before)
    mean, scale = returns.mean(), returns.std()
    assert (learner.standard.mean, learner.standard.scale) == pytest.approx((mean, scale))
    weights, bias = before["critic"]
    same = weights / scale, (bias - mean) / scale
    delta = rows @ same[0] + same[1] - ((returns - mean) / scale)[:, np.newaxis]
    check_moved(same, learner.engines["critic"].unpack(), rows, delta, 1e-12)


def test_in_other_units_the_critic_says_the_same():
    learner, _ = driven(small(), Follow(np.float64), 256)
    rows = learner._rollout.observations
    before, mean = learner._values(rows), learner.standard.mean
    learner._set_returns(np.random.default_rng(0).normal(40.0, 7.0, 128))
    assert learner.standard.mean > mean + 10
    np.testing.assert_allclose(learner._values(rows), before, atol=1e-10)


def test_the_critics_fitted_weights_give_values_in_units_of_the_rewards():
    learner, _ = driven(small(hidden_layer_sizes=()), Follow(np.float64), 256)
    rows, fitted = learner._rollout.observations, learner.parameters()
    weights, bias = fitted["critic"]
    values = learner._values(rows)
    np.testing.assert_allclose((rows @ weights + bias)[:, 0], values, atol=1e-12)
    learner.engines["critic"].pack([np.zeros_like(weights), np.zeros_like(bias)])
    learner.load_parameters(fitted)
    np.testing.assert_allclose(learner._values(rows), values, atol=1e-12)


def test_running_mean_and_deviation_are_those_of_all_numbers():
    learner, _ = driven(small(), Constant(ends=True), 1)
    parts = np.split(np.random.default_rng(1).normal(3.0, 2.0, 60), [7, 8, 40])
    learner.standard.__init__()
    for part in parts:
        learner.standard.add(part)
    numbers = np.concatenate(parts)
    found = learner.standard.mean, learner.standard.scale
    assert found == pytest.approx((numbers.mean(), numbers.std()))
    learner.standard.__init__()
    learner.standard.add(np.full(5, 2.5))
    assert learner.standard.scale == 1.0


def test_the_learning_rate_falls_to_the_last_rollout():
    rates = {}
    for schedule in ("linear", "constant"):
        learner, _ = driven(small(learning_rate=schedule), Corridor(), 512)
        rates[schedule] = [optimizer.learning_rate for optimizer in learner._optimizers]
    assert rates == {"linear": [pytest.approx(0.0025)] * 2, "constant": [0.01] * 2}


# --- learning ------------------------------------------------------------------------------


def test_it_learns_to_walk_to_the_reward(walker):
    assert walker.score(Corridor(), 20, random_state=0) > 0.85
    assert walker.predict([0, 1, 2, 3]).tolist() == [1, 1, 1, 1]
    assert all(walker.act(place) == 1 for place in range(4))
    assert np.mean(walker.returns_[-20:]) > np.mean(walker.returns_[:20])
    assert sum(walker.lengths_) <= walker.n_steps_ == 3000


def test_its_probabilities_are_those_of_the_softmax(walker):
    found = walker.predict_proba([0, 1, 2, 3])
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-6)
    assert (found[:, 1] > 0.8).all() and (found < 1).all()


def test_its_values_are_the_rewards_to_come(walker):
    """At the last place but one a step to the right gives 0.95, and before it 0.05 less."""
    assert walker.predict_values([3, 2, 1]) == pytest.approx([0.95, 0.89, 0.83], abs=0.1)


def test_it_learns_numbers_within_the_bounds_of_a_box(follower):
    assert follower.score(Follow(), 20, random_state=0) > -0.1  # of ten steps
    shown = np.array([[0.5, -0.5], [0.2, 0.7], [1.0, 1.0]], np.float32)
    a, b = shown.T
    found = follower.predict(shown)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.c_[(a - b) / 2, a + b], atol=0.1)
    np.testing.assert_allclose(follower.act(shown[0]), found[0], rtol=1e-5)
    with pytest.raises(ValueError, match="predict_proba needs discrete actions"):
        follower.predict_proba(shown)


def test_what_was_only_broken_off_would_have_gone_on():
    """The value of a reward of 1 for ever, and of five of them, on the average of the steps."""
    values = [
        small(gamma=0.8, gae_lambda=1.0).fit(Constant(ends), 4000).predict_values([[1.0]])[0]
        for ends in (False, True)
    ]
    of_five = np.mean([sum(0.8**k for k in range(left)) for left in range(1, 6)])
    assert values == pytest.approx([1 / (1 - 0.8), of_five], rel=0.1)


@pytest.mark.parametrize("clip_ratio", [None, 0.05])
def test_without_clipping_and_with_little_it_learns_too(clip_ratio):
    agent = small(clip_ratio=clip_ratio, n_epochs=4, entropy=0.01).fit(Corridor(), 3000)
    assert agent.score(Corridor(), 20, random_state=0) > 0.8


def test_a_seed_gives_the_same_bits_and_another_one_others(walker):
    again, other = small().fit(Corridor(), 3000), small(random_state=1).fit(Corridor(), 3000)
    for name in ("coefs_", "intercepts_", "critic_coefs_", "critic_intercepts_"):
        for array, one in zip(getattr(again, name), getattr(walker, name), strict=True):
            assert array.tobytes() == one.tobytes()
    assert again.returns_ == walker.returns_ != other.returns_


def test_observations_in_float64_are_learned_from_in_float64():
    agent = small().fit(Follow(np.float64), 300)
    assert {array.dtype for array in agent.coefs_} == {np.dtype(np.float64)}
    assert agent.predict_values(np.zeros((2, 2))).dtype == np.float64


def test_fewer_steps_than_a_rollout_are_learned_from_at_the_end():
    start, agent = small(rollout_size=64), small(rollout_size=4096)
    start.fit(Corridor(), 1), agent.fit(Corridor(), 100)
    assert agent.n_steps_ == 100
    assert not np.array_equal(agent.coefs_[0], start.coefs_[0])
    assert agent.predict_values([0]) != start.predict_values([0])


# --- what is refused, cut off, kept -----------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"gae_lambda": 1.5}, "'gae_lambda' parameter"),
        ({"clip_ratio": 0.0}, "'clip_ratio' parameter"),
        ({"rollout_size": 0}, "'rollout_size' parameter"),
        ({"n_epochs": 2.5}, "'n_epochs' parameter"),
        ({"entropy": -0.1}, "'entropy' parameter"),
        ({"initial_std": 0.0}, "'initial_std' parameter"),
    ],
)
def test_bad_parameters_are_refused_by_name(parameters, message):
    agent = small(**parameters)
    with pytest.raises(ValueError, match=message):
        agent.fit(Corridor(), 10)
    assert not hasattr(agent, "coefs_")


def test_actions_that_are_neither_one_of_some_nor_a_box_are_refused():
    env = Corridor()
    env.action_space = spaces.MultiBinary(3)
    agent = small()
    with pytest.raises(ValueError, match=r"spaces.Discrete or gymnasium.spaces.Box, got MultiBin"):
        agent.fit(env, 10)
    assert not hasattr(agent, "coefs_")


def test_an_agent_that_has_learned_nothing_says_so():
    for method in ("predict", "predict_proba", "predict_values", "act"):
        with pytest.raises(NotFittedError):
            getattr(small(), method)([0])


def test_an_environment_that_raises_leaves_what_was_learned_and_a_warm_start_goes_on():
    agent = small(warm_start=True)
    with pytest.raises(RuntimeError, match="the simulator is gone"):
        agent.fit(Corridor(breaks_at=700), 3000)
    assert agent.n_steps_ == 699
    agent.predict([0, 1])
    agent.fit(Corridor(), 2500)
    assert agent.n_steps_ == 3199
    assert agent.score(Corridor(), 20, random_state=0) > 0.8


def test_a_rate_far_too_high_is_an_error_with_advice_and_the_agent_stays_usable():
    agent = small(learning_rate_init=1e30)
    with pytest.raises(ValueError, match=r"not finite in step 128.*lower learning_rate_init"):
        agent.fit(Corridor(), 1000)
    assert agent.n_steps_ == 128
    assert agent.predict([0, 1]).shape == (2,)


def test_a_pickle_goes_on_without_its_last_rollout(walker):
    agent = pickle.loads(pickle.dumps(walker)).set_params(warm_start=True)
    assert agent.predict([0, 1]).tolist() == [1, 1]
    agent.fit(Corridor(), 200)
    assert agent.n_steps_ == 3200
    assert agent._learned["learner"]["solvers"]["actor"]["steps"] > 0


def test_the_networks_behind_the_best_episodes_can_be_kept():
    agent = small(restore_best=True).fit(Corridor(), 1500)
    assert agent.score(Corridor(), 20, random_state=0) > 0.8
    assert agent.predict_values([3, 2]) == pytest.approx([0.95, 0.89], abs=0.2)


def test_a_warm_start_takes_a_rollout_of_another_size(walker):
    agent = pickle.loads(pickle.dumps(walker)).set_params(warm_start=True, rollout_size=50)
    assert agent.fit(Corridor(), 120).n_steps_ == 3120


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hidden_layer_sizes": (8,)}, "warm_start cannot go on"),
        ({"solver": "sgd"}, "another network or solver"),
    ],
)
def test_a_warm_start_with_other_networks_or_another_solver_is_refused(walker, changed, message):
    agent = pickle.loads(pickle.dumps(walker)).set_params(warm_start=True, **changed)
    with pytest.raises(ValueError, match=message):
        agent.fit(Corridor(), 10)
    assert agent.n_steps_ == 3000
    assert agent.coefs_[0].tobytes() == walker.coefs_[0].tobytes()


def test_a_fit_cut_off_goes_on_from_its_checkpoint_to_the_same_bits(tmp_path):
    whole = small().fit(Corridor(), 1500)
    agent = small(checkpoint=str(tmp_path / "agent"), checkpoint_interval=7)
    with pytest.raises(RuntimeError):
        agent.fit(Corridor(breaks_at=900), 1500)
    agent.fit(Corridor(), 1500)
    assert agent.returns_ == whole.returns_
    for array, one in zip(agent.coefs_ + agent.critic_coefs_, whole.coefs_ + whole.critic_coefs_):
        assert array.tobytes() == one.tobytes()


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        ("memory", "count", 128),
        ("memory", "count", -1),
        ("memory", "actions", np.full((128, 1), 2.0, np.float32)),
        ("memory", "actions", np.full((128, 1), 0.5, np.float32)),
        ("values", "squares", -1.0),
    ],
)
def test_a_state_that_there_cannot_be_is_refused_before_anything_is_loaded(place, name, value):
    learner, _ = driven(small(), Corridor(), 200)
    state = learner.state()
    state[place][name] = value
    state["solvers"]["actor"]["steps"] = 7
    with pytest.raises(ValueError):
        learner.load_state(state)
    assert learner._optimizers[0].t != 7
    assert learner._rollout.count == 0


# --- Gymnasium's own -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "bar", "seeds"),
    [("CartPole-v1", 475, range(5)), ("Acrobot-v1", -100, [0]), ("Pendulum-v1", -200, [0])],
)
def test_gymnasiums_tasks_are_solved_within_100_000_steps(name, bar, seeds):
    scores = [
        PolicyAgent(random_state=seed).fit(name, 100_000).score(name, 100, random_state=seed)
        for seed in seeds
    ]
    assert min(scores) >= bar
