"""The grid study: which schedule of noise levels suits which method and target, and how much an optimal one saves.

Errors are exact: W2 from the sampler's law on a Gaussian, TV from its density on the line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

from analytic import GaussianMixture, paths
from solvers import density, grids, law
from solvers.continuous.executors.law import marginal

from ..setting import Job

Array = NDArray[np.float64]
Grid = Callable[[paths.Gaussian, int], Array]
BUDGETS = (16, 64)
RESOLUTION = 0.7  # of densities: errors far below any of interest
ALIASES = ("exponential",)
# Grids with a parameter, at values other than one that makes them another grid.
VARIANTS: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "karras": {f"karras {rho:g}": {"rho": rho} for rho in (3.0, 7.0, 15.0)},
    "polyexponential": {"polyexponential 2": {"rho": 2.0}},
}
OPTIMISED = "optimised"
OPTIMISED_STEPS = (5, 10)
ITERATIONS = 80
DIFFERENCE = 1e-6  # of logits, for gradients: well above what a density's rounding makes of a TV
UNSTABLE = 50.0  # log error that stands for none


def named_grids() -> dict[str, Grid]:
    """Return every grid of the catalogue that takes (path, steps), once, by the name it has in tables."""
    found: dict[str, Grid] = {}
    for name, build in grids.catalogue.items():
        if name in ALIASES:
            continue
        for label, options in VARIANTS.get(name, {name: {}}).items():
            found[label] = partial(build, **options)
    return found


@dataclass(frozen=True)
class GridError:
    """The error of one method on one target on one grid.

    Attributes
    ----------
    method, target, grid : str
        "optimised" is the grid fitted to `optimised_for`.
    steps, nfe : int
    metric : str
        "W2" on a Gaussian, "TV" on the line.
    error : float
        nan where the method is unstable on the grid, or the grid does not exist between these times.
    optimised_for : str
        The target whose error the optimised grid of this row minimises; "" where none is compared.
    """

    method: str
    target: str
    grid: str
    steps: int
    nfe: int
    metric: str
    error: float
    optimised_for: str = ""


def metric_of(target: GaussianMixture) -> str:
    """Return "W2" for a Gaussian and "TV" for a mixture on the line.

    Raises ValueError for other targets.
    """
    if target.is_gaussian:
        return "W2"
    if target.dim == 1:
        return "TV"
    raise ValueError(
        f"target has {target.dim} dimensions and {target.components} components: give a Gaussian, whose law is "
        "exact, or a target on the line, whose density is"
    )


def law_error(
    job: Job, path: paths.Gaussian, nodes: Array, target: GaussianMixture, initial: str = "marginal"
) -> float:
    """Return the exact distance from a sampler's law to the marginal at its grid's end, as `metric_of`.

    Parameters
    ----------
    job : Job
    path : Gaussian path
    nodes : (steps + 1,) array
        Decreasing times.
    target : GaussianMixture
    initial : str
        "marginal" or "prior".

    Returns
    -------
    float
        nan where the method is unstable on these nodes.
    """
    metric = metric_of(target)
    tableau = job.method.tableau(path, nodes, start=job.start, **job.options)
    alpha, sigma = float(path.alpha(nodes[-1])), float(path.sigma(nodes[-1]))
    try:
        if metric == "W2":
            return law(tableau, target, initial).error_to(marginal(target, alpha, sigma)).w2
        found = density(tableau, target, initial, estimate_error=False, resolution=RESOLUTION)
        return found.tv(target.noised(alpha, sigma))
    except FloatingPointError:
        return float("nan")


def steps_for(job: Job, path: paths.Gaussian, budget: int) -> int:
    """Return the most steps that a number of evaluations pays for, at least 1."""

    def cost(steps: int) -> int:
        nodes = grids.uniform(path, steps)
        return job.method.tableau(path, nodes, start=job.start, **job.options).nfe

    probe = 8
    steps = max(1, int(budget * probe / cost(probe)))
    while steps > 1 and cost(steps) > budget:
        steps -= 1
    while cost(steps + 1) <= budget and steps < budget:
        steps += 1
    return steps


def costs_a_joint_density(job: Job, path: paths.Gaussian) -> bool:
    """Return True for a noisy multistep method, whose law on the line needs a density of two variables."""
    tableau = job.method.tableau(path, grids.uniform(path, 8), start=job.start, **job.options)
    return job.method.multistep and not tableau.deterministic


def by_grid(
    job: Job, name: str, target: GaussianMixture, path: paths.Gaussian, budgets: Sequence[int] = BUDGETS
) -> Iterator[GridError]:
    """Measure one method on one target on every named grid, at each number of evaluations."""
    metric, label = metric_of(target), job.method.labelled(job.options)
    for budget in budgets:
        steps = steps_for(job, path, budget)
        for grid, build in named_grids().items():
            nfe, error = 0, float("nan")
            try:
                nodes = build(path, steps)
            except ValueError:  # a geometric grid to t = 0, say
                pass
            else:
                nfe = job.method.tableau(path, nodes, start=job.start, **job.options).nfe
                error = law_error(job, path, nodes, target)
            yield GridError(label, name, grid, steps, nfe, metric, error)


def nodes_of(path: paths.Gaussian, logits: Array) -> Array:
    """Return the grid between the path's default times whose shares of the log-SNR range are softmax(logits)."""
    first, last = (float(path.log_snr(t)) for t in (path.start, path.stop))
    levels = first + (last - first) * np.cumsum(softmax(logits))[:-1]
    return np.concatenate([[path.start], np.asarray(path.time_of_log_snr(levels)), [path.stop]])


def logits_of(path: paths.Gaussian, nodes: Array) -> Array:
    """Return logits of a grid between the path's default times: `nodes_of` inverts it."""
    return np.asarray(np.log(np.diff(path.log_snr(nodes))))


def optimise(
    job: Job, path: paths.Gaussian, target: GaussianMixture, steps: int, starts: Sequence[Array]
) -> tuple[Array, float]:
    """Minimise the log of `law_error` over the inner nodes of a grid, by BFGS from each start, and keep the best.

    A local optimum; never worse than the best start.

    Parameters
    ----------
    job : Job
    path : Gaussian path
    target : GaussianMixture
        A Gaussian, or on the line.
    steps : int
        2 or more.
    starts : sequence of (steps + 1,) arrays
        Grids to start from, between the path's default times.

    Returns
    -------
    nodes : (steps + 1,) array
    error : float
        `law_error` on these nodes.

    Raises
    ------
    ValueError
        A target whose law is not exact, fewer than 2 steps, or no start on which the method is stable.

    Notes
    -----
    Cost: about `ITERATIONS` times (steps + 1) laws a start.
    """
    metric_of(target)
    if steps < 2:
        raise ValueError(f"steps is {steps}: a grid has inner nodes from 2 steps on")

    def log_error(logits: Array) -> float:
        try:
            error = law_error(job, path, nodes_of(path, logits), target)
        except ValueError:  # two nodes at one level
            return UNSTABLE
        return float(np.log(error)) if error > 0 else UNSTABLE

    best, least = None, np.inf
    for nodes in starts:
        error = law_error(job, path, nodes, target)
        if not np.isfinite(error):
            continue
        if error < least:
            best, least = nodes, error
        found = minimize(log_error, logits_of(path, nodes), method="BFGS", options={"maxiter": ITERATIONS})
        candidate = nodes_of(path, found.x)
        error = law_error(job, path, candidate, target)
        if error < least:
            best, least = candidate, error
    if best is None:
        raise ValueError(
            f"starts has no grid on which {job.method.name} is stable: give another, or more steps"
        )
    return best, float(least)


def by_optimum(
    job: Job,
    name: str,
    target: GaussianMixture,
    path: paths.Gaussian,
    others: Mapping[str, GaussianMixture],
    steps: int,
) -> Iterator[GridError]:
    """Set the grid optimised for one target beside the hand-made ones, on it and on other targets.

    Align Your Steps (Sabour et al. 2024, section 3) minimises a bound on a KL by samples; the law itself is exact here.
    """
    made: dict[str, Array] = {}
    for grid, build in named_grids().items():
        try:
            made[grid] = build(path, steps)
        except ValueError:
            continue
    errors = {grid: law_error(job, path, nodes, target) for grid, nodes in made.items()}
    ranked = sorted((g for g in made if np.isfinite(errors[g])), key=lambda g: errors[g])
    best, _ = optimise(job, path, target, steps, [made[g] for g in ranked[:2]] + [made["log-snr"]])
    label = job.method.labelled(job.options)
    for where, law_ in {name: target, **others}.items():
        for grid, nodes in {**made, OPTIMISED: best}.items():
            nfe = job.method.tableau(path, nodes, start=job.start, **job.options).nfe
            error = law_error(job, path, nodes, law_)
            yield GridError(label, where, grid, steps, nfe, metric_of(law_), error, name)
