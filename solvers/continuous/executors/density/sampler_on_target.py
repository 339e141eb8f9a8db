"""A sampler on one target, ready to be walked: its links, its model at all levels, and how finely to compute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analytic import reprs

from ..packed import Packed
from .links import Link
from .mixture_on_line import Levels
from .panels import ANALYSIS, NODES, WEIGHTS, Panels, at, nodes, rounding, tails
from .push import LANES, push

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
# A panel with less probability than this is left out of integrals.
NEGLIGIBLE = 1e-21
_MOST_PARTS = 64


class Precision(NamedTuple):
    """How finely to compute.

    tolerance : see `panels`. piece : longest image of a panel that a Gaussian is integrated over, in
    deviations; with 16 nodes a length of 6 leaves 1e-13, 7 leaves 1e-11. reach : deviations after which a
    Gaussian is cut.
    """

    tolerance: float
    piece: float
    reach: float

    @staticmethod
    def of(resolution: float, joint: bool = False) -> Precision:
        """Precision at a resolution, 1 being the usual; coarser for joint densities, which cost its cube."""
        if joint:
            return Precision(1e-9 / resolution**8, 8.0 / resolution, 8.0 + 0.8 * np.log2(resolution))
        return Precision(1e-12 / resolution**8, 6.0 / resolution, 8.8 + 0.8 * np.log2(resolution))


class Pieces(NamedTuple):
    """Panels cut so finely that a Gaussian is integrated exactly: masses (P, 16) at images (P, 16) of their nodes.

    low (P,) is the least image in each piece, increasing; width is the longest image of a piece; kept (P, 16) is
    register 1 after the map.
    """

    images: Array
    masses: Array
    low: Array
    width: float
    kept: Array


@dataclass(frozen=True)
class SamplerOnTarget:
    """A sampler on one target.

    Attributes
    ----------
    name : str
    packed : Packed
    levels : Levels
    links : list of Link
    precision : Precision
    """

    name: str
    packed: Packed
    levels: Levels
    links: list[Link]
    precision: Precision

    __repr__ = reprs.brief

    def image(
        self, link: Link, x: Array, remembered: Array | None = None
    ) -> tuple[Array, Array, Array, Array]:
        """Push samples (any shape) through a link's map.

        Returns
        -------
        place, slope, kept, kept_slope
            The sample, register 1, and their derivatives in x. Raises FloatingPointError on overflow.
        """
        registers = self.packed.U.shape[2]
        rows = -(-x.size // LANES)
        Z, dZ = np.zeros((rows, registers, LANES)), np.zeros((rows, registers, LANES))
        _fill(Z[:, 0], x)
        dZ[:, 0] = 1.0
        if remembered is not None:
            _fill(Z[:, 1], remembered)
        if link.stop > link.first:
            push(self.packed, self.levels, link.first, link.stop, Z, dZ)
            if not (np.all(np.isfinite(Z)) and np.all(np.isfinite(dZ))):
                raise FloatingPointError(
                    f"{self.name} overflowed on {len(self.packed.counts)} steps: take more steps or another grid"
                )
        kept = min(1, registers - 1)
        place, slope, memory, memory_slope = (
            values.reshape(-1)[: x.size].reshape(x.shape)
            for values in (Z[:, 0], dZ[:, 0], Z[:, kept], dZ[:, kept])
        )
        return place, slope, memory, memory_slope

    def pieces(self, link: Link, law: Panels, pace: Callable[[Array, Array], tuple[Array, float]]) -> Pieces:
        """Cut a law's panels until the density of the noise after the link varies little over each.

        `pace` gives, for the images of nodes and their slopes (P, 16), how many deviations of the noise the
        sample moves with the node's place, (P, 16), and what change of an image is felt at all.
        """
        coefficients = law.values @ ANALYSIS
        owner: Indices = np.arange(len(law.left))
        left, right, values = law
        images, masses, memories = [], [], []
        while len(left):
            mass = values * ((right - left) / 2)[:, None] * WEIGHTS
            alive = mass.sum(axis=1) > NEGLIGIBLE
            left, right, owner, mass = left[alive], right[alive], owner[alive], mass[alive]
            if len(left) == 0:
                break
            image, slope, kept, _ = self.image(link, nodes(left, right))
            rate, felt = pace(image, slope)
            parts = np.ceil(rate.max(axis=1) * (right - left) / self.precision.piece).astype(np.int64)
            # Where the map bends within a panel, the noise at its image needs a panel of its own.
            rough = tails(image) - rounding(left, right, image) > 1e-7 * felt + 1e-14 * np.abs(image).max()
            parts = np.where(rough, np.maximum(parts, 2), np.maximum(parts, 1))
            images.append(image[parts == 1])
            masses.append(mass[parts == 1])
            memories.append(kept[parts == 1])
            cut = parts > 1
            left, right, owner = _cut(left[cut], right[cut], owner[cut], np.minimum(parts[cut], _MOST_PARTS))
            places = nodes(left, right).ravel()
            values = at(law.left, law.right, coefficients, np.repeat(owner, NODES), places).reshape(-1, NODES)
        image, mass = np.concatenate(images), np.concatenate(masses)
        low = image.min(axis=1)
        order = np.argsort(low, kind="stable")
        memory = np.concatenate(memories)[order]
        image, mass, low = image[order], mass[order], low[order]
        return Pieces(image, mass, low, float((image.max(axis=1) - low).max()), memory)


def _fill(rows: Array, values: Array) -> None:
    """Copy values into rows of lanes, the last one repeated to the end."""
    flat = values.ravel()
    rows[:] = np.append(flat, np.full(rows.size - flat.size, flat[-1])).reshape(rows.shape)


def _cut(left: Array, right: Array, owner: Indices, parts: Indices) -> tuple[Array, Array, Indices]:
    """Cut each panel into a number of equal parts."""
    index = np.repeat(np.arange(len(left)), parts)
    part = np.arange(len(index)) - np.repeat(np.cumsum(parts) - parts, parts)
    step = ((right - left) / parts)[index]
    start = left[index] + part * step
    # The last part ends where its panel does, to the bit.
    stop = np.where(part + 1 == parts[index], right[index], start + step)
    return start, stop, owner[index]
