"""The runs whose files of earlier versions are in `former/`: small, and without random data.

Files of the format before are written anew, by a checkout of a version that has it, with
``PYTHONPATH=CHECKOUT/src python tests/trust/former_problem.py``.
"""

import pickle
import sys
import warnings
from pathlib import Path

import numpy as np

import nnjit

FOLDER = Path(__file__).parent / "former"
SOLVERS = {
    "adam": {"solver": "adam", "early_stopping": True, "validation_fraction": 0.25},
    "sgd": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.05},
}
EPOCHS = 3  # done where the files end


def data():
    """Rows and the targets of two outputs."""
    grid = np.arange(24.0)
    X = np.column_stack([np.cos(grid), np.sin(3 * grid), grid / 12 - 1])
    return X, np.column_stack([X[:, 0] * X[:, 2], X[:, 1]])


def model_for(solver, **parameters):
    """The network of the files of a solver, not fitted."""
    return nnjit.MLPRegressor(
        hidden_layer_sizes=(4, 2), activation="tanh", batch_size=5, random_state=3,
        n_iter_no_change=100, **SOLVERS[solver], **parameters,
    )  # fmt: skip


def fitted(solver, **parameters):
    """The network after some epochs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model_for(solver, **parameters).fit(*data())


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for solver in SOLVERS:
        (FOLDER / f"{solver}.checkpoint").unlink(missing_ok=True)
        fitted(solver, max_iter=EPOCHS, checkpoint=FOLDER / f"{solver}.checkpoint")
        (FOLDER / f"{solver}.pickle").write_bytes(pickle.dumps(fitted(solver, max_iter=EPOCHS)))
    sys.stdout.write(f"{nnjit.__version__} {nnjit.__file__}\n")
