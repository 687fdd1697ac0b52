"""Parameters of a network in both forms, and the results of an epoch beside the oracle's."""

import numpy as np

from nnjit.layers.layer import size_of


def parameters(made, dtype, seed=0):
    """Random parameters of a network, with which its values are about 1."""
    rng, found = np.random.default_rng(seed), []
    for _, one in made.parameters():
        values = rng.standard_normal(one.shape)
        if one.name in ("scale", "variance"):
            values = np.abs(values) + 0.5
        elif len(one.shape) > 1:
            values /= np.sqrt(np.prod(one.shape[:-1]))
        found.append(values.astype(dtype))
    return found


def packed(made, arrays):
    """Parameters as one vector, in the order in which an engine has them."""
    return np.concatenate([arrays[number].ravel() for number in made.packing()]).astype(float)


def unpacked(made, vector):
    """The other way round."""
    shapes = [one.shape for _, one in made.parameters()]
    found, start = [None] * len(shapes), 0
    for number in made.packing():
        size = size_of(shapes[number])
        found[number] = vector[start : start + size].reshape(shapes[number])
        start += size
    return found


def assert_agree(found, expected, dtype):
    """Compare parameters and losses of epochs."""
    limit = 1e-11 if dtype == np.float64 else 3e-4
    (arrays, losses), (others, other_losses) = found, expected
    np.testing.assert_allclose(losses, other_losses, rtol=limit)
    for a, b in zip(arrays, others, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=limit)


def tolerance_of_noise(dtype):
    # a radius near 0 has few digits in float32
    return {"rtol": 0, "atol": 1e-13 if dtype == np.float64 else 2e-5}
