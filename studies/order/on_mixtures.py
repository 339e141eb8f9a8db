"""Ladders of steps, measured: the errors of one method on one target by the sharpest means the target allows.

A Gaussian is measured by the sampler's exact law, a one-dimensional mixture by the sampler's density, anything else by
samples on shared Brownian paths.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture, Interpolated, paths
from solvers import DensityLaw, Tableau, density, law, run, sample, strong
from solvers.continuous.executors.mixture_block import draw_samples
from solvers.continuous.executors.shared_path import SharedPath
from solvers.methods.continuous.anchored import at_the_origin
from solvers.protocols import noising

from ..inference import Slope, fit, fit_sampled, judge
from ..ladder import START_UP, Ladder, Measurement, climb, first_of, wanted
from ..laws import means_of

Array = NDArray[np.float64]
GAUSSIAN_RUNGS = (16, 32, 64, 128, 256, 512)
MIXTURE_RUNGS = (16, 32, 64, 128, 256)
MIXTURE_LIMIT = 1024
# a density of two variables takes eight times as long on twice as many steps
TWO_STEP_LIMIT = 256
# densities of noisy samplers are computed at two resolutions up to so many steps; from there on their error, which is
# far below the sampler's, is taken to grow with the steps from ten times what it was
CHECKED = 64
# W2 weighs how far a sample is off, squared: tails of probability 1e-21, which densities leave out, stand for this
W2_FLOOR = 1e-10
SAMPLED_RUNGS = (8, 16, 32, 64, 128, 256)
STRONG_RUNGS = (16, 32, 64, 128, 256, 512)
STRONG_SAMPLES = 40_000
GROUPS = 16


def on_gaussian(ladder: Ladder, name: str, target: GaussianMixture) -> Iterator[Measurement]:
    """Measure W2, KL, mean, deviation and strong error by exact law."""
    method, setting = ladder.method, ladder.setting
    exact = (
        Ladder(method, "exact", setting, ladder.options)
        if method.multistep and ladder.start == "practical"
        else None
    )
    follows_sde = bool(wanted(method, "strong")) and noising(
        setting.path
    )  # on others strong errors are sampled
    spectrum = target.spectrum()
    scale = float(np.sqrt(np.sum(spectrum.variances) + np.sum(spectrum.mean**2)))
    failures: dict[int, str] = {}

    def measure(N: int) -> dict[str, Any]:
        tableau = ladder[N]
        bad = float("nan")
        out: dict[str, Any] = dict.fromkeys(("w2", "kl", "strong", START_UP), bad)
        out["signed"] = np.full(2 * target.dim, bad)
        try:
            result = law(tableau, target, setting.initial)
            error = result.error_to(target.noised(*tableau.end))
            out |= {"w2": error.w2, "kl": error.kl, "signed": np.concatenate([error.mean, error.deviation])}
            if follows_sde:
                out["strong"] = strong(tableau, target, setting.initial)
            if exact is not None:
                out[START_UP] = result.error_to(law(exact[N], target, setting.initial)).w2
        except FloatingPointError as problem:
            failures[N] = str(problem)
        return out

    def read(steps: list[int], results: list[dict[str, Any]]) -> dict[str, tuple[Any, Any, Slope]]:
        rounding = setting.rounding * scale * np.sqrt(steps)
        signed = np.array([r["signed"] for r in results])
        found = {}
        for metric in ("w2", "strong", START_UP):
            if (metric == "strong" and not follows_sde) or (metric == START_UP and exact is None):
                continue
            errors = np.array([r[metric] for r in results])
            found[metric] = (
                errors,
                rounding,
                fit(steps, errors, rounding, signed if metric == "w2" else None),
            )
        errors = np.array([r["kl"] for r in results])
        found["kl"] = (errors, rounding**2, fit(steps, errors, rounding**2))
        for metric, part in (("mean", signed[:, : target.dim]), ("deviation", signed[:, target.dim :])):
            size = np.linalg.norm(part, axis=1)
            found[metric] = (size, rounding, fit(steps, size, rounding, part))
        return found

    def undecided(found: dict[str, tuple[Any, Any, Slope]]) -> bool:
        law_slopes = [found[m][2] for m in ("w2", START_UP) if m in found]
        open_law = any(judge(p, *law_slopes) == "unresolved" for p in wanted(method, "ode", "weak"))
        pathwise = wanted(method, "strong") if follows_sde else []
        return open_law or any(judge(p, found["strong"][2]) == "unresolved" for p in pathwise)

    steps, found = climb(GAUSSIAN_RUNGS, setting.limit, measure, read, undecided)
    for metric, (errors, uncertainty, slope) in found.items():
        yield ladder.measurement(name, metric, "law", steps, errors, uncertainty, slope, first_of(failures))


def on_line(ladder: Ladder, name: str, target: GaussianMixture) -> Iterator[Measurement]:
    """Measure TV, W2, KL and moments by density on a one-dimensional mixture; by samples where there is no density.

    Samplers with a second point y are measured given y = 0, where they have one variable.
    """
    method, setting = ladder.method, ladder.setting
    scale = float(np.sqrt(target.covariance()[0, 0] + target.mean()[0] ** 2))
    failures: dict[int, str] = {}
    known: dict[str, float] = {}

    def sampler(N: int) -> tuple[Tableau, Any, GaussianMixture]:
        tableau = ladder[N]
        if isinstance(setting.path, paths.Bridge | paths.MeanReverting):
            return at_the_origin(tableau, target)
        return tableau, setting.initial, target.noised(*tableau.end)

    def measure(N: int) -> dict[str, Any]:
        metrics = ("tv", "w2", "kl", "mean", "deviation")
        out = dict.fromkeys((*metrics, *(f"{m} error" for m in metrics)), float("nan"))
        tableau, initial, truth = sampler(N)
        try:
            checked = tableau.deterministic or N <= CHECKED or not known
            result = density(tableau, target, initial, estimate_error=checked)
        except FloatingPointError as problem:
            failures[N] = str(problem)
            return out
        deviation = float(np.sqrt(truth.covariance()[0, 0]))
        quantities: dict[str, Callable[[DensityLaw], float]] = {
            "tv": lambda f: f.tv(truth),
            "w2": lambda f: f.w2(truth),
            "kl": lambda f: f.kl(truth),
            "mean": lambda f: f.mean - float(truth.mean()[0]),
            "deviation": lambda f: float(np.sqrt(f.variance)) - deviation,
        }
        for name, quantity in quantities.items():
            if checked:
                known[name] = result.error_of(quantity)
            error = known[name] if checked else 10 * known[name] * N / CHECKED
            out |= {name: quantity(result), f"{name} error": error}
        return out

    def read(steps: list[int], results: list[dict[str, Any]]) -> dict[str, tuple[Any, Any, Slope]]:
        found = {}
        for metric in ("tv", "w2", "kl", "mean", "deviation"):
            values = np.array([r[metric] for r in results])
            rounding = setting.rounding * np.sqrt(steps) * (1.0 if metric in ("tv", "kl") else scale)
            uncertainty = rounding + np.array([r[f"{metric} error"] for r in results])
            if metric == "w2":
                uncertainty = uncertainty + W2_FLOOR * scale
            found[metric] = (np.abs(values), uncertainty, fit(steps, np.abs(values), uncertainty, values))
        return found

    def undecided(found: dict[str, tuple[Any, Any, Slope]]) -> bool:
        return any(
            judge(p, found["tv"][2], found["w2"][2]) == "unresolved"
            for p in wanted(method, "ode", "weak", "tv")
        )

    # a velocity makes a density dear, and its errors are of a fixed time: their slopes settle early
    long = method.claims and method.process == "noising"
    rungs = MIXTURE_RUNGS if long else MIXTURE_RUNGS[:-1]
    limit = min(setting.limit, TWO_STEP_LIMIT if two_step(sampler(rungs[0])[0]) else MIXTURE_LIMIT)
    try:
        steps, found = climb(rungs, limit, measure, read, undecided)
    except ValueError:  # no density for this class of step
        steps, found = [], {}
        yield from on_samples(ladder, name, target, strongly=not wanted(method, "strong"))
    for metric, (errors, uncertainty, slope) in found.items():
        yield ladder.measurement(
            name, metric, "density", steps, errors, uncertainty, slope, first_of(failures)
        )
    if wanted(method, "strong"):
        yield from on_samples(ladder, name, target, STRONG_RUNGS, STRONG_SAMPLES, weakly=False)


def two_step(tableau: Tableau) -> bool:
    """Whether the law of a noisy sampler takes a density of the sample and an earlier evaluation."""
    return not tableau.deterministic and max(block.registers_in for block in tableau.blocks) > 1


def _statistics(x: Array, frequencies: Array) -> Array:
    """First and second moments and smooth bounded functions, (n, statistics)."""
    dim = x.shape[1]
    upper = np.triu_indices(dim)
    moments = (x[:, :, None] * x[:, None, :])[:, upper[0], upper[1]] if dim <= 8 else x**2
    waves = x @ frequencies
    return np.concatenate([x, moments, np.cos(waves), np.sin(waves)], axis=1)


def on_samples(
    ladder: Ladder,
    name: str,
    target: GaussianMixture,
    rungs: Sequence[int] = SAMPLED_RUNGS,
    most: int | None = None,
    weakly: bool = True,
    strongly: bool = True,
) -> Iterator[Measurement]:
    """Measure weak and strong order from differences of neighbouring rungs on shared Brownian paths.

    The difference between N and 2N steps shrinks with the method's order, and sharing start points and Brownian paths
    removes most of its variance. Weak: means of moments and of cos, sin at the scale of the target. Strong:
    root mean square. Intervals come from independent groups of samples.
    """
    setting = ladder.setting
    n = min(setting.samples, most or setting.samples) // GROUPS
    if n < 10:
        raise ValueError(f"samples is {setting.samples}: give at least {10 * GROUPS}, {GROUPS} groups of 10")
    rungs = [N for N in rungs if setting.limit >= N]
    tableaux = [ladder[N] for N in rungs]
    deviation = np.sqrt(np.mean(np.diag(target.covariance())))
    frequencies = np.random.default_rng(7).standard_normal((target.dim, 4)) / deviation
    weak, pathwise = [], []
    failures: dict[int, str] = {}
    start, brownian = target.noised(*tableaux[0].start), SharedPath(tableaux)
    for group in range(GROUPS):
        first = group * n
        points: Any = setting.initial
        if setting.initial == "marginal":
            points = draw_samples(start, n, setting.seed, first)
        noises = brownian.noise(n, target.dim, setting.seed + 1, first)
        finals = []
        for N, tableau, noise in zip(rungs, tableaux, noises, strict=True):
            try:
                finals.append(_drawn(tableau, target, n, setting.seed, points, noise, first))
            except FloatingPointError as problem:
                failures[N] = str(problem)
                finals.append(np.full((n, target.dim), np.nan))
        if weakly:
            values = [_statistics(x, frequencies).mean(axis=0) for x in finals]
            weak.append([a - b for a, b in itertools.pairwise(values)])
        pathwise.append([[np.mean(np.sum((a - b) ** 2, axis=1))] for a, b in itertools.pairwise(finals)])
    steps = rungs[:-1]
    metrics, square = {"weak": np.array(weak)} if weakly else {}, np.array(pathwise)
    if strongly and all(c.functional is not None for c in tableaux[0].channels):
        metrics["strong"] = square
    for metric, groups in metrics.items():
        size, noise, slope = fit_sampled(steps, groups)
        if metric == "strong":  # the mean square has twice the order
            size, noise, slope = (
                np.sqrt(size),
                noise / (2 * np.sqrt(np.maximum(size, 1e-300))),
                _halved(slope),
            )
        yield ladder.measurement(name, metric, "samples", steps, size, noise, slope, first_of(failures))


def _drawn(tableau: Tableau, target: Any, n: int, seed: int, points: Any, noise: Array, first: int) -> Array:
    """Samples by compiled code, which interpolants are not known to."""
    if isinstance(target, Interpolated):
        return np.asarray(run(tableau, target, points, seed, n=n, noise=noise, first=first))
    return sample(tableau, target, n, seed, points, noise=noise, first=first)


def _halved(slope: Slope) -> Slope:
    return Slope(
        slope.value / 2,
        slope.low / 2,
        slope.high / 2,
        slope.window,
        slope.status,
        tuple(p / 2 for p in slope.local),
        None if slope.floor is None else slope.floor**0.5,
    )


def measure(ladder: Ladder, name: str, target: GaussianMixture) -> list[Measurement]:
    """Measure one ladder on one target by the sharpest means it allows."""
    by = {"law": on_gaussian, "density": on_line, "samples": on_samples}[means_of(target)]
    return list(by(ladder, name, target))
