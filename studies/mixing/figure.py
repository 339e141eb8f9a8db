"""Pictures of the mixing study: evaluations against dimension and condition number, and errors against evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import altair as alt
import pandas as pd

from ..output.figures import in_parts
from ..output.theme import COLOURS, SHAPES
from .corrected import CORRECTED
from .needs import Least, Need
from .tables import ROUNDING

PANEL = (380, 300)


def figure(needs: Sequence[Need], least: Sequence[Least]) -> alt.ConcatChart:
    """Draw a row against each size, and one of errors at equal evaluations; methods side by side where they are many.

    Raises ValueError if there is nothing to draw.
    """
    methods = list(dict.fromkeys([n.method for n in needs] + [n.method for n in least]))
    parts = in_parts(methods)
    panels = []
    if needs:
        frame = pd.DataFrame([asdict(n) for n in needs]).dropna(subset=["nfe"])
        middle = sorted(set(frame["condition"]))[len(set(frame["condition"])) // 2]
        of_dim, of_condition = frame[frame["condition"] == middle], frame[frame["dim"] == frame["dim"].max()]
        panels += _row(of_dim, "dim", "nfe", "dimension", "NFE", f"condition number {middle}", parts)
        title = f"{frame['dim'].max()} dimensions"
        panels += _row(of_condition, "condition", "nfe", "condition number", "NFE", title, parts)
    if least:
        frame = pd.DataFrame([asdict(n) for n in least])
        frame = frame[(frame["error"] > ROUNDING) & (frame["low"] > 0)]
        title = f"{least[0].dim} dimensions, condition number {least[0].condition}"
        panels += _row(frame, "nfe", "error", "NFE", "W2", title, parts)
    if not panels:
        raise ValueError("found is empty: measure evaluations first")
    return (
        alt.concat(*panels, columns=len(parts), spacing=34)
        .resolve_scale(color="independent", shape="independent")
        .properties(
            description="Evaluations that an error takes, and the error of as many, of the best steps and frictions.",
            title=alt.TitleParams(
                "Langevin dynamics on Gaussians",
                subtitle="best steps and frictions; dashed: samplers that keep the target",
                anchor="start",
            ),
        )
    )


def _row(
    frame: pd.DataFrame, x: str, y: str, x_title: str, y_title: str, title: str, parts: list[list[str]]
) -> list[Any]:
    """Draw a panel for each part of the methods, all with the same axes."""
    axes = [
        alt.X(f"{x}:Q", title=x_title).scale(type="log", domain=_ends(frame[x])),
        alt.Y(f"{y}:Q", title=y_title).scale(type="log", domain=_ends(frame[y])).axis(format="~g"),
    ]
    return [
        _panel(
            frame[frame["method"].isin(part)].assign(kept=frame["method"].isin(CORRECTED)), axes, title, part
        )
        for part in parts
    ]


def _ends(values: Any) -> list[float]:
    return [float(values.min()), float(values.max())]


def _panel(frame: pd.DataFrame, axes: list[Any], title: str, methods: list[str]) -> Any:
    colours = alt.Scale(domain=methods, range=list(COLOURS[: len(methods)]))
    shapes = alt.Scale(domain=methods, range=list(SHAPES[: len(methods)]))
    return (
        alt.Chart(frame, title=title)
        .mark_line(point=True)
        .encode(
            *axes,
            alt.Color("method:N", title=None, scale=colours, legend=alt.Legend(labelLimit=300)),
            alt.Shape("method:N", title=None, scale=shapes, legend=alt.Legend(labelLimit=300)),
            alt.StrokeDash(
                "kept:N", legend=None, scale=alt.Scale(domain=[False, True], range=[[1, 0], [5, 3]])
            ),
        )
        .properties(width=PANEL[0], height=PANEL[1])
    )
