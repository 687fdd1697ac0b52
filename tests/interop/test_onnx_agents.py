"""What agents do as ONNX models."""

import numpy as np
import pytest
from onnx_runs import Session, close

from nnjit.agents import PolicyAgent, QAgent
from nnjit.interop import to_onnx

pytest.importorskip("gymnasium", reason="agents need pip install 'nnjit[agents]'")


@pytest.mark.parametrize(
    "agent, environment",
    [
        (QAgent(random_state=0), "CartPole-v1"),
        (PolicyAgent(random_state=0), "CartPole-v1"),
        (PolicyAgent(random_state=0), "Pendulum-v1"),
        (PolicyAgent(random_state=0), "FrozenLake-v1"),
    ],
)
def test_an_agent_takes_the_same_actions(agent, environment):
    agent.fit(environment, n_steps=200)
    if agent.observation_space_.kind == "box":
        observations = np.random.default_rng(0).normal(size=(40, agent.n_features_in_))
        observations = rows = observations.astype(np.float32)
    else:  # a number, of which one of so many columns is 1
        observations = np.arange(agent.n_features_in_)
        rows = np.eye(agent.n_features_in_)
    session = Session(to_onnx(agent))
    found, expected = session(rows)["action"], agent.predict(observations)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    close(found, expected, np.float32)
    outputs = Session(to_onnx(agent, output="outputs"))(rows)["outputs"]
    assert outputs.shape == (len(rows), agent.n_outputs_)
