"""
Intervals that a network predicts
=================================

With several quantiles a network tells how sure it is: here the spread of y grows with x. The
quantiles cannot cross, and two of them make an interval.
"""

import matplotlib.pyplot as plt
import numpy as np

from nnjit import MLPRegressor

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(0, 6, 800))
y = np.sin(x) + rng.normal(size=800) * (0.05 + 0.12 * x)
X = x[:, np.newaxis]

model = MLPRegressor(
    "quantile", (30, 30), quantile=[0.05, 0.5, 0.95], learning_rate_init=0.01, max_iter=400,
    tol=1e-5, random_state=0,
).fit(X, y)  # fmt: skip

low, high = model.predict_interval(X, 0.9).T
inside = np.mean((low <= y) & (y <= high))
fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.fill_between(x, low, high, alpha=0.25, lw=0, label=f"90 % interval ({inside:.0%} inside)")
ax.plot(x, model.predict(X)[:, 1], lw=2, label="median")
ax.plot(x, y, ".", ms=3, color="0.3")
ax.legend(loc="upper left")
