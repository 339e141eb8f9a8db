"""Laws of the sample with a velocity: a density of two variables, pushed through every step.

A velocity is any second number that steps hand on and add noise to. A step that asks the model where its noise is felt
is a composition: a linear map with noise to two numbers y, of which one decides what is asked, and a map of y with
noise of its own. Each part moves points and adds a Gaussian (`lattice`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import reprs

from ...functionals import INITIAL
from ...tableau import Block, Tableau
from ..packed import Packed
from .curve import Curve
from .lattice import Lattice, spread
from .mixture_on_line import Levels, MixtureOnLine, levels_of
from .panels import nodes, resolve
from .push import LANES, push

Array = NDArray[np.float64]
Asked = tuple[Array, Array]  # level and what is asked there
_SAME = 1e-12  # relative, of directions that are there
_SPLIT = 1e-9  # relative, of what must vanish where a step is split
_TOLERANCE = 1e-11  # of Fourier coefficients
# lattices are made finer where maps stretch; much finer where no noise comes between the steps of a flow
_COARSEST, _FINER, _FINEST, _FINEST_OF_FLOW = 2.2, 1.5, 10.0, 60.0
_FLOW = 4  # legs without noise between them
_START = 16  # points a deviation that the start is carried on


@dataclass(frozen=True)
class Leg:
    """A part of a step: a map of registers, and Gaussian noise added after it.

    Attributes
    ----------
    U, A, V, B : arrays
        As of a `Block`'s step.
    levels, asks : (stages, 2) arrays
    covariance : (left, left) array
        Of what is added.
    """

    U: Array
    A: Array
    V: Array
    B: Array
    levels: Array
    asks: Array
    covariance: Array

    __repr__ = reprs.brief


def legs_of(tableau: Tableau) -> list[Leg] | None:
    """Read a tableau as maps of the sample and a velocity with noise between them; None if it is nothing of the kind.

    A register that is an evaluation at the new sample is asked for again in the next step.
    """
    told: dict[int, Asked] = {}
    legs: list[Leg] = []
    moving, last = False, len(tableau) - 1
    for index, block in enumerate(tableau.steps):
        step = _Step(block, told)
        handed = [r for r in range(block.registers_in) if r not in told]
        told = step.tells
        left = [0] if index == last else [r for r in range(block.registers_out) if r not in told]
        moving |= bool(np.any(step.H[left[1:]]))
        parts = step.legs(handed, left) if max(len(left), len(handed)) < 3 else None
        if parts is None:
            return None
        legs += parts
    return legs if moving else None


class _Step:
    """One step of a tableau; evaluations it is told of are its first stages."""

    def __init__(self, block: Block, told: dict[int, Asked]) -> None:
        U, A, G, V, B, H = (getattr(block, name)[0] for name in "UAGVBH")
        more, registers = len(told), list(told)
        at_the_sample = np.zeros((more, U.shape[1]))
        at_the_sample[:, 0] = 1.0
        self.U, self.V = np.concatenate([at_the_sample, U]), V.copy()
        self.A = np.zeros((more + len(U), more + len(U)))
        self.A[more:, :more], self.A[more:, more:] = U[:, registers], A
        self.B = np.concatenate([V[:, registers], B], axis=1)
        self.U[:, registers] = self.V[:, registers] = 0.0
        self.G, self.H = np.concatenate([np.zeros((more, G.shape[1])), G]), H
        asked = [(block.levels[0, j], block.asks[0, j]) for j in range(block.stages)]
        self.asked: list[Asked] = [*told.values(), *asked]
        self.begins = [c for c, functional in enumerate(block.functionals) if functional == INITIAL]
        self.tells: dict[int, Asked] = {}
        for r in range(1, len(V)):
            (one,) = np.nonzero(B[r])
            if len(one) == 1 and B[r, one[0]] == 1 and not V[r].any() and not H[r].any():
                j = int(one[0])
                if all(np.array_equal(stage[j], new[0]) for stage, new in ((U, V), (A, B), (G, H))):
                    self.tells[r] = asked[j]

    def legs(self, handed: Sequence[int], left: Sequence[int]) -> list[Leg] | None:
        """Split the step where its noise is seen; None if that cannot be."""
        U, G, B = self.U[:, handed], self.G, self.B[left]
        V, H = self.V[np.ix_(left, handed)], self.H[left]
        matters = np.any(B != 0, axis=0)
        sees = np.any(G != 0, axis=1)
        for i in range(len(matters) - 1, -1, -1):
            if matters[i]:
                matters |= self.A[i] != 0
        for i in range(len(sees)):
            sees[i] |= bool(np.any(sees[self.A[i] != 0]))
        late, early = np.flatnonzero(matters & sees), np.flatnonzero(matters & ~sees)
        if not len(late):
            return [self._leg(early, U[early], V, B[:, early], H @ H.T)]
        first: list[Leg] = []
        if len(handed) == 1 and len(self.begins):  # what is drawn before the start is handed to the step
            c, none = self.begins[0], np.zeros((0, 1))
            first = [
                Leg(
                    none,
                    np.zeros((0, 0)),
                    np.array([[1.0], [0.0]]),
                    np.zeros((2, 0)),
                    none,
                    none,
                    np.diag([0.0, 1.0]),
                )
            ]
            U, V = np.hstack([U, G[:, [c]]]), np.hstack([V, H[:, [c]]])
            G, H = np.delete(G, c, axis=1), np.delete(H, c, axis=1)
        seen = np.hstack([U, self.A[:, early], G])[late]
        whole = np.hstack([V, B[:, early], H])
        y = _middle(seen, whole, 2, 2 + len(early)) if U.shape[1] == 2 else None
        if y is None:
            return None
        onward = V @ np.linalg.inv(y[:, :2])
        n, rest = y[:, 2 + len(early) :], (whole - onward @ y)[:, 2 + len(early) :]
        inputs = np.linalg.lstsq(y.T, seen.T, rcond=None)[0].T
        return [
            *first,
            self._leg(early, U[early], y[:, :2], y[:, 2 : 2 + len(early)], n @ n.T),
            self._leg(late, inputs, onward, B[:, late], rest @ rest.T),
        ]

    def _leg(self, stages: NDArray[np.int64], U: Array, V: Array, B: Array, covariance: Array) -> Leg:
        levels, asks = (np.reshape([self.asked[i][part] for i in stages], (-1, 2)) for part in (0, 1))
        return Leg(U, self.A[np.ix_(stages, stages)], V, B, levels, asks, covariance)


def _middle(seen: Array, whole: Array, z: int, noise: int) -> Array | None:
    """Find two numbers y, as rows, between the parts of a step; None if there are none.

    Columns are those of registers before `z`, of evaluations before `noise`, and of noises. What late stages see,
    `seen`, is to be y's; of all that is left but late evaluations, `whole`, what y does not give is to be noise that is
    independent of y.
    """
    _, sizes, basis = np.linalg.svd(seen, full_matrices=False)
    y = basis[sizes > _SAME * sizes[0]]
    if len(y) == 1:
        # the second row is across the first in the registers; how it sees the first one's noise follows
        (r,) = y
        across = np.array([-r[1], r[0]])
        if not r[:z].any():
            return None
        along, m = (whole[:, :z] @ np.linalg.inv(np.stack([r[:z], across]))).T
        if not m.any():
            return None
        rest = whole - np.outer(along, r)
        shared = m @ rest @ np.where(np.arange(len(r)) < noise, 0.0, r) / (r[noise:] @ r[noise:])
        q = np.concatenate([(m @ m) * across, m @ rest[:, z:noise], shared * r[noise:]]) / (m @ m)
        y = np.stack([r, q])
    if len(y) != 2 or np.linalg.cond(y[:, :z]) > 1 / _SPLIT:
        return None
    rest = whole - whole[:, :z] @ np.linalg.inv(y[:, :z]) @ y
    apart = np.abs(rest[:, z:noise]).max(initial=0.0), np.abs(rest[:, noise:] @ y[:, noise:].T).max()
    return y if max(apart) < _SPLIT * np.abs(whole).max() else None


def _packed(legs: Sequence[Leg]) -> Packed:
    """Pad legs as steps without channels."""
    N, S = len(legs), max(1, *(len(leg.U) for leg in legs))
    R = max(max(leg.V.shape) for leg in legs)
    sizes = {"U": (S, R), "A": (S, S), "G": (S, 1), "V": (R, R), "B": (R, S), "H": (R, 1)}
    arrays = {name: np.zeros((N, *size)) for name, size in sizes.items()}
    levels, asks, counts = np.ones((N, S, 2)), np.zeros((N, S, 2)), np.zeros((N, 4), dtype=np.int64)
    for n, leg in enumerate(legs):
        for name in ("U", "A", "V", "B"):
            part = getattr(leg, name)
            arrays[name][n, : part.shape[0], : part.shape[1]] = part
        levels[n, : len(leg.U)], asks[n, : len(leg.U)] = leg.levels, leg.asks
        counts[n] = len(leg.U), 0, leg.V.shape[1], leg.V.shape[0]
    return Packed(
        **arrays, levels=levels, asks=asks, counts=counts, first_channel=np.zeros(N, dtype=np.int64)
    )


class Plane:
    """A sampler with a velocity on one target.

    Parameters
    ----------
    name : str
        Of the sampler, for errors.
    legs : list of Leg
        Those that add nothing are taken together with the ones that follow.
    target : one-dimensional mixture, or what else `levels_of` takes
    """

    def __init__(self, name: str, legs: list[Leg], target: Any) -> None:
        self.name, self.legs, self.packed = name, legs, _packed(legs)
        last = len(legs) - 1
        self.noisy = [n + 1 for n, leg in enumerate(legs) if n == last or np.any(leg.covariance)]
        self.levels: Levels = levels_of(self.packed, target)

    def law(self, begin: MixtureOnLine, resolution: float) -> Curve:
        """Push a law through all steps.

        Raises
        ------
        FloatingPointError
            The method is unstable on this grid, or its law too rough.
        """
        law: Lattice | None = None
        bands: list[Sequence[int]] = [(), ()]  # of the laws before the last two, as a step may have two
        tolerance, fineness, first = _TOLERANCE / resolution**4, _COARSEST, 0
        for stop in self.noisy:
            at_once, most_fine = True, _FINEST if stop - first < _FLOW else _FINEST_OF_FLOW
            while True:
                try:
                    fine = fineness * resolution
                    points, weights = _start(begin, fine) if law is None else law.nodes(fine)
                    most = len(points) if law is None else int(2 * fine * max(law.bands))
                    moved, added = self._moved(first, stop, points), self.legs[stop - 1].covariance
                    found = spread(moved, weights, added, tolerance, bands[0], most)
                    found.nodes(_COARSEST)  # which fails
                    break
                except FloatingPointError as problem:
                    fineness, at_once = fineness * _FINER, False
                    if fineness > most_fine:
                        raise FloatingPointError(f"{self.name}: {problem}") from problem
            law, bands, first = found, [bands[1], [int(1.2 * m) + 4 for m in found.bands]], stop
            fineness = max(_COARSEST, fineness / _FINER) if at_once else fineness
        assert law is not None
        places, weights = law.nodes(2.0)
        low, high = float(places.min()), float(places.max())
        noise = float(-weights.min() * len(weights) / (high - low))
        edges = np.linspace(low, high, 9)
        panels = resolve(lambda x: (law.density(x), noise), edges[:-1], edges[1:], _TOLERANCE)
        return Curve(*panels, nodes(panels.left, panels.right), np.ones_like(panels.values))

    def _moved(self, first: int, stop: int, points: Array) -> Array:
        """Push points through the maps of legs first..stop-1."""
        rows, into, left = -(-len(points) // LANES), points.shape[1], len(self.legs[stop - 1].V)
        Z = np.zeros((rows, self.packed.U.shape[2], LANES))
        padded = np.concatenate([points, np.repeat(points[-1:], rows * LANES - len(points), axis=0)])
        Z[:, :into] = padded.reshape(rows, LANES, into).transpose(0, 2, 1)
        push(self.packed, self.levels, first, stop, Z, np.zeros_like(Z))
        moved = Z[:, :left].transpose(0, 2, 1).reshape(-1, left)[: len(points)]
        if not np.all(np.isfinite(moved)):
            raise FloatingPointError("it overflowed: take more steps or another grid")
        return moved


def _start(begin: MixtureOnLine, fineness: float) -> tuple[Array, Array]:
    """Points that carry a mixture."""
    deviations = np.sqrt(begin.variances)
    low, high = (begin.means - 8.5 * deviations).min(), (begin.means + 8.5 * deviations).max()
    x = np.linspace(low, high, int(fineness * _START * (high - low) / deviations.min()))
    weights = begin.density(x) * (x[1] - x[0])
    return x[:, None], weights
