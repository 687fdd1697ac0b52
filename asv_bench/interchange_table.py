"""The guide's table of predictions by onnxruntime beside nnjit's own, as Markdown.

    python asv_bench/interchange_table.py              the least of 15 rounds
    python asv_bench/interchange_table.py --rounds 30

CPU microseconds of one thread for a call with one row and with 1,000, the two in turn:
`predict_proba` of the estimator, and a session's `run` for that output of `to_onnx(model)`.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings

# before NumPy and Numba are imported
for variable in ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402

import nnjit  # noqa: E402
from nnjit.interop import to_onnx  # noqa: E402

ROWS = (1, 1000)


def problems():
    """Title, estimator and number of features."""
    yield "MLP, 20-100-3", nnjit.MLPClassifier(), 20
    yield "MLP, 784-512-512-3", nnjit.MLPClassifier((512, 512)), 784
    yield "RBF, 20 features, 50 centres", nnjit.RBFClassifier(50), 20
    images = nnjit.ConvClassifier(input_shape=(1, 28, 28))
    yield "convolutions, 28 x 28", images, 784
    yield "GRU, 32 units, 50 points", nnjit.RecurrentClassifier(input_shape=(2, 50)), 100
    lstm = nnjit.RecurrentClassifier(cell="lstm", bidirectional=True, input_shape=(2, 50))
    yield "LSTM, 2 x 32 units, 50 points", lstm, 100


def session_of(model):
    """A session on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    content = to_onnx(model, output="probabilities").SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def measured(calls, rounds):
    """Least CPU microseconds of each call, the calls in turn."""
    counts, found = [], [np.inf] * len(calls)
    for call in calls:
        start = time.process_time()
        for _ in range(5):
            call()
        counts.append(max(1, int(0.02 / max((time.process_time() - start) / 5, 1e-6))))
    for _ in range(rounds):
        for number, (call, count) in enumerate(zip(calls, counts)):
            start = time.process_time()
            for _ in range(count):
                call()
            found[number] = min(found[number], 1e6 * (time.process_time() - start) / count)
    return found


def cells(model, X, rounds):
    """Both libraries' microseconds for each number of rows."""
    session = session_of(model)
    for n in ROWS:
        rows = X[:n]
        expected, found = model.predict_proba(rows), session.run(None, {"X": rows})[0]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        calls = [
            lambda rows=rows: model.predict_proba(rows),
            lambda rows=rows: session.run(None, {"X": rows}),
        ]
        yield from measured(calls, rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    print(f"onnxruntime {onnxruntime.__version__}, nnjit {nnjit.__version__}, microseconds\n")
    print("| network | type | nnjit, 1 row | onnxruntime | nnjit, 1,000 rows | onnxruntime |")
    print("|---|---|--:|--:|--:|--:|")
    for title, model, features in problems():
        for dtype in (np.float32, np.float64):
            X = np.random.default_rng(0).normal(size=(max(ROWS), features)).astype(dtype)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.set_params(max_iter=1, random_state=0).fit(X, X[:, :3].argmax(axis=1))
            numbers = (f"{one:,.0f}" for one in cells(model, X, given.rounds))
            print(f"| {title} | {np.dtype(dtype)} | {' | '.join(numbers)} |", flush=True)


if __name__ == "__main__":
    main()
