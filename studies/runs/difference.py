"""Two runs held against each other: what differs by more than chance and rounding do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from ..numbers import NORMAL, Number

TIE = 1.02  # ratios below it are alike
LEVEL = 0.01  # of all sampled numbers together, that one is called different where none is
SAME, ALIKE, BETTER, WORSE, OTHER, GONE, NEW = "same", "alike", "better", "worse", "other", "gone", "new"
VERDICTS = (WORSE, GONE, OTHER, BETTER, NEW, ALIKE, SAME)


@dataclass(frozen=True)
class Difference:
    """How a number changed between two runs.

    Attributes
    ----------
    of : tuple of str
    verdict : str
        "same" to the bit; "alike" within 2 %, rounding or intervals; "better" or "worse", of errors and of what no
        longer is measured; "other", of numbers that are no errors; "gone" and "new", of what one run has alone.
    before, after : float
    """

    of: tuple[str, ...]
    verdict: str
    before: float = float("nan")
    after: float = float("nan")


def differences(
    before: Mapping[tuple[str, ...], Number], after: Mapping[tuple[str, ...], Number]
) -> list[Difference]:
    """Compare the numbers of two runs.

    Sampled numbers are told apart by Holm's procedure at 1 % over all of them, so that of two runs that differ in their
    seeds alone one in a hundred has any number that is called better or worse.
    """
    shared = [of for of in before if of in after]
    apart = _told_apart([(before[of], after[of]) for of in shared])
    found = [
        Difference(of, _verdict(before[of], after[of], told), before[of].value, after[of].value)
        for of, told in zip(shared, apart, strict=True)
    ]
    found += [Difference(of, GONE, before=n.value) for of, n in before.items() if of not in after]
    return found + [Difference(of, NEW, after=n.value) for of, n in after.items() if of not in before]


def _verdict(a: Number, b: Number, told: bool) -> str:
    if a.status != b.status:
        return WORSE if a.status == "measured" else BETTER if b.status == "measured" else OTHER
    if a.value == b.value or (np.isnan(a.value) and np.isnan(b.value)):
        return SAME
    if np.isnan(a.value) or np.isnan(b.value):
        return WORSE if np.isnan(b.value) else BETTER
    low, high = sorted((abs(a.value), abs(b.value)))
    if high <= TIE * low or not told:
        return ALIKE
    if not a.error:
        return OTHER
    return WORSE if b.value > a.value else BETTER


def _told_apart(pairs: Sequence[tuple[Number, Number]]) -> list[bool]:
    """Return whether each pair differs by more than its uncertainty."""
    told = [abs(b.value - a.value) > a.uncertainty + b.uncertainty for a, b in pairs]
    sampled = [
        i for i, (a, b) in enumerate(pairs) if (a.sampled or b.sampled) and not np.isnan(b.value - a.value)
    ]
    chances = {i: _chance(*pairs[i]) for i in sampled}
    rejecting = True
    for rank, i in enumerate(sorted(sampled, key=chances.__getitem__)):
        rejecting = rejecting and chances[i] <= LEVEL / (len(sampled) - rank)
        told[i] = rejecting
    return told


def _chance(a: Number, b: Number) -> float:
    """Return how likely two estimates of one number are as far apart as these."""
    deviation = np.hypot(a.uncertainty, b.uncertainty) / NORMAL
    if deviation == 0:
        return float(a.value == b.value)
    return float(2 * special.ndtr(-abs(b.value - a.value) / deviation))
