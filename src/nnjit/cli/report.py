"""What the demo says about its fits: scores, times and the loss curves."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from nnjit.cli.errors import UserError
from nnjit.cli.problem import Problem

__all__ = ["Fit", "print_comparison", "print_report", "save_loss_curves"]


@dataclasses.dataclass
class Fit:
    """A fitted model with the seconds of its first fit and of a later one."""

    model: Any
    first: float
    later: float
    score: float

    @property
    def network(self) -> Any:
        pipeline = getattr(self.model, "regressor_", self.model)
        return pipeline[-1]


def print_report(problem: Problem, model: Any) -> None:
    from sklearn import metrics

    X, y = problem.test
    predicted = model.predict(X)
    print("\nnnjit on the test rows:\n")
    if problem.task == "classification":
        print(metrics.classification_report(y, predicted, zero_division=0))
        return
    print(f"  R2                   {metrics.r2_score(y, predicted):.4f}")
    print(f"  root mean sq. error  {metrics.root_mean_squared_error(y, predicted):.6g}")
    print(f"  mean abs. error      {metrics.mean_absolute_error(y, predicted):.6g}\n")


def print_comparison(problem: Problem, fits: dict[str, Fit]) -> None:
    quality = "accuracy" if problem.task == "classification" else "R2"
    print(f"{'':<14}{'first fit':>12}{'later fit':>12}{'epochs':>8}{quality:>10}")
    for name, fit in fits.items():
        print(
            f"{name:<14}{fit.first:>10.3f} s{fit.later:>10.3f} s"
            f"{fit.network.n_iter_:>8}{fit.score:>10.4f}"
        )
    ours = fits["nnjit"]
    if ours.later < ours.first:
        print(
            f"\nCompiling the kernels, or loading them from the cache, took about"
            f" {ours.first - ours.later:.2f} s of nnjit's first fit."
        )
    if "scikit-learn" in fits:
        peer = fits["scikit-learn"]
        print(
            f"Compile time apart, nnjit took {ours.later:.3f} s where scikit-learn took"
            f" {peer.later:.3f} s: a ratio of {peer.later / ours.later:.1f}."
        )
        print(f"Largest relative difference of the two loss curves: {_curve_gap(ours, peer):.1e}.")


def _curve_gap(ours: Fit, peer: Fit) -> float:
    n = min(ours.network.n_iter_, peer.network.n_iter_)
    a, b = (np.asarray(fit.network.loss_curve_[:n]) for fit in (ours, peer))
    return float(np.max(np.abs(a - b) / np.abs(b)))


def save_loss_curves(fits: dict[str, Fit], path: str, required: bool) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("No loss curve drawn: matplotlib is missing (pip install matplotlib).")
        return
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for (name, fit), style in zip(fits.items(), ("-", "--")):
        curve = fit.network.loss_curve_
        axes.plot(range(1, len(curve) + 1), curve, style, label=f"{name}, {fit.later:.3g} s")
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
