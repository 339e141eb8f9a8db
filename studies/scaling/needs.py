"""How many evaluations a continuous method needs to reach an error, against one size of the target at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from analytic import targets
from analytic.names import unknown
from analytic.reprs import brief

from ..inference import NOT_FITTED, TINY, Slope, fit
from ..laws import MEASURED, means_of
from ..numbers import AXIS, OUTCOME, measured
from ..setting import Job, Setting
from ..steps_needed import NotReachedError, steps_to_stay
from .errors import ByLaw, Costs, ErrorOf, OnFlow, OnGaussians, OnLine, OnSamples, UnmeasurableError
from .targets import MODE_SPACING, MODES, SEPARATIONS, TV, families, modes

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
SAMPLED, FLOWING = "sliced W2/scale", "distance to the flow/scale"
SLOW = ("sde-dpm-solver++-2m", "stochastic-heun")  # seconds a density: on the line only when named
EPSILONS = tuple(float(f"{first}e-{k}") for k in range(1, 9) for first in ((1,) if k == 1 else (5, 2, 1)))
MOST = 1 << 15
MOST_ON_LINE = 1 << 8
PRECISION = 0.02  # ratio of the numbers of steps between which crossings are interpolated
INTERPOLATION = 1e-4  # what that does to a number of steps, relative
LEAST_STEPS = 2.0  # below, a number of steps is no measure of an error
FEW = "fewer than two steps do"
MOST_CHANGE = 0.05  # of itself: an exponent that changes by more from a size to the next is on its way
MOST_SHARE = 0.9  # NFE that grow by less from a size to the next do not say where exponents go
WIDE = 1e6  # sizes times this are told apart as whole numbers, which windows are given in
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
    model : denoiser, optional
        Of one's own, asked instead of the exact one: by samples, whatever the target.
    """

    setting: Setting = field(default_factory=Setting)
    targets: tuple[str, ...] = TARGETS
    most: int = MOST
    most_on_line: int = MOST_ON_LINE
    model: Any = None


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
    status : str
        "measured", "not reached", "no law", or "not seen" below what samples of the truth have.
    """

    size: float = field(metadata=AXIS)
    target: float = field(metadata=AXIS)
    steps: float = field(metadata=OUTCOME)
    nfe: float = field(metadata=measured())
    reason: str = ""
    status: str = MEASURED


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
        "W2", "W2/scale" (over the root of the trace of the target's covariance), "KL", "TV", or by samples
        "distance to the flow/scale" (in the mean, over the same root) and, with noise, "sliced W2/scale" (over the root
        of the mean variance).
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

    __repr__ = brief


class Needs:
    """What one method needs under all questions, so that they share what is computed.

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
        self.label = job.label
        self._on_line: dict[str, OnLine] = {}
        self._on_samples: dict[str, OnFlow | OnSamples] = {}

    def against(self, what: str) -> Iterator[Growth]:
        """Measure what the method needs against one size.

        Raises ValueError for a size that is none of `AGAINST`.
        """
        if what not in AGAINST:
            raise unknown("against", what, list(AGAINST))
        if what == "epsilon":
            for name in self.plan.targets:
                if means_of(targets.load(name), self.plan.model) != "density" or self.on_the_line:
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

    @cached_property
    def _deterministic(self) -> bool:
        return self.costs.tableau(4).deterministic

    @property
    def on_the_line(self) -> bool:
        """Whether densities are measured."""
        return self.everywhere or self.job.method.name not in SLOW

    def error_on(self, name: str, metric: str = "") -> tuple[str, ErrorOf, int]:
        """Return (metric, error in so many steps, most steps) on a target by name.

        By samples on a target of several dimensions that is no Gaussian, and with a model of one's own: how far from
        the flow, or with noise from the exact marginal.
        """
        target, model = targets.load(name), self.plan.model
        if target.is_gaussian and model is None:
            metric = metric or "W2/scale"
            return metric, ByLaw(self.gaussians, target, metric), self.plan.most
        if target.dim > 1 or model is not None:
            if name not in self._on_samples:
                kind = OnFlow if self._deterministic else OnSamples
                self._on_samples[name] = kind(self.costs, target, model)
            metric = FLOWING if self._deterministic else SAMPLED
            return metric, self._on_samples[name], self.plan.most_on_line
        if name not in self._on_line:
            self._on_line[name] = OnLine(self.costs, target)
        return "TV", self._on_line[name], self.plan.most_on_line

    def _against_epsilon(self, name: str) -> Iterator[Growth]:
        exact = means_of(targets.load(name), self.plan.model) == "law"
        for metric in ("W2/scale", "KL") if exact else ("",):
            metric, error, most = self.error_on(name, metric)
            # the divergence is quadratic in the law's error: its squares are reached where the error is
            power = 2 if metric == "KL" else 1
            epsilons = [float(f"{e**power:.1e}") for e in EPSILONS]
            yield self._growth("epsilon", name, metric, [(1 / e, e, error) for e in epsilons], most)

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
            not self._deterministic,
            max(claims, default=float("nan")),
            metric,
            needs,
            exponent_of(needs),
        )

    def _need(self, size: float, target: float, error: ErrorOf, most: int) -> Need:
        if isinstance(error, OnSamples) and target < 2 * error.floor:
            reason = f"{OnSamples.SAMPLES} samples of the truth itself have {error.floor:.2g}"
            return Need(size, target, float("nan"), float("nan"), reason, "not seen")
        try:
            steps = steps_to_stay(error, target, most, precision=PRECISION)
        except (NotReachedError, UnmeasurableError) as problem:
            reason = str(problem).removeprefix(f"target is {target:g}, ")
            status = "no law" if isinstance(problem, UnmeasurableError) else "not reached"
            if "is inf" in reason and error.failure:
                status, reason = "no law", error.failure
            return Need(size, target, float("nan"), float("nan"), reason, status)
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
    if len(known) == 1:  # one number has no exponent
        return NOT_FITTED
    stretched = WIDE * sizes**stretch
    # evaluations grow as errors fall: the exponent is the order of 1/NFE
    uncertainty = INTERPOLATION / np.where(np.isfinite(nfe), nfe, 1.0)
    slope = fit(list(stretched), 1 / nfe, uncertainty, may_stay=False)
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
    places = [int(np.argmin(np.abs(stretched - end))) for end in slope.window]
    window = (round(sizes[places[0]]), round(sizes[places[1]]))
    return replace(slope, value=value, low=low, high=high, window=window, local=local, status=status)
