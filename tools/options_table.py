"""Print docs/guide/mlp.md's table of options: means over seeds with their standard errors.

python tools/options_table.py --data FOLDER [--seeds 5] [--only digits adult ...]

FOLDER has adult_train.csv, adult_test.csv, california_housing.npz and covertype_93k.npz. A seed
draws the split (Adult's is published), the initial weights and the shuffles; within a row of the
table all options have the same ones. Nothing is tuned to a data set: all have the same two hidden
layers, the same epochs and the same rate. The plain network is scikit-learn's, to its numbers.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score, recall_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nnjit import MLPClassifier, MLPRegressor

# One keyword each; the last row has all that goes together.
OPTIONS = {
    "plain": {},
    "dropout": {"dropout": 0.2},
    "schedule": {"learning_rate": "one_cycle", "learning_rate_init": 0.005},
    "AdamW": {"solver": "adamw", "weight_decay": 0.1},
    "average": {"average": 0.999},
    "batch normalization": {"normalization": "batch"},
    "layer normalization": {"normalization": "layer"},
    "schedule, AdamW, average, dropout": {
        "learning_rate": "one_cycle",
        "learning_rate_init": 0.005,
        "solver": "adamw",
        "weight_decay": 0.1,
        "average": 0.999,
        "dropout": 0.2,
    },
}
COMMON = {"hidden_layer_sizes": (128, 128), "batch_size": 128, "n_iter_no_change": np.inf}
EPOCHS = 40
COVERTYPE_ROWS = 30_000  # to train on


def digits(folder, seed):
    X, y = load_digits(return_X_y=True)
    return split((X / 16).astype(np.float32), y, seed, stratify=y)


def adult(folder, seed):
    import pandas as pd

    read = [
        pd.read_csv(folder / f"adult_{part}.csv", keep_default_na=False)
        for part in ("train", "test")
    ]
    (A, a), (B, b) = [(table.drop(columns="income"), table["income"]) for table in read]
    numbers = list(A.select_dtypes("number"))
    others = [name for name in A if name not in numbers]
    columns = make_column_transformer(
        (StandardScaler(), numbers),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), others),
    ).fit(A)
    return columns.transform(A).astype(np.float32), columns.transform(B).astype(np.float32), a, b


def california(folder, seed):
    with np.load(folder / "california_housing.npz", allow_pickle=False) as data:
        X, y = data["X"].astype(np.float32), data["y"].astype(np.float32)
    return split(X, y, seed)


def covertype(folder, seed):
    with np.load(folder / "covertype_93k.npz", allow_pickle=False) as data:
        X, y = data["X"].astype(np.float32), data["y"]
    return split(X, y, seed, stratify=y, train_size=COVERTYPE_ROWS)


def split(X, y, seed, **how):
    how.setdefault("train_size", 0.8)
    A, B, a, b = train_test_split(X, y, random_state=seed, **how)
    scaler = StandardScaler().fit(A)
    return scaler.transform(A), scaler.transform(B), a, b


def accuracy(seed, parts, options):
    A, B, a, b = parts
    model = MLPClassifier(**COMMON, max_iter=EPOCHS, random_state=seed, **options).fit(A, a)
    return 100 * model.score(B, b)


def error(seed, parts, options):
    A, B, a, b = parts
    model = MLPRegressor(**COMMON, max_iter=EPOCHS, random_state=seed, **options).fit(A, a)
    return np.sqrt(np.mean((model.predict(B) - b) ** 2))


DATA = {
    "digits": ("digits, accuracy %", digits, accuracy),
    "adult": ("Adult, accuracy %", adult, accuracy),
    "california": ("California housing, RMSE", california, error),
    "covertype": ("covertype, accuracy %", covertype, accuracy),
}


def cell(values):
    places = 2 if np.mean(values) > 10 else 4
    wrong = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):.{places}f} +- {wrong:.{places}f}"


def options_table(folder, seeds, names):
    found = {option: [] for option in OPTIONS}
    for name in names:
        _, load, measure = DATA[name]
        parts = {seed: load(folder, seed) for seed in range(seeds)}
        for option, keywords in OPTIONS.items():
            scores = [measure(seed, parts[seed], keywords) for seed in parts]
            found[option].append(cell(scores))
            print(f"  {name}, {option}: {found[option][-1]}", flush=True)
    print(f"\n| option | {' | '.join(DATA[name][0] for name in names)} |")
    print(f"|---|{'--:|' * len(names)}")
    for option, cells in found.items():
        print(f"| {option} | {' | '.join(cells)} |")


def coverage_table(folder, seeds):
    """Share of the test rows inside the interval, and its mean width."""
    print("\n| California housing, nominal coverage | covered % | mean width |\n|---|--:|--:|")
    for coverage in (0.5, 0.8, 0.9):
        covered, widths = [], []
        for seed in range(seeds):
            A, B, a, b = california(folder, seed)
            ends = (1 - coverage) / 2, (1 + coverage) / 2
            model = MLPRegressor(
                "quantile", **COMMON, quantile=ends, dropout=0.1, early_stopping=True,
                max_iter=EPOCHS, random_state=seed,
            ).fit(A, a)  # fmt: skip
            low, high = model.predict_interval(B, coverage).T
            covered.append(100 * np.mean((low <= b) & (b <= high)))
            widths.append(np.mean(high - low))
        print(f"| {100 * coverage:.0f} % | {cell(covered)} | {cell(widths)} |", flush=True)


def class_weight_table(folder, seeds):
    """Balanced accuracy, and the recall of the two rarest classes."""
    print("\n| covertype, class_weight | accuracy % | balanced accuracy % | recall of 4 and 5 % |")
    print("|---|--:|--:|--:|")
    for weights in (None, "balanced"):
        rows = []
        for seed in range(seeds):
            A, B, a, b = covertype(folder, seed)
            model = MLPClassifier(
                **COMMON, class_weight=weights, max_iter=EPOCHS, random_state=seed
            )
            p = model.fit(A, a).predict(B)
            rare = recall_score(b, p, labels=[4, 5], average="macro")
            rows.append((100 * np.mean(p == b), 100 * balanced_accuracy_score(b, p), 100 * rare))
        print(f"| {weights} | {' | '.join(map(cell, zip(*rows, strict=True)))} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=[*DATA, "coverage", "class_weight"])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    wanted = given.only or [*DATA, "coverage", "class_weight"]
    names = [name for name in DATA if name in wanted]
    if names:
        options_table(given.data, given.seeds, names)
    if "coverage" in wanted:
        coverage_table(given.data, given.seeds)
    if "class_weight" in wanted:
        class_weight_table(given.data, given.seeds)


if __name__ == "__main__":
    main()
