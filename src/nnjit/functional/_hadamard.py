"""The Hadamard product."""

from __future__ import annotations

from numpy.typing import ArrayLike

from nnjit._arrays import check_same_shape, deliver, output, real, same_dtype
from nnjit._types import Array, FloatArray
from nnjit.core.arrays import hadamard as kernels
from nnjit.core.jobs.threads import call
from nnjit.functional._parts import PARALLEL_COPY, flat


def hadamard(A: ArrayLike, B: ArrayLike, *, out: Array | None = None) -> FloatArray:
    """Hadamard product, ``a b`` of every pair of elements.

    Parameters
    ----------
    A, B : array_like of real numbers, of one shape
        They are not broadcast: in backpropagation that would hide a mistake.
    out : ndarray, optional
        Where the result goes: A's shape, the result's dtype. May be A or B.

    Returns
    -------
    ndarray of A's shape
        float32 if both are, else float64.

    Raises
    ------
    TypeError, ValueError
        As for `relu`; ValueError if the shapes differ.

    Examples
    --------
    >>> from nnjit.functional import hadamard
    >>> hadamard([[1.0, 2.0]], [[3.0, 4.0]])
    array([[3., 8.]])
    """
    a, b = same_dtype(real(A, "A"), real(B, "B"))
    check_same_shape(a, "A", b, "B")
    result, target = output(out, b.shape, b.dtype, a, b)
    if target is a:
        a, b = b, a
    if target is a:  # all three are one
        a = a.copy()
    call(
        kernels.hadamard, b.size >= PARALLEL_COPY,
        flat(a), flat(b), target is b, flat(target),
    )  # fmt: skip
    return deliver(result, target)
