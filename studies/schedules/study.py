"""The schedule studies: which grid suits, what an optimised one saves, how long to diffuse, and the end at t = 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from analytic import GaussianMixture, paths
from solvers import Tableau, grids

from ..along_the_flow import HELD, METRIC
from ..along_the_flow import SAMPLES as FLOW_SAMPLES
from ..laws import MEASURED, METRICS, Means, floor, means_of, sharpest
from ..output.report import Report
from ..setting import Job
from ..study import Cell, Plain
from . import tables
from .grids import OPTIMISED_STEPS, PLAIN, Asked, GridError, by_grid, by_optimum, costs_a_joint_density
from .search import STEPS as SEARCH_STEPS
from .search import Searched, by_search
from .times import (
    SINGULAR_CASES,
    SINGULAR_STOP,
    TIME_GRIDS,
    TIME_STEPS,
    SingularOrder,
    TimeError,
    by_time,
    singular_orders,
)

Targets = Mapping[str, GaussianMixture]


@dataclass(frozen=True)
class Grids(Plain[GridError]):
    """Every named grid under methods on targets, at each number of evaluations.

    Attributes
    ----------
    work : sequence of Job
    targets : mapping of str to GaussianMixture
        By exact law if Gaussian or on the line, else by samples.
    path : Gaussian path
    asked : Asked
        One's own grids and model, and samples.
    """

    work: Sequence[Job]
    targets: Targets
    path: paths.Gaussian
    asked: Asked = PLAIN

    name: ClassVar[str] = "grids"
    record: ClassVar[Any] = GridError

    def _costly(self, job: Job, target: GaussianMixture) -> bool:
        return means_of(target, self.asked.model) == "density" and costs_a_joint_density(job, self.path)

    def cells(self) -> Iterable[Cell[GridError]]:
        """One for each method on each target. Raises ValueError if there is none that can be measured."""
        some = False
        for job in self.work:
            for name, target in self.targets.items():
                if not self._costly(job, target):
                    some = True
                    measure = partial(by_grid, job, name, target, self.path, asked=self.asked)
                    given = {"job": job, "law": target, "path": self.path, "asked": self.asked}
                    yield Cell({"method": job.text, "target": name}, measure, given)
        if not some:
            raise ValueError(
                f"methods has none to measure on {', '.join(self.targets)}: add a Gaussian target"
            )

    def skipped(self) -> Iterable[tuple[str, str]]:
        """List noisy multistep methods on the line."""
        for job in self.work:
            for name, target in self.targets.items():
                if self._costly(job, target):
                    yield f"{job.text} on {name}", "its law on the line needs a joint density"

    def reports(self, found: list[GridError]) -> Iterable[Report]:
        """Return the best grid of each method, and what the others cost."""
        metrics = ", ".join(f"{METRICS[self._means(law)][0]} on {name}" for name, law in self.targets.items())
        note = f"error: {metrics}. Columns of grids: error as a multiple of the best grid's."
        notes = [note, *self._floors(found), *_failed(found)]
        yield Report(
            "grids",
            f"Best grids, {self.path!r} path",
            tables.by_grid(found),
            notes,
            {"grids": tables.long(found)},
        )

    def _means(self, law: GaussianMixture) -> Means:
        return means_of(law, self.asked.model)

    def _floors(self, found: list[GridError]) -> Iterable[str]:
        """Say where errors are those of samples, and what those of the truth have."""
        n = self.asked.samples
        for name, law in self.targets.items():
            if self._means(law) == "samples":
                end = float(self.path.alpha(self.path.stop)), float(self.path.sigma(self.path.stop))
                wide = np.median([g.uncertainty for g in found if g.target == name and g.status == MEASURED])
                yield (
                    f"{name} by {n} samples, in intervals of ±{wide:.1g}; samples of the truth itself have "
                    f"{floor(law, end, n):.2g}: grids nearer to each other, or to it, are a tie"
                )

    def figures(self, found: list[GridError]) -> Mapping[str, Any]:
        """Draw errors by grid."""
        from .figure import figure  # which is slow to import

        return {"grids": figure(grids=found)}


@dataclass(frozen=True)
class Optimised(Plain[GridError]):
    """Grids optimised for each target beside those made by hand, on it and on the others.

    Attributes
    ----------
    work, targets, path, asked
        As of `Grids`; noisy methods only on Gaussians, since a noisy density costs too much. Targets that no law
        reaches, and models of one's own, have the distance from the flow minimised.
    """

    work: Sequence[Job]
    targets: Targets
    path: paths.Gaussian
    asked: Asked = PLAIN

    name: ClassVar[str] = "optimised"
    record: ClassVar[Any] = GridError

    def cells(self) -> Iterable[Cell[GridError]]:
        """One for each method, target and number of steps. Raises ValueError if no method can be optimised."""
        some = False
        for job in self.work:
            noisy = not tableau_of(job, self.path).deterministic
            measured = {n: law for n, law in self.targets.items() if not noisy or self._means(law) == "law"}
            for name, law in measured.items():
                sampled = self._means(law) == "samples"
                others = {
                    n: other
                    for n, other in measured.items()
                    if n != name and (self._means(other) == "samples") == sampled
                }
                for steps in OPTIMISED_STEPS:
                    some = True
                    measure = partial(by_optimum, job, name, law, self.path, others, steps, self.asked)
                    given = {"job": job, "law": law, "others": others, "path": self.path, "asked": self.asked}
                    yield Cell({"method": job.text, "target": name, "steps": steps}, measure, given)
        if not some:
            raise ValueError("methods has noisy ones only, which are optimised on Gaussian targets: add one")

    def reports(self, found: list[GridError]) -> Iterable[Report]:
        """Return the optimised grid's error beside the best of those made by hand."""
        note = (
            "gain: the best hand-made grid's error over the optimised grid's, on the target of column `on`; below "
            "1 the optimised grid is the worse."
        )
        notes = [note]
        if any(g.metric == METRIC for g in found):
            notes.append(
                f"{METRIC}: mean distance of {FLOW_SAMPLES[HELD]} ends from those of the flow, of the "
                "model where one is given, from the same starts, others than those of the fit. It bounds W1 from above."
            )
        notes += tables.levels(found)
        title, whole = f"Optimised grids, {self.path!r} path", {"optimised": tables.long(found)}
        yield Report("optimised", title, tables.optimised(found), [*notes, *_failed(found)], whole)

    def skipped(self) -> Iterable[tuple[str, str]]:
        """List noisy methods where no exact law reaches."""
        for job in self.work:
            for name, law in self.targets.items():
                if not tableau_of(job, self.path).deterministic and self._means(law) != "law":
                    yield (
                        f"{job.text} on {name}, optimised",
                        "with noise a grid is optimised by exact law alone",
                    )

    def _means(self, law: GaussianMixture) -> Means:
        return means_of(law, self.asked.model)


@dataclass(frozen=True)
class Searches(Plain[Searched]):
    """Orders and predictions chosen step by step, for each target, beside the best with one choice for all steps.

    Attributes
    ----------
    targets, path
        As of `Grids`.
    """

    targets: Targets
    path: paths.Gaussian

    name: ClassVar[str] = "search"
    record: ClassVar[Any] = Searched

    def cells(self) -> Iterable[Cell[Searched]]:
        """One for each target and number of steps."""
        for name, law in self.targets.items():
            others = {n: other for n, other in self.targets.items() if n != name}
            for steps in SEARCH_STEPS:
                measure = partial(by_search, name, law, self.path, others, steps)
                given = {"law": law, "others": others, "path": self.path}
                yield Cell({"target": name, "steps": steps}, measure, given)

    def reports(self, found: list[Searched]) -> Iterable[Report]:
        """Return the solvers found, beside the best uniform ones."""
        note = (
            "a step's choice: 1 is DDIM, d2 and d3 two and three data predictions, n2 and n3 noise predictions. gain: "
            "the best uniform solver's error over the found one's, on the target of column `on`; below 1 the found one "
            "is the worse."
        )
        title, whole = f"Solvers searched step by step, {self.path!r} path", {"search": tables.long(found)}
        yield Report("search", title, tables.searched(found), [note], whole)


@dataclass(frozen=True)
class Times(Plain[TimeError]):
    """The diffusion time of an Ornstein-Uhlenbeck process, started from N(0, I).

    Attributes
    ----------
    work : sequence of Job
    targets : mapping of str to Gaussian
    """

    work: Sequence[Job]
    targets: Targets

    name: ClassVar[str] = "time"
    record: ClassVar[Any] = TimeError

    def cells(self) -> Iterable[Cell[TimeError]]:
        """One for each target, method, grid and number of steps."""
        for name, law in self.targets.items():
            for job in self.work:
                for grid in TIME_GRIDS:
                    for steps in TIME_STEPS:
                        measure = partial(by_time, job, name, law, grid, steps)
                        of = {"method": job.text, "target": name, "grid": grid, "steps": steps}
                        yield Cell(of, measure, {"job": job, "law": law})

    def reports(self, found: list[TimeError]) -> Iterable[Report]:
        """Return the rate at which truncation falls, and the best time."""
        flows = [job.text for job in self.work if tableau_of(job, paths.VP()).deterministic]
        note = (
            "rate: truncation, W2 between the method's laws from N(0, I) and from the exact start, falls as "
            "e^(-rate T). The best T weighs it against the discretisation, which grows with T."
        )
        title = f"Diffusion time T of an Ornstein-Uhlenbeck process, {', '.join(self.targets)}"
        whole = {"time": tables.long(found)}
        yield Report("time", title, tables.by_time(found, flows), [note, *_failed(found)], whole)

    def figures(self, found: list[TimeError]) -> Mapping[str, Any]:
        """Draw errors against the time."""
        from .figure import figure  # which is slow to import

        return {"time": figure(time=found)}


@dataclass(frozen=True)
class Singularity(Plain[SingularOrder]):
    """Orders of methods that end next to sigma = 0, on VP(2, 2).

    Attributes
    ----------
    targets : mapping of str to GaussianMixture
    """

    targets: Targets

    name: ClassVar[str] = "singularity"
    record: ClassVar[Any] = SingularOrder

    def cells(self) -> Iterable[Cell[SingularOrder]]:
        """One for each target and method with its options and grid."""
        for name, law in self.targets.items():
            for method, options, grid in SINGULAR_CASES:
                measure = partial(singular_orders, name, law, cases=((method, options, grid),))
                of = {"method": method, "options": options, "grid": grid, "target": name}
                yield Cell(of, measure, {"law": law})

    def skipped(self) -> Iterable[tuple[str, str]]:
        """List the clock t on the line."""
        for name, law in self.targets.items():
            if sharpest(law) == "TV":
                yield f"clock time on {name}", "a map so rough has a density that cannot be resolved"

    def reports(self, found: list[SingularOrder]) -> Iterable[Report]:
        """Return orders, and how fast each form of a prediction changes at the end."""
        note = "predicted: (p + 1)/2 for odd p, (p + 2)/2 for even p, 1 for multistep, on equal steps in t; else p."
        title = f"Orders down to t = {SINGULAR_STOP:g} on VP(2, 2)"
        whole = {"singularity": tables.long_singular(found)}
        yield Report("singularity", title, tables.singular(found), [note, *_failed(found)], whole)
        title = "Root mean square of d/dt of a prediction at fixed x, VP(2, 2)"
        note = "q: growth as t^-q. v: alpha eps - sigma x0. velocity: of the probability-flow ODE."
        yield Report("derivatives", title, tables.derivatives(), [note])

    def figures(self, found: list[SingularOrder]) -> Mapping[str, Any]:
        """Draw errors on equal steps in t."""
        from .figure import figure  # which is slow to import

        return {"singularity": figure(singularity=found)}

    def verdicts(self, found: list[SingularOrder]) -> Iterable[str]:
        """List the verdicts on the predicted orders."""
        return [tables.verdict(order) for order in found]


def tableau_of(job: Job, path: paths.Gaussian) -> Tableau:
    """Return a method's tableau in a few steps, which says of what kind it is."""
    return job.method.tableau(path, grids.uniform(path, 8), start=job.start, **job.options)


def _failed(found: Sequence[GridError | TimeError | SingularOrder]) -> list[str]:
    """Say what could not be measured, each reason once."""
    reasons = {record.reason: record for record in found if record.reason}
    return [f"{r.method} on {r.target}, {r.grid} grid: {why}" for why, r in reasons.items()]
