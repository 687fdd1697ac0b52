"""Accuracy and R2 of nnjit beside scikit-learn on four data sets, over five seeds.

    python tools/accuracy_table.py --data ../shared/data

prints the table of docs/from/scikit_learn.md and ends with status 1 where nnjit's mean is more
than one standard error of scikit-learn's away. The folder holds `seeds.npz`, `mnist.npz` and
`california_housing.npz` (arrays X and y); a set whose file is missing is left out. Each seed
gives its own split (MNIST has a published one) and its own first weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import warnings
from pathlib import Path

import numpy as np
import sklearn.neural_network
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import nnjit

N_SEEDS = 5
VARIANTS = {
    "scikit-learn": (sklearn.neural_network, np.float64),
    "nnjit float64": (nnjit, np.float64),
    "nnjit float32": (nnjit, np.float32),
}


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A data set, the network for it, and how it is split.

    Attributes
    ----------
    title, file : str
        File is None for the set that scikit-learn brings along.
    measure : {"accuracy", "R2"}
    n_train : int or None
        Rows of the published training part, which come first; None splits 75 to 25 by seed.
    options : dict
        The network's parameters.
    """

    title: str
    file: str | None
    measure: str
    n_train: int | None
    options: dict


DATA_SETS = {
    "seeds": DataSet(
        "wheat seeds, 7-16-16-3",
        "seeds.npz",
        "accuracy",
        None,
        {"hidden_layer_sizes": (16, 16), "max_iter": 200, "batch_size": 32},
    ),
    "digits": DataSet(
        "digits, 64-100-10", None, "accuracy", None, {"hidden_layer_sizes": (100,), "max_iter": 100}
    ),
    "mnist": DataSet(
        "MNIST, 784-100-10, 10 epochs",
        "mnist.npz",
        "accuracy",
        60000,
        {"hidden_layer_sizes": (100,), "max_iter": 10},
    ),
    "california": DataSet(
        "California housing, 8-64-64-1, 20 epochs",
        "california_housing.npz",
        "R2",
        None,
        {"hidden_layer_sizes": (64, 64), "max_iter": 20, "batch_size": 64},
    ),
}


def load(data_set, folder):
    """X and y of a data set, or None where its file is missing."""
    if data_set.file is None:
        return load_digits(return_X_y=True)
    path = folder / data_set.file
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["X"], arrays["y"]


def split(data_set, X, y, seed):
    """Scaled training and test parts in float64."""
    if data_set.n_train is not None:
        n = data_set.n_train
        return X[:n] / 255.0, X[n:] / 255.0, y[:n], y[n:]
    stratify = y if data_set.measure == "accuracy" else None
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.25, random_state=seed, stratify=stratify
    )
    scaler = StandardScaler().fit(X_train)
    return scaler.transform(X_train), scaler.transform(X_test), y_train, y_test


def score(data_set, library, dtype, parts, seed):
    """Test score of one fit."""
    X_train, X_test, y_train, y_test = parts
    if data_set.measure == "accuracy":
        kind = library.MLPClassifier
    else:
        kind = library.MLPRegressor
        y_train = y_train.astype(dtype)
    model = kind(**data_set.options, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X_train.astype(dtype), y_train)
    return model.score(X_test.astype(dtype), y_test)


def scores(data_set, X, y):
    """Scores over the seeds, by variant."""
    found = {variant: np.empty(N_SEEDS) for variant in VARIANTS}
    for seed in range(N_SEEDS):
        parts = split(data_set, X, y, seed)
        for variant, (library, dtype) in VARIANTS.items():
            found[variant][seed] = score(data_set, library, dtype, parts, seed)
            print(f"{data_set.title}, seed {seed}: {variant}", file=sys.stderr)
    return found


def standard_error(values):
    return values.std(ddof=1) / np.sqrt(len(values))


def row(data_set, found):
    """A line of the table, and whether nnjit agrees with scikit-learn on it."""
    reference = found["scikit-learn"]
    agrees = all(
        abs(values.mean() - reference.mean()) <= standard_error(reference)
        for values in found.values()
    )
    cells = [f"{values.mean():.4f} ± {standard_error(values):.4f}" for values in found.values()]
    return f"| {data_set.title} | {data_set.measure} | " + " | ".join(cells) + " |", agrees


def main(argv=None):
    """Print the table; return 1 where a mean is too far off."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder")
    parser.add_argument("--sets", nargs="+", choices=list(DATA_SETS), default=list(DATA_SETS))
    arguments = parser.parse_args(argv)
    lines, agree = [], True
    for name in arguments.sets:
        data = load(DATA_SETS[name], arguments.data)
        if data is None:
            print(f"{name}: no {DATA_SETS[name].file} in {arguments.data}", file=sys.stderr)
            continue
        line, agrees = row(DATA_SETS[name], scores(DATA_SETS[name], *data))
        lines.append(line)
        agree = agree and agrees
    print(f"| data set, network | measure | {' | '.join(VARIANTS)} |")
    print("|---|---|" + "--:|" * len(VARIANTS))
    print("\n".join(lines))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
