"""The sharpest law a target allows, the truth, and how far two laws are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analytic import GaussianMixture, distances
from solvers import DensityLaw, GaussianLaw, Imperfect, density, law, sample
from solvers.continuous.executors.law import marginal

from .specifications import job_of

if TYPE_CHECKING:
    from .gap.study import Plan

Array = NDArray[np.float64]
Distances = dict[str, tuple[float, float]]  # value and half width of its interval


RESOLUTION = 0.7  # of densities: errors far below any gap of interest


GROUPS, DIRECTIONS = 10, 8  # of samples, and of the lines they are projected on


NOTHING = 1e-14  # densities below it are rounding, whose ratio means nothing


def end_law(plan: Plan, method: str, model: Any, steps: int | None = None, grid: Array | None = None) -> Any:
    """Return the law a method ends with when `model` is asked and the target is sampled from.

    A DensityLaw on the line, a GaussianLaw, or (n, dim) samples.
    """
    job = job_of(method)
    grid = plan.setting.nodes(steps or plan.steps) if grid is None else grid
    tableau = job.method.tableau(plan.setting.path, grid, **job.options)
    initial = plan.setting.initial
    if plan.target.is_gaussian and (not isinstance(model, Imperfect) or all(e.affine for e in model.errors)):
        return law(tableau, model, initial)
    if plan.target.dim == 1:
        return density(tableau, model, initial, estimate_error=False, resolution=RESOLUTION)
    return sample(tableau, model, plan.setting.samples, plan.setting.seed, initial)


def truth_at(plan: Plan, t: float) -> Any:
    """Return the exact marginal at time t in the form that `apart` compares."""
    alpha, sigma = float(plan.setting.path.alpha(t)), float(plan.setting.path.sigma(t))
    if plan.target.is_gaussian and (plan.error.affine or plan.target.dim > 1):
        return marginal(plan.target, alpha, sigma)
    noised = plan.target.noised(alpha, sigma)
    return noised if plan.target.dim == 1 else noised.sample(plan.setting.samples, plan.setting.seed + 1)


def apart(a: Any, b: Any) -> Distances:
    """Return the distances between two laws by name; KL is of the first from the second."""
    if isinstance(a, np.ndarray):
        return _apart_by_samples(a, b)
    return {name: (value, 0.0) for name, value in _apart(a, b).items()}


def _apart_by_samples(x: Array, y: Array) -> Distances:
    """Sliced W2 with its interval from independent groups of samples; biased upward as `distances.sliced_w2`."""
    directions = np.random.default_rng(0).standard_normal((DIRECTIONS, x.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    squares = [
        np.mean([(np.sort(a @ v) - np.sort(b @ v)) ** 2 for v in directions])
        for a, b in zip(np.array_split(x, GROUPS), np.array_split(y, GROUPS), strict=True)
    ]
    mean, error = np.mean(squares), np.std(squares, ddof=1) / np.sqrt(GROUPS)
    half = float(special.stdtrit(GROUPS - 1, 0.995) * error / (2 * np.sqrt(mean)))
    return {"sliced W2": (float(np.sqrt(mean)), half)}


def _apart(a: Any, b: Any) -> dict[str, float]:
    if isinstance(a, GaussianLaw):
        error = a.error_to(b)
        return {"W2": error.w2, "KL": error.kl}
    if isinstance(b, GaussianMixture):
        return {"TV": a.tv(b), "KL": a.kl(b), "W2": a.w2(b)}
    edges = np.unique(np.concatenate([a.panels.ravel(), b.panels.ravel()]))

    def above(f: DensityLaw, least: float) -> Any:
        # the panels' polynomials may dip below zero by rounding, far out
        return lambda x: np.maximum(f.pdf(x), least)

    def log_of(f: DensityLaw) -> Any:
        return lambda x: np.log(above(f, 1e-300)(x))

    seen = edges[np.minimum(a.pdf(edges), b.pdf(edges)) > NOTHING]
    return {
        "TV": distances.tv_1d(above(a, 0.0), above(b, 0.0), edges).value,
        "KL": distances.kl_1d(log_of(a), log_of(b), seen).value,
        "W2": distances.w2_1d(a.quantile, b.quantile).value,
    }
