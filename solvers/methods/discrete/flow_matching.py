"""Discrete flow matching: another choice of rates with the same marginals, and its correctors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from analytic import chains

from ...catalogue import Claim, catalogue
from ...discrete import Flow, Kernel, Sites, arrival_rate, endpoint, forward_rates, velocity, walk


@catalogue.method(
    "dfm-euler",
    half="discrete",
    claims=[
        Claim(1, "tv", "a one-step law with local error O(h^2); Gat et al. 2024 state o(h)", "deduced"),
        Claim(2, "kl", "twice the order in TV of a smooth law", "deduced"),
    ],
    source="Gat et al. 2024 (discrete flow matching); Campbell et al. 2024 (discrete flow models)",
    aliases=("discrete-flow-matching",),
)
def dfm_euler(
    noise: chains.Chain, grid: ArrayLike, corrector: float = 0.0, stochasticity: float = 0.0
) -> Kernel:
    """Euler's method on the velocity kappa'/(1 - kappa) (p(x_0 = y | x_t) - delta), kappa = alpha, clipped.

    TV order 1. One evaluation a step. Absorbing and Uniform noise; ValueError for others.

    Parameters
    ----------
    noise : Absorbing or Uniform
    grid : (steps + 1,) array_like
    corrector : float
        c >= 0: the step goes by (1 + c) times the velocity less c times the backward velocity, kappa'/kappa
        (delta - pi), which leaves p_t alone. No correction where alpha = 0 and the backward velocity is infinite.
    stochasticity : float
        eta >= 0, in units of one over time: adds rates in detailed balance with q_t(. | x_0). Under a mask,
        eta = c kappa'/kappa is the corrector; under uniform noise it is another one.

    References
    ----------
    Gat et al. 2024, corrector sampling; Campbell et al. 2024, R* + eta R_DB; Lipman et al. 2024 (flow matching
    guide and code), `div_free`.
    """
    for name, value in (("corrector", corrector), ("stochasticity", stochasticity)):
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name} is {value!r}: use a finite number, 0 or above")

    def step(t: float, s: float) -> list[Sites]:
        return [Sites(corrected_velocity(noise, t, corrector, stochasticity), "clipped", t - s)]

    return walk("dfm-euler", noise, grid, step)


@catalogue.method(
    "dfm-jump",
    half="discrete",
    claims=[
        Claim(1, "tv", "a one-step law with local error O(h^2)", "deduced"),
        Claim(2, "kl", "twice the order in TV of a smooth law", "deduced"),
    ],
    source="flow_matching's code, MixtureDiscreteEulerSolver; Lipman et al. 2024 (flow matching guide), section 7",
    aliases=("mixture-discrete-euler",),
)
def dfm_jump(noise: chains.Chain, grid: ArrayLike) -> Kernel:
    """Draw each site's x_0 from its posterior, then go there with 1 - exp(-h kappa'/(1 - kappa)), as its code does.

    The exit is that of a jump at a frozen rate, where `dfm-euler` takes h times the rate: no clipping at any step. TV
    order 1. One evaluation a step. Absorbing and Uniform noise; ValueError for others.

    References
    ----------
    flow_matching, MixtureDiscreteEulerSolver without its divergence-free part; Lipman et al. 2024 (flow matching guide
    and code), section 7.
    """

    def step(t: float, s: float) -> list[Sites]:
        leaving = -np.expm1(-(t - s) * arrival_rate(noise, t))
        return [Sites(endpoint(noise, t) * float(leaving), "probability")]

    return walk("dfm-jump", noise, grid, step)


def corrected_velocity(noise: chains.Chain, t: float, corrector: float, stochasticity: float = 0.0) -> Flow:
    """Velocity with `corrector` times the sum of forward and backward rates, which keeps p_t, added.

    The backward velocity with its sign turned is the rate of the noising process itself.
    """
    flow = velocity(noise, t, stochasticity / (1 + corrector))
    if corrector == 0:
        return flow
    if float(noise.alpha(t)) == 0:
        return velocity(noise, t, stochasticity)
    return (1 + corrector) * flow + corrector * forward_rates(noise, t)
