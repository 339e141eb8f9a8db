"""What guided, posterior and composed samplers truly draw from, one cell at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture, Tilted, distances
from solvers import Composed, Observed, Rescale, density, guided, loops, run, sample
from solvers.loops.feynman_kac import many_particles
from solvers.mixed import OnLine
from solvers.mixed.on_line import half_of_absolute

from ..laws import MEASURED, UNSTABLE, apart
from ..numbers import AXIS, OUTCOME, measured
from ..setting import Setting
from ..specifications import job_of, split

Array = NDArray[np.float64]
RESOLUTION = 0.6  # of densities
GUIDED, INTERVAL, EXACT = "guided", "guided in an interval", "exact score"
RESCALED, OF_EPS, WEIGHED = "guided, rescaled", "guided, rescaled eps", "guided, weighed"
BETWEEN = (0.25, 2.5)  # sigma/alpha, where the interval guides
SHARE = 0.7  # of the rescaled prediction, as its paper recommends
GUIDES: dict[str, dict[str, Any]] = {
    GUIDED: {},
    WEIGHED: {},
    INTERVAL: {"interval": BETWEEN},
    RESCALED: {"rescale": Rescale(SHARE, "v")},
    OF_EPS: {"rescale": Rescale(SHARE, "eps")},
}
OTHER = GaussianMixture([1.0], [0.5], 1.2**2)  # what is multiplied by, or taken out
HOWS = {"DPS likelihood": "dps", "PiGDM": "pigdm", "Tweedie moments": "moments"}
LOOPS = {
    "DPS as published": "dps",
    "replacement": "replacement",
    "twisted particles": "twisted",
}
PARTICLES = 100
MCMC = "annealed-mcmc"
KAC = "feynman-kac"
MANY = f"{KAC}, many particles"  # the law that they come to


@dataclass(frozen=True)
class Drawn:
    """How far what a sampler draws from is from the law that it aims at.

    Attributes
    ----------
    study : str
        "scales", "rescaled", "posterior" or "composed".
    target, model, method : str
        The method of "exact score" is given the aimed law's own score.
    knob : str
    value : float
        The scale, the deviation of what was observed, or the power of the second law.
    steps, nfe : int
    w2, tv : float
        W2 (sliced, beyond the line) and TV (by density alone) to the aimed law at the grid's end.
    uncertainty, floor : float
        Half of the 99 % interval of W2 by samples, and what samples of the aimed law have; 0 by density.
    weight, aimed_weight : float
        Of a mode: P(x <= cut) on the line, the first component's in the plane; of the sampler and of the aimed law.
        P(x_1 <= 0) where predictions are rescaled.
    mean, aimed_mean, deviation, aimed_deviation : float
        Of the first coordinate.
    status, reason : str
    """

    study: str
    target: str
    model: str
    method: str
    knob: str
    value: float = field(metadata=AXIS)
    steps: int
    nfe: int = field(metadata=OUTCOME)
    w2: float = field(default=float("nan"), metadata=measured("uncertainty"))
    tv: float = field(default=float("nan"), metadata=measured())
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
    samples: int,
) -> list[Drawn]:
    """Measure guidance of one scale against the tilted law, by density on the line where no particles are drawn."""
    law = Tilted.towards(target, labels, scale)
    part = target.condition(labels)
    cut = float(part.means[:, 0].min() + part.means[:, 0].max()) / 2
    asked: Any = law if model == EXACT else guided(target, labels, scale, **GUIDES[model])
    row = Drawn("scales", name, model, method, "scale", scale, steps, 0)
    if method.startswith(KAC):
        return [weighed(row, law, asked, setting, cut, samples)]
    return [on_line(row, law, asked, setting, cut)]


def rescaled(
    name: str,
    target: GaussianMixture,
    setting: Setting,
    model: str,
    method: str,
    steps: int,
    scale: float,
    samples: int,
) -> list[Drawn]:
    """Measure guidance to component 1 against the tilted law, by samples of both, in any dimension."""
    grid = setting.nodes(steps)
    start, end = levels(setting, grid)

    def tilted(level: tuple[float, float], seed: int) -> Array:
        z = np.random.default_rng(seed).standard_normal((samples, target.dim))
        return level[0] * Tilted.draw_towards(target, 1, scale, samples, seed + 1000) + level[1] * z

    x, asked = tilted(start, setting.seed), guided(target, 1, scale, **GUIDES[model])
    row = Drawn("rescaled", name, model, method, "scale", scale, steps, steps)
    if method.startswith(KAC):
        _, _, options = split("method", method)
        x = loops.catalogue[KAC].solve(setting.path, grid, asked, x, setting.seed, **options).x
    else:
        tableau = job_of(method).method.tableau(setting.path, grid)
        x, row = run(tableau, asked, x, setting.seed), replace(row, nfe=tableau.nfe)
    truth, other = (tilted(end, setting.seed + k) for k in (1, 2))
    below, aimed = (float(np.mean(drawn[:, 0] <= 0)) for drawn in (x, truth))
    return [by_samples(row, x, (truth, other), setting, below, aimed)]


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
    if method.startswith(KAC):
        return [weighed(row, law, asked, setting, cut, samples)]
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


def weighed(row: Drawn, law: Tilted, asked: Composed, setting: Setting, cut: float, samples: int) -> Drawn:
    """Fill a row by particles that weights correct, or by the law that they come to as they grow."""
    grid = setting.nodes(row.steps)
    start, end = levels(setting, grid)
    truth, row = law.noised(*end), replace(row, nfe=row.steps)
    if row.method != MANY:
        begin, (_, _, options) = law.noised(*start), split("method", row.method)
        x = begin.sample(samples, setting.seed)
        solve = loops.catalogue[KAC].solve
        x = solve(setting.path, grid, asked, x, setting.seed, initial=begin, **options).x
        return by_samples(row, x, truth, setting, float(np.mean(x[:, 0] <= cut)), float(truth.cdf(cut)))
    try:
        found, _ = many_particles(setting.path, grid, asked)
    except FloatingPointError as problem:
        return replace(row, status=UNSTABLE, reason=str(problem))
    exact = OnLine(found.nodes, np.exp(truth.log_density(found.nodes[:, None]))[None])
    return replace(
        row,
        w2=distances.w2_1d(found.quantile, exact.quantile).value,
        tv=half_of_absolute(found.nodes, found.table - exact.table),
        weight=float(found.cdf(cut)),
        aimed_weight=float(truth.cdf(cut)),
        mean=found.mean,
        aimed_mean=float(truth.mean()[0]),
        deviation=found.variance**0.5,
        aimed_deviation=float(truth.covariance()[0, 0] ** 0.5),
    )


def by_samples(
    row: Drawn,
    x: Array,
    truth: GaussianMixture | tuple[Array, Array],
    setting: Setting,
    weight: float,
    aimed: float,
) -> Drawn:
    """Fill a row by samples, with their interval and the floor of samples of the truth, drawn here or given twice."""
    if isinstance(truth, GaussianMixture):
        own, other = (truth.sample(len(x), setting.seed + k) for k in (1, 2))
        mean, deviation = float(truth.mean()[0]), float(truth.covariance()[0, 0] ** 0.5)
    else:
        own, other = truth
        mean, deviation = float(own[:, 0].mean()), float(own[:, 0].std())
    error = apart(x, own)["sliced W2"]
    return replace(
        row,
        w2=error.value,
        uncertainty=error.uncertainty,
        floor=apart(other, own)["sliced W2"].value,
        weight=weight,
        aimed_weight=aimed,
        mean=float(x[:, 0].mean()),
        aimed_mean=mean,
        deviation=float(x[:, 0].std()),
        aimed_deviation=deviation,
    )


def levels(setting: Setting, grid: Array) -> tuple[tuple[float, float], tuple[float, float]]:
    """Levels (alpha, sigma) at a grid's ends."""
    path = setting.path
    first, last = ((float(path.alpha(t)), float(path.sigma(t))) for t in (grid[0], grid[-1]))
    return first, last
