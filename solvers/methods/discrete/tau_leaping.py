"""Methods that freeze the reverse rates over a step."""

from __future__ import annotations

from collections.abc import Callable

from numpy.typing import ArrayLike

from analytic import chains

from ...catalogue import Claim, catalogue
from ...discrete import Flow, Kernel, Sites, reverse_rates, velocity, walk

RATES: dict[str, Callable[[chains.Chain, float], Flow]] = {
    "time-reversal": reverse_rates,
    "flow-matching": velocity,
}
_KL = Claim(2, "kl", "twice the order in TV of a smooth law", "deduced")
_FROZEN = [
    Claim(1, "tv", "a one-step law with local error O(h^2)", "deduced"),
    _KL,
    Claim(1, "path-kl", "sum over steps of O(h^2)", "deduced"),
]
_POISSON = [Claim(1, "tv", "Campbell et al. 2022, theorem 1", "paper"), _KL]


@catalogue.method(
    "discrete-euler",
    half="discrete",
    claims=_FROZEN,
    source="Campbell et al. 2022; Lou, Meng and Ermon 2024, eq. 18",
    aliases=("ctmc-euler",),
)
def discrete_euler(noise: chains.Chain, grid: ArrayLike, rates: str = "time-reversal") -> Kernel:
    """Euler's method on the reverse master equation, all sites at once: I + h R, clipped at zero and normalised.

    TV order 1. One evaluation a step. `rates` are those of the time-reversed process, "time-reversal", or
    of discrete flow matching, "flow-matching": the same marginals by other paths. ValueError for others.
    """
    return _frozen("discrete-euler", noise, grid, "clipped", rates)


@catalogue.method(
    "tau-leaping",
    half="discrete",
    claims=_FROZEN,
    source="Gillespie 2001; Campbell et al. 2022, section 4.3",
    aliases=("frozen-rate",),
)
def tau_leaping(noise: chains.Chain, grid: ArrayLike, rates: str = "time-reversal") -> Kernel:
    """Let each site make its first jump at the rate frozen at the step's start, and at most one.

    TV order 1. One evaluation a step. `rates` are those of the time-reversed process, "time-reversal", or
    of discrete flow matching, "flow-matching": the same marginals by other paths. ValueError for others.
    """
    return _frozen("tau-leaping", noise, grid, "leap", rates)


def _frozen(name: str, noise: chains.Chain, grid: ArrayLike, exit_kind: str, rates: str) -> Kernel:
    if rates not in RATES:
        raise ValueError(f"rates is {rates!r}: use 'time-reversal' or 'flow-matching'")
    flow = RATES[rates]
    return walk(name, noise, grid, lambda t, s: [Sites(flow(noise, t), exit_kind, t - s)])


@catalogue.method(
    "poisson-tau-leaping",
    half="discrete",
    claims=_POISSON,
    source="Campbell et al. 2022, eq. 6",
)
def poisson_tau_leaping(noise: chains.Chain, grid: ArrayLike) -> Kernel:
    """Let Poisson numbers of all jumps happen at frozen rates, add up their displacements and clamp.

    For tokens with an order: a jump from x to y moves by y - x, as often as it happens. ValueError where the
    noise has a mask, which has no place in the order. TV order 1. One evaluation a step.
    """
    if noise.mask is not None:
        raise ValueError(
            f"noise is {noise!r}, whose mask has no place in an order: use poisson-tau-leaping-reject"
        )
    return walk(
        "poisson-tau-leaping", noise, grid, lambda t, s: [Sites(reverse_rates(noise, t), "poisson", t - s)]
    )


@catalogue.method(
    "poisson-tau-leaping-reject",
    half="discrete",
    claims=_POISSON,
    source="Campbell et al. 2022, section 4.3",
)
def poisson_tau_leaping_reject(noise: chains.Chain, grid: ArrayLike) -> Kernel:
    """Let Poisson numbers of jumps happen at frozen rates, and leave a site alone that would jump more than once.

    For tokens without an order. TV order 1. One evaluation a step.
    """
    return walk(
        "poisson-tau-leaping-reject",
        noise,
        grid,
        lambda t, s: [Sites(reverse_rates(noise, t), "reject", t - s)],
    )
