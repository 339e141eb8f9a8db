"""Methods that step by the bridge q(x_s | x_t, x_0) averaged over x_0."""

from __future__ import annotations

from numpy.typing import ArrayLike

from analytic import chains

from ...catalogue import Claim, catalogue
from ...discrete import Kernel, Sites, bridge, walk


@catalogue.method(
    "tweedie-tau-leaping",
    half="discrete",
    claims=[
        Claim(1, "tv", "sites are independent within a step only to first order", "deduced"),
        Claim(2, "kl", "twice the order in TV of a smooth law", "deduced"),
        Claim(1, "path-kl", "total correlation of the sites revealed together, O(h^2) a step", "deduced"),
    ],
    source="Austin et al. 2021 (D3PM), eq. 4; Sahoo et al. 2024 (MDLM), eq. 6; Shi et al. 2024 (MD4), eq. 5",
    aliases=("ancestral-tokens", "d3pm", "mdlm", "md4"),
)
def tweedie_tau_leaping(noise: chains.SiteProcess, grid: ArrayLike) -> Kernel:
    """Average the bridge over the posterior of x_0, site by site: ancestral sampling of tokens.

    Exact for sequences of one token, and in every marginal of one step. TV order 1. One evaluation a step.
    """
    return walk("tweedie-tau-leaping", noise, grid, lambda t, s: [Sites(bridge(noise, t, s), "probability")])


@catalogue.method(
    "plug-in-posterior",
    half="discrete",
    claims=[
        Claim(
            1, "tv", "fed with the cavity it is ancestral sampling", "deduced", options={"fed": ("cavity",)}
        ),
        Claim(
            1,
            "tv",
            "under masks the posterior mean is the cavity where it matters",
            "deduced",
            options={"fed": ("mean",)},
            noises=("Absorbing",),
        ),
    ],
    source="Schiff et al. 2024 (UDLM); von Rutte et al. 2025 (GIDD)",
)
def plug_in_posterior(noise: chains.SiteProcess, grid: ArrayLike, fed: str = "mean") -> Kernel:
    """Put the network's law of x_0 where the bridge has x_0 itself.

    Fed with the posterior mean E[x_0 | x_t], as the published codes are, it keeps a bias that no number of steps
    removes, unless the noise is a mask; fed with the cavity, the law of x_0 given all sites but this one, it
    is ancestral sampling. One evaluation a step.
    """
    if fed not in ("mean", "cavity"):
        raise ValueError(f"fed is {fed!r}: use 'mean' or 'cavity'")
    return walk(
        "plug-in-posterior",
        noise,
        grid,
        lambda t, s: [Sites(bridge(noise, t, s, mean=fed == "mean"), "probability")],
    )
