"""The dense layer's choices between products."""

from nnjit.core.jit import inline

__all__ = ["prefer_dot"]


@inline
def prefer_dot(fan_in, fan_out, rows, width):
    """Whether dW costs less as dot products than with a transposed delta.

    Estimates in fused multiply-adds on whole vectors: a dot product pays about six more for
    its horizontal sum, a transposed block about eighty.
    """
    along = (rows + width - 1) // width
    across = (fan_out + width - 1) // width
    return fan_in * fan_out * (along + 6) <= across * (fan_in * rows + 80 * along)
