"""Errors against evaluations, a panel a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np

from ..laws import MEASURED
from ..output.theme import COLOURS, SHAPES
from .errors import Compared, front
from .timing import Timed

PANEL = (380, 320)
GREY = "#868e96"
MOST = 8  # curves a panel can be read with


@dataclass(frozen=True)
class Cost:
    """What errors are drawn against.

    Attributes
    ----------
    title, short : str
        Of the axis, and in a sentence.
    of : callable
        The cost of an error, nan where it is not known.
    ticks : callable
        Where an axis of some errors has its numbers; none to leave it to the axis.
    """

    title: str
    short: str
    of: Callable[[Compared], float]
    ticks: Callable[[Sequence[Compared]], list[float]] | None = None


def figure(found: Sequence[Compared], samples: int = 0) -> alt.ConcatChart:
    """Draw the error of each method at each place against evaluations; of many methods the best eight.

    A ring marks the front: what no method undercuts with as few evaluations. A dashed line is the floor of samples.
    Raises ValueError if nothing was measured.
    """
    return _drawn(
        found, Cost("evaluations of the model (NFE)", "evaluations", lambda c: c.nfe, _ticks), samples
    )


def against_time(found: Sequence[Compared], times: Sequence[Timed], samples: int = 0) -> alt.ConcatChart:
    """Draw the same against the time of a sample, where that was measured.

    Raises ValueError for times of several machines, and if there is nothing to draw.
    """
    machines = sorted({t.machine for t in times})
    if len(machines) > 1:
        raise ValueError(
            f"times are of the machines {', '.join(machines)}: measure them on one, as they are not compared"
        )
    known = {(t.method, t.target, t.path, t.grid, t.steps): 1e6 * t.seconds for t in times}

    def spent(c: Compared) -> float:
        return known.get((c.method, c.target, c.path, c.grid, c.steps), float("nan"))

    return _drawn(found, Cost("processor time a sample, microseconds", "time", spent), samples)


def _drawn(found: Sequence[Compared], cost: Cost, samples: int) -> alt.ConcatChart:
    measured = [
        c
        for c in found
        if c.status == MEASURED and np.isfinite(c.error) and c.error > 0 and np.isfinite(cost.of(c))
    ]
    if not measured:
        raise ValueError("nothing to draw: no method has an error")
    methods = list(dict.fromkeys(c.method for c in measured))
    methods.sort(key=lambda m: float(np.mean([np.log(c.error) for c in measured if c.method == m])))
    shown = [c for c in measured if c.method in methods[:MOST]]
    tables = dict.fromkeys((c.target, c.path, c.grid, c.metric) for c in shown)
    several = len({table[1:3] for table in tables}) > 1
    panels = [
        _panel(
            [c for c in shown if (c.target, c.path, c.grid, c.metric) == table], methods[:MOST], several, cost
        )
        for table in tables
    ]
    said = f"Error against {cost.short}; a ring: no method has less with as little"
    if any(c.parts for c in shown):
        said += (
            f"; by {samples} samples where bars are, 99 % intervals; dashed: what samples of the truth have"
        )
    return (
        alt.concat(*panels, columns=2, spacing=34)
        .resolve_scale(x="independent", y="independent")
        .properties(description=f"{said}.")
    )


def _panel(found: Sequence[Compared], methods: Sequence[str], several: bool, cost: Cost) -> Any:
    best = {id(c) for c in front(found, cost.of)}
    values = [
        {
            "method": c.method,
            "cost": cost.of(c),
            "error": c.error,
            "front": id(c) in best,
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
    floors = [c.floor for c in found if c.floor > 0]
    errors = [c.error for c in found] + floors
    error = f"{found[0].metric} to the exact {'law' if found[0].metric == 'bigram TV' else 'marginal'}"
    x = alt.X(
        "cost:Q",
        title=cost.title,
        scale=alt.Scale(type="log", nice=False, padding=10),
        axis=alt.Axis(
            values=cost.ticks(found) if cost.ticks else alt.Undefined,
            format="~r" if cost.ticks else "~g",
            labelOverlap=True,
        ),
    )
    y = alt.Y(
        "error:Q",
        title=error,
        scale=alt.Scale(type="log", domain=[min(errors) / 1.6, max(errors) * 1.6], nice=False),
        axis=alt.Axis(format=".0~e", tickCount=5),
    )
    base = alt.Chart(alt.InlineData(values=values)).encode(x=x, color=colour)
    layers = [
        base.mark_line(strokeWidth=1.6).encode(y=y),
        base.mark_point(filled=True, size=60, opacity=1).encode(y=y, shape=shape),
        base.transform_filter("datum.front").mark_point(filled=False, size=210, strokeWidth=1.1).encode(y=y),
    ]
    if any(c.uncertainty for c in found):
        layers.append(
            base.mark_rule(strokeWidth=1.2, clip=True).encode(y=alt.Y("low:Q", title=error), y2="high:Q")
        )
    if floors:
        level = alt.Chart(alt.InlineData(values=[{"error": float(np.median(floors))}]))
        layers.append(level.mark_rule(strokeDash=[5, 4], color=GREY).encode(y=y))
    title = f"{found[0].target}, {found[0].path}, {found[0].grid}" if several else found[0].target
    return alt.layer(*layers).properties(width=PANEL[0], height=PANEL[1], title=title)


def _ticks(found: Sequence[Compared]) -> list[float]:
    """Return the budgets, or the evaluations that were taken, rounded to be read."""
    return sorted({float(c.budget or c.nfe) for c in found})
