"""PyTorch's recurrent layers, one by one and in networks, as expectations for ours.

    python tests/layers/recurrence/pytorch_recurrence.py        writes pytorch_recurrence.json anew

needs NumPy and PyTorch. Series of unequal length are packed there. `to_pytorch` and `from_pytorch`
say how parameters of the one are those of the other.

A layer is a tuple: its kind, and then

- rnn, gru, lstm: units, bidirectional, return_sequences, activation (None but for rnn)
- convolution: filters, kernel (odd), activation
- global_pooling: method
- dense: units, activation
"""

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix(".json")
STEPS, RATE, BATCH, OUTPUTS, SAMPLES = 20, 0.02, 11, 3, 24
EPSILON, MOMENTUM = 1e-4, 0.9
SHOWN = 4  # elements of each array that are kept
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
SOLVERS = "sgd", "adamw"
WHOLE, UNEQUAL = (9,) * 5, (9, 7, 7, 4, 1)  # the longest first, as they stand in a block

CELLS = {
    "tanh": ("rnn", "tanh"), "relu": ("rnn", "relu"), "gru": ("gru", None), "lstm": ("lstm", None),
}  # fmt: skip
# name -> (layer, points of each row)
LAYERS = {
    f"{name}{', both ways' * both}{', all states' * every}{', unequal' * (lengths is UNEQUAL)}": (
        (kind, 6, both, every, activation),
        lengths,
    )
    for name, (kind, activation) in CELLS.items()
    for both, every, lengths in [
        (False, False, UNEQUAL),
        (False, True, UNEQUAL),
        (True, False, UNEQUAL),
        (True, True, UNEQUAL),
        (True, True, WHOLE),
    ]
}
CHANNELS, POINTS = 3, 12
END = ("dense", OUTPUTS, "identity")
AT_POINTS = ("convolution", OUTPUTS, 1, "identity")  # in place of END: a target at every point
# name -> (whether lengths are unequal, layers)
NETWORKS = {
    "gru": (True, [("gru", 6, False, False, None), END]),
    "lstm both ways, gru": (
        True,
        [("lstm", 4, True, True, None), ("gru", 5, False, False, None), END],
    ),
    "convolution, tanh both ways, mean": (
        True,
        [
            ("convolution", 5, 3, "relu"), ("rnn", 4, True, True, "tanh"),
            ("global_pooling", "mean"), END,
        ],
    ),
    "relu, relu, dense": (
        False,
        [
            ("rnn", 6, False, True, "relu"), ("rnn", 5, False, False, "relu"),
            ("dense", 4, "tanh"), END,
        ],
    ),
    "gru, at every point": (False, [("gru", 5, False, True, None), AT_POINTS]),
    "lstm both ways, at every point": (True, [("lstm", 4, True, True, None), AT_POINTS]),
}  # fmt: skip


def to_pytorch(torch, kind, arrays):
    """PyTorch's parameters by their names, of tensors in our order.

    Its matrices are ours transposed. It has two vectors of biases, of which only the sum counts but
    for the new state of a GRU: the second one is 0 where that is so.
    """
    count, found = 4 if kind == "gru" else 3, {}
    for number, suffix in zip(range(0, len(arrays), count), ("", "_reverse")):
        weights, recurrent, biases, *own = arrays[number : number + count]
        found[f"weight_ih_l0{suffix}"], found[f"weight_hh_l0{suffix}"] = weights.T, recurrent.T
        found[f"bias_ih_l0{suffix}"] = biases
        zeros = torch.zeros_like(biases)
        found[f"bias_hh_l0{suffix}"] = (
            torch.cat([zeros[len(own[0]) :], *own]) if kind == "gru" else zeros
        )
    return found


def from_pytorch(kind, state):
    """Our arrays from the arrays or tensors of PyTorch's layer by their names."""
    found = []
    for suffix in ("", "_reverse"):
        if f"weight_ih_l0{suffix}" not in state:
            continue
        weights, recurrent, biases, more = (
            np.asarray(state[f"{name}_l0{suffix}"])
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        biases, own = biases + more, more[-len(more) // 3 :]
        if kind == "gru":
            biases[-len(own) :] -= own
        found += [weights.T, recurrent.T, biases, *([own] if kind == "gru" else [])]
    return found


def module_of_pytorch(torch, layer, channels):
    kind, units, both, _, activation = layer
    options = {"nonlinearity": activation} if kind == "rnn" else {}
    module = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind]
    return module(channels, units, batch_first=True, bidirectional=both, **options).double()


def recur_by_pytorch(torch, layer, x, arrays, lengths):
    """Outputs for x (n, channels, time), and the last states, each (directions, n, units)."""
    pack = torch.nn.utils.rnn
    packed = pack.pack_padded_sequence(
        x.transpose(1, 2), lengths, batch_first=True, enforce_sorted=False
    )
    module = module_of_pytorch(torch, layer, x.shape[1])
    named = to_pytorch(torch, layer[0], arrays)
    outputs, last = torch.func.functional_call(module, named, (packed,))
    last = last if layer[0] == "lstm" else (last,)
    if layer[3]:
        padded, _ = pack.pad_packed_sequence(outputs, batch_first=True, total_length=x.shape[2])
        return padded.transpose(1, 2), last
    return torch.cat(list(last[0]), dim=1), last


def recurrent_arrays(layer, channels, rng):
    kind, units, both, *_ = layer
    width, found = units * GATES[kind], []
    for _ in range(2 if both else 1):
        found += [
            rng.normal(size=(channels, width)) / np.sqrt(channels),
            rng.normal(size=(units, width)) / np.sqrt(units),
            rng.normal(0, 0.3, width),
        ]
        if kind == "gru":
            found.append(rng.normal(0, 0.3, units))
    return found


def layer_problem(layer, lengths, channels=CHANNELS, seed=0):
    """(x, 0 behind the ends of its rows; parameters; what the outputs are multiplied with)."""
    rng, (_, units, both, every, _) = np.random.default_rng(seed), layer
    x = rng.normal(size=(len(lengths), channels, max(lengths)))
    for row, length in zip(x, lengths):
        row[:, length:] = 0
    arrays = recurrent_arrays(layer, channels, rng)
    width = units * (2 if both else 1)
    return x, arrays, rng.normal(size=(len(x), width, x.shape[2]) if every else (len(x), width))


def layer_of_pytorch(layer, lengths, channels=CHANNELS, seed=0):
    """Outputs, and gradients by x and by each parameter."""
    torch = torch_on_one_thread()
    x, arrays, delta = layer_problem(layer, lengths, channels, seed)
    leaves = [torch.tensor(array, requires_grad=True) for array in (x, *arrays)]
    outputs, _ = recur_by_pytorch(torch, layer, leaves[0], leaves[1:], torch.tensor(lengths))
    (outputs * torch.tensor(delta)).sum().backward()
    return [outputs.detach().numpy(), *(one.grad.numpy() for one in leaves)]


def network_problem(name):
    """(parameters by layer, X with NaN behind its rows, lengths, classes, rows of each step)."""
    unequal, layers = NETWORKS[name]
    rng, arrays, channels = np.random.default_rng(list(NETWORKS).index(name) + 50), [], CHANNELS
    for layer in layers:
        if layer[0] in GATES:
            arrays.append(recurrent_arrays(layer, channels, rng))
            channels = layer[1] * (2 if layer[2] else 1)
        elif layer[0] == "global_pooling":
            arrays.append([])
        else:
            kernel = (layer[2],) if layer[0] == "convolution" else ()
            weights = rng.normal(size=(*kernel, channels, layer[1]))
            arrays.append(
                [weights / np.sqrt(np.prod(weights.shape[:-1])), rng.normal(0, 0.2, layer[1])]
            )
            channels = layer[1]
    X, lengths = rng.normal(size=(SAMPLES, CHANNELS, POINTS)), np.full(SAMPLES, POINTS)
    if unequal:
        lengths = rng.integers(1, POINTS + 1, SAMPLES)
        for row, length in zip(X, lengths):
            row[:, length:] = np.nan
    y = rng.integers(0, OUTPUTS, (SAMPLES, POINTS) if layers[-1] is AT_POINTS else SAMPLES)
    return arrays, X, lengths, y, [rng.permutation(SAMPLES)[:BATCH] for _ in range(STEPS)]


def torch_on_one_thread():
    """PyTorch, whose threads wait for each other longer than networks as small as these take."""
    import torch

    torch.set_num_threads(1)
    return torch


class RecurrentNetworkOfPyTorch:
    """A network with these parameters."""

    def __init__(self, torch, layers, arrays):
        self.torch, self.layers = torch, layers
        self.parameters = [[torch.tensor(one, requires_grad=True) for one in own] for own in arrays]

    def logits(self, x, lengths):
        there = self.torch.arange(x.shape[2]) < lengths[:, None]
        for layer, own in zip(self.layers, self.parameters):
            x = self.after(layer, x, own, lengths, there[:, None])
        return x

    def after(self, layer, x, own, lengths, there):
        kind, *options = layer
        functions = self.torch.nn.functional
        phi = {"relu": self.torch.relu, "tanh": self.torch.tanh}.get(options[-1], lambda z: z)
        if kind in GATES:
            return recur_by_pytorch(self.torch, layer, x, own, lengths)[0]
        if kind == "global_pooling":
            return x.sum(dim=2) / lengths[:, None]
        if kind == "convolution":
            z = functions.conv1d(x, own[0].permute(2, 1, 0), own[1], padding=options[1] // 2)
            return phi(z) * there
        return phi(x @ own[0] + own[1])

    def loss(self, x, lengths, y):
        """Mean over rows, or over the points that these have."""
        logits, cross_entropy = self.logits(x, lengths), self.torch.nn.functional.cross_entropy
        if logits.ndim == 2:
            return cross_entropy(logits, y)
        there = self.torch.arange(x.shape[2]) < lengths[:, None]
        return cross_entropy(logits.transpose(1, 2)[there], y[there])

    def outputs(self, x, lengths):
        """Shares of the classes, (n, K) or (n, time, K) with 0 behind the ends of rows."""
        with self.torch.no_grad():
            found = self.torch.softmax(self.logits(x, lengths), dim=1)
            if found.ndim > 2:
                found = found.transpose(1, 2)
                found = found * (self.torch.arange(x.shape[2]) < lengths[:, None])[..., None]
        return found.numpy()

    @property
    def arrays(self):
        return [one for own in self.parameters for one in own]


def steps_of_pytorch(name, solver):
    """Parameters after the steps, the loss of the last one, and the outputs of all rows then."""
    torch = torch_on_one_thread()
    arrays, X, lengths, y, steps = network_problem(name)
    network = RecurrentNetworkOfPyTorch(torch, NETWORKS[name][1], arrays)
    X, lengths, y = torch.tensor(np.nan_to_num(X)), torch.tensor(lengths), torch.tensor(y)
    optimizer = (
        torch.optim.AdamW(network.arrays, lr=RATE, eps=EPSILON, weight_decay=0.0)
        if solver == "adamw"
        else torch.optim.SGD(network.arrays, lr=RATE, momentum=MOMENTUM)
    )
    for rows in steps:
        loss = network.loss(X[rows], lengths[rows], y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = [one.detach().numpy() for one in network.arrays]
    return [*found, np.array(loss.item()), network.outputs(X, lengths)]


def all_of_pytorch():
    found = {name: layer_of_pytorch(*case) for name, case in LAYERS.items()}
    return found | {
        f"{name}, {solver}": steps_of_pytorch(name, solver)
        for name in NETWORKS
        for solver in SOLVERS
    }


def brief(array):
    """What is stored of an array: two sums, which see every element, and some elements."""
    values = np.ravel(array)
    return np.array([values.sum(), values @ np.cos(np.arange(values.size)), *values[:SHOWN]])


def stored():
    """What PyTorch has found, by name, as `brief` has it."""
    found = json.loads(FILE.read_text())
    return {name: [np.array(array) for array in arrays] for name, arrays in found.items()}


if __name__ == "__main__":
    lists = {name: [brief(a).tolist() for a in arrays] for name, arrays in all_of_pytorch().items()}
    lines = [f"{json.dumps(name)}: {json.dumps(arrays)}" for name, arrays in lists.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
