"""Tables of the schedule studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from analytic import paths

from ..inference import Verdict, judge
from ..laws import MEASURED
from .grids import OPTIMISED, GridError
from .search import FOUND, UNIFORM, Searched
from .times import (
    FORMS,
    INSTANTS,
    SINGULAR_PATH,
    SingularOrder,
    TimeError,
    best_time,
    growth,
    logarithmic,
    time_derivative,
    truncation_rate,
)

TRUNCATION = {
    True: 1.0,
    False: 2.0,
}  # rates of an ODE's and an SDE's truncation, by whether it is deterministic
VARIANCES = (0.25, 0.0)


def by_grid(found: Sequence[GridError]) -> pd.DataFrame:
    """One row per method, target and budget: the best grid, its error, and every grid's as a multiple of it."""
    rows = []
    for key in dict.fromkeys((g.method, g.target, g.steps) for g in found):
        own = {g.grid: g for g in found if (g.method, g.target, g.steps) == key}
        stable = {name: g.error for name, g in own.items() if g.status == MEASURED}
        best = min(stable, key=lambda name: stable[name], default="–")
        row = {"method": key[0], "target": key[1], "NFE": str(max(g.nfe for g in own.values())), "best": best}
        metric = next(iter(own.values())).metric if len({g.metric for g in found}) == 1 else "error"
        row[metric] = f"{stable[best]:.3g}" if stable else "–"
        for name, g in own.items():  # that of the default grid says how much it costs not to choose
            row[name] = _times(stable[name] / stable[best]) if name in stable else g.status
        rows.append(row)
    return pd.DataFrame(rows)


def _times(ratio: float) -> str:
    return "1" if ratio == 1 else f"{ratio:.3g}" if ratio < 1000 else f"{ratio:.0e}"


def optimised(found: Sequence[GridError]) -> pd.DataFrame:
    """One row per method, steps, target optimised for and target measured: optimised against the best hand-made."""
    rows = []
    for key in dict.fromkeys((g.method, g.steps, g.optimised_for, g.target) for g in found):
        own = [g for g in found if (g.method, g.steps, g.optimised_for, g.target) == key]
        fitted = next(g for g in own if g.grid == OPTIMISED)
        made = min((g for g in own if g.grid != OPTIMISED and g.status == MEASURED), key=lambda g: g.error)
        rows.append(
            {
                "method": key[0],
                "steps": str(key[1]),
                "optimised for": key[2],
                "on": key[3],
                "metric": fitted.metric,
                "optimised": f"{fitted.error:.3g}",
                "best hand-made": f"{made.error:.3g}",
                "grid": made.grid,
                "gain": f"{made.error / fitted.error:.3g}",
            }
        )
    return pd.DataFrame(rows)


def levels(found: Sequence[GridError]) -> list[str]:
    """Say the levels of optimised grids, as a file for --grid lists them."""
    return [
        f"sigma/alpha of {g.method} in {g.steps} steps for {g.target}: {', '.join(f'{v:.4g}' for v in g.levels)}"
        for g in found
        if g.levels and g.target == g.optimised_for
    ]


def searched(found: Sequence[Searched]) -> pd.DataFrame:
    """One row per target searched for, target measured on, grid and steps: the solver found against a uniform one."""
    rows = []
    for key in dict.fromkeys((s.target, s.on, s.steps, s.grid) for s in found):
        own = {s.which: s for s in found if (s.target, s.on, s.steps, s.grid) == key}
        one, other = own[FOUND], own[UNIFORM]
        rows.append(
            {
                "searched for": key[0],
                "on": key[1],
                "steps": str(key[2]),
                "grid": key[3],
                "tried": str(one.tried),
                "metric": one.metric,
                "found": one.solver,
                "its error": f"{one.error:.3g}",
                "uniform": other.solver,
                "error": f"{other.error:.3g}",
                "gain": f"{other.error / one.error:.3g}",
            }
        )
    return pd.DataFrame(rows)


def by_time(found: Sequence[TimeError], deterministic: Sequence[str]) -> pd.DataFrame:
    """One row per method, target, grid and steps: how fast truncation falls, against the claim, and the best T."""
    rows = []
    for key in dict.fromkeys((e.method, e.target, e.grid, e.steps) for e in found):
        own = [e for e in found if (e.method, e.target, e.grid, e.steps) == key]
        rate, best = truncation_rate(own), best_time(own)
        short, long = min(own, key=lambda e: e.time), max(own, key=lambda e: e.time)
        rows.append(
            {
                "method": key[0],
                "target": key[1],
                "grid": key[2],
                "steps": str(key[3]),
                "predicted rate": f"{TRUNCATION[key[0] in deterministic]:g}",
                "rate": str(rate),
                "best T": f"{best.time:.2f}",
                "W2 there": f"{best.error:.3g}",
                f"W2 at {short.time:.2f}": f"{short.error:.3g}",
                f"W2 at {long.time:.2f}": f"{long.error:.3g}",
            }
        )
    return pd.DataFrame(rows)


def verdict(order: SingularOrder) -> Verdict:
    """Hold the predicted order against what was measured: where it is below the claim, a higher one refutes it too.

    N^-p log N has the local slope p - 1/log N, which is what a finite ladder of that form can show.
    """
    if logarithmic(order.method, order.claim, order.clock, order.grid):
        return judge(order.predicted - 1 / float(np.log(order.steps[-1])), order.slope)
    lowered = order.predicted < order.claim
    if lowered and order.slope.status == "settled" and order.slope.low > order.predicted + 0.1:
        return "refuted"
    return judge(order.predicted, order.slope)


def singular(found: Sequence[SingularOrder]) -> pd.DataFrame:
    """One row per method, clock and grid: the claimed, predicted and measured order next to sigma = 0."""
    return pd.DataFrame(
        [
            {
                "method": o.method,
                "target": o.target,
                "clock": o.clock,
                "grid": o.grid,
                "claim": f"{o.claim:g}",
                "predicted": f"{o.predicted:g}"
                + (" with log" if logarithmic(o.method, o.claim, o.clock, o.grid) else ""),
                "order": str(o.slope),
                f"{o.steps[0]} steps": f"{o.errors[0]:.2e}",
                f"{o.steps[-1]} steps": f"{o.errors[-1]:.2e}",
                "verdict": verdict(o),
            }
            for o in found
        ]
    )


def derivatives(path: paths.VP = SINGULAR_PATH) -> pd.DataFrame:
    """One row per prediction and data variance: |d/dt| at each instant and how it grows, as t^-q."""
    rows = []
    for variance in VARIANCES:
        for form in FORMS:
            sizes = time_derivative(form, np.array(INSTANTS), 1.0, variance, path)
            row = {"prediction": form, "data": f"N(1, {variance:g})" if variance else "point at 1"}
            row |= {f"t = {t:g}": f"{size:.3g}" for t, size in zip(INSTANTS, sizes, strict=True)}
            rows.append(row | {"q": f"{abs(growth(form, 1.0, variance, path)):.2f}"})
    return pd.DataFrame(rows)


def long(found: Sequence[GridError | Searched | TimeError]) -> pd.DataFrame:
    """Return everything measured, one row each, every digit."""
    return pd.DataFrame([asdict(record) for record in found])


def long_singular(found: Sequence[SingularOrder]) -> pd.DataFrame:
    """One row per method, clock, grid and steps."""
    return pd.DataFrame(
        [
            {
                "method": o.method,
                "clock": o.clock,
                "grid": o.grid,
                "target": o.target,
                "claim": o.claim,
                "predicted": o.predicted,
                "order": o.slope.value,
                "low": o.slope.low,
                "high": o.slope.high,
                "verdict": verdict(o),
                "steps": steps,
                "error": error,
                "reason": o.reason,
            }
            for o in found
            for steps, error in zip(o.steps, o.errors, strict=True)
        ]
    )
