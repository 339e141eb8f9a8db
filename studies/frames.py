"""Measurements and judgements as data frames: one long, for programs and plots, and one to read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from solvers import catalogue

from .order import START_UP, Judgement, Measurement

_ARROW = {"w2": "W2", "tv": "TV", "kl": "KL", "strong": "strong", "weak": "weak", START_UP: "start-up", "energy": "energy", "flow": "flow"}
_SHOWN = {
    "ode": ("w2", "tv", "weak", "strong"),
    "weak": ("w2", "tv", "weak"),
    "strong": ("strong",),
    "tv": ("tv",),
}
NOTHING = "–"


def long(measurements: Sequence[Measurement]) -> pd.DataFrame:
    """One row per method, start, target, metric and rung, with every number."""
    rows = []
    for m in measurements:
        claims = [c.order for c in catalogue[m.method].claims if c.sense != "strong"]
        for i, (steps, nfe, error, uncertainty) in enumerate(zip(m.steps, m.nfe, m.errors, m.uncertainty, strict=True)):
            before = m.errors[i - 1] if i else float("nan")
            with np.errstate(all="ignore"):
                local = float(-np.log(np.float64(error) / before) / np.log(steps / m.steps[i - 1])) if i else float("nan")
            rows.append(
                {
                    "method": m.method, "start": m.start, "target": m.target, "metric": m.metric, "means": m.means,
                    "steps": steps, "nfe": nfe, "error": error, "uncertainty": uncertainty, "local slope": local,
                    "order": m.slope.value, "low": m.slope.low, "high": m.slope.high, "status": m.slope.status,
                    "claim": max(claims) if claims else float("nan"),
                }
            )
    return pd.DataFrame(rows)


def summary(measurements: Sequence[Measurement], judgements: Sequence[Judgement]) -> pd.DataFrame:
    """One row per method, start and claim: what is claimed, what each target measured, and the verdict."""
    columns: list[tuple[str, str]] = []
    for m in measurements:
        key = (m.target, m.metric)
        if m.metric in ("w2", "tv", "weak", "strong") and key not in columns:
            columns.append(key)
    first = {target: i for i, target in reversed(list(enumerate(dict.fromkeys(t for t, _ in columns))))}
    rank = {"w2": 0, "tv": 1, "weak": 2, "strong": 3}
    columns.sort(key=lambda c: (first[c[0]], rank[c[1]]))
    start_ups = any(m.metric == START_UP for m in measurements)
    rows = []
    for method, start in dict.fromkeys((m.method, m.start) for m in measurements):
        own = {(m.target, m.metric): m for m in measurements if (m.method, m.start) == (method, start)}
        judged = [j for j in judgements if (j.method, j.start) == (method, start)]
        per_step = next(iter(own.values()))
        nfe = per_step.nfe[-1] / per_step.steps[-1]
        name = method + (" (exact start)" if start == "exact" else "")
        for judgement in judged or [None]:
            claim = judgement.claim if judgement else None
            shown = _SHOWN[claim.sense] if claim else ("w2", "tv", "weak")
            row = {
                "method": name,
                "NFE/step": NOTHING if start == "exact" else f"{nfe:.3g}",
                "claim": NOTHING if claim is None else f"{claim.order:g} {claim.sense}",
                "by": NOTHING if claim is None else claim.basis,
            }
            for target, metric in columns:
                found = own.get((target, metric))
                row[f"{target} {_ARROW[metric]}"] = str(found.slope) if found and metric in shown else NOTHING
            if start_ups:
                start_up = next((m for (_, metric), m in own.items() if metric == START_UP), None)
                shown_here = start_up is not None and claim is not None and claim.sense in ("ode", "weak")
                row["start-up"] = str(start_up.slope) if shown_here and start_up else NOTHING
            row["verdict"] = "no claim" if judgement is None else judgement.verdict
            rows.append(row)
    return pd.DataFrame(rows)


def cost_summary(measurements: Sequence[Measurement], metric: str) -> pd.DataFrame:
    """One row per method, one column per number of evaluations."""
    chosen = [m for m in measurements if m.metric == metric]
    budgets = sorted({nfe for m in chosen for nfe in m.nfe})
    rows = []
    for m in chosen:
        cells = {nfe: NOTHING for nfe in budgets}
        for nfe, error, uncertainty in zip(m.nfe, m.errors, m.uncertainty, strict=True):
            bar = f"±{uncertainty:.1g}" if uncertainty else ""
            cells[nfe] = f"{error:.3g}{bar}" if np.isfinite(error) else "not finite"
        name = m.method + (" (exact start)" if m.start == "exact" else "")
        rows.append({"method": name} | {f"NFE {nfe}": cells[nfe] for nfe in budgets})
    return pd.DataFrame(rows)
