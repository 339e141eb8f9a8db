"""`assay likelihood`: log-densities along the flow against the target's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from analytic import targets as named
from solvers import grids
from solvers.continuous.executors.likelihood import BUTCHER
from solvers.names import unknown

from .. import specifications
from ..ladder import long
from ..output import figures, render
from ..output.options import FormatOption, JsonOption, TableOption, check_output
from ..output.unconverted import Report, progress, show
from ..setting import Setting
from . import study

TARGETS = ("easy-1d", "pair-2d", "rotated-16")


def likelihood(
    methods: Annotated[list[str] | None, typer.Argument(help="Runge-Kutta methods, all by default.")] = None,
    target: Annotated[list[str] | None, typer.Option(help="Target by name or file, repeatable.")] = None,
    path: Annotated[str, typer.Option(help="Gaussian path.")] = "VE(0.02, 20)",
    grid: Annotated[str, typer.Option(help="Grid by name.")] = "karras",
    table: TableOption = None,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw errors on the last target: .png or .svg.")
    ] = None,
    form: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the order of log p(x) along the probability-flow ODE, with the exact divergence.

    Beside it the exact log-density of the discrete sampler's own map, the floor that the conventional prior leaves,
    and the spread of Hutchinson's estimator.

    Example: assay likelihood heun rk4 --target pair-2d --plot likelihood.png
    """
    check_output(form, table, plot)
    if grid not in grids.catalogue:
        raise unknown("grid", grid, list(grids.catalogue))
    setting = Setting(specifications.path_of(path), grid)
    jobs = [specifications.job_of(text) for text in methods or BUTCHER]
    chosen = {name: named.load(name) for name in target or TARGETS}
    measured = []
    with progress() as bar:
        task = bar.add_task("log-densities", total=len(jobs) * len(chosen))
        for name, law in chosen.items():
            for job in jobs:
                measured += list(study.likelihood(job, name, law, setting))
                bar.advance(task)
    spreads = pd.concat(
        [study.probes(law, setting).assign(target=name) for name, law in chosen.items()], ignore_index=True
    )
    everything = long(measured)
    title = f"Error of log p(x) in bits per dimension, {path} path, {grid} grid"
    notes = [
        "flow: order of the method on (x, log p), from the exact marginal. map: order of the exact log-density of the "
        "sampler's own map. from prior: with N(0, s^2 I) in the marginal's place, which leaves a floor."
    ]
    report = Report("likelihood", title, everything if as_json else study.summary(measured), notes)
    show(
        [report, Report("probes", "Hutchinson's estimator, one probe, 64 steps of heun", spreads)],
        form,
        as_json,
    )
    if table is not None:
        render.write(everything, table)
    if plot is not None:
        last = list(chosen)[-1]
        drawn = everything[(everything["target"] == last) & (everything["metric"] == study.FLOW)]
        figures.save(figures.convergence(drawn, f"Error of log p(x) on {last}, bits per dimension"), plot)
