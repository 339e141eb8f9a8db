"""The path of a discrete chain, as trained networks have it: a table of cumulative alphas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from .gaussian import Array, UnitPrior


class Discrete(UnitPrior):
    """A variance-preserving path through a table of cumulative alphas, log-SNR linear in t between its nodes.

    Time t = i has alpha^2 = alphas_cumprod[i - 1], i = 1 .. T, as DDPM counts its steps; a network's index is t - 1.
    Below t = 1 sigma is linear down to 0 at t = 0, so that grids may end at the data. Where the last entry is 0 (zero
    terminal SNR), alpha is linear over the last interval. Sampling starts at T and stops at 1 by default; the prior is
    N(0, I). The log-SNR has kinks at the nodes, at which methods in time lose their order; between nodes it has none.

    Parameters
    ----------
    alphas_cumprod : (T,) floats
        Products of 1 - beta, strictly decreasing, between 1 and 0; the last may be 0. ValueError if not.

    References
    ----------
    Ho, Jain and Abbeel 2020, eq. 4; linear in log-SNR as k-diffusion's discrete schedules, which interpolate log sigma.
    """

    _levels: Array

    def __init__(self, alphas_cumprod: Sequence[float] | npt.ArrayLike) -> None:
        try:
            table = np.array(alphas_cumprod, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"alphas_cumprod is {alphas_cumprod!r}; pass a list of numbers") from error
        if table.ndim != 1 or len(table) < 2:
            raise ValueError(f"alphas_cumprod has shape {table.shape}; pass at least 2 numbers in a list")
        bad = ~np.isfinite(table) | (table >= 1) | (table < 0)
        bad[:-1] |= table[:-1] == 0
        bad[1:] |= np.diff(table) >= 0
        if bad.any():
            i = int(np.argmax(bad))
            raise ValueError(
                f"alphas_cumprod[{i}] is {table[i]}; pass numbers below 1 that strictly decrease, above 0 but for "
                "the last"
            )
        object.__setattr__(self, "_parameters", {"alphas_cumprod": tuple(table.tolist())})
        with np.errstate(divide="ignore"):
            levels = (np.log(table) - np.log1p(-table)) / 2
        object.__setattr__(self, "_levels", levels)
        T = float(len(table))
        self._fix(name="discrete", start=T, stop=1.0, end=T)

    def __repr__(self) -> str:
        """Show the table by its ends."""
        table = self._parameters["alphas_cumprod"]
        return f"Discrete({len(table)} alphas_cumprod from {table[0]:g} to {table[-1]:g})"

    @property
    def nodes(self) -> int:
        """Number of entries in the table, T."""
        return len(self._levels)

    def _parts(self, t: Array) -> tuple[Any, Array, Array, Any]:
        """Which nodes t lies between (index of the lower one), and log-SNR there, its slope, and where that holds."""
        levels = self._levels
        i = np.clip(np.ceil(t).astype(np.int64) - 2, 0, len(levels) - 2)
        with np.errstate(invalid="ignore"):
            slope = levels[i + 1] - levels[i]
            level = levels[i] + (t - (i + 1)) * slope
        return i, level, slope, (t >= 1) & np.isfinite(slope)

    def _at(self, t: Array) -> dict[str, Array]:
        """Alpha, sigma, their derivatives and the log-SNR at t."""
        i, level, slope, inside = self._parts(t)
        level, slope = np.where(inside, level, 0.0), np.where(inside, slope, -1.0)
        alpha, sigma = np.sqrt(scipy.special.expit(2 * level)), np.sqrt(scipy.special.expit(-2 * level))
        table = np.array(self._parameters["alphas_cumprod"])
        # the first interval: sigma linear from 0; the last one of a zero terminal SNR: alpha linear to 0
        first, last = t < 1, ~inside & (t >= 1)
        s1 = np.sqrt(1 - table[0])
        a1 = np.sqrt(table[i])
        s_first, a_last = t * s1, a1 * (self.end - t)
        found = {
            "alpha": np.select([first, last], [np.sqrt(1 - s_first**2), a_last], alpha),
            "sigma": np.select([first, last], [s_first, np.sqrt(1 - a_last**2)], sigma),
        }
        with np.errstate(divide="ignore", invalid="ignore"):
            a, s = found["alpha"], found["sigma"]
            found["d_sigma"] = np.select([first, last], [s1 + 0 * t, a1 * a / s], -s * a**2 * slope)
            found["d_alpha"] = np.select([first, last], [-s * s1 / a, -a1 + 0 * t], a * s**2 * slope)
            found["log_snr"] = np.where(inside, level, np.log(a) - np.log(s))
            found["d_log_snr"] = np.where(inside, slope, found["d_alpha"] / a - found["d_sigma"] / s)
        return found

    def _alpha(self, t: Array) -> Array:
        return self._at(t)["alpha"]

    def _sigma(self, t: Array) -> Array:
        return self._at(t)["sigma"]

    def _d_alpha(self, t: Array) -> Array:
        return self._at(t)["d_alpha"]

    def _d_sigma(self, t: Array) -> Array:
        return self._at(t)["d_sigma"]

    def _log_snr(self, t: Array) -> Array:
        return self._at(t)["log_snr"]

    def _d_log_snr(self, t: Array) -> Array:
        return self._at(t)["d_log_snr"]

    def _time_of_log_snr(self, log_snr: Array) -> Array:
        levels = self._levels
        table = self._parameters["alphas_cumprod"]
        finite = levels[np.isfinite(levels)]
        out = np.interp(-log_snr, -finite, np.arange(1.0, len(finite) + 1))
        # sigma = sqrt(expit(-2 l)) below the first node, alpha = sqrt(expit(2 l)) beyond the last finite one
        out = np.where(
            log_snr > finite[0], np.sqrt(scipy.special.expit(-2 * log_snr)) / np.sqrt(1 - table[0]), out
        )
        below = log_snr < finite[-1]
        if len(finite) < len(levels):
            alpha = np.sqrt(scipy.special.expit(2 * log_snr))
            return np.where(below, self.end - alpha / np.sqrt(table[-2]), out)
        slack = 1e-12 * (1 + abs(finite[-1]))
        if np.any(log_snr < finite[-1] - slack):
            raise ValueError(
                f"log_snr is {log_snr[log_snr < finite[-1] - slack][0]}, below {finite[-1]:g} where {self!r} ends; "
                "stay inside it"
            )
        return out


def discrete_betas(
    schedule: str = "linear", start: float = 1e-4, end: float = 0.02, steps: int = 1000, most: float = 0.999
) -> Array:
    """Return the rates beta_1 .. beta_T of a chain.

    Parameters
    ----------
    schedule : str
        "linear"; "scaled_linear", whose square root is linear; "squaredcos_cap_v2", the cosine schedule, for which
        start and end mean nothing.
    start, end : float
        Rates at its ends.
    steps : int
        T.
    most : float
        Where the cosine's rates are cut.

    Returns
    -------
    (T,) float64 array

    References
    ----------
    Ho, Jain and Abbeel 2020, section 4; Rombach et al. 2022 for the square root; Nichol and Dhariwal 2021, eq. 17.
    """
    if schedule == "linear":
        return np.linspace(start, end, steps)
    if schedule == "scaled_linear":
        return np.linspace(start**0.5, end**0.5, steps) ** 2
    if schedule == "squaredcos_cap_v2":
        edge = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2) ** 2
        return np.minimum(1 - edge[1:] / edge[:-1], most)
    raise ValueError(
        f"schedule is {schedule!r}; use linear, scaled_linear or squaredcos_cap_v2, or pass alphas_cumprod of your own"
    )


def zero_terminal_snr(alphas_cumprod: npt.ArrayLike) -> Array:
    """Shift and scale the table so that its last entry is 0 and its first is kept.

    Lin, Liu, Li and Yang 2024 (Common diffusion noise schedules and sample steps are flawed), Algorithm 1: on the
    square roots of the table.
    """
    root = np.sqrt(np.asarray(alphas_cumprod, dtype=np.float64))
    scaled = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return scaled**2
