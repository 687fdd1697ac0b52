"""
Where gradients vanish
======================

How large the gradients of each layer's weights are says whether a deep network learns at all. Six
layers of logistic units pass next to nothing on to the first; of ReLU units enough; with a
normalization in each layer all get much the same.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from nnjit import MLPClassifier
from nnjit.inspection import GradientFlowDisplay

warnings.simplefilter("ignore", ConvergenceWarning)  # after two epochs
X, y = load_digits(return_X_y=True)


def draw_flow(title, **options):
    model = MLPClassifier((32,) * 6, max_iter=2, random_state=0, **options).fit(X / 16, y)
    fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
    GradientFlowDisplay.from_estimator(model, X / 16, y, ax=ax)
    ax.set(title=title, ylim=(1e-7, 10))


draw_flow("logistic units", activation="logistic")

# %%

draw_flow("ReLU units")

# %%

draw_flow("normalized ReLU units", normalization="batch")
