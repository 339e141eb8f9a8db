"""Pictures: convergence of many methods in panels by claimed order, and grids of sampled digits.

Charts are built from inline values and drawn by vl-convert, so neither a browser nor a network is needed.
"""

from __future__ import annotations

import io
import math
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd
from PIL import Image
from vl_convert import vegalite_to_pdf, vegalite_to_png

from .files import PICTURES, suffix_of, write_whole
from .theme import COLOURS, SHAPES, THEME

COLUMNS = ("method", "start", "nfe", "steps", "error", "uncertainty")

GREY = "#868e96"
PANELS_A_ROW = 2
PANEL, LONE_PANEL = (380, 320), (640, 520)  # width and height, pixels
PNG_SCALE = 2.0
MOST_TICKS = 9
MOST_LINES = 8  # in a panel


def convergence(
    frame: pd.DataFrame,
    title: str = "",
    against: Literal["nfe", "steps"] = "nfe",
    of: str = "error",
) -> alt.ConcatChart:
    """Draw errors against cost on log axes, a panel for each claimed order, a line for each method and start.

    Where a claim has more than eight lines it has several panels, from the largest errors to the smallest.

    A dashed line shows the claimed slope. Points are hollow where the error is no larger than its
    uncertainty; bars show uncertainties that can be seen. Legends list the methods from the largest last
    error to the smallest. Errors of zero, and those that are not finite, have no place on a log axis: the
    subtitle names methods that have nothing else.

    Parameters
    ----------
    frame : DataFrame
        Columns method, start, nfe, steps, error (its sign is dropped), uncertainty (absolute, 0 if none) and,
        optionally, claim (an order; nan where none is claimed).
    title : str
    against : str
        "nfe", denoiser evaluations, or "steps".
    of : str
        Which error it is, with its unit: the title of its axis.

    Returns
    -------
    alt.ConcatChart
        A concatenation of panels; see `save`.

    Raises
    ------
    TypeError
        `frame` is not a DataFrame.
    ValueError
        A missing column, one that should be numbers and is not, two errors of one method, start and cost, no
        error to draw, or another `against`.
    """
    points = _points(frame, against)
    drawable = np.isfinite(points["error"]) & (points["error"] > 0) & (points["cost"] > 0)
    hidden = [name for name in points["series"].unique() if not drawable[points["series"] == name].any()]
    points = points[drawable]
    if points.empty:
        raise ValueError(
            "frame has no finite error above zero, so there is nothing to draw: run more methods or steps"
        )
    claims = sorted(points["claim"].unique(), key=lambda claim: (math.isnan(claim), claim))
    axis_title = {"nfe": "denoiser evaluations (NFE)", "steps": "steps"}[against]
    parts = [part for claim in claims for part in _parts(points, claim)]
    size = LONE_PANEL if len(parts) == 1 else PANEL
    panels = [_panel(chosen, claim, (axis_title, of), size, which) for chosen, claim, which in parts]
    dashed = "" if points["claim"].isna().all() else "dashed: claimed slope; "
    notes = [dashed + "hollow: error within its uncertainty"]
    if hidden:
        notes += textwrap.wrap("not drawn, error zero or not finite: " + ", ".join(hidden), 130)
    heading = alt.TitleParams(title or "Error against cost", subtitle=notes, anchor="start", offset=16)
    apart = alt.ScaleResolveMap(color="independent", shape="independent", x="independent", y="independent")
    return alt.concat(
        *panels,
        columns=PANELS_A_ROW,
        spacing=36,
        resolve=alt.Resolve(scale=apart),
        title=heading,
        description=f"{of[0].upper()}{of[1:]}, against {axis_title}, a panel a claimed order, a line a method; bars: "
        "uncertainty that can be seen.",
    )


def save(chart: Any, path: str | os.PathLike[str]) -> Path:
    """Write a chart to a file, whole or not at all, in the format of its suffix and in the project's theme.

    Parameters
    ----------
    chart : altair chart
    path : path
        Ends in .png (two pixels a unit), .svg, .pdf, .html (self-contained) or .json (the Vega-Lite specification).

    Returns
    -------
    Path

    Raises
    ------
    TypeError
        `chart` is not an altair chart.
    ValueError
        Another suffix, or a folder that does not exist.
    """
    if not isinstance(chart, alt.TopLevelMixin):
        raise TypeError(f"chart is a {type(chart).__name__}: give an altair chart")
    suffix = suffix_of(path, [known for known in PICTURES if known != ".gif"])
    with alt.theme.enable(THEME):
        return write_whole(path, _written(chart, suffix))


def animate(charts: Sequence[Any], path: str | os.PathLike[str], seconds: float = 0.12) -> Path:
    """Write charts as the frames of a GIF, the last of which stays for two seconds.

    Raises ValueError for another suffix, or no frames.
    """
    suffix_of(path, (".gif",))
    if not charts:
        raise ValueError(f"path is '{os.fspath(path)}', but nothing is animated: write another format")
    with alt.theme.enable(THEME):
        frames = [Image.open(io.BytesIO(_written(chart, ".png"))).convert("RGB") for chart in charts]
    palette = frames[-1].quantize(256)
    first, *rest = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    written, lasting = io.BytesIO(), [int(1000 * seconds)] * len(rest) + [2000]
    first.save(written, "GIF", save_all=True, append_images=rest, duration=lasting, loop=0)
    return write_whole(path, written.getvalue())


def _written(chart: Any, suffix: str) -> bytes:
    if suffix == ".png":
        # each part was checked when it was made
        return bytes(vegalite_to_png(chart.to_dict(validate=False), scale=PNG_SCALE))
    if suffix == ".pdf":
        return bytes(vegalite_to_pdf(chart.to_dict(validate=False)))
    if suffix == ".json":
        return bytes(chart.to_json().encode())
    text = io.StringIO()
    if suffix == ".svg":
        chart.save(text, format="svg")
    else:
        chart.save(text, format="html", inline=True)
    return text.getvalue().encode()


def _points(frame: pd.DataFrame, against: str) -> pd.DataFrame:
    """Check the caller's frame and return series, cost, error, uncertainty and claim, one point a row."""
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"frame is a {type(frame).__name__}: give a pandas DataFrame")
    if against not in ("nfe", "steps"):
        raise ValueError(f"against is {against!r}: use 'nfe' or 'steps'")
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise ValueError(f"frame has no column {missing[0]!r}: it needs {', '.join(COLUMNS)}")
    starts = frame.groupby("method")["start"].nunique()
    several = frame["method"].map(starts) > 1
    series = (
        frame["method"]
        .astype(str)
        .where(~several, frame["method"].astype(str) + ", " + frame["start"].astype(str))
    )
    columns = {"series": series}
    claim = frame["claim"] if "claim" in frame.columns else pd.Series(np.nan, frame.index)
    for name, values in (
        ("cost", frame[against]),
        *((n, frame[n]) for n in ("error", "uncertainty")),
        ("claim", claim),
    ):
        try:
            columns[name] = values.astype(np.float64)
        except (TypeError, ValueError) as failure:
            raise ValueError(
                f"frame's column {name!r} is not of numbers ({failure}): convert it first"
            ) from None
    points = pd.DataFrame(columns)
    twice = points[points.duplicated(["series", "cost", "claim"])]
    if not twice.empty:
        name, cost = twice.iloc[0][["series", "cost"]]
        raise ValueError(
            f"frame has two errors of {name} at {against} = {cost:g}: choose one target and measure"
        )
    points["error"] = points["error"].abs()
    points["uncertainty"] = points["uncertainty"].fillna(0.0)
    return points.sort_values(["series", "cost"])


def in_parts(names: Sequence[str]) -> list[list[str]]:
    """Split names of lines, in their order, into as few panels as take them, about as many in each."""
    count = -(-len(names) // MOST_LINES)
    return [list(names[i * len(names) // count : (i + 1) * len(names) // count]) for i in range(count)]


def _parts(points: pd.DataFrame, claim: float) -> list[tuple[pd.DataFrame, float, str]]:
    """Split the lines of one claim into those of a panel each, with which part it is in words."""
    own = points[points["claim"].isna() if math.isnan(claim) else points["claim"] == claim]
    names = _by_last_error(own)
    parts = in_parts(names)
    which = [f" ({i + 1} of {len(parts)})" if len(parts) > 1 else "" for i in range(len(parts))]
    return [(own[own["series"].isin(part)], claim, word) for part, word in zip(parts, which, strict=True)]


def _by_last_error(points: pd.DataFrame) -> list[str]:
    """Name the lines from the largest last error to the smallest."""
    last = points.groupby("series")["error"].last()
    return list(last.sort_values(ascending=False, kind="stable").index)


def _panel(
    points: pd.DataFrame, claim: float, titles: tuple[str, str], size: tuple[int, int], which: str = ""
) -> Any:
    low, high = points["error"].min() / 2, points["error"].max() * 2
    resolved = points["error"] > points["uncertainty"]
    visible = points["uncertainty"] > 0.02 * points["error"]
    points = points.assign(
        hollow=~resolved,
        low=np.where(visible, (points["error"] - points["uncertainty"]).clip(lower=low), np.nan),
        high=np.where(visible, (points["error"] + points["uncertainty"]).clip(upper=high), np.nan),
    )
    costs = [points["cost"].min(), points["cost"].max()]
    x = alt.X(
        "cost:Q",
        scale=alt.Scale(type="log", domain=[costs[0] / 1.2, costs[1] * 1.2], nice=False),
        axis=alt.Axis(title=titles[0], values=_ticks(costs[0], costs[1], 2.0), format="d", labelOverlap=True),
    )
    y = alt.Y(
        "error:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(title=titles[1], values=_ticks(low, high, 10.0), format=".2~e"),
    )
    names = _by_last_error(points)
    legend = alt.Legend(
        title=None, labelLimit=0, symbolLimit=0, symbolSize=70, symbolStrokeWidth=1.5, rowPadding=3
    )
    colour = alt.Color("series:N", sort=names, legend=legend, scale=_cycle(names, COLOURS))
    shape = alt.Shape("series:N", sort=names, legend=legend, scale=_cycle(names, SHAPES))

    base = alt.Chart(points).encode(x=x, y=y)  # a frame, which charts share: rows they would copy
    marks = base.encode(color=colour, shape=shape)
    layers = [
        base.mark_line(strokeWidth=1.2).encode(color=colour),
        base.mark_rule(strokeWidth=1.2)
        .transform_filter("isValid(datum.low)")
        .encode(y="low:Q", y2="high:Q", color=colour),
        marks.mark_point(filled=True, size=42, opacity=1).transform_filter("!datum.hollow"),
        marks.mark_point(filled=False, fill="white", size=42, opacity=1).transform_filter("datum.hollow"),
    ]
    if math.isnan(claim):
        heading = (
            f"no order claimed{which}" if size == PANEL else ""
        )  # a lone panel has no claim to be told from
    else:
        heading = f"claimed order {claim:g}{which}"
        layers = _reference(points[resolved], claim, low, x, y) + layers
    return alt.layer(*layers, width=size[0], height=size[1], title=heading)


def _reference(points: pd.DataFrame, order: float, low: float, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Draw a line of slope -order just below the panel's best method, as far down as the panel goes."""
    scaled = points["error"] * points["cost"] ** order
    constant = 0.5 * scaled.groupby(points["series"]).median().min()
    first, last = points["cost"].min(), points["cost"].max()
    last = min(last, (constant / low) ** (1 / order)) if order > 0 else last
    if not first < last:
        return []
    costs = [float(cost) for cost in (first, math.sqrt(first * last), last)]
    values = [{"cost": cost, "error": float(constant * cost**-order)} for cost in costs]
    line = alt.Chart(alt.InlineData(values=values)).mark_line(stroke=GREY, strokeDash=[6, 4], clip=True)
    label = alt.Chart(alt.InlineData(values=values[1:2])).mark_text(
        text=f"slope −{order:g}", align="right", baseline="top", dx=-4, dy=4, fontSize=12, color=GREY
    )
    return [line.encode(x=x, y=y), label.encode(x=x, y=y)]


def _cycle(names: Sequence[str], values: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(names), range=[values[i % len(values)] for i in range(len(names))])


def _ticks(low: float, high: float, base: float) -> list[float]:
    """Return a handful of powers of a base in a range; where there are fewer than two, the range's ends."""
    first = math.ceil(math.log(low, base) - 1e-9)
    last = math.floor(math.log(high, base) + 1e-9)
    if first >= last:
        return [low, high]
    return [base**power for power in range(first, last + 1, math.ceil((last - first + 1) / MOST_TICKS))]
