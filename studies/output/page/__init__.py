"""One page of HTML a run, whole in itself: tables that sort and filter, charts that can be asked, no network."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from ..render import table_cells
from ..report import Report
from ..theme import COLOURS, DARK_COLOURS, SHAPES, assay, assay_dark, on_dark

HERE = Path(__file__).parent
CURVES = ("method", "error", "nfe")  # columns that a table to compute with has if its errors can be drawn
CHOICES = ("metric", "target", "path", "grid", "start")
RECOMMENDED, VERDICT_COLUMNS = "Recommended", ("verdict", "result")
TIMED = ("method", "target", "path", "grid", "steps")  # what a time is of
SHOWN_FIRST = 8  # curves, those of the least errors
WORDS = (
    "confirmed",
    "refuted",
    "not met",
    "limited",
    "unresolved",
    "failed",
    "unstable",
    "worse",
    "better",
    "passed",
)


@dataclass(frozen=True)
class Head:
    """What a page says of its run.

    Attributes
    ----------
    title, about : str
    hash : str
        Of the keys of all records that it shows.
    made : sequence of mapping
        Versions, commits and machines that they were made with.
    """

    title: str
    about: str = ""
    hash: str = ""
    made: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


@cache
def bundle() -> str:
    """Return what draws the charts: Vega, Vega-Lite and its embedding, as one script."""
    from vl_convert import javascript_bundle

    return str(javascript_bundle("window.vegaEmbed = vegaEmbed;")).replace("</script", "<\\/script")


@cache
def _template(name: str) -> jinja2.Template:
    loader = jinja2.FileSystemLoader(HERE)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["code"] = _code
    environment.globals["style"] = (HERE / "style.css").read_text("utf-8")
    return environment.get_template(name)


def page(
    head: Head,
    reports: Sequence[Report],
    charts: Mapping[str, alt.TopLevelMixin],
    tables: Mapping[str, pd.DataFrame],
    failures: Sequence[object] = (),
    skipped: Sequence[tuple[str, str]] = (),
) -> str:
    """Return a run's page.

    Parameters
    ----------
    head : Head
    reports : sequence of Report
    charts : mapping of str to altair chart
    tables : mapping of str to DataFrame
        To compute with; those that have errors against evaluations can be drawn by what a reader chooses.
    failures, skipped
        What could not be measured, and what was not asked.
    """
    explorers = {name: rows for name, frame in tables.items() if (rows := _curves(frame))}
    for rows in explorers.values():
        _with_times(rows, tables)
    data = {
        "charts": {name: _both(chart) for name, chart in charts.items()},
        "explorers": explorers,
        "colours": {"light": COLOURS, "dark": DARK_COLOURS},
        "shapes": SHAPES,
        "config": {"light": assay()["config"], "dark": assay_dark()["config"]},
        "first": SHOWN_FIRST,
    }
    return _template("run.html").render(
        title=head.title,
        head=head,
        verdicts=verdicts(reports),
        reports=[_table(report) for report in reports],
        charts={name: caption_of(chart) or f"{name}." for name, chart in charts.items()},
        explorers=list(explorers),
        files=list(tables),
        failures=[str(failure) for failure in failures],
        skipped=list(skipped),
        data=jinja2.utils.htmlsafe_json_dumps(data),
        script=(HERE / "script.js").read_text("utf-8"),
        bundle=bundle() if charts or explorers else "",
    )


def index(entries: Sequence[tuple[str, Head, Sequence[str]]]) -> str:
    """Return a page that leads to those of several runs: where each is, what it says, and its verdicts."""
    return _template("index.html").render(title="Studies", entries=list(entries))


def _both(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """Return a chart's specification on a light and on a dark ground, without what the page configures."""
    written = json.dumps(chart.to_dict(validate=False))
    light, dark = json.loads(written), json.loads(on_dark(written))
    for one in (light, dark):
        one.pop("config", None)
    return {"light": light, "dark": dark}


def caption_of(chart: alt.TopLevelMixin) -> str:
    """Return what a chart says of itself, "" if nothing."""
    said = getattr(chart, "description", alt.Undefined)
    return said if isinstance(said, str) else ""


def _table(report: Report) -> dict[str, Any]:
    names, numeric, rows = table_cells(report.frame)
    return {
        "name": report.name,
        "title": report.title,
        "columns": list(zip(names, numeric, strict=True)),
        "rows": [[(cell, _word(cell)) for cell in row] for row in rows],
        "notes": report.notes,
        "reasons": report.reasons,
    }


def verdicts(reports: Sequence[Report]) -> list[str]:
    """Return what a reader wants to know first: what is recommended, and how many verdicts of each kind there are."""
    found = [note for report in reports for note in report.notes if note.startswith(RECOMMENDED)]
    for report in reports:
        for column in VERDICT_COLUMNS:
            if column in report.frame:
                counts = Counter(
                    str(cell).partition(" (")[0] for cell in report.frame[column] if str(cell) != "–"
                )
                told = ", ".join(f"{count} {word}" for word, count in counts.most_common() if word)
                found += [f"{report.title}: {told}"] if told else []
    return found


def _word(cell: str) -> str:
    """Return the class that a cell is shown with: of the verdict it begins with, or of a mark."""
    word = next((word for word in WORDS if cell.startswith(word)), "")
    mark = "best" if cell.endswith(" *") else "tie" if cell.endswith(" =") else ""
    return word.replace(" ", "-") or mark


def _code(text: str) -> Any:
    """Return text with what stands in backquotes as code."""
    parts = escape(text).split("`")
    return Markup("".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts)))


def _curves(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what an explorer draws: a row for each error that a log axis has a place for."""
    if any(name not in frame.columns for name in CURVES):
        return []
    rows = []
    for row in frame.to_dict("records"):
        error, cost = _number(row["error"]), _number(row["nfe"])
        if not (error and cost and error > 0 and cost > 0):
            continue
        spread = _number(row.get("uncertainty")) or 0.0
        rows.append(
            {name: str(row[name]) for name in _choices(frame)}
            | {"method": str(row["method"]), "NFE": cost, "error": error}
            | ({"steps": steps} if (steps := _number(row.get("steps"))) else {})
            | ({"low": max(error - spread, error / 30), "high": error + spread} if spread else {})
            | ({"floor": floor} if (floor := _number(row.get("floor"))) else {})
        )
    return rows


def _with_times(rows: list[dict[str, Any]], tables: Mapping[str, pd.DataFrame]) -> None:
    """Add microseconds a sample to what is drawn, where they were measured on one machine."""
    timed = tables.get("time")
    if timed is None or timed.empty or timed["machine"].nunique() != 1:
        return
    by = {tuple(str(one[name]) for name in TIMED): 1e6 * one["seconds"] for one in timed.to_dict("records")}
    for row in rows:
        key = tuple(str(int(row[n]) if n == "steps" and n in row else row.get(n)) for n in TIMED)
        row |= {"time": by[key]} if key in by else {}


def _choices(frame: pd.DataFrame) -> Iterable[str]:
    return [name for name in CHOICES if name in frame.columns]


def _number(value: Any) -> float | None:
    if isinstance(value, int | float | np.number) and np.isfinite(value):
        return float(value)
    return None
