"""One fit of a case by each library: same data, epochs, minibatch sizes and Adam settings.

Each function takes (case, dtype, device) and returns a callable that runs one whole fit from
NumPy arrays and leaves nothing running. What is prepared outside the callable is what a user
pays once: imports, data, compiled code.
"""

from __future__ import annotations

import os
import warnings

import numpy as np
from benchmarks.cases import estimator, make_data

__all__ = ["PEERS", "NotHere", "prepare"]

LEARNING_RATE, BETAS, EPSILON, ALPHA = 1e-3, (0.9, 0.999), 1e-8, 1e-4


class NotHere(Exception):
    """The library, or the device in it, is missing."""


def _scikit_learn_like(library, case, dtype, options):
    X, y = make_data(case, dtype)
    model = estimator(library, case, **options)

    def fit():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X, y)

    return fit


def nnjit_fit(case, dtype, device):
    """nnjit as a user calls it."""
    import nnjit

    options = {} if device == "cpu" else {"device": device}
    try:
        return _scikit_learn_like(nnjit, case, dtype, options)
    except TypeError as error:
        raise NotHere(f"nnjit has no device {device!r}") from error


def scikit_learn_fit(case, dtype, device):
    """scikit-learn, always on the CPU."""
    import sklearn.neural_network

    return _scikit_learn_like(sklearn.neural_network, case, dtype, {})


def torch_fit(threads):
    """PyTorch with fused Adam on a given number of threads; None is all."""

    def make(case, dtype, device):
        try:
            import torch
        except ImportError as error:
            raise NotHere("PyTorch is not installed") from error
        if device == "cuda" and not torch.cuda.is_available():
            raise NotHere("PyTorch sees no CUDA device")
        torch.set_num_threads(threads or os.cpu_count())
        X, y = make_data(case, dtype)

        def fit():
            _torch_train(torch, case, X, y, device)
            if device == "cuda":
                torch.cuda.synchronize()

        return fit

    return make


def _torch_train(torch, case, X, y, device):
    torch.manual_seed(0)
    inputs = torch.from_numpy(X).to(device)
    target = torch.from_numpy(y if case.classes else y[:, None]).to(device)
    layers = []
    for n_in, n_out in zip(case.widths, case.widths[1:]):
        layers += [torch.nn.Linear(n_in, n_out, dtype=inputs.dtype, device=device), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    loss_function = torch.nn.CrossEntropyLoss() if case.classes else _half_squared_error
    # weight_decay is added to the gradient, as L2 in scikit-learn is, without dividing by the
    # batch: another strength, the same work.
    optimizer = torch.optim.Adam(
        network.parameters(), LEARNING_RATE, BETAS, EPSILON, weight_decay=ALPHA, fused=True
    )
    for _ in range(case.epochs):
        order = torch.randperm(case.rows, device=device)
        for rows in torch.split(order, case.batch):
            optimizer.zero_grad(set_to_none=True)
            loss_function(network(inputs[rows]), target[rows]).backward()
            optimizer.step()


def _half_squared_error(output, target):
    return 0.5 * ((output - target) ** 2).mean()


def jax_fit(case, dtype, device):
    """JAX with a whole epoch, gathering included, in one jitted `lax.scan`."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu" if device == "cpu" else "cuda")
    try:
        import jax
    except ImportError as error:
        raise NotHere("JAX is not installed") from error
    jax.config.update("jax_enable_x64", dtype == "float64")
    try:
        target_device = jax.devices()[0]
    except RuntimeError as error:
        raise NotHere(f"JAX sees no device {device!r}") from error
    X, y = make_data(case, dtype)
    epoch = _jax_epoch(jax, case)

    def fit():
        rng = np.random.default_rng(0)
        inputs, target = (jax.device_put(array, target_device) for array in (X, y))
        parameters = [_jax_layer(rng, shape, dtype) for shape in zip(case.widths, case.widths[1:])]
        zeros = jax.tree.map(np.zeros_like, parameters)
        state = jax.device_put((parameters, zeros, zeros, np.zeros((), dtype)), target_device)
        for _ in range(case.epochs):
            state, _ = epoch(state, inputs, target, rng.permutation(case.rows))
        jax.block_until_ready(state)

    return fit


def _jax_layer(rng, shape, dtype):
    bound = np.sqrt(6 / sum(shape))
    return rng.uniform(-bound, bound, shape).astype(dtype), np.zeros(shape[1], dtype)


def _jax_epoch(jax, case):
    """The jitted epoch: a scan over the full minibatches, then the short last one."""
    jnp = jax.numpy
    n_full = case.rows // case.batch

    def loss(parameters, inputs, target):
        hidden = inputs
        for weights, bias in parameters[:-1]:
            hidden = jax.nn.relu(hidden @ weights + bias)
        output = hidden @ parameters[-1][0] + parameters[-1][1]
        if case.classes:
            chosen = jnp.take_along_axis(jax.nn.log_softmax(output), target[:, None], axis=1)
            value = -jnp.mean(chosen)
        else:
            value = 0.5 * jnp.mean((output[:, 0] - target) ** 2)
        squares = sum(jnp.sum(weights**2) for weights, _ in parameters)
        return value + 0.5 * ALPHA / len(inputs) * squares

    def step(state, inputs, target):
        parameters, first, second, t = state
        value, gradient = jax.value_and_grad(loss)(parameters, inputs, target)
        t = t + 1
        rate = LEARNING_RATE * jnp.sqrt(1 - BETAS[1] ** t) / (1 - BETAS[0] ** t)
        first = jax.tree.map(lambda m, g: BETAS[0] * m + (1 - BETAS[0]) * g, first, gradient)
        second = jax.tree.map(lambda v, g: BETAS[1] * v + (1 - BETAS[1]) * g**2, second, gradient)
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPSILON), parameters, first, second
        )
        return (parameters, first, second, t), value

    def epoch(state, inputs, target, order):
        full = order[: n_full * case.batch].reshape(n_full, case.batch)
        state, losses = jax.lax.scan(
            lambda s, rows: step(s, inputs[rows], target[rows]), state, full
        )
        rest = order[n_full * case.batch :]
        if len(rest):
            state, _ = step(state, inputs[rest], target[rest])
        return state, losses

    return jax.jit(epoch, donate_argnums=0)


PEERS = {
    "nnjit": nnjit_fit,
    "scikit-learn": scikit_learn_fit,
    "PyTorch, 1 thread": torch_fit(1),
    "PyTorch, all threads": torch_fit(None),
    "JAX": jax_fit,
}


def prepare(peer, case, dtype, device):
    """The callable of one fit (or prediction, see peers_cuda.py) by a library, run once already.

    Parameters
    ----------
    peer : str
        A name in PEERS.
    case : Case
    dtype : {"float32", "float64"}
    device : {"cpu", "cuda"}

    Returns
    -------
    callable

    Raises
    ------
    NotHere
        If the library or its device is missing.
    """
    if device == "cpu":
        fit = PEERS[peer](case, dtype, device)
    else:
        from peers_cuda import CUDA_PEERS

        fit = CUDA_PEERS[peer](case, dtype)
    fit()
    return fit
