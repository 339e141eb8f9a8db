"""What methods need as tables: everything measured, and one table to read for each size that was varied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from ..laws import MEASURED
from ..output.report import Report
from .crossings import Crossing
from .needs import FEW, Growth

TITLES = {
    "epsilon": "Evaluations to reach an error epsilon",
    "dimension": "Evaluations against dimension",
    "condition": "Evaluations against the condition number of the covariance",
    "intrinsic": "Evaluations against intrinsic dimension",
    "separation": "Evaluations against the distance between modes, in their deviations",
    "modes": "Evaluations against the number of modes",
}
_SIZES = {"epsilon": "1/epsilon", "dimension": "dimension", "condition": "condition number"}
_SIZES |= {"intrinsic": "intrinsic dimension", "separation": "separation", "modes": "number of modes"}
# what the exponent should be by a method's order, on the family where that is known
_EXPECTED = {"epsilon": 1.0, "dimension": 0.5, "intrinsic": 0.5}
MEANING = {
    "W2": "W2 of the whole vector",
    "W2/scale": "W2 over the root of the trace of the target's covariance",
    "KL": "KL(sampler || marginal) in nats",
    "sliced W2/scale": "by 200000 samples, over the root of the mean variance",
    "distance to the flow/scale": "mean distance of 2000 ends from the flow's, over the root of the covariance's trace",
    "TV": "total variation",
}
MOST_REASON = 110  # characters


def size_name(against: str) -> str:
    """Return what a size is called on an axis."""
    return _SIZES[against]


def long(found: Sequence[Growth]) -> pd.DataFrame:
    """One row a size: everything measured."""
    return pd.DataFrame(
        [
            {
                "against": g.against,
                "on": g.on,
                "method": g.method,
                "kind": _kind(g),
                "order": g.order,
                "metric": g.metric,
                "target": need.target,
                "size": need.size,
                "steps": need.steps,
                "nfe": need.nfe,
                "need": need.status,
                "reason": need.reason,
                "exponent": g.exponent.value,
                "low": g.exponent.low,
                "high": g.exponent.high,
                "status": g.exponent.status,
            }
            for g in found
            for need in g.needs
        ]
    )


def reports(growths: Sequence[Growth], crossings: Sequence[Crossing]) -> Iterator[Report]:
    """Yield a table for each size varied, and one of crossings on each target."""
    for against in dict.fromkeys(g.against for g in growths):
        chosen = [g for g in growths if g.against == against]
        everything = {"scaling": long(chosen)}
        yield Report(f"scaling-{against}", TITLES[against], _summary(chosen), _notes(chosen), everything)
    for name in dict.fromkeys(c.on for c in crossings):
        own = [c for c in crossings if c.on == name]
        yield Report(
            f"crossings-{name}",
            f"Evaluations at which methods' errors cross on {name}, {own[0].metric}",
            _crossing_summary(own),
            ["none: no crossing in the range of NFE looked at, where the method named last is the better."]
            + [f"no law: {c.first}, {c.second}: {c.reason}" for c in own if c.reason],
            {"crossings": pd.DataFrame([asdict(c) for c in own])},
        )


def _kind(growth: Growth) -> str:
    return "SDE" if growth.noisy else "ODE"


def _column(growth: Growth) -> str:
    if growth.against == "epsilon":
        return f"{growth.on}, {growth.metric}"
    return f"{growth.on}, {growth.metric} {growth.needs[0].target:g}"


def _summary(found: Sequence[Growth]) -> pd.DataFrame:
    """One row a method: NFE at the first and the last size reached, and the exponent."""
    rows = []
    against = found[0].against
    for method in dict.fromkeys(g.method for g in found):
        own = [g for g in found if g.method == method]
        row: dict[str, Any] = {"method": method, "kind": _kind(own[0])}
        if against in _EXPECTED:
            formula = "1/order" if _EXPECTED[against] == 1 else "1/(2 order)"
            order = own[0].order
            row[formula] = f"{_EXPECTED[against] / order:.3g}" if np.isfinite(order) else "–"
        for column in dict.fromkeys(_column(g) for g in found):
            row[column] = next((_cell(g) for g in own if _column(g) == column), "–")
        rows.append(row)
    return pd.DataFrame(rows)


def _cell(growth: Growth) -> str:
    reached = [n for n in growth.needs if np.isfinite(n.nfe)]
    if not reached:
        return "not reached"
    first, last = reached[0], reached[-1]
    if (
        growth.against == "epsilon"
    ):  # the first errors cost next to nothing: what the last one costs says more
        return f"{last.nfe:.3g} at {1 / last.size:.0e}, {growth.exponent}"
    stars = "*" if last is not growth.needs[-1] else ""
    exponent = str(growth.exponent).replace("-0.000±", "0.000±")
    return f"{first.nfe:.3g} to {last.nfe:.3g}{stars}, {exponent}"


def _notes(found: Sequence[Growth]) -> list[str]:
    against = found[0].against
    held = dict.fromkeys(g.metric for g in found)
    notes = [
        "Held: " + "; ".join(f"{m}, {MEANING[m]}" for m in held) + ".",
    ]
    if against == "epsilon":
        notes.append(
            "Cells: NFE at the smallest epsilon reached, and the exponent of NFE in 1/epsilon; of KL half as large."
        )
    else:
        sizes = found[0].needs
        notes.append(
            f"Cells: NFE at {_SIZES[against]} {sizes[0].size:g} to {sizes[-1].size:g} (*: the last one reached), and "
            "the exponent of NFE in it; growth that is no power reads drifting."
        )
    if against == "condition":
        notes.append(
            "Variances below sigma^2 at the grid's end are covered by the noise left there: a path that ends lower, as "
            '--path "VE(0.001, 20)" does, sees larger condition numbers.'
        )
    reasons: dict[str, list[str]] = {}
    for g in found:
        missed = [n for n in g.needs if n.reason and n.reason != FEW]
        if missed and not (against == "epsilon" and _only_too_fine(g)):
            need = missed[0]
            size = f"epsilon {need.target:g}" if against == "epsilon" else f"{_SIZES[against]} {need.size:g}"
            text = need.reason if len(need.reason) <= MOST_REASON else need.reason[: MOST_REASON - 3] + "..."
            reasons.setdefault(f"{g.on}, {g.metric}, from {size}: {text}", []).append(g.method)
    return notes + [f"{', '.join(methods)} on {reason}" for reason, methods in reasons.items()]


def _only_too_fine(growth: Growth) -> bool:
    """True if epsilon was only too small for the steps allowed: the table shows how far the method got."""
    return all(
        n.reason in ("", FEW) or (n.reason.startswith("not reached") and not n.reason.endswith("falls"))
        for n in growth.needs
    )


def _crossing_summary(found: Sequence[Crossing]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "methods": f"{c.first}, {c.second}",
                "NFE": f"{c.nfe:.3g}" if c.status == MEASURED else c.status,
                "error": f"{c.error:.2g}" if c.status == MEASURED else "–",
                "better below": c.below if c.status == MEASURED else "–",
                "better above": c.above or "–",
                "range": "–" if np.isnan(c.low) else f"{c.low:.0f} to {c.high:.0f}",
            }
            for c in found
        ]
    )
