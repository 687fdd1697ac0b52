"""Accuracy of the networks of series and images, means over seeds with their standard errors.

    python asv_bench/accuracy_networks.py DATA                          what takes seconds a fit
    python asv_bench/accuracy_networks.py DATA --cases LeNet --seeds 1  some; all with --cases ""
    python asv_bench/accuracy_networks.py DATA --set n_iter_no_change=30 learning_rate_decay=0.2

DATA is a folder of .npz files with X, y and, for a published split, train_idx and test_idx:
italy_power_demand, japanese_vowels (a shorter series has a tail of NaN) and mnist. A set that is
not there is left out, and said so. The made-up sets have the sizes and the difficulties of archives
of series: few training cases, shapes that lie anywhere in noise, several classes.

The seed is that of the network, of digits and made-up sets that of the data or the split too.
Seconds are of the clock, for one fit, without the first, which may compile.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from nnjit import ConvClassifier, NetworkClassifier, RecurrentClassifier, SeriesScaler
from nnjit.layers import Conv, Dense, Dropout, Flatten, Pool

FCN = {
    "filters": (128, 256, 128),
    "kernel_size": (8, 5, 3),
    "pool": None,
    "global_pool": "mean",
    "hidden_layer_sizes": (),
    "normalization": "batch",
}
SMALL_FCN = {**FCN, "filters": (32, 64, 32)}
EPOCHS = {"max_iter": 12, "n_iter_no_change": np.inf, "learning_rate": "constant"}


class NotHere(Exception):
    """A set that cannot be had, and why."""


# Data: (training X, y, test X, y) of a folder and a seed


def published(name, scale=None):
    """A set of the folder with its published split."""

    def parts(folder, seed):
        path = folder / f"{name}.npz"
        if not path.is_file():
            raise NotHere(f"{path} is not there")
        with np.load(path, allow_pickle=False) as stored:
            X, y = np.float32(stored["X"]), stored["y"]
            ends = [stored[key] for key in ("train_idx", "test_idx") if key in stored]
        if scale:
            X /= scale
        train, test = ends or np.split(np.arange(len(X)), [60000])
        return X[train], y[train], X[test], y[test]

    return parts


def digits(folder, seed):
    """Images of 8 x 8 pixels, a quarter of them for the test."""
    X, y = load_digits(return_X_y=True)
    return _in_order(train_test_split(X / 16, y, test_size=0.25, random_state=seed, stratify=y))


def digits_as_rows(folder, seed):
    """The same images as series of 8 points, the rows of pixels, of 8 channels."""
    X, *rest = digits(folder, seed)
    X_test = rest[1]
    return _steps(X), rest[0], _steps(X_test), rest[2]


def _steps(X):
    return X.reshape(-1, 8, 8).transpose(0, 2, 1)


def digits_as_series(folder, seed):
    """The same rows as series of 64 points, with 100 training cases."""
    X, y = load_digits(return_X_y=True)
    return _in_order(train_test_split(X, y, train_size=100, random_state=seed, stratify=y))


def _in_order(parts):
    X, test, y, y_test = parts
    return np.float32(X), y, np.float32(test), y_test


def _cut(X, y, count):
    return np.float32(X[:count]), y[:count], np.float32(X[count:]), y[count:]


def shapes(classes, count, points, length, noise):
    """One of some shapes, somewhere in noise."""

    def parts(folder, seed):
        rng = np.random.default_rng(seed)
        X = noise * rng.standard_normal((count + 300, points))
        y = np.arange(len(X)) % classes
        for row, kind in zip(X, y):
            width = int(length * rng.uniform(0.8, 1.25))
            start = rng.integers(points - width)
            t = np.linspace(0.0, 1.0, width)
            wave = np.sin(2 * np.pi * t)
            row[start : start + width] += (
                np.ones(width),
                2 * t,
                2 - 2 * t,
                wave,
                np.sign(wave),
                np.sin(3 * np.pi * t),
            )[kind]
        return _cut(X, y, count)

    return parts


def gestures(folder, seed):
    """Smooth ups and downs of any speed; one of the classes dips before it and overshoots after."""
    rng = np.random.default_rng(seed)
    t, count = np.linspace(0.0, 1.0, 150), 50
    rows, y = [], np.arange(count + 300) % 2
    for kind in y:
        start, end = rng.uniform(0.15, 0.3), rng.uniform(0.65, 0.85)
        slope = rng.uniform(20, 60)
        row = 1 / (1 + np.exp(-slope * (t - start))) - 1 / (1 + np.exp(-slope * (t - end)))
        if kind:
            row -= rng.uniform(0.1, 0.2) * np.exp(-(((t - start + 0.08) / 0.03) ** 2))
            row += rng.uniform(0.05, 0.15) * np.exp(-(((t - end + 0.03) / 0.03) ** 2))
        rows.append(row + 0.02 * rng.standard_normal(150) + 0.05 * rng.standard_normal())
    return _cut(np.array(rows), y, count)


def outlines(folder, seed):
    """Distances of closed curves from their middle, of six kinds of leaves in any direction."""
    rng = np.random.default_rng(seed)
    angle, count = np.linspace(0.0, 2 * np.pi, 200, endpoint=False), 60
    rows, y = [], np.arange(count + 300) % 6
    for kind in y:
        lobes, sharp = 3 + kind // 2, (1.0, 3.0)[kind % 2]
        turned = angle + rng.uniform(0, 2 * np.pi) + 0.3 * np.sin(angle + rng.uniform(0, 6))
        row = np.abs(np.cos(lobes * turned / 2)) ** sharp * rng.uniform(0.7, 1.3)
        row += rng.uniform(0.1, 0.5) * np.cos(angle + rng.uniform(0, 2 * np.pi))
        rows.append(row + 0.05 * rng.standard_normal(200))
    return _cut(np.array(rows), y, count)


def orders(folder, seed):
    """Two pulses somewhere in series of 30 to 60 noisy points, up or down: which, in what order."""
    rng = np.random.default_rng(seed)
    count = 1000
    X = np.full((count + 1000, 1, 60), np.nan)
    y = np.arange(len(X)) % 4
    for (row,), kind in zip(X, y):
        points = rng.integers(30, 61)
        row[:points] = 0.2 * rng.standard_normal(points)
        first, second = rng.integers(0, points // 3), rng.integers(points // 3, points - 5)
        row[first] += 1 if kind & 1 else -1
        row[second] += 1 if kind & 2 else -1
    return _cut(X, y, count)


# Networks


def recurrent(**given):
    """Behind a scaler of series."""
    return lambda **more: make_pipeline(SeriesScaler(), RecurrentClassifier(**{**given, **more}))


def unscaled(**given):
    return lambda **more: RecurrentClassifier(**{**given, **more})


def conv_net(**given):
    return lambda **more: ConvClassifier(**{**given, **more})


def scaled(**given):
    """Of series, which are scaled before."""
    return lambda **more: make_pipeline(SeriesScaler(), ConvClassifier(**{**given, **more}))


def mnist_cnn(**more):
    """Keras' example mnist_cnn."""
    layers = [
        Conv(32, 3, padding="valid"),
        Conv(64, 3, padding="valid"),
        Pool("max", 2),
        Dropout(0.25),
        Flatten(),
        Dense(128),
        Dropout(0.5),
    ]
    given = {"alpha": 0.0, "batch_size": 128, "input_shape": (28, 28), **EPOCHS}
    return NetworkClassifier(layers, **{**given, **more})


LENET = {
    "filters": (6, 16),
    "kernel_size": 5,
    "padding": ("same", "valid"),
    "hidden_layer_sizes": (120, 84),
    "batch_size": 128,
    "input_shape": (28, 28),
}


@dataclass(frozen=True)
class Case:
    """A network and a set; the published accuracy, and whether a fit takes minutes."""

    data: Callable[[Path, int], tuple[Any, ...]]
    network: Callable[..., Any]
    beside: str = "-"
    long: bool = False


ITALY, VOWELS = published("italy_power_demand"), published("japanese_vowels")
MNIST = published("mnist", 255)
CASES = {
    "Italy power demand, FCN 32-64-32": Case(ITALY, scaled(**SMALL_FCN), "96.3 (FCN)"),
    "Italy power demand, FCN": Case(ITALY, scaled(**FCN), "96.3 (FCN)"),
    "Japanese vowels, FCN 32-64-32": Case(VOWELS, scaled(**SMALL_FCN), "99.3 (FCN)"),
    "Japanese vowels, FCN": Case(VOWELS, scaled(**FCN), "99.3 (FCN)", long=True),
    "made up: 3 shapes, 40 x 150": Case(shapes(3, 40, 150, 30, 0.3), scaled(**SMALL_FCN)),
    "made up: 6 shapes, 60 x 500": Case(shapes(6, 60, 500, 60, 0.2), scaled(**SMALL_FCN)),
    "made up: gestures, 50 x 150": Case(gestures, scaled(**SMALL_FCN)),
    "made up: outlines, 60 x 200": Case(outlines, scaled(**SMALL_FCN)),
    "digits as series, 100 x 64": Case(digits_as_series, scaled(**SMALL_FCN)),
    "digits, defaults": Case(digits, conv_net(input_shape=(8, 8))),
    "Japanese vowels, recurrent defaults": Case(VOWELS, recurrent()),
    "Japanese vowels, recurrent defaults, unscaled": Case(VOWELS, unscaled()),
    "Japanese vowels, LSTM": Case(VOWELS, recurrent(cell="lstm")),
    "Japanese vowels, tanh": Case(VOWELS, recurrent(cell="tanh")),
    "Japanese vowels, both ways, mean": Case(VOWELS, recurrent(bidirectional=True, pool="mean")),
    "Italy power demand, recurrent defaults": Case(ITALY, recurrent()),
    "digits as rows, recurrent defaults": Case(digits_as_rows, recurrent()),
    "made up: orders, recurrent defaults": Case(orders, recurrent()),
    "MNIST, LeNet-5, 12 epochs": Case(MNIST, conv_net(**LENET, **EPOCHS), "99.05 (1998)", True),
    "MNIST, mnist_cnn, 12 epochs": Case(MNIST, mnist_cnn, "99.25 (Keras)", True),
}


def measure(case, folder, seeds, options):
    """Return accuracies in %, epochs and seconds of the fits."""
    scores, epochs, seconds = [], [], []
    for seed in range(seeds):
        X, y, X_test, y_test = case.data(folder, seed)
        model = case.network(random_state=seed, **options)
        start = time.perf_counter()
        model.fit(X, y)
        seconds.append(time.perf_counter() - start)
        scores.append(100 * model.score(X_test, y_test))
        epochs.append(getattr(model, "steps", [(None, model)])[-1][1].n_iter_)
    return scores, epochs, seconds[1:] or seconds


def with_error(scores):
    """Return the mean and its standard error, where there are several."""
    if len(scores) == 1:
        return f"{scores[0]:.2f}"
    return f"{statistics.mean(scores):.2f} +- {statistics.stdev(scores) / len(scores) ** 0.5:.2f}"


def assignment(text):
    """Return (name, value) of name=value."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def main():
    """Print the table."""
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("folder", type=Path, metavar="DATA")
    parser.add_argument("--cases", nargs="*", help="those whose name holds one of these")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", nargs="*", default=[], type=assignment, help="name=value")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| network and set | accuracy in % | published | epochs | seconds |")
    print("|---|---|---|---|---|", flush=True)
    for name, case in CASES.items():
        if case.long if given.cases is None else not any(part in name for part in given.cases):
            continue
        try:
            scores, epochs, seconds = measure(case, given.folder, given.seeds, dict(given.set))
        except NotHere as why:
            print(f"| {name} | left out: {why} | {case.beside} | - | - |", flush=True)
            continue
        print(
            f"| {name} | {with_error(scores)} | {case.beside} | {statistics.mean(epochs):.0f} "
            f"| {statistics.median(seconds):.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
