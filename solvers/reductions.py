"""What is kept of samples that are not: moments, histograms with quantiles, n-grams, of any number of them.

`sample(..., reduce=...)` draws in parts by their addresses, hands each to the reductions and forgets it. They keep
whole numbers alone, so that adding is exact: parts of any size, on any devices, in any order come out the same to the
bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import array_api_compat
import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytic import GaussianMixture, reprs

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
R = TypeVar("R", bound="Reduction")
PART_BYTES = 1 << 26  # of samples drawn at once
# A number is kept as so many 2^-16 and a rest of so many 2^-47, of which 2^33 add up without overflow.
COARSE, FINE, MOST, MOST_SAMPLES = 2.0**16, 2.0**47, 2.0**14, 1 << 33
NODES, WEIGHTS = np.polynomial.legendre.leggauss(4)


class Reduction(Protocol):
    """What is kept of samples."""

    def of(self: R, samples: Any) -> R:
        """Return the same of other samples alone, (n, dim) floats or (n, L) tokens, on any device."""

    def __add__(self: R, other: R) -> R:
        """Return what is kept of both."""


def _host(array: Any) -> Any:
    return array.get() if hasattr(array, "get") else np.asarray(array)


@dataclass(frozen=True, eq=False)
class Moments:
    """Number, mean and covariance, by sums that are exact but for 7e-15 of the scale in each sample.

    Attributes
    ----------
    scale : float
        That samples are measured in: they, and their squares, must be less than 2^14 of it.
    count : int
    sums : (2, dim + dim^2) int64 array, or None
        Of the samples and of their products, in two parts.
    """

    scale: float = 1.0
    count: int = 0
    sums: Counts | None = None

    __repr__ = reprs.brief

    def of(self, samples: Any) -> Moments:
        """Return the moments of (n, dim) samples alone.

        Raises OverflowError for samples that the scale is too small for.
        """
        xp = array_api_compat.array_namespace(samples)
        x = xp.astype(samples, xp.float64) / self.scale
        dim = x.shape[1]
        most = float(xp.max(xp.abs(x)))
        if not max(most, most**2) < MOST:
            raise OverflowError(
                f"samples reach {most * self.scale:.3g}: give Moments a scale of at least {most * self.scale / 100:.2g}"
            )
        columns = [x, *(x * x[:, d : d + 1] for d in range(dim))]
        sums = np.concatenate([_exact_sums(xp, part) for part in columns], axis=1)
        return replace(self, count=x.shape[0], sums=sums)

    def __add__(self, other: Moments) -> Moments:
        """Join two disjoint sets of samples. ValueError for another scale, OverflowError for more than 2^33 samples."""
        if self.scale != other.scale:
            raise ValueError(f"scale is {other.scale}, of the other {self.scale}: add moments of one scale")
        if self.sums is None or other.sums is None:
            return other if self.sums is None else self
        if self.count + other.count > MOST_SAMPLES:
            raise OverflowError(f"count is over {MOST_SAMPLES}: keep moments of more samples apart")
        return replace(self, count=self.count + other.count, sums=self.sums + other.sums)

    @property
    def mean(self) -> Array:
        """(dim,)."""
        return self._means[: self._dim] * self.scale

    @property
    def covariance(self) -> Array:
        """(dim, dim), divided by the count."""
        means = self._means
        first, second = means[: self._dim], means[self._dim :].reshape(self._dim, self._dim)
        return (second - np.outer(first, first)) * self.scale**2

    @property
    def _dim(self) -> int:
        assert self.sums is not None
        return int((np.sqrt(1 + 4 * self.sums.shape[1]) - 1) / 2)

    @property
    def _means(self) -> Array:
        if self.sums is None:
            raise ValueError("count is 0: there are no moments of no samples")
        coarse, fine = self.sums.astype(np.longdouble)
        return np.asarray((coarse / COARSE + fine / FINE) / self.count, np.float64)


def _exact_sums(xp: Any, values: Any) -> Counts:
    """Sums (2, m) of the columns of (n, m) numbers below 2^14, in whole numbers."""
    coarse = xp.round(values * COARSE)
    fine = xp.round((values - coarse / COARSE) * FINE)
    return np.stack([_host(xp.sum(xp.astype(part, xp.int64), axis=0)) for part in (coarse, fine)])


@dataclass(frozen=True, eq=False)
class Histogram:
    """How many samples lie between edges: in each coordinate, or along directions.

    Attributes
    ----------
    edges : (bins + 1,) array
        Increasing. ValueError for others. A bin has its left edge, and the last one both.
    directions : (lines, dim) array, or None
        What samples are projected on; the coordinates themselves if None.
    counts : (lines, bins + 2) int64 array, or None
        Samples below the edges, in each bin, and above.
    """

    edges: ArrayLike
    directions: ArrayLike | None = None
    counts: Counts | None = field(default=None)

    __repr__ = reprs.brief

    def __post_init__(self) -> None:
        edges = np.asarray(self.edges, dtype=np.float64)
        if not (edges.ndim == 1 and len(edges) > 1 and np.all(np.diff(edges) > 0)):
            raise ValueError(f"edges is {self.edges!r}: give at least two increasing numbers")
        object.__setattr__(self, "edges", edges)

    def of(self, samples: Any) -> Histogram:
        """Return the histogram of (n, dim) samples alone."""
        xp = array_api_compat.array_namespace(samples)
        x, edges = xp.astype(samples, xp.float64), xp.asarray(self.edges)
        if self.directions is not None:
            x = x @ xp.asarray(np.asarray(self.directions, dtype=np.float64)).T
        bins = len(self.edges)  # type: ignore[arg-type]  # an array by now
        counts = []
        for d in range(x.shape[1]):
            places = xp.searchsorted(edges, x[:, d], side="right")
            places = xp.where(x[:, d] == edges[-1], bins - 1, places)
            counts.append(_host(xp.bincount(places, minlength=bins + 1)))
        return replace(self, counts=np.stack(counts).astype(np.int64))

    def __add__(self, other: Histogram) -> Histogram:
        """Join two disjoint sets of samples. ValueError for other edges."""
        if not np.array_equal(np.asarray(self.edges), np.asarray(other.edges)):
            raise ValueError("edges differ: add histograms of the same")
        if self.counts is None or other.counts is None:
            return other if self.counts is None else self
        return replace(self, counts=self.counts + other.counts)

    def quantile(self, u: ArrayLike) -> Array:
        """Return quantiles (lines, ...) at 0 < u < 1, off by a bin's width at most; nan beyond the edges."""
        edges, u = np.asarray(self.edges), np.asarray(u, dtype=np.float64)
        below = np.cumsum(self._seen, axis=1)
        found = []
        for line in below:
            within = line[:-1] / line[-1]  # at each edge
            x = np.interp(u, within, edges)
            found.append(np.where((u < within[0]) | (u > within[-1]), np.nan, x))
        return np.array(found)

    def w2(self, target: GaussianMixture) -> float:
        """Return sliced W2 to a target: the root mean square over lines, each off by a bin's width at most.

        Raises ValueError where samples lie beyond the edges.
        """
        seen, edges = self._seen, np.asarray(self.edges)
        if seen[:, 0].any() or seen[:, -1].any():
            raise ValueError(f"edges reach from {edges[0]:g} to {edges[-1]:g}: some samples lie beyond")
        lines = (
            np.eye(target.dim) if self.directions is None else np.asarray(self.directions, dtype=np.float64)
        )
        squares = []
        for line, counts in zip(lines, seen[:, 1:-1], strict=True):
            ends = np.concatenate([[0], np.cumsum(counts)]) / counts.sum()
            full = counts > 0
            low, high = ends[:-1][full, None], ends[1:][full, None]
            share = (NODES + 1) / 2
            here = edges[:-1][full, None] + share * np.diff(edges)[full, None]
            there = _along(target, line).quantile((low + share * (high - low)).ravel()).reshape(here.shape)
            squares.append(np.sum(WEIGHTS / 2 * (high - low) * (here - there) ** 2))
        return float(np.sqrt(np.mean(squares)))

    @property
    def _seen(self) -> Counts:
        if self.counts is None or not self.counts.any():
            raise ValueError("counts are empty: there are no quantiles of no samples")
        return self.counts


def _along(target: GaussianMixture, line: Array) -> GaussianMixture:
    """Return the law of a target's projection."""
    axes = np.eye(target.dim)[None] if target.rotations is None else target.rotations
    variances = np.sum((line @ axes) ** 2 * target.variances, axis=1)
    return GaussianMixture(target.weights, (target.means @ line)[:, None], variances)


@dataclass(frozen=True, eq=False)
class Ngrams:
    """How often each run of so many neighbouring tokens occurs.

    Attributes
    ----------
    length, states : int
        Of a run, and of tokens.
    counts : (states,) * length int64 array, or None
    """

    length: int
    states: int
    counts: Counts | None = None

    __repr__ = reprs.brief

    def of(self, samples: Any) -> Ngrams:
        """Return the counts of (n, L) tokens alone. ValueError for sequences that are shorter."""
        xp = array_api_compat.array_namespace(samples)
        L = samples.shape[1]
        if not self.length <= L:
            raise ValueError(f"length is {self.length}: sequences have {L} tokens")
        code = xp.zeros((samples.shape[0], L - self.length + 1), dtype=xp.int64)
        for i in range(self.length):
            code = code * self.states + xp.astype(samples[:, i : L - self.length + 1 + i], xp.int64)
        counts = _host(xp.bincount(xp.reshape(code, (-1,)), minlength=self.states**self.length))
        return replace(self, counts=counts.astype(np.int64).reshape((self.states,) * self.length))

    def __add__(self, other: Ngrams) -> Ngrams:
        """Join two disjoint sets of sequences."""
        if self.counts is None or other.counts is None:
            return other if self.counts is None else self
        return replace(self, counts=self.counts + other.counts)


def reduced(
    draw: Callable[..., Any], n: int, first: int, bytes_each: int, device: Any, reduce: Any, part: int | None
) -> Any:
    """Draw samples first .. first + n - 1 in parts and return what reductions keep of them.

    Parameters
    ----------
    draw : callable
        draw(n, first=..., device=...) -> samples.
    n, first : int
    bytes_each : int
        Of a sample: by default parts are as many as keep their memory near 64 MB.
    device : str or sequence of str
        Among which parts are dealt out.
    reduce : Reduction or sequence of Reduction
    part : int, optional
        Samples drawn at once.

    Returns
    -------
    Like `reduce`.
    """
    devices = (device,) if isinstance(device, str) else tuple(device)
    if not devices:
        raise ValueError("device is empty: name one at least, such as 'cpu'")
    if part is not None and (isinstance(part, bool) or not isinstance(part, int | np.integer) or part < 1):
        raise ValueError(f"part is {part!r}: give a whole number, at least 1")
    kept: Sequence[Any] = list(reduce) if isinstance(reduce, tuple | list) else [reduce]
    for one in kept:
        if not (hasattr(one, "of") and hasattr(one, "__add__")):
            raise TypeError(
                f"reduce has {one!r}: give Moments(), Histogram(edges), Ngrams(2, states) or the like"
            )
    size = part or max(1, PART_BYTES // bytes_each)

    def parts(number: int) -> Iterator[tuple[int, int]]:
        for begin in range(number * size, n, len(devices) * size):
            yield begin, min(size, n - begin)

    def work(number: int) -> list[Any]:
        found = list(kept)
        for begin, count in parts(number):
            samples = draw(count, first=first + begin, device=devices[number])
            found = [one + like.of(samples) for one, like in zip(found, kept, strict=True)]
        return found

    if len(devices) == 1:
        found = work(0)
    else:
        with ThreadPoolExecutor(len(devices)) as pool:
            each = list(pool.map(work, range(len(devices))))
        found = each[0]
        for other in each[1:]:
            found = [a + b for a, b in zip(found, other, strict=True)]
    return type(reduce)(found) if isinstance(reduce, tuple | list) else found[0]
