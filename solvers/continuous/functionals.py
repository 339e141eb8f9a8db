"""The functionals of the Brownian path that noise channels are: xi = int k dW over a step, k of norm one.

W is the Brownian motion in the path's own time; q = (sigma/alpha)^2 is the variance clock, in which x/alpha
makes a standard Brownian motion. Its k is given as a shape per unit of sqrt(dt), in terms of q, dq/dt and the places u
of t and v of q in the channel's interval, -1 where the sampler enters it and 1 where it leaves:

====================  =====================  =========================================
name                  k(t), up to a factor   drawn by
====================  =====================  =========================================
time                  1                      Euler-Maruyama, stochastic Heun
variance              sqrt(dq/dt)            reverse diffusion
reciprocal-variance   sqrt(dq/dt) / q        DDPM, SDE-DPM-Solver++, DDIM with eta > 0
time-area             u                      SRA methods: what is left of int W dt beside W's increment
variance-area         v sqrt(dq/dt)          the same in the variance clock
exponential r         e^{-r (t - stop)}      velocities under friction r
exponential-area r    the same less its mean what is left of them beside W's increment
====================  =====================  =========================================

`INITIAL` is the word for what is drawn before a sampler starts, such as a velocity: of no path, and the same for
samplers that share one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..numerics.phi import phi
from ..protocols import Path, noising

Array = NDArray[np.float64]
Shape = Callable[[Array, Array, Array, Array], Array]

FUNCTIONALS: dict[str, Shape] = {
    "time": lambda q, dq_dt, u, v: np.ones_like(q),
    "variance": lambda q, dq_dt, u, v: np.sqrt(dq_dt),
    "reciprocal-variance": lambda q, dq_dt, u, v: np.sqrt(dq_dt) / q,
    "time-area": lambda q, dq_dt, u, v: u,
    "variance-area": lambda q, dq_dt, u, v: v * np.sqrt(dq_dt),
}
OF_PLACE = frozenset(
    {"time-area", "variance-area"}
)  # those whose shape depends on the channel's own interval, as that of exponentials does
INITIAL = "initial"
_EXPONENTIAL = re.compile(r"(exponential(?:-area)?) (\S+)")

NODES = 24


@lru_cache(maxsize=4)
def legendre(nodes: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights on (0, 1)."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    return (x + 1) / 2, w / 2


def exponential(rate: float, area: bool = False) -> str:
    """Return the name of the functional whose k grows as e^{rate s} in the sampler's time s, or of its area."""
    return f"exponential{'-area' if area else ''} {float(rate)!r}"


def known(functional: str) -> bool:
    """Return whether a channel may be this functional."""
    return functional in FUNCTIONALS or functional == INITIAL or bool(_EXPONENTIAL.fullmatch(functional))


def of_place(functional: str) -> bool:
    """Return whether a functional's shape depends on its channel's own interval."""
    return functional in OF_PLACE or bool(_EXPONENTIAL.fullmatch(functional))


def shape_of(
    functional: str, path: Path, t: Array, q: Array, dq_dt: Array, start: ArrayLike, stop: ArrayLike
) -> Array:
    """Shape of a functional's k at times t, for a channel that runs from start down to stop; not of norm one yet."""
    start, stop = np.asarray(start), np.asarray(stop)
    if found := _EXPONENTIAL.fullmatch(functional):
        rate = float(found[2])
        left = np.expm1(-rate * (t - stop))
        mean = -rate * (start - stop) * phi(2, -rate * (start - stop))  # phi_1 - 1
        return left + 1 if found[1] == "exponential" else left - mean
    if functional not in OF_PLACE:
        return FUNCTIONALS[functional](q, dq_dt, t, t)
    u = 2 * (start - t) / np.where(start > stop, start - stop, 1.0) - 1
    if not noising(path):  # the variance's clock is another's business
        return FUNCTIONALS[functional](q, dq_dt, u, u)
    begin, end = (np.exp(-2 * path.log_snr(time)) for time in (start, stop))
    v = 2 * (begin - q) / np.where(begin > end, begin - end, 1.0) - 1
    return FUNCTIONALS[functional](q, dq_dt, u, v)


def quadrature(
    path: Path, start: Array, stop: Array, nodes: int = NODES
) -> tuple[Array, Array, Array, Array]:
    """Nodes to integrate over time with, a row per interval [stop, start].

    Smooth in log-SNR on every interval; where the interval ends at sigma = 0, in sigma/alpha.

    Parameters
    ----------
    path : Path
    start, stop : (n,) arrays
        Times, start > stop.

    Returns
    -------
    t, q, dq_dt, dt : (n, nodes) arrays
        Time, variance clock, its rate and the weights, such that int f dt = sum f(q, dq_dt) * dt.
    """
    start, stop = np.atleast_1d(start), np.atleast_1d(stop)
    u, w = legendre(nodes)
    path = getattr(path, "clock", path)
    if not noising(path):  # has a clock alone: the variance's is another's business
        t = start[:, None] + (stop - start)[:, None] * u
        return t, np.zeros_like(t), np.zeros_like(t), (start - stop)[:, None] * w
    high, low = path.log_snr(stop)[:, None], path.log_snr(start)[:, None]
    if not np.all(np.isfinite(low)):
        raise ValueError(
            "start has alpha = 0, where x/alpha is undefined: start the grid at a time with alpha > 0"
        )
    finite = np.isfinite(high)
    with np.errstate(invalid="ignore"):
        log_snr = low + (np.where(finite, high, low) - low) * u
        weight = (np.where(finite, high, low) - low) * w
    kappa_low = np.exp(-low)
    kappa = kappa_low * u
    log_snr = np.where(finite, log_snr, -np.log(kappa))
    d_log_snr = np.where(finite, weight, kappa_low * w / kappa)
    t = path.time_of_log_snr(log_snr)
    rate = -path.d_log_snr(t)
    q = np.exp(-2 * log_snr)
    return t, q, 2 * q * rate, d_log_snr / rate
