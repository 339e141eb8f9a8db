"""Samplers that move on straight lines and turn at random times: zig-zag and the bouncy particle.

The slope of -log p along a line is an average over the components of a mixture, of which each has a + b t: the largest
a and the largest b bound it at all later times. An event of the bound is one of the sampler with the ratio of the
rates, which is 1 on a Gaussian, whose event times are then exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..protocols import Path
from .loop import Outcome, Problem, catalogue, everyone

Floats = NDArray[np.float64]


def first_event(a: Floats, b: Floats, exponential: Floats) -> Floats:
    """Return when int_0^t max(0, a + b s) ds reaches `exponential`; infinite where it never does.

    Arrays of one shape, exponential > 0.
    """
    late = np.where((a < 0) & (b > 0), -a / np.where(b > 0, b, 1.0), 0.0)  # while the rate is zero
    rate = np.where(late > 0, 0.0, a)
    square = rate**2 + 2 * b * exponential
    root = rate + np.sqrt(np.maximum(square, 0.0))
    comes = (square > 0) & ((rate > 0) | (b > 0))
    return np.where(comes, late + 2 * exponential / np.where(comes, root, 1.0), np.inf)


class Lines:
    """The slope of -log p along straight lines, and its bound."""

    def __init__(self, model: Any) -> None:
        if not hasattr(model, "means") or not hasattr(model, "score"):
            raise TypeError(
                f"model is {model!r}: give a Gaussian mixture, whose slopes are bounded along lines"
            )
        if not np.all(model.variances > 0):
            raise ValueError("model has a component of variance 0, which has no density: give one that has")
        self.model, self.means = model, np.asarray(model.means)
        precision = 1 / np.asarray(model.variances)
        turns = model.rotations
        self.precisions = (
            precision[:, :, None] * np.eye(precision.shape[1])
            if turns is None
            else np.einsum("kie,ke,kje->kij", turns, precision, turns)
        )

    def bounds(self, x: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Return a and b, (n, dim), such that v_i d_i(-log p)(x + v t) <= a_i + b_i t for t >= 0."""
        slopes = np.einsum("kij,nkj->nki", self.precisions, x[:, None] - self.means)
        bends = np.einsum("kij,nj->nki", self.precisions, v)
        return (v[:, None] * slopes).max(axis=1), (v[:, None] * bends).max(axis=1)

    def whole_bounds(self, x: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Return the same for the slope along v, (n,)."""
        slopes = np.einsum("ni,kij,nkj->nk", v, self.precisions, x[:, None] - self.means)
        bends = np.einsum("ni,kij,nj->nk", v, self.precisions, v)
        return slopes.max(axis=1), bends.max(axis=1)

    def gradient(self, x: Floats) -> Floats:
        """Of -log p."""
        return -np.asarray(self.model.score(x))


def _start(path: Path, grid: ArrayLike, model: Any, x: Any) -> tuple[Problem, Lines, float]:
    problem = Problem(path, grid, model, np.asarray(x, dtype=np.float64), "langevin")
    return problem, Lines(model), float(problem.grid[0] - problem.grid[-1])


@catalogue.loop(
    "zig-zag",
    promise="keeps the target exactly",
    source="Bierkens, Fearnhead and Roberts 2019, section 2",
    process="langevin",
)
def zig_zag(path: Path, grid: ArrayLike, model: Any, x: Any, seed: int = 0) -> Outcome:
    """Velocities of 1 and -1 along each coordinate, each turned at the rate max(0, v_i d_i(-log p)).

    Exact event times on a Gaussian, thinned from a bound elsewhere. One evaluation an event that the bound proposes;
    accepted ones are turns.

    Parameters
    ----------
    path : paths.Langevin
    grid : (2 or more,) array
        Its ends are used: how long the process runs.
    model : Gaussian mixture
        TypeError for what has no bound, ValueError for components without density.
    x : (n, dim) array
        On the CPU.
    seed : int

    References
    ----------
    Bierkens, Fearnhead and Roberts 2019 (The zig-zag process and super-efficient sampling for Bayesian analysis of big
    data), section 2 and Algorithm 2 for thinning.
    """
    problem, lines, time = _start(path, grid, model, x)
    rng, x, n = np.random.default_rng(seed), problem.x.copy(), problem.n
    v = rng.choice([-1.0, 1.0], size=x.shape)
    left, turns, refused = np.full(n, time), everyone(n, 0), everyone(n, 0)
    going = np.arange(n)
    while len(going):
        a, b = lines.bounds(x[going], v[going])
        events = first_event(a, b, rng.exponential(size=a.shape))
        which = np.argmin(events, axis=1)
        rows = np.arange(len(going))
        t = np.minimum(events[rows, which], left[going])
        x[going] += t[:, None] * v[going]
        left[going] -= t
        inside = left[going] > 0
        going, which, t, a, b = going[inside], which[inside], t[inside], a[inside], b[inside]
        rows = np.arange(len(going))
        rate = v[going, which] * lines.gradient(x[going])[rows, which] if len(going) else t
        turned = rng.random(len(going)) * (a[rows, which] + b[rows, which] * t) < rate
        v[going[turned], which[turned]] *= -1
        turns[going[turned]] += 1
        refused[going[~turned]] += 1
    return Outcome(x, turns + refused, turns, refused, None)


@catalogue.loop(
    "bouncy-particle",
    promise="keeps the target exactly",
    source="Bouchard-Cote, Vollmer and Doucet 2018, Algorithm 1",
    process="langevin",
)
def bouncy_particle(
    path: Path, grid: ArrayLike, model: Any, x: Any, seed: int = 0, refresh: float = 1.0
) -> Outcome:
    """A velocity that bounces off level sets of p at the rate max(0, v . grad(-log p)), and now and then is drawn anew.

    Exact event times on a Gaussian, thinned from a bound elsewhere. One evaluation a bounce that the bound proposes,
    none a refreshment; accepted ones are bounces.

    Parameters
    ----------
    path : paths.Langevin
    grid : (2 or more,) array
        Its ends are used: how long the process runs.
    model : Gaussian mixture
        TypeError for what has no bound, ValueError for components without density.
    x : (n, dim) array
        On the CPU.
    seed : int
    refresh : float
        Rate at which the velocity is drawn anew from N(0, I), above 0: without it the process may never leave a set.

    References
    ----------
    Bouchard-Cote, Vollmer and Doucet 2018 (The bouncy particle sampler), Algorithm 1 and section 2.3.
    """
    if not (np.isfinite(refresh) and refresh > 0):
        raise ValueError(f"refresh is {refresh}: give a positive number")
    problem, lines, time = _start(path, grid, model, x)
    rng, x, n = np.random.default_rng(seed), problem.x.copy(), problem.n
    v = rng.standard_normal(x.shape)
    left, bounces, refused = np.full(n, time), everyone(n, 0), everyone(n, 0)
    going = np.arange(n)
    while len(going):
        a, b = lines.whole_bounds(x[going], v[going])
        bounce = first_event(a, b, rng.exponential(size=len(going)))
        fresh = rng.exponential(size=len(going)) / refresh
        t = np.minimum(np.minimum(bounce, fresh), left[going])
        x[going] += t[:, None] * v[going]
        left[going] -= t
        drawn = going[(left[going] > 0) & (fresh <= bounce)]
        v[drawn] = rng.standard_normal((len(drawn), x.shape[1]))
        proposed = (left[going] > 0) & (bounce < fresh)
        at, bound = going[proposed], (a + b * t)[proposed]
        if len(at):
            slope = lines.gradient(x[at])
            rate = (v[at] * slope).sum(axis=1)
            taken = rng.random(len(at)) * bound < rate
            off, normal = at[taken], slope[taken]
            v[off] -= 2 * ((v[off] * normal).sum(axis=1) / (normal**2).sum(axis=1))[:, None] * normal
            bounces[off] += 1
            refused[at[~taken]] += 1
        going = going[left[going] > 0]
    return Outcome(x, bounces + refused, bounces, refused, None)
