"""
The same numbers as scikit-learn
================================

From the same `random_state` both libraries draw the same weights and shuffle the rows the same
way, so that their loss curves lie on each other. The rows are scikit-learn's digits.
"""

import warnings

import matplotlib.pyplot as plt
import sklearn.neural_network
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

import nnjit
from nnjit.inspection import LossCurveDisplay, WeightsDisplay

warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is given
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)

parameters = {
    "hidden_layer_sizes": (20,),
    "activation": "logistic",
    "alpha": 0.05,
    "learning_rate_init": 0.01,
    "max_iter": 100,
    "n_iter_no_change": 100,
    "random_state": 0,
}
theirs = sklearn.neural_network.MLPClassifier(**parameters).fit(X_train, y_train)
ours = nnjit.MLPClassifier(**parameters).fit(X_train, y_train)

# %%
# The curves, scikit-learn's wide and pale below ours:

fig, ax = plt.subplots()
for model, name, style in (
    (theirs, "scikit-learn", {"lw": 6, "alpha": 0.4}),
    (ours, "nnjit", {"lw": 1.6, "color": "black"}),
):
    label = f"{name}, test accuracy {model.score(X_test, y_test):.4f}"
    display = LossCurveDisplay.from_estimator(model, ax=ax, name=label)
    plt.setp(display.lines_, **style)
ax.legend()

# %%
# What each hidden unit looks at: its weights, as an image of the digit's size.

WeightsDisplay.from_estimator(ours, image_shape=(8, 8))
