"""Methods that discretise the reverse SDE dx = [f x - g^2 score] dt + g dW in the path's own time."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..catalogue import Claim, catalogue
from ..protocols import Path
from ..tableau import Tableau
from ..trace import Combination, Level, Run, Trace


def _drift(step: Run, x: Combination, level: Level) -> Combination:
    """Drift of the reverse SDE per unit of decreasing time: g^2 score - f x, score = (alpha D - x)/sigma^2."""
    D = step.denoise(x, level)
    f, g2 = step.path.f(level.t), step.path.g2(level.t)
    return g2 / level.sigma**2 * (level.alpha * D - x) - f * x


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
def euler_maruyama(path: Path, grid: ArrayLike) -> Tableau:
    """Euler-Maruyama on the reverse SDE, in time.

    Weak order 1, strong order 1 since the noise is additive. One denoiser evaluation a step.

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
    Song et al. 2021, eq. 6; Kloeden and Platen 1992, section 9.1.
    """
    trace = Trace("euler-maruyama", path, grid, stochasticity=1.0)
    step = trace.run()
    (x,) = step.registers
    h = step.now.t - step.next.t
    z = step.noise("time")
    step.close(x + h * _drift(step, x, step.now) + np.sqrt(path.g2(step.now.t) * h) * z)
    return trace.tableau()


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
def stochastic_heun(path: Path, grid: ArrayLike) -> Tableau:
    """Heun's method on the reverse SDE in time, both stages with one Brownian increment.

    Weak order 2 and strong order 1, since the noise is additive. Two denoiser evaluations a step, one
    on a last step to sigma = 0.

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array

    Returns
    -------
    Tableau
        2 stages, 1 register, 1 channel.

    References
    ----------
    Roberts 2012, Modify the improved Euler scheme to integrate stochastic differential equations,
    the scheme with S_k = 0.
    """
    trace = Trace("stochastic-heun", path, grid, stochasticity=1.0)
    for step, _ in trace.runs():
        (x,) = step.registers
        h = step.now.t - step.next.t
        dW = np.sqrt(h) * step.noise("time")
        g = np.sqrt(path.g2(step.now.t))
        first = _drift(step, x, step.now)
        predicted = x + h * first + g * dW
        if np.any(step.next.sigma == 0):
            step.close(predicted)
            continue
        second = _drift(step, predicted, step.next)
        step.close(x + h / 2 * (first + second) + (g + np.sqrt(path.g2(step.next.t))) / 2 * dW)
    return trace.tableau()
