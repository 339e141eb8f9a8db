"""What `assay order` is asked for: methods and targets of one half or of both, and the studies that answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analytic import sequences
from analytic import targets as named
from solvers.discrete.model.every_state import MOST_STATES

from .. import specifications
from ..ladder import Measurement
from ..output import figures, pictures
from ..output.report import Report, progress
from ..setting import GAUSSIAN_LIMIT, Job, Setting, jobs
from ..store import Store
from . import on_data as cost
from . import on_text, tables
from .claims import Judgement, refutations
from .on_tokens import (
    LIMIT,
    TARGETS,
    TokenSetting,
    common_vocabulary,
    default_settings,
    pairs,
    token_jobs,
    token_study,
)
from .study import study

MIXTURES = ("gaussian-1d", "easy-1d")


@dataclass(frozen=True)
class Request:
    """The words of one call of `assay order`, checked as they are used.

    Attributes
    ----------
    methods, targets, noises : list of str or None
        None for the defaults.
    path : str
    grid : str or None
        None for each half's own.
    begin, end : float or None
    initial : str
    starts : tuple of str
    limit : int or None
    samples, seed : int
    out, pictures : Path or None
    """

    methods: list[str] | None
    targets: list[str] | None
    path: str
    noises: list[str] | None
    grid: str | None
    begin: float | None
    end: float | None
    initial: str
    starts: tuple[str, ...]
    limit: int | None
    samples: int
    seed: int
    out: Path | None
    pictures: Path | None

    def run(self) -> list[Report]:
        """Answer with one report a table.

        Raises ValueError for words that name nothing, or methods and targets of different halves.
        """
        continuous, tokens = self._methods()
        mixtures, laws = self._targets(bool(continuous), bool(tokens))
        if laws and self.pictures is not None:
            raise ValueError(f"pictures is '{self.pictures}' but the target is text: use --target digits")
        settings = self._token_settings(laws) if laws else []
        reports: list[Report] = []
        if mixtures:
            reports += self._on_mixtures(continuous, mixtures)
        if laws:
            reports += self._on_tokens(tokens, laws, settings)
        return reports

    def where(self, report: Report) -> str:
        """Return the path or noise and the grid of a report, for titles."""
        if report.name.startswith("tokens"):
            return "masks and uniform noise" if self.noises is None else ", ".join(self.noises)
        return f"{self.path} path, {self.grid or 'karras'} grid"

    def _store(self) -> Store | None:
        return None if self.out is None else Store(self.out / "finished")

    def _methods(self) -> tuple[list[Job], list[Job]]:
        if self.methods is None or not self.methods:
            return jobs(None, self.starts), token_jobs()
        chosen = [job for text in self.methods for job in self._jobs(text)]
        return (
            [j for j in chosen if j.method.half == "continuous"],
            [j for j in chosen if j.method.half == "discrete"],
        )

    def _jobs(self, text: str) -> list[Job]:
        named_start = specifications.split("method", text)[2].get("start")
        found = [specifications.job_of(text, s) for s in ((named_start,) if named_start else self.starts)]
        return found if found[0].method.multistep else found[:1]

    def _targets(self, continuous: bool, tokens: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        if self.targets:
            of_tokens = [t for t in self.targets if t in sequences.catalogue or Path(t).suffix == ".txt"]
            mixtures = {t: named.load(t) for t in self.targets if t not in of_tokens}
            laws = {t: sequences.load(t) for t in of_tokens}
            for found, have, half in ((mixtures, continuous, "continuous"), (laws, tokens, "discrete")):
                if found and not have:
                    raise ValueError(
                        f"target is {next(iter(found))!r}, which is for {half} methods, but method is "
                        f"{', '.join(self.methods or [])}: name methods and targets of one half (see assay list)"
                    )
            return mixtures, laws
        # a path or a noise alone says which half is meant
        only_tokens = self.noises is not None and self.methods is None
        return (
            {t: named.load(t) for t in MIXTURES} if continuous and not only_tokens else {},
            {t: sequences.load(t) for t in TARGETS} if tokens else {},
        )

    def _on_mixtures(self, work: list[Job], chosen: dict[str, Any]) -> list[Report]:
        limit = GAUSSIAN_LIMIT if self.limit is None else self.limit
        setting = Setting(
            specifications.path_of(self.path),
            self.grid or "karras",
            self.begin,
            self.end,
            self.initial,
            limit,
            self.samples,
            self.seed,
        )
        setting.nodes(16)  # complains about begin and end before anything is measured
        on_data = [name for name, mixture in chosen.items() if cost.by_samples_only(mixture)]
        if on_data and len(chosen) > 1:
            raise ValueError(f"target is {', '.join(chosen)}: study {on_data[0]}, which is data, on its own")
        images = bool(on_data) and chosen[on_data[0]].dim == 64
        if self.pictures is not None and not images:
            raise ValueError(
                f"pictures is '{self.pictures}' but the target is no set of 8x8 images: use --target digits"
            )
        if on_data:
            return self._on_data(work, on_data[0], setting, images)
        measurements: list[Measurement] = []
        judgements: list[Judgement] = []
        store = self._store()
        with progress() as bar:
            task = bar.add_task("", total=len(work))
            for job in work:
                bar.update(task, description=f"{job.method.name} ({job.start})")
                measured, judged = study(job, chosen, setting, store)
                measurements += measured
                judgements += judged
                bar.advance(task)
        return [
            Report(
                "table",
                f"Claimed and measured order, {setting.path} path, {setting.grid} grid",
                tables.summary(measurements, judgements),
                [tables.LEGEND, *refutations(judgements)],
                measurements,
                judgements,
            )
        ]

    def _on_data(self, work: list[Job], name: str, setting: Setting, images: bool) -> list[Report]:
        reference = cost.Reference(name, named.load(name), setting, min(setting.samples, cost.SAMPLES))
        measurements: list[Measurement] = []
        kept: dict[tuple[str, int], Any] = {}
        practical = [job for job in work if job.start == "practical"]
        with progress() as bar:
            task = bar.add_task("", total=len(practical))
            for job in practical:
                bar.update(task, description=job.method.name)
                for measurement, x in cost.error_against_cost(job, reference):
                    measurements.append(measurement)
                    kept |= cost.arrays_of(x)
                bar.advance(task)
        files = [self.pictures, self.out / "samples.png" if self.out and images else None]
        for file in [f for f in files if f]:
            figures.save(
                pictures.pictures(kept, f"Samples on {name}, {setting.path} path, {setting.grid} grid"), file
            )
        energy = Report(
            "table",
            f"Energy distance to {reference.n} fresh samples of {name} ± standard error",
            tables.cost_summary(measurements, "energy"),
            [],
            [m for m in measurements if m.metric == "energy"],
        )
        flow = [m for m in measurements if m.metric == "flow"]
        title = "Root mean square distance to the end of the flow, deterministic methods"
        return [
            energy,
            *([Report("flow", title, tables.cost_summary(flow, "flow"), [], flow)] if flow else []),
        ]

    def _token_settings(self, laws: dict[str, Any]) -> list[TokenSetting]:
        vocabulary = common_vocabulary(laws)
        found = default_settings(vocabulary, long=self._too_long(laws, vocabulary + 1) != [])
        if self.noises:
            found = [TokenSetting(text, specifications.noise_of(text, vocabulary)) for text in self.noises]
        limit = LIMIT if self.limit is None else self.limit
        found = [
            replace(
                s,
                grid=self.grid or s.grid,
                start=self.begin,
                stop=self.end,
                initial=self.initial,
                limit=limit,
            )
            for s in found
        ]
        for setting in found:
            setting.nodes(4)  # complains about grid, begin and end before anything is measured
        return found

    @staticmethod
    def _too_long(laws: dict[str, Any], states: int) -> list[str]:
        return [name for name, data in laws.items() if states**data.length > MOST_STATES]

    def _on_tokens(self, work: list[Job], laws: dict[str, Any], settings: list[TokenSetting]) -> list[Report]:
        long = self._too_long(laws, max(s.process.states for s in settings))
        if long and len(laws) > 1:
            raise ValueError(
                f"target is {', '.join(laws)}: study {long[0]}, too long for exact laws, on its own"
            )
        chosen = list(pairs(work, settings, strict=bool(self.methods)))
        if long:
            return self._on_text(chosen, long[0], laws[long[0]])
        measurements: list[Measurement] = []
        judgements: list[Judgement] = []
        store = self._store()
        with progress() as bar:
            task = bar.add_task("", total=len(chosen))
            for job, setting in chosen:
                bar.update(task, description=f"{job.method.labelled(job.options)} ({setting.noise})")
                measured, judged = token_study(job, laws, setting, store)
                measurements += measured
                judgements += judged
                bar.advance(task)
        where = "; ".join(
            f"{s.noise}: {s.process!r}" if s.noise != repr(s.process) else s.noise for s in settings
        )
        equal = tables.equal_cost(measurements, "tv", next(iter(laws)))
        return [
            Report(
                "tokens",
                "Claimed and measured order on tokens",
                tables.token_summary(measurements, judgements),
                [tables.TOKEN_LEGEND, where, *refutations(judgements)],
                measurements,
                judgements,
            ),
            Report("tokens-cost", f"Total variation on {next(iter(laws))} at equal NFE", equal),
        ]

    def _on_text(self, chosen: list[tuple[Job, TokenSetting]], name: str, data: Any) -> list[Report]:
        n = min(self.samples, on_text.SAMPLES)
        measurements: list[Measurement] = []
        shown: list[str] = []
        with progress() as bar:
            task = bar.add_task("", total=len(chosen))
            for job, setting in chosen:
                bar.update(task, description=f"{job.method.labelled(job.options)} ({setting.noise})")
                found, tokens = on_text.text_errors(job, name, data, setting, n=n, seed=self.seed)
                measurements += found
                shown.append(on_text.excerpt(found[0], tokens, data))
                bar.advance(task)
        floor = on_text.exact_draws(name, data, n)
        own = -data.entropy_rate()
        # a logarithmic axis wants what is missing, not the log-likelihood itself
        short = [
            replace(m, metric="shortfall", errors=tuple(own - e for e in m.errors))
            for m in measurements
            if m.metric == "log-likelihood"
        ]
        drawn: dict[str, list[Measurement]] = {"log-likelihood": short, "bigram": []}
        titles = {
            "log-likelihood": f"Exact log-likelihood of {n} samples of {name} in nats per token; its own is {own:.4f}",
            "bigram": f"Total variation of the samples' bigrams from the exact ones on {name}",
        }
        return [
            Report(
                f"tokens-{metric}",
                title,
                on_text.text_summary(measurements, metric, floor[metric]),
                shown if metric == "bigram" else [],
                [m for m in measurements if m.metric == metric] + drawn[metric],
            )
            for metric, title in titles.items()
        ]
