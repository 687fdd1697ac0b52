"""Print docs/guide/radial_basis.md's table: means over splits and their standard errors.

python tools/rbf_table.py [--data FOLDER]    FOLDER has california_housing.npz (keys X, y)

Beside the defaults stands the best of the width rules of the literature with a convex output layer
(`train="output"`), over the same centres and splits: the width of a centre from its two nearest
others, twice their mean for all, the largest distance over sqrt(2 m), sqrt(n_features).
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from sklearn.model_selection import ShuffleSplit, StratifiedKFold
from sklearn.preprocessing import StandardScaler

from nnjit import RBFClassifier, RBFRegressor

SEEDS = Path(__file__).parent.parent / "notebooks" / "data" / "seeds.csv"


def width_rules(centers):
    distances = cdist(centers, centers)
    nearest = np.sort(distances, axis=1)[:, 1:3].mean()
    return {
        "two nearest": "nearest",
        "twice their mean": 2.0 * nearest,
        "largest / sqrt(2m)": distances.max() / np.sqrt(2.0 * len(centers)),
        "sqrt(n_features)": np.sqrt(centers.shape[1]),
    }


def scores(make, X, y, splits, scale, score):
    """Scores of every way by its name, one for each split."""
    found = {}
    for seed, (train, test) in splits:
        scaler = StandardScaler(with_mean=scale, with_std=scale).fit(X[train])
        A, B = scaler.transform(X[train]), scaler.transform(X[test])
        models = {"RBF": make(random_state=seed)}
        models["normalized"] = make(normalized=True, random_state=seed)
        centers = make(train="output", random_state=seed).fit(A, y[train]).centers_
        for rule, width in width_rules(centers).items():
            models[rule] = make(
                len(centers), init=centers, width=width, train="output", random_state=seed
            )
        for name, model in models.items():
            found.setdefault(name, []).append(score(model.fit(A, y[train]), B, y[test]))
    return found


def cell(values):
    return f"{np.mean(values):.4f} +- {np.std(values, ddof=1) / np.sqrt(len(values)):.4f}"


def row(name, found, best):
    rules = [rule for rule in found if rule not in ("RBF", "normalized")]
    chosen = best(rules, key=lambda rule: np.mean(found[rule]))
    cells = [cell(found["RBF"]), cell(found["normalized"]), f"{cell(found[chosen])} ({chosen})"]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def folds(X, y, n, seeds):
    for seed in range(seeds):
        for split in StratifiedKFold(n, shuffle=True, random_state=seed).split(X, y):
            yield seed, split


def accuracy(model, X, y):
    return model.score(X, y)


def error(model, X, y):
    return np.sqrt(np.mean((model.predict(X) - y) ** 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    folder = parser.parse_args().data
    warnings.simplefilter("ignore")
    print("| data | RBF | RBF, normalized | best width rule, convex output |\n|---|--:|--:|--:|")
    X, y = load_digits(return_X_y=True)
    splits = folds(X, y, 5, 2)
    row("digits, accuracy", scores(RBFClassifier, X / 16, y, splits, False, accuracy), max)
    rows = np.genfromtxt(SEEDS, delimiter=",", dtype=str)[1:]
    X, y = rows[:, :7].astype(np.float64), rows[:, 7]
    splits = folds(X, y, 10, 3)
    row("wheat seeds, accuracy", scores(RBFClassifier, X, y, splits, True, accuracy), max)
    if folder is not None:
        with np.load(folder / "california_housing.npz", allow_pickle=False) as data:
            X, y = data["X"].astype(np.float32), data["y"].astype(np.float32)
        splits = enumerate(ShuffleSplit(3, test_size=0.2, random_state=0).split(X))
        row("California housing, RMSE", scores(RBFRegressor, X, y, splits, True, error), min)


if __name__ == "__main__":
    main()
