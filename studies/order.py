"""The order study: what order has each sampler, and does it keep what its paper claims?"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from analytic import GaussianMixture
from analytic import targets as named
from solvers import Claim, catalogue
from solvers.catalogue import Method

from .inference import Slope, Verdict, judge
from .ladders import START_UP, Ladder, Measurement, Setting, measure
from .store import Store


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


@dataclass(frozen=True)
class Job:
    """One method from one start, with its options."""

    method: Method
    start: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The method's name with its options, and its start if that is not the practical one."""
        return from_start(self.method.labelled(self.options), self.start)


def from_start(method: str, start: str) -> str:
    """Return the method with its start, or its noise, where that is not the plain one."""
    return method + {"practical": "", "exact": " (exact start)"}.get(start, f" ({start})")


def jobs(methods: Sequence[str] | None = None, starts: Sequence[str] = ("practical", "exact")) -> list[Job]:
    """List what to study: the named methods (all continuous ones by default), multistep ones from each start.

    Raises ValueError for an unknown method, with near names.
    """
    chosen = [catalogue[name] for name in methods] if methods else list(catalogue.continuous.values())
    return [Job(m, s) for m in chosen for s in (starts if m.multistep else ("practical",))]


def study(
    job: Job, targets: dict[str, GaussianMixture], setting: Setting, store: Store | None = None
) -> tuple[list[Measurement], list[Judgement]]:
    """Measure one method from one start on every target and hold its claims against the results.

    With a store, what it has already is read and what is finished is kept.
    """
    found: list[Measurement] = []
    for name, target in targets.items():
        key = {
            "study": "order",
            "method": job.method.name,
            "start": job.start,
            "options": job.options,
            "target": name,
            "setting": asdict(setting) | {"path": repr(setting.path)},
            "parameters": hashlib.sha256(
                b"".join(
                    np.ascontiguousarray(a).tobytes()
                    for a in (target.weights, target.means, target.variances)
                )
            ).hexdigest(),
        }
        saved = store.load(key) if store else None
        if saved is None:
            measured = measure(Ladder(job.method, job.start, setting, job.options), name, target)
            if store:
                store.save(key, [asdict(m) for m in measured])
        else:
            measured = [restored(m) for m in saved]
        found += measured
    gaussian = {name for name, target in targets.items() if target.is_gaussian}
    return found, [
        Judgement(job.method.name, job.start, claim, *verdict(claim, found, gaussian))
        for claim in job.method.claims
    ]


def restored(record: dict[str, Any]) -> Measurement:
    """Rebuild a measurement from JSON, which has lists for tuples."""

    def tuples(fields: dict[str, Any]) -> dict[str, Any]:
        return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}

    slope = Slope(**tuples(record.pop("slope")))
    return Measurement(**tuples(record), slope=slope)


def order(
    methods: Sequence[str] | None = None,
    targets: dict[str, GaussianMixture] | Sequence[str] = ("gaussian-1d", "easy-1d"),
    setting: Setting | None = None,
    starts: Sequence[str] = ("practical", "exact"),
) -> tuple[list[Measurement], list[Judgement]]:
    """Measure methods on targets and hold their claims against the results.

    Parameters
    ----------
    methods : sequence of str, optional
        Catalogue names; all by default.
    targets : names of `analytic.targets`, or a dict of mixtures
    setting : Setting, optional
    starts : sequence of str
        Starts of multistep methods: "practical", "exact".

    Returns
    -------
    measurements, judgements
        `studies.frames` turns them into data frames.

    Raises
    ------
    ValueError
        An unknown name, or a setting a method cannot take.
    """
    setting = setting or Setting()
    if not isinstance(targets, dict):
        targets = {name: named.load(name) for name in targets}
    measurements: list[Measurement] = []
    judgements: list[Judgement] = []
    for job in jobs(methods, starts):
        measured, judged = study(job, targets, setting)
        measurements += measured
        judgements += judged
    return measurements, judgements
