"""Small networks whose layers are asked for by keywords, a preset of each kind."""

from dataclasses import dataclass
from typing import Any

from problems import network_of, problem, quietly

import nnjit

SETTINGS = {"max_iter": 6, "random_state": 0, "batch_size": 20}


@dataclass(frozen=True, eq=False)
class Preset:
    """A kind of such networks, and what its layers may be asked for."""

    name: str
    sizes: dict[str, Any]
    stacks: dict[str, dict[str, Any]]  # keywords that ask for some layers
    in_axes: dict[str, Any]  # what goes with rows of eight values in more than one axis

    @property
    def classifier(self):
        return getattr(nnjit, f"{self.name}Classifier")

    def model_of(self, kind, stack="plain", **parameters):
        """A new estimator for a target of this kind."""
        given = {**SETTINGS, **self.sizes, **self.stacks[stack], **parameters}
        return network_of(self.name, kind, **given)

    def fitted(self, kind, stack="plain", **parameters):
        """One that was fitted, with its rows and target."""
        X, y = problem(kind)
        return quietly(self.model_of(kind, stack, **parameters).fit, X, y), X, y

    def __str__(self):
        return self.name


CONVOLUTIONAL = Preset(
    "Conv",
    {"filters": 4, "hidden_layer_sizes": (6,)},
    {
        "plain": {},
        "global": {"global_pool": "mean", "pool": None, "hidden_layer_sizes": ()},
        "all": {
            "normalization": "batch", "dropout": 0.2, "residual": True, "pool": "mean",
            "augment": {"shift": 1, "flip": True, "noise": 0.1},
        },
    },
    {"input_shape": (1, 2, 4), "kernel_size": ((2, 3),)},
)  # fmt: skip
RECURRENT = Preset(
    "Recurrent",
    {"units": 6},
    {
        "plain": {},
        "lstm": {"cell": "lstm", "pool": "mean", "hidden_layer_sizes": (6,)},
        "all": {
            "units": (5, 4), "bidirectional": True, "pool": "max", "hidden_layer_sizes": (6,),
            "dropout": 0.2, "recurrent_dropout": 0.1, "augment": {"noise": 0.1},
        },
        "tanh": {"cell": "tanh", "truncate": 3},
    },
    {"input_shape": (2, 4)},
)  # fmt: skip
