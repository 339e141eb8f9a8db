"""Samplers that are no table of coefficients: adaptive steps, exact kernels, steps scaled by norms, accepted or drawn.

Each is a function (path, grid, model, x, seed=0, **options) -> Outcome on arrays as `run` takes them, found by name in
`catalogue`. They ask the model what tableaux ask, and build one-step tableaux where they take a known method's step.
Their steps depend on samples, so that they have no exact law and no order: they promise a tolerance, or exactness.
"""

from . import (
    adaptive,
    annealed_mcmc,
    denoising_mcmc,
    dpm_solver_v3,
    exact_ancestral,
    feynman_kac,
    gibbs,
    gotta_go_fast,
    metropolis,
    norm_scaled,
    piecewise_deterministic,
    posterior,
    randomized_midpoint,
    simplex,
    walls,
)
from .loop import Loop, Outcome, catalogue

__all__ = [
    "Loop",
    "Outcome",
    "adaptive",
    "annealed_mcmc",
    "catalogue",
    "denoising_mcmc",
    "dpm_solver_v3",
    "exact_ancestral",
    "feynman_kac",
    "gibbs",
    "gotta_go_fast",
    "metropolis",
    "norm_scaled",
    "piecewise_deterministic",
    "posterior",
    "randomized_midpoint",
    "simplex",
    "walls",
]
