"""Agents: networks that learn from rewards, in Gymnasium's environments.

`QAgent` learns what each of some actions is worth (double DQN), `PolicyAgent` what to do, even
where actions are real numbers (actor and critic, clipped updates). Gymnasium comes with
``pip install 'nnjit[agents]'``; it is imported when an agent first gets an environment.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["PolicyAgent", "QAgent"]

_MODULES = {"PolicyAgent": "policy_agent", "QAgent": "q_agent"}

if TYPE_CHECKING:
    from nnjit.agents.policy_agent import PolicyAgent
    from nnjit.agents.q_agent import QAgent
else:

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module 'nnjit.agents' has no attribute {name!r}")
        found = getattr(importlib.import_module(f"nnjit.agents.{_MODULES[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
