"""`python -m nnjit demo`: fit and report, with what scikit-learn has beside it."""

from __future__ import annotations

import argparse
import os
from typing import Any

from nnjit.cli.errors import UserError
from nnjit.cli.fits import Fit, timed_fit, timed_fit_with_progress
from nnjit.cli.models import boosted_trees, mlp_pipeline, tabular_network
from nnjit.cli.problem import Problem, RawTable, digits_problem, table_problem
from nnjit.cli.report import (
    print_columns,
    print_comparison,
    print_curve_gap,
    print_report,
    print_scores,
    save_loss_curves,
)

__all__ = ["add_parser", "run"]

DEFAULT_PLOT = "nnjit_demo_loss.png"
_PRESETS = ("fast", "default", "best")


def add_parser(subparsers: Any) -> None:
    """Add the command's options to the command line."""
    parser = subparsers.add_parser(
        "demo",
        help="fit a network on digits or on your own table, beside scikit-learn",
        description=(
            "Fits a Pipeline with an MLP on scikit-learn's digits, beside scikit-learn's; or, on a "
            "CSV file with a header line, an estimator for tables beside that MLP and "
            "scikit-learn's boosted trees. Shows a report, all times and loss curves. A target of "
            "text, or of whole numbers with at most 20 values, is classified; any other is "
            "regressed."
        ),
    )
    parser.add_argument("--data", metavar="FILE.csv", help="your own table")
    parser.add_argument("--target", metavar="COLUMN", help="the column of the table to learn")
    parser.add_argument(
        "--preset", choices=_PRESETS, default="default", help="of the estimator for tables"
    )
    parser.add_argument("--task", choices=["auto", "classification", "regression"], default="auto")
    parser.add_argument(
        "--hidden",
        type=_layer_sizes,
        default=(100,),
        metavar="N[,N...]",
        help="units of each hidden layer of the MLP (default: 100)",
    )
    parser.add_argument(
        "--epochs",
        type=_positive,
        default=300,
        metavar="N",
        help="of the MLP, at most (default: 300)",
    )
    parser.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="of split and fit (default: 0)"
    )
    parser.add_argument(
        "--plot", metavar="FILE.png", help=f"where the loss curve goes (default: {DEFAULT_PLOT})"
    )
    parser.add_argument("--no-peer", action="store_true", help="leave scikit-learn's fits out")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; see `python -m nnjit demo --help`.

    Parameters
    ----------
    arguments : argparse.Namespace

    Returns
    -------
    int
        0.

    Raises
    ------
    UserError
        If the data or an option is unusable.
    """
    problem = _problem(arguments)
    plot = _plot_path(arguments.plot)
    print(problem.title)
    for note in problem.notes:
        print(f"  {note}")
    print()
    if problem.raw is None:
        curves = _digits(problem, arguments)
    else:
        curves = _table(problem, problem.raw, arguments)
    save_loss_curves(curves, plot, required=arguments.plot is not None)
    return 0


def _problem(arguments: argparse.Namespace) -> Problem:
    if (arguments.data is None) != (arguments.target is None):
        raise UserError("--data and --target go together")
    if arguments.data is None:
        if arguments.task == "regression":
            raise UserError("--task regression needs --data and --target")
        return digits_problem(arguments.seed)
    return table_problem(arguments.data, arguments.target, arguments.task, arguments.seed)


def _digits(problem: Problem, arguments: argparse.Namespace) -> dict[str, Any]:
    """Fit the same MLP by nnjit and by scikit-learn; return their loss curves."""
    import nnjit

    fits = {"nnjit": _mlp_fit("nnjit", nnjit, problem, arguments)}
    if not arguments.no_peer:
        import sklearn.neural_network

        fits["scikit-learn"] = _mlp_fit("scikit-learn", sklearn.neural_network, problem, arguments)
    print_report(problem, "nnjit", fits["nnjit"])
    print_comparison(problem, fits)
    if not arguments.no_peer:
        print_curve_gap(fits["nnjit"], fits["scikit-learn"])
    return {f"{name}, {fit.later:.3g} s": fit.network.loss_curve_ for name, fit in fits.items()}


def _table(problem: Problem, raw: RawTable, arguments: argparse.Namespace) -> dict[str, Any]:
    """Fit a table as it is, and what needs it prepared beside it; return the loss curves."""
    import nnjit

    model = tabular_network(problem, arguments.preset, arguments.seed)
    label = type(model).__name__
    train, test = (raw.train, problem.train[1]), (raw.test, problem.test[1])
    fits = {label: timed_fit(label, model, train, test)}
    fits["MLP"] = _mlp_fit("MLP", nnjit, problem, arguments)
    if not arguments.no_peer:
        trees = boosted_trees(problem, raw, arguments.seed)
        name = "HistGradientBoosting"
        fits[name] = timed_fit(name, trees, problem.train, problem.test)
    print_columns(model, raw.names)
    print_report(problem, label, fits[label])
    print_scores(problem, fits)
    curves = {"MLP, training": fits["MLP"].network.loss_curve_}
    for number, member in enumerate(model.members_, 1):
        curves[f"{label}, member {number}, training"] = member.loss_curve_
    return curves


def _mlp_fit(label: str, library: Any, problem: Problem, arguments: argparse.Namespace) -> Fit:
    model = mlp_pipeline(
        library,
        problem,
        hidden_layer_sizes=arguments.hidden,
        max_iter=arguments.epochs,
        random_state=arguments.seed,
        verbose=True,
    )
    return timed_fit_with_progress(label, model, problem.train, problem.test, arguments.epochs)


def _plot_path(wanted: str | None) -> str:
    path = os.path.abspath(wanted or DEFAULT_PLOT)
    if wanted is not None:
        if not os.path.isdir(os.path.dirname(path)):
            raise UserError(f"cannot write {wanted}: there is no folder {os.path.dirname(path)}")
        if os.path.isdir(path):
            raise UserError(f"cannot write {wanted}: it is a folder")
    return path


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("a whole number of at least 1 is needed")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError("a whole number from 0 to 4294967295 is needed")
    return value


def _layer_sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(_positive(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError("whole numbers such as 100 or 64,32 are needed") from error
