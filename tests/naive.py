"""The mathematics of the networks in plain NumPy: the oracle of every backend.

Nothing here is fast or clever. Rows are samples; W has shape (fan_in, fan_out). Whatever is
computed keeps the dtype of its inputs, so that float64 inputs give a reference for float32.
naive_recurrence.py goes over series point by point, naive_networks.py over layers of any kinds.
"""

import itertools
import math

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
    "softplus": lambda z: np.logaddexp(0, z).astype(z.dtype),
    "softmax": softmax,
}

# phi'(z) expressed by h = phi(z)
DERIVATIVES = {
    "identity": np.ones_like,
    "logistic": lambda h: h * (1 - h),
    "tanh": lambda h: 1 - h**2,
    "relu": lambda h: np.where(h > 0, 1.0, 0.0),
    "exp": lambda h: h,
    "softplus": lambda h: -np.expm1(-h),
}


def normal_cdf(z):
    """Phi(z) = erfc(x) / 2 with x = -z / sqrt(2), whose rounding is made up for by the slope."""
    x = -np.longdouble(z) / np.sqrt(np.longdouble(2))
    near = x.astype(np.float64)
    values = np.vectorize(math.erfc, otypes=[np.float64])(near)
    slope = 2 / np.sqrt(np.pi) * np.exp(-near * near)
    return np.asarray((values - (x - near).astype(np.float64) * slope) / 2)


def _normal_pdf(z):
    return np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


def _mish_slope(z):
    t = np.tanh(np.logaddexp(0, z))
    return t + z * (1 - t**2) * logistic(z)


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

# phi(z) and phi'(z) of those that scikit-learn does not have
MORE_ACTIVATIONS = {
    "elu": (lambda z: np.where(z > 0, z, np.expm1(z)), lambda z: np.where(z > 0, 1, np.exp(z))),
    "gelu": (lambda z: z * normal_cdf(z), lambda z: normal_cdf(z) + z * _normal_pdf(z)),
    "hard_tanh": (lambda z: np.clip(z, -1, 1), lambda z: np.where(np.abs(z) < 1, 1.0, 0.0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1, 0.01)),
    "mish": (lambda z: z * np.tanh(np.logaddexp(0, z)), _mish_slope),
    "selu": (
        lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(z)),
        lambda z: SELU_SCALE * np.where(z > 0, 1, SELU_ALPHA * np.exp(z)),
    ),
    "silu": (lambda z: z * logistic(z), lambda z: logistic(z) * (1 + z * logistic(-z))),
    "softplus": (lambda z: np.logaddexp(0, z), logistic),
    "softsign": (lambda z: z / (1 + np.abs(z)), lambda z: (1 + np.abs(z)) ** -2.0),
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


# Losses by the output: value and derivative of one element, without a mean or a sum.


def pinball(y, p, quantile=0.5):
    return np.maximum(quantile * (y - p), (quantile - 1) * (y - p))


def huber(y, p, huber_delta=1.35):
    r = np.abs(y - p)
    return np.where(r <= huber_delta, r**2 / 2, huber_delta * (r - huber_delta / 2))


def masked(element):
    """A loss that is 0 where the target is NaN."""

    def of_known(y, p, **parameters):
        known = ~np.isnan(y)
        return np.where(known, element(np.where(known, y, 0.0), p, **parameters), 0.0)

    return of_known


def smoothed(y, label_smoothing=0.0, choices=2):
    """Targets moved towards the even distribution over the classes."""
    return y * (1 - label_smoothing) + label_smoothing / choices


def of_classes(y, p, label_smoothing=0.0, choices=2):
    return (p - smoothed(y, label_smoothing, choices)) ** 2 / 2


def smoothed_log_loss(y, p, label_smoothing=0.0, choices=2):
    """Of one output; behind a softmax without the term of 1 - p."""
    t = smoothed(y, label_smoothing, choices)
    return -t * np.log(clip(p)) - (1 - t) * np.log(clip(1 - p))


def smoothed_log_loss_of_softmax(y, p, label_smoothing=0.0, choices=2):
    return -smoothed(y, label_smoothing, choices) * np.log(clip(p))


def focal(y, p, focal_gamma=2.0):
    """Of one output; behind a softmax of the class's alone."""
    of_true = clip(np.where(y == 1, p, 1 - p))
    return -((1 - of_true) ** focal_gamma) * np.log(of_true)


def focal_of_softmax(y, p, focal_gamma=2.0):
    return np.where(y == 1, focal(y, p, focal_gamma), 0.0)


def poisson_deviance(y, p):
    return y * np.log(np.where(y == 0, 1.0, y / p)) - y + p


# Losses by row: of the logits z (m, K) and targets (m, columns).


def surrogate(log_p, row_entropy, y, clip, entropy):
    ratio, advantage = np.exp(log_p - y[:, -1]), y[:, -2]
    clipped = np.clip(ratio, 1 - clip, 1 + clip)
    return -np.minimum(ratio * advantage, clipped * advantage) - entropy * row_entropy


def clipped_policy(y, z, clip=0.2, entropy=0.0):
    log_p = log_softmax(z)
    taken = log_p[np.arange(len(z)), y[:, 0].astype(int)]
    return surrogate(taken, -(np.exp(log_p) * log_p).sum(axis=1), y, clip, entropy)


def clipped_gaussian_policy(y, z, clip=0.2, entropy=0.0):
    mean, std = z[:, : z.shape[1] // 2], np.exp(z[:, z.shape[1] // 2 :])
    density = np.exp(-(((y[:, :-2] - mean) / std) ** 2) / 2) / (np.sqrt(2 * np.pi) * std)
    row_entropy = np.log(std * np.sqrt(2 * np.pi * np.e)).sum(axis=1)
    return surrogate(np.log(density).sum(axis=1), row_entropy, y, clip, entropy)


ROWS = {"clipped_policy": clipped_policy, "clipped_gaussian_policy": clipped_gaussian_policy}

# name of the loss -> loss of each output, by its target and value
ELEMENTS = {
    "squared_error": lambda y, p: (y - p) ** 2 / 2,
    "absolute_error": lambda y, p: np.abs(y - p),
    "huber": huber,
    "quantile": pinball,
    "log_cosh": lambda y, p: np.logaddexp(p - y, y - p) - np.log(2.0),
    "poisson": poisson_deviance,
    "gamma": lambda y, p: np.log(p / y) + y / p - 1,
    "masked_squared_error": masked(lambda y, p: (y - p) ** 2 / 2),
    "masked_huber": masked(lambda y, p, huber_delta=1.0: huber(y, p, huber_delta)),
    "masked_mean_squared_error": masked(lambda y, p: (y - p) ** 2 / 2),
    "squared_error_of_classes": of_classes,
    "log_loss": lambda y, p: smoothed_log_loss(y, p),
    "smoothed_log_loss": smoothed_log_loss,
    "focal": focal,
}
OF_SOFTMAX = {
    "log_loss": lambda y, p: smoothed_log_loss_of_softmax(y, p),
    "smoothed_log_loss": smoothed_log_loss_of_softmax,
    "focal": focal_of_softmax,
}
# losses of a row that are a sum over the outputs, with the outputs for which they are
SUMS = {
    "poisson": ("exp",),
    "masked_squared_error": ("identity",),
    "masked_huber": ("identity",),
    "log_loss": ("logistic", "softmax"),
    "smoothed_log_loss": ("logistic", "softmax"),
    "focal": ("logistic", "softmax"),
    "squared_error_of_classes": ("logistic", "softmax"),
}


def losses_of_rows(name, output, y, z, **parameters):
    """Loss of each row of logits z by the targets y, (m, K) each; a parameter may have K values.

    Those by row have other targets.
    """
    if name in ROWS:
        return ROWS[name](y, z, **parameters)
    element = ELEMENTS[name]
    if output == "softmax":
        element = OF_SOFTMAX.get(name, element)
    if name in ("smoothed_log_loss", "squared_error_of_classes") and output == "softmax":
        parameters = {**parameters, "choices": z.shape[1]}
    values = element(y, ACTIVATIONS[output](z), **parameters)
    summed = output in SUMS.get(name, ())
    return values.sum(axis=1) if summed else values.mean(axis=1)


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


# --- numeric columns -----------------------------------------------------------------------


def _waves(x, frequencies, phases):
    """Angles of all cosines, (rows, features, cosines), of the first features."""
    values = x[:, : len(frequencies), np.newaxis]
    return 2 * np.pi * frequencies * values + phases


def periodic_forward(x, frequencies, phases, amplitudes, offsets):
    """Each of the first values and what is made of its cosines; the other values behind them."""
    features = len(frequencies)
    cosines = np.cos(_waves(x, frequencies, phases))
    made = np.einsum("nfk,fko->nfo", cosines, amplitudes) + offsets
    embedded = np.concatenate([x[:, :features, np.newaxis], made], axis=2)
    return np.hstack([embedded.reshape(len(x), -1), x[:, features:]])


def periodic_backward(delta, x, frequencies, phases, amplitudes, offsets):
    """Gradients by the inputs and by each parameter from that by the outputs."""
    features, units = offsets.shape
    end = features * (1 + units)
    above = delta[:, :end].reshape(len(x), features, 1 + units)
    angles = _waves(x, frequencies, phases)
    slopes = -np.sin(angles) * np.einsum("nfo,fko->nfk", above[:, :, 1:], amplitudes)
    dx = above[:, :, 0] + 2 * np.pi * (slopes * frequencies).sum(axis=2)
    return (
        np.hstack([dx, delta[:, end:]]),
        2 * np.pi * (slopes * x[:, :features, np.newaxis]).sum(axis=0),
        slopes.sum(axis=0),
        np.einsum("nfk,nfo->fko", np.cos(angles), above[:, :, 1:]),
        above[:, :, 1:].sum(axis=0),
    )


def _open_bins(edges):
    """(Number, lower edge, upper edge, lower end, upper end) of the bins that have a width."""
    bins = [(k, a, b) for k, (a, b) in enumerate(zip(edges[:-1], edges[1:])) if b > a]
    for place, (k, low, high) in enumerate(bins):
        first, last = place == 0, place == len(bins) - 1
        yield k, low, high, -np.inf if first else low, np.inf if last else high


def piecewise_forward(x, edges):
    """How far each of the first values has come through its bins; the other values behind that."""
    features, bins = len(edges), edges.shape[1] - 1
    made = np.zeros((len(x), features, bins))
    for f in range(features):
        for k, low, high, start, stop in _open_bins(edges[f]):
            made[:, f, k] = (x[:, f].clip(start, stop) - low) / (high - low)
    return np.hstack([made.reshape(len(x), -1), x[:, features:]])


def piecewise_backward(delta, x, edges):
    """Gradient by the inputs from that by the outputs; on an edge that of the bin above it."""
    features, bins = len(edges), edges.shape[1] - 1
    dx = np.zeros((len(x), features))
    for f in range(features):
        for k, low, high, start, stop in _open_bins(edges[f]):
            inside = (x[:, f] >= start) & (x[:, f] < stop)
            dx[:, f] += inside * delta[:, f * bins + k] / (high - low)
    return np.hstack([dx, delta[:, features * bins :]])


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


def tied_network_gradient(arrays, chain, x, y, activation, alpha=0.0):
    """Loss and gradients of dense layers, some with weights of another one, transposed.

    Parameters
    ----------
    arrays : list of ndarray
        Weights and biases in turn; of a tied layer the biases alone.
    chain : list of int
        For each layer how many before it the one is whose weights it has; 0 for its own.
    activation : str
        Of all layers but the last.

    The loss is the squared error, and the delta that of `exact` False (see `network_gradient`).
    """
    given, weights, places = iter(range(len(arrays))), [], []
    for back in chain:
        weights.append(weights[-back] if back else next(given))
        places.append(next(given))
    turned = [back > 0 for back in chain]
    values = [x]
    for number, (w, b) in enumerate(zip(weights, places)):
        phi = "identity" if number == len(chain) - 1 else activation
        matrix = arrays[w].T if turned[number] else arrays[w]
        values.append(dense_forward(values[-1], matrix, arrays[b], phi))
    own = {w for w, tied in zip(weights, turned) if not tied}
    penalty = alpha / 2 * sum((arrays[w] ** 2).sum() for w in own) / len(x)
    grads = [
        alpha * one / len(x) if k in own else np.zeros_like(one) for k, one in enumerate(arrays)
    ]
    delta = (values[-1] - y) / len(x)
    for number in reversed(range(len(chain))):
        w, tied = weights[number], turned[number]
        product = values[number].T @ delta
        grads[w] += product.T if tied else product
        grads[places[number]] += delta.sum(axis=0)
        if number:
            delta = delta @ (arrays[w] if tied else arrays[w].T)
            delta = delta * DERIVATIVES[activation](values[number])
    return squared_error(y, values[-1]) + penalty, grads


# --- dropout -----------------------------------------------------------------------------
# Bits of counters in Python's integers.

WORD = 2**32


def mix(x):
    for factor, shift in ((0x21F0AAAD, 16), (0x735A2D97, 15)):
        x = (x ^ x >> shift) * factor % WORD
    return x ^ x >> 15


def absorb(key, word):
    first, second = key
    second = (second + word + 0x9E3779B9) % WORD
    first ^= mix(second)
    second ^= mix(first)
    return second, first ^ mix(second)


def dropout_bits(seed, step, layer, unit, row):
    """32 bits for one value."""
    key = 0x243F6A88, 0x85A308D3
    for number in (seed, step, layer):
        key = absorb(absorb(key, number % WORD), number // WORD)
    first, second = absorb(key, unit)
    return mix(mix(row ^ first) ^ second)


def dropout_factors(seed, step, layer, rows, units, rate):
    """0 for the values that are dropped, 1 / (1 - rate) for the others: (rows, units)."""
    below = min(round(rate * WORD), WORD - 1)
    return np.array(
        [
            [
                0.0 if dropout_bits(seed, step, layer, unit, row) < below else 1 / (1 - rate)
                for unit in range(units)
            ]
            for row in range(rows)
        ]
    )


def dropout_network_gradient(coefs, intercepts, x, y, factors, loss, activation, alpha=0.0):
    """Loss and gradients of a network, the inputs of dense layer i being times factors[i].

    As with `network_gradient` and `exact` False.
    """
    function, out_activation = PAIRS[loss]
    values, dropped = [x], []
    for number, (w, b) in enumerate(zip(coefs, intercepts), start=1):
        dropped.append(values[-1] * factors[number - 1])
        phi = out_activation if number == len(coefs) else activation
        values.append(dense_forward(dropped[-1], w, b, phi))
    total = function(y, values[-1]) + alpha / 2 * sum((c**2).sum() for c in coefs) / len(x)
    delta, coef_grads, intercept_grads = (values[-1] - y) / len(x), [], []
    for number in reversed(range(len(coefs))):
        coef_grads.insert(0, dropped[number].T @ delta + alpha * coefs[number] / len(x))
        intercept_grads.insert(0, delta.sum(axis=0))
        if number:
            delta = (
                delta @ coefs[number].T * factors[number] * DERIVATIVES[activation](values[number])
            )
    return total, coef_grads, intercept_grads


# --- embeddings --------------------------------------------------------------------------


def vector_numbers(x, levels):
    """Which row of the vectors each code stands for, (n, columns); no code counts as code 0."""
    codes = np.floor(x[:, x.shape[1] - len(levels) :])
    known = (codes >= 0) & (codes < levels)  # false of NaN
    return np.where(known, codes, 0).astype(int) + np.cumsum((0, *levels[:-1]))


def embed(x, vectors, levels):
    """The values before the codes, and behind them the vector of each code."""
    found = vectors[vector_numbers(x, levels)].reshape(len(x), -1)
    return np.hstack([x[:, : x.shape[1] - len(levels)], found])


def embed_backward(dh, x, vectors, levels):
    """Gradients by the inputs and by the vectors from that by the outputs."""
    columns, dx, totals = len(levels), np.zeros_like(x), np.zeros_like(vectors)
    plain = x.shape[1] - columns
    dx[:, :plain] = dh[:, :plain]
    for row, numbers in zip(dh[:, plain:].reshape(len(x), columns, -1), vector_numbers(x, levels)):
        for number, part in zip(numbers, row):
            totals[number] += part
    return dx, totals


# --- normalization and residual layers ---------------------------------------------------

EPSILON = 1e-5
AXES = {"batch": 0, "layer": 1}  # along which means are taken


def normalize(x, scale, shift, axis, mean=None, variance=None):
    """Standardized, scaled and shifted values; without statistics those of x are taken."""
    mean = x.mean(axis=axis, keepdims=True) if mean is None else mean
    variance = ((x - mean) ** 2).mean(axis=axis, keepdims=True) if variance is None else variance
    return (x - mean) / np.sqrt(variance + EPSILON) * scale + shift


def normalize_backward(dz, x, scale, axis):
    """Gradients by x, scale and shift, through mean and variance one after the other."""
    centered = x - x.mean(axis=axis, keepdims=True)
    d = np.sqrt((centered**2).mean(axis=axis, keepdims=True) + EPSILON)
    dy = dz * scale
    d_variance = -(dy * centered).sum(axis=axis, keepdims=True) / (2 * d**3)
    d_mean = -(dy / d).sum(axis=axis, keepdims=True)
    dx = dy / d + (2 * d_variance * centered + d_mean) / x.shape[axis]
    return dx, (dz * centered / d).sum(axis=0), dz.sum(axis=0)


def points_there(x, lengths=None):
    """Which points of arrays (n, channels, ...) there are, (n, ...); of series by their lengths."""
    there = np.ones((len(x), *x.shape[2:]), bool)
    if lengths is not None:
        there &= np.arange(x.shape[-1]) < np.asarray(lengths)[:, np.newaxis]
    return there


def normalize_channels(x, scale, shift, lengths=None, mean=None, variance=None):
    """Each channel of arrays (n, channels, ...) over rows and points; 0 where there is no point."""
    there, z = points_there(x, lengths), np.zeros_like(x)
    values = normalize(np.moveaxis(x, 1, -1)[there], scale, shift, 0, mean, variance)
    np.moveaxis(z, 1, -1)[there] = values
    return z


def normalize_channels_backward(dz, x, scale, lengths=None):
    """Gradients by x, scale and shift."""
    there, dx = points_there(x, lengths), np.zeros_like(x)
    values, deltas = (np.moveaxis(a, 1, -1)[there] for a in (x, dz))
    d_values, d_scale, d_shift = normalize_backward(deltas, values, scale, 0)
    np.moveaxis(dx, 1, -1)[there] = d_values
    return dx, d_scale, d_shift


def blocks_forward(layers, x, activation, method, residual):
    """(inputs, sums, pre-activations, activations) of the hidden layers, and the logits.

    layers : for each layer its weights and biases, and with `method` scale, shift, running mean
        and variance of a hidden one: as in training, unless the latter two are there
    """
    found = []
    for w, b, *more in layers[:-1]:
        z = sums = x @ w + b
        if method:
            z = normalize(sums, *more[:2], AXES[method], *more[2:])
        h = ACTIVATIONS[activation](z)
        found.append((x, sums, z, h))
        x = h + x if residual and h.shape == x.shape else h
    w, b = layers[-1]
    return found, x, x @ w + b


def blocks_gradient(layers, x, y, loss, activation, method, residual, alpha=0.0, w=None):
    """Loss, and its gradient by each parameter, layer by layer."""
    function, out_activation = PAIRS[loss]
    w = np.ones(len(x), x.dtype) if w is None else w
    hidden, top, logits = blocks_forward(layers, x, activation, method, residual)
    p = ACTIVATIONS[out_activation](logits)
    penalty = sum((layer[0] ** 2).sum() for layer in layers) / w.sum()
    value = function(y, p, w) + alpha / 2 * penalty
    delta = logits_gradient(y, p, w)
    if loss == "squared_error":
        delta = delta / y.shape[1]
    found = [top.T @ delta + alpha * layers[-1][0] / w.sum(), delta.sum(axis=0)]
    dh = delta @ layers[-1][0].T
    for layer, (below, sums, _, h) in zip(reversed(layers[:-1]), reversed(hidden)):
        delta, more = dh * DERIVATIVES[activation](h), []
        if method:
            delta, *more = normalize_backward(delta, sums, layer[2], AXES[method])
        gradients = below.T @ delta + alpha * layer[0] / w.sum(), delta.sum(axis=0), *more
        found = [*gradients, *found]
        around = dh if residual and h.shape == below.shape else 0
        dh = delta @ layer[0].T + around
    return value, found


# --- one learned number for each value of a row, or for each channel of arrays -------------


def _of_units(numbers, x):
    """Numbers of units, for rows (n, units) or arrays (n, channels, ...)."""
    return numbers.reshape(-1, *[1] * (x.ndim - 2))


def _over_values(x):
    """Sum over the rows, and over the points of a channel."""
    return x.sum(axis=(0, *range(2, x.ndim)))


def scaling_forward(x, factors):
    return _of_units(factors, x) * x


def scaling_backward(dh, x, factors):
    """Gradients by x and by the factors."""
    return _of_units(factors, x) * dh, _over_values(dh * x)


def value_and_slope(activation, z):
    """phi(z) and phi'(z) of any activation."""
    if activation in MORE_ACTIVATIONS:
        value, slope = MORE_ACTIVATIONS[activation]
        return value(z), slope(z)
    h = ACTIVATIONS[activation](z)
    return h, DERIVATIVES[activation](h)


def parametric_forward(x, shares, activation):
    """(1 - a) x + a phi(x)."""
    a = _of_units(shares, x)
    return (1 - a) * x + a * value_and_slope(activation, x)[0]


def parametric_backward(dh, x, shares, activation):
    """Gradients by x and by the shares a."""
    a, (value, slope) = _of_units(shares, x), value_and_slope(activation, x)
    return ((1 - a) + a * slope) * dh, _over_values(dh * (value - x))


# --- convolutions ------------------------------------------------------------------------
# Arrays of channels are (rows, channels, *points), weights (*kernel, channels of a group, filters).


def taps_of_axis(points, kernel, stride, dilation, padding):
    """How many points come out, and (point out, point of the kernel, point in) of all inside."""
    reach = dilation * (kernel - 1)
    outputs = -(-points // stride) if padding == "same" else (points - reach - 1) // stride + 1
    before = reach // 2 if padding == "same" else 0
    taps = [
        (p, k, stride * p + dilation * k - before) for p in range(outputs) for k in range(kernel)
    ]
    return outputs, [tap for tap in taps if 0 <= tap[2] < points]


def convolution_taps(points, kernel, stride, dilation, padding):
    """The same for all axes: the points that come out, and triples of tuples."""
    axes = [taps_of_axis(*axis, padding) for axis in zip(points, kernel, stride, dilation)]
    taps = [tuple(zip(*one)) for one in itertools.product(*(taps for _, taps in axes))]
    return tuple(outputs for outputs, _ in axes), taps


def group_slices(w, groups):
    """(channels, filters) of each group."""
    channels, filters = w.shape[-2], w.shape[-1] // groups
    return [
        (slice(g * channels, (g + 1) * channels), slice(g * filters, (g + 1) * filters))
        for g in range(groups)
    ]


def convolve(x, w, b, stride, dilation, groups, padding):
    """z[f, p] = b[f] + sum over points k of the kernel and channels c of W[k, c, f] x[c, q].

    Stride and dilation are tuples, a number for each axis.
    """
    outputs, taps = convolution_taps(x.shape[2:], w.shape[:-2], stride, dilation, padding)
    z = np.zeros((len(x), w.shape[-1], *outputs), x.dtype)
    for f, bias in enumerate(b):
        z[:, f] = bias
    for channels, filters in group_slices(w, groups):
        for p, k, q in taps:
            z[(slice(None), filters, *p)] += x[(slice(None), channels, *q)] @ w[k][:, filters]
    return z


def convolve_backward(dz, x, w, stride, dilation, groups, padding):
    """Gradients by x, w and b from that by z."""
    _, taps = convolution_taps(x.shape[2:], w.shape[:-2], stride, dilation, padding)
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for channels, filters in group_slices(w, groups):
        for p, k, q in taps:
            delta, read = dz[(slice(None), filters, *p)], (slice(None), channels, *q)
            dx[read] += delta @ w[k][:, filters].T
            dw[k][:, filters] += x[read].T @ delta
    return dx, dw, dz.sum(axis=(0, *range(2, dz.ndim)))


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


class AMSGrad(Adam):
    """Reddi, Kale and Kumar, 2018, with the corrections of `Adam`."""

    def step(self, params, grads):
        if self.first is None:
            self.largest = [np.zeros_like(p) for p in params]
            self.first = [np.zeros_like(p) for p in params]
            self.second = [np.zeros_like(p) for p in params]
        self.t += 1
        rate = self.rate * np.sqrt(1 - self.beta_2**self.t) / (1 - self.beta_1**self.t)
        vectors = zip(params, grads, self.first, self.second, self.largest)
        for p, g, m, v, largest in vectors:
            m[...] = self.beta_1 * m + (1 - self.beta_1) * g
            v[...] = self.beta_2 * v + (1 - self.beta_2) * g**2
            largest[...] = np.maximum(largest, v)
            p -= rate * m / (np.sqrt(largest) + self.epsilon)


class AdamW(Adam):
    """Loshchilov and Hutter, 2019, algorithm 2; the decay is of matrices alone, not of biases."""

    def __init__(self, rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=0.01):
        super().__init__(rate, beta_1, beta_2, epsilon)
        self.weight_decay = weight_decay

    def step(self, params, grads):
        if self.first is None:
            self.first = [np.zeros_like(p) for p in params]
            self.second = [np.zeros_like(p) for p in params]
        self.t += 1
        for p, g, m, v in zip(params, grads, self.first, self.second):
            if p.ndim == 2:
                p -= self.rate * self.weight_decay * p
            m[...] = self.beta_1 * m + (1 - self.beta_1) * g
            v[...] = self.beta_2 * v + (1 - self.beta_2) * g**2
            m_hat, v_hat = m / (1 - self.beta_1**self.t), v / (1 - self.beta_2**self.t)
            p -= self.rate * m_hat / (np.sqrt(v_hat) + self.epsilon)


class RMSProp:
    """Tieleman and Hinton, 2012."""

    def __init__(self, rate=0.001, beta_2=0.999, epsilon=1e-8):
        self.rate, self.beta_2, self.epsilon, self.squares = rate, beta_2, epsilon, None

    def step(self, params, grads):
        if self.squares is None:
            self.squares = [np.zeros_like(p) for p in params]
        for p, g, v in zip(params, grads, self.squares):
            v[...] = self.beta_2 * v + (1 - self.beta_2) * g**2
            p -= self.rate * g / (np.sqrt(v) + self.epsilon)


class AdaGrad:
    """Duchi, Hazan and Singer, 2011."""

    def __init__(self, rate=0.001, epsilon=1e-8):
        self.rate, self.epsilon, self.sums = rate, epsilon, None

    def step(self, params, grads):
        if self.sums is None:
            self.sums = [np.zeros_like(p) for p in params]
        for p, g, total in zip(params, grads, self.sums):
            total += g**2
            p -= self.rate * g / (np.sqrt(total) + self.epsilon)


class Lion:
    """Chen et al., 2023, program 1; the decay is of matrices alone, not of biases."""

    def __init__(self, rate=0.001, beta_1=0.9, beta_2=0.999, weight_decay=0.01):
        self.rate, self.beta_1, self.beta_2, self.weight_decay = rate, beta_1, beta_2, weight_decay
        self.moments = None

    def step(self, params, grads):
        if self.moments is None:
            self.moments = [np.zeros_like(p) for p in params]
        for p, g, m in zip(params, grads, self.moments):
            update = np.sign(self.beta_1 * m + (1 - self.beta_1) * g)
            if p.ndim == 2:
                update = update + self.weight_decay * p
            p -= self.rate * update
            m[...] = self.beta_2 * m + (1 - self.beta_2) * g


class Clipped:
    """A solver that gets clipped gradients: the norm is that of all of them together."""

    def __init__(self, solver, norm=None, value=None):
        self.solver, self.norm, self.value = solver, norm, value

    def step(self, params, grads):
        if self.norm is not None:
            norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in grads))
            grads = [g * g.dtype.type(min(1.0, self.norm / (norm + 1e-6))) for g in grads]
        if self.value is not None:
            grads = [np.clip(g, -self.value, self.value) for g in grads]
        self.solver.step(params, grads)


class Averaged:
    """A solver beside which the exponential average of the parameters is kept."""

    def __init__(self, solver, decay):
        self.solver, self.decay, self.averages, self.steps = solver, decay, None, 0

    def step(self, params, grads):
        self.solver.step(params, grads)
        if self.averages is None:
            self.averages = [p.copy() for p in params]
        decay = min(self.decay, self.steps / (self.steps + 9))
        for a, p in zip(self.averages, params):
            a[...] = decay * a + (1 - decay) * p
        self.steps += 1


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


# --- agents ------------------------------------------------------------------------------


def advantages(rewards, values, next_values, terminated, last, gamma, decay):
    """Generalized advantage estimation, as a sum over the steps that follow."""
    errors = rewards + gamma * np.where(terminated, 0.0, next_values) - values
    found = np.zeros(len(rewards))
    for t in range(len(rewards)):
        for later in range(t, len(rewards)):
            found[t] += (gamma * decay) ** (later - t) * errors[later]
            if last[later]:
                break
    return found


# --- pooling -----------------------------------------------------------------------------
# x is (m, channels, time) or (m, channels, height, width); sizes and strides are for each axis.
# `lengths` are the points of time that each row has; those behind are 0, and so is their delta.


def pooling_windows(points, size, stride):
    """(place of the window, slices of its points), in order."""
    counts = [(n - k) // s + 1 for n, k, s in zip(points, size, stride)]
    for place in np.ndindex(*counts):
        yield place, tuple(slice(i * s, i * s + k) for i, k, s in zip(place, size, stride))


def pool_forward(x, method, size, stride, lengths=None):
    counts = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], size, stride)]
    out = np.zeros((*x.shape[:2], *counts), x.dtype)
    for row in np.ndindex(*x.shape[:2]):
        for place, window in pooling_windows(x.shape[2:], size, stride):
            if lengths is None or window[-1].stop <= lengths[row[0]]:
                out[row][place] = getattr(x[row][window], method)()
    return out


def first_largest(values):
    """Place of the first number that is the largest, a NaN being that."""
    return np.unravel_index(np.argmax(values), values.shape)  # so NumPy has it as well


def pool_backward(delta, x, method, size, stride, lengths=None):
    below = np.zeros_like(x)
    for row in np.ndindex(*x.shape[:2]):
        for place, window in pooling_windows(x.shape[2:], size, stride):
            if lengths is not None and window[-1].stop > lengths[row[0]]:
                continue
            values, target = x[row][window], below[row][window]
            if method == "max":
                target[first_largest(values)] += delta[row][place]
            else:
                target += delta[row][place] / values.size
    return below


def global_pool_forward(x, method, lengths=None):
    out = np.zeros(x.shape[:2], x.dtype)
    for i, channel in np.ndindex(*x.shape[:2]):
        values = x[i, channel] if lengths is None else x[i, channel, : lengths[i]]
        if values.size:
            out[i, channel] = getattr(values, method)()
    return out


def global_pool_backward(delta, x, method, lengths=None):
    below = np.zeros_like(x)
    for i, channel in np.ndindex(*x.shape[:2]):
        n = None if lengths is None else lengths[i]
        values, target = x[i, channel][:n], below[i, channel][:n]
        if method == "mean" and values.size:
            target += delta[i, channel] / values.size
        elif values.size:
            target[first_largest(values)] += delta[i, channel]
    return below


# --- augmentation ------------------------------------------------------------------------
# One row after the other, from the bits of `dropout_bits`. x is as for pooling.


def normal_pair(first, second):
    """Box and Muller's two normal numbers of two 32-bit words."""
    u, v = ((word + 0.5) / WORD for word in (first, second))
    radius = math.sqrt(-2 * math.log(u))
    return radius * math.cos(2 * math.pi * v), radius * math.sin(2 * math.pi * v)


def normal_numbers(shape, seed, step, layer, unit, row):
    """Those of the units from number `unit` on, for the values of a row (channels, points)."""
    n = math.prod(shape)
    words = [dropout_bits(seed, step, layer, unit + k, row) for k in range(n + n % 2)]
    pairs = [normal_pair(*words[k : k + 2]) for k in range(0, len(words), 2)]
    return np.array(pairs).ravel()[:n].reshape(-1, shape[0]).T


def noise(x, seed, step, layer, scale, lengths=None, first=0):
    """Rows (n, channels, ...) with noise; row i is at place first + i of its minibatch."""
    out = np.zeros(x.shape)
    for i, row in enumerate(x.astype(np.float64)):
        values = row.reshape(len(row), -1)
        added = scale * normal_numbers(values.shape, seed, step, layer, 0, first + i)
        out[i] = (values + added).reshape(row.shape)
        if lengths is not None:
            out[i, :, lengths[i] :] = 0
    return out.astype(x.dtype)


def augmented_places(words, n, total, crop, shift, flip):
    """For each of `total` points of an axis its place among the n of a row, None if outside."""
    share = [(word + 0.5) / WORD for word in words[:2]]
    kept = 1 - crop * share[0]
    start = share[1] * (1 - kept) * (n - 1)
    most = max(min(shift, n - 1), 0)
    moved = words[2] * (2 * most + 1) // WORD - most
    places = []
    for i in range(total):
        source = i - moved
        if flip and words[3] < WORD // 2:
            source = n - 1 - source
        inside = i < n and 0 <= i - moved < n
        places.append(start + kept * source if inside else None)
    return places


def interpolate(values, place):
    """Along the last axis."""
    if place is None:
        return np.zeros(values.shape[:-1])
    low = min(int(place), values.shape[-1] - 1)
    high = min(low + 1, values.shape[-1] - 1)
    return values[..., low] + (place - low) * (values[..., high] - values[..., low])


def augment(x, seed, step, layer, shift=0, flip=False, crop=0.0, noise=0.0, lengths=None, first=0):
    """Rows as training takes them; row i is at place first + i of its minibatch."""
    axes = x.ndim - 2
    shift = shift if isinstance(shift, tuple) else (shift,) * axes
    out = np.zeros(x.shape)
    for i, row in enumerate(x.astype(np.float64)):
        for axis in range(axes):  # the last one first
            total = x.shape[-1 - axis]
            n = total if lengths is None else lengths[i]
            words = [dropout_bits(seed, step, layer, 4 * axis + k, first + i) for k in range(4)]
            places = augmented_places(words, n, total, crop, shift[-1 - axis], flip and axis == 0)
            across = np.moveaxis(row, -1 - axis, -1)
            kept = across[..., :n]
            moved = np.stack([interpolate(kept, place) for place in places], axis=-1)
            row = np.moveaxis(moved, -1, -1 - axis)
        values = row.reshape(len(row), -1)
        if noise:
            values = values + noise * normal_numbers(values.shape, seed, step, layer, 8, first + i)
        out[i] = values.reshape(row.shape)
        if lengths is not None:
            out[i, :, lengths[i] :] = 0
    return out.astype(x.dtype)


# --- self-organizing maps ----------------------------------------------------------------


def map_distances(x, weights):
    """Distances of rows and units; NaN is left out, and the root of n / present multiplied by."""
    squares = (x[:, np.newaxis, :] - weights) ** 2
    present = (~np.isnan(x)).sum(axis=1)
    return np.sqrt(np.nansum(squares, axis=2) * (x.shape[1] / present)[:, np.newaxis])


def map_sums(x, units, n_units, row_weights):
    """Sums of the rows of each unit, and of their weights, both by feature."""
    sums, counts = np.zeros((n_units, x.shape[1])), np.zeros((n_units, x.shape[1]))
    for row, unit, weight in zip(x, units, row_weights):
        present = ~np.isnan(row)
        sums[unit, present] += weight * row[present]
        counts[unit, present] += weight
    return sums, counts


def map_bumps(places, sigma, shifts=((0, 0),)):
    """exp(-d^2 / (2 sigma^2)) of all pairs of places; a map lies upon itself by each shift."""
    apart = places[:, np.newaxis, :] - places
    squares = [((apart + np.array(shift)) ** 2).sum(axis=2) for shift in shifts]
    return np.exp(-np.min(squares, axis=0) / (2 * sigma**2))


def map_epoch(x, weights, places, sigma, row_weights=None):
    """The weights after one epoch of batch training."""
    units = map_distances(x, weights).argmin(axis=1)
    ones = np.ones(len(x)) if row_weights is None else row_weights
    bumps = map_bumps(places, sigma)
    sums, counts = map_sums(x, units, len(weights), ones)
    return (bumps @ sums) / (bumps @ counts)
