"""Methods that discretise the reverse SDE dx = [f x - g^2 score] dt + g dW in the path's own time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...catalogue import Claim, catalogue
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Run, Trace
from ...protocols import Path

Array = NDArray[np.float64]
WEIGHTS: dict[str, Callable[[Path, Level], Array]] = {
    "g2": lambda path, level: path.g2(level.t),
    "sigma": lambda path, level: level.sigma,
    "constant": lambda path, level: np.ones_like(level.t),
}


def _noise(path: Path, level: Level, eta: float, weight: str) -> Array:
    """w(t) of dx = [f x - (g^2 + w)/2 score] dt + sqrt(w) dW; ValueError for an eta or a weight that is none."""
    if not (np.isfinite(eta) and eta >= 0):
        raise ValueError(f"eta is {eta}: give a number of at least 0, 1 is the reverse SDE")
    if weight not in WEIGHTS:
        raise ValueError(f"weight is {weight!r}: use one of {', '.join(WEIGHTS)}")
    return eta**2 * WEIGHTS[weight](path, level)


def _follows(eta: float, weight: str) -> float | None:
    """What a tableau says of its stochasticity."""
    return eta if weight == "g2" or eta == 0 else None


def _drift(step: Run, x: Combination, level: Level, w: Array) -> Combination:
    """Drift per unit of decreasing time: (g^2 + w)/2 score - f x, score = (alpha D - x)/sigma^2."""
    D = step.denoise(x, level)
    f, g2 = step.path.f(level.t), step.path.g2(level.t)
    return (g2 + w) / 2 / level.sigma**2 * (level.alpha * D - x) - f * x


@catalogue.method(
    "euler-maruyama",
    claims=[
        Claim(1, "weak", "Kloeden and Platen 1992, section 14.1"),
        Claim(
            1,
            "strong",
            "additive noise, where it is Milstein's scheme: Kloeden and Platen 1992, section 10.3",
        ),
    ],
    source="Song et al. 2021, eq. 6 with the Euler-Maruyama rule",
)
def euler_maruyama(path: Path, grid: ArrayLike, eta: float = 1.0, weight: str = "g2") -> Tableau:
    """Euler-Maruyama on the reverse SDE with any amount of noise, in time.

    dx = [f x - (g^2 + w)/2 score] dt + sqrt(w) dW keeps the marginals for every w(t) >= 0; w = 0 is Euler's method on
    the probability-flow ODE in time. Weak order 1, strong order 1 since the noise is additive. One denoiser
    evaluation a step.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    eta : float
        0 or more: w(t) is eta^2 times the weight.
    weight : str
        "g2", that of the forward SDE; "sigma", sigma(t); "constant", 1.

    Returns
    -------
    Tableau
        1 stage, 1 register, 1 channel.

    References
    ----------
    Song et al. 2021, eq. 6; Ma et al. 2024 (SiT), eq. 4 and table 2 for w(t); Kloeden and Platen 1992, section 9.1.
    """
    trace = Trace("euler-maruyama", path, grid, stochasticity=_follows(eta, weight))
    step = trace.run()
    (x,) = step.registers
    h, w = step.now.t - step.next.t, _noise(path, step.now, eta, weight)
    x = x + h * _drift(step, x, step.now, w)
    step.close(x + np.sqrt(w * h) * step.noise("time") if eta else x)
    return trace.tableau(eta=eta, weight=weight)


@catalogue.method(
    "reverse-diffusion",
    claims=[Claim(1, "weak", "as Euler's method: Kloeden and Platen 1992, section 14.1", "deduced")],
    source="Song et al. 2021, eq. 46",
)
def reverse_diffusion(path: Path, grid: ArrayLike) -> Tableau:
    """The reverse diffusion sampler: the reverse SDE with the forward chain's own f and G.

    Weak order 1. One denoiser evaluation a step.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array

    Returns
    -------
    Tableau
        1 stage, 1 register, 1 channel.

    References
    ----------
    Song et al. 2021, eq. 46: x_s = (2 - alpha_t/alpha_s) x + G^2 score + G z, G^2 = sigma_t^2 (1 - e^-2h).
    """
    trace = Trace("reverse-diffusion", path, grid, stochasticity=1.0)
    step = trace.run()
    (x,) = step.registers
    s, t = step.next, step.now
    D = step.denoise(x, t)
    z = step.noise("variance")
    fresh = -np.expm1(-2 * step.h)
    step.close((2 - t.alpha / s.alpha) * x + fresh * (t.alpha * D - x) + t.sigma * np.sqrt(fresh) * z)
    return trace.tableau()


@catalogue.method(
    "stochastic-heun",
    claims=[
        Claim(2, "weak", "additive noise: Kloeden and Platen 1992, section 15.1"),
        Claim(1, "strong", "Roberts 2012: first order proved for the scheme"),
    ],
    source="Roberts 2012, the scheme with S_k = 0",
    aliases=("improved-euler",),
)
def stochastic_heun(path: Path, grid: ArrayLike, eta: float = 1.0, weight: str = "g2") -> Tableau:
    """Heun's method on the reverse SDE in time, both stages with one Brownian increment.

    Weak order 2 and strong order 1, since the noise is additive. Two denoiser evaluations a step, one
    on a last step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    eta, weight
        As for `euler-maruyama`.

    Returns
    -------
    Tableau
        2 stages, 1 register, 1 channel.

    References
    ----------
    Roberts 2012, Modify the improved Euler scheme to integrate stochastic differential equations,
    the scheme with S_k = 0.
    """
    trace = Trace("stochastic-heun", path, grid, stochasticity=_follows(eta, weight))
    for step, _ in trace.runs():
        (x,) = step.registers
        h = step.now.t - step.next.t
        w, w_next = (_noise(path, level, eta, weight) for level in (step.now, step.next))
        dW = np.sqrt(h) * step.noise("time") if eta else 0.0 * x
        first = _drift(step, x, step.now, w)
        predicted = x + h * first + np.sqrt(w) * dW
        if np.any(step.next.sigma == 0):
            step.close(predicted)
            continue
        second = _drift(step, predicted, step.next, w_next)
        step.close(x + h / 2 * (first + second) + (np.sqrt(w) + np.sqrt(w_next)) / 2 * dW)
    return trace.tableau(eta=eta, weight=weight)
