"""
What a recurrent network remembers
==================================

Each series begins with a pulse, up or down, and goes on as noise. The class is the pulse's sign, so
that a network of gated units has to keep it until the end.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from nnjit import RecurrentClassifier
from nnjit.inspection import GradientOverTimeDisplay, StateDisplay

warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is given
rng = np.random.default_rng(0)
y = rng.integers(0, 2, 600)
X = 0.3 * rng.normal(size=(600, 40))
X[:, 2:5] += np.where(y, 2.0, -2.0)[:, np.newaxis]

model = RecurrentClassifier(8, max_iter=60, learning_rate_init=0.01, random_state=0)
model.fit(X[:400], y[:400])
print(f"accuracy on other series {model.score(X[400:], y[400:]):.3f}")

# %%
# The states, point by point, of a series that began upwards and of one that began downwards. They
# are nearly each other's mirror image: what the pulse has set off goes on by itself, and the noise
# does little to it.

for case in (np.argmax(y == 1), np.argmax(y == 0)):
    fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    StateDisplay.from_estimator(model, X, case=case, ax=ax)

# %%
# How much of the loss's gradient comes back from the end to each point of time:

fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
GradientOverTimeDisplay.from_estimator(model, X[400:], y[400:], ax=ax)
