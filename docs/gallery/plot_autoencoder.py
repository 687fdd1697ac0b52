"""
Digits through two numbers
==========================

An autoencoder gives back its own rows through a code that is much smaller than they are. With two
numbers the code is a plane to look at; with sixteen the digits come back well; and a row that comes
back badly is an outlier.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from nnjit import AutoEncoder

X, y = load_digits(return_X_y=True)
X = X / 16

# %%
# The plane, coloured by digit; the network was not told which is which:

plane = AutoEncoder(2, (64, 32), max_iter=150, random_state=0).fit(X)
code = plane.transform(X)
fig, ax = plt.subplots(figsize=(6, 5), layout="constrained")
points = ax.scatter(*code.T, c=y, cmap="tab10", s=8)
ax.legend(*points.legend_elements(), title="digit", loc="center left", bbox_to_anchor=(1, 0.5))
ax.set(xlabel="code 0", ylabel="code 1")

# %%
# Ten digits, and how they come back through 2 and through 16 numbers:

wider = AutoEncoder(16, (64,), max_iter=100, random_state=0).fit(X)
rows = [X[:10], plane.reconstruct(X[:10]), wider.reconstruct(X[:10])]
fig, axes = plt.subplots(3, 10, figsize=(9, 3), layout="constrained")
for images, line, name in zip(rows, axes, ("given", "2 numbers", "16 numbers")):
    line[0].set_ylabel(name)
    for image, ax in zip(images, line):
        ax.imshow(image.reshape(8, 8), cmap="gray_r")
        ax.set(xticks=[], yticks=[])

# %%
# The digits that come back worst:

error = np.mean((wider.reconstruct(X) - X) ** 2, axis=1)
fig, axes = plt.subplots(1, 8, figsize=(9, 1.6), layout="constrained")
for row, ax in zip(np.argsort(error)[:-9:-1], axes):
    ax.imshow(X[row].reshape(8, 8), cmap="gray_r")
    ax.set(xticks=[], yticks=[], title=f"a {y[row]}")
