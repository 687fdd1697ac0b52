"""Networks for tables beside trees and other networks: the tables of docs/guide/tables.md.

    python tools/tabular_tables.py measure RESULTS.jsonl [--models ...] [--tables ...] [--splits 5]
    python tools/tabular_tables.py scores RESULTS.jsonl      means and errors of each table
    python tools/tabular_tables.py summary RESULTS.jsonl     ratios, seconds, wins and losses
    python tools/tabular_tables.py ablation RESULTS.jsonl    what each part of the recipe gives
    python tools/tabular_tables.py curve RESULTS.jsonl FIGURE.png    error against time

`measure` adds a line of JSON for each fit to the file and leaves out those that it has; the others
read it. A model is one of the names below, or a preset of TabularClassifier and TabularRegressor,
with parameters behind a colon: "fast", "default:n_members=1,max_iter=32". What is not installed,
and tables that cannot be had, are left out and named. `measure --models ablation` and `--models
curve` stand for what these two tables need.

All models get the same raw frames, a quarter of whose rows is for the test, by the split's number;
the plain MLP gets them standardized, filled with means and one-hot encoded, its targets
standardized, RealMLP filled; HistGradientBoosting, LightGBM and CatBoost take categories as such.
Nothing is tuned to a table. Seconds are those of the CPU, on one thread. Models of nnjit are fitted
once before, on the same rows, since the first fit of a process loads or compiles kernels.

The error is the share of wrong labels, or the root mean squared error in standard deviations of the
test rows' targets. A ratio is the geometric mean, over the tables, of a model's mean error in that
of scikit-learn's plain MLP (errors below 0.002 count as that much), and its standard error is the
jackknife's over the splits. A table is won, or lost, where the mean of the splits' differences is
more than two of its standard errors from 0.
"""

# ruff: noqa: E402
from __future__ import annotations

import os

# Before NumPy and Numba are there: CPU seconds are compared, so nobody gets a second thread.
for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{name}_NUM_THREADS"] = "1"

import argparse
import ast
import json
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from open_tables import CLASSIFICATION, DATA, REGRESSION, TABLES, NotHere, load, split
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

PLAIN = "skmlp"  # what ratios refer to
SMALLEST_ERROR = 0.002
PRESETS = ("fast", "default", "best")
# The recipe with one part switched off or replaced, by the names that the table shows.
ABLATION = {
    "all": "default",
    "numbers only scaled, no embedding": "default:numeric_embedding='none'",
    "waves in every member": "default:numeric_embedding='periodic'",
    "numbers between quantiles, not as waves": "default:numeric_embedding='piecewise'",
    "no smooth clip": "default:smooth_clip=False",
    "zeros and ones for all categories": "default:embedding_dimension=0",
    "no scaling layer": "default:scaling_layer=False",
    "standard parametrization": (
        "default:parametrization='standard',learning_rate='one_cycle',learning_rate_init=0.005"
    ),
    "a learned share of each activation": "default:parametric=True",
    "ReLU": "default:activation='relu'",
    "no dropout": "default:dropout=0.0",
    "no weight decay": "default:weight_decay=0.0",
    "constant rate": "default:learning_rate='constant'",
    "beta_2 of 0.999": "default:beta_2=0.999",
    "all rows, the last epoch": "default:validation_fraction=0",
    "one member": "default:n_members=1",
}
# Points beside the presets that show what they were chosen among.
CURVE = [
    f"default:n_members={members},max_iter={epochs}"
    for members in (1, 3, 8)
    for epochs in (16, 64, 256)
]


# Models


def prepared(network):
    """A Pipeline with what the plain MLP needs before it."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False, max_categories=50)
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (words, make_column_selector(dtype_include="category")),
    )
    return make_pipeline(columns, network)


def plain_mlp(library):
    """The MLP of scikit-learn or of nnjit, with its defaults."""

    def make(task, seed):
        if task == CLASSIFICATION:
            return prepared(library().MLPClassifier(random_state=seed))
        network = prepared(library().MLPRegressor(random_state=seed))
        return TransformedTargetRegressor(network, transformer=StandardScaler())

    return make


def sklearn_networks():
    import sklearn.neural_network

    return sklearn.neural_network


def nnjit_networks():
    import nnjit

    return nnjit


def boosting(task, seed):
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kinds = HistGradientBoostingClassifier, HistGradientBoostingRegressor
    return kinds[task == REGRESSION](random_state=seed, categorical_features="from_dtype")


def lightgbm(task, seed):
    from lightgbm import LGBMClassifier, LGBMRegressor

    return (LGBMClassifier, LGBMRegressor)[task == REGRESSION](
        random_state=seed, n_jobs=1, verbose=-1
    )


class CatBoost:
    """CatBoost told which columns are of categories; it takes no missing ones, but the word."""

    def __init__(self, task, seed):
        from catboost import CatBoostClassifier, CatBoostRegressor

        kind = (CatBoostClassifier, CatBoostRegressor)[task == REGRESSION]
        self.model = kind(random_seed=seed, verbose=0, thread_count=1, allow_writing_files=False)

    def fit(self, X, y):
        self.categories = list(X.select_dtypes("category"))
        self.model.fit(self.words(X), y, cat_features=self.categories)
        return self

    def words(self, X):
        X = X.copy()
        for name in self.categories:
            words = X[name].astype(object)
            X[name] = words.where(words.notna(), "missing").astype(str)
        return X

    def predict(self, X):
        return self.model.predict(self.words(X))

    def predict_proba(self, X):
        return self.model.predict_proba(self.words(X))


class RealMLP:
    """RealMLP_TD with means in the place of missing numbers, of which it takes none."""

    def __init__(self, task, seed):
        from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

        kind = (RealMLP_TD_Classifier, RealMLP_TD_Regressor)[task == REGRESSION]
        self.model = kind(random_state=seed, n_threads=1, device="cpu", verbosity=0)

    def fit(self, X, y):
        self.means = X.mean(numeric_only=True)
        self.model.fit(X.fillna(self.means), y)
        return self

    def predict(self, X):
        return self.model.predict(X.fillna(self.means))

    def predict_proba(self, X):
        return self.model.predict_proba(X.fillna(self.means))


@dataclass(frozen=True)
class Model:
    """What the tables call a model, how it is made, and whether it is fitted once before."""

    title: str
    make: Callable[[str, int], Any]
    warm: bool = False


PEERS = {
    PLAIN: Model("MLP, scikit-learn", plain_mlp(sklearn_networks)),
    "mlp": Model("MLP, nnjit", plain_mlp(nnjit_networks), warm=True),
    "hgb": Model("HistGradientBoosting", boosting),
    "lgb": Model("LightGBM", lightgbm),
    "cat": Model("CatBoost", CatBoost),
    "real": Model("RealMLP_TD", RealMLP),
}


def assignments(text):
    """Return the keyword arguments of "name=value,name=value"."""
    call = ast.parse(f"f({text})", mode="eval").body
    return {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}


def tabular(name):
    """The model of a preset with parameters."""
    preset, _, text = name.partition(":")
    if preset not in PRESETS:
        raise SystemExit(f"no model {name!r}; there are {', '.join([*PEERS, *PRESETS])}")
    given = assignments(text)

    def make(task, seed):
        from nnjit import TabularClassifier, TabularRegressor

        kind = (TabularClassifier, TabularRegressor)[task == REGRESSION]
        return kind(preset, random_state=seed, **given)

    return Model(f"nnjit, {name}", make, warm=True)


def model_of(name):
    return PEERS.get(name) or tabular(name)


# Fits


def class_scores(labels, p, y):
    """Error, log loss and AUC of probabilities."""
    p = np.clip(p, 1e-15, 1)
    p = p / p.sum(axis=1, keepdims=True)
    found = {
        "err": float(np.mean(labels[p.argmax(axis=1)] != y)),
        "ll": float(log_loss(y, p, labels=labels)),
    }
    if len(labels) == 2:
        found["auc"] = float(roc_auc_score(y, p[:, 1]))
    elif len(np.unique(y)) == len(labels):
        found["auc"] = float(roc_auc_score(y, p, multi_class="ovr", labels=labels))
    return found


def measure_one(model, name, number, folder, again=False):
    """Return a line of the results."""
    task = TABLES[name].task
    X, X_test, y, y_test = split(name, number, folder)
    if again:
        model.make(task, number).fit(X, y)
    fitted = model.make(task, number)
    start = time.process_time()
    fitted.fit(X, y)
    found = {"name": name, "split": number, "task": task, "fit": time.process_time() - start}
    start = time.process_time()
    if task == CLASSIFICATION:
        p = fitted.predict_proba(X_test)
        return {
            **found,
            "pred": time.process_time() - start,
            **class_scores(np.unique(y), p, y_test),
        }
    p = np.ravel(fitted.predict(X_test))
    found["pred"] = time.process_time() - start
    return {**found, "err": float(np.sqrt(np.mean((p - y_test) ** 2)) / y_test.std())}


def here(names, folder):
    """Those of the tables that can be had; the others are named."""
    found = []
    for name in names:
        try:
            load(name, folder)
        except NotHere as why:
            print(f"{name}: left out, {why}", file=sys.stderr)
        else:
            found.append(name)
    return found


def measure(given):
    """Fit all models that are asked for to all tables, and add the results to the file."""
    done = set(read_results(given.results, missing_ok=True))
    for model_name in asked_for(given.models):
        model = model_of(model_name)
        try:
            model.make(CLASSIFICATION, 0)
        except ImportError as error:
            print(f"{model.title}: left out, {error}", file=sys.stderr)
            continue
        for name in here(given.tables, given.data):
            again = model.warm
            for number in range(given.splits):
                if (model_name, name, number) in done:
                    continue
                try:
                    line = measure_one(model, name, number, given.data, again)
                except Exception as error:  # of another package, on one of many tables
                    print(f"{model_name}, {name}, split {number}: {error!r}", file=sys.stderr)
                    continue
                again = False
                with open(given.results, "a", encoding="utf-8") as file:
                    file.write(json.dumps({**line, "model": model_name}) + "\n")
                shown = f"{model_name}, {name}, split {number}: {line['err']:.4f}"
                print(f"{shown}, {line['fit']:.2f} s", file=sys.stderr)


def asked_for(names):
    """Models by name, with those of the ablation and the curve where they are asked for."""
    sets = {"ablation": list(ABLATION.values()), "curve": [*PRESETS, *CURVE]}
    return list(dict.fromkeys(model for name in names for model in sets.get(name, [name])))


# Results


def read_results(path, missing_ok=False):
    """Return {(model, table, split): line} of a file."""
    if missing_ok and not Path(path).exists():
        return {}
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.strip()]
    return {(line["model"], line["name"], line["split"]): line for line in lines}


class Results:
    """What was measured for some models, of the tables that all of them were fitted to.

    Attributes
    ----------
    models, tables : list of str
    splits : int
    """

    def __init__(self, lines, models, tables, splits):
        self._lines = lines
        self.splits = splits
        self.models = [model for model in models if any(key[0] == model for key in lines)]
        for model in set(models) - set(self.models):
            print(f"{model}: left out, nothing measured", file=sys.stderr)
        self.tables = [name for name in tables if self._complete(name)]
        if not self.tables or not self.models:
            raise SystemExit(f"no table has {splits} splits of {', '.join(models)}")
        measured = {name for model, name, _ in lines if model in self.models}
        left_out = [name for name in tables if name in measured and name not in self.tables]
        if left_out:
            print(f"left out, not measured of all: {', '.join(left_out)}", file=sys.stderr)

    def _complete(self, name):
        return all(
            (model, name, number) in self._lines
            for model in self.models
            for number in range(self.splits)
        )

    def of(self, task):
        """Tables of a task."""
        return [name for name in self.tables if TABLES[name].task == task]

    def values(self, model, name, key):
        """A measure's values by split; NaN where there is none."""
        lines = [self._lines[model, name, number] for number in range(self.splits)]
        return np.array([line.get(key, np.nan) for line in lines])

    def ratio(self, model, base, tables, key="err", floor=0.0):
        """Geometric mean of the ratios of means, and its standard error over the splits."""

        def statistic(kept):
            logs = [
                np.log(max(self.values(model, name, key)[kept].mean(), floor))
                - np.log(max(self.values(base, name, key)[kept].mean(), floor))
                for name in tables
            ]
            return np.exp(np.mean(logs))

        return jackknife(statistic, self.splits)

    def mean(self, model, tables, key):
        return float(np.mean([self.values(model, name, key).mean() for name in tables]))

    def gain(self, model, base, tables, key):
        """Mean difference of a measure, over the tables that have it, and its standard error."""
        tables = [name for name in tables if np.isfinite(self.values(base, name, key)).all()]
        differences = [
            self.values(model, name, key) - self.values(base, name, key) for name in tables
        ]
        return mean_and_error(np.mean(differences, axis=0))

    def wins(self, model, other):
        """Tables won, tied and lost, and those with the smaller mean whatever its error."""
        won = tied = better = 0
        for name in self.tables:
            difference = self.values(other, name, "err") - self.values(model, name, "err")
            mean, error = mean_and_error(difference)
            won += mean > 2 * error
            tied += abs(mean) <= 2 * error
            better += mean > 0
        return won, tied, len(self.tables) - won - tied, better


def mean_and_error(values):
    """Return the mean and its standard error."""
    n = len(values)
    return np.mean(values), np.std(values, ddof=1) / np.sqrt(n) if n > 1 else np.nan


def jackknife(statistic, n):
    """Return a statistic of all n splits and its standard error, by leaving out each in turn."""
    every = np.arange(n)
    whole = statistic(every)
    if n < 2:
        return whole, np.nan
    parts = np.array([statistic(every[every != i]) for i in every])
    return whole, np.sqrt((n - 1) / n * np.square(parts - parts.mean()).sum())


# Tables


def cell(found, places=3):
    mean, error = found
    shown = f"{mean:.{places}f}"
    return shown if np.isnan(error) else f"{shown} ± {error:.{places}f}"


def print_table(head, rows):
    print(f"| {' | '.join(head)} |\n|---|{'--:|' * (len(head) - 1)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def scores(given):
    """Print the error of each model on each table, and wins, ties and losses of one of them."""
    results = results_of(given, [*PEERS, *PRESETS])
    rows = []
    for name in [*results.of(CLASSIFICATION), *results.of(REGRESSION)]:
        found = {
            model: mean_and_error(results.values(model, name, "err")) for model in results.models
        }
        least = min(mean for mean, _ in found.values())
        kind = "class" if TABLES[name].task == CLASSIFICATION else "value"
        cells = [f"**{cell(pair)}**" if pair[0] == least else cell(pair) for pair in found.values()]
        rows.append([f"{name} ({kind})", *cells])
    others = [wins_cell(results, given.against, model) for model in results.models]
    rows.append([f"{given.against}: wins, ties, losses", *others])
    print_table(["table", *(model_of(model).title for model in results.models)], rows)


def wins_cell(results, model, other):
    if model not in results.models or model == other:
        return "-"
    won, tied, lost, better = results.wins(model, other)
    return f"{won}, {tied}, {lost} ({better} of {len(results.tables)} better)"


def summary(given):
    """Print ratios to the plain MLP, differences of the AUC, and seconds."""
    results = results_of(given, [*PEERS, *PRESETS])
    if PLAIN not in results.models:
        raise SystemExit(f"nothing measured of {PLAIN}, to which the ratios refer")
    head = ["model", "error", "of classes", "of values", "log loss", "AUC, points", "fit, s"]
    head += ["predict, ms", f"{given.against}: wins, ties, losses"]
    rows = []
    for model in results.models:
        auc = results.gain(model, PLAIN, results.of(CLASSIFICATION), "auc")
        rows.append([
            model_of(model).title,
            *ratio_cells(results, model, PLAIN),
            cell((100 * auc[0], 100 * auc[1]), 2),
            f"{results.mean(model, results.tables, 'fit'):.3g}",
            f"{1000 * results.mean(model, results.tables, 'pred'):.3g}",
            wins_cell(results, given.against, model),
        ])  # fmt: skip
    classes, values = len(results.of(CLASSIFICATION)), len(results.of(REGRESSION))
    print(f"{classes} tables of classes, {values} of values, {results.splits} splits\n")
    print_table(head, rows)


def ratio_cells(results, model, base):
    """Ratios of the errors on all tables and by task, and of the log loss."""
    parts = [results.tables, results.of(CLASSIFICATION), results.of(REGRESSION)]
    cells = [
        cell(results.ratio(model, base, part, floor=SMALLEST_ERROR)) if part else "-"
        for part in parts
    ]
    classes = parts[1]
    return [*cells, cell(results.ratio(model, base, classes, "ll")) if classes else "-"]


def ablation(given):
    """Print what becomes of errors, log loss and time where a part of the recipe is left out."""
    titles = {model: title for title, model in ABLATION.items()}
    results = results_of(given, list(titles))
    base = ABLATION["all"]
    rows = [
        [
            titles.get(model, model),
            *ratio_cells(results, model, base),
            f"{results.ratio(model, base, results.tables, 'fit')[0]:.2f}",
        ]
        for model in results.models
    ]
    print_table(["recipe", "error", "of classes", "of values", "log loss", "fit, time"], rows)


def curve(given):
    """Draw the ratio of errors against the seconds of a fit."""
    from matplotlib.figure import Figure

    results = results_of(given, [*PEERS, *PRESETS, *CURVE])
    at = {
        model: (
            results.mean(model, results.tables, "fit"),
            results.ratio(model, PLAIN, results.tables, floor=SMALLEST_ERROR)[0],
        )
        for model in results.models
    }
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    chosen = [at[model] for model in PRESETS if model in at]
    tried = [at[model] for model in at if model not in PEERS and model not in PRESETS]
    peers = [at[model] for model in at if model in PEERS]
    if tried:
        axes.plot(*zip(*tried), ".", color="C0", alpha=0.35, label="other members, epochs")
    if chosen:
        axes.plot(*zip(*chosen), "o-", color="C0", label="TabularClassifier, TabularRegressor")
    if peers:
        axes.plot(*zip(*peers), "s", color="C1", label="others")
    for model in [*PEERS, *PRESETS]:
        if model in at:
            title = model if model in PRESETS else PEERS[model].title
            axes.annotate(title, at[model], xytext=(4, 5), textcoords="offset points", fontsize=8)
    axes.set(xscale="log", xlabel="CPU seconds of a fit, mean")
    axes.set_ylabel("error relative to scikit-learn's MLP")
    axes.margins(x=0.15)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(given.figure, dpi=110)


def results_of(given, models):
    """The results of the models that are asked for, or else of these."""
    lines = read_results(given.results)
    models = asked_for(given.models) if given.models else models
    models = [model for model in models if given.models or any(key[0] == model for key in lines)]
    return Results(lines, models, given.tables, given.splits)


def main(argv=None):
    """Measure, or print or draw what was measured."""
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (measure, scores, summary, ablation, curve):
        one = commands.add_parser(command.__name__, help=command.__doc__.splitlines()[0])
        one.add_argument("results", type=Path, metavar="RESULTS.jsonl")
        models = [*PEERS, *PRESETS] if command is measure else None
        one.add_argument("--models", nargs="+", default=models)
        one.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES))
        one.add_argument("--splits", type=int, default=5)
        one.set_defaults(command=command)
        if command is measure:
            one.add_argument("--data", type=Path, default=DATA)
        if command is curve:
            one.add_argument("figure", type=Path, metavar="FIGURE.png")
        if command in (scores, summary):
            one.add_argument("--against", default="default", help="whose wins are counted")
    given = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    given.command(given)


if __name__ == "__main__":
    main()
