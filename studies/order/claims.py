"""Claims held against what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from solvers import Claim

from ..inference import exceeds, judge
from ..ladder import START_UP, Measurement
from ..setting import Job, from_start

Word = Literal["confirmed", "refuted", "not met", "limited by its start", "unresolved"]
LIMITED: Word = "limited by its start"
FAILS = ("refuted", "not met")


@dataclass(frozen=True)
class Judgement:
    """A claim with the verdict on it and the measurements that decided.

    Attributes
    ----------
    method, start : str
        The start, or the noise for tokens.
    claim : Claim
    verdict : str
        "confirmed"; "refuted" of what was published, and "not met" of what was deduced, where the measurements lie
        below it; "limited by its start" where the formula has the order and the practical start does not;
        "unresolved".
    words : str
        The verdict as tables have it, such as "confirmed (at least 2)".
    reason : str
    """

    method: str
    start: str
    claim: Claim
    verdict: Word
    words: str
    reason: str


MOMENTS = ("mean", "deviation")
DECIDING = {
    "ode": ("w2", "tv", "weak", START_UP),
    "weak": ("w2", "tv", "weak", START_UP),
    "strong": ("strong",),
    "tv": ("tv",),
    "kl": ("kl",),
    "path-kl": ("path-kl",),
}


def judged_alone(
    claim: Claim, measurements: Sequence[Measurement], gaussian: set[str]
) -> tuple[Word, str, str]:
    """Hold one claim against all measurements of one method from one start.

    A Gaussian alone can refute but not confirm: a linear score hides terms. Returns the verdict, how tables put it, and
    its reason.
    """
    failed: Word = "not met" if claim.basis == "deduced" else "refuted"
    deciding = [m for m in measurements if m.metric in DECIDING[claim.sense]]
    if START_UP in DECIDING[claim.sense]:
        # a law converges no faster than its moments, whose errors have signs
        deciding += [m for m in measurements if m.metric in MOMENTS and m.slope.status == "stalled"]
    if not deciding:
        return "unresolved", "unresolved", f"nothing measured in the {claim.sense} sense"
    slopes = [m.slope for m in deciding]
    decision = judge(claim.order, *slopes)
    if decision == "refuted":
        against = (m for m in deciding if judge(claim.order, m.slope) == "refuted")
        # the narrowest interval; one without says most
        sharpest = min(against, key=lambda m: np.nan_to_num(m.slope.high - m.slope.low, nan=-1.0))
        return failed, failed, _said(sharpest)
    if (
        decision == "confirmed"
        and judge(claim.order, *(m.slope for m in deciding if m.target not in gaussian)) != decision
    ):
        others = [m for m in deciding if m.target not in gaussian and judge(claim.order, m.slope) != decision]
        left = "; ".join(map(_said, others)) or "nothing else was measured"
        return "unresolved", "unresolved", f"met on Gaussians alone, whose linear score hides terms; {left}"
    if decision == "unresolved":
        open_ones = [m for m in deciding if judge(claim.order, m.slope) == "unresolved"]
        return "unresolved", "unresolved", "; ".join(_said(m) for m in open_ones)
    read = [s for s in slopes if np.isfinite(s.value)]
    above = bool(read) and np.isfinite(claim.order) and all(exceeds(claim.order, s) for s in read)
    words = f"confirmed (at least {claim.order:g})" if above else "confirmed"
    return "confirmed", words, f"order at least {min((s.value for s in read), default=np.inf):.3g}"


def _said(measurement: Measurement) -> str:
    slope = measurement.slope
    verb = "" if slope.status == "stalled" else "is " if not np.isfinite(slope.value) else "has order "
    return f"{measurement.metric} on {measurement.target} {verb}{slope}"


def judgements(
    found: Sequence[Measurement], work: Sequence[Job], noises: Mapping[str, str] | None = None
) -> list[Judgement]:
    """Hold the claims of methods against everything measured of them, from each start or under each noise.

    Parameters
    ----------
    found : sequence of Measurement
    work : sequence of Job
        What was measured.
    noises : mapping of str to str, optional
        For tokens: the class of each noise, by the name it has in the place of the start.
    """
    of = {job.text: job for job in work}
    judged = []
    for method, start in dict.fromkeys((m.method, m.start) for m in found):
        own = [m for m in found if (m.method, m.start) == (method, start)]
        linear = {m.target for m in own if m.linear}
        judged += [
            Judgement(method, start, claim, *judged_alone(claim, own, linear))
            for claim in _covering(of[method], start, noises)
        ]
    return [_limited(j, judged, found) if noises is None else j for j in judged]


def _covering(job: Job, start: str, noises: Mapping[str, str] | None) -> list[Claim]:
    where = (start, None) if noises is None else (None, noises[start])
    options = job.method.options | job.options
    return [claim for claim in job.method.claims if claim.covers(options, *where)]


def _limited(one: Judgement, judged: Sequence[Judgement], found: Sequence[Measurement]) -> Judgement:
    """Tell a formula that fails from one whose practical start does, by what the exact start gives."""
    if one.start != "practical" or one.verdict not in FAILS:
        return one
    slopes = [m.slope for m in found if (m.method, m.start, m.metric) == (one.method, "practical", START_UP)]
    exact = [j for j in judged if (j.method, j.start, j.claim) == (one.method, "exact", one.claim)]
    orders = [s.value for s in slopes if np.isfinite(s.value) and judge(one.claim.order, s) == "refuted"]
    if not orders or any(j.verdict in FAILS for j in exact):
        return one
    order = min(orders)
    practical = f"order {order:.2g} with the practical one"
    confirmed = bool(exact) and exact[0].verdict == "confirmed"
    words = f"confirmed from an exact start; {practical}" if confirmed else f"{LIMITED}: {practical}"
    return replace(one, verdict=LIMITED, words=words)


def claims_of(judged: Sequence[Judgement]) -> dict[str, list[Claim]]:
    """Return the claims that were judged, by method."""
    found: dict[str, list[Claim]] = {}
    for j in judged:
        found.setdefault(j.method, []).append(j.claim)
    return found


def reasons(judgements: Sequence[Judgement]) -> list[str]:
    """Return a line for every claim that is not confirmed, with what is in its way."""
    return [
        f"{j.verdict}: {from_start(j.method, j.start)}, {order_of(j.claim)} by {j.claim.source}: {j.reason}"
        for word in (*FAILS, LIMITED, "unresolved")
        for j in judgements
        if j.verdict == word
    ]


def uncovered(
    found: Sequence[Measurement], work: Sequence[Job], noises: Mapping[str, str] | None = None
) -> list[str]:
    """Return a line for every method of whose claims none is made for its options, start or noise."""
    of = {job.text: job for job in work}
    return [
        f"no claim: {from_start(method, start)}: {order_of(claim)} is claimed for {claim.conditions} alone"
        for method, start in dict.fromkeys((m.method, m.start) for m in found)
        if not _covering(of[method], start, noises)
        for claim in of[method].method.claims
    ]


def order_of(claim: Claim) -> str:
    """Return a claim in two words: its order, or that it is exact, and the sense."""
    return f"exact {claim.sense}" if np.isinf(claim.order) else f"{claim.order:g} {claim.sense}"
