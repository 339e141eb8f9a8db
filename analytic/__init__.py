"""Ground truth: targets, paths and distances whose every quantity is known in closed form."""

from . import chains, data, distances, paths, sequences, targets
from .gaussian_mixture import GaussianMixture

__all__ = ["GaussianMixture", "chains", "data", "distances", "paths", "sequences", "targets"]
