"""Samplers of other libraries in the plain form."""

from collections.abc import Callable
from typing import Any, NamedTuple

from analytic import paths

from . import equations, k_diffusion, schedulers
from .shared import RefusedError


class Library(NamedTuple):
    """A library of samplers: the plain form of one by name, and the path that one is for by default."""

    named: Callable[[str, paths.Gaussian, dict[str, Any]], Callable[..., Any]]
    path: Callable[[str], paths.Gaussian]


LIBRARIES = {
    "k_diffusion": Library(k_diffusion.named, lambda name: paths.EDM(0.02, 20)),
    "diffusers": Library(schedulers.named, lambda name: schedulers.path_of(schedulers.kind_of(name))),
    "flow_matching": Library(equations.of_flow_matching, lambda name: paths.Linear()),
    "torchsde": Library(equations.of_torchsde, lambda name: paths.VP()),
    "diffrax": Library(equations.of_diffrax, lambda name: paths.VP()),
}

__all__ = ["LIBRARIES", "Library", "RefusedError"]
