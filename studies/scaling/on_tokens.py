"""How many steps a sampler of tokens needs, against the length of the sequence and the size of the vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analytic import chains, distances, sequences
from solvers import catalogue, grids, law
from solvers.discrete import Tables, path_kl

from ..inference import Slope, fit
from ..numbers import AXIS, measured
from ..steps_needed import steps_to_reach

METHOD = "tweedie-tau-leaping"
TARGET_KL = 0.1  # nats
TARGET_TV = 0.02
LENGTHS = (2, 3, 4, 5, 6, 7, 8)
LONG_LENGTHS = (8, 16, 32, 64, 125, 250, 500, 1000)
VOCABULARIES = (2, 3, 4, 6, 8, 12)
LENGTH_OF_VOCABULARIES = 3


@dataclass(frozen=True)
class Scaling:
    """Steps needed as a function of one size, all else held.

    Attributes
    ----------
    against : str
        "length" or "vocabulary".
    noise, schedule, metric : str
    target : float
        Error that the steps reach.
    sizes : tuple of int
    steps : tuple of float
        Least number of steps, interpolated between whole numbers.
    exponent : Slope
        steps ~ size^exponent, with its interval.
    """

    against: str
    noise: str
    schedule: str
    metric: str
    target: float = field(metadata=AXIS)
    sizes: tuple[int, ...]
    steps: tuple[float, ...] = field(metadata=measured(along="sizes"))
    exponent: Slope


def chain_of(vocabulary: int, length: int, keep: float = 0.7) -> sequences.MarkovSequence:
    """Return the chain that repeats a token with probability `keep`, else goes to any other."""
    rest = (1 - keep) / (vocabulary - 1)
    transition = np.full((vocabulary, vocabulary), rest) + (keep - rest) * np.eye(vocabulary)
    weights = np.arange(vocabulary, 0, -1.0)
    return sequences.MarkovSequence(
        weights / weights.sum(), transition / transition.sum(1, keepdims=True), length
    )


def by_law(process: chains.Chain, data: sequences.SequenceLaw, metric: str) -> Callable[[int], float]:
    """Return the error of ancestral sampling in a number of steps, by exact law on a geometric grid."""
    tables, method = Tables(process, data), catalogue[METHOD]

    def error(steps: int) -> float:
        kernel = method.kernel(process, grids.geometric(process, steps))
        if metric == "path KL":
            return float(path_kl(kernel, data, tables).sum())
        truth = tables.evidence(float(kernel.grid[-1]))
        return distances.table_tv(truth, law(kernel, data, tables=tables).ravel())

    return error


def by_information(data: sequences.MarkovSequence, schedule: str) -> Callable[[int], float]:
    """Return the path KL of masked ancestral sampling from all masks to none, at any length.

    Schedules: "even" reveals the same expected number of tokens each step, "optimal" costs least.
    """
    profile = sequences.InformationProfile(data)

    def error(steps: int) -> float:
        shares = np.linspace(0, 1, steps + 1) if schedule == "even" else profile.best_shares(steps)
        return float(profile.step_costs(shares).sum())

    return error


@dataclass(frozen=True)
class Ladder:
    """Sizes at which the steps needed are measured, all else held."""

    against: str
    noise: str
    schedule: str
    metric: str
    target: float
    sizes: tuple[int, ...]
    error_of: Callable[[int], Callable[[int], float]]

    @property
    def of(self) -> dict[str, Any]:
        """What it is, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "error_of"}

    def measure(self) -> list[Scaling]:
        """Find the steps needed at each size."""
        steps: list[float] = []
        for place, size in enumerate(self.sizes):
            # the last two sizes say about where the next one lies
            near = steps[-1] if steps else None
            if near is not None and place > 1:
                pace = np.log(steps[-1] / steps[-2]) / np.log(self.sizes[place - 1] / self.sizes[place - 2])
                near *= float((size / self.sizes[place - 1]) ** pace)
            steps.append(steps_to_reach(self.error_of(size), self.target, near=near))
        # steps grow as errors fall: the exponent is the order of 1/steps, with the care that orders are given
        exponent = fit(self.sizes, 1 / np.array(steps), 0.0, may_stay=False)
        return [Scaling(**self.of, steps=tuple(steps), exponent=exponent)]


def ladders() -> Iterator[Ladder]:
    """Yield the pieces of the study."""
    noises: dict[str, Callable[[int], chains.Chain]] = {
        "masks": lambda v: chains.Absorbing(v, "polynomial"),
        "uniform": lambda v: chains.Uniform(v, "constant"),
    }

    def by_length(process_of: Callable[[int], chains.Chain], metric: str, n: int) -> Callable[[int], float]:
        return by_law(process_of(2), chain_of(2, n), metric)

    def by_vocabulary(
        process_of: Callable[[int], chains.Chain], metric: str, v: int
    ) -> Callable[[int], float]:
        return by_law(process_of(v), chain_of(v, LENGTH_OF_VOCABULARIES), metric)

    for noise, process_of in noises.items():
        for metric, target in (("TV", TARGET_TV), ("path KL", TARGET_KL)):
            for against, sizes, error_of in (
                ("length", LENGTHS, by_length),
                ("vocabulary", VOCABULARIES, by_vocabulary),
            ):
                measured = partial(error_of, process_of, metric)
                yield Ladder(against, noise, "geometric", metric, target, sizes, measured)
    for schedule in ("even", "optimal"):
        yield Ladder(
            "length", "masks", schedule, "path KL", TARGET_KL, LONG_LENGTHS, partial(by_profile, schedule)
        )


def by_profile(schedule: str, length: int) -> Callable[[int], float]:
    """Return `by_information` of a chain of three tokens."""
    return by_information(chain_of(3, length), schedule)


def frame(found: Sequence[Scaling]) -> pd.DataFrame:
    """One row a size: everything measured."""
    return pd.DataFrame(
        [
            {
                "against": s.against,
                "noise": s.noise,
                "schedule": s.schedule,
                "metric": s.metric,
                "target": s.target,
                "size": size,
                "steps": steps,
                "exponent": s.exponent.value,
                "low": s.exponent.low,
                "high": s.exponent.high,
                "status": s.exponent.status,
            }
            for s in found
            for size, steps in zip(s.sizes, s.steps, strict=True)
        ]
    )


def summary(found: Sequence[Scaling]) -> pd.DataFrame:
    """One row a ladder: steps at its ends and the exponent."""
    return pd.DataFrame(
        [
            {
                "steps against": s.against,
                "noise": s.noise,
                "schedule": s.schedule,
                "to reach": f"{s.metric} {s.target:g}",
                "from": f"{s.steps[0]:.3g} at {s.sizes[0]}",
                "to": f"{s.steps[-1]:.3g} at {s.sizes[-1]}",
                "exponent": str(s.exponent),
            }
            for s in found
        ]
    )
