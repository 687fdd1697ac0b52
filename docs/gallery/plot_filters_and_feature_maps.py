"""
Filters, feature maps and what decided
======================================

A convolutional network on scikit-learn's digits: the filters that it has learned, what they make
of one digit, and which of its points speak for the class.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from nnjit import ConvClassifier
from nnjit.inspection import FeatureMapDisplay, FilterDisplay, NetworkDisplay, RelevanceDisplay

warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is given
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
model = ConvClassifier((8, 16), input_shape=(1, 8, 8), max_iter=40, random_state=0)
model.fit(X_train, y_train)
print(f"test accuracy {model.score(X_test, y_test):.3f}")

# %%
# The network, layer by layer:

fig, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
NetworkDisplay.from_estimator(model, ax=ax)

# %%
# The filters of the first layer, and what they make of the first digit of the test:

FilterDisplay.from_estimator(model)
FeatureMapDisplay.from_estimator(model, X_test[0])

# %%
# Where a patch that is covered changes the answer most:

RelevanceDisplay.from_estimator(model, X_test[0])
