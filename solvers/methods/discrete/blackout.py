"""Blackout diffusion: counts that died one by one are born again."""

from __future__ import annotations

from numpy.typing import ArrayLike

from analytic import chains

from ...catalogue import Claim, catalogue
from ...discrete import Kernel, Move, Sites, bridge, walk
from ...discrete.moves.births import Births

_RULES = {"mean": "random", "poisson": "poisson"}


def _death(noise: chains.SiteProcess) -> chains.PureDeath:
    if not isinstance(noise, chains.PureDeath):
        raise ValueError(
            f"noise is {noise!r}: Blackout reverses chains.PureDeath alone; use tweedie-tau-leaping"
        )
    return noise


def _births(noise: chains.PureDeath, t: float, s: float, rule: str) -> Births:
    alpha_t, alpha_s = float(noise.alpha(t)), float(noise.alpha(s))
    return Births(bridge(noise, t, s), (alpha_s - alpha_t) / (1 - alpha_t), rule)


@catalogue.method(
    "blackout",
    half="discrete",
    claims=[
        Claim(1, "tv", "sites are independent within a step only to first order", "deduced"),
        Claim(2, "kl", "twice the order in TV of a smooth law", "deduced"),
        Claim(1, "path-kl", "sum over steps of O(h^2)", "deduced"),
    ],
    source="Santos et al. 2023 (Blackout diffusion), binomial bridge; tau-leaping in the authors' code",
)
def blackout(noise: chains.SiteProcess, grid: ArrayLike, births: str = "bridge") -> Kernel:
    """Let binomial numbers of the units that are missing be born, each with the probability of the bridge.

    Given x_0, x_s - x_t is binomial(x_0 - x_t, (alpha_s - alpha_t)/(1 - alpha_t)). TV order 1. One evaluation a step.

    Parameters
    ----------
    noise : PureDeath
    grid : (steps + 1,) array
    births : str
        "bridge": averaged over the posterior of x_0, which is `tweedie-tau-leaping`. "mean": from the posterior
        mean of x_0 - x_t alone, all that the published network predicts, rounded up or down at random so that
        it is kept: enough for order 1, as reverse rates are linear in it. "poisson": a Poisson number with the
        same mean, clamped at the largest count; the published code's tau-leaping.

    Raises
    ------
    ValueError
        Other noise than pure death, or another word.
    """
    death = _death(noise)
    if births not in ("bridge", *_RULES):
        raise ValueError(f"births is {births!r}: use 'bridge', 'mean' or 'poisson'")

    def step(t: float, s: float) -> list[Move]:
        if births == "bridge":
            return [Sites(bridge(death, t, s), "probability")]
        return [_births(death, t, s, _RULES[births])]

    return walk("blackout", death, grid, step)


@catalogue.method(
    "blackout-as-published",
    half="discrete",
    claims=[],
    source="Santos et al. 2023 (Blackout diffusion), the authors' code generate-by-binomialBridge",
)
def blackout_as_published(noise: chains.SiteProcess, grid: ArrayLike) -> Kernel:
    """Take the predicted number of missing units, rounded to the nearest whole number, for the true one.

    Where less than half a unit is missing on average nothing is ever born, and rounding moves every other mean:
    a bias that no number of steps removes. `blackout` keeps the mean. One evaluation a step; ValueError for
    other noise than pure death.
    """
    death = _death(noise)
    return walk("blackout-as-published", death, grid, lambda t, s: [_births(death, t, s, "nearest")])
