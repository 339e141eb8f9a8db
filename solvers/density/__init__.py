"""The exact law of a sampler's output on a one-dimensional Gaussian mixture, without Monte Carlo noise."""

from __future__ import annotations

import numpy as np

from ..packed import pack
from ..protocols import Target
from ..tableau import Tableau
from .chain import Chain, Precision
from .classify import links
from .convolve import convolve, cover
from .curve import Curve, image
from .law_on_line import DensityLaw, distance
from .model import Mixture, levels, on_line
from .panels import Panels, merged, resolve

__all__ = ["Curve", "DensityLaw", "density"]


def density(
    tableau: Tableau,
    target: Target,
    initial: str | Target = "marginal",
    *,
    estimate_error: bool = True,
    resolution: float = 1.0,
) -> DensityLaw:
    """Law of the sample a tableau ends with on a one-dimensional Gaussian mixture, to near machine precision."""
    mixture = on_line("target", target)
    begin = _start(tableau, target, initial)
    packed = pack(tableau)
    chain_links = links(tableau.name, packed)
    table = levels(packed, mixture)

    def run(resolution: float) -> DensityLaw:
        chain = Chain(tableau.name, packed, table, chain_links, Precision.of(resolution))
        return DensityLaw(_walk(chain, begin), float("nan"))

    law = run(resolution)
    if not estimate_error:
        return law
    return DensityLaw(law.curve, distance(law, run(1.25 * resolution)))


def _walk(chain: Chain, begin: Mixture) -> Curve:
    law = _resolved(begin, chain.precision.tolerance / 100)
    for index, link in enumerate(chain.links[:-1]):
        law = convolve(chain, link, law)
        law = merged(law, chain.precision.tolerance, index % 2)
    return image(chain, chain.links[-1], law)


def _resolved(mixture: Mixture, tolerance: float) -> Panels:
    deviations = np.sqrt(mixture.variances)
    reach = 8.9 * deviations
    steps = np.arange(-8, 9)
    edges = (mixture.means[:, None] + steps * deviations[:, None]).ravel()
    left, right = cover(mixture.means - reach, mixture.means + reach, edges, float(deviations.min()))
    return resolve(mixture.density, left, right, tolerance)


def _start(tableau: Tableau, target: Target, initial: str | Target) -> Mixture:
    if isinstance(initial, str):
        if initial == "marginal":
            return on_line("target", target.noised(*tableau.start))
        if initial == "prior":
            return Mixture(np.ones(1), np.zeros(1), np.array([tableau.prior_deviation**2]))
        raise ValueError(f"initial is {initial!r}: use 'marginal', 'prior' or a one-dimensional mixture")
    return on_line("initial", initial)
