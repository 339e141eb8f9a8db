"""Errors against evaluations, a panel a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from ..laws import MEASURED
from ..output.theme import COLOURS, SHAPES
from .errors import Compared, front

PANEL = (380, 320)
GREY = "#868e96"
MOST = 8  # curves a panel can be read with


def figure(found: Sequence[Compared]) -> alt.ConcatChart:
    """Draw the error of each method at each place; of many methods the best eight.

    A ring marks the front: what no method undercuts with as few evaluations. A dashed line is the floor of samples.
    Raises ValueError if nothing was measured.
    """
    measured = [c for c in found if c.status == MEASURED and np.isfinite(c.error) and c.error > 0]
    if not measured:
        raise ValueError("nothing to draw: no method has an error")
    methods = list(dict.fromkeys(c.method for c in measured))
    methods.sort(key=lambda m: float(np.mean([np.log(c.error) for c in measured if c.method == m])))
    shown = [c for c in measured if c.method in methods[:MOST]]
    tables = dict.fromkeys((c.target, c.path, c.grid, c.metric) for c in shown)
    several = len({table[1:3] for table in tables}) > 1
    panels = [
        _panel([c for c in shown if (c.target, c.path, c.grid, c.metric) == table], methods[:MOST], several)
        for table in tables
    ]
    return alt.concat(*panels, columns=2, spacing=34).resolve_scale(x="independent", y="independent")


def _panel(found: Sequence[Compared], methods: Sequence[str], several: bool) -> Any:
    best = {id(c) for c in front(found)}
    values = [
        {
            "method": c.method,
            "NFE": c.nfe,
            "error": c.error,
            "front": id(c) in best,
            "low": max(c.error - c.uncertainty, c.error / 10),
            "high": c.error + c.uncertainty,
        }
        for c in found
    ]
    legend = alt.Legend(title=None, labelLimit=0, orient="bottom", columns=2, symbolStrokeWidth=2)
    colour = alt.Color(
        "method:N", scale=alt.Scale(domain=list(methods), range=list(COLOURS[: len(methods)])), legend=legend
    )
    shape = alt.Shape(
        "method:N",
        scale=alt.Scale(domain=list(methods), range=[SHAPES[i % len(SHAPES)] for i in range(len(methods))]),
        legend=legend,
    )
    floors = [c.floor for c in found if c.floor > 0]
    errors = [c.error for c in found] + floors
    x = alt.X(
        "NFE:Q",
        title="evaluations of the model (NFE)",
        scale=alt.Scale(type="log", nice=False, padding=10),
        axis=alt.Axis(values=_ticks(found), format="~r", labelOverlap=True),
    )
    y = alt.Y(
        "error:Q",
        title=f"{found[0].metric} to the exact {'law' if found[0].metric == 'bigram TV' else 'marginal'}",
        scale=alt.Scale(type="log", domain=[min(errors) / 1.6, max(errors) * 1.6], nice=False),
        axis=alt.Axis(format=".0~e", tickCount=5),
    )
    base = alt.Chart(alt.InlineData(values=values)).encode(x=x, color=colour)
    layers = [
        base.mark_line(strokeWidth=1.6).encode(y=y),
        base.mark_point(filled=True, size=60, opacity=1).encode(y=y, shape=shape),
        base.transform_filter("datum.front").mark_point(filled=False, size=210, strokeWidth=1.1).encode(y=y),
    ]
    if any(c.uncertainty for c in found):
        layers.append(
            base.mark_rule(strokeWidth=1.2, clip=True).encode(y=alt.Y("low:Q", title=None), y2="high:Q")
        )
    if floors:
        level = alt.Chart(alt.InlineData(values=[{"error": float(np.median(floors))}]))
        layers.append(level.mark_rule(strokeDash=[5, 4], color=GREY).encode(y=y))
    title = f"{found[0].target}, {found[0].path}, {found[0].grid}" if several else found[0].target
    return alt.layer(*layers).properties(width=PANEL[0], height=PANEL[1], title=title)


def _ticks(found: Sequence[Compared]) -> list[float]:
    """Return the budgets, or the evaluations that were taken, rounded to be read."""
    return sorted({float(c.budget or c.nfe) for c in found})
