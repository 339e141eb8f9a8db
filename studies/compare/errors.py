"""The error of one method at one place for so many evaluations, and when two errors are a tie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..laws import MEASURED, of_squares

TIE = 1.02  # errors in a smaller ratio are alike
TOO_FEW, REFUSED, NO_LAW = "too few", "refused", "no law"


@dataclass(frozen=True)
class Compared:
    """The error of one method at one place, for one number of evaluations or of steps.

    Attributes
    ----------
    method, target, path, grid : str
        As a user types them; the noise stands in the place of the path where tokens are sampled.
    metric : str
        "W2" and "KL" of a Gaussian, "TV", "KL" and "W2" on the line, "sliced W2" by samples elsewhere, to the exact
        marginal at the grid's end; of tokens "TV" and "KL" to the data's law, "bigram TV" by samples of long ones.
    budget, steps, nfe : int or float
        Evaluations that there are (0 where steps were asked for), steps taken, and evaluations they take.
    error, uncertainty, floor : float
        `uncertainty`: half of the 99 % interval, 0 by exact laws. `floor`: what samples of the truth itself have.
    seed : int
        Of the samples; 0 by exact laws.
    parts : tuple of float
        Squared errors of groups of samples, from which blocks of other seeds are pooled; () by exact laws.
    status, reason : str
        "measured"; "unstable"; "no law", of methods whose law cannot be had; "too few", where one step takes more;
        "refused", where the method takes no such steps, path or noise.
    """

    method: str
    target: str
    path: str
    grid: str
    metric: str
    budget: int
    steps: int
    nfe: float
    error: float
    uncertainty: float = 0.0
    floor: float = 0.0
    seed: int = 0
    parts: tuple[float, ...] = ()
    status: str = MEASURED
    reason: str = ""

    @property
    def told(self) -> float:
        """What the error is at most known to be: not below what samples of the truth have."""
        return max(self.error, self.floor)

    @property
    def place(self) -> tuple[Any, ...]:
        """Where methods are compared."""
        return self.target, self.path, self.grid, self.metric, self.budget or f"{self.steps} steps"


@dataclass(frozen=True)
class Asked:
    """What one cell compares.

    Attributes
    ----------
    budget, steps : int
        Evaluations there are, or steps; the other is 0.
    metrics : tuple of str
        Those wanted; the sharpest if empty.
    samples, seed : int
        Where no law reaches.
    """

    budget: int
    steps: int
    metrics: tuple[str, ...]
    samples: int
    seed: int


def pooled(found: Iterable[Compared]) -> list[Compared]:
    """Join blocks of samples that differ in their seeds alone: the more blocks, the smaller the interval."""
    blocks: dict[tuple[Any, ...], list[Compared]] = {}
    for c in found:
        blocks.setdefault((c.method, *c.place), []).append(c)
    return [one if not rest else _joined([one, *rest]) for one, *rest in blocks.values()]


def _joined(blocks: Sequence[Compared]) -> Compared:
    failed = [c for c in blocks if c.status != MEASURED]
    if failed or not blocks[0].parts:
        return failed[0] if failed else blocks[0]
    parts = tuple(part for c in blocks for part in c.parts)
    error, uncertainty = of_squares(parts)
    floor = float(np.sqrt(np.mean([c.floor**2 for c in blocks])))
    return replace(blocks[0], error=error, uncertainty=uncertainty, floor=floor, parts=parts)


def alike(one: Compared, other: Compared) -> bool:
    """Whether two errors are a tie: nearly equal, or no further apart than their intervals or than samples tell."""
    if max(one.told, other.told) <= TIE * min(one.told, other.told):
        return True
    return abs(one.told - other.told) <= np.hypot(one.uncertainty, other.uncertainty)


def front(
    found: Sequence[Compared], cost: Callable[[Compared], float] = lambda c: c.nfe
) -> Iterator[Compared]:
    """Yield the errors at a place that no method undercuts at as little cost or less, by default of evaluations."""
    measured = sorted(
        (c for c in found if c.status == MEASURED and np.isfinite(c.error)), key=lambda c: (cost(c), c.error)
    )
    least = np.inf
    for c in measured:
        if c.error < least:
            yield c
            least = c.error
