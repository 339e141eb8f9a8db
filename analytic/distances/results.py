"""The two kinds of number that carry an error: an `Integral` and an `Estimate`."""

import math
from dataclasses import dataclass

import scipy

from .checks import checked_level


@dataclass(frozen=True)
class Integral:
    """A deterministic number found by quadrature, with an estimate of its absolute numerical error."""

    value: float
    error: float


@dataclass(frozen=True)
class Estimate:
    """A number estimated from samples, with its standard error."""

    value: float
    error: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided normal interval value -+ quantile * error; ValueError unless 0 < level < 1."""
        half_width = float(scipy.special.ndtri(0.5 + checked_level(level) / 2)) * self.error
        return self.value - half_width, self.value + half_width


def root_with_error(squared: float, error: float) -> tuple[float, float]:
    """Square root of an estimated square, and its error, without dividing by a value that may be zero."""
    squared = max(squared, 0.0)
    value = math.sqrt(squared)
    return value, float(error / (value + math.sqrt(squared + error))) if error > 0 else 0.0
