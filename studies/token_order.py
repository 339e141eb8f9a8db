"""The order study for samplers of tokens: slopes of TV, marginal KL and path KL, held against the claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from analytic import chains, sequences
from solvers import catalogue

from .ladders import Measurement
from .order import Job, Judgement, restored, verdict
from .store import Store
from .token_ladders import TokenSetting, measure

TARGETS = ("smooth", "sharp")
# Options whose effect is the point of a method, shown beside its defaults.
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "plug-in-posterior": ({}, {"fed": "cavity"}),
    "theta-rk-2": ({}, {"clip": False}),
    "theta-trapezoidal": ({}, {"clip": False}),
}


def token_jobs(methods: Sequence[str] | None = None) -> list[Job]:
    """List what to study: the named methods, by default all discrete ones with the variants worth a row.

    Guided ones are left out by default: they need a target with labels.
    """
    if methods:
        return [Job(catalogue[name], "practical") for name in methods]
    return [
        Job(method, "practical", options)
        for method in catalogue.discrete.values()
        if "label" not in method.options
        for options in VARIANTS.get(method.name, ({},))
    ]


def token_study(
    job: Job, targets: Mapping[str, sequences.SequenceLaw], setting: TokenSetting, store: Store | None = None
) -> tuple[list[Measurement], list[Judgement]]:
    """Measure one method under one noise on every target and hold its claims against the results.

    With a store, what it has already is read and what is finished is kept. Raises ValueError where the method
    cannot take the noise.
    """
    found: list[Measurement] = []
    for name, data in targets.items():
        key = {
            "study": "token order",
            "method": job.method.name,
            "options": job.options,
            "target": name,
            "law": data.log_probability(data.sample(32)).tolist(),
            "setting": asdict(setting) | {"process": repr(setting.process)},
        }
        saved = store.load(key) if store else None
        if saved is None:
            measured = list(measure(job.method, job.options, name, data, setting))
            if store:
                store.save(key, [asdict(m) for m in measured])
        else:
            measured = [restored(m) for m in saved]
        found += measured
    label = job.method.labelled(job.options)
    return found, [
        Judgement(label, setting.noise, claim, *verdict(claim, found, set())) for claim in job.method.claims
    ]


def refuses(job: Job, setting: TokenSetting) -> str | None:
    """Return why the method cannot take the noise, or None."""
    try:
        job.method.kernel(setting.process, setting.nodes(4), **job.options)
    except ValueError as error:
        return str(error)
    return None


def token_order(
    methods: Sequence[str] | None = None,
    targets: Mapping[str, sequences.SequenceLaw] | Sequence[str] = TARGETS,
    settings: Sequence[TokenSetting] | None = None,
) -> tuple[list[Measurement], list[Judgement]]:
    """Measure samplers of tokens by their exact laws and hold their claims against the results.

    Parameters
    ----------
    methods : sequence of str, optional
        Catalogue names; all discrete ones by default.
    targets : names of `analytic.sequences`, or a dict of laws
        Of one vocabulary and short: (states)^length at most some hundred for all metrics.
    settings : sequence of TokenSetting, optional
        By default masks and uniform noise on a geometric grid. Methods are left out under noises they refuse.

    Returns
    -------
    measurements, judgements
        `studies.frames` turns them into data frames. The noise stands in the place of the start.
    """
    laws = targets if isinstance(targets, Mapping) else {name: sequences.load(name) for name in targets}
    chosen = default_settings(common_vocabulary(laws)) if settings is None else settings
    measurements: list[Measurement] = []
    judgements: list[Judgement] = []
    for job, setting in pairs(token_jobs(methods), chosen, strict=bool(methods)):
        measured, judged = token_study(job, laws, setting)
        measurements += measured
        judgements += judged
    return measurements, judgements


def pairs(
    work: Sequence[Job], settings: Sequence[TokenSetting], strict: bool = False
) -> Iterator[tuple[Job, TokenSetting]]:
    """Yield every method with every noise it takes.

    Raises ValueError, with the method's own words, if `strict` and a method takes none of the noises.
    """
    for job in work:
        reasons = [refuses(job, setting) for setting in settings]
        if strict and all(reasons):
            raise ValueError(reasons[0])
        yield from ((job, s) for s, reason in zip(settings, reasons, strict=True) if reason is None)


def default_settings(vocabulary: int, long: bool = False) -> list[TokenSetting]:
    """Return masks and uniform noise.

    For slopes neither schedule is linear, on which methods coincide that differ elsewhere, both have rates that are
    finite, and not zero, where sampling starts, and the grid is dense where rates grow. For long sequences masks
    are revealed at an even pace, which is nearly optimal (`InformationProfile.best_shares`).
    """
    schedule, grid = ("linear", "uniform") if long else ("polynomial", "geometric")
    return [
        TokenSetting("masks", chains.Absorbing(vocabulary, schedule), grid),
        TokenSetting("uniform", chains.Uniform(vocabulary, "constant")),
    ]


def common_vocabulary(laws: Mapping[str, sequences.SequenceLaw]) -> int:
    """Return the vocabulary that all targets share; ValueError if they do not."""
    sizes = {name: data.vocabulary for name, data in laws.items()}
    if len(set(sizes.values())) != 1:
        listed = ", ".join(f"{name} of {size}" for name, size in sizes.items())
        raise ValueError(f"target is {listed} tokens: study targets of one vocabulary together")
    return next(iter(sizes.values()))
