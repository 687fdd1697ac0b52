"""What agents do in C."""

import numpy as np
import pytest
from compiled_models import compiled

from nnjit.agents import PolicyAgent, QAgent

pytest.importorskip("gymnasium", reason="agents need pip install 'nnjit[agents]'")


def test_agents_take_the_same_actions(tmp_path):
    agents = {"q": (QAgent, "CartPole-v1"), "policy": (PolicyAgent, "CartPole-v1")}
    agents |= {"lake": (PolicyAgent, "FrozenLake-v1"), "pendulum": (PolicyAgent, "Pendulum-v1")}
    agents = {
        name: kind(random_state=0).fit(environment, n_steps=200)
        for name, (kind, environment) in agents.items()
    }
    for name, one in compiled(tmp_path, agents).items():
        agent = agents[name]
        rows = observations = 3 * np.random.default_rng(0).normal(size=(40, agent.n_features_in_))
        if agent.observation_space_.kind == "discrete":  # a number, whose column is 1
            observations, rows = np.arange(agent.n_features_in_), np.eye(agent.n_features_in_)
        actions = agent.predict(observations.astype(one.dtype if name != "lake" else int))
        if agent.action_space_.kind == "discrete":
            assert (one.number(rows) + agent.action_space_.start == actions).all()
        else:
            np.testing.assert_allclose(one.predict(rows), actions, rtol=1e-5, atol=1e-6)
