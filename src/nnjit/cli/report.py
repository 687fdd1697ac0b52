"""What the demo says about its fits: scores, times and the loss curves."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from nnjit.cli.errors import UserError
from nnjit.cli.fits import Fit
from nnjit.cli.problem import Problem

__all__ = [
    "print_columns",
    "print_comparison",
    "print_curve_gap",
    "print_report",
    "print_scores",
    "save_loss_curves",
]

_COVERAGE = 0.9
_MOST_COLUMNS = 40
_LONGEST_NAME = 24


def print_columns(model: Any, names: list[str]) -> None:
    """Say what an estimator of tables made of each column, of which these are the names."""
    print("\nColumns:\n")
    width = min(max(map(len, names)), _LONGEST_NAME)
    for name, column in zip(names[:_MOST_COLUMNS], model.report_.columns):
        missing = f", {column.n_missing} missing" if column.n_missing else ""
        levels = f", {column.n_levels} categories" if column.n_levels else ""
        left_out = "" if column.used else f", left out: {column.reason}"
        print(f"  {name:<{width}}  {column.kind}{levels}{missing}{left_out}")
    if len(names) > _MOST_COLUMNS:
        print(f"  and {len(names) - _MOST_COLUMNS} more")


def print_report(problem: Problem, label: str, fit: Fit) -> None:
    """Print the scores of a fit on the test rows, and how many of them its intervals hold."""
    from sklearn import metrics

    X, y = fit.test
    predicted = fit.model.predict(X)
    print(f"\n{label} on the test rows:\n")
    if problem.task == "classification":
        print(metrics.classification_report(y, predicted, zero_division=0))
        return
    print(f"  R2                   {metrics.r2_score(y, predicted):.4f}")
    print(f"  root mean sq. error  {metrics.root_mean_squared_error(y, predicted):.6g}")
    print(f"  mean abs. error      {metrics.mean_absolute_error(y, predicted):.6g}")
    if hasattr(fit.model, "predict_interval"):
        low, high = fit.model.predict_interval(X, _COVERAGE).T
        inside, width = np.mean((low <= y) & (y <= high)), np.mean(high - low)
        print(f"  intervals of {100 * _COVERAGE:.0f} %    {100 * inside:.1f} % in {width:.6g}")
    print()


def print_comparison(problem: Problem, fits: dict[str, Fit]) -> None:
    """Print times, epochs and scores of the same network by nnjit and by scikit-learn."""
    quality = "accuracy" if problem.task == "classification" else "R2"
    print(f"{'':<14}{'first fit':>12}{'later fit':>12}{'epochs':>8}{quality:>10}")
    for name, fit in fits.items():
        print(
            f"{name:<14}{fit.first:>10.3f} s{fit.later:>10.3f} s"
            f"{fit.network.n_iter_:>8}{fit.score:>10.4f}"
        )
    ours = fits["nnjit"]
    _print_compilation("nnjit", ours)
    if "scikit-learn" in fits:
        peer = fits["scikit-learn"]
        print(
            f"Compile time apart, nnjit took {ours.later:.3f} s where scikit-learn took"
            f" {peer.later:.3f} s: a ratio of {peer.later / ours.later:.1f}."
        )


def print_scores(problem: Problem, fits: dict[str, Fit]) -> None:
    """Print times and scores of several models; of the best in a column there is a star."""
    is_classified = problem.task == "classification"
    heads = ("accuracy", "log loss") if is_classified else ("R2", "RMSE")
    width = max(map(len, fits)) + 2
    print(f"{'':<{width}}{'first fit':>12}{'later fit':>12}{heads[0]:>12}{heads[1]:>12}")
    scores = {name: _scores(fit, is_classified) for name, fit in fits.items()}
    best = max(high for high, _ in scores.values()), min(low for _, low in scores.values())
    for name, fit in fits.items():
        shown = [
            f"{score:.5g}{'*' if score == record else ' '}"
            for score, record in zip(scores[name], best)
        ]
        print(
            f"{name:<{width}}{fit.first:>10.3f} s{fit.later:>10.3f} s{shown[0]:>13}{shown[1]:>12}"
        )
    name, ours = next(iter(fits.items()))
    _print_compilation(name, ours)


def _scores(fit: Fit, is_classified: bool) -> tuple[float, float]:
    """Return accuracy and log loss, or R2 and the root mean squared error."""
    from sklearn import metrics

    X, y = fit.test
    if not is_classified:
        return fit.score, float(metrics.root_mean_squared_error(y, fit.model.predict(X)))
    p = np.clip(fit.model.predict_proba(X), 1e-15, None)
    classes = fit.model.classes_
    known = np.isin(y, classes)  # a class of a single row may be in the test rows alone
    p = p[known] / p[known].sum(axis=1, keepdims=True)
    return fit.score, float(metrics.log_loss(y[known], p, labels=classes))


def _print_compilation(name: str, fit: Fit) -> None:
    if fit.later < fit.first:
        print(
            f"\nCompiling the kernels, or loading them from the cache, took about"
            f" {fit.first - fit.later:.2f} s of {name}'s first fit."
        )


def print_curve_gap(ours: Fit, peer: Fit) -> None:
    print(f"Largest relative difference of the two loss curves: {_curve_gap(ours, peer):.1e}.")


def _curve_gap(ours: Fit, peer: Fit) -> float:
    n = min(ours.network.n_iter_, peer.network.n_iter_)
    a, b = (np.asarray(fit.network.loss_curve_[:n]) for fit in (ours, peer))
    return float(np.max(np.abs(a - b) / np.abs(b)))


def save_loss_curves(curves: dict[str, Any], path: str, required: bool) -> None:
    """Draw curves by their labels into a file."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("No loss curve drawn: matplotlib is missing (pip install matplotlib).")
        return
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for (label, curve), style in zip(curves.items(), itertools.cycle(("-", "--"))):
        axes.plot(range(1, len(curve) + 1), curve, style, label=label)
    axes.set(xlabel="epoch", ylabel="training loss", yscale="log")
    axes.legend()
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        if required:
            raise UserError(f"cannot write {path}: {error}") from error
        print(f"No loss curve saved: cannot write {path}.")
        return
    print(f"Loss curve: {path}")
