"""Noise processes on tokens, one per class, each acting on the sites of a sequence independently.

Continuous time runs over [0, 1] from the data; transitions, marginals, likelihoods, bridges and reverse rates
are exact. `schedules` holds alpha(t). `D3PM` is the same in discrete time.
"""

from . import schedules
from .discrete_time import D3PM
from .mixture import Absorbing, Hybrid, Mixture, Uniform
from .ordinal import BirthDeath, GaussianOrdinal, General, PureDeath
from .process import Chain, SiteProcess

__all__ = [
    "D3PM",
    "Absorbing",
    "BirthDeath",
    "Chain",
    "GaussianOrdinal",
    "General",
    "Hybrid",
    "Mixture",
    "PureDeath",
    "SiteProcess",
    "Uniform",
    "schedules",
]
