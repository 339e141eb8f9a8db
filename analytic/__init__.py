"""Ground truth: targets, paths and distances whose every quantity is known in closed form."""

from . import bounds, chains, data, distances, names, paths, reprs, sequences, targets
from .mixtures.gaussian_mixture import GaussianMixture
from .tilted import Tilted

__all__ = [
    "GaussianMixture",
    "Tilted",
    "bounds",
    "chains",
    "data",
    "distances",
    "names",
    "paths",
    "reprs",
    "sequences",
    "targets",
]
