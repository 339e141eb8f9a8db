"""Ladders of steps for samplers of tokens: errors of the exact law, with no Monte Carlo noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from analytic import chains, distances, sequences
from solvers import Kernel, catalogue, grids, law
from solvers.catalogue import Method
from solvers.discrete import Tables, path_kl

from ..engine import run
from ..inference import Slope, fit, judge
from ..ladder import Measurement, climb, first_of, wanted
from ..output.report import Report
from ..setting import Job, known_grid
from ..study import Cell, Plain
from . import tables
from .charts import convergence
from .claims import Judgement, claims_of, judgements, reasons, uncovered

Array = NDArray[np.float64]
RUNGS = (4, 8, 16, 32, 64, 128)
LIMIT = 1024
METRICS = ("tv", "kl", "path-kl")
ROUNDING = 4e-16  # of one step; grows like the square root of their number


@dataclass(frozen=True)
class TokenSetting:
    """Where a study of tokens happens: the noise, the grid and how long ladders may get.

    Attributes
    ----------
    noise : str
        Name shown for the noise.
    process : SiteProcess
    grid : str
        Name in `solvers.grids.catalogue`.
    start, stop : float or None
        Times the grid runs between; the process's defaults if None.
    initial : str
        "marginal" or "prior".
    limit : int
        Steps no ladder goes beyond.
    """

    noise: str
    process: chains.SiteProcess
    grid: str = "geometric"
    start: float | None = None
    stop: float | None = None
    initial: str = "marginal"
    limit: int = LIMIT

    def __post_init__(self) -> None:
        known_grid(self.grid)

    def nodes(self, steps: int) -> Array:
        """Return the grid for a number of steps."""
        return grids.catalogue[self.grid](self.process, steps, start=self.start, stop=self.stop)


def measure(
    method: Method,
    options: dict[str, Any],
    name: str,
    data: sequences.SequenceLaw,
    setting: TokenSetting,
    tables: Tables | None = None,
) -> Iterator[Measurement]:
    """Measure TV and KL of the law at the grid's end, and KL of the path, on one law of short sequences.

    A guided method is held against the law it is guided to, from that law's own start; it has no path KL. Tables of the
    data under the setting's noise may be given, to share them between methods, which ask them at the same times.
    Yields one Measurement a metric, with the noise in the place of the start. Raises ValueError where the method
    cannot take the noise, or the data has too many states.
    """
    known = tables or Tables(setting.process, data)
    aim = method.kernel(setting.process, setting.nodes(1), **options).aim(data)
    truths = known if aim is data else Tables(setting.process, aim)
    evaluations: dict[int, float] = {}
    failures: dict[int, str] = {}

    def kernel_of(steps: int) -> Kernel:
        return method.kernel(setting.process, setting.nodes(steps), **options)

    def rung(steps: int) -> dict[str, float]:
        kernel = kernel_of(steps)
        evaluations[steps] = kernel.evaluations(data.length)
        truth = truths.evidence(kernel.end(data.length))
        comparable = aim is data and kernel.end(data.length) == kernel.grid[-1]
        shape = (known.states,) * known.length
        started = setting.initial != "marginal" or aim is data
        initial: Any = setting.initial if started else truths.evidence(float(kernel.grid[0])).reshape(shape)
        try:
            p = law(kernel, data, initial, tables=known).ravel()
        except FloatingPointError as problem:
            failures[steps] = str(problem)
            return dict.fromkeys(METRICS, float("nan"))
        if not abs(p.sum() - 1) < 1e-9:
            failures[steps] = f"probabilities add up to {p.sum():.3g}: signed steps blow up"
            return dict.fromkeys(METRICS, float("nan"))
        return {
            "tv": distances.table_tv(truth, p),
            "kl": distances.table_kl(truth, p),
            "path-kl": float(path_kl(kernel, data, known).sum()) if comparable else float("nan"),
        }

    def read(steps: list[int], results: list[dict[str, float]]) -> dict[str, tuple[Any, Any, Slope]]:
        values = {metric: np.array([r[metric] for r in results]) for metric in METRICS}
        rounding = ROUNDING * np.sqrt(steps) * np.log(known.size)
        blur = {
            "tv": rounding,
            "kl": rounding * (values["tv"] + rounding),
            "path-kl": rounding * np.array(steps),
        }
        return {
            metric: (errors, blur[metric], fit(steps, errors, blur[metric]))
            for metric, errors in values.items()
            if metric != "path-kl" or not np.isnan(errors).all()  # which not every kernel has
        }

    def undecided(found: dict[str, tuple[Any, Any, Slope]]) -> bool:
        return any(
            judge(order, found[metric][2]) == "unresolved"
            for metric in found
            for order in wanted(method, metric)
        )

    steps, found = climb(RUNGS, setting.limit, rung, read, undecided)
    for metric, (errors, uncertainty, slope) in found.items():
        yield Measurement(
            method.labelled(options),
            setting.noise,
            name,
            metric,
            "law",
            tuple(steps),
            tuple(evaluations[N] for N in steps),
            tuple(float(e) for e in errors),
            tuple(float(u) for u in np.broadcast_to(uncertainty, len(steps))),
            slope,
            reason=first_of(failures),
        )


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


@dataclass(frozen=True)
class TokenOrders(Plain[Measurement]):
    """Slopes of samplers of tokens under their noises, and the verdicts on their claims.

    Attributes
    ----------
    work : sequence of (Job, TokenSetting)
        As `pairs` makes them.
    targets : mapping of str to SequenceLaw
        Of one vocabulary, and short.
    """

    work: Sequence[tuple[Job, TokenSetting]]
    targets: Mapping[str, sequences.SequenceLaw]

    name: ClassVar[str] = "order of tokens"
    record: ClassVar[type] = Measurement

    def cells(self) -> Iterable[Cell[Measurement]]:
        """One for each method under each noise on each target; those of one noise and target share its tables."""
        shared: dict[tuple[chains.SiteProcess, str], Tables] = {}
        for job, setting in self.work:
            for name, data in self.targets.items():
                pair = setting.process, name
                if pair not in shared:
                    shared[pair] = Tables(setting.process, data)
                yield Cell(
                    {"method": job.text, "noise": setting.noise, "target": name},
                    partial(_measured, job, name, data, setting, shared[pair]),
                    {"job": job, "law": data, "setting": setting},
                )

    def judged(self, found: list[Measurement]) -> list[Judgement]:
        """Return the verdicts on all claims, with their reasons."""
        return judgements(found, self._jobs, self._classes)

    def reports(self, found: list[Measurement]) -> Iterable[Report]:
        """Return the table of claims beside measurements, and errors at equal cost."""
        judged, first = self.judged(found), next(iter(self.targets))
        yield Report(
            "tokens",
            "Claimed and measured order on tokens",
            tables.token_summary(found, judged),
            [tables.TOKEN_LEGEND, self.where, *uncovered(found, self._jobs, self._classes)],
            tables.everything(found, judged),
            reasons=reasons(judged),
        )
        equal = tables.equal_cost(found, "tv", first)
        yield Report("tokens-cost", f"Total variation on {first} at equal NFE", equal)

    def figures(self, found: list[Measurement]) -> Mapping[str, Any]:
        """Draw total variation on the last target against NFE."""
        return convergence("tokens", found, ", ".join(self._noises), claims_of(self.judged(found)))

    def verdicts(self, found: list[Measurement]) -> Iterable[str]:
        """List the verdicts on all claims."""
        return [j.verdict for j in self.judged(found)]

    @property
    def _jobs(self) -> list[Job]:
        return [job for job, _ in self.work]

    @property
    def _classes(self) -> dict[str, str]:
        return {name: type(setting.process).__name__ for name, setting in self._noises.items()}

    @property
    def _noises(self) -> dict[str, TokenSetting]:
        return {setting.noise: setting for _, setting in self.work}

    @property
    def where(self) -> str:
        """The noises in words."""
        said = {name: repr(setting.process) for name, setting in self._noises.items()}
        return "; ".join(name if name == process else f"{name}: {process}" for name, process in said.items())


def _measured(
    job: Job, name: str, data: sequences.SequenceLaw, setting: TokenSetting, tables: Tables
) -> list[Measurement]:
    return list(measure(job.method, dict(job.options), name, data, setting, tables))


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
        `studies.order.tables` turns them into data frames. The noise stands in the place of the start.
    """
    laws = targets if isinstance(targets, Mapping) else {name: sequences.load(name) for name in targets}
    chosen = default_settings(common_vocabulary(laws)) if settings is None else settings
    study = TokenOrders(list(pairs(token_jobs(methods), chosen, strict=bool(methods))), laws)
    found = run(study)
    return found, study.judged(found)


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
