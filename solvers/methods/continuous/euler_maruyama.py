"""Methods that discretise the reverse SDE dx = [f x - g^2 score] dt + g dW in time, or the SDE of an interpolant."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...catalogue import Claim, catalogue
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Run, Trace
from ...protocols import Path
from .first_order import check_eta
from .runge_kutta import FLOWS

Array = NDArray[np.float64]
LASTS = ("same", "mean", "tweedie", "euler")


def _place(path: Path, level: Level) -> Array:
    """How far on the path times are, from 0 at the data to 1 at its end; ValueError for a path without one."""
    if not np.isfinite(path.end):
        raise ValueError(
            f"path is {path!r}, which has no end that weights of its clock refer to: use another weight"
        )
    return level.t / path.end


WEIGHTS: dict[str, Callable[[Path, Level], Array]] = {
    "g2": lambda path, level: path.g2(level.t),
    "sigma": lambda path, level: level.sigma,
    "constant": lambda path, level: np.ones_like(level.t),
    "linear": _place,
    "decreasing": lambda path, level: np.sin(np.pi / 2 * _place(path, level)) ** 4,
    # 0 at both ends, to the bit
    "increasing-decreasing": lambda path, level: (
        np.sin(np.pi * np.minimum(_place(path, level), 1 - _place(path, level))) ** 2
    ),
}


def amount_of_noise(path: Path, level: Level, eta: float, weight: str) -> Array:
    """w(t) of dx = [f x - (g^2 + w)/2 score] dt + sqrt(w) dW; ValueError for an eta or a weight that is none."""
    check_eta(eta)
    if weight not in WEIGHTS:
        raise ValueError(f"weight is {weight!r}: use one of {', '.join(WEIGHTS)}")
    return eta**2 * WEIGHTS[weight](path, level)


def follows(eta: float, weight: str) -> float | None:
    """What a tableau says of its stochasticity."""
    return eta if weight == "g2" or eta == 0 else None


def drift(step: Run, x: Combination, level: Level, w: Array | float) -> Combination:
    """Drift per unit of decreasing time, w/2 score - v with the flow's velocity v: one evaluation."""
    denoiser, score = step.velocity_asks(level)
    return step.ask(x, level, -denoiser, w / 2 - score)


def noisy_step(step: Run, x: Combination, eta: float, weight: str) -> Combination:
    """One Euler-Maruyama step."""
    h, w = step.now.t - step.next.t, amount_of_noise(step.path, step.now, eta, weight)
    x = x + h * drift(step, x, step.now, w)
    return x + np.sqrt(w * h) * step.noise("time") if eta else x


def no_score_at(step: Run, w: Array) -> bool:
    """Whether the drift at the end of the steps asks for a score of the data itself, which a model has not."""
    return bool(np.any((step.next.sigma == 0) & ((w != 0) | (step.velocity_asks(step.next)[1] != 0))))


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
    aliases=("sit-sde-euler",),
    process=FLOWS,
)
def euler_maruyama(
    path: Path, grid: ArrayLike, eta: float = 1.0, weight: str = "g2", last: str = "same"
) -> Tableau:
    """Euler-Maruyama on the reverse SDE with any amount of noise, in time.

    dx = [v - w/2 score] dt + sqrt(w) dW, v the flow's velocity f x - g^2/2 score, keeps the marginals for every
    w(t) >= 0; w = 0 is Euler's method on the probability-flow ODE in time. Weak order 1, strong order 1 since the noise
    is additive. One evaluation a step, which is regular where w is: from alpha = 0 with the weight "sigma".

    Parameters
    ----------
    path : Path
    grid : (nodes,) float64 array
    eta : float
        0 or more: w(t) is eta^2 times the weight.
    weight : str
        "g2", that of the forward SDE, or of the path's own noise on an interpolant; "sigma", sigma(t); "constant", 1;
        and with u = t/path.end "linear", u; "decreasing", sin(pi u/2)^4; "increasing-decreasing", sin(pi u)^2.
    last : str
        The last step: "same" as the others; "mean", without its noise; "euler", of the ODE; "tweedie", to E[x_0 | x],
        which needs a Gaussian path and a grid that ends at sigma = 0 (ValueError where there is none).

    Returns
    -------
    Tableau
        1 stage, 1 register, 1 channel.

    References
    ----------
    Song et al. 2021, eq. 6; Ma et al. 2024 (SiT), eq. 4 and table 2 for w(t), and its code for the last steps and for
    more w(t), which it takes twice (eta^2 = 2), but for g2; Albergo, Boffi and Vanden-Eijnden 2023, section 2, for
    interpolants, with w = 2 epsilon; Kloeden and Platen 1992, section 9.1.
    """
    trace = Trace("euler-maruyama", path, grid, stochasticity=follows(eta, weight))
    if last not in LASTS:
        raise ValueError(f"last is {last!r}: use one of {', '.join(LASTS)}")
    if last == "tweedie" and (trace.process == "interpolant" or not trace.terminal_zero):
        raise ValueError(
            "last is 'tweedie', which gives a sample without noise: end the grid at sigma = 0 of a Gaussian path"
        )
    whole = trace.intervals if last == "same" else trace.intervals - 1
    for step in [trace.run(0, whole)] if whole else []:
        (x,) = step.registers
        step.close(noisy_step(step, x, eta, weight))
    if last != "same":
        step = trace.run(whole)
        (x,) = step.registers
        if last == "tweedie":
            step.close(step.denoise(x, step.now))
        else:
            w = amount_of_noise(path, step.now, eta if last == "mean" else 0.0, weight)
            step.close(x + (step.now.t - step.next.t) * drift(step, x, step.now, w))
    return trace.tableau(eta=eta, weight=weight, last=last)


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
    process=FLOWS,
)
def stochastic_heun(path: Path, grid: ArrayLike, eta: float = 1.0, weight: str = "g2") -> Tableau:
    """Heun's method on the reverse SDE in time, both stages with one Brownian increment.

    Weak order 2 and strong order 1, since the noise is additive. Two evaluations a step, one on a last step to
    sigma = 0 where the drift asks for the score of the data.

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
    trace = Trace("stochastic-heun", path, grid, stochasticity=follows(eta, weight))
    for step, _ in trace.runs():
        (x,) = step.registers
        h = step.now.t - step.next.t
        w, w_next = (amount_of_noise(path, level, eta, weight) for level in (step.now, step.next))
        dW = np.sqrt(h) * step.noise("time") if eta else 0.0 * x
        first = drift(step, x, step.now, w)
        predicted = x + h * first + np.sqrt(w) * dW
        if no_score_at(step, w_next):
            step.close(predicted)
            continue
        second = drift(step, predicted, step.next, w_next)
        step.close(x + h / 2 * (first + second) + (np.sqrt(w) + np.sqrt(w_next)) / 2 * dW)
    return trace.tableau(eta=eta, weight=weight)


@catalogue.method(
    "sit-sde-heun",
    claims=[
        Claim(1, "weak", "a Lie splitting: all noise first, then Heun's method on the drift", "deduced"),
    ],
    source="Ma et al. 2024 (SiT), the `Heun` sampler of its code",
    process=FLOWS,
)
def sit_sde_heun(path: Path, grid: ArrayLike, eta: float = 1.0, weight: str = "g2") -> Tableau:
    """SiT's Heun sampler of its SDE: the step's noise is added first, then Heun's method carries it on.

    Weak order 1, not Heun's 2: noise and drift are split in the way of Lie. `stochastic-heun` has order 2 at
    the same cost. Two evaluations a step, one on a last step to sigma = 0 where the drift asks for the data's score.

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
    Ma et al. 2024 (SiT), section 3.2, and the step of its published code.
    """
    trace = Trace("sit-sde-heun", path, grid, stochasticity=follows(eta, weight))
    for step, _ in trace.runs():
        (x,) = step.registers
        h = step.now.t - step.next.t
        w, w_next = (amount_of_noise(path, level, eta, weight) for level in (step.now, step.next))
        x = x + np.sqrt(w * h) * step.noise("time") if eta else x
        first = drift(step, x, step.now, w)
        if no_score_at(step, w_next):
            step.close(x + h * first)
            continue
        second = drift(step, x + h * first, step.next, w_next)
        step.close(x + h / 2 * (first + second))
    return trace.tableau(eta=eta, weight=weight)
