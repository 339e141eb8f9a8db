"""Pictures of the schedule studies: errors by grid, error against diffusion time, orders next to sigma = 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ..output.theme import COLOURS
from .grids import GridError
from .times import SingularOrder, TimeError

PANEL = (360, 290)


def figure(
    grids: Sequence[GridError] = (),
    time: Sequence[TimeError] = (),
    singularity: Sequence[SingularOrder] = (),
) -> alt.ConcatChart:
    """Draw a panel for each study measured.

    Raises ValueError if there is nothing to draw.
    """
    panels = [_by_grid([g for g in grids if g.target == t]) for t in dict.fromkeys(g.target for g in grids)]
    panels += [_by_time([e for e in time if e.target == t]) for t in dict.fromkeys(e.target for e in time)]
    ends = dict.fromkeys(o.target for o in singularity)
    panels += [_singular([o for o in singularity if o.target == t]) for t in ends]
    said = ["Error of each method on each grid at the most evaluations."] if grids else []
    said += ["Error against the time of the diffusion; dots: the best."] if time else []
    said += ["Error on equal steps in t down to sigma = 0; the dash tells the clock."] if singularity else []
    if not panels:
        raise ValueError("nothing to draw: measure grids, time or singularity, which have pictures")
    return (
        alt.concat(*panels, columns=2, spacing=34)
        .resolve_scale(
            color="independent",
            shape="independent",
            strokeDash="independent",
            x="independent",
            y="independent",
        )
        .properties(description=" ".join(said))
    )


def _colour(names: Sequence[str], columns: int = 2) -> alt.Color:
    legend = alt.Legend(
        title=None, labelLimit=0, orient="bottom", columns=columns, symbolStrokeWidth=2, symbolOpacity=1
    )
    return alt.Color(
        "series:N", sort=list(names), scale=alt.Scale(domain=list(names), range=list(COLOURS)), legend=legend
    )


def _error_axis(errors: Any, title: str) -> alt.Y:
    return alt.Y(
        "error:Q",
        title=title,
        scale=alt.Scale(type="log", domain=[min(errors) / 1.6, max(errors) * 1.6], nice=False),
        axis=alt.Axis(format=".0~e", tickCount=5),
    )


def _by_grid(found: Sequence[GridError]) -> Any:
    """One point for each method and grid, at the largest number of evaluations."""
    most = {m: max(g.steps for g in found if g.method == m) for m in dict.fromkeys(g.method for g in found)}
    rows = [
        {"series": g.method, "grid": g.grid, "error": g.error}
        for g in found
        if g.steps == most[g.method] and np.isfinite(g.error) and g.error > 0
    ]
    frame = pd.DataFrame(rows)
    order = list(np.log(frame["error"]).groupby(frame["grid"]).mean().sort_values().index)
    x = alt.X("grid:N", sort=order, title=None, axis=alt.Axis(labelAngle=-40, labelLimit=0))
    y = _error_axis(frame["error"], found[0].metric)
    names = list(most)
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y, color=_colour(names, 3))
    layers = [base.mark_line(strokeWidth=1, opacity=0.3), base.mark_point(filled=True, size=48, opacity=1)]
    nfe = max(g.nfe for g in found)
    title = f"{found[0].metric} on {found[0].target} by grid, NFE {nfe}"
    return alt.layer(*layers).properties(width=PANEL[0], height=PANEL[1], title=title)


def _by_time(found: Sequence[TimeError]) -> Any:
    """Error against T on the last grid, a line for each method and number of steps, its least point marked."""
    grid = found[-1].grid
    rows: list[dict[str, Any]] = [
        {"series": f"{e.method}, {e.steps} steps", "T": e.time, "error": e.error}
        for e in found
        if e.grid == grid and np.isfinite(e.error)
    ]
    names = list(dict.fromkeys(str(row["series"]) for row in rows))
    least = [min((r for r in rows if r["series"] == name), key=lambda r: float(r["error"])) for name in names]
    x = alt.X("T:Q", title="diffusion time T", scale=alt.Scale(nice=False, zero=True, padding=8))
    y = _error_axis([float(r["error"]) for r in rows], "W2, started from N(0, I)")
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y, color=_colour(names))
    marks = alt.Chart(alt.InlineData(values=least)).encode(x=x, y=y, color=_colour(names))
    layers = [base.mark_line(strokeWidth=1.6), marks.mark_point(filled=True, size=75, opacity=1)]
    title = alt.TitleParams(f"Error against T on {found[0].target}, {grid} grid", subtitle="dots: the best T")
    return alt.layer(*layers).properties(width=PANEL[0], height=PANEL[1], title=title)


def _singular(found: Sequence[SingularOrder]) -> Any:
    """Errors of the Runge-Kutta methods on equal steps in t, in sigma (full) and in time (dashed)."""
    chosen = [o for o in found if o.grid == "uniform"]
    rows = [
        {"series": o.method, "clock": f"clock {o.clock}", "steps": n, "error": e}
        for o in chosen
        for n, e in zip(o.steps, o.errors, strict=True)
        if np.isfinite(e) and e > 0
    ]
    names = list(dict.fromkeys(o.method for o in chosen))
    clocks = list(dict.fromkeys(f"clock {o.clock}" for o in chosen))
    x = alt.X(
        "steps:Q",
        scale=alt.Scale(type="log", nice=False, padding=10),
        axis=alt.Axis(values=list(chosen[0].steps), format="d"),
    )
    y = alt.Y(
        "error:Q",
        title=f"error on {found[0].target}",
        scale=alt.Scale(type="log", nice=False, padding=10),
        axis=alt.Axis(format=".0~e", tickCount=6),
    )
    dash = alt.StrokeDash(
        "clock:N",
        sort=clocks,
        scale=alt.Scale(domain=clocks, range=[[1, 0], [2, 3], [8, 4]][: len(clocks)]),
        legend=alt.Legend(title=None, labelLimit=0, orient="bottom", columns=1, symbolSize=400),
    )
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y, color=_colour(names, 3))
    layers = [
        base.mark_line(strokeWidth=1.6).encode(strokeDash=dash),
        base.mark_point(filled=True, size=30, opacity=1),
    ]
    title = "Equal steps in t down to sigma = 0"
    return alt.layer(*layers).properties(width=PANEL[0], height=PANEL[1], title=title)
