"""Draw the README's picture: `python docs/digits.py` writes docs/digits.png.

The same network on scikit-learn's digits by both libraries, and what its first layer looks at.
"""

import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import sklearn.neural_network
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

import nnjit
from nnjit.inspection import LossCurveDisplay, WeightsDisplay

PARAMETERS = {
    "hidden_layer_sizes": (20,),
    "activation": "logistic",
    "alpha": 0.05,
    "learning_rate_init": 0.01,
    "max_iter": 100,
    "n_iter_no_change": 100,
    "random_state": 0,
}


def main():
    plt.switch_backend("Agg")
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is given
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9.6, 3.5), width_ratios=[1.0, 1.1], layout="constrained"
    )
    styles = {"scikit-learn": {"lw": 6, "alpha": 0.45}, "nnjit": {"lw": 1.6, "color": "black"}}
    for name, library in (("scikit-learn", sklearn.neural_network), ("nnjit", nnjit)):
        network = library.MLPClassifier(**PARAMETERS).fit(X_train, y_train)
        label = f"{name}, test accuracy {network.score(X_test, y_test):.4f}"
        display = LossCurveDisplay.from_estimator(network, ax=left, name=label)
        plt.setp(display.lines_, **styles[name])
    left.legend()
    left.set_title("digits, 64-20-10: the same numbers")
    WeightsDisplay.from_estimator(network, image_shape=(8, 8), ax=right)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
