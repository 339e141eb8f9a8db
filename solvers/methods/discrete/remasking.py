"""ReMDM: ancestral steps under masks that also mask some of the revealed tokens again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from analytic import chains

from ... import grids
from ...catalogue import catalogue
from ...discrete import Flow, Kernel, Move, Sites, bridge
from ...discrete.flow import Array, schedule_of
from ...discrete.moves.remask import ConfidentRemask
from .unmasking import absorbing, mask_share

# strategy: eta of the authors' scripts; conf has none
_PUBLISHED = {"cap": 0.008, "rescale": 0.015, "loop": 0.02, "current-confidence": 1.0}


def _probability(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating):
        raise TypeError(f"{name} is {value!r}: give a number from 0 to 1")
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value!r}: give a number from 0 to 1")
    return float(value)


@catalogue.method(
    "remdm",
    half="discrete",
    claims=[],
    source="Wang et al. 2025 (ReMDM), sections 3 and 4; numbers and the loop's clock as in the authors' diffusion.py",
    aliases=("remasking",),
)
def remdm(
    noise: chains.SiteProcess,
    grid: ArrayLike,
    strategy: str = "cap",
    eta: float | None = None,
    t_on: float = 0.55,
    t_off: float = 0.05,
    alpha_on: float = 0.9,
) -> Kernel:
    """Mask revealed tokens again with probability sigma, and reveal masked sites the more, so as to keep each law.

    A masked site is revealed with probability (alpha_s - (1 - sigma) alpha_t)/(1 - alpha_t): with one sigma for all
    sites a step from the exact p_t has the exact marginal at every site, and at sigma = 0 it is
    `tweedie-tau-leaping`. sigma is at most min(1, (1 - alpha_s)/alpha_t). It does not shrink with the step, so that
    among many short steps the law at every level is the stationary one of remasking all sites at once: TV falls as
    that of ancestral sampling at first, then, for alpha' above 0 at the data and a uniform grid, with steps^(-1/2)
    down to a bias that the mask share at the grid's end sets; "loop" keeps a bias at any number of steps. Tokens
    given at the start are masked again like all others. One evaluation a step.

    Parameters
    ----------
    noise : Absorbing
    grid : (steps + 1,) array
    strategy : str
        "cap": sigma = eta, or its bound if that is less. "rescale": eta times the bound. "loop": no remasking while
        the clock is above t_on or below t_off, and between them steps that stay at alpha = alpha_on with sigma = eta.
        "current-confidence": each revealed token has its own sigma, eta times the bound times its share of the
        sum of exp(-confidence) over the revealed ones; the masked ones are revealed as without remasking, which
        keeps no marginal. There the confidence is the token's probability given all other sites now. ReMDM-conf
        takes the probability at which the token was drawn, which is no function of the tokens, so that there is
        no law over their states to carry; a network has the present one for L further evaluations only.
    eta : float, optional
        By default that of the authors' scripts: 0.008, 0.015, 0.02; for "current-confidence" 1.
    t_on, t_off, alpha_on : float
        Of "loop" alone. The grid's times are its clock: alpha(t) alpha_on/alpha(t_on) is reached above t_on, and below
        t_off the share of masks (1 - alpha(t)) (1 - alpha_on)/(1 - alpha(t_off)), so that the kernel's own grid of
        noise levels stands still between. Where t_on or t_off is no node of the grid, the published code oversteps
        alpha_on, and this one does not.

    Raises
    ------
    ValueError, TypeError
        Noise that is no Absorbing, or an option that cannot be.
    """
    if strategy not in _PUBLISHED:
        hint = "; conf needs more than the tokens, see current-confidence" if strategy == "conf" else ""
        raise ValueError(f"strategy is {strategy!r}: use one of {', '.join(map(repr, _PUBLISHED))}{hint}")
    eta = _PUBLISHED[strategy] if eta is None else _probability("eta", eta)
    process, times = absorbing(noise), grids.check(noise, grid)
    if strategy == "loop":
        times = _looped(process, times, t_on, t_off, alpha_on)
        most = (1.0 - alpha_on) / alpha_on
        if eta > most:
            raise ValueError(
                f"eta is {eta!r}, more than (1 - alpha_on)/alpha_on = {most:.4g} lets be remasked: give less"
            )

    def move(t: float, s: float) -> Move:
        alpha = float(process.alpha(t))
        bound = min(1.0, mask_share(process, s) / alpha) if alpha > 0 else 1.0
        if strategy == "current-confidence":
            return ConfidentRemask(bridge(process, t, s), eta * bound)
        sigma = eta * bound if strategy == "rescale" else min(eta, bound)
        if strategy == "loop" and t > s:
            sigma = 0.0
        return Sites(remask(process, t, s, sigma), "probability")

    pairs = zip(times[:-1].tolist(), times[1:].tolist(), strict=True)
    return Kernel("remdm", process, times, tuple((move(t, s),) for t, s in pairs))


def remask(process: chains.Absorbing, t: float, s: float, sigma: float) -> Flow:
    """Probabilities of a step from t to s, or at s = t, that masks revealed sites again with probability sigma.

    References
    ----------
    Wang et al. 2025 (ReMDM), section 3.1.
    """
    alpha, (stay, moved) = float(process.alpha(t)), process.split(s, t)
    # alpha_s - alpha_t = alpha_s (1 - stay), without cancellation
    gained = float(process.alpha(s)) * float(moved[-1]) if stay < 1.0 else 0.0
    flow = bridge(process, t, 0.0) * ((gained + sigma * alpha) / mask_share(process, t))
    free = np.zeros(process.states)
    free[-1] = sigma
    return replace(flow, coefficients=flow.coefficients._replace(free=free))


def _looped(process: chains.Absorbing, times: Array, t_on: float, t_off: float, alpha_on: float) -> Array:
    """Return the noise times at the nodes of the loop's clock."""
    for name, value in (("t_on", t_on), ("t_off", t_off), ("alpha_on", alpha_on)):
        if not 0.0 < _probability(name, value) < 1.0:
            raise ValueError(f"{name} is {value!r}: give a number between 0 and 1, both excluded")
    if not t_off < t_on:
        raise ValueError(f"t_off is {t_off!r} and t_on is {t_on!r}: the loop runs from t_on down to t_off")
    schedule = schedule_of(process)
    high = schedule.alpha(times) * alpha_on / float(schedule.alpha(t_on))
    low = schedule.noise(times) * (1.0 - alpha_on) / float(schedule.noise(t_off))
    held = float(schedule.time_of_alpha(alpha_on))
    levels = np.full_like(times, held)
    # a node that is t_on or t_off but for rounding belongs to the loop
    early, late = times > t_on + 1e-9, times < t_off - 1e-9
    levels[early] = schedule.time_of_alpha(high[early])
    levels[late] = schedule.time_of_noise(low[late])
    levels[early] = np.maximum(levels[early], held)
    levels[late] = np.minimum(levels[late], held)
    return levels
