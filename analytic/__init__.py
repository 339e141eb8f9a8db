"""Ground truth: targets, paths and distances whose every quantity is known in closed form."""

from . import bounds, chains, couplings, data, distances, names, paths, reprs, sequences, targets
from .embedded import Embedded
from .folded import Folded, fold
from .interpolated import Interpolated
from .mixtures.gaussian_mixture import GaussianMixture
from .poisson_flow import PoissonFlow
from .tilted import Tilted

__all__ = [
    "Embedded",
    "Folded",
    "GaussianMixture",
    "Interpolated",
    "PoissonFlow",
    "Tilted",
    "bounds",
    "chains",
    "couplings",
    "data",
    "distances",
    "fold",
    "names",
    "paths",
    "reprs",
    "sequences",
    "targets",
]
