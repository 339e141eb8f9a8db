"""Guided sampling of tokens: methods that step towards one label of labelled data."""

from __future__ import annotations

import math
from operator import index

from numpy.typing import ArrayLike

from analytic import chains

from ...catalogue import catalogue
from ...discrete import Kernel, bridge, reverse_rates, walk
from ...discrete.moves.guided import Guided

_PROBABILITIES = {"transition": "flow", "posterior": "posterior", "classifier": "classifier"}
_RATES = {"rates": "flow", "posterior": "posterior", "classifier": "classifier"}


def _checked(guide: str, guides: dict[str, str], label: int, gamma: float) -> tuple[str, int, float]:
    if guide not in guides:
        raise ValueError(f"guide is {guide!r}: use one of {', '.join(map(repr, guides))}")
    try:
        number = index(label)
    except TypeError:
        raise TypeError(f"label is {label!r}: give an integer, the label's number in the data") from None
    if number < 0:
        raise ValueError(f"label is {number}: labels count from 0")
    if isinstance(gamma, bool) or not isinstance(gamma, int | float):
        raise TypeError(f"gamma is {gamma!r}: give a number")
    if not 0 <= gamma < math.inf:
        raise ValueError(f"gamma is {gamma!r}: give a finite number, at least 0")
    return guides[guide], number, float(gamma)


@catalogue.method(
    "guided-ancestral",
    half="discrete",
    claims=[],
    source="Schiff et al. 2024 (D-CFG, D-CBG), in the authors' code _cfg_denoise and _cbg_denoise",
    aliases=("d-cfg", "d-cbg"),
)
def guided_ancestral(
    noise: chains.SiteProcess,
    grid: ArrayLike,
    label: int = 0,
    gamma: float = 1.0,
    guide: str = "transition",
) -> Kernel:
    """Sharpen the ancestral step towards a label of `sequences.Labelled` data, site by site.

    At gamma = 0 it is `tweedie-tau-leaping` on the mixture, at gamma = 1 on the law under the label (TV order 1);
    beyond, it does not sample the tilted law p(x) p(label | x)^gamma, however many steps it takes. Two
    evaluations of the model a step, one at gamma = 0 and 1. `law` and `sample` start by default from the noised
    mixture, which is the law under the label only where all is noise.

    Parameters
    ----------
    noise : SiteProcess
    grid : (steps + 1,) array
    label : int
    gamma : float
        At least 0.
    guide : str
        "transition": p(x_s | x_t, label)^gamma p(x_s | x_t)^(1 - gamma), normalised (D-CFG). "posterior": the same of
        the law of x_0, which the bridge is then averaged over; the authors' code has it under masks, whose
        chance of being lifted it leaves alone. "classifier": p(x_s | x_t) p_t(label | x_t with x_s at the site)^gamma,
        normalised (D-CBG), by the exact classifier, asked L (S - 1) + 1 times a step; one evaluation of the
        model. At gamma = 1 that is the conditional step under masks; under other noise only to first order, as
        the classifier is asked at t about a token of time s.

    Raises
    ------
    ValueError, TypeError
        For an option that cannot be; TypeError at the run for data without labels.
    """
    rule, label, gamma = _checked(guide, _PROBABILITIES, label, gamma)

    def step(t: float, s: float) -> list[Guided]:
        return [Guided(bridge(noise, t, s), "probability", rule, label, gamma)]

    return walk("guided-ancestral", noise, grid, step)


@catalogue.method(
    "guided-tau-leaping",
    half="discrete",
    claims=[],
    source="Nisonoff et al. 2024 (predictor guidance, predictor-free guidance)",
    aliases=("discrete-guidance",),
)
def guided_tau_leaping(
    noise: chains.Chain, grid: ArrayLike, label: int = 0, gamma: float = 1.0, guide: str = "rates"
) -> Kernel:
    """Let each site make its first jump at guided rates frozen at the step's start, and at most one.

    At gamma = 0 it is `tau-leaping` on the mixture, at gamma = 1 on the law under the label (TV order 1); beyond, it
    does not sample the tilted law p(x) p(label | x)^gamma, however many steps it takes. Two evaluations of
    the model a step, one at gamma = 0 and 1. `law` and `sample` start by default from the noised mixture, which
    is the law under the label only where all is noise.

    Parameters
    ----------
    noise : Chain
    grid : (steps + 1,) array
    label : int
    gamma : float
        At least 0.
    guide : str
        "rates": R(x, y | label)^gamma R(x, y)^(1 - gamma). "classifier": R(x, y) times
        (p_t(label | y)/p_t(label | x))^gamma by the exact classifier, asked L (S - 1) + 1 times a step: by Bayes' rule
        the same rates, from one evaluation of the model. "posterior": the rates that the normalised
        p(x_0 | x_t, label)^gamma p(x_0 | x_t)^(1 - gamma) gives, which under a mask are those of "rates" normalised
        to the unguided rate of being lifted (Rojas et al. 2025).

    Raises
    ------
    ValueError, TypeError
        For an option that cannot be; TypeError at the run for data without labels.
    """
    rule, label, gamma = _checked(guide, _RATES, label, gamma)

    def step(t: float, s: float) -> list[Guided]:
        return [Guided(reverse_rates(noise, t), "leap", rule, label, gamma, t - s)]

    return walk("guided-tau-leaping", noise, grid, step)
