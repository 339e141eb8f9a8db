"""`assay schedules`: which grid, how long a diffusion, and what the singularity at t -> 0 costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from analytic import GaussianMixture, paths
from analytic import targets as named
from solvers import Tableau, grids
from solvers.names import unknown

from .. import specifications
from ..output import figures
from ..output.options import FormatOption, JsonOption, TableOption, check_output
from ..output.unconverted import Report, progress, show, write_tables
from ..setting import Job
from . import figure, times
from . import grids as study
from . import tables as frames

STUDIES = ("grids", "optimised", "time", "singularity")
METHODS = ("euler", "heun", "dpm-solver++-2m", "ddpm", "sde-dpm-solver++-2m")
OPTIMISED_METHODS = ("euler", "heun", "dpm-solver++-2m")
TIME_METHODS = ("heun", "ddpm")
TARGETS = ("spectrum-16", "easy-1d")
TIME_TARGET, SINGULAR_TARGET = "gaussian-1d", "spectrum-16"


def schedules(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="Methods of grids, optimised and time; a few of each by default."),
    ] = None,
    studies: Annotated[
        list[str] | None,
        typer.Option("--study", help=f"Repeatable: {', '.join(STUDIES)}. All by default."),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Target by name or file, Gaussian or on the line; repeatable.")
    ] = None,
    path: Annotated[str, typer.Option(help="Gaussian path of grids and optimised.")] = "VP",
    table: TableOption = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw every study: .png, .svg or .html.")] = None,
    form: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare grids by exact errors, optimise them, vary the diffusion time, and end next to sigma = 0.

    On Gaussian targets by the sampler's law (W2), on the line by its density (TV). `time` starts an Ornstein-Uhlenbeck
    process from N(0, I) and takes Gaussian targets only; `singularity` runs on VP(2, 2) with methods of its own.

    Example: assay schedules heun --study grids --study time --plot schedules.png
    """
    check_output(form, table, plot)
    asked = tuple(dict.fromkeys(studies or STUDIES))
    for name in asked:
        if name not in STUDIES:
            raise unknown("study", name, list(STUDIES))
    if plot is not None and asked == ("optimised",):
        raise ValueError(
            f"plot is '{plot}', but the study 'optimised' has no figure: leave plot out, or add 'grids'"
        )
    jobs = [specifications.job_of(text) for text in methods or ()]
    targets = {name: named.load(name) for name in target or TARGETS}
    for law in targets.values():
        study.metric_of(law)
    along = specifications.path_of(path)
    shown: list[Report] = []
    whole: list[Report] = []  # the same with every number

    def add(name: str, title: str, frame: pd.DataFrame, everything: pd.DataFrame, *notes: str) -> None:
        shown.append(Report(name, title, frame, list(notes)))
        whole.append(Report(name, title, everything))

    panels: dict[str, Any] = {}
    with progress() as bar:
        task = bar.add_task("", total=None)
        if "grids" in asked:
            bar.update(task, description="grids")
            errors, skipped = _grids(jobs or [specifications.job_of(m) for m in METHODS], targets, along)
            notes = [f"error: {_metrics(targets)}. Columns of grids: error as a multiple of the best grid's."]
            notes += (
                [f"not measured: {skipped}, whose law on the line needs a joint density."] if skipped else []
            )
            add("grids", f"Best grids, {path} path", frames.by_grid(errors), frames.long(errors), *notes)
            panels["grids"] = errors
        if "optimised" in asked:
            bar.update(task, description="optimised")
            chosen = jobs or [specifications.job_of(m) for m in OPTIMISED_METHODS]
            errors = _optimised(chosen, targets, along)
            note = (
                "gain: the best hand-made grid's error over the optimised grid's, on the target of column `on`; below "
                "1 the optimised grid is the worse."
            )
            frame = frames.optimised(errors)
            add("optimised", f"Optimised grids, {path} path", frame, frames.long(errors), note)
        if "time" in asked:
            bar.update(task, description="time")
            chosen = jobs or [specifications.job_of(m) for m in TIME_METHODS]
            ode = [j.method.labelled(j.options) for j in chosen if _tableau(j, along).deterministic]
            panels["time"] = []
            for name, law in _time_targets(targets if target else {}, bool(studies)).items():
                found = _times(chosen, name, law)
                panels["time"] += found
                note = (
                    "rate: truncation, W2 between the method's laws from N(0, I) and from the exact start, falls as "
                    "e^(-rate T). The best T weighs it against the discretisation, which grows with T."
                )
                title = f"Diffusion time T of an Ornstein-Uhlenbeck process, {name}"
                add(f"time {name}", title, frames.by_time(found, ode), frames.long(found), note)
        if "singularity" in asked:
            bar.update(task, description="singularity")
            orders: list[times.SingularOrder] = []
            for name, law in (targets if target else {SINGULAR_TARGET: named.load(SINGULAR_TARGET)}).items():
                orders += times.singular_orders(name, law)
            note = "predicted: (p + 1)/2 for odd p, (p + 2)/2 for even p, 1 for multistep, on equal steps in t; else p."
            title = f"Orders down to t = {times.SINGULAR_STOP:g} on VP(2, 2)"
            add("singularity", title, frames.singular(orders), frames.long_singular(orders), note)
            rates = frames.derivatives()
            title = "Root mean square of d/dt of a prediction at fixed x, VP(2, 2)"
            note = "q: growth as t^-q. v: alpha eps - sigma x0. velocity: of the probability-flow ODE."
            add("derivatives", title, rates, rates, note)
            panels["singularity"] = orders
    show(whole if as_json else shown, form, as_json)
    if table is not None:
        write_tables(whole, table)
    if plot is not None:
        figures.save(figure.figure(**panels), plot)


def _tableau(job: Job, path: paths.Gaussian) -> Tableau:
    return job.method.tableau(path, grids.uniform(path, 8), start=job.start, **job.options)


def _metrics(targets: Mapping[str, GaussianMixture]) -> str:
    return ", ".join(f"{study.metric_of(law)} on {name}" for name, law in targets.items())


def _grids(
    jobs: Sequence[Job], targets: Mapping[str, GaussianMixture], path: paths.Gaussian
) -> tuple[list[study.GridError], str]:
    """Return the errors, and the methods that were not measured on the line."""
    errors, skipped = [], []
    for job in jobs:
        for name, law in targets.items():
            if study.metric_of(law) == "TV" and study.costs_a_joint_density(job, path):
                skipped.append(f"{job.method.name} on {name}")
            else:
                errors += list(study.by_grid(job, name, law, path))
    if not errors:
        raise ValueError(f"methods has none to measure on {', '.join(targets)}: add a Gaussian target")
    return errors, ", ".join(skipped)


def _optimised(
    jobs: Sequence[Job], targets: Mapping[str, GaussianMixture], path: paths.Gaussian
) -> list[study.GridError]:
    errors = []
    for job in jobs:
        if not _tableau(job, path).deterministic:
            measured = {
                n: law for n, law in targets.items() if law.is_gaussian
            }  # a noisy density costs too much
        else:
            measured = dict(targets)
        for name, law in measured.items():
            others = {n: other for n, other in measured.items() if n != name}
            for steps in study.OPTIMISED_STEPS:
                errors += list(study.by_optimum(job, name, law, path, others, steps))
    if not errors:
        raise ValueError("methods has noisy ones only, which are optimised on Gaussian targets: add one")
    return errors


def _time_targets(asked: Mapping[str, GaussianMixture], insist: bool) -> dict[str, GaussianMixture]:
    """Return the Gaussians among the targets asked for, or the default."""
    gaussian = {name: law for name, law in asked.items() if law.is_gaussian}
    if asked and not gaussian and insist:
        raise ValueError(f"target is {', '.join(asked)}: study time needs a Gaussian, such as {TIME_TARGET}")
    return gaussian or {TIME_TARGET: named.load(TIME_TARGET)}


def _times(jobs: Sequence[Job], name: str, law: GaussianMixture) -> list[times.TimeError]:
    return [
        error
        for job in jobs
        for grid in times.TIME_GRIDS
        for steps in times.TIME_STEPS
        for error in times.by_time(job, name, law, grid, steps)
    ]
