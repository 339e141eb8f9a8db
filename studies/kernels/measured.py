"""Errors of samplers at walls and on Poisson flows, one series at a time, by quadrature and by cumulative functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy.optimize import elementwise

from analytic import Folded, GaussianMixture, PoissonFlow, paths
from solvers import density, run

from ..numbers import AXIS, measured
from ..setting import Job, Setting, steps_for
from ..specifications import job_of
from .walls import Wall, density_of, law_in_box

Array = NDArray[np.float64]
IN_BOX = Folded(GaussianMixture([0.5, 0.3, 0.2], [0.15, 0.6, 0.95], [0.01, 0.005, 0.02]))
BOX_PATH = paths.VE(0.1, 2.0)  # at 2 the law is uniform but for 5e-9
LADDER = (8, 16, 32, 64, 128, 256)
REACH = 30.0  # of the images that a sampler in all of space sees
RESOLUTION = 0.6
FLOW_PATH = paths.VE(0.05, 40.0)
AUGMENTED = (1.0, 2.0, 4.0, 16.0, 64.0, 256.0, math.inf)
ATOMS = 32  # of the data of a flow
POINTS = 1024  # of a law on a flow, evenly by probability
WAVE = 0.1  # error of the predicted noise
ERRED = ("rk4", 48)  # what follows the flow of a wrong model


@dataclass(frozen=True)
class AtWalls:
    """Errors of a method in [0, 1] against its steps, from the exact marginal at the start to that at the end.

    Attributes
    ----------
    method, wall : str
        The wall is "reflected", "projected", "metropolis", or "none" for a flow, which never meets it.
    steps : tuple of int
    tv, weak, on_walls : tuples of float
        Total variation; norm of the errors of the means of x, x^2 and cos(2 pi x); probability of 0 and 1.
    """

    method: str
    wall: str
    steps: tuple[int, ...]
    tv: tuple[float, ...] = field(metadata=measured(along="steps"))
    weak: tuple[float, ...] = field(metadata=measured(along="steps"))
    on_walls: tuple[float, ...] = field(metadata=measured(along="steps", error=False))


@dataclass(frozen=True)
class OnFlow:
    """Errors of methods on the Poisson flow of a number of augmented dimensions.

    Attributes
    ----------
    augmented : float
    method : str
    nfe : int
    w2, kolmogorov : float
        From the exact marginal at the end, started from the exact one.
    prior : float
        Kolmogorov distance of the prior at the start from the exact marginal.
    wrong : float
        W2 that a wave in the predicted noise makes.
    """

    augmented: float = field(metadata=AXIS)
    method: str
    nfe: int
    w2: float = field(metadata=measured())
    kolmogorov: float = field(metadata=measured())
    prior: float
    wrong: float


def at_walls(method: str, wall: str, ladder: tuple[int, ...] = LADDER) -> list[AtWalls]:
    """Measure a method in the box with one of the walls."""
    job, setting = job_of(method), Setting(BOX_PATH, "log-snr")
    start, end = (float(BOX_PATH.sigma(t)) for t in (BOX_PATH.start, BOX_PATH.stop))
    begin, truth = IN_BOX.noised(1.0, start), IN_BOX.noised(1.0, end)
    tv, weak, on = [], [], []
    for steps in ladder:
        tableau = job.method.tableau(BOX_PATH, setting.nodes(steps), **job.options)
        if wall == "none":
            found = density(
                tableau,
                IN_BOX.images(REACH),
                IN_BOX.mixture.noised(1.0, start),
                estimate_error=False,
                resolution=RESOLUTION,
            )
            x, weights = legendre.leggauss(400)
            x, weights = (x + 1) / 2, weights / 2
            turns = 2.0 * np.arange(-REACH / 2 + 1, REACH / 2)
            p = np.sum([found.pdf(x + k) + found.pdf(k - x) for k in turns], axis=0)
            walls = np.zeros(2)
        else:
            law = law_in_box(tableau, IN_BOX, as_wall(wall), begin)
            x, weights, p, walls = law.x, law.weights, law.density, law.walls
        away = p - density_of(truth, x)
        signed = [(weights * away) @ f(x) + walls @ f(np.array([0.0, 1.0])) for f in FUNCTIONS]
        tv.append(float(weights @ np.abs(away) + walls.sum()) / 2)
        weak.append(float(np.linalg.norm(signed)))
        on.append(float(walls.sum()))
    return [AtWalls(job.text, wall, ladder, tuple(tv), tuple(weak), tuple(on))]


FUNCTIONS: tuple[Callable[[Array], Array], ...] = (
    lambda x: x,
    lambda x: x**2,
    lambda x: np.cos(2 * np.pi * x),
)


def as_wall(name: str) -> Wall:
    """Return a wall by its name; ValueError for another word."""
    if name not in ("reflected", "projected", "metropolis"):
        raise ValueError(f"wall is {name!r}: use reflected, projected or metropolis")
    return name  # type: ignore[return-value]


def data_of(target: GaussianMixture) -> GaussianMixture:
    """Data of a target on the line: its quantiles, as atoms of equal weight."""
    u = (np.arange(ATOMS) + 0.5) / ATOMS
    return GaussianMixture(np.full(ATOMS, 1 / ATOMS), target.quantile(u), 0.0)


class Wrong:
    """A Poisson flow whose predicted noise errs by a wave."""

    flow_only = True

    def __init__(self, flow: PoissonFlow, size: float) -> None:
        self.flow, self.size = flow, size

    def denoise(self, x: Array, alpha: float, sigma: float) -> Array:
        """Return the denoiser, less sigma times the error of the noise."""
        wave = self.size * np.sin(2.0 * x / math.hypot(alpha, sigma) + 0.5)
        return self.flow.denoise(x, alpha, sigma) - sigma / alpha * wave


def on_flow(augmented: float, target: GaussianMixture, methods: tuple[str, ...], nfe: int) -> list[OnFlow]:
    """Measure methods at a number of evaluations on one flow of a target on the line."""
    flow, setting = PoissonFlow(data_of(target), augmented), Setting(FLOW_PATH, "karras")
    start, end = (float(FLOW_PATH.sigma(t)) for t in (FLOW_PATH.start, FLOW_PATH.stop))
    u = (np.arange(POINTS) + 0.5) / POINTS
    begin, goal = quantile(flow, u, start)[:, None], quantile(flow, u, end)

    def reached(job: Job, model: PoissonFlow | Wrong, steps: int) -> Array:
        tableau = job.method.tableau(FLOW_PATH, setting.nodes(steps), **job.options)
        return np.asarray(run(tableau, model, begin))[:, 0]

    centre = PoissonFlow(GaussianMixture([1.0], [0.0], 0.0), augmented)
    prior = float(np.abs(centre.cdf(begin[:, 0], start) - u).max())
    followed, steps = job_of(ERRED[0]), ERRED[1]
    exact, erred = (reached(followed, model, steps) for model in (flow, Wrong(flow, WAVE)))
    wrong = float(np.sqrt(np.mean((np.sort(erred) - exact) ** 2)))
    rows = []
    for text in methods:
        job = job_of(text)
        N = steps_for(job, setting, nfe)
        x = np.sort(reached(job, flow, N))  # its map may fold
        spent = job.method.tableau(FLOW_PATH, setting.nodes(N), **job.options).nfe
        errors = float(np.sqrt(np.mean((x - goal) ** 2))), float(np.abs(flow.cdf(x, end) - u).max())
        rows.append(OnFlow(augmented, job.text, spent, *errors, prior, wrong))
    return rows


def quantile(flow: PoissonFlow, u: Array, sigma: float) -> Array:
    """Places below which a flow's marginal on the line has the probabilities u (m,), strictly between 0 and 1."""
    centre = PoissonFlow(GaussianMixture([1.0], [0.0], 0.0), flow.augmented)
    width = 1e3 * sigma / np.minimum(u, 1 - u).min()
    low, high = (np.full_like(u, edge) for edge in (-width, width))
    own = elementwise.find_root(lambda x, p: centre.cdf(x, sigma) - p, (low, high), args=(u,)).x
    edges = flow.data.means.min() + own - 1e-9, flow.data.means.max() + own + 1e-9
    found = elementwise.find_root(lambda x, p: flow.cdf(x, sigma) - p, edges, args=(u,))
    return np.asarray(found.x)
