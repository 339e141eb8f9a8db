"""Any model as a denoiser: every prediction is linear in (x, D), every clock is a function of the level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isclose, log
from typing import Any

import array_api_compat
import numpy as np

from ..protocols import Path, process_of

Array = Any  # an array of any namespace the array API knows
PREDICTS = ("x0", "eps", "v", "score", "F")
TAKES = ("t", "sigma", "level")
_ROUNDING = 1e-11


def like(output: Any, x: Array, what: str) -> Array:
    """Return what a model returned for x if it is an array like x, which nothing is broadcast or converted to be.

    Raises
    ------
    TypeError
        No array, one of another library, or another dtype.
    ValueError
        Another shape, or another device.
    """
    if not array_api_compat.is_array_api_obj(output):
        raise TypeError(f"{what} returned {output!r} for x of shape {tuple(x.shape)}: return an array like x")
    mine, its = (array_api_compat.array_namespace(array).__name__ for array in (x, output))
    if mine != its:
        raise TypeError(f"{what} returned an array of {its} for x of {mine}: return one of the same library")
    if tuple(output.shape) != tuple(x.shape):
        raise ValueError(
            f"{what} returned shape {tuple(output.shape)} for x of shape {tuple(x.shape)}: return a value for each of x"
        )
    if output.dtype != x.dtype:
        raise TypeError(
            f"{what} returned dtype {output.dtype} for x of dtype {x.dtype}: return the dtype of x"
        )
    here, there = array_api_compat.device(x), array_api_compat.device(output)
    if here != there:
        raise ValueError(f"{what} returned an array on {there} for x on {here}: leave it where x is")
    return output


def combined(D: Array, x: Array, alpha: float, sigma: float, a: float, b: float) -> Array:
    """Return a D + b score at x, the score from D by Tweedie's formula."""
    if b == 0:
        return D if a == 1 else a * D
    score = (alpha * D - x) / sigma**2
    return b * score if a == 0 else a * D + b * score


@dataclass(frozen=True)
class Denoiser:
    """A model that can be asked for E[x_0 | x_t = x] and the score at any level (alpha, sigma). Made by `denoiser`."""

    model: Callable[..., Array]
    predicts: str
    takes: str
    path: Path | None
    sigma_data: float

    def ask(self, x: Array, alpha: float, sigma: float, a: float, b: float) -> Array:
        """Return a E[x_0|x] + b score at x (n, ...), a sample at level (alpha, sigma); one model evaluation at most.

        A velocity asked of a model of velocities is what the model returns. Raises ValueError for a score at sigma = 0,
        which no other prediction holds; errors of `like`.
        """
        if self.predicts == "v":
            t, da, ds = self._flow(alpha, sigma)
            # the time is found from the level, so that it is right to rounding
            if isclose(a, da, rel_tol=_ROUNDING) and isclose(b, -sigma * ds, rel_tol=_ROUNDING):
                return self._asked(x, t)
        if b and sigma == 0:
            raise ValueError("model has no score(x), which an evaluation at sigma = 0 needs: give a target")
        return combined(self(x, alpha, sigma), x, alpha, sigma, a, b)

    def _flow(self, alpha: float, sigma: float) -> tuple[float, float, float]:
        """Time of a level, and alpha' and sigma' there."""
        assert self.path is not None
        with np.errstate(divide="ignore"):
            t = self.path.time_of_log_snr(np.log(alpha) - np.log(sigma))
        return float(t), float(self.path.d_alpha(t)), float(self.path.d_sigma(t))

    def __call__(self, x: Array, alpha: float, sigma: float) -> Array:
        """Return D at x (n, ...), a sample at level (alpha, sigma); one model evaluation. Errors as `like`."""
        if sigma == 0:
            return x / alpha
        if self.takes == "level":
            return self._denoised(x, alpha, sigma, (alpha, sigma))
        if self.takes == "sigma":
            return self._denoised(x / alpha, 1.0, sigma / alpha, (sigma / alpha,))
        assert self.path is not None
        t = self.path.time_of_log_snr(np.log(alpha) - np.log(sigma) if alpha else -np.inf)
        a, s = float(self.path.alpha(t)), float(self.path.sigma(t))
        return self._denoised(x * (s / sigma), a, s, (float(t),))

    def _denoised(self, x: Array, alpha: float, sigma: float, clock: tuple[float, ...]) -> Array:
        if self.predicts == "F":
            total = sigma**2 + self.sigma_data**2
            skip, out = self.sigma_data**2 / total, sigma * self.sigma_data / total**0.5
            return skip * x + out * self._asked(x / total**0.5, log(sigma) / 4)
        output = self._asked(x, *clock)
        if self.predicts == "x0":
            return output
        if self.predicts == "v":
            _, da, ds = self._flow(alpha, sigma)
            return (sigma * output - ds * x) / (da * sigma - ds * alpha)
        if alpha == 0:
            raise ValueError(
                f"predicts is {self.predicts!r}, which holds no denoiser at alpha = 0: start the grid where alpha > 0"
            )
        if self.predicts == "eps":
            return (x - sigma * output) / alpha
        return (x + sigma**2 * output) / alpha

    def _asked(self, x: Array, *clock: float) -> Array:
        return like(self.model(x, *clock), x, "model")


def denoiser(
    model: Callable[..., Array],
    predicts: str = "x0",
    takes: str = "t",
    path: Path | None = None,
    sigma_data: float = 0.5,
) -> Denoiser:
    """Wrap a model as a denoiser that every executor for arrays can run.

    Parameters
    ----------
    model : callable
        (x, clock) -> an array like x, on arrays of any library `run` is given. x is (n, ...), as the start is.
    predicts : str
        "x0": E[x_0 | x]; "eps": the noise; "score": of the marginal; "v": the flow's velocity
        alpha' x_0 + sigma' eps in the path's time; "F": EDM's raw network, called as F(c_in x, ln(sigma)/4)
        (Karras et al. 2022, eq. 7 and table 1).
    takes : str
        "t": model(x, t), x and t on `path`; "sigma": model(x/alpha, sigma/alpha), as EDM's denoisers; "level":
        model(x, alpha, sigma). "F" takes "sigma".
    path : Path, optional
        Needed for takes="t" and predicts="v".
    sigma_data : float
        EDM's data deviation, used by "F".

    Raises
    ------
    ValueError
        An unknown word or a missing path.
    """
    if not callable(model):
        raise TypeError(f"model is {model!r}: give a callable (x, t) -> array")
    if process_of(path) == "interpolant":
        raise ValueError(
            f"path is {path!r}, on which models are asked for velocities: use solvers.flow_model"
        )
    if predicts not in PREDICTS:
        raise ValueError(f"predicts is {predicts!r}: use one of {PREDICTS}")
    if takes not in TAKES:
        raise ValueError(f"takes is {takes!r}: use one of {TAKES}")
    if predicts == "F" and takes != "sigma":
        raise ValueError(f"takes is {takes!r} with predicts='F': EDM's raw network takes 'sigma'")
    if predicts == "v" and takes != "t":
        raise ValueError(
            f"takes is {takes!r} with predicts='v': a velocity belongs to a path's time, use 't'"
        )
    if takes == "t" and path is None:
        raise ValueError("path is None: give the path whose time the model takes")
    if not sigma_data > 0:
        raise ValueError(f"sigma_data is {sigma_data}: give a positive number")
    return Denoiser(model, predicts, takes, path, sigma_data)


def denoised(model: Any, x: Array, alpha: float, sigma: float) -> Array:
    """Return E[x_0 | x_t = x] by a Denoiser or a target; errors of `like`."""
    if isinstance(model, Denoiser):
        return model(x, alpha, sigma)
    return like(model.denoise(x, alpha, sigma), x, "model")
