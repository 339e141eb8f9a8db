"""Methods that follow the reverse process jump by jump, exact on any grid."""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from analytic import chains

from ...catalogue import Claim, catalogue
from ...discrete import Kernel, walk
from ...discrete.moves.events import Events, FirstHitting

_THINNING = "thinning of a bounded rate is exact (Lewis and Shedler 1979)"


@catalogue.method(
    "gillespie",
    half="discrete",
    claims=[Claim(math.inf, "tv", f"Gillespie 1977 for constant rates; {_THINNING}", "deduced")],
    source="Gillespie 1977, direct method; Lewis and Shedler 1979 for rates that change in time",
    aliases=("direct-method",),
)
def gillespie(noise: chains.Mixture, grid: ArrayLike) -> Kernel:
    """Draw the time of the next jump from the total rate of all sites, then the site and its token.

    Exact; the grid gives start, stop and the nodes of `law(..., at="all")` only. One evaluation for each candidate
    jump that the noise alone does not reject: under masks one for each token revealed. ValueError for
    other noises than Absorbing, Uniform and Hybrid.
    """
    return walk("gillespie", noise, grid, lambda t, s: [Events(noise, t, s, "direct")])


@catalogue.method(
    "next-reaction",
    half="discrete",
    claims=[Claim(math.inf, "tv", f"Anderson 2007; {_THINNING}", "deduced")],
    source="Gibson and Bruck 2000; Anderson 2007, with the bounds' integrals as internal times",
)
def next_reaction(noise: chains.Mixture, grid: ArrayLike) -> Kernel:
    """Give each site a clock of its own that runs at the bound of its rate, and follow the one that rings first.

    A jump changes the rates of all sites but none of their bounds, so that no other clock is set anew. Exact;
    evaluations as `gillespie`. ValueError for other noises than Absorbing, Uniform and Hybrid.
    """
    return walk("next-reaction", noise, grid, lambda t, s: [Events(noise, t, s, "sites")])


@catalogue.method(
    "uniformization",
    half="discrete",
    claims=[
        Claim(
            math.inf,
            "tv",
            "Chen and Ying 2024: transitions at random times, no discretisation error",
            "paper",
        )
    ],
    source="Chen and Ying 2024 (uniformization of the reverse chain)",
)
def uniformization(noise: chains.Mixture, grid: ArrayLike) -> Kernel:
    """Let candidate jumps come as a Poisson process, at a rate that is constant within each interval of the grid.

    Exact. One evaluation for each candidate; expected, the sum over intervals of their length in -log alpha
    (masks: in 1 - alpha, hybrid noise: in t) times the bound at the end with the larger rates, so fewer on
    finer grids. ValueError for other noises than Absorbing, Uniform and Hybrid, and for a stop at t = 0.
    """
    return walk("uniformization", noise, grid, lambda t, s: [Events(noise, t, s, "uniformized")])


@catalogue.method(
    "first-hitting",
    half="discrete",
    claims=[
        Claim(math.inf, "tv", "Zheng et al. 2024: equivalent to the continuous-time reverse process", "paper")
    ],
    source="Zheng et al. 2024 (first-hitting sampler)",
    aliases=("first-hitting-sampler",),
)
def first_hitting(noise: chains.Absorbing, grid: ArrayLike) -> Kernel:
    """Reveal one masked site at a time, m of them being left when 1 - alpha has shrunk by u^(1/m).

    Exact; the law is found by counting reveals, not by integrating rates as for `gillespie`. One evaluation for each
    token revealed. ValueError where the noise is no mask.
    """
    if not isinstance(noise, chains.Absorbing):
        raise ValueError(
            f"noise is {noise!r}, which has no masks alone to reveal: use chains.Absorbing, or gillespie"
        )
    return walk("first-hitting", noise, grid, lambda t, s: [FirstHitting(noise, t, s, "direct")])
