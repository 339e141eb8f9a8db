"""Errors against evaluations, a panel a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from ..laws import MEASURED
from ..output.theme import COLOURS, SHAPES
from .errors import Compared

PANEL = (380, 320)
MOST = 8  # curves a panel can be read with


def figure(found: Sequence[Compared]) -> alt.ConcatChart:
    """Draw the error of each method on each target; of many methods the best eight.

    Raises ValueError if nothing was measured.
    """
    measured = [c for c in found if c.status == MEASURED and np.isfinite(c.error) and c.error > 0]
    if not measured:
        raise ValueError("nothing to draw: no method has an error")
    methods = list(dict.fromkeys(c.method for c in measured))
    methods.sort(key=lambda m: float(np.mean([np.log(c.error) for c in measured if c.method == m])))
    panels = [
        _panel([c for c in measured if c.target == target and c.method in methods[:MOST]], methods[:MOST])
        for target in dict.fromkeys(c.target for c in measured)
    ]
    return alt.concat(*panels, columns=2, spacing=34).resolve_scale(x="independent", y="independent")


def _panel(found: Sequence[Compared], methods: Sequence[str]) -> Any:
    values = [
        {
            "method": c.method,
            "NFE": c.nfe,
            "error": c.error,
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
    errors = [c.error for c in found]
    x = alt.X(
        "NFE:Q",
        title="evaluations of the model (NFE)",
        scale=alt.Scale(type="log", nice=False, padding=10),
        axis=alt.Axis(values=sorted({c.nfe for c in found}), format="d"),
    )
    y = alt.Y(
        "error:Q",
        title=f"{found[0].metric} to the exact marginal",
        scale=alt.Scale(type="log", domain=[min(errors) / 1.6, max(errors) * 1.6], nice=False),
        axis=alt.Axis(format=".0~e", tickCount=5),
    )
    base = alt.Chart(alt.InlineData(values=values)).encode(x=x, color=colour)
    layers = [
        base.mark_line(strokeWidth=1.6).encode(y=y),
        base.mark_point(filled=True, size=60, opacity=1).encode(y=y, shape=shape),
    ]
    if any(c.uncertainty for c in found):
        layers.append(base.mark_rule(strokeWidth=1.2).encode(y=alt.Y("low:Q", title=None), y2="high:Q"))
    return alt.layer(*layers).properties(width=PANEL[0], height=PANEL[1], title=found[0].target)
