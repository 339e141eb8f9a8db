"""Pictures of the guidance study: a panel for each thing that was varied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

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
    panels = [_panel([d for d in found if d.study == study], title) for study, title in TITLES.items()]
    steps = max(d.steps for d in found)
    heading = alt.TitleParams(f"What is drawn from instead, {steps} steps", anchor="start", offset=14)
    return (
        alt.concat(*[panel for panel in panels if panel is not None], columns=2, spacing=30)
        .resolve_scale(color="independent", shape="independent", x="independent", y="independent")
        .properties(
            title=heading,
            description="Distance of what is drawn from its aim: by density on the line, in the plane by samples, "
            "with bars for 99 % intervals.",
        )
    )


def _panel(found: Sequence[Drawn], title: str) -> Any:
    if not found:
        return None
    rows = [{"series": f"{d.model}, {d.method}", "x": d.value, "W2": d.w2} for d in found]
    names = list(dict.fromkeys(f"{d.model}, {d.method}" for d in found))
    legend = alt.Legend(title=None, labelLimit=0, orient="bottom", columns=1)
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(names))]
    shapes = [SHAPES[i % len(SHAPES)] for i in range(len(names))]
    values = sorted({d.value for d in found})
    logarithmic = min(values) > 0 and max(values) / min(values) > 5
    x = alt.X(
        "x:Q",
        title=found[0].knob,
        scale=alt.Scale(type="log" if logarithmic else "linear", nice=False, zero=False, padding=12),
        axis=alt.Axis(values=values, format=".3~g"),
    )
    base = alt.Chart(alt.InlineData(values=pd.DataFrame(rows).to_dict("records"))).encode(
        x=x,
        y=alt.Y("W2:Q", scale=alt.Scale(type="log"), axis=alt.Axis(format=".1~e", tickCount=5)),
        color=alt.Color("series:N", sort=names, scale=alt.Scale(domain=names, range=colours), legend=legend),
        shape=alt.Shape("series:N", sort=names, scale=alt.Scale(domain=names, range=shapes), legend=legend),
    )
    layers = alt.layer(
        base.mark_line(strokeWidth=1.6).encode(shape=alt.Undefined),
        base.mark_point(filled=True, size=45, opacity=1),
    )
    return layers.properties(width=PANEL[0], height=PANEL[1], title=title)
