"""Pictures of the gap study: a panel for each thing that was varied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from ..laws import MEASURED
from ..output.theme import COLOURS
from .gaps import TRUTH, Gap

PANEL = (330, 250)
MOST_DECADES = 1e-6  # of its largest gap that a panel shows
METRICS = ("TV", "W2", "sliced W2", "KL")  # the first that a study measured is drawn
TITLES = {
    "size": "gap against the size of the score's error",
    "noise": "gap against how much noise is added",
    "pulse": "gap against when the score errs",
    "contraction after a wrong start": "KL to the exact marginal after a wrong start",
    "contraction after a pulse": "KL to the exact marginal after a pulse in the score",
    "evaluations": "gap against evaluations",
}


def figure(found: Sequence[Gap]) -> alt.ConcatChart:
    """Draw every study measured, a panel each; dotted: the same with the exact score.

    Raises ValueError if there is nothing to draw.
    """
    measured = [g for g in found if g.status == MEASURED]
    if not measured:
        raise ValueError("found is empty: measure a gap first")
    panels = [_panel(study, [g for g in measured if g.study == study]) for study in TITLES]
    chosen = [panel for panel in panels if panel is not None]
    title = alt.TitleParams(
        f"ODE and SDE samplers with a wrong score, {found[0].target}",
        subtitle="dotted: with the exact score, in as many steps",
        anchor="start",
        offset=14,
    )
    return (
        alt.concat(*chosen, columns=2, spacing=30)
        .resolve_scale(color="independent", x="independent", y="independent")
        .properties(
            title=title,
            description="Distance between two laws at the end, of samplers with a wrong score or of one and the truth, "
            "against what is varied; dotted: with the exact score.",
        )
    )


def _series(gap: Gap) -> str:
    if gap.study == "noise":
        return gap.knob
    return gap.of if gap.to == TRUTH and gap.study != "size" else f"{gap.of} to {gap.to}"


def _panel(study: str, found: Sequence[Gap]) -> Any:
    if not found:
        return None
    measured = {g.metric for g in found}
    metric = next(m for m in METRICS if m in measured)
    rows = [
        {"series": _series(g), "x": g.value, "gap": g.gap, "exact": max(g.exact, 0.0)}
        for g in found
        if g.metric == metric
    ]
    frame = pd.DataFrame(rows)
    if study == "noise":  # knobs have scales of their own
        frame["x"] = frame["x"] / frame.groupby("series")["x"].transform("max")
        knob = "noise, as a share of the most tried"
    else:
        knob = found[0].knob
    logarithmic = study in ("size", "evaluations")
    names = list(dict.fromkeys(frame["series"]))
    colour = alt.Color(
        "series:N",
        sort=names,
        scale=alt.Scale(domain=names, range=list(COLOURS[: len(names)])),
        legend=alt.Legend(title=None, labelLimit=0, orient="bottom", columns=1 + (study == "noise")),
    )
    x = alt.X(
        "x:Q",
        title=knob,
        scale=alt.Scale(type="log" if logarithmic else "linear", nice=False, zero=False, padding=12),
        axis=alt.Axis(values=sorted(set(frame["x"])), format=".3~g") if logarithmic else alt.Axis(),
    )
    least = frame["exact"] if study == "evaluations" else frame["gap"]
    low = max(least.min() / 3, frame["gap"].max() * MOST_DECADES)
    frame = frame[frame["gap"] > low]
    y = alt.Y(
        "gap:Q",
        title=metric,
        scale=alt.Scale(type="log", domain=[low, frame["gap"].max() * 1.5], nice=False),
        axis=alt.Axis(format=".1~e", tickCount=5),
    )
    base = alt.Chart(alt.InlineData(values=frame.to_dict("records"))).encode(x=x, color=colour)
    layers = [
        base.mark_line(strokeWidth=1.6).encode(y=y),
        base.mark_point(filled=True, size=40, opacity=1).encode(y=y),
    ]
    seen = frame[frame["exact"] > low]
    if len(seen):
        dotted = alt.Chart(alt.InlineData(values=seen.to_dict("records"))).encode(x=x, color=colour)
        layers.append(dotted.mark_line(strokeDash=[2, 3], strokeWidth=1.3).encode(y="exact:Q"))
    return alt.layer(*layers).properties(width=PANEL[0], height=PANEL[1], title=TITLES[study])
