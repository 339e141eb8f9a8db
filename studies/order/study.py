"""The order study: what order has each sampler, and does it keep what its paper claims?"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from analytic import GaussianMixture
from analytic import targets as named

from ..inference import Slope
from ..ladder import Ladder, Measurement
from ..setting import Job, Setting, jobs
from ..store import Store
from .claims import Judgement, verdict
from .on_mixtures import measure


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
        `studies.order.tables` turns them into data frames.

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
