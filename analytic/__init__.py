"""Ground truth: targets, paths and distances whose every quantity is known in closed form."""

from . import bounds, chains, couplings, data, distances, names, paths, reprs, sequences, targets
from .embedded import Embedded
from .interpolated import Interpolated
from .mixtures.gaussian_mixture import GaussianMixture
from .tilted import Tilted

__all__ = [
    "Embedded",
    "GaussianMixture",
    "Interpolated",
    "Tilted",
    "bounds",
    "chains",
    "couplings",
    "data",
    "distances",
    "names",
    "paths",
    "reprs",
    "sequences",
    "targets",
]
