"""Error against cost on a target that only samples can measure: a data set such as the digits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture, distances
from solvers import catalogue, sample
from solvers.continuous.executors.mixture_block import draw_samples

from ..inference import Slope
from ..ladder import Measurement
from ..setting import Job, Setting

Array = NDArray[np.float64]
BUDGETS = (4, 8, 16, 32, 64)
REFERENCE_STEPS = 64
SAMPLES = 1024
_NO_SLOPE = Slope(float("nan"), float("nan"), float("nan"), (0, 0), "not fitted")


class Reference:
    """What samples are compared with: fresh draws of the truth, and the flow's own end from the same start."""

    def __init__(self, name: str, target: GaussianMixture, setting: Setting, n: int) -> None:
        self.name, self.target, self.setting, self.n = name, target, setting, n
        tableau = catalogue["dpm-solver++-3s"].tableau(setting.path, setting.nodes(REFERENCE_STEPS))
        self.start = draw_samples(target.noised(*tableau.start), n, setting.seed)
        self.truth = draw_samples(target.noised(*tableau.end), n, setting.seed + 1)
        self.flow = sample(tableau, target, n, setting.seed, self.start)


def error_against_cost(
    job: Job, reference: Reference, budgets: Sequence[int] = BUDGETS
) -> Iterator[tuple[Measurement, dict[tuple[str, int], Array]]]:
    """Measure one method at equal numbers of evaluations.

    Yields
    ------
    measurement, samples
        "energy": energy distance to fresh samples of the truth, unbiased, with its standard error; and for
        deterministic methods "flow": root mean square distance per sample from the end of the flow. The
        samples are keyed by (method, NFE).
    """
    setting, target = reference.setting, reference.target
    stages = job.method.tableau(setting.path, setting.nodes(8), **job.options).nfe / 8
    steps = sorted({max(1, int(budget / stages)) for budget in budgets})
    nfe, energy, spread, flow, kept = [], [], [], [], {}
    for N in steps:
        tableau = job.method.tableau(setting.path, setting.nodes(N), start=job.start, **job.options)
        try:
            x = sample(tableau, target, reference.n, setting.seed, reference.start)
        except FloatingPointError:
            x = np.full_like(reference.start, np.nan)
        nfe.append(tableau.nfe)
        kept[job.method.name, tableau.nfe] = x
        estimate = distances.energy_distance(x, reference.truth) if np.isfinite(x).all() else None
        energy.append(float("nan") if estimate is None else estimate.value)
        spread.append(float("nan") if estimate is None else estimate.error)
        flow.append(float(np.sqrt(np.mean(np.sum((x - reference.flow) ** 2, axis=1)))))

    def bundle(metric: str, errors: list[float], uncertainty: list[float]) -> Measurement:
        return Measurement(
            job.method.name,
            job.start,
            reference.name,
            metric,
            "samples",
            tuple(steps),
            tuple(nfe),
            tuple(errors),
            tuple(uncertainty),
            _NO_SLOPE,
        )

    yield bundle("energy", energy, spread), kept
    if tableau.deterministic:
        yield bundle("flow", flow, [0.0] * len(steps)), {}


def by_samples_only(target: GaussianMixture) -> bool:
    """True for targets on which slopes say little: atoms in many dimensions."""
    return target.dim > 2 and not target.is_gaussian


def arrays_of(samples: dict[tuple[str, int], Any], most: int = 16) -> dict[tuple[str, int], Array]:
    """Keep the first few samples of each cell, for pictures."""
    return {key: x[:most] for key, x in samples.items()}
