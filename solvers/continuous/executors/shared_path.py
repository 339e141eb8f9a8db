"""Noise for several samplers from one Brownian path: coarse and fine grids see the same randomness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...numerics.jit import COMPILED, in_parallel
from ...numerics.philox import LANES, check_seed, fill_normals, normals
from ...protocols import Path
from ..functionals import INITIAL, of_place, quadrature, shape_of
from ..tableau import Tableau

Array = NDArray[np.float64]
_SAME_TIME = 1e-12
_RANK = 1e-12
_UNCOUPLED_STEP = 1 << 31
_INITIAL_STEP = _UNCOUPLED_STEP - 1
Shape = tuple[str, float, float]  # a functional, and its channel's interval if it depends on that


class SharedPath:
    """One Brownian path per sample that several samplers are driven by.

    The union of all grids cuts time into cells. In each cell the functionals in use, restricted to it, form a
    Gaussian vector with their Gram matrix as covariance; it is drawn through a rank-revealing square root,
    and a channel's deviate is the sum over its cells, divided by its norm. Channels that are no functional of the
    path (churn, Langevin correctors) are drawn on their own, fresh for each tableau; what is drawn before the start,
    such as a velocity, is the same for all.

    Parameters
    ----------
    tableaux : sequence of Tableau
        On one path; ValueError if they are on different ones, or on none.
    """

    def __init__(self, tableaux: Sequence[Tableau]) -> None:
        path = tableaux[0].path
        if path is None or any(tableau.path != path for tableau in tableaux):
            raise ValueError("tableaux are on different paths, or on none: build them on one path")
        channels = [channel for tableau in tableaux for channel in tableau.channels]
        self._owner = [which for which, tableau in enumerate(tableaux) for _ in tableau.channels]
        self._cuts = np.cumsum([len(tableau.channels) for tableau in tableaux])[:-1]
        self._fresh = [index for index, channel in enumerate(channels) if channel.functional is None]
        self._initial = [i for i, channel in enumerate(channels) if channel.functional == INITIAL]
        on_path = [c.functional is not None and c.functional != INITIAL for c in channels]
        times = _distinct(
            [t for c, on in zip(channels, on_path, strict=True) if on for t in (c.start, c.stop)]
        )
        members: list[list[tuple[int, Shape]]] = [[] for _ in times[1:]]
        for index, channel in enumerate(channels):
            if channel.functional is not None and on_path[index]:
                begin, end = (int(np.argmin(np.abs(times - t))) for t in (channel.start, channel.stop))
                own = (channel.start, channel.stop) if of_place(channel.functional) else (0.0, 0.0)
                for cell in range(begin, end):
                    members[cell].append((index, (channel.functional, *own)))
        self._cells = _cells(path, times, members, len(channels)) if members else None

    def noise(self, n: int, dim: int, seed: int = 0, first: int = 0) -> list[Array]:
        """Deviates for each tableau: (channels, n, dim) arrays, for `sample(..., noise=)` and `run`.

        Each is N(0, I) and independent over its own channels. The same for the same (seed, sample, cell); `first`
        is the address of the first sample.
        """
        key = check_seed(seed)
        out = np.zeros((len(self._owner), n, dim))
        for index in self._fresh:
            out[index] = normals(seed, n, dim, _UNCOUPLED_STEP + index, self._owner[index], first)
        for index in self._initial:
            place = index - ([0, *self._cuts.tolist()])[self._owner[index]]  # in its own tableau
            out[index] = normals(seed, n, dim, _INITIAL_STEP, place, first)
        if self._cells is not None:
            in_parallel(_fill, -(-n // LANES), out, *self._cells, key, first)
        return np.split(out, self._cuts)


def shared_noise(tableaux: Sequence[Tableau], n: int, dim: int, seed: int = 0, first: int = 0) -> list[Array]:
    """Deviates for each tableau, all functionals of one Brownian path per sample; see `SharedPath`."""
    return SharedPath(tableaux).noise(n, dim, seed, first)


def _cells(
    path: Path, times: Array, members: list[list[tuple[int, Shape]]], channels: int
) -> tuple[Array, NDArray[np.int64], NDArray[np.int64], Array]:
    """Lay out the cells for compiled code.

    Returns ranks (cells,), bounds (cells + 1,) into the lists of members' channels and of their weights
    (members, largest rank) on the cell's independent deviates, normalised per channel.
    """
    t, q, dq_dt, dt = quadrature(path, times[:-1], times[1:])
    norms = np.zeros(channels)
    weights: list[Array] = []
    owners: list[int] = []
    ranks, bounds = [], [0]
    for cell, group in enumerate(members):
        names = sorted({name for _, name in group})
        shapes = np.array(
            [shape_of(name, path, t[cell], q[cell], dq_dt[cell], start, stop) for name, start, stop in names]
        ).reshape(len(names), -1)
        gram = (shapes * dt[cell]) @ shapes.T
        root = _square_root(gram)
        ranks.append(root.shape[1])
        for index, name in group:
            row = names.index(name)
            weights.append(root[row])
            owners.append(index)
            norms[index] += gram[row, row]
        bounds.append(len(owners))
    table = np.zeros((len(weights), max(ranks)))
    for i, (w, index) in enumerate(zip(weights, owners, strict=True)):
        table[i, : len(w)] = w / np.sqrt(norms[index])
    return np.array(ranks), np.array(bounds), np.array(owners), table


@njit(**COMPILED)
def _fill(
    begin: int, end: int, out: Any, ranks: Any, bounds: Any, owners: Any, weights: Any, seed: Any, first: int
) -> None:
    """Fill blocks begin .. end - 1 of the samples in out (channels, n, dim)."""
    n, dim = out.shape[1:]
    for block in range(begin, end):
        row = block * LANES
        lanes = min(LANES, n - row)
        words, z = np.empty((2, lanes), np.uint64), np.empty((dim, lanes))
        for cell in range(len(ranks)):
            for m in range(ranks[cell]):
                fill_normals(seed, first + row, cell, m, words, z)
                for i in range(bounds[cell], bounds[cell + 1]):
                    for lane in range(lanes):
                        for d in range(dim):
                            out[owners[i], row + lane, d] += weights[i, m] * z[d, lane]


def _distinct(times: list[float]) -> Array:
    """Sort downwards and merge times that differ by rounding only."""
    ordered = np.unique(np.asarray(times, dtype=np.float64))[::-1]
    if len(ordered) == 0:
        return ordered
    scale = max(abs(ordered[0]), abs(ordered[-1]))
    return ordered[np.concatenate([[True], -np.diff(ordered) > _SAME_TIME * scale])]


def _square_root(gram: Array) -> Array:
    """Return L with L L^T = gram and as many columns as its numerical rank, by pivoted Cholesky."""
    rest, size = gram.copy(), len(gram)
    scale = np.sqrt(np.diag(gram))
    rest /= np.outer(scale, scale)
    columns: list[Array] = []
    for _ in range(size):
        pivot = int(np.argmax(np.diag(rest)))
        if rest[pivot, pivot] <= _RANK:
            break
        column = rest[:, pivot] / np.sqrt(rest[pivot, pivot])
        columns.append(column)
        rest = rest - np.outer(column, column)
    return np.asarray(scale[:, None] * np.stack(columns, axis=1))
