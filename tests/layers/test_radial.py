"""Compiled radial layers against the oracle, around the edges of tiles, vectors and blocks."""

import numba
import numpy as np
import pytest
import scipy.sparse as sp

import naive
from nnjit.backends.cpu import CpuEngine
from nnjit.backends.layout import row_stride
from nnjit.core.compiler.jit import kernel, renamed
from nnjit.layers.dense.spec import Dense
from nnjit.layers.dropout.spec import Dropout
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.network import Network
from nnjit.layers.radial.cpu import (
    Bumps,
    Place,
    centers_gradient,
    forward_normalized,
    forward_plain,
    inputs_delta,
    log_widths_gradient,
    scaled_delta_normalized,
    scaled_delta_plain,
)
from nnjit.layers.radial.spec import RadialBasis

compiled_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes too long")
DTYPES = [np.float32, np.float64]
# rows, inputs, centres
SIZES = [
    *((1, 1, 1), (1, 3, 2), (2, 2, 9), (7, 8, 7), (8, 4, 8), (9, 5, 33), (15, 16, 15), (16, 1, 16)),
    *((17, 7, 17), (31, 33, 3), (33, 17, 5), (64, 36, 100), (65, 9, 1), (100, 3, 47), (256, 2, 4)),
]
MARGIN = 3  # elements before the parameters, to see that offsets are used


def run_with(forward, scaled_delta):
    """A kernel of all that a step asks of the layer; gradients in two parts, as threads would."""

    def run(params, inputs, centers, row, work, stride, rows, grads, add):
        at_kept = inputs * stride + centers * stride
        at_delta = at_kept + (centers + 1) * stride
        bumps = Bumps(inputs, centers, 3, row, 3 + centers * row)
        at_last, transposed_row = at_delta + (centers + inputs) * stride, inputs + 64
        at = Place(
            0, inputs * stride, at_kept, at_delta - stride, at_last, at_last + 2 * centers,
            transposed_row, at_delta, stride, rows,
        )  # fmt: skip
        forward(params, bumps, work, at)
        scaled_delta(bumps, work, at)
        inputs_delta(params, bumps, work, at, at_delta + centers * stride)
        half = centers // 2
        for first, end in ((0, half), (half, centers)):
            if first < end:
                target = grads[5 + first * row : 5 + end * row]
                centers_gradient(params, bumps, work, at, first, end - first, target, add)
                target = grads[5 + centers * row + first : 5 + centers * row + end]
                log_widths_gradient(work, at, first, end - first, target, add)

    return kernel(renamed(run, f"run_{forward.__name__}"))


RUN = {
    False: run_with(forward_plain, scaled_delta_plain),
    True: run_with(forward_normalized, scaled_delta_normalized),
}


class Layer:
    """A radial layer in a workspace; `far` moves rows away so that distances are large."""

    def __init__(self, sizes, dtype, normalized, seed=0, scale=1.0, far=0.0):
        self.sizes, self.dtype, self.normalized = sizes, np.dtype(dtype), normalized
        rows, inputs, centers = sizes
        rng = np.random.default_rng(seed)
        x = scale * rng.standard_normal((rows, inputs)) + far
        c = scale * rng.standard_normal((centers, inputs))
        log_widths = np.log(scale * np.sqrt(inputs)) + 0.3 * rng.standard_normal(centers)
        dh = rng.standard_normal((rows, centers))
        self.x, self.centers, self.log_widths, self.dh = (
            a.astype(dtype) for a in (x, c, log_widths, dh)
        )

    def run(self, add=0, start=0.0):
        """Return h, squared distances, and the gradients by inputs, centres and log-widths."""
        rows, inputs, centers = self.sizes
        row, stride = inputs + 2, row_stride(rows, self.dtype)
        params = np.full(MARGIN + centers * row + centers, np.nan, self.dtype)
        self.matrix(params, MARGIN)[:, :inputs] = self.centers
        params[-centers:] = self.log_widths
        height = 2 * inputs + 3 * centers + 1
        flat = np.full(height * stride + 2 * centers + stride * (inputs + 64), np.nan, self.dtype)
        work = flat[: height * stride].reshape(height, stride)
        numbers = np.minimum(np.arange(stride), rows - 1)
        work[:inputs] = self.x[numbers].T
        delta = inputs + 2 * centers + 1
        work[delta : delta + centers] = 0
        work[delta : delta + centers, :rows] = self.dh.T
        grads = np.full(2 + len(params), start, self.dtype)
        RUN[self.normalized](
            params, inputs, centers, row, flat, stride, rows, grads, add,
        )  # fmt: skip
        assert (grads[: 2 + MARGIN] == start).all()
        by_centers = self.matrix(grads, 2 + MARGIN)
        assert (by_centers[:, inputs:] == start).all(), "wrote between the centres"
        h, kept = work[inputs : inputs + centers], work[inputs + centers : delta - 1]
        by_inputs = work[delta + centers :]
        return (
            *(h[:, :rows].T, kept[:, :rows].T, by_inputs[:, :rows].T),
            *(by_centers[:, :inputs], grads[-centers:]),
        )

    def matrix(self, flat, at):
        _, inputs, centers = self.sizes
        return flat[at : at + centers * (inputs + 2)].reshape(centers, inputs + 2)

    def expected(self):
        x, c, s, dh = (a.astype(float) for a in (self.x, self.centers, self.log_widths, self.dh))
        h = naive.radial_forward(x, c, s, self.normalized)
        return (
            *(h, naive.squared_distances(x, c)),
            *naive.radial_backward(dh, x, c, s, h, self.normalized),
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_forward_and_backward_follow_the_oracle(sizes, normalized, dtype):
    layer = Layer(sizes, dtype, normalized)
    tolerance = 100 * np.finfo(dtype).eps
    for got, expected in zip(layer.run(), layer.expected()):
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_are_added_to_those_of_other_rows(dtype):
    layer = Layer((20, 5, 9), dtype, False)
    for alone, added in zip(layer.run()[3:], layer.run(add=1, start=2.0)[3:]):
        np.testing.assert_allclose(added, alone + 2, rtol=1e-5)


@pytest.mark.parametrize("normalized", [False, True])
def test_compiled_gradients_are_those_of_differences(normalized):
    layer = Layer((11, 4, 6), np.float64, normalized)
    _, _, *gradients = layer.run()
    for name, gradient_ in zip(("x", "centers", "log_widths"), gradients):
        start = getattr(layer, name)

        def value(changed, name=name):
            setattr(layer, name, changed)
            return (layer.dh * layer.run()[0]).sum()

        expected = naive.central_differences(value, start)
        setattr(layer, name, start)
        np.testing.assert_allclose(gradient_, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("normalized", [False, True])
def test_a_row_does_not_depend_on_the_rows_beside_it(normalized, dtype):
    layer = Layer((40, 5, 13), dtype, normalized)
    together = layer.run()[0]
    for number in (0, 17, 39):
        alone = Layer((40, 5, 13), dtype, normalized)
        alone.sizes = (1, 5, 13)
        alone.x, alone.dh = layer.x[[number]], layer.dh[[number]]
        np.testing.assert_array_equal(alone.run()[0][0], together[number])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_on_a_centre_is_at_no_negative_distance(dtype):
    layer = Layer((16, 9, 16), dtype, False, scale=100.0)
    layer.centers = layer.x.copy()
    h, distances, *_ = layer.run()
    assert (distances >= 0).all()
    np.testing.assert_allclose(np.diag(h), 1, rtol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_out_of_reach_of_every_centre_has_no_gradient(dtype):
    """Its squares overflow, and 0 times infinity would be NaN."""
    layer, near = (Layer((5, 3, 4), dtype, False) for _ in range(2))
    layer.x[2] = 4 * np.sqrt(np.finfo(dtype).max)
    near.dh[2] = 0
    h, _, _, *gradients = layer.run()
    np.testing.assert_array_equal(h[2], 0)
    for got, expected in zip(gradients, near.expected()[3:]):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_normalized_outputs_of_a_row_out_of_reach_are_those_of_the_widest_bump(dtype):
    layer = Layer((5, 3, 4), dtype, True)
    layer.x[2] = 4 * np.sqrt(np.finfo(dtype).max)
    np.testing.assert_array_equal(layer.run()[0][2], np.eye(4)[layer.log_widths.argmax()])


@pytest.mark.parametrize("dtype", DTYPES)
def test_normalized_outputs_of_a_far_row_are_those_of_the_nearest_centre(dtype):
    layer = Layer((6, 2, 5), dtype, True, far=300.0)
    h = layer.run()[0]
    np.testing.assert_allclose(h.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(h.argmax(axis=1), layer.expected()[0].argmax(axis=1))


def test_nan_stays_nan():
    layer = Layer((5, 3, 4), np.float64, False)
    layer.x[1, 1] = np.nan
    h = layer.run()[0]
    assert np.isnan(h[1]).all()
    assert np.isfinite(h[[0, 2, 3, 4]]).all()


RADIAL, DENSE = RadialBasis(6), Dense(3, "identity")
NETWORKS = {
    "plain": (RADIAL, DENSE),
    "normalized": (RadialBasis(6, normalized=True), DENSE),
    "above tanh": (Dense(5, "tanh"), RADIAL, DENSE),
    "above relu": (Dense(5, "relu"), RadialBasis(6, normalized=True), DENSE),
    "two": (RADIAL, RadialBasis(4, normalized=True), DENSE),
    "below relu": (RADIAL, Dense(5, "relu"), DENSE),
}


def engine_of(layers, dtype, inputs=4, seed=0):
    network = Network(inputs, layers, "log_loss", "softmax")
    rng = np.random.default_rng(seed)
    arrays = [
        rng.standard_normal(parameter.shape) * (0.3 if parameter.name == "log_widths" else 1)
        for _, parameter in network.parameters()
    ]
    engine = CpuEngine(network, dtype)
    engine.pack([array.astype(dtype) for array in arrays])
    return engine, arrays


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_of_a_network_with_radial_layers_is_that_of_differences(name, weighted):
    engine, arrays = engine_of(NETWORKS[name], np.float64)
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((37, 4)), rng.integers(0, 3, 37)
    data = engine.dataset(x, y, rng.uniform(0.5, 2, 37) if weighted else None)
    packed = np.concatenate([arrays[number].ravel() for number in engine.network.packing()])
    _, gradient = engine.loss_gradient(packed, data, 0.3)
    expected = naive.central_differences(lambda p: engine.loss_gradient(p, data, 0.3)[0], packed)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize(
    "rows, inputs, centers, batch",
    [(70, 4, 6, 32), pytest.param(700, 60, 300, 512, marks=compiled_only)],
)
def test_epochs_follow_the_oracle(rows, inputs, centers, batch, normalized, dtype):
    """The larger one in several parts, each chunk of parameters with its own gradient."""
    layers = (RadialBasis(centers, normalized), Dense(3, "identity"))
    engine, parameters = engine_of(layers, dtype, inputs)
    parameters[1] += np.log(np.sqrt(inputs))
    engine.pack([array.astype(dtype) for array in parameters])
    rng = np.random.default_rng(2)
    x, labels = rng.standard_normal((rows, inputs)).astype(dtype), rng.integers(0, 3, rows)
    weights = rng.uniform(0.5, 2, rows).astype(dtype)
    data, solver = engine.dataset(x, labels, weights), engine.optimizer("adam")
    solver.learning_rate = 0.01
    oracle = naive.Adam(0.01)
    for _ in range(3):
        order = rng.permutation(rows)
        engine.train(data, order, batch, solver, 0.1, 0, -(-rows // batch))
        for start in range(0, rows, batch):
            part = order[start : start + batch]
            grads = naive.rbf_network_gradient(
                parameters, x[part].astype(float), np.eye(3)[labels[part]], "multinomial",
                normalized, 0.1, weights[part].astype(float),
            )  # fmt: skip
            oracle.step(parameters, grads)
    tolerance = 2e-3 if dtype == np.float32 else 1e-8
    for got, expected in zip(engine.unpack(), parameters):
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
    p = naive.softmax(
        naive.radial_forward(x.astype(float), *parameters[:2], normalized) @ parameters[2]
        + parameters[3]
    )
    np.testing.assert_allclose(engine.predict(x), p, atol=tolerance)


def test_sparse_rows_are_refused():
    engine, _ = engine_of((RADIAL, DENSE), np.float64)
    with pytest.raises(ValueError, match="A radial layer takes no sparse rows"):
        engine.predict(sp.csr_matrix(np.eye(4)))


def test_nothing_is_written_for_layers_below_that_have_no_parameters():
    """They have no room for a delta."""
    X, y = np.random.RandomState(0).standard_normal((50, 7)), np.zeros((50, 1))
    for below in (Dropout(0.0), Flatten()):
        shape = (1, 7) if below.kind == "flatten" else ()
        layers = (below, RadialBasis(4), Dense(1, "identity"))
        engine = CpuEngine(Network(7, layers, "squared_error", "identity", shape=shape), np.float64)
        program = engine._program(sparse=False, training=True)
        assert program.of_layer[1]["inputs_delta_at"] == 0
        alone = CpuEngine(Network(7, layers[1:], "squared_error", "identity"), np.float64)
        start = np.random.RandomState(1).standard_normal(alone.network.n_parameters)
        for a, b in zip(
            engine.loss_gradient(start, engine.dataset(X, y), 0.1),
            alone.loss_gradient(start, alone.dataset(X, y), 0.1),
        ):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-15)
