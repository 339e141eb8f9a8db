"""Targets of growing size: Gaussians by dimension, condition number and intrinsic dimension, modes on the line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture

Array = NDArray[np.float64]
DIMENSIONS = (1, 3, 10, 30, 100, 300, 1000)
CONDITIONS = (1, 10, 100, 1000, 10_000, 100_000, 1_000_000)
CONDITION_DIMENSION = 16
AMBIENT = 1000
SEPARATIONS = (1, 2, 4, 8, 16)
MODES = (1, 2, 4, 8)
MODE_DEVIATION, MODE_SPACING = 0.25, 8
# errors to reach
W2, RELATIVE, KL, TV = 0.01, 0.01, 0.001, 0.02


@dataclass(frozen=True)
class Family:
    """Gaussians of growing size.

    Attributes
    ----------
    on : str
    sizes : tuple of int
    targets : tuple of GaussianMixture
    held : tuple of (metric, error to reach)
    """

    on: str
    sizes: tuple[int, ...]
    targets: tuple[GaussianMixture, ...]
    held: tuple[tuple[str, float], ...]


def gaussian(variances: Array) -> GaussianMixture:
    """Return the Gaussian with these variances along the axes and means of half a standard deviation."""
    return GaussianMixture([1.0], 0.5 * np.sqrt(variances)[None, :], variances[None, :])


def families(against: str) -> tuple[Family, ...]:
    """Return the Gaussians whose size is varied: "dimension", "condition" or "intrinsic".

    dimension: variances 1, and 1/k as natural images have. condition: 16 variances from 1 down to 1/size, equal
    ratios. intrinsic: `size` variances 1 out of 1000, the others zero.
    """
    if against == "dimension":
        held: tuple[tuple[str, float], ...] = (("W2", W2), ("W2/scale", RELATIVE), ("KL", KL))
        isotropic = tuple(gaussian(np.ones(d)) for d in DIMENSIONS)
        natural = tuple(gaussian(1 / np.arange(1.0, d + 1)) for d in DIMENSIONS)
        return (
            Family("isotropic", DIMENSIONS, isotropic, held),
            Family("spectrum 1/k", DIMENSIONS, natural, held),
        )
    held = (("W2/scale", RELATIVE), ("KL", KL))
    if against == "condition":
        elongated = (gaussian(np.geomspace(1, 1 / c, CONDITION_DIMENSION)) for c in CONDITIONS)
        return (
            Family(f"{CONDITION_DIMENSION} variances in equal ratios", CONDITIONS, tuple(elongated), held),
        )
    held = (("W2", W2), ("KL", KL))
    flat = (gaussian((np.arange(AMBIENT) < k).astype(np.float64)) for k in DIMENSIONS)
    return (Family(f"k of {AMBIENT} dimensions", DIMENSIONS, tuple(flat), held),)


def modes(count: int, spacing: float) -> GaussianMixture:
    """Return equal modes on the line, `spacing` of their standard deviations apart, about zero."""
    places = MODE_DEVIATION * spacing * (np.arange(count) - (count - 1) / 2)
    return GaussianMixture(np.full(count, 1 / count), places[:, None], MODE_DEVIATION**2)
