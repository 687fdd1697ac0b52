"""`python -m nnjit demo`: fit, report, and the same fit by scikit-learn beside it."""

from __future__ import annotations

import argparse
import os
import time
import warnings
from typing import Any

from nnjit.cli.errors import UserError
from nnjit.cli.problem import Problem, digits_problem, table_problem
from nnjit.cli.progress import fit_progress
from nnjit.cli.report import Fit, print_comparison, print_report, save_loss_curves

__all__ = ["add_parser", "run"]

DEFAULT_PLOT = "nnjit_demo_loss.png"
_LONG_FIT_SECONDS = 20.0


def add_parser(subparsers: Any) -> None:
    """Add the command's options to the command line."""
    parser = subparsers.add_parser(
        "demo",
        help="fit a network on digits or on your own table, beside scikit-learn",
        description=(
            "Fits a Pipeline with an MLP on scikit-learn's digits, or on a CSV file with a header "
            "line; shows progress, a report, both times and a loss curve. A target of text, or of "
            "whole numbers with at most 20 values, is classified; any other is regressed."
        ),
    )
    parser.add_argument("--data", metavar="FILE.csv", help="your own table")
    parser.add_argument("--target", metavar="COLUMN", help="the column of the table to learn")
    parser.add_argument("--task", choices=["auto", "classification", "regression"], default="auto")
    parser.add_argument(
        "--hidden",
        type=_layer_sizes,
        default=(100,),
        metavar="N[,N...]",
        help="units of each hidden layer (default: 100)",
    )
    parser.add_argument(
        "--epochs", type=_positive, default=300, metavar="N", help="at most (default: 300)"
    )
    parser.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="of split and fit (default: 0)"
    )
    parser.add_argument(
        "--plot", metavar="FILE.png", help=f"where the loss curve goes (default: {DEFAULT_PLOT})"
    )
    parser.add_argument("--no-peer", action="store_true", help="leave scikit-learn's fit out")
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
    import nnjit

    print(problem.title)
    for note in problem.notes:
        print(f"  {note}")
    print()
    fits = {"nnjit": _fit("nnjit", nnjit, problem, arguments)}
    if not arguments.no_peer:
        import sklearn.neural_network

        fits["scikit-learn"] = _fit("scikit-learn", sklearn.neural_network, problem, arguments)
    print_report(problem, fits["nnjit"].model)
    print_comparison(problem, fits)
    save_loss_curves(fits, plot, required=arguments.plot is not None)
    return 0


def _problem(arguments: argparse.Namespace) -> Problem:
    if (arguments.data is None) != (arguments.target is None):
        raise UserError("--data and --target go together")
    if arguments.data is None:
        if arguments.task == "regression":
            raise UserError("--task regression needs --data and --target")
        return digits_problem(arguments.seed)
    return table_problem(arguments.data, arguments.target, arguments.task, arguments.seed)


def _fit(label: str, library: Any, problem: Problem, arguments: argparse.Namespace) -> Fit:
    """Fit with progress from a cold start, then twice more, quietly, for the shorter time.

    The first of the two may still compile: what threads share is made when a process has trained
    so long that they pay.
    """
    model = _model(library, problem, arguments)
    start = time.perf_counter()
    with (
        fit_progress(label, arguments.epochs) as progress,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        model.fit(*problem.train)
    first = time.perf_counter() - start
    for message in dict.fromkeys(progress.messages + [str(warning.message) for warning in caught]):
        print(f"  {message}")
    later = first
    if progress.seconds_after_first_epoch < _LONG_FIT_SECONDS:
        _network_step(model).set_params(verbose=False)
        later = min(_seconds_of_fit(model, problem) for _ in range(2))
    return Fit(model, first, later, model.score(*problem.test))


def _seconds_of_fit(model: Any, problem: Problem) -> float:
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(*problem.train)
    return time.perf_counter() - start


def _model(library: Any, problem: Problem, arguments: argparse.Namespace) -> Any:
    from sklearn.base import clone
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    options = {
        "hidden_layer_sizes": arguments.hidden,
        "max_iter": arguments.epochs,
        "random_state": arguments.seed,
        "verbose": True,
    }
    first_step = clone(problem.preprocessing)
    if problem.task == "classification":
        return make_pipeline(first_step, library.MLPClassifier(**options))
    pipeline = make_pipeline(first_step, library.MLPRegressor(**options))
    return TransformedTargetRegressor(pipeline, transformer=StandardScaler())


def _network_step(model: Any) -> Any:
    pipeline = getattr(model, "regressor", model)
    return pipeline[-1]


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
