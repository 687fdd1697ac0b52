"""What the subprocesses of these tests do, and what they print for comparison.

Importable, so that processes started by spawn or by joblib find the functions too. With
NNJIT_TEST_DRIVER=parallel (or serial) the choice of the driver, left to the clock otherwise, is
forced in every process that imports this.
"""

import hashlib
import os
import warnings

import numpy as np

warnings.simplefilter("ignore")


def force(driver):
    """Run every piece of work that may be shared among threads by the named driver."""
    from nnjit.backends import tuner

    def run(tuner, function, first, last):
        function(driver == "parallel", first, last)

    tuner.Tuner.run = run


if os.environ.get("NNJIT_TEST_DRIVER"):
    force(os.environ["NNJIT_TEST_DRIVER"])


def data(dtype="float64", n_samples=600, n_features=64):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((n_samples, n_features)).astype(dtype)
    return X, (X[:, :3] @ [1.0, -2.0, 0.5] > 0).astype(int) + (X[:, 4] > 1)


def classifier(**parameters):
    """Network whose minibatches are shared among threads (see PARALLEL_TRAIN)."""
    from nnjit import MLPClassifier

    return MLPClassifier(
        **{"hidden_layer_sizes": (150,), "max_iter": 2, "random_state": 0, **parameters}
    )


def small(dtype="float64"):
    """Fit a network that always runs serially."""
    X, y = data(dtype, 60, 5)
    return digest(classifier(hidden_layer_sizes=(7,)).fit(X, y), X)


def large(dtype="float64", seed=0):
    """Fit and predict on as many threads as the process has."""
    X, y = data(dtype)
    return digest(classifier(random_state=seed).fit(X, y), np.tile(X, (8, 1)))


def members(dtype="float64", seed=0, n_members=3):
    """Fit networks beside one another, in as many threads as the process has."""
    from nnjit import AutoEncoder

    X, _ = data(dtype, 300, 40)
    model = AutoEncoder(4, (150,), n_members=n_members, max_iter=2, random_state=seed).fit(X)
    return "".join(digest_of(one.coefs_) for one in (model, *model.members_))


def losses(dtype="float64"):
    """Fit by losses of every form, as `large` does."""
    from nnjit import MLPRegressor

    X, y = data(dtype)
    found = [
        digest(classifier(loss="squared_error", label_smoothing=0.1).fit(X, y), X),
        digest(classifier(loss="focal").fit(X, y), X),
    ]
    for options in ({"loss": "quantile", "quantile": [0.9, 0.1]}, {"output_activation": "tanh"}):
        model = MLPRegressor(hidden_layer_sizes=(150,), max_iter=2, random_state=0, **options)
        model.predict_proba = model.fit(X, X[:, 0]).predict
        found.append(digest(model, X))
    found += [policy(*pair, dtype) for pair in POLICIES]
    return hashlib.sha256("".join(found).encode()).hexdigest()[:16]


POLICIES = (("clipped_policy", "softmax"), ("clipped_gaussian_policy", "identity"))


def policy(loss, output, dtype):
    """Hash of a network of a loss by row after an epoch."""
    from nnjit.backends.cpu import CpuEngine
    from nnjit.layers.network import mlp

    network, rng = mlp(64, (150,), 4, "tanh", loss, output), np.random.RandomState(0)
    engine = CpuEngine(network, np.dtype(dtype))
    engine.pack([0.1 * rng.standard_normal(one.shape) for _, one in network.parameters()])
    X, _ = data(dtype)
    y = rng.standard_normal((len(X), 3 if output == "softmax" else 4)).astype(dtype)
    if output == "softmax":
        y[:, 0] = np.arange(len(X)) % 4
    optimizer = engine.optimizer("adam")
    optimizer.learning_rate = 0.01
    dataset, order = engine.dataset(X, y), np.arange(len(X))
    loss = engine.train(dataset, order, 200, optimizer, 0.1, 0, 3).loss
    parts = [np.array(loss), *engine.unpack()]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]


def digest(model, X):
    """Hash of the parameters, the losses and the predictions, to the bit."""
    parts = [*model.coefs_, *model.intercepts_, model.loss_curve_, model.predict_proba(X)]
    return digest_of(parts)


def digest_of(arrays):
    return hashlib.sha256(b"".join(np.asarray(one).tobytes() for one in arrays)).hexdigest()[:16]


def compiled():
    """Count compilations from now on; returns the list that they are added to."""
    from nnjit.core.compiler import cache

    names, save = [], cache.KernelCache.save_overload

    def counted(self, sig, data):
        names.append(self._function.__name__)
        save(self, sig, data)

    cache.KernelCache.save_overload = counted
    return names


def layer():
    """Name of the threading layer that runs, '' if none was started."""
    import numba

    try:
        return numba.threading_layer()
    except ValueError:
        return ""
