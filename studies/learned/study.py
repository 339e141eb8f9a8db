"""The ODE-SDE gap with learned scores, in the setting of Deveney et al. 2023, beside the bound from the residual.

Every cell is one network. Its SDE law is the solution of its Fokker-Planck equation on a grid (`plane`),
without samples;
its ODE law is made of scrambled Sobol points of the prior, sent through `solvers.run`, so that intervals come from
independent scrambles; the truth is exact. As a control the exact score goes through all the same.

Own choices, where Deveney et al. have others: networks are narrower and trained for minutes; score matching
weights times by
sigma^2 and draws them as 10 u^2 (theirs: no weight, ten times a Beta(1, 2)); ends are at t = 0.001; W2 has no
lattice, while they
bin samples on 64^2 nodes 0.127 apart and cut off what lies beyond 4.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from threadpoolctl import threadpool_limits

from analytic import GaussianMixture, targets
from solvers import catalogue, grids, run

from . import fokker_planck as plane
from . import residual_bounds
from .networks import DIM, START, STOP, Network, OrnsteinUhlenbeck, shipped
from .training import RECIPES, train

Array = NDArray[np.float64]
EXACT = "exact score"
TARGET = "nine-2d"
ODE, SDE = "rk4", "stochastic-heun"
ODE_STEPS, SDE_STEPS = 32, 100
GROUPS, SAMPLES = 6, 4096
CELLS_AT_ONCE = 2
PATHS, PATH_STEPS = 512, 48
WAVES = ((0.5, 0.0), (0.0, 0.5), (1.0, 1.0), (1.0, -1.0), (1.7, 0.0), (0.0, 1.7), (2.0, 1.0))
LEVEL = 0.95
ERROR_TIMES = 25
COVER = 4.5  # half width of the square on which Lipschitz constants are sought
COVER_SIZE = 61
# Squared W2 of Deveney et al. 2023 on this target without the penalty: ODE to truth, SDE to truth, ODE to SDE
PUBLISHED = (14e-3, 3e-3, 15e-3)


@dataclass(frozen=True)
class LearnedGap:
    """What one network's ODE and SDE do.

    Attributes
    ----------
    network : str
    objective : str
        How it was trained; "none" for the exact score.
    penalty : float
        Weight of the Fokker-Planck residual in training, nan where there is no such training.
    ode_truth, sde_truth, ode_sde : float
        Squared 2-Wasserstein distances at the end.
    ode_truth_error, sde_truth_error, ode_sde_error : float
        Half widths of 95 % intervals over scrambles plus numerical error; numerical alone for sde_truth.
    kl_sde_truth : float
        KL of the truth from the SDE's law.
    kl_ode_sde, kl_ode_sde_error : float
        KL of the ODE's law from the SDE's, with its 95 % half width.
    score_error : float
        Root of the mean over times 10 u^2 (those of training) of E |sigma (s - exact)|^2.
    times, score_errors : tuple of float
        E |s - exact|^2 under the exact marginal at each time.
    residual : float
        Root of the integral over time of E |rho|^2 along the ODE.
    kl_bound, gronwall_bound, transport_bound : float
        On kl_ode_sde and, twice, on the root of ode_sde; see `fokker_planck`.
    steps_error : float
        Change of ode_truth when the ODE takes twice the steps.
    samples_apart : float
        Largest deviation of means of waves over samples of the SDE, by `solvers.run`, from those of its law, in
        standard
        errors.
    seconds : float
    """

    network: str
    objective: str
    penalty: float
    ode_truth: float
    ode_truth_error: float
    sde_truth: float
    sde_truth_error: float
    ode_sde: float
    ode_sde_error: float
    kl_sde_truth: float
    kl_ode_sde: float
    kl_ode_sde_error: float
    score_error: float
    times: tuple[float, ...]
    score_errors: tuple[float, ...]
    residual: float
    kl_bound: float
    gronwall_bound: float
    transport_bound: float
    steps_error: float
    samples_apart: float
    seconds: float

    @property
    def bound(self) -> float:
        """The better of the two bounds on W2(ODE, SDE)."""
        return min(self.gronwall_bound, self.transport_bound)

    @property
    def holds(self) -> bool:
        """True if both the W2 bound and the KL bound hold, the measured values taken at their intervals' lower
        ends.
        """
        lower = max(self.ode_sde - self.ode_sde_error, 0.0)
        return self.bound >= np.sqrt(lower) and self.kl_bound >= self.kl_ode_sde - self.kl_ode_sde_error


@cache
def _setting() -> tuple[Any, GaussianMixture, GaussianMixture]:
    path, target = OrnsteinUhlenbeck(), targets.load(TARGET)
    return path, target, target.noised(float(path.alpha(STOP)), float(path.sigma(STOP)))


def exact_score(x: Any, t: float) -> Any:
    """Score of the nine-component mixture at x (n, 2) and time t."""
    path, target, _ = _setting()
    return target.noised(float(path.alpha(t)), float(path.sigma(t))).score(x)


def learned_gap(
    networks: Mapping[str, Network] | None = None,
    *,
    retrain: bool = False,
    states: str | Path | None = None,
    skip: Collection[str] = (),
    control: bool = True,
    samples: int = SAMPLES,
    seed: int = 0,
    report: Callable[[str], None] | None = None,
) -> Iterator[LearnedGap]:
    """Measure ODE law, SDE law and truth for each network, one record at a time.

    Parameters
    ----------
    networks : mapping, optional
        Networks by name; those shipped by default.
    retrain : bool
        Train all of `training.RECIPES` first instead; needs torch.
    states : path, optional
        Folder for half-trained and trained networks, from which a killed run goes on.
    skip : collection of str
        Names already measured.
    control : bool
        Put the exact score first.
    samples : int
        Points in each of six scrambles, a power of two.
    seed : int
    report : callable, optional
        Told what is being done.

    Yields
    ------
    LearnedGap
        About 20 seconds of one core each, two at a time.

    Raises
    ------
    ValueError
        Networks and retrain together, or samples that are no power of two.
    """
    if networks is not None and retrain:
        raise ValueError("networks are given and retrain is True: give one of them")
    if samples < 2 or samples & (samples - 1):
        raise ValueError(f"samples is {samples}: give a power of two, which Sobol points come in")
    say = report or (lambda text: None)
    given = {} if retrain else dict(shipped() if networks is None else networks)
    known = list(RECIPES)
    names = sorted(
        known if retrain else given, key=lambda name: known.index(name) if name in known else len(known)
    )

    def cell(name: str) -> LearnedGap:
        network = None
        if name != EXACT and retrain:
            say(f"training {name}")
            network = trained(name, states)
        elif name != EXACT:
            network = given[name]
        say(name)
        return measure(name, network, samples, seed)

    todo = [name for name in ([EXACT] if control else []) + names if name not in skip]
    # Products of small matrices gain nothing from threads of their own; cells do, but training has its own.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(1 if retrain else CELLS_AT_ONCE) as pool:
        yield from pool.map(cell, todo)


def restored(record: dict[str, Any]) -> LearnedGap:
    """Rebuild a record from JSON, which has lists for tuples."""
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
    return LearnedGap(**fields)


def trained(name: str, states: str | Path | None = None) -> Network:
    """Train a network of `RECIPES`, or read it back if `states` has it from the same recipe."""
    from .networks import load

    recipe = RECIPES[name]
    if states is None:
        return train(recipe)
    folder = Path(states)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.npz"
    if file.exists():
        network = load(file)
        if network.made == asdict(recipe):
            return network
    network = train(recipe, folder / f"{name}.state")
    network.save(file)
    return network


def ode_samples(model: Any, samples: int, scramble: int, steps: int = ODE_STEPS) -> Array:
    """Send scrambled Sobol points of the prior through the probability-flow ODE by `run`: (samples, 2)."""
    path = _setting()[0]
    points = stats.qmc.Sobol(DIM, seed=np.random.default_rng(scramble)).random(samples)
    start = stats.norm.ppf(points) * float(path.prior_deviation(START))
    tableau = catalogue[ODE].tableau(path, grids.power(path, steps))
    return np.asarray(run(tableau, model, start.astype(np.float32)), dtype=np.float64)


def sde_samples(model: Any, samples: int, seed: int, steps: int = SDE_STEPS) -> Array:
    """Sample the reverse SDE by `run`: (samples, 2)."""
    path = _setting()[0]
    start = np.random.default_rng(seed).standard_normal((samples, DIM)) * float(path.prior_deviation(START))
    tableau = catalogue[SDE].tableau(path, grids.power(path, steps))
    return np.asarray(run(tableau, model, start.astype(np.float32), seed=seed), dtype=np.float64)


def measure(name: str, network: Network | None, samples: int = SAMPLES, seed: int = 0) -> LearnedGap:
    """Measure one network, or the exact score where it is None."""
    began = time.perf_counter()
    path, target, end = _setting()
    score = exact_score if network is None else network.score
    model: Any = target if network is None else network.denoiser()

    def single(x: Any, t: float) -> Any:  # in float32, twice as fast and far more accurate than the grid
        return np.asarray(score(x.astype(np.float32), t), dtype=np.float64)

    truth = plane.of(end)
    (sde,) = plane.end_densities(exact_score if network is None else single, (1.0,))
    scrambles = [ode_samples(model, samples, seed + k) for k in range(GROUPS)]
    pooled = plane.shared_out(np.concatenate(scrambles))
    to_truth, to_sde = (_with_interval(pooled, scrambles, law) for law in (truth, sde))
    sde_truth = plane.squared_w2(sde, truth)
    finer = ode_samples(model, samples, seed, 2 * ODE_STEPS)
    once, twice = (plane.sinkhorn_divergence(plane.shared_out(x), truth) for x in (scrambles[0], finer))

    grid = grids.power(path, PATH_STEPS)
    start = np.random.default_rng(seed + 1).standard_normal((PATHS, DIM)) * float(path.prior_deviation(START))
    found = residual_bounds.mismatch(score, path, grid, start)
    axis = np.linspace(-COVER, COVER, COVER_SIZE)
    cover = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, DIM)
    lipschitz = np.array([residual_bounds.lipschitz(score, path, float(t), cover) for t in grid[::2]])
    lipschitz = np.maximum(
        np.repeat(lipschitz, 2)[:-1], np.repeat(lipschitz, 2)[1:]
    )  # between two: the larger
    kl = residual_bounds.kl_bound(found, path)
    kl_raised = kl.value + residual_bounds.LEVEL * kl.error
    radius = (sde.points**2).sum(1)
    ratio = found.log_density - sde.log_density(found.x[-1])
    mean_square, _ = found.mean_square(found.residual)
    times, errors = _score_errors(score)
    return LearnedGap(
        network=name,
        objective="none" if network is None else str(network.made["objective"]),
        penalty=float("nan")
        if network is None or network.kind == "velocity"
        else float(network.made["penalty"]),
        ode_truth=to_truth[0],
        ode_truth_error=to_truth[1],
        sde_truth=sde_truth.value,
        sde_truth_error=sde_truth.error,
        ode_sde=to_sde[0],
        ode_sde_error=to_sde[1],
        kl_sde_truth=_kl_of_truth(end, sde),
        kl_ode_sde=float(ratio.mean()),
        kl_ode_sde_error=float(_quantile(PATHS) * ratio.std(ddof=1) / np.sqrt(PATHS)),
        # times 10 u^2 have the density of u, so equal steps in u have equal weight
        score_error=float(np.sqrt(np.mean(path.sigma(times) ** 2 * errors))),
        times=tuple(times.tolist()),
        score_errors=tuple(errors.tolist()),
        residual=float(np.sqrt(np.trapezoid(mean_square[::-1], grid[::-1]))),
        kl_bound=kl_raised,
        gronwall_bound=residual_bounds.gronwall_bound(found, path, lipschitz),
        transport_bound=residual_bounds.transport_bound(
            kl_raised, lambda a: float(np.log(sde.mean(np.exp(np.minimum(a * radius, 700.0)))))
        ),
        steps_error=abs(twice - once),
        samples_apart=samples_apart(sde_samples(model, samples, seed), sde),
        seconds=time.perf_counter() - began,
    )


def _quantile(count: int) -> float:
    return float(stats.t.ppf((1 + LEVEL) / 2, count - 1))


def _with_interval(pooled: plane.Masses, groups: list[Array], law: plane.Masses) -> tuple[float, float]:
    """Squared W2 of all samples from a law, and its half width: of groups, with what pooling changes, and
    numerical.
    """
    value = plane.squared_w2(pooled, law)
    each = np.array([plane.sinkhorn_divergence(plane.shared_out(group), law) for group in groups])
    half = _quantile(len(each)) * each.std(ddof=1) / np.sqrt(len(each))
    return value.value, float(half + abs(each.mean() - plane.sinkhorn_divergence(pooled, law)) + value.error)


def samples_apart(x: Array, law: plane.Masses) -> float:
    """Largest deviation of means of waves over samples from those under a law, in standard errors."""
    deviations = []
    for wave in WAVES:
        for function in (np.cos, np.sin):
            values = function(x @ np.array(wave))
            expected = law.mean(function(law.points @ np.array(wave)))
            deviations.append(abs(values.mean() - expected) / (values.std(ddof=1) / np.sqrt(len(x))))
    return float(max(deviations))


def _kl_of_truth(truth: GaussianMixture, law: plane.Masses) -> float:
    """KL(truth | law), the law between its nodes not needed: the truth is resolved by them."""
    p = plane.of(truth, len(law.mass)).mass.ravel()
    seen = p > 1e-12
    return float(np.sum(p[seen] * (np.log(p[seen]) - np.log(np.maximum(law.mass.ravel()[seen], 1e-12)))))


def _score_errors(score: Callable[[Any, float], Any], count: int = ERROR_TIMES) -> tuple[Array, Array]:
    """E |s - exact|^2 under the exact marginal at times 10 u^2, by quadrature on the nodes."""
    path, target, _ = _setting()
    times = np.maximum(START * ((np.arange(count) + 0.5) / count) ** 2, STOP)
    errors = []
    for t in times:
        law = plane.of(target.noised(float(path.alpha(t)), float(path.sigma(t))))
        difference = score(law.points, float(t)) - exact_score(law.points, float(t))
        errors.append(law.mean((difference**2).sum(1)))
    return times, np.array(errors)
