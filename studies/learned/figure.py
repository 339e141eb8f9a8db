"""The figure of the gap under learned scores."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import altair as alt
import numpy as np

from ..output.theme import COLOURS, SHAPES
from .measure import LearnedGap


def figure(records: Collection[LearnedGap]) -> Any:
    """Draw squared W2 of the three pairs against the weight of the penalty, with intervals."""
    chosen = sorted((r for r in records if np.isfinite(r.penalty)), key=lambda r: r.penalty)
    if not chosen:
        raise ValueError("records has no network trained with a known penalty, so there is nothing to draw")
    pairs = {"ODE – truth": "ode_truth", "SDE – truth": "sde_truth", "ODE – SDE": "ode_sde"}
    rows = [
        {
            "penalty": f"{r.penalty:g}",
            "pair": pair,
            "w2": getattr(r, name),
            "low": max(getattr(r, name) - getattr(r, f"{name}_error"), 1e-5),
            "high": getattr(r, name) + getattr(r, f"{name}_error"),
        }
        for r in chosen
        for pair, name in pairs.items()
    ]
    order = list(dict.fromkeys(row["penalty"] for row in rows))
    x = alt.X(
        "penalty:O",
        sort=order,
        title="weight of the Fokker-Planck residual in training",
        axis=alt.Axis(labelAngle=0),
    )
    y = alt.Y("w2:Q", scale=alt.Scale(type="log"), title="squared W2")
    # one legend for colour and shape: title, order and domain must agree
    shared: dict[str, Any] = {"field": "pair", "type": "nominal", "sort": list(pairs), "title": None}
    domain = list(pairs)
    colour = alt.Color(**shared, scale=alt.Scale(domain=domain, range=list(COLOURS[:3])))
    shape = alt.Shape(**shared, scale=alt.Scale(domain=domain, range=list(SHAPES[:3])))
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x)
    layers = [
        base.mark_line(strokeWidth=1.5).encode(y=y, color=colour),
        base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q"), y2="high:Q", color=colour),
        base.mark_point(filled=True, size=60, opacity=1).encode(y=y, color=colour, shape=shape),
    ]
    title = alt.TitleParams(
        "What the Fokker-Planck penalty does to learned scores",
        subtitle="Squared W2 between the end laws on the nine-component mixture; bars: 95 % intervals",
        anchor="start",
        offset=14,
    )
    said = "Squared W2 between the end laws of ODE, SDE and truth, against the penalty; bars: 95 % intervals."
    return alt.layer(*layers).properties(width=520, height=360, title=title, description=said)
