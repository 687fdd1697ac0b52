"""
A map of wines
==============

A self-organizing map lays 178 wines of 13 measurements out on a grid, like ones beside each other.
It is not told the three cultivars; they come to lie in three regions.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine
from sklearn.preprocessing import scale

from nnjit import SelfOrganizingMap
from nnjit.inspection import SOMDisplay

wine = load_wine()
X = scale(wine.data)
som = SelfOrganizingMap((9, 7)).fit(X)
print(f"quantization error {som.quantization_error_:.2f}")

# %%
# How far each unit is from its neighbours: light ridges part the regions of the map.

fig, ax = plt.subplots(figsize=(6, 5.5), layout="constrained")
SOMDisplay.from_estimator(som, ax=ax)

# %%
# The wines on the map, by cultivar:

fig, ax = plt.subplots(figsize=(6, 5.5), layout="constrained")
SOMDisplay.from_estimator(som, X, wine.target, kind="hits", ax=ax)

# %%
# And what lies where, for each measurement:

fig, ax = plt.subplots(figsize=(9, 8), layout="constrained")
SOMDisplay.from_estimator(som, kind="planes", feature_names=wine.feature_names, ax=ax)
