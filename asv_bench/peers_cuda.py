"""The fits of peers.py on a GPU, and a prediction from rows that lie there.

PyTorch runs eager and with a CUDA graph per minibatch, JAX an epoch per jitted scan, nnjit as a
user calls it, on the GPU and on the CPU. Whole fits from NumPy arrays, copies to the device
included. Products are in full precision: TF32 is off, as is PyTorch's default.
"""

from __future__ import annotations

import os
import warnings

import numpy as np
from benchmarks.cases import GPU_PREDICTION, estimator, make_data
from peer_fits import ALPHA, BETAS, EPSILON, LEARNING_RATE, NotHere, jax_fit, nnjit_fit

__all__ = ["BUDGETS", "CUDA_PEERS", "cuda_machine", "cuda_table", "why_no_gpu"]

# Least ratio of a peer's float32 time to ours: (PyTorch eager, better of CUDA graph and JAX).
SMALL, LARGE = (5.0, 1.0), (1.0, None)
BUDGETS = {
    **dict.fromkeys(
        ("150x4, 10, 32", "210x7, 16-16, 32", "1797x64, 100, 200", "20640x8, 100, 200",
         "20640x8, 64-64, 64"), SMALL,
    ),
    "60000x784, 512-512, 128": LARGE,
    f"predict {GPU_PREDICTION.name}": LARGE,
}  # fmt: skip


def why_no_gpu():
    """None if there is a GPU for nnjit, else what is missing."""
    from nnjit.backends.cuda import _cuda

    return "this is Numba's simulator" if _cuda.SIMULATED else _cuda.why_unavailable()


def nnjit_here(device):
    """nnjit on the GPU, or on the CPU beside it."""

    def make(case, dtype):
        if case is not GPU_PREDICTION:
            return nnjit_fit(case, dtype, device)
        import nnjit

        X, model = _fitted(nnjit, case, dtype)
        if device == "cpu":
            return lambda: model.predict_proba(X)
        from numba import cuda

        model.set_params(device=device)
        rows = cuda.to_device(X)

        def predict():
            model.predict_proba(rows)
            cuda.synchronize()

        return predict

    return make


def _fitted(library, case, dtype):
    """Rows, and a network with its shape; what it has learned does not matter."""
    X, y = make_data(case, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return X, estimator(library, case).fit(X[:1000], np.arange(1000) % case.classes)


def _torch():
    try:
        import torch
    except ImportError as error:
        raise NotHere("PyTorch is not installed") from error
    if not torch.cuda.is_available():
        raise NotHere("PyTorch sees no CUDA device")
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch


class _TorchFit:
    """Network, data and optimizer of one fit on the GPU."""

    def __init__(self, torch, case, X, y):
        torch.manual_seed(0)
        self.torch, self.case = torch, case
        self.inputs = torch.from_numpy(X).to("cuda")
        self.target = torch.from_numpy(y if case.classes else y[:, None]).to("cuda")
        self.network = _torch_network(torch, case, self.inputs.dtype)
        self.loss = torch.nn.CrossEntropyLoss() if case.classes else _half_squared_error
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), LEARNING_RATE, BETAS, EPSILON, weight_decay=ALPHA,
            fused=True, capturable=True,
        )  # fmt: skip

    def step(self, rows):
        self.loss(self.network(self.inputs[rows]), self.target[rows]).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def orders(self):
        """The minibatches of every epoch."""
        for _ in range(self.case.epochs):
            order = self.torch.randperm(self.case.rows, device="cuda")
            yield self.torch.split(order, self.case.batch)


def _torch_network(torch, case, dtype):
    layers = []
    for n_in, n_out in zip(case.widths, case.widths[1:]):
        layers += [torch.nn.Linear(n_in, n_out, dtype=dtype, device="cuda"), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def _half_squared_error(output, target):
    return 0.5 * ((output - target) ** 2).mean()


def torch_eager(case, dtype):
    """PyTorch, an operation at a time."""
    torch = _torch()
    X, y = make_data(case, dtype)
    if case is GPU_PREDICTION:
        return _torch_prediction(torch, case, X)

    def fit():
        state = _TorchFit(torch, case, X, y)
        for batches in state.orders():
            for rows in batches:
                state.step(rows)
        torch.cuda.synchronize()

    return fit


def _torch_prediction(torch, case, X):
    rows = torch.from_numpy(X).to("cuda")
    network = _torch_network(torch, case, rows.dtype)

    def predict():
        with torch.inference_mode():
            torch.softmax(network(rows), dim=1)
        torch.cuda.synchronize()

    return predict


def torch_graph(case, dtype):
    """PyTorch with a minibatch captured as a CUDA graph; the short last one runs eager.

    Warm-up and capture, like all compiling here, are no part of a fit; weights and moments
    simply go on from fit to fit.
    """
    torch = _torch()
    if case is GPU_PREDICTION:
        raise NotHere("a prediction is one forward pass")
    X, y = make_data(case, dtype)
    state = _TorchFit(torch, case, X, y)
    rows = torch.arange(case.batch, device="cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            state.step(rows)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        state.step(rows)

    def fit():
        state.inputs.copy_(torch.from_numpy(X))
        state.target.copy_(torch.from_numpy(y if case.classes else y[:, None]))
        for batches in state.orders():
            for batch in batches:
                if len(batch) == case.batch:
                    rows.copy_(batch)
                    graph.replay()
                else:
                    state.step(batch)
        torch.cuda.synchronize()

    return fit


def jax_scan(case, dtype):
    """JAX with an epoch in one jitted scan; a prediction as one jitted call."""
    # The process is one library's own: nothing else wants the memory, and nothing is taken ahead.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    if case is not GPU_PREDICTION:
        return jax_fit(case, dtype, "cuda")
    raise NotHere("predictions are compared with PyTorch")


CUDA_PEERS = {
    "nnjit": nnjit_here("cuda"),
    "nnjit, CPU": nnjit_here("cpu"),
    "PyTorch": torch_eager,
    "PyTorch, CUDA graph": torch_graph,
    "JAX": jax_scan,
}


def cuda_machine():
    """Name and driver of the GPU."""
    from numba import cuda

    device = cuda.get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else device.name
    return {"name": name, "compute_capability": list(device.compute_capability), "tf32": False}


def cuda_table(rows):
    """Seconds by library and ratios to ours as a Markdown table; ! marks a missed budget."""
    peers = list(CUDA_PEERS)
    lines = [
        f"| case | dtype | {' | '.join(peers)} | CPU / GPU | eager / nnjit (budget) "
        "| graph or JAX / nnjit (budget) |",
        "|---|---|" + "--:|" * (len(peers) + 3),
    ]
    for row in rows:
        seconds = {p: t and t["median"] for p, t in row["times"].items()}
        budget = (
            BUDGETS.get(row["case"], (None, None)) if row["dtype"] == "float32" else (None,) * 2
        )
        compiled = [s for p in ("PyTorch, CUDA graph", "JAX") if (s := seconds.get(p))]
        cells = ["-" if not (s := seconds.get(p)) else f"{1e3 * s:.3g} ms" for p in peers]
        ours = seconds.get("nnjit")
        cells += [
            _ratio(seconds.get("nnjit, CPU"), ours, None),
            _ratio(seconds.get("PyTorch"), ours, budget[0]),
            _ratio(min(compiled, default=None), ours, budget[1]),
        ]
        lines.append("| " + " | ".join([row["case"], row["dtype"], *cells]) + " |")
    return "\n".join(lines)


def _ratio(theirs, ours, budget):
    if not (theirs and ours):
        return "-"
    ratio = theirs / ours
    missed = " !" if budget and ratio < budget else ""
    return f"{ratio:.1f}" + (f" ({budget:g})" if budget else "") + missed
