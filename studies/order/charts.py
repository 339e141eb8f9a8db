"""Convergence plots of the order studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from solvers import Claim

from ..ladder import Measurement, long

_DRAWN = {
    "w2": "W2 error",
    "weak": "Weak error",
    "tv": "Total variation",
    "shortfall": "Log-likelihood per token below that of the data",
    "bigram": "Bigram total variation",
    "energy": "Energy distance",
}


def convergence(
    name: str, found: Sequence[Measurement], where: str, claims: Mapping[str, Sequence[Claim]] | None = None
) -> Mapping[str, Any]:
    """Draw the ladders worth a picture: on the last target, in W2 or what stands for it; nothing if none is there.

    Methods whose cost does not grow with the steps have no place on it.
    """
    from ..output import figures  # which is slow to import

    last = found[-1].target if found else ""
    for metric, title in _DRAWN.items():
        own = [m for m in found if (m.target, m.metric) == (last, metric) and len(set(m.nfe)) == len(m.nfe)]
        frame = long(own, claims)
        if len(frame) and (frame["error"] > 0).any():
            return {name: figures.convergence(frame, f"{title} on {last}, {where}")}
    return {}
