"""The guide's table of an estimator for tables in onnxruntime beside its own predictions.

    python asv_bench/interchange_of_tables.py              the least of 15 rounds
    python asv_bench/interchange_of_tables.py --rounds 30

CPU microseconds of one thread for a frame of one row and of 1,000, in turn: `predict_proba`, what
`feeds` takes to make tensors of the frame, and a session's `run` of these.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import onnxruntime
import pandas as pd
from interchange_table import ROWS, measured  # sets the number of threads

from nnjit import TabularClassifier
from nnjit.interop.onnx import feeds, to_onnx


def table(n):
    """Eight numbers, four categories of 5 words and two of 40, and a date."""
    rng = np.random.default_rng(0)
    columns = {f"number {k}": rng.normal(size=n) for k in range(8)}
    columns |= {f"kind {k}": rng.choice([*"abcde"], n) for k in range(4)}
    columns |= {f"shop {k}": rng.choice([f"shop {j}" for j in range(40)], n) for k in range(2)}
    seconds = rng.integers(0, 10**8, n)
    columns["when"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(seconds, unit="s")
    return pd.DataFrame(columns)


def cells(preset, rounds):
    """Size, and microseconds of the three for each number of rows."""
    X = table(2000)
    model = TabularClassifier(preset, max_iter=4, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, (X["number 0"] > 0) ^ (X["kind 0"] == "b"))
    exported = to_onnx(model, X)
    content = exported.SerializeToString()
    yield f"{len(model.members_)}"
    yield f"{len(content) / 1024:,.0f} kB"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    for n in ROWS:
        rows = X[:n]
        given = feeds(session, rows)
        found = session.run(["probabilities"], given)[0]
        np.testing.assert_allclose(found, model.predict_proba(rows), atol=1e-5)
        calls = [
            lambda rows=rows: model.predict_proba(rows),
            lambda rows=rows: feeds(session, rows),
            lambda given=given: session.run(["probabilities"], given),
        ]
        yield from (f"{one:,.0f}" for one in measured(calls, rounds))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    each = [f"{rows}, {what}" for rows in ("1 row", "1,000 rows")
            for what in ("`predict_proba`", "`feeds`", "onnxruntime")]  # fmt: skip
    print(f"| preset | members | file | {' | '.join(each)} |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for preset in ("fast", "default"):
        print(f"| `{preset}` | {' | '.join(cells(preset, given.rounds))} |", flush=True)


if __name__ == "__main__":
    main()
