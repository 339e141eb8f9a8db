"""Errors of one method in a number of steps on families of targets, each computed once however often asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture
from solvers import Tableau, law
from solvers.continuous.executors.law import GaussianLaw, gaussian_law

from ..along_the_flow import Flow
from ..laws import MEASURED, error, floor
from ..setting import Job, Setting

Array = NDArray[np.float64]
MOST_REFUSED = 8  # steps, no start needs more


class ErrorOf(Protocol):
    """The error in a number of steps, inf where there is no law, and then why."""

    @property
    def failure(self) -> str: ...

    def __call__(self, steps: int) -> float: ...


class UnmeasurableError(ValueError):
    """No exact law of this method on this target; says why."""


class Costs:
    """Tableaux of one method, and what they cost.

    Parameters
    ----------
    job : Job
    setting : Setting

    Attributes
    ----------
    refusal : str
        Why the method takes no fewer than `least` steps.
    """

    def __init__(self, job: Job, setting: Setting) -> None:
        self.job, self.setting = job, setting
        self.refusal = ""
        self._nfe: dict[int, int] = {}

    def tableau(self, steps: int) -> Tableau:
        """Return the method on the setting's grid in so many steps."""
        job = self.job
        built = job.method.tableau(
            self.setting.path, self.setting.nodes(steps), start=job.start, **job.options
        )
        self._nfe[steps] = built.nfe
        return built

    @cached_property
    def least(self) -> int:
        """Fewest steps the method can take: some starts need more than one.

        Raises the ValueError of a method that takes no number of steps at all, for its options say.
        """
        for steps in range(1, MOST_REFUSED):
            try:
                self.tableau(steps)
            except ValueError as problem:
                self.refusal = str(problem)
            else:
                return steps
        self.tableau(MOST_REFUSED)
        return MOST_REFUSED

    def nfe(self, steps: float) -> float:
        """Return the evaluations that a real number of steps stands for, by a line between whole numbers.

        Below one step, in proportion to it.
        """
        low = int(steps)
        for whole in (low, low + 1):
            if whole and whole not in self._nfe:
                self.tableau(whole)
        least = self._nfe[low] if low else 0
        return least + (steps - low) * (self._nfe[low + 1] - least)


@dataclass(frozen=True)
class Error:
    """How far a sampler's Gaussian is from the marginal at the grid's end.

    Attributes
    ----------
    w2 : float
        Of the whole vector, in the target's own units.
    relative : float
        The same over the root of the trace of the target's covariance.
    kl : float
        KL(sampler || marginal), nats.
    """

    w2: float
    relative: float
    kl: float


NO_LAW = Error(float("inf"), float("inf"), float("inf"))


class OnGaussians:
    """Errors on Gaussians, by exact law.

    The law of a coordinate along the target's axes depends on its own mean and variance alone, so each pair of these
    is carried through the steps once, however many coordinates and targets have it. Cost O(steps * pairs not seen
    before).

    Parameters
    ----------
    costs : Costs
    """

    def __init__(self, costs: Costs) -> None:
        self.costs = costs
        self._coordinates: dict[int, dict[tuple[float, float], tuple[float, float]]] = {}
        self._errors: dict[tuple[int, GaussianMixture], Error] = {}
        self.failure = ""

    def of(self, steps: int, target: GaussianMixture) -> Error:
        """Return the errors in so many steps; infinite if the method is unstable."""
        if steps < self.costs.least:
            self.failure = self.costs.refusal
            return NO_LAW
        key = (steps, target)
        if key not in self._errors:
            try:
                self._errors[key] = self._measure(steps, target)
            except FloatingPointError as problem:
                self._errors[key], self.failure = NO_LAW, str(problem)
        return self._errors[key]

    def _measure(self, steps: int, target: GaussianMixture) -> Error:
        data = gaussian_law(target)
        known = self._coordinates.setdefault(steps, {})
        tableau = self.costs.tableau(steps)
        pairs, places = np.unique(
            np.stack([data.centre, data.variances], axis=1), axis=0, return_inverse=True
        )
        new = np.array([pair for pair in pairs if tuple(pair) not in known])
        if len(new):
            apart = GaussianMixture([1.0], new[None, :, 0], new[None, :, 1])
            found = law(tableau, apart, self.costs.setting.initial)
            moments = zip(found.mean, found.variances, strict=True)
            known |= {(m, v): after for (m, v), after in zip(new, moments, strict=True)}
        after = np.array([known[m, v] for m, v in pairs])[places.ravel()]
        sampler = GaussianLaw(after[:, 0], after[:, 1], None)
        alpha, sigma = tableau.end
        truth = GaussianLaw(alpha * data.centre, alpha**2 * data.variances + sigma**2, None)
        gap = sampler.error_to(truth)
        return Error(gap.w2, gap.w2 / float(np.sqrt(data.variances.sum())), gap.kl)


class ByLaw:
    """One of the errors on one Gaussian, as a function of the steps.

    Parameters
    ----------
    gaussians : OnGaussians
    target : GaussianMixture
    metric : str
        "W2", "W2/scale" or "KL".

    Attributes
    ----------
    failure : str
        Why there is no law where the error is infinite.
    """

    PARTS = MappingProxyType({"W2": "w2", "W2/scale": "relative", "KL": "kl"})

    def __init__(self, gaussians: OnGaussians, target: GaussianMixture, metric: str) -> None:
        self.gaussians, self.target, self.part = gaussians, target, self.PARTS[metric]

    @property
    def failure(self) -> str:
        return self.gaussians.failure

    def __call__(self, steps: int) -> float:
        return float(getattr(self.gaussians.of(steps, self.target), self.part))


class OnLine:
    """Total variation on one mixture on the line, by the sampler's density.

    Parameters
    ----------
    costs : Costs
    target : one-dimensional GaussianMixture

    Attributes
    ----------
    failure : str
        Why there is no law where the error is infinite.
    """

    RESOLUTION = 0.5  # leaves 1e-8 or less, see the tests: far below every target

    def __init__(self, costs: Costs, target: GaussianMixture) -> None:
        self.costs, self.target = costs, target
        self.failure = ""
        self._errors: dict[int, float] = {}

    def __call__(self, steps: int) -> float:
        """Return TV to the marginal at the grid's end; inf if there is no law in so few steps.

        Raises UnmeasurableError where the density of this method cannot be had at all.
        """
        if steps < self.costs.least:
            self.failure = self.costs.refusal
            return float("inf")
        if steps not in self._errors:
            tableau = self.costs.tableau(steps)
            try:
                found = error(tableau, self.target, self.costs.setting.initial, "TV", self.RESOLUTION)
            except ValueError as problem:
                raise UnmeasurableError(str(problem)) from None
            self._errors[steps], self.failure = found.value, found.reason or self.failure
            if found.status != MEASURED:
                self._errors[steps] = float("inf")
        return self._errors[steps]


class OnSamples:
    """Sliced W2 on one target that no law reaches, by samples of the same points and noise for every number of steps.

    Parameters
    ----------
    costs : Costs
    target : GaussianMixture
    model : denoiser, optional
        What is asked; the exact one if None.

    Attributes
    ----------
    failure : str
        Why there is no error where it is infinite.
    """

    SAMPLES = 200_000

    def __init__(self, costs: Costs, target: GaussianMixture, model: Any = None) -> None:
        self.costs, self.target, self.model = costs, target, model
        self.scale = float(np.sqrt(np.mean(np.diag(target.covariance()))))
        self.failure = ""
        self._errors: dict[int, float] = {}

    @cached_property
    def floor(self) -> float:
        """What samples of the truth have: errors are not seen below twice of it."""
        return floor(self.target, self.costs.tableau(self.costs.least).end, self.SAMPLES) / self.scale

    def __call__(self, steps: int) -> float:
        """Return the error over the root of the mean variance; inf if the method is unstable in so few steps."""
        if steps < self.costs.least:
            self.failure = self.costs.refusal
            return float("inf")
        if steps not in self._errors:
            tableau = self.costs.tableau(steps)
            asked = {"samples": self.SAMPLES, "model": self.model}
            found = error(tableau, self.target, self.costs.setting.initial, **asked)
            self.failure = found.reason or self.failure
            self._errors[steps] = found.value / self.scale if found.status == MEASURED else float("inf")
        return self._errors[steps]


class OnFlow:
    """Mean distance of a method's ends from those of the flow, on one target that no law reaches: without a floor.

    Parameters
    ----------
    costs : Costs
    target : GaussianMixture
    model : denoiser, optional
        Whose flow it is; the exact one if None.

    Attributes
    ----------
    failure : str
        Why there is no error where it is infinite.
    """

    def __init__(self, costs: Costs, target: GaussianMixture, model: Any = None) -> None:
        self.costs = costs
        self.flow = Flow(target, costs.setting.path, model)
        self.scale = float(np.sqrt(np.trace(target.covariance())))
        self.failure = ""
        self._errors: dict[int, float] = {}

    def __call__(self, steps: int) -> float:
        """Return the distance over the root of the covariance's trace; inf if the method is unstable in so few."""
        if steps < self.costs.least:
            self.failure = self.costs.refusal
            return float("inf")
        if steps not in self._errors:
            found = self.flow.distance(self.costs.job, self.costs.setting.nodes(steps))
            self.failure = found.reason or self.failure
            self._errors[steps] = found.value / self.scale if found.status == MEASURED else float("inf")
        return self._errors[steps]


class AtEvaluations:
    """The error at a real number of evaluations, interpolated on logarithms between whole numbers of steps.

    Parameters
    ----------
    costs : Costs
    error : callable
        Error in so many steps.
    most : int
        Steps to go no further than.
    """

    def __init__(self, costs: Costs, error: Callable[[int], float], most: int) -> None:
        self.costs, self.error, self.most = costs, error, most

    @property
    def range(self) -> tuple[float, float]:
        """Fewest and most evaluations."""
        return self.costs.nfe(self.costs.least), self.costs.nfe(self.most)

    def steps(self, nfe: float) -> int:
        """Return the largest number of steps below `most` that costs no more."""
        low, high = self.costs.least, self.most
        # mostly a line between the ends, which spares the tableaux that halving would build
        first, last = self.range
        guess = round(low + (high - low) * (nfe - first) / (last - first))
        for place in (guess, guess - 1):
            if low <= place < high and self.costs.nfe(place) <= nfe < self.costs.nfe(place + 1):
                return place
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.costs.nfe(middle) <= nfe else (low, middle)
        return low

    def __call__(self, nfe: float) -> float:
        """Return the logarithm of the error; nan where there is none."""
        low = self.steps(nfe)
        ends = np.array([self.costs.nfe(low), self.costs.nfe(low + 1)])
        errors = np.array([self.error(low), self.error(low + 1)])
        if not np.all(np.isfinite(errors)) or np.any(errors <= 0):
            return float("nan")
        share = np.log(nfe / ends[0]) / np.log(ends[1] / ends[0])
        return float((1 - share) * np.log(errors[0]) + share * np.log(errors[1]))
