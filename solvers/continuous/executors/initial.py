"""Where a sampler starts: the marginal, the prior, a law, or given points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytic import reprs

from ...protocols import Target
from ..tableau import Tableau
from .law import GaussianLaw

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Normal:
    """One Gaussian, laid out as a mixture of one component."""

    means: Array
    variances: Array
    rotations: Array | None = None

    __repr__ = reprs.brief

    @property
    def weights(self) -> Array:
        """The one weight."""
        return np.ones(1)

    def noised(self, alpha: float, sigma: float) -> Normal:
        """Return the law of alpha x_0 + sigma eps."""
        return Normal(alpha * self.means, alpha**2 * self.variances + sigma**2, self.rotations)


def as_mixture(initial: Any, tableau: Tableau, target: Target) -> Any:
    """Turn "marginal", "prior", a mixture or a GaussianLaw into mixture parameters.

    Raises ValueError for another word or another dimension.
    """
    start = target.noised(*tableau.start)
    dim = start.means.shape[1]
    if isinstance(initial, str):
        if initial == "marginal":
            return start
        if initial == "prior":
            return Normal(np.zeros((1, dim)), np.full((1, dim), tableau.prior_deviation**2))
        raise ValueError(f"initial is {initial!r}: use 'marginal', 'prior', a law or an (n, {dim}) array")
    if isinstance(initial, GaussianLaw):
        basis = None if initial.basis is None else initial.basis[None]
        initial = Normal(initial.mean[None], initial.variances[None], basis)
    if initial.means.shape[1] != dim:
        raise ValueError(f"initial is a law in {initial.means.shape[1]} dimensions: the target has {dim}")
    return initial


def check_samples(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Return an array of this shape. Raises ValueError for another shape or a NaN."""
    array = np.ascontiguousarray(value, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}: give {shape}")
    finite = np.isfinite(array)
    if not finite.all():
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(f"{name}{list(place)} is {array[place]}: give finite numbers")
    return array
