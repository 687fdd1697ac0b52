"""
Places for categories
=====================

An embedding learns a place in the plane for each category of a column. In these made rents of
bicycles, 18 stations lie in three quarters; a quarter says how much warmth matters. No column tells
the quarters, and the stations of one find each other.
"""

import matplotlib.pyplot as plt
import numpy as np

from nnjit import NetworkRegressor
from nnjit.inspection import EmbeddingDisplay
from nnjit.layers import Dense, Embedding

rng = np.random.default_rng(0)
station = rng.integers(0, 18, 3000)
warmth = rng.normal(size=3000)
quarter = station // 6
level, slope = np.array([3.0, 1.5, 0.5])[quarter], np.array([0.0, 1.0, 2.0])[quarter]
rents = level + slope * np.tanh(warmth) + 0.1 * rng.normal(size=3000)

# %%
# The codes of an embedding's columns come last in a row; code 0 is for categories never seen.

X = np.column_stack([warmth, station + 1])
model = NetworkRegressor(
    [Embedding((19,), dimension=2, rate=5.0), Dense(8)],
    learning_rate_init=0.01, max_iter=300, tol=1e-6, random_state=0,
).fit(X[:2000], rents[:2000])  # fmt: skip
print(f"R^2 on other rows {model.score(X[2000:], rents[2000:]):.3f}")

# %%
# Stations 1 to 6, 7 to 12 and 13 to 18 are the quarters:

fig, ax = plt.subplots(figsize=(6, 5), layout="constrained")
EmbeddingDisplay.from_estimator(model, X, ax=ax)
