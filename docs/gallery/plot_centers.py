"""
Centres among the rows
======================

A radial-basis-function network knows rows by how near they are to its centres. On two moons the
circles show where they lie and how wide they are, and the colours what the network makes of them.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons
from sklearn.inspection import DecisionBoundaryDisplay

from nnjit import RBFClassifier
from nnjit.inspection import CentersDisplay

X, y = make_moons(300, noise=0.15, random_state=0)
fig, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
for train, ax in zip(("output", "all"), axes):
    model = RBFClassifier(5, train=train, solver="lbfgs", alpha=1e-3, max_iter=500, random_state=0)
    model.fit(X, y)
    DecisionBoundaryDisplay.from_estimator(
        model, X, response_method="predict_proba", cmap="RdBu_r", alpha=0.4, ax=ax
    )
    CentersDisplay.from_estimator(model, X, y, ax=ax)
    ax.set_title(f"train={train!r}: accuracy {model.score(X, y):.3f}")

# %%
# With ``train='output'`` the centres stay where k-means has put them, and only the weights behind
# them are solved for; with ``train='all'`` places and widths are learned as well.
