"""Tables of error budgets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..laws import MEASURED
from .parts import Budget


def table(found: Sequence[Budget]) -> pd.DataFrame:
    """One row a method, target and step number: W2 of the whole, shares and sizes of the parts, remainder."""
    return pd.DataFrame(
        [
            {
                "target": b.target,
                "method": b.method,
                "steps": b.steps,
                "nfe": b.nfe,
                "means": b.means,
                "whole": b.whole,
                "uncertainty": b.uncertainty,
                **{f"{p.name} share": p.share for p in b.parts},
                "remainder": b.remainder,
                **{f"{p.name} size": p.size for p in b.parts},
                "interaction": b.interaction,
                **{f"{p.name} uncertainty": p.uncertainty for p in b.parts},
                "status": b.status,
                "reason": b.reason,
            }
            for b in found
        ]
    )


def summary(found: Sequence[Budget]) -> pd.DataFrame:
    """One row a method, target and step number to read: W2, and shares in per cent of it."""
    return pd.DataFrame(
        [
            {
                "target": b.target,
                "method": b.method,
                "NFE": b.nfe,
                "W2": _whole(b) if b.status == MEASURED else b.status,
                **{p.name: percent(p.share, b.whole) for p in b.parts},
                "remainder": percent(b.remainder, b.whole),
                "interaction": percent(b.interaction, b.whole),
            }
            for b in found
        ]
    )


def _whole(b: Budget) -> str:
    """Write W2, with its standard error where it is that of samples."""
    return f"{b.whole:.3g}" + (f"±{b.uncertainty:.1g}" if b.means == "samples" else "")


def percent(share: float, whole: float) -> str:
    """Write a share of a whole in per cent; "0" only for nothing at all, a dash for what was not measured."""
    if not np.isfinite(share):
        return "–"
    if share == 0 or whole == 0:
        return "0"
    value = 100 * share / whole
    return f"{value:.1f}" if abs(value) >= 0.05 else f"{value:.0e}"
