"""The exact law of a sampler's output on a one-dimensional Gaussian mixture, without Monte Carlo noise."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ....protocols import Target, matched
from ...composed import Composed
from ...tableau import Tableau
from ..packed import pack
from .convolve import convolve, cover
from .curve import Curve, image
from .joint import Joint, convolve_jointly
from .law_on_line import DensityLaw
from .links import Link, links
from .mixture_on_line import MixtureOnLine, levels_of, on_line
from .panels import Panels, merged, resolve
from .plane import Plane, legs_of
from .reused import reuse
from .sampler_on_target import Precision, SamplerOnTarget

__all__ = ["Curve", "DensityLaw", "density"]


def density(
    tableau: Tableau,
    target: Target | Composed,
    initial: str | Target = "marginal",
    *,
    estimate_error: bool = True,
    resolution: float = 1.0,
) -> DensityLaw:
    """Law of the sample a tableau ends with on a one-dimensional Gaussian mixture, to near machine precision.

    The steps between two noises are a map of the line, whatever the method; a density is carried on panels
    through each map and its noise, and is evaluated afresh after the noise. A deterministic sampler is one map. Of a
    sampler with a velocity the density of both is carried by its Fourier series, to 1e-6 in few steps and 1e-8 in more:
    `error` tells.

    Parameters
    ----------
    tableau : Tableau
    target : one-dimensional Gaussian mixture
        Components without variance are allowed. Or a `Composed` of such, a sum of scores that is no law: give
        `initial` with it. On an interpolant an `Interpolated` of the line.
    initial : str or one-dimensional Gaussian mixture
        "marginal": the target's own law at the start level; "prior": N(0, prior_deviation^2); or a law given.
    estimate_error : bool
        Compute the law a second time, at 1.25 times the resolution, and keep how far apart the two are.
    resolution : float
        1 leaves errors of about 1e-13; the cost grows in proportion.

    Returns
    -------
    DensityLaw

    Raises
    ------
    ValueError
        The target is not one-dimensional; the start has no density; the method's noise is of a kind whose law
        needs a density of several variables; `initial` or `resolution` is none of the above.
    FloatingPointError
        The method is unstable on this grid.
    """
    if not (np.isfinite(resolution) and resolution >= 0.5):
        raise ValueError(f"resolution is {resolution}: give a number of at least 0.5, 1 is usual")
    matched(tableau, target)
    begin = _start(tableau, target, initial)
    packed = pack(tableau)
    try:
        chain_links = links(tableau.name, packed)
        _supported(tableau.name, chain_links)
    except ValueError:
        legs = legs_of(tableau)
        if legs is None:
            raise
        plane = Plane(tableau.name, legs, target)
        return _computed(lambda resolution: plane.law(begin, resolution), resolution, estimate_error)
    table = levels_of(packed, target)

    def run(resolution: float) -> Curve:
        sampler = SamplerOnTarget(
            tableau.name,
            packed,
            table,
            chain_links,
            Precision.of(resolution, any(link.remembers for link in chain_links)),
        )
        return _walk(sampler, begin)

    return _computed(run, resolution, estimate_error)


def _computed(run: Callable[[float], Curve], resolution: float, estimate_error: bool) -> DensityLaw:
    if not estimate_error:
        return DensityLaw(run(resolution))
    # The compiled parts run outside the interpreter's lock, so the two runs share two cores.
    with ThreadPoolExecutor(1) as other:
        finer = other.submit(run, 1.25 * resolution)
        law = run(resolution)
        return DensityLaw(law, DensityLaw(finer.result()))


def _supported(name: str, chain_links: list[Link]) -> None:
    for link, following in itertools.pairwise(chain_links):
        # After the last noise nothing may be remembered, and a step that bends its noise may find nothing.
        if link.remembers and (following.channel >= 0 or following is chain_links[-1]):
            raise ValueError(
                f"tableau is {name!r}: the map after the noise before step {link.stop} uses an earlier evaluation in a "
                "way that needs a density of two variables pushed without noise; measure it by coupled samples "
                "(`sample`) instead"
            )


def _walk(sampler: SamplerOnTarget, begin: MixtureOnLine) -> Curve:
    law: Panels | Joint = _resolved(begin, sampler.precision.tolerance / 100)
    for index, link in enumerate(sampler.links[:-1]):
        if link.remembers or isinstance(law, Joint):
            law = convolve_jointly(sampler, link, sampler.links[index + 1], law)
            continue
        law = convolve(sampler, link, law) if link.channel < 0 else reuse(sampler, link, law)
        law = merged(law, sampler.precision.tolerance, index % 2)
    assert isinstance(law, Panels)
    return image(sampler, sampler.links[-1], law)


def _resolved(mixture: MixtureOnLine, tolerance: float) -> Panels:
    deviations = np.sqrt(mixture.variances)
    reach = 8.9 * deviations
    steps = np.arange(-8, 9)
    edges = (mixture.means[:, None] + steps * deviations[:, None]).ravel()
    left, right = cover(mixture.means - reach, mixture.means + reach, edges, float(deviations.min()))
    return resolve(lambda x: (mixture.density(x), 0.0), left, right, tolerance)


def _start(tableau: Tableau, target: Any, initial: str | Target) -> MixtureOnLine:
    if isinstance(initial, str):
        if initial == "marginal":
            if not hasattr(target, "noised"):
                raise ValueError(
                    f"initial is 'marginal', but {target!r} is no law, only what is asked: use 'prior' or give a law"
                )
            begin = on_line("target", target.noised(*tableau.start))
        elif initial == "prior":
            begin = MixtureOnLine(np.ones(1), np.zeros(1), np.array([tableau.prior_deviation**2]))
        else:
            raise ValueError(f"initial is {initial!r}: use 'marginal', 'prior' or a one-dimensional mixture")
    else:
        begin = on_line("initial", initial)
    if not begin.variances.all():
        raise ValueError(
            f"initial is {initial!r} and has a component of variance 0, so there is no density to start from: "
            "start the grid at a level with noise"
        )
    return begin
