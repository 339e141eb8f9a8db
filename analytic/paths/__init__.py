"""Gaussian paths x_t = alpha(t) x_0 + sigma(t) eps, from the data at t = 0 to the noise.

Each path's default start and stop are part of its contract: measured orders depend on them.
"""

from .anchored import Bridge, MeanReverting
from .diffusion import EDM, VE, VP, CosineVP, SubVP
from .discrete import Discrete, discrete_betas, zero_terminal_snr
from .gaussian import Gaussian, Prior
from .interpolant import Linear, Polynomial, Trigonometric
from .langevin import Langevin
from .momentum import FDM
from .phase_space import CLD, PSLD
from .simplex import Dirichlet, FisherRao, Straight
from .transport import EncodingDecoding, Interpolant, Multimarginal, Transport

__all__ = [
    "CLD",
    "EDM",
    "FDM",
    "PSLD",
    "VE",
    "VP",
    "Bridge",
    "CosineVP",
    "Dirichlet",
    "Discrete",
    "EncodingDecoding",
    "FisherRao",
    "Gaussian",
    "Interpolant",
    "Langevin",
    "Linear",
    "MeanReverting",
    "Multimarginal",
    "Polynomial",
    "Prior",
    "Straight",
    "SubVP",
    "Transport",
    "Trigonometric",
    "discrete_betas",
    "zero_terminal_snr",
]
