"""How many evaluations a continuous method needs to reach an error, against one size of the target at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from analytic import GaussianMixture, targets
from solvers.catalogue import unknown

from . import frames
from .inference import TINY, Slope, fit
from .ladders import Setting
from .needed import NotReachedError, steps_to_stay
from .order import Job
from .scaling_errors import AtEvaluations, ByLaw, Costs, ErrorOf, OnGaussians, OnLine, UnmeasurableError

Array = NDArray[np.float64]
AGAINST = ("epsilon", "dimension", "condition", "intrinsic", "separation", "modes")
METHODS = (
    "euler",
    "heun",
    "midpoint",
    "ralston",
    "rk4",
    "deis-tab-2",
    "dpm-solver-3",
    "dpm-solver++-2m",
    "dpm-solver++-3m",
    "ddim-eta",
    "ddpm",
    "euler-maruyama",
    "sde-dpm-solver++-2m",
    "edm-churn",
    "stochastic-heun",
)
TARGETS = ("spectrum-16", "easy-1d")
SLOW = ("sde-dpm-solver++-2m", "stochastic-heun")  # seconds a density: on the line only when named
# low order against high, one step against several, without noise against with it
PAIRS = (
    ("euler", "heun"),
    ("euler", "dpm-solver++-2m"),
    ("heun", "rk4"),
    ("heun", "dpm-solver++-2m"),
    ("midpoint", "rk4"),
    ("dpm-solver++-2m", "rk4"),
    ("dpm-solver++-2m", "dpm-solver++-3m"),
    ("dpm-solver++-3m", "dpm-solver-3"),
    ("deis-tab-2", "rk4"),
    ("euler", "ddpm"),
    ("euler", "ddim-eta"),
    ("euler", "euler-maruyama"),
    ("heun", "euler-maruyama"),
    ("heun", "edm-churn"),
    ("heun", "stochastic-heun"),
    ("dpm-solver++-2m", "sde-dpm-solver++-2m"),
    ("dpm-solver++-2m", "stochastic-heun"),
    ("euler-maruyama", "stochastic-heun"),
)
EPSILONS = tuple(float(f"{first}e-{k}") for k in range(1, 9) for first in ((1,) if k == 1 else (5, 2, 1)))
DIMENSIONS = (1, 3, 10, 30, 100, 300, 1000)
CONDITIONS = (1, 10, 100, 1000, 10_000, 100_000, 1_000_000)
CONDITION_DIMENSION = 16
AMBIENT = 1000
SEPARATIONS = (1, 2, 4, 8, 16)
MODES = (1, 2, 4, 8)
MODE_DEVIATION, MODE_SPACING = 0.25, 8
W2, RELATIVE, KL, TV = 0.01, 0.01, 0.001, 0.02
MOST = 1 << 15
MOST_ON_LINE = 1 << 8
CROSSING_NFE = 4096  # crossings are sought up to here
ROUNDING = 1e-12  # of W2 over the scale: below, a crossing is one of rounding errors
PRECISION = 0.02  # ratio of the numbers of steps between which crossings are interpolated
INTERPOLATION = 1e-4  # what that does to a number of steps, relative
LEAST_STEPS = 2.0  # below, a number of steps is no measure of an error
FEW = "fewer than two steps do"
MOST_CHANGE = 0.05  # of itself: an exponent that changes by more from a size to the next is on its way
MOST_SHARE = 0.9  # NFE that grow by less from a size to the next do not say where exponents go
FLAT_EXPONENT = 0.02  # below, growth is read as it is


@dataclass(frozen=True)
class Plan:
    """What is asked.

    Attributes
    ----------
    setting : Setting
        Path and grid; the law sampling starts from.
    targets : tuple of str
        Gaussians or mixtures on the line, by name, on which epsilon is varied and methods are compared.
    most, most_on_line : int
        Steps to give up at, by law and by density.
    """

    setting: Setting = field(default_factory=Setting)
    targets: tuple[str, ...] = TARGETS
    most: int = MOST
    most_on_line: int = MOST_ON_LINE


@dataclass(frozen=True)
class Need:
    """What one method needs at one size.

    Attributes
    ----------
    size : float
    target : float
        The error to reach.
    steps, nfe : float
        Interpolated between whole numbers of steps; nan if it is not reached.
    reason : str
        Why not, or what else should be known of the number; empty if nothing.
    """

    size: float
    target: float
    steps: float
    nfe: float
    reason: str = ""


@dataclass(frozen=True)
class Growth:
    """Evaluations needed as a function of one size, all else held.

    Attributes
    ----------
    against : str
        One of `AGAINST`.
    on : str
        The target, or the family of targets.
    method : str
    noisy : bool
    order : float
        The highest order of the law of the samples that its sources claim; nan if none.
    metric : str
        "W2", "W2/scale" (over the root of the trace of the target's covariance), "KL" or "TV".
    needs : tuple of Need
        By increasing size; 1/epsilon against epsilon.
    exponent : Slope
        NFE ~ size^exponent, with its interval.
    """

    against: str
    on: str
    method: str
    noisy: bool
    order: float
    metric: str
    needs: tuple[Need, ...]
    exponent: Slope


@dataclass(frozen=True)
class Crossing:
    """Where two methods have the same error at equal cost.

    Attributes
    ----------
    on, metric, first, second : str
    nfe, error : float
        nan if they do not cross.
    below, above : str
        Which is better at fewer evaluations, and at more.
    low, high : float
        The range of NFE looked at.
    """

    on: str
    metric: str
    first: str
    second: str
    nfe: float
    error: float
    below: str
    above: str
    low: float
    high: float


def label_of(job: Job) -> str:
    """Return a method's name with its options, and its start if that is not the practical one."""
    return frames.named(job.method.labelled(job.options), job.start)


class Study:
    """One method under all questions, so that they share what is computed.

    Parameters
    ----------
    job : Job
    plan : Plan
    everywhere : bool
        Measure methods whose densities take long on the line too.
    """

    def __init__(self, job: Job, plan: Plan, *, everywhere: bool = True) -> None:
        self.job, self.plan, self.everywhere = job, plan, everywhere
        self.costs = Costs(job, plan.setting)
        self.gaussians = OnGaussians(self.costs)
        self.label = label_of(job)
        self._on_line: dict[str, OnLine] = {}

    def against(self, what: str) -> Iterator[Growth]:
        """Measure what the method needs against one size.

        Raises ValueError for a size that is none of `AGAINST`.
        """
        if what not in AGAINST:
            raise unknown("against", what, list(AGAINST))
        if what == "epsilon":
            for name in self.plan.targets:
                if targets.load(name).is_gaussian or self.on_the_line:
                    yield from self._against_epsilon(name)
            return
        if what in ("separation", "modes"):
            if not self.on_the_line:
                return
            sizes = SEPARATIONS if what == "separation" else MODES
            shapes = [(2, size) if what == "separation" else (size, MODE_SPACING) for size in sizes]
            on = "two equal modes" if what == "separation" else f"modes {MODE_SPACING} deviations apart"
            asked: list[tuple[float, float, ErrorOf]] = [
                (size, TV, OnLine(self.costs, modes(*shape)))
                for size, shape in zip(sizes, shapes, strict=True)
            ]
            yield self._growth(what, on, "TV", asked, self.plan.most_on_line)
            return
        for family in families(what):
            for metric, target in family.held:
                asked = [
                    (size, target, ByLaw(self.gaussians, law, metric))
                    for size, law in zip(family.sizes, family.targets, strict=True)
                ]
                yield self._growth(what, family.on, metric, asked, self.plan.most)

    @property
    def on_the_line(self) -> bool:
        """Whether densities are measured."""
        return self.everywhere or self.job.method.name not in SLOW

    def error_on(self, name: str, metric: str = "") -> tuple[str, ErrorOf, int]:
        """Return (metric, error in so many steps, most steps) on a target by name.

        Raises ValueError for a target of several dimensions that is no Gaussian.
        """
        target = targets.load(name)
        if target.is_gaussian:
            metric = metric or "W2/scale"
            return metric, ByLaw(self.gaussians, target, metric), self.plan.most
        if target.dim > 1:
            raise ValueError(f"target is {name!r}: give a Gaussian or a mixture on the line, such as easy-1d")
        if name not in self._on_line:
            self._on_line[name] = OnLine(self.costs, target)
        return "TV", self._on_line[name], self.plan.most_on_line

    def _against_epsilon(self, name: str) -> Iterator[Growth]:
        for metric in ("W2/scale", "KL") if targets.load(name).is_gaussian else ("TV",):
            metric, error, most = self.error_on(name, metric)
            yield self._growth("epsilon", name, metric, [(1 / e, e, error) for e in EPSILONS], most)

    def _growth(
        self,
        against: str,
        on: str,
        metric: str,
        asked: Sequence[tuple[float, float, ErrorOf]],
        most: int,
    ) -> Growth:
        needs = tuple(self._need(size, target, error, most) for size, target, error in asked)
        claims = [c.order for c in self.job.method.claims if c.sense in ("ode", "weak")]
        return Growth(
            against,
            on,
            self.label,
            not self.costs.tableau(4).deterministic,
            max(claims, default=float("nan")),
            metric,
            needs,
            exponent_of(needs),
        )

    def _need(self, size: float, target: float, error: ErrorOf, most: int) -> Need:
        nothing = float("nan")
        try:
            steps = steps_to_stay(error, target, most, precision=PRECISION)
        except (NotReachedError, UnmeasurableError) as problem:
            reason = str(problem).removeprefix(f"target is {target:g}, ")
            unstable = "is inf" in reason and error.failure
            return Need(size, target, nothing, nothing, error.failure if unstable else reason)
        nfe = self.costs.nfe(steps)
        if steps == int(steps) > 1 and not np.isfinite(error(int(steps) - 1)):
            return Need(size, target, steps, nfe, f"fewer than {int(steps)} steps: {error.failure}")
        return Need(size, target, steps, nfe, FEW if steps < LEAST_STEPS else "")


def exponent_of(needs: Sequence[Need]) -> Slope:
    """Return the exponent of NFE ~ size^exponent with the care that orders are given.

    Sizes at which the target is not reached, or reached in too few steps to say how the error falls, are left out.
    Exponents below one are read on a stretched scale, on which they are about one: whether they have settled is then
    judged in proportion to them.
    """
    nfe = np.array([n.nfe if not n.reason else float("nan") for n in needs])
    known = np.flatnonzero(np.isfinite(nfe))
    sizes = np.array([n.size for n in needs], dtype=np.float64)
    stretch = 1.0
    if len(known) > 1:
        first, last = known[0], known[-1]
        whole = abs(np.log(nfe[last] / nfe[first]) / np.log(sizes[last] / sizes[first]))
        stretch = float(whole) if FLAT_EXPONENT < whole < 1 else 1.0
    # evaluations grow as errors fall: the exponent is the order of 1/NFE
    uncertainty = INTERPOLATION / np.where(np.isfinite(nfe), nfe, 1.0)
    slope = fit(list(sizes**stretch), 1 / nfe, uncertainty)
    local = tuple(stretch * x for x in slope.local)
    value, low, high = (stretch * x for x in (slope.value, slope.low, slope.high))
    status = slope.status
    if len(local) > 1:
        change = local[-1] - local[-2]
        share = float(nfe[known[-2]] / nfe[known[-1]])
        if abs(change) > max(MOST_CHANGE * abs(value), TINY):
            status = "drifting" if status == "settled" else status
        elif share < MOST_SHARE:
            # where the steps grow slowly so does the lead of the error's first term: what the next term, smaller by
            # 1/NFE, would still change belongs in the interval, twice over since sizes are unevenly spaced
            limit = local[-1] + 2 * change * share / (1 - share)
            low, high = min(low, limit), max(high, limit)
    window = (round(slope.window[0] ** (1 / stretch)), round(slope.window[1] ** (1 / stretch)))
    return replace(slope, value=value, low=low, high=high, window=window, local=local, status=status)


@dataclass(frozen=True)
class Family:
    """Gaussians of growing size.

    Attributes
    ----------
    on : str
    sizes : tuple of int
    targets : tuple of GaussianMixture
    held : tuple of (metric, error to reach)
    """

    on: str
    sizes: tuple[int, ...]
    targets: tuple[GaussianMixture, ...]
    held: tuple[tuple[str, float], ...]


def gaussian(variances: Array) -> GaussianMixture:
    """Return the Gaussian with these variances along the axes and means of half a standard deviation."""
    return GaussianMixture([1.0], 0.5 * np.sqrt(variances)[None, :], variances[None, :])


def families(against: str) -> tuple[Family, ...]:
    """Return the Gaussians whose size is varied: "dimension", "condition" or "intrinsic".

    dimension: variances 1, and 1/k as natural images have. condition: 16 variances from 1 down to 1/size, equal
    ratios. intrinsic: `size` variances 1 out of 1000, the others zero.
    """
    if against == "dimension":
        held: tuple[tuple[str, float], ...] = (("W2", W2), ("W2/scale", RELATIVE), ("KL", KL))
        isotropic = tuple(gaussian(np.ones(d)) for d in DIMENSIONS)
        natural = tuple(gaussian(1 / np.arange(1.0, d + 1)) for d in DIMENSIONS)
        return (
            Family("isotropic", DIMENSIONS, isotropic, held),
            Family("spectrum 1/k", DIMENSIONS, natural, held),
        )
    held = (("W2/scale", RELATIVE), ("KL", KL))
    if against == "condition":
        elongated = (gaussian(np.geomspace(1, 1 / c, CONDITION_DIMENSION)) for c in CONDITIONS)
        return (
            Family(f"{CONDITION_DIMENSION} variances in equal ratios", CONDITIONS, tuple(elongated), held),
        )
    held = (("W2", W2), ("KL", KL))
    flat = (gaussian((np.arange(AMBIENT) < k).astype(np.float64)) for k in DIMENSIONS)
    return (Family(f"k of {AMBIENT} dimensions", DIMENSIONS, tuple(flat), held),)


def modes(count: int, spacing: float) -> GaussianMixture:
    """Return equal modes on the line, `spacing` of their standard deviations apart, about zero."""
    places = MODE_DEVIATION * spacing * (np.arange(count) - (count - 1) / 2)
    return GaussianMixture(np.full(count, 1 / count), places[:, None], MODE_DEVIATION**2)


def crossings(first: Study, second: Study, name: str) -> list[Crossing]:
    """Find where two methods' errors on a target cross as evaluations grow.

    Both errors are interpolated on logarithms between whole numbers of steps and compared at half octaves of NFE, from
    the fewest both can spend to `CROSSING_NFE`; crossings closer than that are not seen.

    Returns
    -------
    list of Crossing
        By NFE; one with nan if they do not cross.

    Raises
    ------
    UnmeasurableError
        One of them has no law there.
    """
    metric, error, most = first.error_on(name)
    if metric == "TV" and not (first.on_the_line and second.on_the_line):
        return []
    most = min(most, CROSSING_NFE)
    a = AtEvaluations(first.costs, error, most)
    b = AtEvaluations(second.costs, second.error_on(name)[1], most)
    low = max(a.range[0], b.range[0])
    high = min(a.range[1], b.range[1], float(CROSSING_NFE))
    places = np.geomspace(low, high, int(2 * np.log2(high / low)) + 2)[:-1]
    floor = np.log(ROUNDING)
    values = np.array([(a(x), b(x)) for x in places])
    gaps = np.where(np.all(values > floor, axis=1), values[:, 0] - values[:, 1], np.nan)
    named = (first.label, second.label)
    found = []
    for (x, before), (y, after) in itertools.pairwise(zip(places, gaps, strict=True)):
        if before * after < 0:
            nfe = float(brentq(lambda at: a(at) - b(at), x, y, rtol=1e-6))
            order = named if before < 0 else named[::-1]
            found.append(Crossing(name, metric, *named, nfe, float(np.exp(a(nfe))), *order, low, high))
    if found:
        return found
    nothing = float("nan")
    known = gaps[np.isfinite(gaps)]
    better = "" if not len(known) else named[0] if known[-1] < 0 else named[1]
    return [Crossing(name, metric, *named, nothing, nothing, better, better, low, high)]


def pairs_of(labels: Sequence[str], everything: bool) -> list[tuple[str, str]]:
    """Return the pairs to compare: those of `PAIRS`, or of all methods named."""
    if everything:
        return list(itertools.combinations(labels, 2))
    return [(a, b) for a, b in PAIRS if a in labels and b in labels]
