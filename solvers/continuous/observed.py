"""Models conditioned on a linear observation by what a denoiser tells of it: DPS, pseudoinverse guidance and its kin.

The score of x_t given y is score(x) + grad log p(y | x_t), and p(y | x_t) is approximated by a Gaussian about A D(x).
For a mixture `GaussianMixture.given` has the exact posterior, whose own score these are held against.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import array_api_compat
import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytic import reprs

from .denoiser import Denoiser, like

Array = Any  # of any library the array API knows
Floats = NDArray[np.float64]
How = Literal["dps", "pigdm", "moments"]


class Observed:
    """A model's law of x_0 given y = A x_0 + deviation eps, by an approximate likelihood at every level.

    p(y | x_t) is taken as N(A D(x), S): its gradient is (A dD/dx)^T S^-1 (y - A D(x)), the dependence of S on x left
    out. `run` takes it with any tableau; one evaluation asks the model and its derivative along each row of A.

    Parameters
    ----------
    model : Gaussian mixture, or Denoiser of a torch module
        Derivatives are a mixture's own, or torch's.
    A : (m, dim) array_like
    y : (m,) array_like
    deviation : float
        Of the noise on each number, positive.
    how : str
        "dps": S = deviation^2, the likelihood at the posterior mean (Chung et al. 2023, with the Gaussian's own
        factor in place of tuned step sizes; `loops.catalogue["dps"]` is their algorithm). "pigdm": S = deviation^2 +
        r^2 A A^T with r^2 = v kappa^2/(v + kappa^2), kappa = sigma/alpha: exact for data N(m, v I) (Song et al. 2023,
        v = 1). "moments": S = deviation^2 + A Cov[x_0 | x] A^T by Tweedie's second formula, exact for every Gaussian
        (Boys et al. 2024).
    data_variance : float
        v of "pigdm".

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be; a number seen without noise, which S needs.

    References
    ----------
    Chung et al. 2023 (Diffusion posterior sampling); Song et al. 2023 (Pseudoinverse-guided diffusion models); Boys et
    al. 2024 (Tweedie moment projected diffusions).
    """

    def __init__(
        self,
        model: Any,
        A: ArrayLike,
        y: ArrayLike,
        deviation: float,
        how: How = "dps",
        data_variance: float = 1.0,
    ) -> None:
        if not isinstance(model, Denoiser) and not hasattr(model, "denoise_jacobian"):
            raise TypeError(
                f"model is {model!r}: give a Gaussian mixture, or solvers.denoiser(...) of a torch module"
            )
        self.model, self.how, self.data_variance = model, how, float(data_variance)
        self.A, self.y = np.asarray(A, dtype=np.float64), np.atleast_1d(np.asarray(y, dtype=np.float64))
        self.deviation = float(deviation)
        if self.A.ndim != 2 or len(self.A) == 0 or (hasattr(model, "dim") and self.A.shape[1] != model.dim):
            raise ValueError(f"A has shape {self.A.shape}: give (m, dim), one row for each number observed")
        if self.y.shape != (len(self.A),):
            raise ValueError(f"y has shape {self.y.shape}: give ({len(self.A)},), a number for each row of A")
        if not (np.isfinite(self.A).all() and np.isfinite(self.y).all()):
            raise ValueError("A or y holds a number that is not finite: leave it out")
        for name, value in (("deviation", self.deviation), ("data_variance", self.data_variance)):
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}: give a positive number")
        if how not in get_args(How):
            raise ValueError(f"how is {how!r}: use one of {', '.join(get_args(How))}")

    __repr__ = reprs.brief

    def denoise(self, x: Array, alpha: float, sigma: float) -> Array:
        """Return E[x_0 | x_t = x, y] by the approximate likelihood, x (n, dim)."""
        if sigma == 0:
            return x / alpha
        if alpha == 0:
            raise ValueError("alpha is 0, where x_t says nothing that y could add to: start where alpha > 0")
        D, slopes = self.predicted(x, alpha, sigma)
        xp = array_api_compat.array_namespace(x)
        pull = xp.linalg.solve(self.spread(slopes, alpha, sigma), self.residual(D)[:, :, None])
        gradient = xp.matmul(xp.permute_dims(slopes, (0, 2, 1)), pull)[:, :, 0]
        return D + sigma**2 / alpha * gradient

    def log_likelihood(self, x: Floats, alpha: float, sigma: float) -> Floats:
        """Return log N(y; A D(x), S) at x (n, dim), NumPy arrays of a mixture."""
        D, slopes = self.predicted(x, alpha, sigma)
        S, r = (
            np.broadcast_to(self.spread(slopes, alpha, sigma), (len(x), len(self.y), len(self.y))),
            self.residual(D),
        )
        squares = np.einsum("nm,nm->n", r, np.linalg.solve(S, r[:, :, None])[:, :, 0])
        return np.asarray(-0.5 * (squares + np.linalg.slogdet(2 * np.pi * S)[1]))

    def predicted(self, x: Array, alpha: float, sigma: float) -> tuple[Array, Array]:
        """Return D (n, dim) at x and A dD/dx (n, m, dim)."""
        if not isinstance(self.model, Denoiser):
            D = like(self.model.denoise(x, alpha, sigma), x, "model")
            return D, array_api_compat.array_namespace(x).matmul(
                self._here(self.A, x), self.model.denoise_jacobian(x, alpha, sigma)
            )
        if not array_api_compat.is_torch_array(x):
            raise TypeError(
                f"model is {self.model!r}, whose derivative torch takes: give initial as a torch tensor"
            )
        import torch

        with torch.enable_grad():
            at = x.detach().requires_grad_()
            D = self.model(at, alpha, sigma)
            seen = D @ self._here(self.A, x).T
            rows = [
                torch.autograd.grad(seen[:, i].sum(), at, retain_graph=True)[0] for i in range(len(self.y))
            ]
        return D.detach(), torch.stack(rows, dim=1)

    def residual(self, D: Array) -> Array:
        """Return y - A D, (n, m)."""
        xp = array_api_compat.array_namespace(D)
        return self._here(self.y, D) - xp.matmul(D, self._here(self.A, D).T)

    def spread(self, slopes: Array, alpha: float, sigma: float) -> Array:
        """Return S of the approximate likelihood, (1, m, m), or one for each sample."""
        xp = array_api_compat.array_namespace(slopes)
        noise = self.deviation**2 * np.eye(len(self.y))
        if self.how == "moments":
            # Cov[x_0 | x] = sigma^2/alpha dD/dx; of a network it is not symmetric, which it is made here
            seen = sigma**2 / alpha * xp.matmul(slopes, self._here(self.A, slopes).T)
            return self._here(noise, slopes) + (seen + xp.permute_dims(seen, (0, 2, 1))) / 2
        if self.how == "pigdm":
            kappa2, v = (sigma / alpha) ** 2, self.data_variance
            noise = noise + v * kappa2 / (v + kappa2) * self.A @ self.A.T
        return self._here(noise, slopes)[None]

    def _here(self, array: Floats, x: Array) -> Array:
        xp = array_api_compat.array_namespace(x)
        return xp.asarray(np.array(array), dtype=x.dtype, device=array_api_compat.device(x))
