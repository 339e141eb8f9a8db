"""`assay budget`: how much of a sampler's error comes from where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from analytic import targets as named
from solvers import grids
from solvers.names import unknown

from .. import specifications, wrong_scores
from ..output import figures, render
from ..output.options import FormatOption, JsonOption, TableOption, check_output
from ..output.unconverted import Report, progress, show
from ..setting import Job, Setting
from ..store import Store
from . import figure, published_initial_law, study, tables

METHODS = ("euler", "heun", "dpm-solver++-2m", "ddpm", "euler-maruyama", "sde-dpm-solver++-2m")
TARGETS = ("spectrum-16", "easy-1d", "narrow-1d")
NOTES = (
    "Shares in per cent of W2, signed; they and the remainder add up to 100. Parts, each switched on alone: initial: "
    "the prior in place of the marginal.",
    "truncation: stopping before the data. discretisation: finite steps. score: the imperfect model. precision: "
    "float32. remainder: what parts do to each other; interaction: its largest possible size.",
)


def budget(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="Methods, with options: heun, 'ddim-eta(eta=0.5)'. Six by default."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Gaussian or one-dimensional target by name (see `assay list targets`), repeatable. By default "
            f"{', '.join(TARGETS)}."
        ),
    ] = None,
    path: Annotated[str, typer.Option(help="Gaussian path.")] = "VP",
    grid: Annotated[str, typer.Option(help="Grid of times by name.")] = "log-snr",
    begin: Annotated[
        float | None, typer.Option(help="Time sampling starts at; the path's own by default.")
    ] = None,
    end: Annotated[
        float | None, typer.Option(help="Time sampling stops at; the path's own by default.")
    ] = None,
    score: Annotated[
        str,
        typer.Option(
            help="The imperfect score: relative, constant, wave or bump with its size and options, 'widths(1.1)' "
            "(variances times a factor), 'weights(0.5, 0.5)', 'missing(0)' (a component), 'kernel(200, 0.1)' (samples, "
            "bandwidth), another target by name, or exact."
        ),
    ] = "relative(0.01)",
    part: Annotated[
        list[str] | None,
        typer.Option(help=f"Parts switched on, repeatable: {', '.join(study.PARTS)}. All by default."),
    ] = None,
    steps: Annotated[
        list[int] | None,
        typer.Option(help=f"Steps, repeatable; {', '.join(map(str, study.STEPS))} by default."),
    ] = None,
    samples: Annotated[
        int, typer.Option(help="Samples that the precision part is measured by.")
    ] = study.SAMPLES,
    seed: Annotated[int, typer.Option(help="Seed of their noise.")] = 0,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Instead, the table of Pierret and Galerne 2025 on image-like Gaussians: initial law, truncation "
            "and discretisation.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for table, plot and finished work; a killed run goes on from there."),
    ] = None,
    table: TableOption = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw shares over NFE: .png, .svg or .html.")] = None,
    form: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Split a sampler's W2 error by cause: initial law, truncation, discretisation, score, precision.

    By exact law on a Gaussian, by density on a one-dimensional mixture; precision by coupled samples.

    Example: assay budget heun ddpm --target easy-1d --score "widths(1.05)" --plot budget.png
    """
    check_output(form, table, plot)
    if published:
        for name, value in (("plot", plot), ("out", out)):
            if value is not None:
                raise ValueError(
                    f"{name} is '{value}', but --published is one table: leave one out, or use --table"
                )
        _published(table, form, as_json)
        return
    if grid not in grids.catalogue:
        raise unknown("grid", grid, list(grids.catalogue))
    counts = tuple(steps or study.STEPS)
    for count in counts:
        if count < 2:
            raise ValueError(f"steps is {count}: give at least 2")
    setting = Setting(specifications.path_of(path), grid, begin, end)
    setting.nodes(2)  # complains about begin and end before anything is measured
    causes = study.Causes(on=tuple(part or study.PARTS), samples=samples, seed=seed)
    chosen = {name: named.load(name) for name in target or TARGETS}
    benches = [
        study.Bench(name, law, setting, replace(causes, model=wrong_scores.score_of(score, law)))
        for name, law in chosen.items()
    ]
    work = [specifications.job_of(text) for text in methods or METHODS]
    store = None if out is None else Store(out / "finished")
    with progress() as bar:
        task = bar.add_task("", total=len(work) * len(benches))

        def finished(what: str) -> None:
            bar.update(task, description=what)
            bar.advance(task)

        found = []
        unstable = []
        for bench in benches:
            for job in work:
                own = _kept(store, job, bench, counts, score)
                missing = [str(N) for N in counts if N not in {b.steps for b in own}]
                what = f"{job.label} on {bench.name}"
                if missing:
                    unstable.append(f"unstable, so left out: {what} in {', '.join(missing)} steps")
                found += own
                finished(what)
    if not found:
        raise ValueError(
            f"steps is {', '.join(map(str, counts))}: every method is unstable there, take more steps"
        )
    title = f"Error budget: {path} path, {grid} grid, score {score}"
    everything = tables.table(found)
    shown = everything if as_json else tables.summary(found)
    show([Report("budget", title, shown, [*NOTES, *unstable])], form, as_json)
    if table is not None:
        render.write(everything, table)
    for file in [plot, out / "budget.png" if out else None]:
        if file is not None:
            figures.save(figure.figure(found, title), file)
    if out is not None:
        render.write(everything, out / "budget.csv")


def _kept(
    store: Store | None, job: Job, bench: study.Bench, steps: Sequence[int], score: str
) -> list[study.Budget]:
    """Return the budgets of one method on one target, from the store where it has them."""
    key = {
        "study": "budget",
        "method": job.label,
        "target": bench.name,
        "law": bench.target,
        "setting": bench.setting,
        "score": score,
        "model": bench.causes.model,
        "causes": [bench.causes.on, bench.causes.samples, bench.causes.seed],
        "steps": list(steps),
    }
    saved: Any = store.load(key) if store else None
    if saved is not None:
        return [
            study.Budget(**record | {"parts": tuple(study.Part(**p) for p in record["parts"])})
            for record in saved
        ]
    found = list(study.budgets(job, bench, steps))
    if store:
        store.save(key, [asdict(b) for b in found])
    return found


def _published(table: Path | None, form: str | None, as_json: bool) -> None:
    """Show the study of the initial law."""
    found = published_initial_law.table()
    reports = [
        Report(
            "initial-law",
            "W2 to the data, started from p_T | from N(0, I): VP(0.1, 20), equal steps in t, stopped at eps",
            found if as_json else published_initial_law.summary(found),
            list(published_initial_law.NOTES),
        ),
        Report(
            "initial-law-cost",
            "What starting from N(0, I) costs the exact process at eps = 0 (theirs on CIFAR-10: 0.07 and 6.7e-4)",
            published_initial_law.costs(),
        ),
        Report(
            "initial-law-rank",
            "Heun's rank among the four schemes, 1 the best",
            published_initial_law.ranks(found),
        ),
    ]
    show(reports, form, as_json)
    if table is not None:
        render.write(found, table)
