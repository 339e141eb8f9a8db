"""Distances between laws: closed forms for Gaussians, quadrature in one dimension, estimates from samples.

Three kinds of answer, so that a reader always knows what an error bar means. A closed form is a float. A
quadrature is an `Integral`, whose error bounds a deterministic quantity. A function of samples is an
`Estimate`, whose error is a standard error; its bias, where it has one, is in the docstring and not in the
error.
"""

from .densities import kl_1d, tv_1d
from .gaussians import gaussian_kl, gaussian_tv, gaussian_w2
from .moments import MomentErrors, moment_errors
from .pairs import energy_distance, mmd
from .results import Estimate, Integral
from .tables import table_kl, table_tv
from .wasserstein import MAX_TRANSPORT_PAIRS, sliced_w2, w2_1d, w2_samples
from .witness import WitnessEstimate, tv_witness

__all__ = [
    "MAX_TRANSPORT_PAIRS",
    "Estimate",
    "Integral",
    "MomentErrors",
    "WitnessEstimate",
    "energy_distance",
    "gaussian_kl",
    "gaussian_tv",
    "gaussian_w2",
    "kl_1d",
    "mmd",
    "moment_errors",
    "sliced_w2",
    "table_kl",
    "table_tv",
    "tv_1d",
    "tv_witness",
    "w2_1d",
    "w2_samples",
]
