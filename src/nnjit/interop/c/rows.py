"""How rows come into a network: what stands before it in a pipeline, and the order of values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from nnjit.estimators._hidden import up_to
from nnjit.estimators.hidden_features import HiddenFeatures
from nnjit.interop.c.chain import Chain, Step
from nnjit.interop.c.fronts import front_step, is_front
from nnjit.interop.c.layers.writing import body
from nnjit.interop.c.network import add_layers, moved_channels
from nnjit.interop.c.source import Source
from nnjit.interop.fitted import FittedNetwork, fitted_network

__all__ = ["Rows", "add_rows", "read_network"]


def read_network(estimator: Any) -> tuple[FittedNetwork, int | None]:
    """Return a network, and the number of the layer that is the end where that is not the last.

    Raises
    ------
    TypeError
        If it is none.
    """
    if isinstance(estimator, HiddenFeatures):
        check_is_fitted(estimator)
        net = fitted_network(estimator._network())
        return net, len(up_to(net.network, estimator.layer).layers)
    if isinstance(estimator, BaseEstimator) or hasattr(type(estimator), "_give_parameters"):
        return fitted_network(estimator), None
    raise TypeError(f"export_c takes a fitted estimator, got {estimator!r:.200}.")


class Rows:
    """How rows come into a network: what stands before it, and chains that begin with that."""

    def __init__(self, source: Source, fronts: Sequence[Any]) -> None:
        self.source, self.fronts = source, fronts
        first = next((n for n in map(_width, fronts) if n is not None), None)
        self.width = first

    def begin(self, net_width: int) -> Chain:
        """Return a chain that ends in the rows that the last network takes."""
        chain = Chain(self.width or net_width)
        for front in self.fronts:
            size = chain.sizes[chain.last]
            if is_front(front):
                chain.add(front_step(self.source, front, size))
            else:
                self._add_network(chain, front)
        return chain

    def _add_network(self, chain: Chain, front: Any) -> None:
        """Add a network that stands before another one as a transformer."""
        if not isinstance(front, HiddenFeatures) and not hasattr(front, "_code_layer"):
            raise TypeError(
                f"{type(front).__name__} in front of a network has no C; scalers of scikit-learn, "
                "SeriesScaler, AutoEncoder and HiddenFeatures have."
            )
        net, end = read_network(front)
        end = net.code_layer + 1 if net.code_layer is not None else end
        _check_dtype(net, self.source)
        add_rows(chain, self.source, net)
        add_layers(chain, self.source, net, 0, end)
        chain.count = ""


def _width(front: Any) -> int | None:
    found: int | None = getattr(front, "n_features_in_", None)
    return found


def _check_dtype(net: FittedNetwork, source: Source) -> None:
    if net.dtype != source.real.dtype:
        raise ValueError(
            f"The networks of a pipeline are of {net.dtype} and {source.real.dtype}, but a file has"
            " one type: fit both on rows of one type."
        )


def add_rows(chain: Chain, source: Source, net: FittedNetwork) -> None:
    """Add what a network does to rows before its layers, and check how many values they have."""
    if chain.sizes[chain.last] != net.n_features_in:
        raise ValueError(
            f"The network takes rows of {net.n_features_in} values, but gets "
            f"{chain.sizes[chain.last]}."
        )
    if net.origin is not None:
        chain.add(_from_origin(source, net))
    if net.channels_last:
        chain.add(moved_channels(source, net.input_shape, to_front=True))


def _from_origin(source: Source, net: FittedNetwork) -> Step:
    """Return the step that makes rows of a radial network relative to a point amid them."""
    real, origin = source.real, source.constant("origin", net.origin)
    unit = real.literal(1 / net.unit)
    lines = body(f"""
        int32_t i;
        for (i = 0; i < {net.n_features_in}; i++) h[i] = (x[i] - {origin}[i]) * {unit};
        """)
    parameters = f"const {real.name} *x, {real.name} *h"
    function = source.function("from_origin", parameters, lines, of="differences from a point")
    return Step(function, net.n_features_in, in_place=True)
