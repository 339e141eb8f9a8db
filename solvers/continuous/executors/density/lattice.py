"""Laws of one or two variables as Fourier series on a box: pushed points are spread on a grid and transformed.

The characteristic function of weighted points is a Fourier transform of scattered data. A Gaussian that is added to
them is a factor of it, however degenerate, and the density on a lattice is its inverse. All converges faster than any
power where the law is smooth, so that no more is needed than a box that holds the law and a band that holds its
frequencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numba import njit
from numpy.typing import NDArray

from analytic import reprs

from ....numerics.jit import COMPILED

Array = NDArray[np.float64]
WIDTH = 14  # cells that a point is spread over, along each axis
SHARPNESS = 2.3 * WIDTH
REACH = 7.5  # deviations of the added Gaussian that the box leaves around the points
SLACK = 0.02  # of the box beside it, where nothing is added
CUT = 1e-15  # nodes that weigh less than this beside the heaviest are left out
FIRST = 24  # frequencies tried first
DIP = 1e-7  # of the largest density, that it may be negative


@dataclass(frozen=True)
class Lattice:
    """A law on a box of coordinates y, with (x, v) = (y_0, y_1 + shear y_0).

    Attributes
    ----------
    low, length : (variables,) float64 arrays
        The box.
    shear : float
    hat : complex array, (2 m_0 + 1, m_1 + 1), or (m_0 + 1,) of one variable
        Coefficients of e^{-2 pi i k (y - low)/length}, averaged: frequencies 0, 1, .., m, -m, .., -1 along the first of
        two axes, 0..m along the last.
    """

    low: Array
    length: Array
    shear: float
    hat: NDArray[np.complex128]

    __repr__ = reprs.brief

    @property
    def bands(self) -> list[int]:
        """Highest frequency along each axis."""
        return [(n - 1) // 2 if axis < self.hat.ndim - 1 else n - 1 for axis, n in enumerate(self.hat.shape)]

    @property
    def waves(self) -> Array:
        """Highest wave numbers along each axis."""
        return 2 * np.pi * np.array(self.bands) / self.length

    def nodes(self, fineness: float) -> tuple[Array, Array]:
        """Points (n, variables) and their weights (n,), on a lattice `fineness` times as fine as the band needs.

        Raises FloatingPointError if there is no density, for lack of points where the law came from.
        """
        sizes = [scipy.fft.next_fast_len(int(np.ceil(fineness * (2 * m + 1))), real=True) for m in self.bands]
        padded = np.zeros((*sizes[:-1], sizes[-1] // 2 + 1), dtype=np.complex128)
        last = self.hat.shape[-1]
        if len(sizes) == 1:
            padded[:last] = self.hat
            weights = scipy.fft.irfft(padded, sizes[0])
        else:
            m = self.bands[0]
            padded[: m + 1, :last], padded[-m:, :last] = self.hat[: m + 1], self.hat[m + 1 :]
            weights = scipy.fft.irfft2(padded, sizes)
        # what is negative is an error, as large where the density is positive; without it others would be larger
        if not weights.min() > -DIP * weights.max():
            raise FloatingPointError("the law of the sample and its velocity is rough on every scale")
        kept = np.argwhere(np.abs(weights) > CUT * weights.max())
        points = self.low + self.length * kept / sizes
        if points.shape[1] == 2:
            points[:, 1] += self.shear * points[:, 0]
        return points, weights[tuple(kept.T)]

    def density(self, x: Array) -> Array:
        """Density of one variable at places of any shape."""
        angle = 2 * np.pi * (x.ravel() - self.low[0]) / self.length[0]
        turns = np.exp(1j * np.outer(angle, np.arange(1, len(self.hat))))
        values = (self.hat[0].real + 2 * (turns @ self.hat[1:]).real) / self.length[0]
        return np.asarray(values.reshape(x.shape))


def spread(
    points: Array, weights: Array, covariance: Array, tolerance: float, bands: Sequence[int], most: int
) -> Lattice:
    """Return the law of weighted points with a Gaussian added, on a box and in a band of its own.

    Parameters
    ----------
    points : (n, variables) array
        One or two.
    weights : (n,) array
    covariance : (variables, variables) array
        Of what is added.
    tolerance : float
        Coefficients below it end the band.
    bands : sequence of int
        Frequencies to try first along each axis; () for some.
    most : int
        Frequencies that points are close enough for.

    Raises
    ------
    FloatingPointError
        The law has frequencies up to the most that are tried: it is too rough, or points are too far between.
    """
    both = points.shape[1] == 2
    shear = _shear(points, weights, covariance) if both else 0.0
    turn = np.array([[1.0, 0.0], [-shear, 1.0]]) if both else np.eye(1)
    y, added = points @ turn.T, turn @ covariance @ turn.T
    ends = np.array([_ends(along, weights, tolerance) for along in y.T])
    low, high = ends.T
    inside = np.all((y >= low) & (y <= high), axis=1)
    y, weights = y[inside], weights[inside]
    margin = REACH * np.sqrt(np.diag(added)) + SLACK * (high - low)
    low, length = low - margin, high - low + 2 * margin
    length = np.where(length > 0, length, 1.0)
    bands = list(bands) if len(bands) == points.shape[1] else [FIRST] * points.shape[1]
    while True:
        hat = _transform((y - low) / length, weights, bands)
        ks = [2 * np.pi * np.arange(m + 1) / n for m, n in zip(bands, length, strict=True)]
        if both:
            ks[0] = np.concatenate([ks[0], -ks[0][:0:-1]])
            square = (
                added[0, 0] * ks[0][:, None] ** 2
                + 2 * added[0, 1] * ks[0][:, None] * ks[1]
                + added[1, 1] * ks[1] ** 2
            )
        else:
            square = added[0, 0] * ks[0] ** 2
        hat = hat * np.exp(-square / 2)
        needed = [_needed(profile, tolerance) for profile in _profiles(np.abs(hat), bands)]
        short = [n is None for n in needed]
        if not any(short):
            break
        bands = [int(1.5 * m) + 8 if open_ended else m for m, open_ended in zip(bands, short, strict=True)]
        if max(bands) > most:
            raise FloatingPointError("the law of the sample and its velocity is rough on every scale")
    m = [n for n in needed if n is not None]
    kept = [hat[: m[0] + 1], hat[len(hat) - m[0] :]] if both else [hat[: m[0] + 1]]
    return Lattice(low, length, shear, np.concatenate(kept)[..., : m[-1] + 1])


def _ends(places: Array, weights: Array, unseen: float) -> tuple[float, float]:
    """Places beyond which there is no more than so little probability: what is thrown far off has none."""
    order = np.argsort(places)
    below = np.cumsum(weights[order])
    first, last = np.searchsorted(below, [unseen, below[-1] - unseen])
    return places[order[first]], places[order[min(last, len(order) - 1)]]


def _shear(points: Array, weights: Array, covariance: Array) -> float:
    """Regression of the second variable on the first."""
    centred = points - weights @ points / weights.sum()
    whole = (centred.T * weights) @ centred / weights.sum() + covariance
    return float(whole[0, 1] / whole[0, 0])


def _profiles(size: Array, bands: list[int]) -> list[Array]:
    """Largest coefficient at each frequency along each axis."""
    if size.ndim == 1:
        return [size]
    along = size.max(axis=1)
    m = bands[0]
    return [np.maximum(along[: m + 1], np.concatenate([along[:1], along[:m:-1]])), size.max(axis=0)]


def _needed(profile: Array, tolerance: float) -> int | None:
    """Frequencies up to which a profile is above the tolerance; None if it does not stay below."""
    above = np.flatnonzero(profile > tolerance)
    last = int(above[-1]) if len(above) else 0
    return None if last > 0.95 * (len(profile) - 1) else max(last, 1)


def _transform(y: Array, weights: Array, bands: list[int]) -> NDArray[np.complex128]:
    """Average e^{-2 pi i k y} over weighted points y in the unit box, for k up to the bands."""
    sizes = [scipy.fft.next_fast_len(max(2 * (2 * m + 1), 2 * WIDTH), real=True) for m in bands]
    if len(bands) == 1:
        fine = np.zeros(sizes[0])
        _spread_line(y[:, 0], weights, fine)
        return np.asarray(scipy.fft.rfft(fine)[: bands[0] + 1] / _kernel_hat(bands[0], sizes[0]))
    plane = np.zeros(sizes)
    _spread_plane(np.ascontiguousarray(y), weights, plane)
    m, k = bands
    hat = scipy.fft.rfft2(plane)[:, : k + 1]
    first = _kernel_hat(m, sizes[0])
    first = np.concatenate([first, first[:0:-1]])
    hat = np.concatenate([hat[: m + 1], hat[len(hat) - m :]])
    return np.asarray(hat / first[:, None] / _kernel_hat(k, sizes[1]))


def _kernel_hat(band: int, size: int) -> Array:
    """Fourier transform of the kernel at the frequencies of a band."""
    t, w = np.polynomial.legendre.leggauss(4 * WIDTH)
    kernel = np.exp(SHARPNESS * (np.sqrt(1 - t**2) - 1)) * w * WIDTH / 2
    return np.asarray(np.cos(np.pi * WIDTH / size * np.outer(np.arange(band + 1), t)) @ kernel)


@njit(**COMPILED)
def _kernel(place: float, out: Any) -> int:
    """Fill the kernel about a place in units of cells; return its first cell."""
    first = int(np.ceil(place - WIDTH / 2))
    for i in range(WIDTH):
        t = (first + i - place) * (2.0 / WIDTH)
        out[i] = np.exp(SHARPNESS * (np.sqrt(max(0.0, 1.0 - t * t)) - 1.0))
    return first


@njit(**COMPILED)
def _spread_line(y: Any, weights: Any, out: Any) -> None:
    n, k = len(out), np.empty(WIDTH)
    for p in range(len(y)):
        first = _kernel(y[p] * n, k)
        for i in range(WIDTH):
            out[(first + i) % n] += weights[p] * k[i]


@njit(**COMPILED)
def _spread_plane(y: Any, weights: Any, out: Any) -> None:
    n, m = out.shape
    a, b = np.empty(WIDTH), np.empty(WIDTH)
    columns = np.empty(WIDTH, np.int64)
    for p in range(len(y)):
        row, column = _kernel(y[p, 0] * n, a), _kernel(y[p, 1] * m, b)
        for j in range(WIDTH):
            columns[j] = (column + j) % m
        for i in range(WIDTH):
            part = weights[p] * a[i]
            line = out[(row + i) % n]
            for j in range(WIDTH):
                line[columns[j]] += part * b[j]
