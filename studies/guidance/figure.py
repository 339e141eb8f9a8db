"""Pictures of the guidance study: a panel for each thing that was varied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from ..output.figures import in_parts
from ..output.theme import COLOURS, SHAPES
from .measured import Drawn

PANEL = (460, 300)
TITLES = {
    "scales": "guidance: W2 to the tilted law",
    "rescaled": "guidance over many coordinates: sliced W2 to the tilted law",
    "posterior": "given y: sliced W2 to the posterior",
    "composed": "sums of scores: W2 to the law composed",
}


def figure(found: Sequence[Drawn]) -> alt.ConcatChart:
    """Draw errors against the scale, the deviation and the power, as far as they were measured."""
    panels = [
        panel
        for study, title in TITLES.items()
        for panel in _panels([d for d in found if d.study == study], title)
    ]
    steps = max(d.steps for d in found)
    heading = alt.TitleParams(f"What is drawn from instead, {steps} steps", anchor="start", offset=14)
    return (
        alt.concat(*panels, columns=2, spacing=30)
        .resolve_scale(color="independent", shape="independent", x="independent", y="independent")
        .properties(
            title=heading,
            description="Distance of what is drawn from its aim: on the line by density, but for particles, else by "
            "samples.",
        )
    )


def _panels(found: Sequence[Drawn], title: str) -> list[Any]:
    """Draw the lines of a study, in as many panels with the same axes as take them."""
    rows = pd.DataFrame([{"series": f"{d.model}, {d.method}", "x": d.value, "W2": d.w2} for d in found])
    return (
        []
        if rows.empty
        else [_panel(rows, part, found[0].knob, title) for part in in_parts(list(rows["series"].unique()))]
    )


def _panel(rows: pd.DataFrame, names: list[str], knob: str, title: str) -> Any:
    own = rows[rows["series"].isin(names)]
    legend = alt.Legend(title=None, labelLimit=0, orient="bottom", columns=1)
    colours, shapes = COLOURS[: len(names)], SHAPES[: len(names)]
    values = sorted(set(rows["x"]))
    logarithmic = min(values) > 0 and max(values) / min(values) > 5
    x = alt.X(
        "x:Q",
        title=knob,
        scale=alt.Scale(type="log" if logarithmic else "linear", nice=False, zero=False, padding=12),
        axis=alt.Axis(values=values, format=".3~g"),
    )
    base = alt.Chart(alt.InlineData(values=own.to_dict("records"))).encode(
        x=x,
        y=alt.Y(
            "W2:Q",
            scale=alt.Scale(type="log", domain=[rows["W2"].min(), rows["W2"].max()]),
            axis=alt.Axis(format=".1~e", tickCount=5),
        ),
        color=alt.Color("series:N", sort=names, scale=alt.Scale(domain=names, range=colours), legend=legend),
        shape=alt.Shape("series:N", sort=names, scale=alt.Scale(domain=names, range=shapes), legend=legend),
    )
    layers = alt.layer(
        base.mark_line(strokeWidth=1.6).encode(shape=alt.Undefined),
        base.mark_point(filled=True, size=45, opacity=1),
    )
    return layers.properties(width=PANEL[0], height=PANEL[1], title=title)
