"""`assay order`: claimed orders beside measured ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from solvers import catalogue, grids
from solvers.names import unknown

from .. import specifications
from ..ladder import long
from ..output import render
from ..output.options import FormatOption, JsonOption, check_output
from ..output.report import show, write_tables
from .charts import drawable, write_plots
from .request import Request


def order(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="Methods, with options: heun, 'edm-churn(gamma=0.1)'. All by default."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Target by name (see `assay list targets`) or a .npy, .csv, .parquet, .txt file; repeatable. "
            "By default gaussian-1d and easy-1d, and for tokens smooth and sharp."
        ),
    ] = None,
    path: Annotated[
        str, typer.Option(help="Gaussian path: VP, 'VE(0.02, 20)', Linear, ...")
    ] = "VE(0.02, 20)",
    noise: Annotated[
        list[str] | None,
        typer.Option(
            help="Noise on tokens: Uniform, \"Absorbing('cosine')\", 'Hybrid(0.2)', ...; repeatable. "
            "By default masks and uniform noise."
        ),
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(
            help="Grid of times by name (see `assay list grids`); karras by default, geometric for tokens."
        ),
    ] = None,
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
    limit: Annotated[
        int | None, typer.Option(help="Steps no ladder goes beyond; 4096 by default, 1024 for tokens.")
    ] = None,
    samples: Annotated[int, typer.Option(help="Samples where a target is measured by sampling.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Seed of all noise.")] = 0,
    load: Annotated[Path | None, typer.Option(help="Python file that registers methods of your own.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for tables, plots and finished work; a killed run goes on from there."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            help="Also write the table: .csv, .md, .tex or .json (a second one gets its name added)."
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw error against NFE: .png or .svg.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Also draw samples (digits only): .png or .svg.")
    ] = None,
    form: FormatOption = None,
    as_json: JsonOption = False,
    strict: Annotated[bool, typer.Option(help="Exit with 1 if a claim is refuted.")] = False,
) -> None:
    """Measure convergence orders and hold each method's claim against them.

    A Gaussian target is measured by the sampler's exact law, a one-dimensional mixture by its density, another mixture
    by coupled samples, short token sequences by the exact law. On data (digits, text, or a file) the table is error
    against evaluations.

    Example: assay order heun dpm-solver++-2m --path VP --grid log-snr --plot orders.png
    """
    if load is not None:
        known = set(catalogue)
        specifications.load_methods(load)
        methods = methods or sorted(set(catalogue) - known)
    if start not in ("practical", "exact", "both"):
        raise ValueError(f"start is {start!r}: use 'practical', 'exact' or 'both'")
    if grid is not None and grid not in grids.catalogue:
        raise unknown("grid", grid, list(grids.catalogue))
    if limit is not None and limit < 16:
        raise ValueError(f"limit is {limit}: give at least 16 steps, a ladder needs rungs")
    check_output(form, table, plot, pictures)
    if initial not in ("marginal", "prior"):
        raise ValueError(f"initial is {initial!r}: use 'marginal' or 'prior'")
    starts = ("practical", "exact") if start == "both" else (start,)
    request = Request(
        methods, target, path, noise, grid, begin, end, initial, starts, limit, samples, seed, out, pictures
    )
    reports = request.run()
    show(reports, form, as_json)
    if table is not None:
        write_tables(reports, table)
    if plot is not None:
        write_plots(reports, request.where, plot)
    if out is not None:
        measurements = [m for report in reports for m in report.measurements]
        render.write(long(measurements), out / "measurements.csv")
        for report in reports:
            render.write(report.frame, out / f"{report.name}.md")
        if any(drawable(report) for report in reports):
            write_plots(reports, request.where, out / "convergence.png")
    if strict and any(j.verdict == "refuted" for report in reports for j in report.judgements):
        raise typer.Exit(1)
