"""The modules that rows go through one after the other, and why one may be more than it seems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from nnjit.interop.torch import chain

__all__ = ["Leaf", "leaves_of", "refusal"]


class Leaf(NamedTuple):
    """A module that is no sequence of others."""

    place: str  # its name in a state_dict
    module: Any
    position: tuple[int, int] | None  # which module of which sequence it begins
    listed: bool  # whether it was given in a list


def leaves_of(module: Any) -> Iterator[Leaf]:
    """Yield the modules of a module, or of several in order, that are no sequences.

    Raises
    ------
    TypeError
        If it is nothing of this.
    """
    if isinstance(module, nn.Module):
        yield from _inside(module, "", None)
    elif isinstance(module, list | tuple) and all(isinstance(one, nn.Module) for one in module):
        for number, one in enumerate(module):
            for leaf in _inside(one, str(number), None):
                yield leaf._replace(listed=leaf.module is one)
    else:
        raise TypeError(
            "from_torch takes a torch.nn.Module, or a list of such, but got "
            f"{type(module).__name__}."
        )


def _inside(module: Any, place: str, position: tuple[int, int] | None) -> Iterator[Leaf]:
    """Yield the modules that are no sequences, in the order in which rows go through them."""
    forward = getattr(type(module), "forward", None)  # a compiled script has none
    if forward not in (nn.Sequential.forward, chain.Chain.forward) or refusal(module):
        yield Leaf(place or type(module).__name__, module, position, False)
        return
    for number, (name, one) in enumerate(module._modules.items()):  # one may stand there twice
        inner = f"{place}.{name}" if place else name
        at: tuple[int, int] | None = (id(module), number)
        for leaf in _inside(one, inner, at):
            yield leaf if leaf.position else leaf._replace(position=at)
            at = None


def refusal(module: Any) -> str:
    """Return why a module, a sequence too, may do something else than its type; "" if not so."""
    if isinstance(module, LazyModuleMixin) and module.has_uninitialized_params():
        return "it is lazy and has no weights yet: have rows go through it first"
    if module._forward_hooks or module._forward_pre_hooks:
        return "it has hooks, which may do anything"
    if "forward" in vars(module) or type(module).__call__ is not nn.Module.__call__:
        return "its forward was replaced by another one"
    return ""
