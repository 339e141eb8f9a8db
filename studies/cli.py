"""The `assay` command: one verb a question."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from analytic import sequences
from analytic import targets as named
from solvers import catalogue, grids
from solvers.catalogue import unknown

from . import frames, plots, tables, token_scaling, words
from . import precision as study
from .files import suffix_of
from .report import Report, clean, drawable, progress, show, write_plot, write_tables
from .request import Request

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


def _check_output(form: str | None, table: Path | None) -> None:
    """Complain before anything is measured."""
    if form is not None and form not in tables.FORMATS:
        raise ValueError(f"format is {form!r}: use one of {', '.join(tables.FORMATS)}")
    if table is not None:
        suffix_of(table, tables.SUFFIXES)


@app.command()
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
    form: Annotated[str | None, typer.Option("--format", help="Print csv, markdown or latex.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything measured as JSON.")] = False,
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
        words.load_methods(load)
        methods = methods or sorted(set(catalogue) - known)
    if start not in ("practical", "exact", "both"):
        raise ValueError(f"start is {start!r}: use 'practical', 'exact' or 'both'")
    if grid is not None and grid not in grids.catalogue:
        raise unknown("grid", grid, list(grids.catalogue))
    if limit is not None and limit < 16:
        raise ValueError(f"limit is {limit}: give at least 16 steps, a ladder needs rungs")
    _check_output(form, table)
    if initial not in ("marginal", "prior"):
        raise ValueError(f"initial is {initial!r}: use 'marginal' or 'prior'")
    for file in (plot, pictures):
        if file is not None:
            suffix_of(file, plots.SUFFIXES)
    starts = ("practical", "exact") if start == "both" else (start,)
    request = Request(
        methods, target, path, noise, grid, begin, end, initial, starts, limit, samples, seed, out, pictures
    )
    reports = request.run()
    show(reports, form, as_json)
    if table is not None:
        write_tables(reports, table)
    pictured = [report for report in reports if drawable(report)]
    if plot is not None:
        write_plot(pictured[0], request.where(pictured[0]), plot)
    if out is not None:
        measurements = [m for report in reports for m in report.measurements]
        tables.write(frames.long(measurements), out / "measurements.csv")
        for report in reports:
            tables.write(report.frame, out / f"{report.name}.md")
        for report in pictured:
            name = "convergence" if report is pictured[0] else f"convergence-{report.name}"
            write_plot(report, request.where(report), out / f"{name}.png")
    if strict and any(j.verdict == "refuted" for report in reports for j in report.judgements):
        raise typer.Exit(1)


@app.command()
def scaling(
    table: Annotated[
        Path | None, typer.Option(help="Also write every size and its steps: .csv, .md, .tex or .json.")
    ] = None,
    form: Annotated[str | None, typer.Option("--format", help="Print csv, markdown or latex.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything measured as JSON.")] = False,
) -> None:
    """Measure how many steps ancestral sampling of tokens needs, against length and vocabulary.

    Masks beside uniform noise by exact law on short chains; masks to a length of 1000 by the information profile,
    with even and with optimal schedules.

    Example: assay scaling --table steps.csv
    """
    _check_output(form, table)
    found = []
    with progress() as bar:
        task = bar.add_task("steps needed", total=token_scaling.LADDERS)
        for one in token_scaling.scaling():
            found.append(one)
            bar.advance(task)
    everything = token_scaling.frame(found)
    summary = everything if as_json else token_scaling.summary(found)
    show([Report("scaling", "Steps that ancestral sampling of tokens needs", summary)], form, as_json)
    if table is not None:
        tables.write(everything, table)


@app.command()
def precision(
    draw: Annotated[
        list[str] | None,
        typer.Option(
            help="Draw by name, repeatable; float64 beside three in float32 by default, which takes a minute."
        ),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(help="Bits of the uniform numbers of float32 draws; each draw's own by default."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Also write every number of steps: .csv, .md, .tex or .json.")
    ] = None,
    form: Annotated[str | None, typer.Option("--format", help="Print csv, markdown or latex.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything measured as JSON.")] = False,
) -> None:
    """Measure how far drawing tokens in float32 takes a sampler of many steps from its target.

    By the exact law of the arithmetic, for inverse CDF, Gumbel and exponential race as libraries have them.

    Example: assay precision --table precision.csv
    """
    _check_output(form, table)
    noises = {study.SHOWN_NOISE: study.NOISES[study.SHOWN_NOISE]}
    found = study.precision(noises=noises, draws=draw or study.SHOWN_DRAWS, bits=bits)
    report = Report(
        "precision",
        "Error of one token drawn by ancestral sampling in many steps, and its growth with them",
        found if as_json else study.summary(found),
        [
            "growth: exponent of TV in the number of steps. predicted: by the derivation in studies/precision.py."
        ],
    )
    show([report], form, as_json)
    if table is not None:
        tables.write(found, table)


@app.command(name="list")
def list_(
    what: Annotated[
        str | None,
        typer.Argument(help="methods, targets, sequences, grids, paths or noises; all by default."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List what there is: methods with their claims and sources, targets, sequences, grids, paths, noises.

    Example: assay list methods
    """
    from analytic import chains, paths

    def first_line(thing: Any) -> str:
        return (thing.__doc__ or "").strip().split("\n")[0]

    methods = pd.DataFrame(
        [
            {
                "method": m.name,
                "also": ", ".join(m.aliases) or frames.NOTHING,
                "half": m.half,
                "claims": ", ".join(f"{frames.order_of(c)} ({c.basis})" for c in m.claims) or frames.NOTHING,
                "options": ", ".join(f"{k}={v}" for k, v in m.options.items()) or frames.NOTHING,
                "source": m.source,
            }
            for m in catalogue.values()
        ]
    )
    lists = {
        "methods": methods,
        "targets": pd.DataFrame(named.table(), columns=["target", "dim", "components", "description"]),
        "sequences": pd.DataFrame(
            [{"sequence": k, "description": v.description} for k, v in sequences.catalogue.items()]
        ),
        "grids": pd.DataFrame(
            [{"grid": k, "description": first_line(v)} for k, v in grids.catalogue.items()]
        ),
        "paths": pd.DataFrame(
            [{"path": p, "description": first_line(getattr(paths, p))} for p in words.PATHS]
        ),
        "noises": pd.DataFrame(
            [{"noise": n, "description": first_line(getattr(chains, n))} for n in words.NOISES]
        ),
    }
    if what is not None and what not in lists:
        raise unknown("what", what, list(lists))
    chosen = lists if what is None else {what: lists[what]}
    if as_json:
        print(json.dumps({k: clean(v.to_dict("records")) for k, v in chosen.items()}, indent=1))
        return
    for name, frame in chosen.items():
        tables.to_terminal(frame, name)
