"""The picture of pictures: a panel for each method and budget, samples over the density with some of their ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from analytic import GaussianMixture

from ..output.theme import COLOURS

PANEL = 150  # pixels
CELLS = 56  # of the density, each way
WIDTH = 3.0  # deviations of the target shown


def panels(found: Sequence[Any], end: GaussianMixture, title: str) -> alt.VConcatChart:
    """Draw panels of all methods, a column for each budget, two methods a row, all on one scale."""
    centre, spread = end.mean(), np.sqrt(np.diag(end.covariance()))
    low, high = centre - WIDTH * spread, centre + WIDTH * spread
    scales = [
        alt.Scale(domain=[float(a), float(b)], nice=False, zero=False) for a, b in zip(low, high, strict=True)
    ]
    density = _density(end, low, high)
    budgets = list(dict.fromkeys(one.budget for one in found))
    of = []
    for method in dict.fromkeys(one.method for one in found):
        own = {one.budget: one for one in found if one.method == method}
        of.append(alt.hconcat(*(_panel(own[b], density, scales) for b in budgets if b in own), spacing=6))
    rows = [alt.hconcat(*of[i : i + 2], spacing=28) for i in range(0, len(of), 2)]
    return alt.vconcat(*rows, spacing=8).properties(
        title=alt.TitleParams(title, anchor="start", fontSize=13),
        description="Samples of each method over the exact density, and some of their ways, by evaluations.",
    )


def _density(end: GaussianMixture, low: np.ndarray, high: np.ndarray) -> pd.DataFrame:
    edges = [np.linspace(a, b, CELLS + 1) for a, b in zip(low, high, strict=True)]
    middles = [(e[1:] + e[:-1]) / 2 for e in edges]
    x, y = np.meshgrid(*middles, indexing="ij")
    value = np.exp(end.log_density(np.stack([x.ravel(), y.ravel()], axis=1)))
    i, j = np.divmod(np.arange(value.size), CELLS)
    return pd.DataFrame(
        {
            "x": edges[0][i].round(3),
            "x2": edges[0][i + 1].round(3),
            "y": edges[1][j].round(3),
            "y2": edges[1][j + 1].round(3),
            "density": (np.sqrt(value / value.max())).round(3),
        }
    )[lambda frame: frame["density"] > 0.03]


def _panel(one: Any, density: pd.DataFrame, scales: Sequence[alt.Scale]) -> alt.LayerChart:
    x = alt.X("x:Q", scale=scales[0], axis=alt.Axis(title=None, labels=False, ticks=False, grid=False))
    y = alt.Y("y:Q", scale=scales[1], axis=alt.Axis(title=None, labels=False, ticks=False, grid=False))
    ground = (
        alt.Chart(density)
        .mark_rect(clip=True)
        .encode(
            x=x,
            x2="x2",
            y=y,
            y2="y2",
            color=alt.Color(
                "density:Q", scale=alt.Scale(range=["#ffffff", "#ffb38a"], interpolate="rgb"), legend=None
            ),
        )
    )
    ways = pd.DataFrame(
        [
            {"way": w, "order": i, "x": round(a, 3), "y": round(b, 3)}
            for w, way in enumerate(one.ways)
            for i, (a, b) in enumerate(way)
            if np.isfinite(a) and np.isfinite(b)
        ]
    )
    lines = (
        alt.Chart(ways)
        .mark_line(clip=True, strokeWidth=0.7, color="#868e96", opacity=0.8)
        .encode(x=x, y=y, detail="way:N", order="order:Q")
    )
    samples = pd.DataFrame({"x": np.round(one.x, 3), "y": np.round(one.y, 3)})
    points = (
        alt.Chart(samples).mark_circle(clip=True, size=5, color=COLOURS[0], opacity=0.75).encode(x=x, y=y)
    )
    said = f"{one.method}, {one.nfe} NFE" + ("" if one.status == "measured" else f", {one.status}")
    return (ground + lines + points).properties(
        width=PANEL, height=PANEL, title=alt.TitleParams(said, fontSize=10, fontWeight="normal", offset=2)
    )
