"""Gotta Go Fast: Euler-Maruyama and improved Euler as a pair, each sample with its own steps and Brownian path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..protocols import Path
from .loop import Array, Outcome, Problem, catalogue

Floats = NDArray[np.float64]
KEPT, REDRAWN = "kept", "redrawn"


@dataclass
class BrownianPath:
    """One sample's Brownian motion, remembered where it was looked at ahead of the sample.

    Attributes
    ----------
    rng : numpy Generator
    shape : tuple of int
        Of a sample.
    ahead : list of (elapsed time, value)
        Points beyond the sample's place, nearest last; values relative to the place.
    """

    rng: np.random.Generator
    shape: tuple[int, ...]
    ahead: list[tuple[float, Floats]] = field(default_factory=list)

    def increment(self, h: float) -> Floats:
        """W over the next h: drawn, between points known by the Brownian bridge, and remembered."""
        before, value = 0.0, np.zeros(self.shape)
        for index in range(len(self.ahead) - 1, -1, -1):
            time, known = self.ahead[index]
            if time == h:
                return known
            if time > h:
                share = (h - before) / (time - before)
                spread = np.sqrt((h - before) * (time - h) / (time - before))
                drawn = value + share * (known - value) + spread * self.rng.standard_normal(self.shape)
                self.ahead.insert(index + 1, (h, drawn))
                return drawn
            before, value = time, known
        drawn = value + np.sqrt(h - before) * self.rng.standard_normal(self.shape)
        self.ahead.insert(0, (h, drawn))
        return drawn

    def move(self, h: float) -> None:
        """Go on by h, to a point that is known."""
        at = self.increment(h)
        self.ahead = [(time - h, value - at) for time, value in self.ahead if time > h]


@catalogue.loop(
    "gotta-go-fast",
    promise="error per step below the tolerance, no bias by rejection",
    source="Jolicoeur-Martineau et al. 2021, Algorithm 1",
)
def gotta_go_fast(
    path: Path,
    grid: ArrayLike,
    model: Any,
    x: Array,
    seed: int = 0,
    rtol: float = 0.02,
    atol: float = 0.0078,
    first: float = 0.01,
    safety: float = 0.9,
    exponent: float = 0.9,
    noise: str = "kept",
) -> Outcome:
    """Adaptive steps of the reverse SDE, each sample with its own.

    A try is Euler-Maruyama's step x' and improved Euler's, x'' = (x' + x~)/2; if the root mean square of their
    difference, over max(atol, rtol max(|x'|, |x' before|)), is at most 1, x'' is taken. Two evaluations a try.

    Parameters
    ----------
    path : Path
    grid : (2 or more,) array
        Its ends are used; alpha > 0 at the start and sigma > 0 at the stop.
    model : target, Denoiser or callable
        Asked with a batch of the samples that are at one time; here one at a time, since each has its own.
    x : (n, ...) array
        On the CPU.
    seed : int
    rtol, atol : float
        Tolerances.
    first : float
        First step, as a share of the whole time.
    safety, exponent : float
        The next step is safety h E^-exponent.
    noise : str
        "kept": a rejected step's noise stays on its Brownian path, and the shorter step takes its part of it by the
        Brownian bridge; "redrawn", as published: steps are accepted by what their noise is, which biases it.

    References
    ----------
    Jolicoeur-Martineau, Li, Piche-Taillefer, Kachman and Mitliagkas 2021 (Gotta Go Fast), Algorithm 1; Rackauckas and
    Nie 2017 for why rejected noise must be kept.
    """
    if noise not in (KEPT, REDRAWN):
        raise ValueError(f"noise is {noise!r}: use {KEPT!r} or {REDRAWN!r}")
    for name, value in (("rtol", rtol), ("atol", atol), ("first", first), ("safety", safety)):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value}: give a positive number")
    problem = Problem(path, grid, model, np.asarray(x, dtype=np.float64))
    begin, stop = float(problem.grid[0]), float(problem.grid[-1])
    n, shape = problem.n, problem.x.shape[1:]
    paths = [BrownianPath(np.random.default_rng([seed, i]), shape) for i in range(n)]
    x, before = problem.x.copy(), problem.x.copy()
    t, h = np.full(n, begin), np.full(n, first * (begin - stop))
    accepted, rejected = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)

    def drift(y: Floats, times: Floats) -> Floats:
        """Per unit of decreasing time, each sample at its own time."""
        out, g2 = np.empty_like(y), path.g2(times)
        for i, (alpha, sigma, data, score) in enumerate(problem.velocity_asks(times)):
            out[i] = problem.ask(y[i : i + 1], alpha, sigma, -data, float(g2[i]) / 2 - score)[0]
        return out

    axes = tuple(range(1, x.ndim))
    along = (-1, *(1,) * (x.ndim - 1))
    going = np.arange(n)
    while len(going):
        now = t[going]
        step = np.minimum(h[going], now - stop)
        then = np.where(step >= now - stop, stop, now - step)
        step = now - then
        if noise == REDRAWN:
            for i in going.tolist():
                paths[i].ahead.clear()
        W = np.stack(
            [paths[i].increment(float(s)) for i, s in zip(going.tolist(), step.tolist(), strict=True)]
        )
        y, s = x[going], step.reshape(along)
        g, g_then = (np.sqrt(path.g2(times)).reshape(along) for times in (now, then))
        low = y + s * drift(y, now) + g * W
        other = y + s * drift(low, then) + g_then * W
        high = (low + other) / 2
        bound = np.maximum(atol, rtol * np.maximum(np.abs(low), np.abs(before[going])))
        E = np.sqrt(np.mean(((low - high) / bound) ** 2, axis=axes))
        if not np.all(np.isfinite(E)):
            raise FloatingPointError(
                "gotta-go-fast gave a number that is not finite: give smaller tolerances"
            )
        good = E <= 1
        for i, length in zip(going[good].tolist(), step[good].tolist(), strict=True):
            paths[i].move(length)
        x[going[good]], before[going[good]], t[going[good]] = high[good], low[good], then[good]
        accepted[going[good]] += 1
        rejected[going[~good]] += 1
        h[going] = safety * step * np.maximum(E, 1e-10) ** -exponent
        going = going[t[going] > stop]
    return Outcome(x, 2 * (accepted + rejected), accepted, rejected, None)
