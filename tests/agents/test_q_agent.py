"""QAgent: its memory, its targets, and what it learns, where that can be worked out."""

import numpy as np
import pytest
from small_environments import Constant, Corridor

from nnjit.agents import QAgent
from nnjit.agents._memory import Memory

SMALL = {"hidden_layer_sizes": (16,), "learning_starts": 64, "epsilon_steps": 400}


def episode(memory, lengths, gamma, n, terminated, start=0.0):
    """Enter episodes of these lengths into a memory; return the transitions by the definition."""
    expected, number = [], start
    for length in lengths:
        observations = number + np.arange(length + 1)
        rewards = observations[:-1] * 0.1 + 1
        for k in range(length):
            memory.begin(np.array([observations[k]]), k % 2)
            over = k == length - 1
            memory.complete(np.array([observations[k + 1]]), rewards[k], terminated and over, over)
            steps = min(n, length - k)
            total = sum(gamma**j * rewards[k + j] for j in range(steps))
            ends = terminated and k + steps == length
            expected.append(
                (
                    observations[k],
                    k % 2,
                    total,
                    observations[k + steps],
                    0 if ends else gamma**steps,
                )
            )
        number += length + 1
    return expected


@pytest.mark.parametrize("terminated", [True, False])
@pytest.mark.parametrize("n", [1, 3, 6])
def test_a_transition_has_the_rewards_of_n_steps_or_of_those_to_the_end(n, terminated):
    memory = Memory(40, 1, 2, np.dtype(float), 0.9, n)
    lengths = [5, 1, 2, 7]
    expected = episode(memory, lengths, 0.9, n, terminated)
    assert memory.ready == sum(lengths)
    held = list(zip(memory.observations[:, 0], memory.actions, memory.rewards,
                    memory.following[:, 0], memory.discounts))  # fmt: skip
    np.testing.assert_allclose(held[: memory.ready], expected)


def test_the_oldest_transitions_are_written_over_and_all_others_are_drawn():
    memory, rng = Memory(10, 1, 2, np.dtype(float), 0.9, 2), np.random.RandomState(0)
    expected = episode(memory, [7, 6, 4], 0.9, 2, True)
    memory.begin(np.array([99.0]), 1)  # not complete: cannot be drawn
    assert memory.ready == 9
    drawn = memory.observations[memory.draw(500, rng), 0]
    assert set(drawn) == {one[0] for one in expected[-9:]}
    memory.cut()
    assert memory.ready == 9
    assert 99.0 not in memory.observations[memory.draw(500, rng), 0]


def test_what_actions_are_worth_is_learned():
    gamma, options = 0.8, {"n_step": 1, "epsilon_end": 0.3, "learning_rate_init": 0.003}
    agent = QAgent(gamma=gamma, random_state=0, **options, **SMALL).fit(Corridor(), 5000)
    values = agent._outputs(np.eye(5)[:4])
    forward = gamma ** np.arange(3, -1, -1.0)  # 1 for the last step
    backward = gamma * np.append(forward[0], forward[:-1])
    np.testing.assert_allclose(values, np.column_stack([backward, forward]), atol=0.05)
    assert agent.predict(np.eye(5)[:4]).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "terminates, options, value",
    [(True, {}, 1.0), (False, {}, 2.0), (False, {"n_step": 1, "double": False}, 2.0)],
)
def test_an_episode_that_is_broken_off_would_have_gone_on(terminates, options, value):
    """A reward of 1 for ever is worth 1 / (1 - gamma); where the episode ends it is 1."""
    agent = QAgent(gamma=0.5, random_state=0, learning_rate_init=0.01, **SMALL, **options)
    agent.fit(Constant(terminates), 3000)
    np.testing.assert_allclose(agent._outputs([[1.0]]), value, atol=0.05)


@pytest.mark.parametrize("double", [True, False])
def test_targets_are_those_of_the_definition(double):
    agent = QAgent(random_state=0, double=double, n_step=2, gamma=0.9, batch_size=4, n_updates=3)
    env = Corridor()
    learner = learner_of(agent, env)
    row = np.eye(5, dtype=np.float32)
    for at, action, reward, over in [(0, 1, 0.5, False), (1, 1, 1.0, False), (2, 0, -1.0, True)]:
        learner._memory.begin(row[at], action)
        learner._memory.complete(row[at + 1], reward, over, over)
    rng = np.random.RandomState(1)
    learner._target.pack([rng.normal(size=a.shape) for a in learner._target.unpack()])
    places = np.array([0, 1, 2] * 4)
    learner._fill(places)
    q, target = (e.predict(row) for e in (learner._engine, learner._target))
    best = (q if double else target).argmax(axis=1)
    expected = np.full((3, 2), np.nan)
    expected[0, 1] = 0.5 + 0.9 * 1.0 + 0.9**2 * target[2, best[2]]
    expected[1, 1] = 1.0 - 0.9  # terminated two steps on
    expected[2, 0] = -1.0
    np.testing.assert_allclose(learner._targets, np.tile(expected, (4, 1)), rtol=1e-5)
    np.testing.assert_array_equal(learner._rows, row[places])


def learner_of(agent, env):
    """A new learner for an environment."""
    observations, actions = agent._spaces_of(env)
    dtype, agent._random_state = observations.precision, np.random.RandomState(0)
    return agent._make_learner(observations, actions, dtype, agent._random_state)


def test_epsilon_falls_in_a_straight_line():
    agent = QAgent(epsilon_start=0.8, epsilon_end=0.2, epsilon_steps=100)
    learner, found = learner_of(agent, Corridor()), []
    for learner.steps in (0, 50, 100, 1000):
        found.append(learner._epsilon())
    np.testing.assert_allclose(found, [0.8, 0.5, 0.2, 0.2])


def test_all_actions_are_drawn_alike_with_epsilon_1():
    learner = learner_of(QAgent(epsilon_end=1.0, memory_size=10), Corridor())
    drawn = [learner.act(np.zeros(5, np.float32)) for _ in range(4000)]
    assert abs(np.mean(drawn) - 0.5) < 0.03


def test_the_target_network_is_copied_after_so_many_updates_or_moved_by_a_share():
    def differences(target_update):
        """Weights of the two networks, before and after each round of two updates."""
        agent = QAgent(target_update=target_update, batch_size=4, n_updates=2, n_step=1)
        learner, row = learner_of(agent, Corridor()), np.eye(5, dtype=np.float32)
        for k in range(4):
            learner._memory.begin(row[k], 1)
            learner._memory.complete(row[k + 1], 1.0, False, False)
        for _ in range(3):
            before = learner._target.unpack()[0]
            learner._update()
            yield before, learner._target.unpack()[0], learner._engine.unpack()[0]

    moved = [np.array_equal(after, now) for _, after, now in differences(4)]
    assert moved == [False, True, False]
    for before, after, now in differences(0.25):
        np.testing.assert_allclose(after, before + 0.25 * (now - before), rtol=1e-6)


def test_the_learning_rate_falls_over_the_steps_of_the_fit():
    rates = []

    class Watching(QAgent):
        def _make_learner(self, *given):
            learner = super()._make_learner(*given)
            update = learner._update

            def watched():
                update()
                rates.append((learner.steps, learner._optimizer.learning_rate))

            learner._update = watched
            return learner

    Watching(learning_rate_init=0.01, random_state=0, **SMALL).fit(Corridor(), 640)
    for steps, rate in rates:
        assert rate == pytest.approx(0.01 * (1 - steps / 640))


def test_some_steps_in_cart_pole_are_better_than_none():
    agent = QAgent(random_state=0).fit("CartPole-v1", 6000)
    assert agent.score("CartPole-v1", 5, random_state=0) > 60  # at random it is 22


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_cart_pole_is_solved(seed):
    agent = QAgent(random_state=seed).fit("CartPole-v1", 100_000)
    assert agent.score("CartPole-v1", 100, random_state=seed) >= 475


@pytest.mark.slow
def test_acrobot_is_solved():
    agent = QAgent(random_state=0).fit("Acrobot-v1", 100_000)
    assert agent.score("Acrobot-v1", 100, random_state=0) >= -100
