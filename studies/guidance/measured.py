"""What guided, posterior and composed samplers truly draw from, one cell at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture, Tilted
from solvers import Composed, Observed, density, guided, loops, run, sample
from solvers.continuous.composed import EVERYWHERE

from ..laws import MEASURED, UNSTABLE, apart
from ..setting import Setting
from ..specifications import job_of, split

Array = NDArray[np.float64]
RESOLUTION = 0.6  # of densities
GUIDED, INTERVAL, EXACT = "guided", "guided in an interval", "exact score"
BETWEEN = (0.25, 2.5)  # sigma/alpha, where the interval guides
OTHER = GaussianMixture([1.0], [0.5], 1.2**2)  # what is multiplied by, or taken out
HOWS = {"DPS likelihood": "dps", "PiGDM": "pigdm", "Tweedie moments": "moments"}
LOOPS = {
    "DPS as published": "dps",
    "replacement": "replacement",
    "twisted particles": "twisted",
}
PARTICLES = 100
MCMC = "annealed-mcmc"


@dataclass(frozen=True)
class Drawn:
    """How far what a sampler draws from is from the law that it aims at.

    Attributes
    ----------
    study : str
        "scales", "posterior" or "composed".
    target, model, method : str
        The method of "exact score" is given the aimed law's own score.
    knob : str
    value : float
        The scale, the deviation of what was observed, or the power of the second law.
    steps, nfe : int
    w2, tv : float
        W2 (sliced, in the plane) and TV (by density alone) to the aimed law at the grid's end.
    uncertainty, floor : float
        Half of the 99 % interval of W2 by samples, and what samples of the aimed law have; 0 by density.
    weight, aimed_weight : float
        Of a mode: P(x <= cut) on the line, the first component's in the plane; of the sampler and of the aimed law.
    mean, aimed_mean, deviation, aimed_deviation : float
        Of the first coordinate.
    status, reason : str
    """

    study: str
    target: str
    model: str
    method: str
    knob: str
    value: float
    steps: int
    nfe: int
    w2: float = float("nan")
    tv: float = float("nan")
    uncertainty: float = 0.0
    floor: float = 0.0
    weight: float = float("nan")
    aimed_weight: float = float("nan")
    mean: float = float("nan")
    aimed_mean: float = float("nan")
    deviation: float = float("nan")
    aimed_deviation: float = float("nan")
    status: str = MEASURED
    reason: str = ""


def towards(
    name: str,
    target: GaussianMixture,
    labels: Sequence[int],
    setting: Setting,
    model: str,
    method: str,
    steps: int,
    scale: float,
) -> list[Drawn]:
    """Measure guidance of one scale against the tilted law, by density on the line."""
    law = Tilted.towards(target, labels, scale)
    part = target.condition(labels)
    cut = float(part.means[:, 0].min() + part.means[:, 0].max()) / 2
    asked: Any = law
    if model != EXACT:
        asked = guided(target, labels, scale, interval=BETWEEN if model == INTERVAL else EVERYWHERE)
    row = Drawn("scales", name, model, method, "scale", scale, steps, 0)
    return [on_line(row, law, asked, setting, cut)]


def composed(
    name: str,
    target: GaussianMixture,
    setting: Setting,
    model: str,
    method: str,
    steps: int,
    power: float,
    samples: int,
) -> list[Drawn]:
    """Measure a product with a wider Gaussian, or the target with it taken out, against its exact law."""
    law, asked = Tilted((target, OTHER), (1.0, power)), Composed((target, OTHER), (1.0, power))
    row = Drawn("composed", name, model, method, "power", power, steps, 0)
    cut = float(target.means[:, 0].min() + target.means[:, 0].max()) / 2
    if not method.startswith(MCMC):
        return [on_line(row, law, law if model == EXACT else asked, setting, cut)]
    grid = setting.nodes(steps)
    start, end = levels(setting, grid)
    truth, (_, _, options) = law.noised(*end), split("method", method)
    x = law.noised(*start).sample(samples, setting.seed)
    found = loops.catalogue[MCMC].solve(setting.path, grid, asked, x, setting.seed, **options)
    row = replace(row, nfe=int(found.nfe[0]))
    return [
        by_samples(row, found.x, truth, setting, float(np.mean(found.x[:, 0] <= cut)), float(truth.cdf(cut)))
    ]


def observed(
    name: str,
    target: GaussianMixture,
    A: Array,
    y: Array,
    setting: Setting,
    model: str,
    method: str,
    steps: int,
    deviation: float,
    samples: int,
) -> list[Drawn]:
    """Measure a sampler of x_0 given A x_0 + deviation eps = y against the posterior, by samples."""
    posterior = target.given(A, y, deviation)
    grid = setting.nodes(steps)
    start, end = levels(setting, grid)
    truth = posterior.noised(*end)
    row = Drawn("posterior", name, model, method, "deviation", deviation, steps, steps)
    try:
        if model == EXACT:
            tableau = job_of(method).method.tableau(setting.path, grid)
            x, nfe = sample(tableau, posterior, samples, setting.seed), tableau.nfe
        else:
            begin = target.noised(*start).sample(samples, setting.seed)
            if model in LOOPS:
                options = {"particles": PARTICLES} if model == "twisted particles" else {}
                asked = Observed(target, A, y, deviation, "pigdm")
                out = loops.catalogue[LOOPS[model]].solve(
                    setting.path, grid, asked, begin, setting.seed, **options
                )
                x, nfe = out.x, int(out.nfe[0])
            else:
                tableau = job_of(method).method.tableau(setting.path, grid)
                asked = Observed(target, A, y, deviation, HOWS[model])  # type: ignore[arg-type]  # one of How
                x, nfe = run(tableau, asked, begin, setting.seed), tableau.nfe
    except FloatingPointError as problem:
        return [replace(row, status=UNSTABLE, reason=str(problem))]
    # a sample's component is that of the posterior at the end level; each counts by its probability there
    shares = posterior.posterior(x, *end).weights.mean(axis=0)
    return [
        by_samples(replace(row, nfe=nfe), x, truth, setting, float(shares[0]), float(posterior.weights[0]))
    ]


def on_line(row: Drawn, law: Tilted, asked: Any, setting: Setting, cut: float) -> Drawn:
    """Fill a row by the density of its method, asked a sum of scores, or a law's own score."""
    job, grid = job_of(row.method), setting.nodes(row.steps)
    tableau = job.method.tableau(setting.path, grid, **job.options)
    finest = min(
        float((block.levels[..., 1] / block.levels[..., 0]).min()) for block in tableau.blocks if block.stages
    )
    model = law.atoms(finest) if isinstance(asked, Tilted) else asked
    truth, start = law.noised(*tableau.end), law.noised(*tableau.start)
    row = replace(row, nfe=tableau.nfe)
    try:
        found = density(tableau, model, start, estimate_error=False, resolution=RESOLUTION)
    except FloatingPointError as problem:
        return replace(row, status=UNSTABLE, reason=str(problem))
    return replace(
        row,
        w2=found.w2(truth),
        tv=found.tv(truth),
        weight=float(found.cdf(cut)),
        aimed_weight=float(truth.cdf(cut)),
        mean=found.mean,
        aimed_mean=float(truth.mean()[0]),
        deviation=found.variance**0.5,
        aimed_deviation=float(truth.covariance()[0, 0] ** 0.5),
    )


def by_samples(
    row: Drawn, x: Array, truth: GaussianMixture, setting: Setting, weight: float, aimed: float
) -> Drawn:
    """Fill a row by samples, with their interval and the floor of samples of the truth."""
    others = [truth.sample(len(x), setting.seed + k) for k in (1, 2)]
    error = apart(x, others[0])["sliced W2"]
    return replace(
        row,
        w2=error.value,
        uncertainty=error.uncertainty,
        floor=apart(others[1], others[0])["sliced W2"].value,
        weight=weight,
        aimed_weight=aimed,
        mean=float(x[:, 0].mean()),
        aimed_mean=float(truth.mean()[0]),
        deviation=float(x[:, 0].std()),
        aimed_deviation=float(truth.covariance()[0, 0] ** 0.5),
    )


def levels(setting: Setting, grid: Array) -> tuple[tuple[float, float], tuple[float, float]]:
    """Levels (alpha, sigma) at a grid's ends."""
    path = setting.path
    first, last = ((float(path.alpha(t)), float(path.sigma(t))) for t in (grid[0], grid[-1]))
    return first, last
