"""Distances between laws on a finite set, given as tables of probabilities."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike

from .checks import FloatArray


def table_tv(p: ArrayLike, q: ArrayLike) -> float:
    """Total variation distance of two laws, half the sum of |p - q|.

    Parameters
    ----------
    p, q : arrays of one shape
        q may be signed, as the result of a method whose steps are signed measures; p is a law.

    Raises
    ------
    ValueError
        Shapes that differ, entries that are not finite, sums that differ from one by more than 1e-9, or a
        negative entry in p.
    """
    a, b = _pair(p, q)
    return float(0.5 * np.abs(a - b).sum())


def table_kl(p: ArrayLike, q: ArrayLike) -> float:
    """Kullback-Leibler divergence KL(p | q) in nats, infinite where q is zero or negative and p is not.

    Summed as p log(p/q) - p + q, whose terms are all positive, so that a small divergence keeps its digits.
    Raises ValueError as `table_tv`.
    """
    a, b = _pair(p, q)
    if (b[a > 0] <= 0).any():
        return float("inf")
    # log(p/q) by log1p where the two are near each other: its rounding error is then relative to the difference
    inside = a > 0
    ratio = (b[inside] - a[inside]) / a[inside]
    terms = np.where(np.abs(ratio) < 0.5, a[inside] * (ratio - np.log1p(ratio)), 0.0)
    far = np.abs(ratio) >= 0.5
    x, y = a[inside][far], b[inside][far]
    terms[far] = scipy.special.rel_entr(x, y) - x + y
    return float(terms.sum() + np.abs(b[~inside]).sum())


def _pair(p: ArrayLike, q: ArrayLike) -> tuple[FloatArray, FloatArray]:
    a, b = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"q has shape {b.shape} and p {a.shape}: give laws on the same set")
    for name, law in (("p", a), ("q", b)):
        if not np.isfinite(law).all() or abs(law.sum() - 1) > 1e-9:
            raise ValueError(
                f"{name} sums to {law.sum()!r}: give finite probabilities that sum to one within 1e-9"
            )
    if (a < 0).any():
        raise ValueError(f"p holds {a.min()!r}: give probabilities that are not negative")
    return a.ravel(), b.ravel()
