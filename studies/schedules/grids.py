"""The grid study: which schedule of noise levels suits which method and target, and how much an optimal one saves.

Errors are exact: W2 from the sampler's law on a Gaussian, TV from its density on the line. Elsewhere, and with a model
of one's own, named grids are compared by samples, and grids are optimised by how far samples end from the flow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

from analytic import GaussianMixture, paths
from solvers import grids

from ..along_the_flow import FITTED, METRIC, Flow
from ..laws import MEASURED, METRICS, Estimate, error, means_of, sharpest
from ..numbers import OUTCOME
from ..setting import Grid as Named
from ..setting import Job, Setting, steps_for
from .fitted import fitted, gits

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
ITERATIONS_OF_SAMPLES = 30
DIFFERENCE = 1e-6  # of logits, for gradients: well above what a density's rounding makes of a TV
NO_ERROR = 50.0  # its logarithm, where there is none


@dataclass(frozen=True)
class Asked:
    """What grids are compared besides those with names, and with what.

    Attributes
    ----------
    grids : mapping of str to grid
        One's own, as a table of sigmas, which bring their own ends.
    model : denoiser, optional
        What is asked instead of the exact model.
    samples : int
        Where no law reaches.
    """

    grids: Mapping[str, Named] = field(default_factory=dict)
    model: Any = None
    samples: int = 100_000


PLAIN = Asked()


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
        "W2" on a Gaussian, "TV" on the line, by samples "sliced W2", and of optimised ones "distance to the flow".
    error : float
        nan where the method is unstable on the grid, or the grid does not exist between these times.
    optimised_for : str
        The target whose error the optimised grid of this row minimises; "" where none is compared.
    uncertainty : float
        Half of the 99 % interval of what is sampled.
    levels : tuple of float
        sigma/alpha at the nodes of an optimised grid, which a file for --grid may list; () of others.
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
    levels: tuple[float, ...] = ()


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


def made(
    path: paths.Gaussian, steps: int, own: Mapping[str, Named] = PLAIN.grids
) -> dict[str, Array | ValueError]:
    """Return every named grid and one's own, or why there is none: a geometric grid to t = 0, say."""
    found: dict[str, Array | ValueError] = {}
    for name, build in (named_grids() | {name: grid for name, grid in own.items() if callable(grid)}).items():
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
    asked: Asked = PLAIN,
    flow: Flow | None = None,
) -> GridError:
    """Measure one method on one target on one grid, by its distance from a flow where one is given."""
    label = job.method.labelled(job.options)
    metric = METRIC if flow is not None else METRICS[means_of(target, asked.model)][0]
    which, nodes = grid
    if isinstance(nodes, ValueError):
        nfe, found = 0, Estimate.failed("no grid", nodes)
    else:
        tableau = job.method.tableau(path, nodes, start=job.start, **job.options)
        nfe = tableau.nfe
        if flow is not None:
            found = flow.distance(job, nodes)
        else:
            found = error(tableau, target, samples=asked.samples, model=asked.model)
    levels: tuple[float, ...] = ()
    if which == OPTIMISED and not isinstance(nodes, ValueError):
        levels = tuple(float(v) for v in path.sigma(nodes) / path.alpha(nodes))
    said = (optimised_for, found.status, found.reason, found.uncertainty, levels)
    return GridError(label, name, which, steps, nfe, metric, found.value, *said)


def costs_a_joint_density(job: Job, path: paths.Gaussian) -> bool:
    """Return True for a noisy multistep method, whose law on the line needs a density of two variables."""
    tableau = job.method.tableau(path, grids.uniform(path, 8), start=job.start, **job.options)
    return job.method.multistep and not tableau.deterministic


def by_grid(
    job: Job,
    name: str,
    target: GaussianMixture,
    path: paths.Gaussian,
    budgets: Sequence[int] = BUDGETS,
    asked: Asked = PLAIN,
) -> Iterator[GridError]:
    """Measure one method on one target on every named grid, at each number of evaluations."""
    for budget in budgets:
        steps = steps_for(job, Setting(path, "uniform"), budget)
        found = made(path, steps, asked.grids)
        exact = means_of(target, asked.model) != "samples"
        if not exact and asked.model is None:
            found |= {"GITS": gits(path, target, steps)}
        if exact and (target.is_gaussian or not costs_a_joint_density(job, path)):
            found |= fitted(job, path, target, steps)
        for grid in found.items():
            yield on_grid(job, name, target, path, grid, steps, asked=asked)


def nodes_of(path: paths.Gaussian, logits: Array) -> Array:
    """Return the grid between the path's default times whose shares of the log-SNR range are softmax(logits)."""
    first, last = (float(path.log_snr(t)) for t in (path.start, path.stop))
    levels = first + (last - first) * np.cumsum(softmax(logits))[:-1]
    return np.concatenate([[path.start], np.asarray(path.time_of_log_snr(levels)), [path.stop]])


def logits_of(path: paths.Gaussian, nodes: Array) -> Array:
    """Return logits of a grid between the path's default times: `nodes_of` inverts it."""
    return np.asarray(np.log(np.diff(path.log_snr(nodes))))


def optimise(
    job: Job,
    path: paths.Gaussian,
    target: GaussianMixture,
    steps: int,
    starts: Sequence[Array],
    flow: Flow | None = None,
) -> tuple[Array, float]:
    """Minimise the log of `law_error` over the inner nodes of a grid, by BFGS from each start, and keep the best.

    Where a flow is given, minimise the distance from it instead.

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
    flow : Flow, optional

    Returns
    -------
    nodes : (steps + 1,) array
    error : float
        What is minimised, on these nodes.

    Raises
    ------
    ValueError
        A target whose law is not exact, fewer than 2 steps, or no start on which the method is stable.

    Notes
    -----
    Cost: about `ITERATIONS` times (steps + 1) laws a start.
    """
    if flow is None:
        sharpest(target)
    if steps < 2:
        raise ValueError(f"steps is {steps}: a grid has inner nodes from 2 steps on")

    def size_on(nodes: Array) -> float:
        if flow is not None:
            return flow.distance(job, nodes, FITTED).value
        return law_error(job, path, nodes, target).value

    def log_error(logits: Array) -> float:
        try:
            size = size_on(nodes_of(path, logits))
        except ValueError:  # two nodes at one level
            return NO_ERROR
        return float(np.log(size)) if size > 0 else NO_ERROR

    limit = ITERATIONS if flow is None else ITERATIONS_OF_SAMPLES

    best, least = None, np.inf
    for nodes in starts:
        size = size_on(nodes)
        if not np.isfinite(size):
            continue
        if size < least:
            best, least = nodes, size
        found = minimize(log_error, logits_of(path, nodes), method="BFGS", options={"maxiter": limit})
        candidate = nodes_of(path, found.x)
        size = size_on(candidate)
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
    asked: Asked = PLAIN,
) -> Iterator[GridError]:
    """Set the grid optimised for one target beside the hand-made ones, on it and on other targets.

    By exact law; where none reaches, by the distance from the flow, on other starts than those of the fit.

    Align Your Steps (Sabour et al. 2024, section 3) minimises a bound on a KL by samples; the law itself is exact here.
    """
    sampled = means_of(target, asked.model) == "samples"
    flows = {
        where: Flow(law, path, asked.model) if sampled else None
        for where, law in {name: target, **others}.items()
    }
    flow = flows[name]
    grids_made = made(path, steps)
    nodes = {name: nodes for name, nodes in grids_made.items() if not isinstance(nodes, ValueError)}

    def error_on(at: Array) -> float:
        return (law_error(job, path, at, target) if flow is None else flow.distance(job, at, FITTED)).value

    errors = {grid: error_on(at) for grid, at in nodes.items()}
    ranked = sorted((g for g in nodes if np.isfinite(errors[g])), key=lambda g: errors[g])
    starts = ranked[:1] if sampled else [*ranked[:2], "log-snr"]
    best, _ = optimise(job, path, target, steps, [nodes[g] for g in starts], flow)
    for where, law in {name: target, **others}.items():
        for grid in {**made(path, steps, asked.grids), OPTIMISED: best}.items():
            yield on_grid(job, where, law, path, grid, steps, name, asked, flows[where])
