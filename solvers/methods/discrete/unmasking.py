"""Methods under masks that choose how many and which sites to reveal, whatever the chances of noise."""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from analytic import chains

from ... import grids
from ...catalogue import Claim, catalogue
from ...discrete import Kernel
from ...discrete.moves.plan import Plan
from ...discrete.moves.reveal import Reveal

_SITES_ORDERS = ("random", "left-to-right")


@catalogue.method(
    "any-order-autoregressive",
    half="discrete",
    claims=[
        Claim(
            math.inf,
            "tv",
            "the chain rule of probability, in any order of the sites",
            "deduced",
            options={"sites": (1,)},
        )
    ],
    source="Uria, Murray and Larochelle 2014; Hoogeboom et al. 2022 (ARDM)",
    aliases=("ardm",),
)
def any_order_autoregressive(
    noise: chains.SiteProcess, grid: ArrayLike, order: str = "random", sites: int | None = 1
) -> Kernel:
    """Reveal a given number of masked sites a step, drawn independently from their posteriors.

    Exact at one site a step: when all sites are revealed, after L steps, the law is that of the data, and of
    partly revealed starts the conditional law of the rest. With more sites a step a bias stays that grows with
    what the sites tell of one another. At most one evaluation a step, none when nothing is left to reveal.

    Parameters
    ----------
    noise : Absorbing
    grid : (steps + 1,) array
        With `sites` only the number of steps matters, and sites left masked when there are too few of them are
        left to the finaliser.
    order : "random" or "left-to-right"
        Which masked sites: uniformly at random, or the first.
    sites : int or None
        How many a step. None follows the grid: L (1 - alpha(s)) sites, rounded, stay masked.

    Raises
    ------
    ValueError, TypeError
        Noise that is no Absorbing, or an option that cannot be.
    """
    if order not in _SITES_ORDERS:
        raise ValueError(f"order is {order!r}: use 'random' or 'left-to-right'")
    return _revealing("any-order-autoregressive", noise, grid, order, sites)


@catalogue.method(
    "confidence-top-k",
    half="discrete",
    claims=[],
    source="Kim et al. 2025 (Train for the worst, plan for the best), top probability",
    aliases=("top-probability",),
)
def confidence_top_k(noise: chains.SiteProcess, grid: ArrayLike, sites: int | None = None) -> Kernel:
    """Reveal the masked sites whose posterior has the largest maximum, drawn independently from their posteriors.

    At one site a step exact, as any order that looks only at what is revealed; with more a bias stays. Confidences
    are compared after rounding to 2^-40, the first of equal ones wins. At most one evaluation a step.

    Parameters
    ----------
    noise : Absorbing
    grid : (steps + 1,) array
    sites : int or None
        How many a step. None follows the grid: L (1 - alpha(s)) sites, rounded, stay masked.

    Raises
    ------
    ValueError, TypeError
        Noise that is no Absorbing, or an option that cannot be.
    """
    return _revealing("confidence-top-k", noise, grid, "top-k", sites)


@catalogue.method(
    "maskgit",
    half="discrete",
    claims=[],
    source="Chang et al. 2022 (MaskGIT), section 3.2; count and annealing as in the authors' parallel_decode.py",
)
def maskgit(noise: chains.SiteProcess, grid: ArrayLike, temperature: float = 1.0) -> Kernel:
    """Draw a token at every masked site and keep the most confident, a draw's own probability being its confidence.

    Biased even at one site a step, as tokens compete on what was drawn: at temperature 0 towards likely tokens. Of L
    sites floor(L (1 - alpha(s))) stay masked, but one is revealed in each step and one kept for the next, and
    the last step reveals all. The published code counts from the sites masked at its start in place of all L.
    Published with the mask share cos(pi r/2) after the part r of the steps. One evaluation a step that reveals.

    Parameters
    ----------
    noise : Absorbing
    grid : (steps + 1,) array
    temperature : float
        Added to log-confidences are temperature (1 - r) Gumbel numbers after the part r of the steps. 0 keeps
        the most confident, compared after rounding to 2^-40, the first of equal ones.

    Raises
    ------
    ValueError, TypeError
        Noise that is no Absorbing, or a temperature that is no finite number >= 0.
    """
    if isinstance(temperature, bool) or not isinstance(temperature, int | float):
        raise TypeError(f"temperature is {temperature!r}: give a number")
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature is {temperature!r}: give a finite number, at least 0")
    process, times = absorbing(noise), grids.check(noise, grid)
    steps = len(times) - 1
    moves = []
    for number, s in enumerate(times[1:].tolist(), start=1):
        # as a ratio, so that the last one is exactly cold
        heat = temperature * ((steps - number) / steps)
        share = mask_share(process, s) if number < steps else 0.0
        moves.append((Reveal(process, "maskgit", None, share, True, heat),))
    return Kernel("maskgit", process, times, tuple(moves))


@catalogue.method(
    "path-planning",
    half="discrete",
    claims=[],
    source="Peng et al. 2025 (P2, path planning), Algorithm 1 and its code",
    aliases=("p2",),
)
def path_planning(noise: chains.SiteProcess, grid: ArrayLike, eta: float = 1.0) -> Kernel:
    """Propose a token at every masked site, then mask the sites that a planner is least sure of, revealed ones too.

    The planner here is the exact law of a site given all others, for which the paper trains or borrows a model: a
    proposal is scored by its own probability, a revealed token by that it has given the others, to the power eta.
    Biased, as `maskgit` without noise is, which it equals at eta = 0 but for the count of sites: tokens compete on
    what was drawn. Of L sites floor(L (1 - alpha(s))) are masked after a step, and none after the last. One evaluation
    a step.

    Parameters
    ----------
    noise : Absorbing
    grid : (steps + 1,) array
    eta : float
        0 or more. 0 never masks again; above 1 revealed tokens are doubted the more. Published: 1 and tuned.

    Raises
    ------
    ValueError, TypeError
        Noise that is no Absorbing, or an eta that is no finite number >= 0.

    References
    ----------
    Peng, Bezemek, Patel, Rector-Brooks, Yao, Bose, Tong and Chatterjee 2025 (Path planning for masked diffusion model
    sampling).
    """
    if isinstance(eta, bool) or not isinstance(eta, int | float):
        raise TypeError(f"eta is {eta!r}: give a number")
    if not 0 <= eta < math.inf:
        raise ValueError(f"eta is {eta!r}: give a finite number, at least 0")
    process, times = absorbing(noise), grids.check(noise, grid)
    shares = [*(mask_share(process, s) for s in times[1:-1].tolist()), 0.0]
    return Kernel("path-planning", process, times, tuple((Plan(process, s, float(eta)),) for s in shares))


def _revealing(
    name: str, noise: chains.SiteProcess, grid: ArrayLike, order: str, sites: int | None
) -> Kernel:
    if sites is not None and (isinstance(sites, bool) or not isinstance(sites, int)):
        raise TypeError(
            f"sites is {sites!r}: give a whole number of sites a step, or None to follow the grid"
        )
    if sites is not None and sites < 1:
        raise ValueError(f"sites is {sites}: give at least 1 a step, or None to follow the grid")
    process, times = absorbing(noise), grids.check(noise, grid)
    moves = tuple((Reveal(process, order, sites, mask_share(process, s)),) for s in times[1:].tolist())
    return Kernel(name, process, times, moves)


def absorbing(noise: chains.SiteProcess) -> chains.Absorbing:
    """Return the noise if it masks and does nothing else; ValueError if not."""
    if not isinstance(noise, chains.Absorbing):
        raise ValueError(f"noise is {noise!r}, which is no masking in continuous time: use chains.Absorbing")
    return noise


def mask_share(process: chains.Absorbing, t: float) -> float:
    """Chance of a mask at time t, (0, 1)."""
    return float(process.noise_law(t)[-1])
