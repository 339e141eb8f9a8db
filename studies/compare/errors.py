"""The error of one method for one number of evaluations, and when two errors are a tie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from analytic import GaussianMixture

from ..laws import MEASURED, METRICS, Estimate, apart, law_or_none, means_of, truth
from ..setting import Job, Setting, steps_for

TIE = 1.02  # errors in a smaller ratio are alike
NO_LAW, TOO_FEW = "no law", "too few"


@dataclass(frozen=True)
class Compared:
    """The error of one method on one target for one number of evaluations.

    Attributes
    ----------
    method, target : str
    budget : int
        Evaluations that there are.
    steps, nfe : int
        The most steps that they pay for, and what those take.
    metric : str
        "W2" on a Gaussian, "TV" on the line, "sliced W2" by samples elsewhere, to the exact marginal at the grid's end.
    error, uncertainty, floor : float
        `uncertainty`: half of the 99 % interval, 0 by exact laws. `floor`: what samples of the truth itself have.
    status, reason : str
        "measured"; "unstable"; "no law", of methods whose law cannot be had; "too few", where one step takes more.
    """

    method: str
    target: str
    budget: int
    steps: int
    nfe: int
    metric: str
    error: float
    uncertainty: float = 0.0
    floor: float = 0.0
    status: str = MEASURED
    reason: str = ""

    @property
    def told(self) -> float:
        """What the error is at most known to be: not below what samples of the truth have."""
        return max(self.error, self.floor)


def compared(job: Job, name: str, target: GaussianMixture, setting: Setting, budget: int) -> Compared:
    """Measure one method's error where it may ask the model so many times."""
    means = means_of(target)
    metric = METRICS[means][0]
    row = partial(Compared, job.label, name, budget)
    try:
        steps = min(steps_for(job, setting, budget), setting.limit)
        tableau = job.method.tableau(setting.path, setting.nodes(steps), start=job.start, **job.options)
    except ValueError as problem:
        return row(0, 0, metric, np.nan, status=TOO_FEW, reason=str(problem))
    if tableau.nfe > budget:
        reason = f"one step takes {tableau.nfe} evaluations"
        return row(steps, tableau.nfe, metric, np.nan, status=TOO_FEW, reason=reason)
    options = {"samples": setting.samples, "seed": setting.seed} if means == "samples" else {}
    floor = 0.0
    try:
        ended = law_or_none(tableau, target, initial=setting.initial, means=means, **options)
        true = truth(target, tableau.end, means, **options)
        found = apart(ended, true, (metric,))[metric]
        if means == "samples":
            other = truth(target, tableau.end, means, setting.samples, setting.seed + 2)
            floor = apart(other, true, (metric,))[metric].value
    except ValueError as problem:  # a noisy method with memory has no density on the line
        found = Estimate.failed(NO_LAW, problem)
    return row(steps, tableau.nfe, metric, found.value, found.uncertainty, floor, found.status, found.reason)


def alike(one: Compared, other: Compared) -> bool:
    """Whether two errors are a tie: nearly equal, or no further apart than their intervals or than samples tell."""
    if max(one.told, other.told) <= TIE * min(one.told, other.told):
        return True
    return abs(one.told - other.told) <= np.hypot(one.uncertainty, other.uncertainty)
