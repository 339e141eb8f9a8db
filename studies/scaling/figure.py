"""Pictures of the scaling study: evaluations against each size, and the exponents in epsilon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ..output.figures import GREY
from ..output.theme import COLOURS, SHAPES
from .needs import FEW, Growth
from .on_tokens import Scaling
from .tables import TITLES, size_name

PANEL = (400, 300)
EXPONENT_ROW = 20  # pixels a method
SHOWN = {"dimension": ("W2", "KL"), "condition": ("KL",), "intrinsic": ("W2", "KL")}  # others: all measured


def figure(found: Sequence[Growth]) -> alt.ConcatChart:
    """Draw NFE against each size, a panel for each target and error, then exponents in 1/epsilon.

    Dashed lines belong to methods with noise. In the panel of exponents a tick is what the claimed order gives, the
    point what was measured, hollow while it drifts.

    Raises ValueError if there is nothing to draw.
    """
    shown = [g for g in found if g.metric in SHOWN.get(g.against, (g.metric,))]
    methods = list(dict.fromkeys(g.method for g in found))
    noisy = {g.method for g in found if g.noisy}
    panels = []
    for against, on, metric in dict.fromkeys((g.against, g.on, g.metric) for g in shown):
        own = [g for g in shown if (g.against, g.on, g.metric) == (against, on, metric)]
        panels.append(_panel(own, methods, noisy))
    exact = [g for g in found if g.against == "epsilon" and g.metric != "KL"]
    panels += [_exponents([g for g in exact if g.on == on]) for on in dict.fromkeys(g.on for g in exact)]
    panels = [panel for panel in panels if panel is not None]
    if not panels:
        raise ValueError(
            "found has no size at which an error was reached, so there is nothing to draw: measure more"
        )
    subtitle = "dashed: methods with noise; hollow: exponents still drifting; ticks: by the claimed order"
    said = "Evaluations until an error is reached and stays so, against its size and that of the target, and exponents."
    return _beside(panels, "Evaluations needed", said, subtitle)


def token_figure(found: Sequence[Scaling]) -> alt.ConcatChart:
    """Draw the steps of ancestral sampling of tokens against each size."""
    sizes = dict.fromkeys(s.against for s in found)
    panels = [_token_panel([s for s in found if s.against == against]) for against in sizes]
    said = (
        "Least number of steps of ancestral sampling whose exact error is within a bound, against its size."
    )
    return _beside(panels, "Steps that ancestral sampling of tokens needs", said)


def _beside(panels: Sequence[Any], title: str, said: str, subtitle: str = "") -> alt.ConcatChart:
    return (
        alt.concat(*panels, columns=2, spacing=34)
        .resolve_scale(color="independent", shape="independent", x="independent", y="independent")
        .properties(
            title=alt.TitleParams(title, subtitle=subtitle, anchor="start", offset=14), description=said
        )
    )


def _panel(found: Sequence[Growth], methods: Sequence[str], noisy: set[str]) -> Any:
    first = found[0]
    rows = [
        {"method": g.method, "size": n.size, "nfe": n.nfe}
        for g in found
        for n in g.needs
        if np.isfinite(n.nfe) and n.reason != FEW
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    last = frame.groupby("method")["nfe"].last()
    names = list(last.sort_values(ascending=False, kind="stable").index)
    held = first.metric if first.against == "epsilon" else f"{first.metric} {first.needs[0].target:g}"
    layers = _lines(frame, names, list(methods), size_name(first.against), "NFE", noisy)
    return alt.layer(*layers).properties(
        width=PANEL[0],
        height=PANEL[1],
        title=[TITLES[first.against], f"{first.on}, {held}"],
    )


def _lines(
    frame: pd.DataFrame,
    names: Sequence[str],
    everything: Sequence[str],
    size: str,
    cost: str,
    dashed: set[str],
) -> list[Any]:
    """Lines with points on logarithmic axes; a method has one colour and shape in all panels."""
    places = [everything.index(name) for name in names]
    legend = alt.Legend(title=None, labelLimit=0, symbolLimit=0, rowPadding=2, symbolSize=60)
    colour = alt.Color(
        "method:N",
        sort=list(names),
        legend=legend,
        scale=alt.Scale(domain=list(names), range=[COLOURS[i % len(COLOURS)] for i in places]),
    )
    shape = alt.Shape(
        "method:N",
        sort=list(names),
        legend=legend,
        scale=alt.Scale(domain=list(names), range=[SHAPES[i % len(SHAPES)] for i in places]),
    )
    x = alt.X(
        "size:Q",
        title=size,
        scale=alt.Scale(type="log", nice=False, padding=10),
        axis=alt.Axis(values=_ticks(frame["size"]), format="~g" if frame["size"].max() < 1e5 else ".0~e"),
    )
    y = alt.Y(
        "nfe:Q",
        title=cost,
        scale=alt.Scale(type="log", nice=False, padding=10),
        axis=alt.Axis(values=_ticks(frame["nfe"]), format="~g"),
    )
    layers = []
    for dash in (False, True):
        own = frame[frame["method"].isin(dashed) == dash]
        if len(own):
            base = alt.Chart(alt.InlineData(values=own.to_dict("records"))).encode(x=x, y=y)
            layers.append(
                base.mark_line(strokeWidth=1.4, strokeDash=[5, 3] if dash else [1, 0]).encode(color=colour)
            )
            layers.append(base.mark_point(filled=True, size=42, opacity=1).encode(color=colour, shape=shape))
    return layers


def _ticks(values: pd.Series) -> list[float]:
    """Powers of ten in the range; with 2 and 5 times these where the range is short; its ends for no range."""
    low, high = float(values.min()), float(values.max())
    decades = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    factors = (1.0,) if high / low > 300 else (1.0, 2.0, 5.0)
    found = [float(f"{f * 10.0**k:.3g}") for k in decades for f in factors]
    inside = [t for t in found if low * 0.95 <= t <= high * 1.05]
    return inside if len(inside) > 1 else [low, high]


def _exponents(found: Sequence[Growth]) -> Any:
    rows = [
        {
            "method": g.method,
            "value": g.exponent.value,
            "low": g.exponent.low,
            "high": g.exponent.high,
            "claim": 1 / g.order if np.isfinite(g.order) else None,
            "settled": g.exponent.status == "settled",
            "kind": "with noise" if g.noisy else "without noise",
        }
        for g in found
        if np.isfinite(g.exponent.value)
    ]
    if not rows:
        return None
    names = [str(row["method"]) for row in sorted(rows, key=lambda row: float(row["value"] or 0))]
    most = max(float(row[key] or 0) for row in rows for key in ("value", "claim"))
    y = alt.Y("method:N", sort=names, title=None, axis=alt.Axis(labelLimit=0, grid=True))
    x = alt.X(
        "value:Q",
        title="exponent of NFE in 1/epsilon",
        scale=alt.Scale(domain=[0, 1.15 * most], clamp=True, nice=False),
    )
    kinds = alt.Scale(domain=["without noise", "with noise"], range=[COLOURS[0], COLOURS[1]])
    colour = alt.Color("kind:N", legend=alt.Legend(title=None), scale=kinds)
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=y)
    return alt.layer(
        base.mark_tick(thickness=2, size=16, color=GREY).encode(x=alt.X("claim:Q")),
        base.mark_rule(strokeWidth=1.6, clip=True).encode(x=alt.X("low:Q"), x2="high:Q", color=colour),
        base.mark_point(filled=True, size=60, opacity=1)
        .encode(x=x, color=colour)
        .transform_filter("datum.settled"),
        base.mark_point(filled=True, fill="white", size=60, opacity=1, strokeWidth=1.6)
        .encode(x=x, stroke=alt.Stroke("kind:N", legend=None, scale=kinds))
        .transform_filter("!datum.settled"),
    ).properties(
        width=PANEL[0],
        height=EXPONENT_ROW * len(rows),
        title=["Exponent in 1/epsilon", f"{found[0].on}, {found[0].metric}"],
    )


def _token_panel(found: Sequence[Scaling]) -> Any:
    rows = [
        {"method": f"{s.noise}, {s.schedule}, {s.metric} {s.target:g}", "size": size, "nfe": steps}
        for s in found
        for size, steps in zip(s.sizes, s.steps, strict=True)
    ]
    frame = pd.DataFrame(rows)
    names = list(frame.groupby("method")["nfe"].last().sort_values(ascending=False, kind="stable").index)
    layers = _lines(frame, names, names, found[0].against, "steps", set())
    return alt.layer(*layers).properties(
        width=PANEL[0],
        height=PANEL[1],
        title=["Tokens: steps of ancestral sampling", f"against {found[0].against}"],
    )
