"""The grid study: which schedule of noise levels suits which method and target, and how much an optimal one saves.

Errors are exact: W2 from the sampler's law on a Gaussian, TV from its density on the line. Elsewhere named grids are
compared by samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

from analytic import GaussianMixture, paths
from solvers import grids

from ..laws import MEASURED, METRICS, Estimate, error, means_of, sharpest
from ..numbers import OUTCOME
from ..setting import Job, Setting, steps_for
from .fitted import fitted

Array = NDArray[np.float64]
Grid = Callable[[paths.Gaussian, int], Array]
BUDGETS = (5, 10, 20)
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
NO_ERROR = 50.0  # its logarithm, where there is none


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
        "W2" on a Gaussian, "TV" on the line, "sliced W2" by samples elsewhere.
    error : float
        nan where the method is unstable on the grid, or the grid does not exist between these times.
    optimised_for : str
        The target whose error the optimised grid of this row minimises; "" where none is compared.
    uncertainty : float
        Half of the 99 % interval of what is sampled.
    status, reason : str
        "measured", "unstable" or "no grid", and why.
    """

    method: str
    target: str
    grid: str
    steps: int
    nfe: int = field(metadata=OUTCOME)
    metric: str
    error: float
    optimised_for: str = ""
    status: str = MEASURED
    reason: str = ""
    uncertainty: float = 0.0


def law_error(job: Job, path: paths.Gaussian, nodes: Array, target: GaussianMixture) -> Estimate:
    """Return the exact distance from a sampler's law to the marginal at its grid's end, as `laws.error`.

    Parameters
    ----------
    job : Job
    path : Gaussian path
    nodes : (steps + 1,) array
        Decreasing times.
    target : GaussianMixture
    """
    return error(job.method.tableau(path, nodes, start=job.start, **job.options), target)


def made(path: paths.Gaussian, steps: int) -> dict[str, Array | ValueError]:
    """Return every named grid, or why there is none: a geometric grid to t = 0, say."""
    found: dict[str, Array | ValueError] = {}
    for name, build in named_grids().items():
        try:
            found[name] = build(path, steps)
        except ValueError as problem:
            found[name] = problem
    return found


def on_grid(
    job: Job,
    name: str,
    target: GaussianMixture,
    path: paths.Gaussian,
    grid: tuple[str, Array | ValueError],
    steps: int,
    optimised_for: str = "",
) -> GridError:
    """Measure one method on one target on one grid."""
    label, metric = job.method.labelled(job.options), METRICS[means_of(target)][0]
    which, nodes = grid
    if isinstance(nodes, ValueError):
        nfe, found = 0, Estimate.failed("no grid", nodes)
    else:
        tableau = job.method.tableau(path, nodes, start=job.start, **job.options)
        nfe, found = tableau.nfe, error(tableau, target)
    said = (optimised_for, found.status, found.reason, found.uncertainty)
    return GridError(label, name, which, steps, nfe, metric, found.value, *said)


def costs_a_joint_density(job: Job, path: paths.Gaussian) -> bool:
    """Return True for a noisy multistep method, whose law on the line needs a density of two variables."""
    tableau = job.method.tableau(path, grids.uniform(path, 8), start=job.start, **job.options)
    return job.method.multistep and not tableau.deterministic


def by_grid(
    job: Job, name: str, target: GaussianMixture, path: paths.Gaussian, budgets: Sequence[int] = BUDGETS
) -> Iterator[GridError]:
    """Measure one method on one target on every named grid, at each number of evaluations."""
    for budget in budgets:
        steps = steps_for(job, Setting(path, "uniform"), budget)
        found = made(path, steps)
        exact = means_of(target) != "samples"
        if exact and (target.is_gaussian or not costs_a_joint_density(job, path)):
            found |= fitted(job, path, target, steps)
        for grid in found.items():
            yield on_grid(job, name, target, path, grid, steps)


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
    sharpest(target)
    if steps < 2:
        raise ValueError(f"steps is {steps}: a grid has inner nodes from 2 steps on")

    def log_error(logits: Array) -> float:
        try:
            size = law_error(job, path, nodes_of(path, logits), target).value
        except ValueError:  # two nodes at one level
            return NO_ERROR
        return float(np.log(size)) if size > 0 else NO_ERROR

    best, least = None, np.inf
    for nodes in starts:
        size = law_error(job, path, nodes, target).value
        if not np.isfinite(size):
            continue
        if size < least:
            best, least = nodes, size
        found = minimize(log_error, logits_of(path, nodes), method="BFGS", options={"maxiter": ITERATIONS})
        candidate = nodes_of(path, found.x)
        size = law_error(job, path, candidate, target).value
        if size < least:
            best, least = candidate, size
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
    grids_made = made(path, steps)
    nodes = {name: nodes for name, nodes in grids_made.items() if not isinstance(nodes, ValueError)}
    errors = {grid: law_error(job, path, at, target).value for grid, at in nodes.items()}
    ranked = sorted((g for g in nodes if np.isfinite(errors[g])), key=lambda g: errors[g])
    best, _ = optimise(job, path, target, steps, [nodes[g] for g in ranked[:2]] + [nodes["log-snr"]])
    for where, law in {name: target, **others}.items():
        for grid in {**grids_made, OPTIMISED: best}.items():
            yield on_grid(job, where, law, path, grid, steps, name)
