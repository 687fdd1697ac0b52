"""Private methods of scikit-learn's networks that subclasses override in vain here."""

from __future__ import annotations

import warnings

__all__ = ["warn_of_ignored_overrides"]

# Its steps of training and prediction, which here are compiled, and its checks of input. None of
# these names may be used for methods of our own.
_IGNORED = (
    "_backprop",
    "_compute_loss_grad",
    "_fit_lbfgs",
    "_fit_stochastic",
    "_forward_pass",
    "_forward_pass_fast",
    "_loss_grad_lbfgs",
    "_predict",
    "_score",
    "_score_with_function",
    "_unpack",
    "_update_no_improvement_count",
    "_validate_input",
)


def warn_of_ignored_overrides(cls: type, base: type) -> None:
    """Warn where the class statement of a subclass adds methods that only scikit-learn would call.

    Parameters
    ----------
    cls : type
        The new class.
    base : type
        The class from which on such methods are ignored.
    """
    parents = [parent for parent in cls.__bases__ if issubclass(parent, base)]
    added = [
        name
        for name in _IGNORED
        if hasattr(cls, name) and not any(hasattr(parent, name) for parent in parents)
    ]
    if added:
        warnings.warn(
            f"{cls.__name__} has {', '.join(added)}, which scikit-learn's networks call and "
            "nnjit's do not: here training and prediction are compiled. Override fit, predict, "
            "_fit, _initialize or _init_coef, use callbacks, or take scikit-learn's class.",
            # Of ABCMeta.__new__, between this and the class statement, there is a Python frame.
            stacklevel=4,
        )
