"""Pictures of the kernels study: errors at walls against steps, errors on Poisson flows against D."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from ..output.theme import COLOURS, SHAPES
from .measured import AtWalls, OnFlow

PANEL = (440, 300)
BEYOND = 4.0  # times the largest finite D, where the infinite one is drawn


def figure(walls: Sequence[AtWalls], flows: Sequence[OnFlow]) -> alt.ConcatChart:
    """Draw a panel of each that was measured."""
    panels = []
    if walls:
        rows = [
            {"series": f"{one.method}, {one.wall}", "x": N, "y": error}
            for one in walls
            for N, error in zip(one.steps, one.tv, strict=True)
        ]
        panels.append(_panel(rows, "steps", "TV", "in a box: TV from the exact marginal"))
    if flows:
        last = BEYOND * max([one.augmented for one in flows if math.isfinite(one.augmented)], default=1.0)
        rows = [{"series": one.method, "x": min(one.augmented, last), "y": one.w2} for one in flows]
        wrong = {min(one.augmented, last): one.wrong for one in flows}
        rows += [{"series": "followed finely, wrong model", "x": x, "y": y} for x, y in wrong.items()]
        panels.append(_panel(rows, "augmented dimensions D", "W2", "Poisson flow: W2", last))
    return (
        alt.concat(*panels, columns=2, spacing=30)
        .resolve_scale(color="independent", shape="independent")
        .properties(
            description="Errors in a box against steps, and of Poisson flow against augmented dimensions, exact."
        )
    )


def _panel(rows: list[dict[str, Any]], x: str, y: str, title: str, infinite: float = math.inf) -> Any:
    names = list(dict.fromkeys(row["series"] for row in rows))
    legend = alt.Legend(title=None, labelLimit=0, orient="bottom", columns=2)
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(names))]
    shapes = [SHAPES[i % len(SHAPES)] for i in range(len(names))]
    values = sorted({row["x"] for row in rows})
    label = (
        f"datum.value < {infinite} ? format(datum.value, 'd') : '\u221e'" if math.isfinite(infinite) else ""
    )
    axis = alt.Axis(values=values, labelExpr=label) if label else alt.Axis(values=values, format="d")
    base = alt.Chart(alt.InlineData(values=pd.DataFrame(rows).to_dict("records"))).encode(
        x=alt.X("x:Q", title=x, scale=alt.Scale(type="log", nice=False, padding=12), axis=axis),
        y=alt.Y("y:Q", title=y, scale=alt.Scale(type="log"), axis=alt.Axis(format=".1~e", tickCount=5)),
        color=alt.Color("series:N", sort=names, scale=alt.Scale(domain=names, range=colours), legend=legend),
        shape=alt.Shape("series:N", sort=names, scale=alt.Scale(domain=names, range=shapes), legend=legend),
    )
    layers = alt.layer(
        base.mark_line(strokeWidth=1.6).encode(shape=alt.Undefined),
        base.mark_point(filled=True, size=45, opacity=1),
    )
    return layers.properties(width=PANEL[0], height=PANEL[1], title=title)
