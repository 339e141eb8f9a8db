"""The way of showing of verbs that are not yet a `Study`; goes when the last of them is one."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..ladder import Measurement, long
from . import render
from .report import clean


@dataclass(frozen=True)
class Report:
    """A table to read.

    Attributes
    ----------
    name : str
        Of its files, without suffix.
    title : str
    frame : DataFrame
    notes : list of str
        Lines below the table.
    measurements : list of Measurement
    """

    name: str
    title: str
    frame: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)


def progress() -> Progress:
    """Return a progress bar on stderr that leaves nothing behind."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def show(reports: Sequence[Report], form: str | None, as_json: bool) -> None:
    """Print reports to read, in a format for other documents, or as JSON with every number."""
    if as_json:
        print(json.dumps(clean(_as_json(reports)), indent=1))
        return
    for place, report in enumerate(reports):
        if place:
            print()
        if form is None:
            render.to_terminal(report.frame, report.title)
            for note in report.notes:
                print(note)
        else:
            if form == "markdown" and len(reports) > 1:
                print(f"{report.title}\n")
            sys.stdout.write(render.render(report.frame, form))  # type: ignore[arg-type]  # render names the formats


def _as_json(reports: Sequence[Report]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    measurements = [m for report in reports for m in report.measurements]
    if measurements:
        found["measurements"] = long(measurements).to_dict("records")
    for report in reports:
        if not report.measurements:
            found[report.name] = report.frame.to_dict("records")
    return found


def write_tables(reports: Sequence[Report], file: Path) -> None:
    """Write each report's table; those after the first get their name added to the file's."""
    for place, report in enumerate(reports):
        render.write(report.frame, file if place == 0 else file.with_stem(f"{file.stem}-{report.name}"))
