"""Layers given as a parameter: their attributes are parameters of the estimator as well."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Self

from nnjit.estimators._base import NetworkEstimator
from nnjit.layers.stack import is_layer

__all__ = ["LayerParameters"]


class LayerParameters(NetworkEstimator):
    """Makes the attributes of what is in `layers` parameters."""

    layers: Any

    def _leave_layers(self, incremental: bool) -> None:
        """Forget the fitted layers and the shape of rows, unless a fit goes on from them."""
        if not (self.warm_start or incremental):  # else rows are what they were
            for name in ("layers_", "input_shape_"):
                self.__dict__.pop(name, None)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Whether those of the layers are among them: ``layers__0`` for the first layer,
            ``layers__0__units`` for one of its attributes.

        Returns
        -------
        parameters : dict
            Values by name.
        """
        found = super().get_params(deep=False)
        if deep and isinstance(found["layers"], (list, tuple)):
            for number, layer in enumerate(found["layers"]):
                if is_layer(layer):
                    found |= _attributes(number, layer)
        return found

    def set_params(self, **params: Any) -> Self:
        """Set parameters.

        Parameters
        ----------
        **params : dict
            Values by name, as `get_params` returns them. A layer that changes is replaced.

        Returns
        -------
        self : object
            This estimator.

        Raises
        ------
        ValueError
            If there is none of a name, or a layer refuses a value. Nothing is set then.
        """
        own = {name: value for name, value in params.items() if not name.startswith("layers__")}
        inner = {name: value for name, value in params.items() if name not in own}
        if inner:
            own["layers"] = self._changed_layers(own.get("layers", self.layers), inner)
        return super().set_params(**own)

    def _changed_layers(self, layers: Any, changes: dict[str, Any]) -> Any:
        """Return layers, a new list or tuple, with others or other attributes in some places."""
        changed = list(layers) if isinstance(layers, (list, tuple)) else []
        for name in sorted(changes, key=lambda name: name.count("__")):  # whole layers first
            _, number, *attribute = name.split("__", 2)
            known = number.isdecimal() and int(number) < len(changed)
            if known and attribute:
                layer: Any = changed[int(number)]
                known = is_layer(layer) and attribute[0] in [one.name for one in fields(layer)]
            if not known:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__} with layers="
                    f"{layers!r}."
                )
            value = changes[name]
            changed[int(number)] = replace(layer, **{attribute[0]: value}) if attribute else value
        return type(layers)(changed)


def _attributes(number: int, layer: Any) -> dict[str, Any]:
    """Return a layer and its attributes by the names that they have as parameters."""
    name = f"layers__{number}"
    return {name: layer} | {
        f"{name}__{field.name}": getattr(layer, field.name) for field in fields(layer)
    }
