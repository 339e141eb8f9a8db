"""What a check is and finds: the words, and how a measured order is held against a claimed one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..inference import Slope, judge
from .adapters import RefusedError

PASSED, FAILED, UNRESOLVED, NOT_ASKED = "passed", "failed", "unresolved", "not asked"


@dataclass(frozen=True)
class Finding:
    """What one check found of one sampler.

    Attributes
    ----------
    sampler, check : str
    result : str
        "passed", "failed", "unresolved" (the measurement says too little) or "not asked" (it does not apply).
    found : str
        What was measured.
    means : str
        Where it failed, what that means and where to look.
    """

    sampler: str
    check: str
    result: str
    found: str
    means: str = ""


Verdict = tuple[str, str, str]


@dataclass(frozen=True)
class Check:
    """A property that samplers have, and what it means to lack it."""

    name: str
    means: str
    ask: Callable[[Any], Verdict]

    def __call__(self, subject: Any) -> Finding:
        """Ask a sampler; what it raises is a failure that says so."""
        try:
            # what a stranger's sampler warns of is its own, also where warnings are errors
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                result, found, hint = self.ask(subject)
        except RefusedError as problem:
            result, found, hint = NOT_ASKED, str(problem), ""
        except Exception as problem:  # whatever a stranger's sampler raises is what was found of it
            result, found, hint = FAILED, f"{type(problem).__name__}: {problem}", ""
        means = f"{self.means}{'; ' if hint else ''}{hint}" if result == FAILED else hint
        return Finding(str(subject), self.name, result, found, means)


NEAR = 0.05


def judged(order: float, slope: Slope, hint: str = "") -> Verdict:
    """Return what a measured order says of a claimed one."""
    verdict = judge(order, slope)
    found = f"order {slope}, claimed {order:g}"
    # a slope that still moves confirms nothing, but half an order below the claim it says enough
    low = slope.status == "drifting" and slope.high < order - 0.5 and slope.high - slope.low < 0.5
    # an interval of a thousandth may miss a whole number by less than finite steps move a slope
    near = slope.status not in ("stalled", "growing") and slope.high > order - NEAR
    if (verdict == "refuted" and not near) or low:
        return FAILED, found, hint
    return (PASSED if verdict == "confirmed" else UNRESOLVED), found, ""
