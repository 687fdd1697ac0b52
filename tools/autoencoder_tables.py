"""Autoencoders beside PCA and as detectors: docs/guide/without_labels.md's two tables, five seeds.

    python tools/autoencoder_tables.py transformer --data FOLDER
    python tools/autoencoder_tables.py detector --data FOLDER

FOLDER holds `mnist.npz` and `covertype_93k.npz` (arrays X and y), and for the detector also
`satellite.npz`, `shuttle.npz` and `ionosphere.npz`, made of the R package mlbench's tables of these
names (y holds their labels). A set whose file is missing is left out; digits, wbc and wine come
with scikit-learn.

transformer
    On rows not trained on: the part of the variance that is lost on the way through the code, and
    the accuracy of two classifiers that see nothing but the code: logistic regression, and the five
    nearest neighbours. PCA has as many components as the code has units. Each seed draws its own
    split, 10,000 or 20,000 rows to train on where there are so many, and its own first weights.

detector
    The area under the ROC curve, fitted without labels on the rows it is measured on, as the ODDS
    collection has it: which class is the outlier, and how many of its rows are kept, is in `ODDS`
    below. Features are standardized. PCA reconstructs from half as many components as there are
    features. Each seed draws the outliers that are kept and the detector's own random numbers.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnjit import AutoEncoder

N_SEEDS = 5

# Outlier class, classes left out, outliers kept (None: all).
ODDS = {
    "ionosphere": ("bad", (), None),
    "wbc": (0, (), 21),
    "wine": (0, (), 10),
    "digits": (0, (), 50),
    "satimage-2": ("cotton crop", (), 71),
    "mnist": (6, (), 700),
    "cover": (4, (), None),
    "shuttle": (None, ("High",), None),
}


def stored(folder, name):
    """X and y of a file, or None where it is missing."""
    path = folder / f"{name}.npz" if folder else None
    if path is None or not path.exists():
        return None
    with np.load(path, allow_pickle=False) as data:
        return data["X"].astype(np.float64), data["y"]


def mean_and_error(values):
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / np.sqrt(len(values)):.3f}"


# --- transformer


def transformer_sets(folder):
    """Name, X, y, most rows to train on, the sizes of codes, hidden layers."""
    X, y = load_digits(return_X_y=True)
    yield "digits", X / 16, y, 20_000, (2, 8), (64,)
    if (found := stored(folder, "mnist")) is not None:
        X, y = found
        yield "MNIST", X / 255, y, 10_000, (2, 16), (128,)
    if (found := stored(folder, "covertype_93k")) is not None:
        X, y = found
        X[:, :10] = StandardScaler().fit_transform(X[:, :10])  # the others are 0 or 1
        yield "covertype", X, y, 20_000, (2, 8), (64,)


def split(X, y, most, seed):
    """Three quarters of the rows, at most `most`, and at most as many others."""
    rows = min(most, 3 * len(X) // 4)
    return train_test_split(
        X, y, train_size=rows, test_size=min(rows, len(X) - rows), stratify=y, random_state=seed
    )


def lost(X, reconstructed, mean):
    """The part of the variance that the reconstruction lacks."""
    return np.square(X - reconstructed).sum() / np.square(X - mean).sum()


def accuracies(code, y, code_test, y_test):
    for classifier in (LogisticRegression(max_iter=1000), KNeighborsClassifier(5)):
        model = make_pipeline(StandardScaler(), classifier).fit(code, y)
        yield model.score(code_test, y_test)


def measure(model, X, X_test, y, y_test):
    """The part lost, two accuracies, and the seconds of the fit."""
    start = time.perf_counter()
    code = model.fit(X).transform(X)
    seconds = time.perf_counter() - start
    code_test = model.transform(X_test)
    part = lost(X_test, model.inverse_transform(code_test), X.mean(axis=0))
    return [part, *accuracies(code, y, code_test, y_test), seconds]


def transformer(folder):
    columns = "variance lost", "logistic regression", "5 neighbours", "seconds"
    print(f"| data, units of the code | | {' | '.join(columns)} |")
    print("|---|---|--:|--:|--:|--:|", flush=True)
    for name, X, y, most, sizes, hidden in transformer_sets(folder):
        X = X.astype(np.float32)
        for size in sizes:
            found = {"PCA": [], "AutoEncoder": []}
            for seed in range(N_SEEDS):
                train, test, y_train, y_test = split(X, y, most, seed)
                models = (
                    PCA(size, random_state=seed),
                    AutoEncoder(size, hidden, random_state=seed),
                )
                for kind, model in zip(found, models):
                    found[kind].append(measure(model, train, test, y_train, y_test))
            for kind, rows in found.items():
                *scores, seconds = zip(*rows)
                cells = " | ".join(map(mean_and_error, scores))
                row = f"{name}, {size} | {kind} | {cells} | {np.median(seconds):.2g}"
                print(f"| {row} |", flush=True)


# --- detector


def detector_sets(folder):
    """Name, X and y as the ODDS rules find them."""
    if (found := stored(folder, "ionosphere")) is not None:
        X, y = found
        yield "ionosphere", X[:, X.std(axis=0) > 0], y
    yield "wbc", *load_breast_cancer(return_X_y=True)
    yield "wine", *load_wine(return_X_y=True)
    yield "digits", *load_digits(return_X_y=True)
    if (found := stored(folder, "satellite")) is not None:
        yield "satimage-2", *found
    if (found := stored(folder, "mnist")) is not None:
        X, y = found
        keep = np.isin(y, (0, 6))
        X = X[keep][:, np.random.default_rng(0).choice(784, 100, replace=False)]
        yield "mnist", X[:, X.std(axis=0) > 0], y[keep]
    if (found := stored(folder, "covertype_93k")) is not None:
        X, y = found
        keep = np.isin(y, (2, 4))
        yield "cover", X[keep, :10], y[keep]
    if (found := stored(folder, "shuttle")) is not None:
        yield "shuttle", *found


def by_odds(name, X, y, seed):
    """Standardized rows, and True where one is an outlier."""
    outlier, left_out, kept = ODDS[name]
    keep = ~np.isin(y, left_out) if left_out else np.ones(len(y), bool)
    out = y != "Rad.Flow" if outlier is None else y == outlier
    if kept is not None:
        drawn = np.random.default_rng(seed).choice(np.flatnonzero(out), kept, replace=False)
        keep &= ~out
        keep[drawn] = True
    return StandardScaler().fit_transform(X[keep]).astype(np.float32), out[keep]


class PCAReconstruction:
    """The negative squared distance of a row from the space of half the components."""

    def fit(self, X):
        self.pca = PCA(max(X.shape[1] // 2, 1), random_state=0).fit(X)
        return self

    def score_samples(self, X):
        return -np.square(X - self.pca.inverse_transform(self.pca.transform(X))).mean(axis=1)


def detectors(n_features, seed):
    """The code has a quarter as many units as there are features."""
    given = {"n_components": max(n_features // 4, 1), "random_state": seed}
    return {
        "IsolationForest": IsolationForest(random_state=seed),
        "PCA reconstruction": PCAReconstruction(),
        "AutoEncoder": AutoEncoder(**given),
        "AutoEncoder, 10 members": AutoEncoder(n_members=10, **given),
    }


def detector(folder):
    names = list(detectors(4, 0))
    print(f"| data (rows, features, outliers) | {' | '.join(names)} |")
    print(f"|---|{'--:|' * len(names)}", flush=True)
    for name, X, y in detector_sets(folder):
        found = {kind: [] for kind in names}
        for seed in range(N_SEEDS):
            rows, out = by_odds(name, X, y, seed)
            for kind, model in detectors(rows.shape[1], seed).items():
                found[kind].append(roc_auc_score(out, -model.fit(rows).score_samples(rows)))
        cells = " | ".join(mean_and_error(values) for values in found.values())
        print(f"| {name} ({len(rows)}, {rows.shape[1]}, {out.sum()}) | {cells} |", flush=True)


def main():
    """Print one of the tables."""
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("table", choices=("transformer", "detector"))
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    {"transformer": transformer, "detector": detector}[given.table](given.data)


if __name__ == "__main__":
    main()
