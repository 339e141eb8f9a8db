"""Law of the clean sample given a noisy one, when the target is a Gaussian mixture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .parameters import Floats, whole_number
from .sampling import draw


@dataclass(frozen=True)
class MixturePosterior:
    """One Gaussian mixture over x_0 for each noisy sample, as `GaussianMixture.posterior` gives it.

    The covariance of component k is rotations_k diag(variances_k) rotations_k^T, the same for every sample.

    Attributes
    ----------
    weights : (n, K) float64 array
    points : (n, dim) float64 array
        The noisy samples.
    centres : (K, dim) float64 array
        Component means before seeing the sample.
    gains : (K, dim) float64 array
        In component eigenbases, the mean moves by gains * (points - alpha * centres).
    variances : (K, dim) float64 array
        Eigenvalues of the component covariances after seeing the sample.
    rotations : (K, dim, dim) float64 array or None
    alpha : float
    """

    weights: Floats
    points: Floats
    centres: Floats
    gains: Floats
    variances: Floats
    rotations: Floats | None
    alpha: float

    @property
    def means(self) -> Floats:
        """Component means for each sample, (n, K, dim), built when asked for."""
        return np.stack([self._component_mean(k, self.points) for k in range(len(self.centres))], axis=1)

    @property
    def covariances(self) -> Floats:
        """Component covariances, (K, dim, dim), built when asked for."""
        if self.rotations is None:
            return self.variances[:, :, None] * np.eye(self.variances.shape[1])
        return (self.rotations * self.variances[:, None, :]) @ self.rotations.transpose(0, 2, 1)

    def mean(self) -> Floats:
        """Posterior mean for each sample, (n, dim): the denoiser."""
        if self.rotations is None:
            fixed = self.centres * (1.0 - self.alpha * self.gains)
            return self.weights @ fixed + (self.weights @ self.gains) * self.points
        total = np.zeros_like(self.points)
        for k in range(len(self.centres)):
            total += self.weights[:, k : k + 1] * self._component_mean(k, self.points)
        return total

    def sample(self, seed: int = 0) -> Floats:
        """Draw one x_0 for each noisy sample, (n, dim).

        Row i depends on the seed, on i and on its own noisy sample only.

        Raises
        ------
        TypeError, ValueError
            If seed is not a non-negative integer.
        """
        n, dim = self.points.shape

        def block(uniforms: Floats, normals: Floats, rows: slice) -> Floats:
            points = self.points[rows]
            uniforms, normals = uniforms[: len(points)], normals[: len(points)]
            passed = np.cumsum(self.weights[rows], axis=1) <= uniforms[:, None]
            labels = np.minimum(passed.sum(axis=1), len(self.centres) - 1)
            samples = np.empty_like(points)
            for k in np.unique(labels):
                chosen = labels == k
                noise = normals[chosen] * np.sqrt(self.variances[k])
                if self.rotations is not None:
                    noise = noise @ self.rotations[k].T
                samples[chosen] = self._component_mean(int(k), points[chosen]) + noise
            return samples

        return draw(block, n, dim, whole_number(seed, "seed"))

    def _component_mean(self, k: int, points: Floats) -> Floats:
        residual = points - self.alpha * self.centres[k]
        if self.rotations is None:
            return self.centres[k] + self.gains[k] * residual
        return self.centres[k] + ((residual @ self.rotations[k]) * self.gains[k]) @ self.rotations[k].T
