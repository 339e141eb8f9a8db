"""Densities and quantiles of N(mean, deviation^2), and the false-alarm rate of the statistical checks."""

import math
from collections.abc import Callable

import numpy as np
from scipy import special

ALARM = 1e-6
"""False-alarm rate of each side of every statistical check here, had its seed been random."""


def normal_density(mean: float, deviation: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))


def normal_log_density(mean: float, deviation: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: -0.5 * ((x - mean) / deviation) ** 2 - math.log(deviation) - 0.5 * math.log(2 * math.pi)


def normal_quantile(mean: float, deviation: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda u: mean + deviation * special.ndtri(u)
