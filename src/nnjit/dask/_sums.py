"""The loss of all rows and its gradient, as sums over their parts."""

from __future__ import annotations

import numpy as np

from nnjit._types import Array
from nnjit.dask._cluster import Parts
from nnjit.dask._part import loss_gradient
from nnjit.layers.network import Network

__all__ = ["SumOverParts"]


class SumOverParts:
    r"""The penalized loss over the rows of all parts, for L-BFGS.

    .. math:: \frac{1}{\sum_k w_k} \Bigl(\sum_k w_k L_k(\theta) + \frac{\alpha}{2} \|W\|^2\Bigr)

    with L_k the mean loss of part k by the weights of its rows and w_k these together. Sums are
    taken in the order of the parts, in float64, so the bits depend on how rows are cut into parts
    and not on which worker has them or is first.

    Parameters
    ----------
    parts : Parts
    network : Network
    dtype : numpy dtype
        Of the engines, in which the parameters are sent and the gradients come back.
    alpha : float
        L2 penalty.
    """

    def __init__(
        self, parts: Parts, network: Network, dtype: np.dtype[np.floating], alpha: float
    ) -> None:
        self._parts, self._dtype, self._alpha = parts, dtype, alpha
        of_all = [parameter for _, parameter in network.parameters()]
        # They come first in the packing.
        self._n_penalized = sum(
            int(np.prod(one.shape)) for one in of_all if one.trained and one.penalized
        )

    def __call__(self, packed: Array) -> tuple[float, Array]:
        """Return the loss and its gradient at packed parameters."""
        loss, weight = 0.0, 0.0
        gradient = np.zeros(len(packed))
        for part in self._parts.each(loss_gradient, packed.astype(self._dtype)):
            if part.gradient is not None:
                loss += part.weight * part.loss
                gradient += part.weight * part.gradient.astype(np.float64)
                weight += part.weight
        penalized = packed[: self._n_penalized]
        loss += 0.5 * self._alpha * float(np.square(penalized).sum())
        gradient[: self._n_penalized] += self._alpha * penalized
        return loss / weight, gradient / weight
