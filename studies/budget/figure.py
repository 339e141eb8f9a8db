"""Pictures of error budgets: shares stacked over NFE, a panel for each target and method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from ..output.theme import COLOURS
from .parts import PARTS, Budget
from .tables import percent

REMAINDER = "remainder"
WIDTH, HEIGHT = 44, 170  # a bar's and a panel's, pixels
LEAST, MOST = -1.0, 2.0  # shares beyond these many times the whole are cut off


def figure(found: Sequence[Budget], title: str = "Where the error comes from") -> Any:
    """Draw shares of W2 stacked over NFE: methods across, targets down.

    Shares add up to 1 with the remainder; what cancels others is stacked below zero. The number above a bar is
    the whole W2. Bars end at `LEAST` and `MOST`.

    Raises ValueError if there is nothing to draw.
    """
    if not found:
        raise ValueError("found is empty: give at least one budget")
    rows = [_row(found, target) for target in dict.fromkeys(b.target for b in found)]
    sampled = " By samples, in sliced W2." if any(b.means == "samples" for b in found) else ""
    return alt.vconcat(*rows, spacing=24).properties(
        description="Shares of W2 by cause over evaluations, with the remainder 1 in all; above each bar all of "
        f"W2.{sampled}",
        title=alt.TitleParams(
            title,
            anchor="start",
            offset=14,
            subtitle="shares of W2, which is written above each bar; negative shares cancel others; cut off at "
            f"{LEAST:g} and {MOST:g}",
        ),
    )


def _row(found: Sequence[Budget], target: str) -> Any:
    own = [b for b in found if b.target == target]
    methods = list(dict.fromkeys(b.method for b in own))
    panels = [
        _panel([b for b in own if b.method == method], method, target if place == 0 else None)
        for place, method in enumerate(methods)
    ]
    return alt.hconcat(*panels, spacing=12)


def _panel(own: Sequence[Budget], method: str, target: str | None) -> Any:
    values = []
    labels = []
    for b in own:
        shares = {p.name: p.share / b.whole if b.whole else 0.0 for p in b.parts}
        shares[REMAINDER] = b.remainder / b.whole if b.whole else 0.0
        above = below = 0.0
        for name, share in shares.items():
            base = above if share >= 0 else below
            values.append(
                {
                    "nfe": b.nfe,
                    "part": name,
                    "from": min(max(base, LEAST), MOST),
                    "to": min(max(base + share, LEAST), MOST),
                    "share": f"{percent(share, 1.0)} %",
                }
            )
            above, below = (above + share, below) if share >= 0 else (above, below + share)
        labels.append({"nfe": b.nfe, "top": min(above, MOST), "w2": f"{b.whole:.2g}"})
    x = alt.X("nfe:O", title="NFE", axis=alt.Axis(labelAngle=0, ticks=False))
    names = [*PARTS, REMAINDER]
    scale = alt.Scale(domain=[LEAST - 0.05, MOST + 0.35], nice=False)
    y = alt.Y(
        "from:Q",
        scale=scale,
        axis=alt.Axis(
            title=None if target is None else f"{target}: share of W2",
            values=[-1, -0.5, 0, 0.5, 1, 1.5, 2],
            labels=target is not None,
            ticks=target is not None,
            format=".1f",
        ),
    )
    colour = alt.Color(
        "part:N",
        scale=alt.Scale(domain=names, range=list(COLOURS)),
        legend=alt.Legend(title=None, orient="right", labelLimit=0),
        sort=names,
    )
    bars = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar(clip=True, width=WIDTH * 0.6)
        .encode(x=x, y=y, y2="to:Q", color=colour, tooltip=["part:N", "share:N"])
    )
    zero = alt.Chart(alt.InlineData(values=[{"zero": 0.0}])).mark_rule(color="#495057").encode(y="zero:Q")
    whole = (
        alt.Chart(alt.InlineData(values=[{"one": 1.0}]))
        .mark_rule(color="#868e96", strokeDash=[4, 3])
        .encode(y="one:Q")
    )
    text = (
        alt.Chart(alt.InlineData(values=labels))
        .mark_text(dy=-7, fontSize=10, color="#212529")
        .encode(x=x, y=alt.Y("top:Q", scale=scale), text="w2:N")
    )
    return alt.layer(whole, bars, zero, text).properties(
        width=WIDTH * len(own), height=HEIGHT, title=alt.TitleParams(method, fontSize=12, anchor="middle")
    )
