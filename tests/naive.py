"""The mathematics of the networks in plain NumPy: the oracle of every backend.

Nothing here is fast or clever. Rows are samples; W has shape (fan_in, fan_out). Whatever is
computed keeps the dtype of its inputs, so that float64 inputs give a reference for float32.
"""

import numpy as np

# --- activations -------------------------------------------------------------------------


def identity(z):
    return z


def logistic(z):
    e = np.exp(-np.abs(z))
    return np.where(z < 0, e, 1) / (1 + e)


def relu(z):
    return np.where(z < 0, 0, z)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(z):
    shifted = z - z.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


ACTIVATIONS = {
    "identity": identity,
    "logistic": logistic,
    "tanh": np.tanh,
    "relu": relu,
    "exp": np.exp,
    "softmax": softmax,
}

# phi'(z) expressed by h = phi(z)
DERIVATIVES = {
    "identity": np.ones_like,
    "logistic": lambda h: h * (1 - h),
    "tanh": lambda h: 1 - h**2,
    "relu": lambda h: np.where(h > 0, 1.0, 0.0),
    "exp": lambda h: h,
}


def softmax_jacobian(z):
    """J[i, j, k] = d s_j / d z_k for row i, entry by entry."""
    s = softmax(z)
    m, n = s.shape
    jacobian = np.empty((m, n, n), s.dtype)
    for i in range(m):
        for j in range(n):
            for k in range(n):
                jacobian[i, j, k] = s[i, j] * ((j == k) - s[i, k])
    return jacobian


def softmax_vjp(s, v):
    """Each row of v times the Jacobian of the softmax with outputs s."""
    jacobians = [np.diag(row) - np.outer(row, row) for row in s]
    return np.array([row @ jacobian for row, jacobian in zip(v, jacobians)]).reshape(s.shape)


# --- losses ------------------------------------------------------------------------------
# Targets y and outputs p are (m, K); w are the m weights. Each returns a mean over the rows.


def mean_over_rows(row_losses, w):
    w = np.ones(len(row_losses)) if w is None else w
    return float((w * row_losses).sum() / w.sum())


def clip(p):
    """Probabilities kept away from 0 and 1, as scikit-learn does it."""
    eps = np.finfo(p.dtype).eps
    return np.clip(p, eps, 1 - eps)


def squared_error(y, p, w=None):
    return mean_over_rows(((y - p) ** 2).mean(axis=1) / 2, w)


def poisson(y, p, w=None):
    ratio = np.where(y == 0, 1.0, y / p)
    return mean_over_rows((y * np.log(ratio) - y + p).sum(axis=1), w)


def multinomial(y, p, w=None):
    """Log loss of one class of K; y holds 0/1 or probabilities."""
    return mean_over_rows(-(y * np.log(clip(p))).sum(axis=1), w)


def bernoulli(y, p, w=None):
    """Log loss of K independent yes/no outputs."""
    p = clip(p)
    return mean_over_rows(-(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(axis=1), w)


LOSSES = {
    "squared_error": squared_error,
    "poisson": poisson,
    "multinomial": multinomial,
    "bernoulli": bernoulli,
}


def loss_gradient(name, y, p, w=None):
    """Gradient of a loss by the outputs p."""
    w = np.ones(len(p)) if w is None else w
    if name == "squared_error":
        each = (p - y) / p.shape[1]
    elif name == "poisson":
        each = 1 - y / p
    elif name == "multinomial":
        each = -y / clip(p)
    else:
        p = clip(p)
        each = (p - y) / (p * (1 - p))
    return each * (w / w.sum())[:, np.newaxis]


def logits_gradient(y, p, w=None):
    """Gradient by the pre-activation of the matching output activation.

    Softmax with the multinomial loss, logistic with the Bernoulli loss, exp with Poisson.
    """
    w = np.ones(len(p)) if w is None else w
    return (p - y) * (w / w.sum())[:, np.newaxis]


# --- layers and networks -----------------------------------------------------------------


def dense_forward(a, w, b, activation):
    activate = activation if callable(activation) else ACTIVATIONS[activation]
    return activate(a @ w + b)


def dense_backward(dh, a, w, h, activation):
    """Gradients by the layer's inputs, weights and biases from that by its outputs."""
    if activation == "softmax":
        dz = softmax_vjp(h, dh)
    else:
        dz = dh * DERIVATIVES[activation](h)
    return dz @ w.T, a.T @ dz, dz.sum(axis=0)


def network_forward(coefs, intercepts, x, activation, out_activation):
    """Outputs of every layer, the inputs first."""
    layers = [x]
    for number, (w, b) in enumerate(zip(coefs, intercepts), start=1):
        phi = out_activation if number == len(coefs) else activation
        layers.append(dense_forward(layers[-1], w, b, phi))
    return layers


# loss -> (loss function, matching output activation)
PAIRS = {
    "squared_error": (squared_error, "identity"),
    "poisson": (poisson, "exp"),
    "multinomial": (multinomial, "softmax"),
    "bernoulli": (bernoulli, "logistic"),
}


def grouped(groups):
    """(loss, output activation) of one softmax for each group of so many logits."""
    ends = np.cumsum(groups)[:-1]

    def each(y, p, w=None):
        parts = zip(np.split(y, ends, axis=1), np.split(p, ends, axis=1))
        return sum(multinomial(*part, w) for part in parts)

    def softmaxes(z):
        return np.hstack([softmax(part) for part in np.split(z, ends, axis=-1)])

    return each, softmaxes


def functions_of(loss):
    """(loss function, output activation) of a name, or such a pair itself."""
    function, output = PAIRS[loss] if isinstance(loss, str) else loss
    return function, output


def network_loss(coefs, intercepts, x, y, loss, activation, alpha=0.0, w=None):
    """Mean loss plus alpha / 2 times the sum of squared weights over the weights' sum."""
    function, out_activation = functions_of(loss)
    p = network_forward(coefs, intercepts, x, activation, out_activation)[-1]
    total = len(x) if w is None else w.sum()
    penalty = sum((c**2).sum() for c in coefs)
    return function(y, p, w) + alpha / 2 * penalty / total


def network_gradient(coefs, intercepts, x, y, loss, activation, alpha=0.0, w=None, exact=True):
    """Gradient of `network_loss`: lists for coefs and intercepts.

    With `exact` False the delta of the squared error is p - y, K times too large, as
    scikit-learn's stochastic solvers have it.
    """
    layers = network_forward(coefs, intercepts, x, activation, functions_of(loss)[1])
    w = np.ones(len(x), x.dtype) if w is None else w
    delta = (layers[-1] - y) * w[:, np.newaxis]
    if exact and loss == "squared_error":
        delta = delta / y.shape[1]
    coef_grads, intercept_grads = [], []
    for number in reversed(range(len(coefs))):
        below = layers[number]
        coef_grads.insert(0, (below.T @ delta + alpha * coefs[number]) / w.sum())
        intercept_grads.insert(0, delta.sum(axis=0) / w.sum())
        if number:
            delta = (delta @ coefs[number].T) * DERIVATIVES[activation](below)
    return coef_grads, intercept_grads


# --- radial layers -----------------------------------------------------------------------


def squared_distances(x, centers):
    """|x_i - c_k|^2 for every row and centre, difference by difference."""
    return ((x[:, np.newaxis, :] - centers) ** 2).sum(axis=2)


def radial_forward(x, centers, log_widths, normalized=False):
    """h_k = exp(-|x - c_k|^2 / (2 s_k^2)), divided by their sum over k if `normalized`."""
    z = -squared_distances(x, centers) / (2 * np.exp(2 * log_widths))
    return softmax(z) if normalized else np.exp(z)


def radial_backward(dh, x, centers, log_widths, h, normalized=False):
    """Gradients by the layer's inputs, centres and log-widths from that by its outputs."""
    dz = softmax_vjp(h, dh) if normalized else dh * h
    g = dz / np.exp(2 * log_widths)  # z_k changes by (x - c_k) / s_k^2 with c_k
    differences = x[:, np.newaxis, :] - centers
    dx = -(g[:, :, np.newaxis] * differences).sum(axis=1)
    d_centers = (g[:, :, np.newaxis] * differences).sum(axis=0)
    return dx, d_centers, (g * squared_distances(x, centers)).sum(axis=0)


def rbf_network_loss(parameters, x, y, loss, normalized=False, alpha=0.0, w=None):
    """Mean loss of a radial layer and a dense one, plus the penalty on the weights.

    parameters : centers, log_widths, weights and biases of the dense layer
    """
    centers, log_widths, weights, biases = parameters
    h = radial_forward(x, centers, log_widths, normalized)
    return network_loss([weights], [biases], h, y, loss, "identity", alpha, w)


def rbf_network_gradient(parameters, x, y, loss, normalized=False, alpha=0.0, w=None, exact=True):
    """Gradient of `rbf_network_loss` by each of the parameters; `exact` as in network_gradient."""
    centers, log_widths, weights, biases = parameters
    h = radial_forward(x, centers, log_widths, normalized)
    w = np.ones(len(x), x.dtype) if w is None else w
    delta = (dense_forward(h, weights, biases, PAIRS[loss][1]) - y) * w[:, np.newaxis] / w.sum()
    if exact and loss == "squared_error":
        delta = delta / y.shape[1]
    coef_grads, intercept_grads = network_gradient(
        [weights], [biases], h, y, loss, "identity", alpha, w, exact
    )
    radial = radial_backward(delta @ weights.T, x, centers, log_widths, h, normalized)
    return [*radial[1:], coef_grads[0], intercept_grads[0]]


# --- solvers -----------------------------------------------------------------------------


class SGD:
    """Stochastic gradient descent with momentum; `step` updates parameters in place."""

    def __init__(self, rate, momentum=0.0, nesterov=False):
        self.rate, self.momentum, self.nesterov = rate, momentum, nesterov
        self.velocities = None

    def step(self, params, grads):
        if self.velocities is None:
            self.velocities = [np.zeros_like(p) for p in params]
        for p, g, v in zip(params, grads, self.velocities):
            v[...] = self.momentum * v - self.rate * g
            p += self.momentum * v - self.rate * g if self.nesterov else v


class Adam:
    """Kingma and Ba, Adam, 2015, algorithm 1 with the rates folded as in its section 2."""

    def __init__(self, rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.rate, self.beta_1, self.beta_2, self.epsilon = rate, beta_1, beta_2, epsilon
        self.t, self.first, self.second = 0, None, None

    def step(self, params, grads):
        if self.first is None:
            self.first = [np.zeros_like(p) for p in params]
            self.second = [np.zeros_like(p) for p in params]
        self.t += 1
        rate = self.rate * np.sqrt(1 - self.beta_2**self.t) / (1 - self.beta_1**self.t)
        for p, g, m, v in zip(params, grads, self.first, self.second):
            m[...] = self.beta_1 * m + (1 - self.beta_1) * g
            v[...] = self.beta_2 * v + (1 - self.beta_2) * g**2
            p -= rate * m / (np.sqrt(v) + self.epsilon)


def train_epoch(
    coefs, intercepts, x, y, order, batch_size, solver, loss, activation, alpha, w=None
):
    """One pass over the rows in `order`; updates in place, returns the sum of the batch losses.

    Each batch's loss counts as often as it has rows. A batch whose weights sum to 0 is skipped.
    """
    total = 0.0
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        weights = None if w is None else w[rows]
        if weights is not None and weights.sum() == 0:
            continue
        arguments = (x[rows], y[rows], loss, activation, alpha, weights)
        total += len(rows) * network_loss(coefs, intercepts, *arguments)
        grads = network_gradient(coefs, intercepts, *arguments, exact=False)
        solver.step([*coefs, *intercepts], [*grads[0], *grads[1]])
    return total


# --- differences -------------------------------------------------------------------------


def central_differences(function, x, step=1e-6):
    """Gradient of a scalar function of an array by central differences."""
    x = x.astype(np.float64)
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        h = step * max(1.0, abs(x[index]))
        above, below = x.copy(), x.copy()
        above[index] += h
        below[index] -= h
        gradient[index] = (function(above) - function(below)) / (above[index] - below[index])
    return gradient
