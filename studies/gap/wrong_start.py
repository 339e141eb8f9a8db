"""What is left at the end of a wrong start, at equal evaluations: in law, and between two copies of one noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from solvers import sample

from ..laws import GROUPS, Estimate, apart, law_or_none, of_squares
from ..setting import steps_for
from ..specifications import job_of
from .gaps import Gap, Plan, starts

METHODS = (
    "euler",
    "ddim-eta(eta=0.5)",
    "ddpm",
    "heun",
    "edm-churn(s_churn=10.0)",
    "restart",
    "restart(intervals=((4, 2, 0.5, 20.0),))",
    "stochastic-heun",
)
BUDGETS = (16, 64)
COPIES = 20_000
BEGAN, COPY = "the exact start", "its copy"


def by_start(
    plan: Plan, methods: Sequence[str] = METHODS, budgets: Sequence[int] = BUDGETS, shift: float = 1.0
) -> Iterator[Gap]:
    """Start methods from the exact marginal with its mean off by `shift` deviations, the score being exact.

    KL and W2 are those between the ends reached from the wrong and from the exact start; "its copy" is the root mean
    square distance between two copies that differ in their starts, by the shift, and share all noise.
    """
    for method in methods:
        job = job_of(method)
        for budget in budgets:
            steps = steps_for(job, plan.setting, budget)
            tableau = job.method.tableau(plan.setting.path, plan.setting.nodes(steps), **job.options)
            exact, moved = starts(plan, float(plan.setting.nodes(steps)[0]), shift)
            off, right = (
                law_or_none(tableau, plan.target, initial=one, means="density") for one in (moved, exact)
            )
            left = apart(off, right, ("KL", "W2"))
            x = exact.sample(COPIES, plan.setting.seed)
            far = moved.means[0] - exact.means[0]
            one, other = (sample(tableau, plan.target, COPIES, plan.setting.seed, at) for at in (x + far, x))
            squares = ((one - other) ** 2).sum(axis=1)
            copies = Estimate(*of_squares([float(np.mean(part)) for part in np.array_split(squares, GROUPS)]))
            began = {"KL": float("nan"), "W2": float(np.linalg.norm(far))}
            for to, metric, found in (
                (BEGAN, "KL", left["KL"]),
                (BEGAN, "W2", left["W2"]),
                (COPY, "W2", copies),
            ):
                numbers = found.value, began[metric], found.uncertainty
                yield Gap(
                    "start",
                    plan.name,
                    "NFE",
                    budget,
                    job.text,
                    to,
                    metric,
                    *numbers,
                    found.status,
                    found.reason,
                )
