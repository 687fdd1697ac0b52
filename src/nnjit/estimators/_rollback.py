"""A fit that fails leaves the estimator as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def unchanged_on_error(estimator: Any) -> Iterator[None]:
    """Restore the estimator's attributes, and its random streams, if the block raises.

    The attributes are restored by reference, so code inside the block replaces what it changes
    (lists, arrays, solver) instead of writing into it. Generators are the exception: drawing from
    them changes them in place, so their state is saved. NumPy's global generator is not touched.

    Parameters
    ----------
    estimator : object
        Any object with a ``__dict__``.
    """
    before = dict(estimator.__dict__)
    generators = [
        (value, value.get_state(legacy=False))
        for value in (before.get("random_state"), before.get("_random_state"))
        if isinstance(value, np.random.RandomState) and value is not np.random.mtrand._rand
    ]
    try:
        yield
    except BaseException:
        estimator.__dict__.clear()
        estimator.__dict__.update(before)
        for generator, state in generators:
            generator.set_state(state)
        raise
