"""Pictures of the mixing study: evaluations against dimension and condition number, and errors against evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import altair as alt
import pandas as pd

from ..output.theme import COLOURS, SHAPES
from .corrected import CORRECTED
from .needs import Least, Need
from .tables import ROUNDING

PANEL = (380, 300)


def figure(needs: Sequence[Need], least: Sequence[Least]) -> alt.ConcatChart:
    """Draw a panel against each size, and one of errors at equal evaluations.

    Raises ValueError if there is nothing to draw.
    """
    methods = list(dict.fromkeys([n.method for n in needs] + [n.method for n in least]))
    panels = []
    if needs:
        frame = pd.DataFrame([asdict(n) for n in needs]).dropna(subset=["nfe"])
        middle = sorted(set(frame["condition"]))[len(set(frame["condition"])) // 2]
        of_dim, of_condition = frame[frame["condition"] == middle], frame[frame["dim"] == frame["dim"].max()]
        panels.append(_panel(of_dim, "dim", "nfe", "dimension", "NFE", f"condition number {middle}", methods))
        title = f"{frame['dim'].max()} dimensions"
        panels.append(_panel(of_condition, "condition", "nfe", "condition number", "NFE", title, methods))
    if least:
        frame = pd.DataFrame([asdict(n) for n in least])
        frame = frame[(frame["error"] > ROUNDING) & (frame["low"] > 0)]
        title = f"{least[0].dim} dimensions, condition number {least[0].condition}"
        panels.append(_panel(frame, "nfe", "error", "NFE", "W2", title, methods))
    if not panels:
        raise ValueError("found is empty: measure evaluations first")
    return alt.concat(*panels, columns=2, spacing=34).properties(
        description="Evaluations that an error takes, and the error of as many, of the best steps and frictions.",
        title=alt.TitleParams(
            "Langevin dynamics on Gaussians",
            subtitle="best steps and frictions; dashed: samplers that keep the target",
            anchor="start",
        ),
    )


def _panel(
    frame: pd.DataFrame, x: str, y: str, x_title: str, y_title: str, title: str, methods: list[str]
) -> Any:
    colours = alt.Scale(domain=methods, range=[COLOURS[i % len(COLOURS)] for i in range(len(methods))])
    shapes = alt.Scale(domain=methods, range=[SHAPES[i % len(SHAPES)] for i in range(len(methods))])
    return (
        alt.Chart(frame.assign(kept=frame["method"].isin(CORRECTED)), title=title)
        .mark_line(point=True)
        .encode(
            alt.X(f"{x}:Q", title=x_title).scale(type="log"),
            alt.Y(f"{y}:Q", title=y_title).scale(type="log").axis(format="~g"),
            alt.Color("method:N", title=None, scale=colours, legend=alt.Legend(labelLimit=300)),
            alt.Shape("method:N", title=None, scale=shapes, legend=alt.Legend(labelLimit=300)),
            alt.StrokeDash(
                "kept:N", legend=None, scale=alt.Scale(domain=[False, True], range=[[1, 0], [5, 3]])
            ),
        )
        .properties(width=PANEL[0], height=PANEL[1])
    )
