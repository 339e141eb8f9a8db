"""Claims held against what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from solvers import Claim

from ..inference import Verdict, judge
from ..ladder import START_UP, Measurement
from ..setting import Job, from_start


@dataclass(frozen=True)
class Judgement:
    """A claim with the verdict on it and the measurements that decided."""

    method: str
    start: str
    claim: Claim
    verdict: Verdict
    reason: str


DECIDING = {
    "ode": ("w2", "tv", "weak", START_UP),
    "weak": ("w2", "tv", "weak", START_UP),
    "strong": ("strong",),
    "tv": ("tv",),
    "kl": ("kl",),
    "path-kl": ("path-kl",),
}


def verdict(claim: Claim, measurements: Sequence[Measurement], gaussian: set[str]) -> tuple[Verdict, str]:
    """Hold one claim against all measurements of one method from one start.

    A Gaussian alone can refute but not confirm: a linear score hides terms. Returns the verdict and its reason.
    """
    deciding = [m for m in measurements if m.metric in DECIDING[claim.sense]]
    if not deciding:
        return "unresolved", f"nothing measured in the {claim.sense} sense"
    slopes = [m.slope for m in deciding]
    decision = judge(claim.order, *slopes)
    if decision == "refuted":
        against = (m for m in deciding if judge(claim.order, m.slope) == "refuted")
        sharpest = min(against, key=lambda m: m.slope.high - m.slope.low)
        return decision, f"{sharpest.metric} on {sharpest.target} has order {sharpest.slope}"
    if (
        decision == "confirmed"
        and judge(claim.order, *(m.slope for m in deciding if m.target not in gaussian)) != decision
    ):
        return "unresolved", "settled on Gaussians alone, whose linear score hides terms"
    if decision == "unresolved":
        open_ones = [m for m in deciding if judge(claim.order, m.slope) == "unresolved"]
        return decision, "; ".join(f"{m.metric} on {m.target}: {m.slope}" for m in open_ones)
    return (
        decision,
        f"order at least {min((s.value for s in slopes if np.isfinite(s.value)), default=np.inf):.3g}",
    )


def judgements(found: Sequence[Measurement], work: Sequence[Job]) -> list[Judgement]:
    """Hold the claims of methods against everything measured of them, from each start or under each noise."""
    methods = {job.text: job.method for job in work}
    judged = []
    for method, start in dict.fromkeys((m.method, m.start) for m in found):
        own = [m for m in found if (m.method, m.start) == (method, start)]
        linear = {m.target for m in own if m.linear}
        judged += [
            Judgement(method, start, claim, *verdict(claim, own, linear)) for claim in methods[method].claims
        ]
    return judged


def claims_of(judged: Sequence[Judgement]) -> dict[str, list[Claim]]:
    """Return the claims that were judged, by method."""
    found: dict[str, list[Claim]] = {}
    for j in judged:
        found.setdefault(j.method, []).append(j.claim)
    return found


def refutations(judgements: Sequence[Judgement]) -> list[str]:
    """Return a line for every refuted claim, with what refuted it."""
    return [
        f"refuted: {from_start(j.method, j.start)}, {j.claim.order:g} {j.claim.sense} by {j.claim.source}: {j.reason}"
        for j in judgements
        if j.verdict == "refuted"
    ]


def order_of(claim: Claim) -> str:
    """Return a claim in two words: its order, or that it is exact, and the sense."""
    return f"exact {claim.sense}" if np.isinf(claim.order) else f"{claim.order:g} {claim.sense}"
