"""A training engine in plain NumPy with the interface of the compiled ones.

The same seam as `nnjit.backends.cpu.CpuEngine`, a dozen lines per idea, no threads, no compilation:
an oracle for the loop and the estimators, and a stand-in that starts in no time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit, xlogy

from nnjit.layers.dense.spec import Dense


def relu(z):
    return np.maximum(z, 0)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": expit,
    "tanh": np.tanh,
    "relu": relu,
    "softmax": softmax,
    "exp": np.exp,
}
DERIVATIVES = {  # as functions of the activation's value
    "identity": lambda a: np.ones_like(a),
    "logistic": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a * a,
    "relu": lambda a: (a > 0).astype(a.dtype),
}


class TrainResult(NamedTuple):
    loss: float
    skipped: int
    finite: bool


class NumpyDataset:
    def __init__(self, X, target, weight):
        self.X, self.target, self.weight = X, target, weight
        self.n_samples = X.shape[0]


class NumpyOptimizer:
    """SGD with momentum or Adam on a flat vector, and an average of the parameters."""

    def __init__(self, name, engine, average=None, **settings):
        size, dtype = engine.network.n_parameters, engine.dtype
        self.name, self.settings, self.engine = name, settings, engine
        self.decay, self.average = average, np.zeros(size, dtype)
        self.learning_rate, self.rates, self.t = 0.001, None, 0
        self.first = np.zeros(size, dtype)
        self.second = np.zeros(size, dtype)

    def state(self):
        return {
            "learning_rate": self.learning_rate,
            "steps": self.t,
            "powers": np.zeros(0),
            "vectors": {
                "first": self.first.copy(),
                "second": self.second.copy(),
                "average": self.average.copy(),
            },
        }

    def load_state(self, state):
        self.first[:] = state["vectors"]["first"]
        self.second[:] = state["vectors"]["second"]
        self.average[:] = state["vectors"]["average"]
        self.t = int(state["steps"])

    def averages(self):
        if self.decay is None or self.t == 0:
            return None
        layers = self.engine.layers(self.average)
        return [array for layer in zip(*layers, strict=True) for array in layer]

    def follow(self, flat):
        """Take the parameters after a step into the average."""
        if self.decay is not None:
            decay = min(self.decay, (self.t - 1) / (self.t + 8))
            self.average = (decay * self.average + (1 - decay) * flat).astype(flat.dtype)

    def update(self, gradient, number=0):
        """Step by the gradient of minibatch `number` of a call."""
        self.t += 1
        base = self.learning_rate if self.rates is None else self.rates[number]
        if self.name == "sgd":
            momentum, rate = self.settings["momentum"], base
            self.first = momentum * self.first - rate * gradient
            return (
                momentum * self.first - rate * gradient if self.settings["nesterov"] else self.first
            )
        b1, b2 = self.settings["beta_1"], self.settings["beta_2"]
        self.first = b1 * self.first + (1 - b1) * gradient
        self.second = b2 * self.second + (1 - b2) * gradient * gradient
        rate = float(base * np.sqrt(1 - b2**self.t) / (1 - b1**self.t))
        return -rate * self.first / (np.sqrt(self.second) + self.settings["epsilon"])


class NumpyEngine:
    work_per_call = None

    def __init__(self, network, dtype):
        self.network = network
        layer_units, self.activation = as_mlp(network)
        self.shapes = list(zip(layer_units, layer_units[1:]))
        self.out_activation, self.loss = network.output, network.loss
        self.dtype = np.dtype(dtype)
        self.flat = np.zeros(network.n_parameters, self.dtype)
        self.work_per_row = network.work

    # parameters

    def pack(self, arrays, rows=None):
        arrays = [*arrays[0::2], *arrays[1::2]]
        self.flat = np.concatenate([np.asarray(a, self.dtype).ravel() for a in arrays])

    def unpack(self):
        return [array for layer in zip(*self.layers(), strict=True) for array in layer]

    def layers(self, flat=None):
        """All weights and all biases."""
        flat = self.flat if flat is None else flat
        ends = np.cumsum([i * o for i, o in self.shapes] + [o for _, o in self.shapes])
        pieces = np.split(flat.copy(), ends[:-1])
        depth = len(self.shapes)
        coefs = [np.ascontiguousarray(p.reshape(s)) for p, s in zip(pieces, self.shapes)]
        return coefs, [p.copy() for p in pieces[depth:]]

    # data

    def dataset(self, X, y, sample_weight=None):
        assert X.dtype == self.dtype
        if self.out_activation == "softmax":
            assert y.ndim == 1 and np.issubdtype(y.dtype, np.integer)
            y = np.eye(self.shapes[-1][1], dtype=self.dtype)[y]
        assert y.ndim == 2
        weight = None if sample_weight is None else np.asarray(sample_weight, self.dtype)
        return NumpyDataset(X, y.astype(self.dtype), weight)

    # arithmetic

    def forward(self, X, flat=None):
        coefs, intercepts = self.layers(flat)
        values = [X]
        for depth, (W, b) in enumerate(zip(coefs, intercepts)):
            z = values[-1] @ W + b
            last = depth == len(coefs) - 1
            values.append(z if last else ACTIVATIONS[self.activation](z))
        return values, coefs

    def predict(self, X, output="activation"):
        with np.errstate(all="ignore"):
            z = self.forward(X)[0][-1]
            return z if output == "logits" else ACTIVATIONS[self.out_activation](z)

    def predict_checked(self, X):
        outputs = self.predict(X)
        logits = self.predict(X, output="logits")
        return outputs, bool(np.isfinite(logits).all() and np.isfinite(outputs).all())

    def batch_loss(self, y, out, weight):
        eps = np.finfo(out.dtype).eps
        if self.loss == "squared_error":
            return 0.5 * np.average((y - out) ** 2, weights=weight, axis=0).mean()
        if self.loss == "poisson":
            per_row = xlogy(y, y / out) - y + out
        else:
            p = np.clip(out, eps, 1 - eps)
            per_row = -xlogy(y, p)
            if self.out_activation == "logistic":
                per_row -= xlogy(1 - y, 1 - p)
        return np.average(per_row, weights=weight, axis=0).sum()

    def backward(self, X, y, weight, alpha, flat=None):
        values, coefs = self.forward(X, flat)
        out = ACTIVATIONS[self.out_activation](values[-1])
        total = X.shape[0] if weight is None else weight.sum()
        loss = self.batch_loss(y, out, weight)
        loss += 0.5 * alpha * sum((W * W).sum() for W in coefs) / total
        delta = out - y
        if weight is not None:
            delta = delta * weight[:, None]
        weight_gradients, bias_gradients = [], []
        for depth in range(len(coefs) - 1, -1, -1):
            weight_gradients.insert(0, (values[depth].T @ delta + alpha * coefs[depth]) / total)
            bias_gradients.insert(0, delta.sum(axis=0) / total)
            if depth:
                delta = (delta @ coefs[depth].T) * DERIVATIVES[self.activation](values[depth])
        return loss, np.concatenate([g.ravel() for g in weight_gradients + bias_gradients])

    def optimizer(self, name, **settings):
        return NumpyOptimizer(name, self, **settings)

    def train(self, dataset, order, batch_size, optimizer, alpha, first, last):
        assert order.dtype == np.int64 and len(order) <= dataset.n_samples
        assert optimizer.rates is None or optimizer.rates.shape == (last - first,)
        return self._train(dataset, order, batch_size, optimizer, alpha, first, last, -first)

    def _train(self, dataset, order, batch_size, optimizer, alpha, first, last, offset):
        """Minibatch `batch` is the one of number ``offset + batch`` in its call."""
        total, skipped = 0.0, 0
        with np.errstate(all="ignore"):
            for batch in range(first, last):
                rows = order[batch * batch_size : (batch + 1) * batch_size]
                weight = None if dataset.weight is None else dataset.weight[rows]
                if weight is not None and weight.sum() == 0:
                    skipped += 1
                    continue
                loss, gradient = self.backward(dataset.X[rows], dataset.target[rows], weight, alpha)
                if not np.isfinite(loss):
                    return TrainResult(float("nan"), skipped, False)
                total += float(loss) * len(rows)
                step = optimizer.update(gradient, offset + batch)
                self.flat = self.flat + step.astype(self.dtype)
                optimizer.follow(self.flat)
        return TrainResult(total, skipped, True)

    def train_epochs(self, dataset, orders, batch_size, optimizer, alpha):
        totals = []
        for epoch, order in enumerate(orders):
            n_batches = -(-len(order) // batch_size)
            rest = (alpha, 0, n_batches, epoch * n_batches)
            result = self._train(dataset, order, batch_size, optimizer, *rest)
            totals.append(result.loss)
            if not result.finite:
                break
        return totals

    def release(self):
        pass

    def loss_gradient(self, packed, dataset, alpha):
        flat = np.asarray(packed, self.dtype)
        with np.errstate(all="ignore"):
            loss, gradient = self.backward(dataset.X, dataset.target, dataset.weight, alpha, flat)
            if self.loss == "squared_error":
                # The loss averages over the outputs; the minibatch gradient, as in scikit-learn,
                # does not. Here both belong together, but for the penalty that is no average.
                outputs = self.shapes[-1][1]
                n_weights = sum(i * o for i, o in self.shapes)
                total = dataset.n_samples if dataset.weight is None else float(dataset.weight.sum())
                penalty = np.zeros_like(gradient)
                penalty[:n_weights] = alpha * flat[:n_weights] / total
                gradient = (gradient - penalty) / outputs + penalty
        return float(loss), gradient.astype(np.float64)


def as_mlp(network):
    """Sizes of a perceptron and the activation of its hidden layers; ValueError if it is none."""
    *hidden, _ = network.layers
    activations = {layer.activation for layer in hidden if isinstance(layer, Dense)}
    if len(activations) > 1 or not all(isinstance(layer, Dense) for layer in hidden):
        raise ValueError(f"Dense layers of one activation are needed, not {network}.")
    return network.sizes, activations.pop() if activations else "identity"


def make_engine(network, dtype):
    """Stand in for `nnjit.backends.select.make_engine`."""
    return NumpyEngine(network, dtype)
