"""Models whose score is shifted to have the mean that a score must have: calibration by Pang et al."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture, Tilted, reprs

from .denoiser import Denoiser, denoised

Array = Any  # of any library the array API knows
Floats = NDArray[np.float64]
FINEST = 0.5  # of sigma, what the nodes of the mean resolve
SAMPLES = 16_384  # of the data, where the mean is no quadrature


class Calibrated:
    """A model less the mean of its score: s(x) - eta, eta = E s(x_t) over the noised data.

    The score of the true marginal has mean 0 at every level (and, times alpha, is a martingale along the reverse
    process). Taking the mean away lowers the error E |s - score|^2 by |eta|^2, whatever the model, and by nothing else.
    `run` takes it, and on the line `density`.

    Parameters
    ----------
    model : Gaussian mixture, Imperfect, or Denoiser
        TypeError for what cannot be asked.
    law : GaussianMixture
        Of the data that means are taken over: by quadrature on the line, elsewhere over 16384 of its samples, as one
        does with data.

    References
    ----------
    Pang et al. 2023 (On calibrating diffusion probabilistic models).
    """

    def __init__(self, model: Any, law: GaussianMixture) -> None:
        if not isinstance(model, Denoiser) and not hasattr(model, "denoise"):
            raise TypeError(f"model is {model!r}: give a target or solvers.denoiser(...)")
        if not isinstance(law, GaussianMixture):
            raise TypeError(f"law is {law!r}: give the GaussianMixture of the data")
        self.model, self.law = model, law

    __repr__ = reprs.brief

    def spectrum(self) -> Any:
        """Raise ValueError: means over data are no matter of one Gaussian."""
        raise ValueError(f"target is {self!r}, a model: use `run`, or `density` on a line")

    def denoise(self, x: Array, alpha: float, sigma: float) -> Array:
        """Return the calibrated denoiser at x (n, dim), arrays of any library."""
        D = denoised(self.model, x, alpha, sigma)
        if sigma == 0 or alpha == 0:
            return D
        xp = array_api_compat.array_namespace(x)
        shift = sigma**2 / alpha * self.eta(alpha, sigma)
        return D - xp.asarray(shift, dtype=x.dtype, device=array_api_compat.device(x))

    def eta(self, alpha: float, sigma: float) -> Floats:
        """Return the mean of the model's score over the noised data, (dim,); 0 where alpha or sigma is 0."""
        if sigma == 0 or alpha == 0:
            return np.zeros(self.law.dim)
        level = float(alpha), float(sigma)
        if level not in self._known:
            x, weights = nodes_of(self.law, *level)
            score = (level[0] * denoised(self.model, x, *level) - x) / level[1] ** 2
            self._known[level] = weights @ score
        return self._known[level]

    @cached_property
    def _known(self) -> dict[tuple[float, float], Floats]:
        return {}


def nodes_of(law: GaussianMixture, alpha: float, sigma: float) -> tuple[Floats, Floats]:
    """Return places (m, dim) and weights (m,) for means over noised data: a quadrature on the line, else samples."""
    noised = law.noised(alpha, sigma)
    if law.dim > 1:
        return noised.sample(SAMPLES, seed=0), np.full(SAMPLES, 1 / SAMPLES)
    atoms = Tilted((noised,), (1.0,)).atoms(FINEST * sigma)
    return np.array(atoms.means), np.array(atoms.weights)
