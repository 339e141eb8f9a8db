"""What a study found, and how it is shown: tables with their titles and notes, printed and written."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .files import FORMATS, PICTURES, SUFFIXES, suffix_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Report:
    """A table to read, and what it was made of.

    Attributes
    ----------
    name : str
        Of its files, without suffix.
    title : str
    frame : DataFrame
        To read.
    notes : list of str
        Lines below the table.
    reasons : list of str
        Why verdicts are what they are, below the notes, and below the table in Markdown too.
    everything : mapping of str to DataFrame
        To compute with, by name: every number that was measured. Reports that give a table of one name add to it. The
        table to read itself, if empty.
    """

    name: str
    title: str
    frame: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list, kw_only=True)
    everything: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """Show the table in a notebook, with its title and notes."""
        from . import render

        return render.to_html(self.frame, self.title, [*self.notes, *self.reasons])


@dataclass(frozen=True)
class Output:
    """Where results go.

    Attributes
    ----------
    form : str or None
        What is printed: "csv", "markdown" or "latex"; tables for a terminal if None.
    as_json : bool
        Print everything measured as JSON instead.
    table : Path or None
        Also write it: everything measured as .csv, .json or .parquet, the tables to read as .md or .tex. Further
        tables get their names added to the file's.
    plot : Path or None
        Also draw: .png, .svg, .pdf, .html or .json.
    out : Path or None
        Folder for everything measured, tables to read and the figure.
    pack : bool
        There, everything measured as Parquet too.
    page : bool
        There, a page of HTML, tables in LaTeX, and figures as SVG and PDF too.

    Raises
    ------
    ValueError
        A format or a suffix that is none, before anything is measured.
    """

    form: str | None = None
    as_json: bool = False
    table: Path | None = None
    plot: Path | None = None
    out: Path | None = None
    pack: bool = False
    page: bool = False

    def __post_init__(self) -> None:
        if self.form is not None and self.form not in FORMATS:
            raise ValueError(f"format is {self.form!r}: use one of {', '.join(FORMATS)}")
        if self.table is not None:
            suffix_of(self.table, SUFFIXES)
        if self.plot is not None:
            suffix_of(self.plot, PICTURES)


class Shown(Protocol):
    """What is asked of a study here, see `studies.study.Study`."""

    def skipped(self) -> Iterable[tuple[str, str]]: ...

    def reports(self, found: list[Any]) -> Iterable[Report]: ...

    def figures(self, found: list[Any]) -> Mapping[str, Any]: ...


def show(
    shown: Sequence[tuple[Shown, list[Any]]],
    output: Output,
    failures: Sequence[object] = (),
) -> tuple[list[Report], dict[str, Any]]:
    """Print and write what studies found, and return the reports and the charts; failures are named on stderr.

    Raises ValueError if a plot was asked for and there is nothing to draw.
    """
    from . import render  # with pandas and rich, which checking what was asked does not need

    reports = reports_of(shown)
    if output.as_json:
        tables = {name: frame.to_dict("records") for name, frame in everything_of(reports).items()}
        print(json.dumps(clean(tables), indent=1))
    else:
        _print(reports, [skip for study, _ in shown for skip in study.skipped()], output.form)
    for failure in failures:
        print(f"assay: failed: {failure}", file=sys.stderr)
    if output.table is not None:
        whole = SUFFIXES[suffix_of(output.table, SUFFIXES)] in ("csv", "json", "parquet")
        frames = everything_of(reports) if whole else {report.name: report.frame for report in reports}
        for frame, file in zip(frames.values(), _files(output.table, frames), strict=True):
            render.write(frame, file)
    if output.out is not None:
        for name, frame in everything_of(reports).items():
            render.write(frame, output.out / f"{name}.csv")
            if output.pack:
                render.write(frame, output.out / f"{name}.parquet")
        for report in reports:
            render.write(report.frame, output.out / f"{report.name}.md")
            if output.page:
                render.write(report.frame, output.out / f"{report.name}.tex")
    drawn = output.plot is not None or output.out is not None
    return reports, _draw(shown, output) if drawn else {}


def reports_of(shown: Sequence[tuple[Shown, list[Any]]]) -> list[Report]:
    """Return the reports of studies, no two of one name."""
    reports = [report for study, found in shown for report in study.reports(found)]
    return [
        replace(report, name=name)
        for name, report in zip(_told_apart([r.name for r in reports]), reports, strict=True)
    ]


def charts_of(shown: Sequence[tuple[Shown, list[Any]]]) -> dict[str, Any]:
    """Return the charts of studies by name, no two of one name."""
    charts = [pair for study, found in shown for pair in study.figures(found).items()]
    names = _told_apart([name for name, _ in charts])
    return {name: chart for name, (_, chart) in zip(names, charts, strict=True)}


def _told_apart(names: Sequence[str]) -> list[str]:
    """Return names, with a number those that were there before."""
    found: list[str] = []
    for name in names:
        numbered = (f"{name}-{place}" for place in count(2))
        found.append(name if name not in found else next(n for n in numbered if n not in {*found, *names}))
    return found


def _print(reports: Sequence[Report], skipped: Sequence[tuple[str, str]], form: str | None) -> None:
    from . import render

    for place, report in enumerate(reports):
        if place:
            print()
        if form is None:
            render.to_terminal(report.frame, report.title)
            for note in [*report.notes, *report.reasons]:
                print(note)
        else:
            if form == "markdown" and len(reports) > 1:
                print(f"{report.title}\n")
            sys.stdout.write(render.render(report.frame, form))  # type: ignore[arg-type]  # Output checked it
            if form == "markdown" and report.reasons:
                print("\n" + "\n".join(f"- {reason}" for reason in report.reasons))
    if form is None:
        for what, why in skipped:
            print(f"not measured: {what}: {why}")


def _draw(shown: Sequence[tuple[Shown, list[Any]]], output: Output) -> dict[str, Any]:
    charts = charts_of(shown)
    if not charts and output.plot is not None:
        raise ValueError(
            f"plot is '{output.plot}', but nothing measured can be drawn: measure more methods or steps"
        )
    from . import figures  # which is slow to import

    for name, chart in charts.items():
        for suffix in () if output.out is None else ("png", "svg", "pdf") if output.page else ("png",):
            figures.save(chart, output.out / f"{name}.{suffix}")  # type: ignore[operator]
    if output.plot is not None and suffix_of(output.plot, PICTURES) == ".gif":
        frames = [frame for study, found in shown for frame in getattr(study, "frames", lambda _: [])(found)]
        figures.animate(frames, output.plot)
    elif output.plot is not None:
        for chart, file in zip(charts.values(), _files(output.plot, charts), strict=True):
            figures.save(chart, file)
    return charts


def everything_of(reports: Sequence[Report]) -> dict[str, pd.DataFrame]:
    """Return all tables to compute with, those of one name as one."""
    import pandas as pd

    parts: dict[str, list[pd.DataFrame]] = {}
    for report in reports:
        for name, frame in (report.everything or {report.name: report.frame}).items():
            parts.setdefault(name, []).append(frame)
    return {
        name: frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        for name, frames in parts.items()
    }


def _files(file: Path, names: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a file for each name: the one given, and for those after the first with its name added."""
    for place, name in enumerate(names):
        yield file if place == 0 else file.with_stem(f"{file.stem}-{name.removeprefix(f'{file.stem}-')}")


def clean(record: Any) -> Any:
    """Replace what JSON has no word for by null."""
    if isinstance(record, dict):
        return {k: clean(v) for k, v in record.items()}
    if isinstance(record, list | tuple):
        return [clean(v) for v in record]
    if isinstance(record, float | np.floating):
        return float(record) if np.isfinite(record) else None
    if isinstance(record, np.integer):
        return int(record)
    return record
