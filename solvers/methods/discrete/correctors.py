"""Predictor and corrector for tokens: steps that leave p_t alone, after those of any other method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from numpy.typing import ArrayLike

from analytic import chains

from ...catalogue import Claim, catalogue
from ...discrete import Kernel, Move, Sites, forward_rates, resample, reverse_rates
from ...discrete.flow import Flow, velocity
from ...discrete.moves.gibbs import Gibbs

CORRECTORS = ("forward-backward", "dfm", "gibbs", "gibbs-random", "gibbs-parallel")


@catalogue.method(
    "ctmc-predictor-corrector",
    half="discrete",
    claims=[
        Claim(1, "tv", "that of first-order predictors: correctors leave p_t alone up to O(h^2)", "deduced"),
        Claim(2, "kl", "twice the order in TV of a smooth law", "deduced"),
    ],
    source="Campbell et al. 2022 (tauLDR), section 4.4; Gat et al. 2024; Liang et al. 2026 (GADD)",
    aliases=("forward-backward-corrector",),
)
def ctmc_predictor_corrector(
    noise: chains.Chain,
    grid: ArrayLike,
    predictor: str = "tau-leaping",
    corrector: str = "forward-backward",
    corrector_steps: int = 1,
    corrector_size: float = 1.0,
    entry: float = 1.0,
) -> Kernel:
    """Follow each step of a predictor by steps of a corrector at the time reached, which leave p_t alone.

    TV order as the predictor, with a smaller constant. Per interval, the predictor's evaluations and one for each
    site or leap corrected.

    Parameters
    ----------
    noise : Chain
    grid : (steps + 1,) array_like
    predictor : str
        Any discrete method, with its default options.
    corrector : str
        "forward-backward", a leap by reverse plus forward rates; "dfm", by the flow-matching velocity plus forward
        rates, for Absorbing and Uniform noise; "gibbs", all sites in order, each redrawn from its law given all
        others, one evaluation a site and p_t exactly invariant; "gibbs-random", one site drawn uniformly, invariant
        too; "gibbs-parallel", all sites redrawn at once, which is not. ValueError for others.
    corrector_steps : int
        How often per interval, at least 1.
    corrector_size : float
        Time a leap of the first two correctors lasts, in units of the interval just stepped over; above 0.
    entry : float
        Only times up to this are corrected at, and never t = 0.

    References
    ----------
    Campbell et al. 2022, section 4.4, whose code has `num_corrector_steps`, `corrector_step_size_multiplier` and
    `corrector_entry_time`; Gat et al. 2024, corrector steps; Liang et al. 2026 for Gibbs steps under uniform noise.
    """
    if corrector not in CORRECTORS:
        raise ValueError(f"corrector is {corrector!r}: use one of {', '.join(CORRECTORS)}")
    if isinstance(corrector_steps, bool) or not isinstance(corrector_steps, int) or corrector_steps < 1:
        raise ValueError(f"corrector_steps is {corrector_steps!r}: use a whole number, at least 1")
    if not 0 < corrector_size < float("inf"):
        raise ValueError(f"corrector_size is {corrector_size!r}: use a finite number above 0")
    if not entry >= 0:
        raise ValueError(f"entry is {entry!r}: use a time, 0 or above")
    kernel = catalogue[predictor].kernel(noise, grid)
    times = kernel.grid.tolist()
    corrected = tuple(
        (*moves, *([correction(noise, s, corrector, corrector_size * (t - s))] * corrector_steps))
        if 0 < s <= entry
        else moves
        for moves, t, s in zip(kernel.steps, times[:-1], times[1:], strict=True)
    )
    return replace(kernel, name="ctmc-predictor-corrector", steps=corrected)


def correction(noise: chains.Chain, t: float, corrector: str, h: float) -> Move:
    """Return one step of a corrector at time t, lasting h where it is a leap."""
    if corrector == "gibbs-parallel":
        return Sites(resample(noise, t), "probability")
    if corrector.startswith("gibbs"):
        return Gibbs(resample(noise, t), None if corrector == "gibbs" else 1)
    rates: Callable[[chains.Chain, float], Flow] = (
        reverse_rates if corrector == "forward-backward" else velocity
    )
    return Sites(rates(noise, t) + forward_rates(noise, t), "leap", h)
