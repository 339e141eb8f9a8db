"""Sums of scores corrected by weights: particles that follow the sum, drawn afresh by what it leaves out."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytic import GaussianMixture

from ..continuous.composed import EVERYWHERE, Composed
from ..continuous.denoiser import denoised
from ..mixed.on_line import FINE, OnLine, gaussian
from ..numerics.reverse_step import Level
from ..protocols import Path
from .loop import Array, Outcome, Problem, catalogue, everyone
from .particles import check as check_populations
from .particles import drawn_afresh

Floats = NDArray[np.float64]
SCORES, ENERGIES = "scores", "energies"
LEFT_OUT = 45.0  # nats below its top at which the composed density is left out
MOST_PLACES = 20_000


@catalogue.loop(
    "feynman-kac",
    promise="the composed law at the grid's end as particles grow: as steps shrink too, or (weights='energies') on any "
    "grid",
    source="Skreta et al. 2025 (Feynman-Kac correctors)",
)
def feynman_kac(
    path: Path,
    grid: ArrayLike,
    model: Any,
    x: Array,
    seed: int = 0,
    particles: int = 64,
    weights: str = "scores",
    ess: float = 0.5,
    initial: GaussianMixture | None = None,
) -> Outcome:
    """Steps of the SDE of a sum of scores, weighed so that particles follow prod_i p_i^powers_i from level to level.

    With S = sum_i powers_i score_i a step in y = x/alpha over r, the square of sigma/alpha, adds dr S to y and noise of
    variance dr (the mean of DDPM's step, the wider of its two variances). By the Fokker-Planck equation the product of
    powers then follows if log-weights grow by dr (|S|^2 - sum_i powers_i |score_i|^2)/2: for guidance by
    w (w - 1) |score_c - score|^2/2, for a product of two by score_1 . score_2. This is first order in the step, and
    asks for scores alone. With energies the weight of a step is exact, as in any SMC sampler with the forward process
    for its backward kernel. Particles are drawn afresh (systematically) where few weigh anything, and at the end.

    Parameters
    ----------
    path : Path
    grid : (nodes,) array
        alpha > 0 at its start.
    model : Composed
        The same powers at all levels where weights are of scores, and no rescaling; TypeError or ValueError if not.
        Of Gaussian mixtures where energies are needed.
    x : (n, dim ...) array
        Of any library; NumPy's where energies are needed.
    seed : int
    particles : int
        Of a population, independent of others; n is a multiple of it.
    weights : str
        "scores" or "energies".
    ess : float
        Share of the particles that the effective sample size may fall to, between 0 and 1; 1 draws afresh at every
        step.
    initial : GaussianMixture, optional
        Law of x, which the first weights divide by: it needs energies. By default x has the composed law at the grid's
        start, N(0, sigma^2/sum_i powers_i) where there is little but noise.

    References
    ----------
    Skreta et al. 2025 (Feynman-Kac correctors in diffusion: annealing, guidance, and product of experts) for weights
    by scores, here derived anew; Del Moral, Doucet and Jasra 2006 (Sequential Monte Carlo samplers) by energies.
    """
    out, _ = populations(path, grid, model, x, seed, particles, weights, ess, initial)
    n, times = int(out.shape[0]), np.asarray(grid, dtype=np.float64)
    steps = len(times) - 1
    return Outcome(out, everyone(n, steps), everyone(n, steps), everyone(n, 0), times)


def populations(
    path: Path,
    grid: ArrayLike,
    model: Any,
    x: Array,
    seed: int,
    particles: int,
    weights: str,
    ess: float,
    initial: GaussianMixture | None,
) -> tuple[Array, Floats]:
    """Return the particles of `feynman-kac`, and the log of each population's estimate of a normaliser.

    That is of int prod_i p_i^powers_i at the grid's end, with energies without bias; over the one at its start where
    there is no `initial`.
    """
    composed = _composed(model, weights, initial is not None)
    problem = Problem(path, grid, composed, x)
    check_populations(particles, ess, problem.n)
    levels = [problem.level(float(t)) for t in problem.grid]
    _check_start(levels[0])
    xp, x, rng = problem.xp, problem.x, np.random.default_rng(seed)
    crowd = (problem.n // particles, particles)
    total = np.zeros(crowd[0])
    energy = composed.log_density(x, *levels[0]) if weights == ENERGIES or initial is not None else None
    logs = np.zeros(crowd)
    if initial is not None:
        logs = (energy - initial.log_density(x)).reshape(crowd)
    for at, to in pairwise(levels):
        rows, logs, total = drawn_afresh(rng, logs, total, ess)
        x = xp.take(x, xp.asarray(rows), axis=0)
        z = rng.standard_normal(tuple(x.shape))
        mean, deviation, grown = step(composed, x, at, to)
        new = mean + deviation * xp.asarray(z, dtype=x.dtype)
        if weights == ENERGIES:
            assert energy is not None
            above = composed.log_density(new, *to)
            grown = above - energy[rows] + backwards(x, new, at, to) + (z**2).sum(axis=1) / 2
            energy = above
        logs = logs + np.asarray(grown, dtype=np.float64).reshape(crowd)
        x = new
    rows, _, total = drawn_afresh(rng, logs, total, 1.0)
    return xp.take(x, xp.asarray(rows), axis=0), total


def step(model: Composed, x: Array, at: Level, to: Level) -> tuple[Array, float, Array]:
    """Return mean and deviation of a step from x (n, dim ...), and how its log-weight grows by scores, (n,)."""
    xp = array_api_compat.array_namespace(x)
    (a, b), (c, d) = at, to
    gap = (b / a) ** 2 - (d / c) ** 2
    powers = model.powers_at(a, b)
    scores = [
        (power, (a * denoised(part, x, a, b) - x) / b**2)
        for power, part in zip(powers, model.parts, strict=True)
        if power
    ]
    S = 0 * x
    for power, score in scores:
        S = S + power * score

    def square(v: Array) -> Array:
        return xp.sum(xp.reshape(v, (int(v.shape[0]), -1)) ** 2, axis=1)

    rest = square(S)
    for power, score in scores:
        rest = rest - power * square(score)
    # densities of x and of x/alpha differ by alpha^dim, here to the power of all parts but one
    constant = (sum(powers) - 1) * float(np.prod(x.shape[1:])) * float(np.log(a / c))
    return c / a * (x + a**2 * gap * S), c * float(np.sqrt(gap)), a**2 * gap / 2 * rest + constant


def backwards(x: Floats, new: Floats, at: Level, to: Level) -> Floats:
    """Log of the forward process' density of x (n, dim) given new, over the density that its step had at its mean."""
    (a, b), (c, d) = at, to
    gap = (b / a) ** 2 - (d / c) ** 2
    return np.asarray(-((x / a - new / c) ** 2).sum(axis=1) / (2 * gap) + x.shape[1] * np.log(c / a))


def many_particles(path: Path, grid: ArrayLike, model: Composed, fine: float = FINE) -> tuple[OnLine, float]:
    """Law on the line that `feynman-kac` comes to as particles grow, weighed by scores, and the log of its normaliser.

    By quadrature, whatever the law that x begins with. Weights by energies come to the composed law itself.

    Parameters
    ----------
    path : Path
    grid : (nodes,) array
        alpha > 0 at its start, sigma > 0 at its end.
    model : Composed
        Of Gaussian mixtures on the line.
    fine : float
        Distance of places, in units of the narrowest width in play.

    Raises
    ------
    TypeError, ValueError
        As the loop, and for a grid that ends at the data.
    FloatingPointError
        A step so long that the law leaves the places on which it is kept, or needs too many of them.
    """
    composed = _composed(model, SCORES, True)
    problem = Problem(path, grid, composed, np.zeros((1, 1)))
    levels = [problem.level(float(t)) for t in problem.grid]
    _check_start(levels[0])
    if composed.parts[0].dim != 1 or levels[-1][1] == 0:
        raise ValueError(
            f"model is {model!r} and the grid ends at {problem.grid[-1]:g}: give parts on the line, and an end with "
            "sigma > 0"
        )
    nodes = [_places(composed, levels, n, fine) for n in range(len(levels))]
    density, total = _normalised(nodes[0], composed.log_density(nodes[0], *levels[0]))
    for n, (at, to) in enumerate(pairwise(levels)):
        x, there = nodes[n], nodes[n + 1]
        mean, deviation, grown = step(composed, x, at, to)
        top = float(grown.max())
        moved = gaussian(there, mean[:, 0], deviation) @ (density * np.exp(grown - top)) * (x[1, 0] - x[0, 0])
        if not max(moved[0], moved[-1]) < 1e-10 * moved.max():
            raise FloatingPointError(
                f"grid has a step to {problem.grid[n + 1]:g} after which particles are far from the composed law: take "
                "shorter ones"
            )
        density, mass = _normalised(there, np.log(np.maximum(moved, 1e-300)))
        total += top + mass
    return OnLine(nodes[-1][:, 0], density[None]), total


def _normalised(x: Floats, logs: Floats) -> tuple[Floats, float]:
    """Return a density at equally spaced places (n, 1), and the log of its integral before."""
    top = float(logs.max())
    density = np.exp(logs - top)
    mass = float(density.sum() * (x[1, 0] - x[0, 0]))
    return density / mass, top + float(np.log(mass))


def _places(model: Composed, levels: list[Level], n: int, fine: float) -> Floats:
    """Places of a level, (n, 1): where the composed density is not nothing, as fine as steps to it and from it."""
    level = levels[n]
    parts = [part.noised(*level) for part in model.parts]
    means = np.concatenate([part.means[:, 0] for part in parts])
    wide = float(np.sqrt(max(part.variances.max() for part in parts)))
    low, high = float(means.min()) - wide, float(means.max()) + wide
    for _ in range(60):
        x = np.linspace(low, high, 4001)[:, None]
        logs = model.log_density(x, *level)
        if max(logs[0], logs[-1]) < logs.max() - LEFT_OUT:
            break
        low, high = 1.3 * low - 0.3 * high, 1.3 * high - 0.3 * low
    else:
        raise ValueError(f"model is {model!r}: its powers have no density at sigma = {level[1]:g}")
    seen = x[logs > logs.max() - LEFT_OUT, 0]
    middle, reach = (seen[0] + seen[-1]) / 2, 0.65 * (seen[-1] - seen[0]) + float(x[1, 0] - x[0, 0])
    x = np.linspace(middle - reach, middle + reach, 4001)[:, None]
    widths = []
    if n + 1 < len(levels):
        mean, deviation, _ = step(model, x, level, levels[n + 1])
        widths.append(deviation / float(np.abs(np.diff(mean[:, 0])).max() / (x[1, 0] - x[0, 0])))
    if n:
        widths.append(step(model, x, levels[n - 1], level)[1])
    count = int(np.ceil(2 * reach / (fine * min(widths)))) + 1
    if count > MOST_PLACES:
        raise FloatingPointError(
            f"grid has a step at sigma = {level[1]:g} whose law needs {count} places: take longer ones"
        )
    return np.linspace(middle - reach, middle + reach, count)[:, None]


def _composed(model: Any, weights: str, energies: bool) -> Composed:
    if weights not in (SCORES, ENERGIES):
        raise ValueError(f"weights is {weights!r}: use {SCORES!r} or {ENERGIES!r}")
    if not isinstance(model, Composed):
        raise TypeError(f"model is {model!r}: give Composed(...), or guided(...) of a mixture")
    if model.rescale is not None:
        raise ValueError(f"model has {model.rescale!r}, after which it is no sum of scores: leave it out")
    if weights == SCORES and model.interval != EVERYWHERE:
        raise ValueError(
            f"model has the interval {model.interval}, at whose ends powers jump: leave it out, or give "
            f"weights={ENERGIES!r}"
        )
    if (energies or weights == ENERGIES) and not all(hasattr(part, "noised") for part in model.parts):
        raise TypeError(
            f"model is {model!r}: give Composed(...) of Gaussian mixtures, whose energies are known, or "
            f"weights={SCORES!r} and no initial"
        )
    return model


def _check_start(level: Level) -> None:
    if level[0] == 0:
        raise ValueError(
            "grid starts at alpha = 0, where scores say nothing about x_0: start where alpha > 0"
        )
