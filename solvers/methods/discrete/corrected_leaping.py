"""Tau-leaping for flow matching with the rates' time factor integrated, and with the first jump at its time."""

from __future__ import annotations

from numpy.typing import ArrayLike

from analytic import chains

from ...catalogue import Claim, catalogue
from ...discrete import Kernel, Sites, walk
from ...discrete.flow import endpoint
from ...discrete.moves.first_jump import FirstJump, hazard

_SOURCE = "Wan et al. 2026 (Corrected samplers for discrete flow models)"


@catalogue.method(
    "time-corrected-tau-leaping",
    half="discrete",
    claims=[
        Claim(1, "tv", "the posterior is frozen over a step, as in tau-leaping", "deduced"),
        Claim(2, "kl", "twice the order in TV of a smooth law", "deduced"),
    ],
    source=f"{_SOURCE}, as in the authors' code",
    aliases=("time-corrected",),
)
def time_corrected_tau_leaping(noise: chains.Chain, grid: ArrayLike) -> Kernel:
    """Leap with the posterior frozen and kappa'/(1 - kappa), kappa = alpha, integrated over the step.

    A site leaves x with probability 1 - exp(-(1 - p(x)) log((1 - alpha_t)/(1 - alpha_s))), p its posterior. Under
    a mask this is ancestral sampling. TV order 1. One evaluation a step. Absorbing and Uniform noise; ValueError
    for others.
    """

    def step(t: float, s: float) -> list[Sites]:
        return [Sites(endpoint(noise, t), "leap", hazard(noise, t, s))]

    return walk("time-corrected-tau-leaping", noise, grid, step)


@catalogue.method(
    "location-corrected-tau-leaping",
    half="discrete",
    claims=[
        Claim(1, "tv", "the posterior is frozen until the first jump, and after it", "deduced"),
        Claim(2, "kl", "twice the order in TV of a smooth law", "deduced"),
    ],
    source=f"{_SOURCE}, as in the authors' code",
    aliases=("location-corrected",),
)
def location_corrected_tau_leaping(noise: chains.Chain, grid: ArrayLike) -> Kernel:
    """Make the first jump of the whole sequence at its own time, then leap from there with a new posterior.

    Until the first jump the posterior is frozen, and from it on `time-corrected-tau-leaping` goes to the step's
    end. TV order 1 in general; under a mask, where a posterior does not age, three jumps must meet in one step for
    an error and the order is 2. At most two evaluations a step. Absorbing and Uniform noise; ValueError for others.
    """

    def step(t: float, s: float) -> list[FirstJump]:
        return [FirstJump(endpoint(noise, t), hazard(noise, t, s))]

    return walk("location-corrected-tau-leaping", noise, grid, step)
