"""Convergence plots of the order studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from solvers import Claim

from ..ladder import Measurement, long

_DRAWN = {  # what it is, and how its axis says so
    "w2": ("W2 error", "W2 error, in units of x"),
    "weak": ("Weak error", "weak error, of moments and bounded functions"),
    "tv": ("Total variation", "total variation, of 1"),
    "shortfall": ("Log-likelihood per token below that of the data", "nats per token"),
    "bigram": ("Bigram total variation", "total variation of bigrams, of 1"),
    "energy": ("Energy distance", "energy distance, in units of x"),
}


def convergence(
    name: str, found: Sequence[Measurement], where: str, claims: Mapping[str, Sequence[Claim]] | None = None
) -> Mapping[str, Any]:
    """Draw the ladders worth a picture: on every target, in W2 or what stands for it; nothing if none is there.

    Methods whose cost does not grow with the steps have no place on it.
    """
    charts = [_on(target, found, where, claims) for target in dict.fromkeys(m.target for m in found)]
    drawn = [chart for chart in charts if chart is not None]
    if not drawn:
        return {}
    import altair as alt

    if len(drawn) == 1:
        return {name: drawn[0]}
    said = " ".join(dict.fromkeys(chart.description for chart in drawn))
    return {name: alt.vconcat(*drawn, spacing=40, description=said)}


def _on(
    target: str, found: Sequence[Measurement], where: str, claims: Mapping[str, Sequence[Claim]] | None
) -> Any:
    from ..output import figures  # which is slow to import

    for metric, (title, axis) in _DRAWN.items():
        own = [m for m in found if (m.target, m.metric) == (target, metric) and len(set(m.nfe)) == len(m.nfe)]
        frame = long(own, claims)
        if len(frame) and (frame["error"] > 0).any():
            return figures.convergence(frame, f"{title} on {target}, {where}", of=axis)
    return None
