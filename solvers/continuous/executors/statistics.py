"""Moments and histograms of any number of samples, part by part: where samples are drawn they are also summed up."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytic import reprs

from ...numerics.jit import check_counts
from ...protocols import Target
from ..tableau import Tableau
from .fused import sample

Array = NDArray[np.float64]
PART = 1 << 22


@dataclass(frozen=True, eq=False)
class Statistics:
    """What is known of many samples.

    Attributes
    ----------
    count : int
    mean, covariance : (dim,), (dim, dim)
        Of the samples themselves, divided by their count.
    counts : (dim, bins) int64, or None
        Samples in each bin of each coordinate, if edges were given; the last bin includes its right edge.
    """

    count: int
    mean: Array
    covariance: Array
    counts: NDArray[np.int64] | None

    __repr__ = reprs.brief

    def __add__(self, other: Statistics) -> Statistics:
        """Join two disjoint sets of samples (Chan, Golub and LeVeque 1983, eq. 2.1)."""
        count = self.count + other.count
        share, apart = other.count / count, other.mean - self.mean
        spread = self.covariance * (1 - share) + other.covariance * share
        counts = None if self.counts is None or other.counts is None else self.counts + other.counts
        return Statistics(
            count,
            self.mean + share * apart,
            spread + share * (1 - share) * np.outer(apart, apart),
            counts,
        )


def statistics(
    tableau: Tableau,
    target: Target,
    n: int,
    seed: int = 0,
    initial: Any = "marginal",
    *,
    edges: ArrayLike | None = None,
    dtype: str = "float64",
    devices: str | Sequence[str] = "cpu",
    first: int = 0,
    part: int = PART,
) -> Statistics:
    """Draw samples and keep their moments and histograms alone, in memory that does not grow with n.

    Samples are those of `sample` with the same arguments. They are drawn in parts by their addresses, the parts dealt
    out among the devices, and summed up in float64 on the device that drew them.

    Parameters
    ----------
    tableau, target, n, seed, initial, dtype, first
        As in `sample`; `initial` is a word or a law.
    edges : (bins + 1,) array, optional
        Increasing edges of the bins of every coordinate.
    devices : str or sequence of str
        "cpu", "cuda", or several such as ("cuda:0", "cuda:1").
    part : int
        Samples drawn at once on a device.

    Returns
    -------
    Statistics

    Raises
    ------
    ValueError, TypeError
        An argument that cannot be; the message names it.
    FloatingPointError, RuntimeError, MemoryError
        As `sample`.
    """
    check_counts(n, first)
    if isinstance(part, bool) or not isinstance(part, int | np.integer) or part < 1:
        raise ValueError(f"part is {part!r}: give a whole number, at least 1")
    names = (devices,) if isinstance(devices, str) else tuple(devices)
    if not names:
        raise ValueError("devices is empty: name one at least, such as 'cpu'")
    if not (isinstance(initial, str) or hasattr(initial, "means") or hasattr(initial, "variances")):
        raise TypeError("initial is an array of start points, which parts have none of: give a word or a law")
    bins = None if edges is None else np.asarray(edges, dtype=np.float64)
    if bins is not None and not (bins.ndim == 1 and len(bins) > 1 and np.all(np.diff(bins) > 0)):
        raise ValueError(f"edges is {edges!r}: give at least two increasing numbers")
    begins = range(first, first + n, part)

    def work(number: int) -> list[Statistics]:
        return [
            _summed(
                sample(
                    tableau,
                    target,
                    min(part, first + n - begin),
                    seed,
                    initial,
                    dtype=dtype,
                    device=names[number],
                    first=begin,
                ),
                bins,
            )
            for begin in begins[number :: len(names)]
        ]

    with ThreadPoolExecutor(len(names)) as pool:
        found = list(pool.map(work, range(len(names))))
    return reduce(Statistics.__add__, (part for parts in found for part in parts))


def _summed(x: Any, edges: Array | None) -> Statistics:
    """Sum up samples (n, dim) where they are."""
    xp = array_api_compat.array_namespace(x)
    exact = xp.astype(x, xp.float64)
    mean = xp.mean(exact, axis=0)
    centred = exact - mean
    covariance = centred.T @ centred / x.shape[0]
    counts = None
    if edges is not None:
        there = xp.asarray(edges)
        counts = np.stack([_host(xp.histogram(exact[:, d], there)[0]) for d in range(x.shape[1])])
    return Statistics(
        x.shape[0], _host(mean), _host(covariance), None if counts is None else counts.astype(np.int64)
    )


def _host(array: Any) -> Any:
    return array.get() if hasattr(array, "get") else np.asarray(array)
