"""Paths against 60-digit formulas written from the definitions."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from analytic import paths

Scale = Callable[[mpf], mpf]
EPS = float(np.finfo(np.float64).eps)


def rate_integral(low: float, high: float, schedule: str = "linear") -> Scale:
    """Return the integral of beta from 0 to t."""
    if schedule == "linear":
        return lambda t: mpf(low) * t + (mpf(high) - mpf(low)) * t**2 / 2
    slope = mp.sqrt(high) - mp.sqrt(low)
    return lambda t: ((mp.sqrt(low) + slope * t) ** 3 - mp.sqrt(low) ** 3) / (3 * slope)


def cosine_alpha(s: float) -> Scale:
    return lambda t: mp.cos(mp.pi / 2 * (t + mpf(s)) / (1 + mpf(s))) / mp.cos(mp.pi / 2 * mpf(s) / (1 + mpf(s)))


def from_alpha(alpha: Scale, kind: str) -> tuple[Scale, Scale]:
    if kind == "vp":
        return alpha, lambda t: mp.sqrt(1 - alpha(t) ** 2)
    return alpha, lambda t: 1 - alpha(t) ** 2


def references() -> dict[str, tuple[paths.Gaussian, Scale, Scale]]:
    """Return the paths with their alpha and sigma as mpmath functions."""
    with mp.workdps(80):
        linear, scaled = rate_integral(0.1, 20.0), rate_integral(0.85, 12.0, "scaled-linear")
        ve_ratio = mpf(50.0) / mpf(0.01)
        return {
            "vp": (paths.VP(), *from_alpha(lambda t: mp.exp(-linear(t) / 2), "vp")),
            "vp-scaled": (
                paths.VP(0.85, 12.0, schedule="scaled-linear"),
                *from_alpha(lambda t: mp.exp(-scaled(t) / 2), "vp"),
            ),
            "vp-constant": (paths.VP(2.0, 2.0), *from_alpha(lambda t: mp.exp(-t), "vp")),
            "vp-scaled-constant": (
                paths.VP(2.0, 2.0, schedule="scaled-linear"),
                *from_alpha(lambda t: mp.exp(-t), "vp"),
            ),
            "sub-vp": (paths.SubVP(), *from_alpha(lambda t: mp.exp(-linear(t) / 2), "sub-vp")),
            "cosine": (paths.CosineVP(), *from_alpha(cosine_alpha(0.008), "vp")),
            "cosine-wide": (paths.CosineVP(s=0.3), *from_alpha(cosine_alpha(0.3), "vp")),
            "ve": (paths.VE(0.01, 50.0), lambda t: mpf(1), lambda t: mpf(0.01) * ve_ratio**t),
            "edm": (paths.EDM(), lambda t: mpf(1), lambda t: t),
            "linear": (paths.Linear(), lambda t: 1 - t, lambda t: t),
            "trigonometric": (
                paths.Trigonometric(),
                lambda t: mp.cos(mp.pi * t / 2),
                lambda t: mp.sin(mp.pi * t / 2),
            ),
            "square": (paths.Polynomial(2), lambda t: (1 - t) ** 2, lambda t: 1 - (1 - t) ** 2),
            "root": (paths.Polynomial(0.5), lambda t: mp.sqrt(1 - t), lambda t: 1 - mp.sqrt(1 - t)),
        }


REFERENCES = references()
TIMES = (1e-12, 1e-9, 1e-6, 1e-3, 0.1, 0.3, 0.5, 0.77, 0.9946, 1 - 1e-3, 1 - 1e-6, 1 - 1e-9, 1 - 1e-12)
every_path = pytest.mark.parametrize("name", REFERENCES)


@pytest.fixture(autouse=True)
def many_digits():
    with mp.workdps(80):
        yield


def slope(function: Scale, t: mpf) -> mpf:
    """Central difference on a scale far below the distance to the ends, good to 25 digits."""
    h = mpf(10) ** -26
    return (function(t + h) - function(t - h)) / (2 * h)


def exact(name: str, quantity: str, t: float) -> mpf:
    """Return a quantity at float t from alpha and sigma alone."""
    _, alpha, sigma = REFERENCES[name]
    time = mpf(t)
    drift = slope(alpha, time) / alpha(time)
    return {
        "alpha": lambda: alpha(time),
        "sigma": lambda: sigma(time),
        "d_alpha": lambda: slope(alpha, time),
        "d_sigma": lambda: slope(sigma, time),
        "log_snr": lambda: mp.log(alpha(time) / sigma(time)),
        "d_log_snr": lambda: slope(lambda u: mp.log(alpha(u) / sigma(u)), time),
        "f": lambda: drift,
        # Variance of the forward SDE: (sigma^2)' = 2 f sigma^2 + g^2.
        "g2": lambda: slope(lambda u: sigma(u) ** 2, time) - 2 * drift * sigma(time) ** 2,
    }[quantity]()
