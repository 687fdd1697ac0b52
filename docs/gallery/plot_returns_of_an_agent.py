"""
An agent learns to hold a pole
==============================

`QAgent` learns what each of two pushes is worth, from rewards alone: one for each step for which
the pole stands, 500 at most. This needs Gymnasium.
"""

import matplotlib.pyplot as plt

from nnjit.agents import QAgent
from nnjit.inspection import ReturnDisplay

agent = QAgent(random_state=0).fit("CartPole-v1", n_steps=20_000)
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ReturnDisplay.from_estimator(agent, window=20, ax=ax)
print(f"mean of ten episodes afterwards: {agent.score('CartPole-v1', n_episodes=10):.0f}")
