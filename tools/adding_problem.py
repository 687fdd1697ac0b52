"""The adding problem: which cells remember over how many steps, with and without clipping.

    python tools/adding_problem.py [--steps 100] [--seeds 3] [--epochs 40]

A series has two channels: numbers drawn from 0 to 1, and marks, which are 1 at two points, one in
the first half of the series and one in the second, and else 0. The target is the sum of the two
marked numbers. Who remembers nothing says 1 to every series, with a mean squared error of 1/6; who
solves the problem is far below. The first mark may lie as many points back as there are, so that
the gradient of the loss has to come through nearly all of them.

For each cell the table has the squared error on 2000 series of its own, the median over seeds and
the worst, and how many seeds ended below a hundredth (solved).

A plain layer hands its state on through the weights U and the derivative of tanh, which is 1 at 0
alone: the gradient of the loss by a state is multiplied by both at each point that it goes back, so
that of a mark 50 points back nothing is left to learn from. Where U grows against that, the
gradient explodes, and without clipping a single step throws the weights far away. In a GRU or an
LSTM a state goes on through a gate alone, z or f, which the network can hold at 1.

S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9, 1997, section 5.4.
"""

import argparse
import time
import warnings

import numpy as np

from nnjit import RecurrentRegressor

SOLVED = 0.01
NETWORKS = {
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm"},
    "tanh": {"cell": "tanh"},
    "tanh, clip_norm=None": {"cell": "tanh", "clip_norm": None},
    "gru, clip_norm=None": {"cell": "gru", "clip_norm": None},
}


def adding_problem(count, steps, seed=0):
    """Return X of shape (count, 2, steps), numbers and marks, and the sums of the marked ones."""
    rng = np.random.default_rng(seed)
    X = np.zeros((count, 2, steps), np.float32)
    X[:, 0] = rng.uniform(size=(count, steps))
    rows, half = np.arange(count), steps // 2
    X[rows, 1, rng.integers(0, half, count)] = 1
    X[rows, 1, rng.integers(half, steps, count)] = 1
    return X, (X[:, 0] * X[:, 1]).sum(axis=1)


def measure(given, steps, seed, epochs, count=5000):
    """Return the mean squared error on new series and the seconds of the fit."""
    X, y = adding_problem(count, steps, seed)
    X_test, y_test = adding_problem(2000, steps, seed + 1000)
    model = RecurrentRegressor(random_state=seed, max_iter=epochs, tol=0.0, **given)
    start = time.perf_counter()
    try:
        model.fit(X, y)
    except ValueError:  # weights that overflow
        return np.inf, time.perf_counter() - start
    seconds = time.perf_counter() - start
    return float(np.square(model.predict(X_test) - y_test).mean()), seconds


def main():
    """Print the table."""
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--networks", nargs="*", default=[*NETWORKS], choices=[*NETWORKS])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| network | squared error, median | worst | solved | seconds |")
    print("|---|--:|--:|--:|--:|", flush=True)
    for name in given.networks:
        runs = [
            measure(NETWORKS[name], given.steps, seed, given.epochs) for seed in range(given.seeds)
        ]
        errors, seconds = zip(*runs)
        solved = sum(error < SOLVED for error in errors)
        print(
            f"| {name} | {np.median(errors):.4f} | {max(errors):.4f} | {solved} of {len(runs)} "
            f"| {np.median(seconds):.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
