"""The `assay` command: one verb a question."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from analytic import targets as named
from solvers import catalogue, grids
from solvers.catalogue import unknown

from . import cost, frames, plots, tables, words
from .files import suffix_of
from .ladders import Measurement, Setting
from .order import Job, Judgement, jobs, study
from .store import Store

app = typer.Typer(
    help="Hold samplers against targets whose every quantity is known in closed form.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command; bad input is one line on stderr and exit code 2."""
    try:
        app()
    except (ValueError, TypeError) as error:
        line = " ".join(str(error).split())
        print(f"assay: error: {line}", file=sys.stderr)
        sys.exit(2)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _clean(record: Any) -> Any:
    """Replace what JSON has no word for by null."""
    if isinstance(record, dict):
        return {k: _clean(v) for k, v in record.items()}
    if isinstance(record, list | tuple):
        return [_clean(v) for v in record]
    if isinstance(record, float | np.floating):
        return float(record) if np.isfinite(record) else None
    return record


def _show(frame: pd.DataFrame, title: str, form: str | None) -> None:
    if form is None:
        tables.to_terminal(frame, title)
    else:
        print(tables.render(frame, form), end="")  # type: ignore[arg-type]  # render names the formats it has


@app.command()
def order(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="Methods, with options: heun, 'edm-churn(gamma=0.1)'. All by default."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Target by name (see `assay list targets`) or a .npy, .csv, .parquet file; repeatable. "
            "gaussian-1d and easy-1d by default."
        ),
    ] = None,
    path: Annotated[
        str, typer.Option(help="Gaussian path: VP, 'VE(0.02, 20)', Linear, ...")
    ] = "VE(0.02, 20)",
    grid: Annotated[str, typer.Option(help="Grid of times by name (see `assay list grids`).")] = "karras",
    begin: Annotated[
        float | None, typer.Option(help="Time sampling starts at; the path's own by default.")
    ] = None,
    end: Annotated[
        float | None, typer.Option(help="Time sampling stops at; the path's own by default.")
    ] = None,
    initial: Annotated[str, typer.Option(help="marginal (exact start law) or prior.")] = "marginal",
    start: Annotated[
        str, typer.Option(help="Start of multistep methods: practical, exact or both.")
    ] = "both",
    limit: Annotated[int, typer.Option(help="Steps no ladder goes beyond.")] = 4096,
    samples: Annotated[int, typer.Option(help="Samples where a target is measured by sampling.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Seed of all noise.")] = 0,
    load: Annotated[Path | None, typer.Option(help="Python file that registers methods of your own.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for tables, plots and finished work; a killed run goes on from there."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Also write the table: .csv, .md, .tex or .json.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw error against NFE: .png or .svg.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Also draw samples (digits only): .png or .svg.")
    ] = None,
    form: Annotated[str | None, typer.Option("--format", help="Print csv, markdown or latex.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything measured as JSON.")] = False,
    strict: Annotated[bool, typer.Option(help="Exit with 1 if a claim is refuted.")] = False,
) -> None:
    """Measure convergence orders and hold each method's claim against them.

    A Gaussian target is measured by the sampler's exact law, a one-dimensional mixture by its density, another mixture
    by coupled samples. On data (digits, or a file) the table is error against evaluations.

    Example: assay order heun dpm-solver++-2m --path VP --grid log-snr --plot orders.png
    """
    if load is not None:
        known = set(catalogue)
        words.load_methods(load)
        methods = methods or sorted(set(catalogue) - known)
    if start not in ("practical", "exact", "both"):
        raise ValueError(f"start is {start!r}: use 'practical', 'exact' or 'both'")
    if grid not in grids.catalogue:
        raise unknown("grid", grid, list(grids.catalogue))
    if limit < 16:
        raise ValueError(f"limit is {limit}: give at least 16 steps, a ladder needs rungs")
    if form is not None and form not in tables.FORMATS:
        raise ValueError(f"format is {form!r}: use one of {', '.join(tables.FORMATS)}")
    setting = Setting(words.path_of(path), grid, begin, end, initial, limit, samples, seed)
    if initial not in ("marginal", "prior"):
        raise ValueError(f"initial is {initial!r}: use 'marginal' or 'prior'")
    setting.nodes(16)  # complains about begin and end before anything is measured
    chosen = {name: named.load(name) for name in target or ("gaussian-1d", "easy-1d")}
    starts = ("practical", "exact") if start == "both" else (start,)
    work = [job for text in methods for job in _jobs(text, starts)] if methods else jobs(None, starts)
    on_data = [name for name, mixture in chosen.items() if cost.by_samples_only(mixture)]
    if on_data and len(chosen) > 1:
        raise ValueError(f"target is {', '.join(chosen)}: study {on_data[0]}, which is data, on its own")
    if pictures is not None and not (on_data and chosen[on_data[0]].dim == 64):
        raise ValueError(
            f"pictures is '{pictures}' but the target is no set of 8x8 images: use --target digits"
        )
    for file in (plot, pictures):
        if file is not None:
            suffix_of(file, plots.SUFFIXES)
    if table is not None:
        suffix_of(table, tables.SUFFIXES)
    store = None if out is None else Store(out / "finished")
    if on_data:
        drawn = _order_on_data(work, on_data[0], setting, form, as_json, table)
        measurements, judgements, kept = drawn
        for file in [
            f for f in (pictures, out / "samples.png" if out and chosen[on_data[0]].dim == 64 else None) if f
        ]:
            plots.save(plots.pictures(kept, f"Samples on {on_data[0]}, {path} path, {grid} grid"), file)
    else:
        measurements, judgements = _order_by_slope(work, chosen, setting, store, form, as_json, table)
    where = f"{path} path, {grid} grid"
    for file in [f for f in (plot, out / "convergence.png" if out else None) if f]:
        frame, metric = _plotted(measurements)
        plots.save(plots.convergence(frame, f"{metric} on {frame['target'].iloc[0]}, {where}"), file)
    if out is not None:
        tables.write(frames.long(measurements), out / "measurements.csv")
        summary = (
            frames.cost_summary(measurements, "energy")
            if on_data
            else frames.summary(measurements, judgements)
        )
        tables.write(summary, out / "table.md")
    if strict and any(j.verdict == "refuted" for j in judgements):
        raise typer.Exit(1)


def _jobs(text: str, starts: tuple[str, ...]) -> list[Job]:
    named_start = words.split("method", text)[2].get("start")
    found = [words.job_of(text, s) for s in ((named_start,) if named_start else starts)]
    return found if found[0].method.multistep else found[:1]


def _order_by_slope(
    work: list[Job],
    chosen: dict[str, Any],
    setting: Setting,
    store: Store | None,
    form: str | None,
    as_json: bool,
    table: Path | None,
) -> tuple[list[Measurement], list[Judgement]]:
    measurements: list[Measurement] = []
    judgements: list[Judgement] = []
    with _progress() as progress:
        task = progress.add_task("", total=len(work))
        for job in work:
            progress.update(task, description=f"{job.method.name} ({job.start})")
            measured, judged = study(job, chosen, setting, store)
            measurements += measured
            judgements += judged
            progress.advance(task)
    frame = frames.summary(measurements, judgements)
    if table is not None:
        tables.write(frame, table)
    if as_json:
        verdicts = [
            {
                "method": j.method,
                "start": j.start,
                "order": j.claim.order,
                "sense": j.claim.sense,
                "basis": j.claim.basis,
                "source": j.claim.source,
                "verdict": j.verdict,
                "reason": j.reason,
            }
            for j in judgements
        ]
        records = frames.long(measurements).to_dict("records")
        print(json.dumps(_clean({"verdicts": verdicts, "measurements": records}), indent=1))
        return measurements, judgements
    _show(frame, f"Claimed and measured order, {setting.path} path, {setting.grid} grid", form)
    if form is None:
        print(frames.LEGEND)
        refuted = [j for j in judgements if j.verdict == "refuted"]
        for j in refuted:
            claim = f"{j.claim.order:g} {j.claim.sense} by {j.claim.source}"
            print(f"refuted: {frames.named(j.method, j.start)}, {claim}: {j.reason}")
    return measurements, judgements


def _order_on_data(
    work: list[Job], name: str, setting: Setting, form: str | None, as_json: bool, table: Path | None
) -> tuple[list[Measurement], list[Judgement], dict[tuple[str, int], Any]]:
    reference = cost.Reference(name, named.load(name), setting, min(setting.samples, cost.SAMPLES))
    measurements: list[Measurement] = []
    kept: dict[tuple[str, int], Any] = {}
    practical = [job for job in work if job.start == "practical"]
    with _progress() as progress:
        task = progress.add_task("", total=len(practical))
        for job in practical:
            progress.update(task, description=job.method.name)
            for measurement, x in cost.error_against_cost(job, reference):
                measurements.append(measurement)
                kept |= cost.arrays_of(x)
            progress.advance(task)
    if table is not None:
        tables.write(frames.cost_summary(measurements, "energy"), table)
    if as_json:
        print(json.dumps(_clean({"measurements": frames.long(measurements).to_dict("records")}), indent=1))
        return measurements, [], kept
    energy = frames.cost_summary(measurements, "energy")
    _show(energy, f"Energy distance to {reference.n} fresh samples of {name} ± standard error", form)
    flow = frames.cost_summary(measurements, "flow")
    if form is None and len(flow):
        print()
        _show(flow, "Root mean square distance to the end of the flow, deterministic methods", form)
    return measurements, [], kept


def _plotted(measurements: list[Measurement]) -> tuple[pd.DataFrame, str]:
    """Choose the ladder worth a picture: the last target, W2 or what stands for it there."""
    last = measurements[-1].target
    for metric, title in (("w2", "W2 error"), ("weak", "Weak error"), ("energy", "Energy distance")):
        chosen = [m for m in measurements if m.target == last and m.metric == metric]
        if chosen:
            frame = frames.long(chosen)
            # an energy distance is a square, and noise by then: no claimed slope belongs beside it
            return frame.drop(columns="claim") if metric == "energy" else frame, title
    raise ValueError(f"plot has nothing to draw on {last}: measure another target")


@app.command(name="list")
def list_(
    what: Annotated[
        str | None, typer.Argument(help="methods, targets, grids or paths; all by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List what there is: methods with their claims and sources, targets, grids, paths.

    Example: assay list methods
    """
    from analytic import paths

    def first_line(thing: Any) -> str:
        return (thing.__doc__ or "").strip().split("\n")[0]

    methods = pd.DataFrame(
        [
            {
                "method": m.name,
                "also": ", ".join(m.aliases) or frames.NOTHING,
                "half": m.half,
                "claims": ", ".join(f"{c.order:g} {c.sense} ({c.basis})" for c in m.claims) or frames.NOTHING,
                "options": ", ".join(f"{k}={v}" for k, v in m.options.items()) or frames.NOTHING,
                "source": m.source,
            }
            for m in catalogue.values()
        ]
    )
    lists = {
        "methods": methods,
        "targets": pd.DataFrame(named.table(), columns=["target", "dim", "components", "description"]),
        "grids": pd.DataFrame(
            [{"grid": k, "description": first_line(v)} for k, v in grids.catalogue.items()]
        ),
        "paths": pd.DataFrame(
            [{"path": p, "description": first_line(getattr(paths, p))} for p in words.PATHS]
        ),
    }
    if what is not None and what not in lists:
        raise unknown("what", what, list(lists))
    chosen = lists if what is None else {what: lists[what]}
    if as_json:
        print(json.dumps({k: _clean(v.to_dict("records")) for k, v in chosen.items()}, indent=1))
        return
    for name, frame in chosen.items():
        tables.to_terminal(frame, name)
