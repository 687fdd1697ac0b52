"""Training steps and predictions of a network of series or images, or an autoencoder, by library.

Each function takes (case, dtype, quick) and returns `Steps`: what runs one epoch, and what predicts
one row. What is prepared outside is what a user pays once: imports, data, compiled code.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
from benchmarks.network_cases import RECURRENT, make_parameters, make_rows
from peer_fits import BETAS, EPSILON, LEARNING_RATE, NotHere
from recurrent_fits import jax_recurrent, torch_recurrent

__all__ = ["NETWORK_PEERS", "Steps"]

QUICK_STEPS = 2


class Steps(NamedTuple):
    """What is timed."""

    epoch: object  # runs `count` minibatches
    count: int
    predict: object  # predicts one row


def nnjit_steps(threads):
    """nnjit's engine on a number of threads; None is all.

    Its calls are those of a fit, of which estimators add a part of a millisecond.
    """

    def make(case, dtype, quick):
        if threads:  # before Numba is imported
            os.environ["NUMBA_NUM_THREADS"] = str(threads)
        from nnjit.backends.select import make_engine
        from nnjit.training.loop import batches_per_call

        count = QUICK_STEPS if quick else case.steps
        X, y = make_rows(case, dtype, count)
        network = case.network
        engine = make_engine(network, np.dtype(dtype))
        engine.pack(make_parameters(network, dtype))
        dataset, optimizer = engine.dataset(X, y), engine.optimizer("adam")
        optimizer.learning_rate = LEARNING_RATE
        rng, order = np.random.RandomState(0), np.arange(len(X))
        length = batches_per_call(engine, case.batch)

        def epoch():
            rng.shuffle(order)
            for first in range(0, count, length):
                last = min(count, first + length)
                engine.train(dataset, order, case.batch, optimizer, 0.0, first, last)

        return Steps(epoch, count, lambda: engine.predict(X[:1]))

    return make


def _recurrent(case):
    return any(layer.kind in RECURRENT for layer in case.layers)


def torch_steps(threads, channels_last=False, packed=False):
    """PyTorch, eager, with fused Adam on a number of threads; None is all.

    Images lie channel by channel, or with the channels last; series of unequal length are padded,
    or packed.
    """

    def make(case, dtype, quick):
        if channels_last and len(case.shape) < 3:
            raise NotHere("series and vectors have one memory format")
        if packed and not case.vowels:
            raise NotHere("only series of unequal length are packed")
        try:
            import torch
        except ImportError as error:
            raise NotHere("PyTorch is not installed") from error
        torch.set_num_threads(threads or os.cpu_count())
        torch.manual_seed(0)
        count = QUICK_STEPS if quick else case.steps
        X, y = make_rows(case, dtype, count)
        if _recurrent(case):
            epoch, predict = torch_recurrent(torch, case, X, y, packed)
            return Steps(epoch, count, predict)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        inputs = torch.from_numpy(X.reshape(-1, *case.shape)).contiguous(memory_format=layout)
        target = torch.from_numpy(y)
        model = _torch_module(torch, case.network).to(inputs.dtype).to(memory_format=layout)
        optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, BETAS, EPSILON, fused=True)
        loss_function = torch.nn.CrossEntropyLoss() if case.classes else torch.nn.MSELoss()

        def epoch():
            model.train()
            for rows in torch.split(torch.randperm(len(inputs)), case.batch):
                optimizer.zero_grad(set_to_none=True)
                loss_function(model(inputs[rows]), target[rows]).backward()
                optimizer.step()

        def predict():
            model.eval()
            with torch.inference_mode():
                return model(inputs[:1]).numpy()

        return Steps(epoch, count, predict)

    return make


def _torch_module(torch, network):
    """The network in PyTorch."""
    axes, modules = len(network.shape) - 1, []
    for layer, shape in zip(network.layers, network.shapes):
        modules += _torch_layer(torch.nn, layer, shape, axes)
    return torch.nn.Sequential(*modules)


def _torch_layer(nn, layer, shape, axes):
    """Modules that do what a layer does, of the kinds in the cases."""
    of = {1: "1d", 2: "2d"}.get(axes)
    if layer.kind == "convolution":
        made = getattr(nn, f"Conv{of}")(
            shape[0], layer.filters, layer.kernel_size, padding=_torch_padding(layer)
        )
    elif layer.kind == "dense":
        made = nn.Linear(shape, layer.units)
    elif layer.kind == "normalization":
        made = getattr(nn, f"BatchNorm{of}")(shape[0])
    elif layer.kind == "pooling":
        made = getattr(nn, f"MaxPool{of}")(layer.size)
    elif layer.kind == "global_pooling":
        return [getattr(nn, f"AdaptiveAvgPool{of}")(1), nn.Flatten()]
    else:
        made = nn.Flatten()
    return [made, nn.ReLU()] if getattr(layer, "activation", None) == "relu" else [made]


def _torch_padding(layer):
    """A number where both sides get as many, which PyTorch is faster with than with 'same'."""
    if layer.padding == "same" and layer.kernel_size % 2:
        return layer.kernel_size // 2
    return layer.padding


def jax_steps(threads):
    """JAX, jitted as a whole, on a number of threads; None is all. For recurrent networks."""

    def make(case, dtype, quick):
        if not _recurrent(case):
            raise NotHere("JAX goes with recurrent networks")
        if threads:  # before JAX is imported
            os.environ["NPROC"] = str(threads)
            os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        try:
            import jax
        except ImportError as error:
            raise NotHere("JAX is not installed") from error
        jax.config.update("jax_enable_x64", dtype == "float64")
        count = QUICK_STEPS if quick else case.steps
        epoch, predict = jax_recurrent(jax, case, *make_rows(case, dtype, count))
        return Steps(epoch, count, predict)

    return make


NETWORK_PEERS = {
    "nnjit, 1 thread": nnjit_steps(1),
    "nnjit, all threads": nnjit_steps(None),
    "PyTorch, 1 thread": torch_steps(1),
    "PyTorch, all threads": torch_steps(None),
    "PyTorch, 1 thread, channels last": torch_steps(1, channels_last=True),
    "PyTorch, all threads, channels last": torch_steps(None, channels_last=True),
    "PyTorch, 1 thread, packed": torch_steps(1, packed=True),
    "PyTorch, all threads, packed": torch_steps(None, packed=True),
    "JAX, 1 thread": jax_steps(1),
    "JAX, all threads": jax_steps(None),
}
