"""Reversible methods return to where they started, by their inverses written out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analytic import paths, targets
from solvers import catalogue, grids, run

Array = NDArray[np.float64]
PATH, TARGET = paths.VP(), targets.load("rotated-2d")
GRID = grids.log_snr(PATH, 12)
LEVELS = [(float(PATH.alpha(t)), float(PATH.sigma(t))) for t in GRID]


def _eps(x: Array, level: tuple[float, float]) -> Array:
    alpha, sigma = level
    return (x - alpha * TARGET.denoise(x, alpha, sigma)) / sigma


def _ddim(x: Array, now: tuple[float, float], then: tuple[float, float]) -> Array:
    eps = _eps(x, now)
    return then[0] * (x - now[1] * eps) / now[0] + then[1] * eps


def _heun_back(x: Array, shadow: Array, slope: Array) -> Array:
    """Kidger et al. 2021, Algorithm 2: the shadow first, then the slope there, then the sample."""
    y = x / LEVELS[-1][0]
    for before, now in reversed(list(pairwise(LEVELS))):
        h = now[1] / now[0] - before[1] / before[0]
        old = 2 * y - shadow - h * slope
        old_slope = _eps(before[0] * old, before)
        y = y - h / 2 * (slope + old_slope)
        shadow, slope = old, old_slope
    return LEVELS[0][0] * y


def _edict_back(x: Array, copy: Array, p: float) -> Array:
    for before, now in reversed(list(pairwise(LEVELS))):
        a = now[0] / before[0]
        b = now[1] - a * before[1]
        copied = (copy - (1 - p) * x) / p
        moved = (x - (1 - p) * copied) / p
        copy = (copied - b * _eps(moved, before)) / a
        x = (moved - b * _eps(copy, before)) / a
    return x


def _bdia_back(x: Array, before: Array) -> Array:
    """With gamma = 1: x_{i+1} = x_{i-1} - DDIM's step on + DDIM's step back, all at x_i."""
    for level in range(len(LEVELS) - 2, 0, -1):
        old, now, new = LEVELS[level - 1 : level + 2]
        x, before = before, x - _ddim(before, now, new) + _ddim(before, now, old)
    return before


def _belm_back(x: Array, before: Array) -> Array:
    y = x / LEVELS[-1][0]
    for level in range(len(LEVELS) - 2, 0, -1):
        old, now, new = (s / a for a, s in LEVELS[level - 1 : level + 2])
        r = (new - now) / (now - old)
        eps = _eps(LEVELS[level][0] * before, LEVELS[level])
        y, before = before, (y - (1 - r**2) * before - (new - now) * (1 + r) * eps) / r**2
    return LEVELS[0][0] * before


def _rex_back(x: Array, shadow: Array, zeta: float) -> Array:
    """McCallum and Foster's coupling undone, Euler's method within: the shadow first, then the sample."""

    def moved(y: Array, start: tuple[float, float], stop: tuple[float, float]) -> Array:
        return (stop[0] / stop[1] - start[0] / start[1]) * TARGET.denoise(start[1] * y, *start)

    y = x / LEVELS[-1][1]
    for before, now in reversed(list(pairwise(LEVELS))):
        shadow = shadow + moved(y, now, before)
        y = (y - (1 - zeta) * shadow - moved(shadow, before, now)) / zeta
    return LEVELS[0][1] * y


BACK: list[tuple[str, dict[str, Any], Callable[..., Array]]] = [
    ("reversible-heun", {}, _heun_back),
    ("edict", {"p": 0.93}, lambda x, copy: _edict_back(x, copy, 0.93)),
    ("edict", {"p": 1.0}, lambda x, copy: _edict_back(x, copy, 1.0)),
    ("bdia", {}, _bdia_back),
    ("belm", {}, _belm_back),
    ("rex", {"base": "euler", "zeta": 0.999}, lambda x, shadow: _rex_back(x, shadow, 0.999)),
    ("rex", {"base": "euler", "zeta": 0.9}, lambda x, shadow: _rex_back(x, shadow, 0.9)),
]


@pytest.mark.parametrize(("name", "options", "back"), BACK, ids=[f"{n}{o or ''}" for n, o, _ in BACK])
def test_the_way_back_ends_at_the_start(
    name: str, options: dict[str, Any], back: Callable[..., Array]
) -> None:
    x = TARGET.noised(*LEVELS[0]).sample(50, seed=1)
    there = run(catalogue[name].tableau(PATH, GRID, **options), TARGET, x, full=True)
    assert np.max(np.abs(there.x - x)) > 0.1
    assert np.max(np.abs(back(*there.registers) - x)) < 1e-10


def test_ddim_run_backwards_does_not() -> None:
    x = TARGET.noised(*LEVELS[0]).sample(50, seed=1)
    there = run(catalogue["euler"].tableau(PATH, GRID), TARGET, x)
    for before, now in reversed(list(pairwise(LEVELS))):
        there = _ddim(there, now, before)
    assert np.max(np.abs(there - x)) > 1e-2
