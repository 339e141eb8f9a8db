"""The mixed study: Gibbs samplers of tokens and numbers, and tokens through continuous paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from analytic import GaussianMixture
from analytic.names import unknown
from analytic.reprs import brief

from ..inference import judge
from ..order.tables import NOTHING
from ..output.report import Report
from ..study import Cell, Plain
from .measured import (
    FLOWS,
    IN_SPACE,
    OF_SEVERAL,
    ON_NOISE,
    PRIOR,
    SEVERAL,
    TURNS,
    Ladder,
    Rounded,
    copies,
    one_token,
    prior_steps,
    rounded,
    sequence,
    several_copies,
    several_turns,
    turns,
)

STUDIES = ("copies", "split", "interleaved", "stationary", "several", "one token", "rounding", "sequence")
OF = {
    "several": ("several, split", "several, interleaved")
}  # ladders of a study that has others than its own
LEVELS = (0.05, 0.1, 0.2, 0.3, 0.5)
TITLES = {
    "copies": "Split Gibbs, conditionals exact: TV from the posterior against the strength of the copies",
    "split": "Split Gibbs, the number drawn in steps: TV of what stays from the law that exact conditionals keep",
    "interleaved": "Interleaved Gibbs from the exact start: TV from the joint law at the grid's end",
    "stationary": "Interleaved Gibbs, noised back and denoised again: TV of what stays from the joint law",
    "several, split": "Split Gibbs, two tokens and two numbers, conditionals exact: Hellinger's distance from the "
    "posterior against the strength of the copies",
    "several, interleaved": "Interleaved Gibbs, two tokens and a number, noised back and denoised again: TV of what "
    "stays from the joint law",
    "one token": "One binary token in space: TV of its law at NFE",
    "rounding": "Tokens read off places with the exact law: TV against the level",
    "sequence": "Three tokens of a chain: TV of their joint law at NFE",
}
NOTES = {
    "copies": "claims are deduced: flips are linear in their probability, a Gaussian copy is even in its deviation",
    "split": "rho = 0.5, flip = 0.1. A flow is a map of the copy and no draw, so that nothing is claimed of it",
    "interleaved": "exact reversal: Anil et al. 2025, abstract; order 1 is deduced, for a Gaussian step with x_0 at "
    "its mean and for tokens and numbers drawn apart",
    "stationary": "from sigma = 0.7 back to 0.1",
    "several, split": "tokens of two and three values that hang together, with the numbers too. Claims as for one",
    "several, interleaved": "the same tokens and the first number; from sigma = 0.7 back to 0.1. tokens apart: each "
    "given the state at the step's start, then the number given both; together: the number too",
    "one token": "order 1 of Euler's method is deduced; embedded at -1 and 1, rounded at sigma = 0.05. The "
    "Dirichlet path ends before tokens are certain, with another one nearest at 2^-8, so that 1.6e-3 stays",
    "rounding": "embedded at -1, 0 and 1. A draw from the posterior is exact at every level",
    "sequence": "one-hot embeddings, rounded at sigma = 0.05. Ancestral rows are exact laws, the others of samples; "
    "~ where these do not tell an error from none",
}


@dataclass(frozen=True)
class Mixed(Plain[Ladder | Rounded]):
    """Errors of samplers of mixed targets and of tokens in space, with orders.

    Attributes
    ----------
    target : (str, GaussianMixture)
        On the line; its component is the token.
    studies : sequence of str
        Some of `STUDIES`.
    samples : int
        Of embedded sequences; flows on the simplex take a 16th, spread evenly.
    seed : int

    Raises
    ------
    ValueError
        An unknown study, a target that is no mixture on the line with a density, or too few samples.
    """

    target: tuple[str, GaussianMixture]
    studies: Sequence[str] = STUDIES
    samples: int = 262_144
    seed: int = 0

    name: ClassVar[str] = "mixed"
    record: ClassVar[Any] = Ladder | Rounded

    __repr__ = brief

    def __post_init__(self) -> None:
        for study in self.studies:
            if study not in STUDIES:
                raise unknown("study", study, list(STUDIES))
        name, mixture = self.target
        if mixture.dim != 1 or mixture.components < 2 or not mixture.variances.all():
            raise ValueError(
                f"target is {name!r}: give a mixture of two or more components with a density on the line"
            )
        if self.samples < 32_000:
            raise ValueError(f"samples is {self.samples}: give 32000 or more")

    def cells(self) -> Iterable[Cell[Ladder | Rounded]]:
        """One a sampler."""
        name, mixture = self.target
        on_line = {"target": mixture}
        for study in self.studies:
            of = {"study": study}
            if study == "copies":
                for knob in ("coupling", "flip"):
                    yield Cell(of | {"target": name, "copy": knob}, partial(copies, mixture, knob), on_line)
            elif study == "split":
                for method in PRIOR:
                    yield Cell(
                        of | {"target": name, "method": method},
                        partial(prior_steps, mixture, method),
                        on_line,
                    )
            elif study in ("interleaved", "stationary"):
                for order, numbers in TURNS:
                    measure = partial(turns, mixture, order, numbers, study == "stationary")
                    yield Cell(of | {"target": name, "order": order, "numbers": numbers}, measure, on_line)
            elif study == "several":
                own = {"target": SEVERAL}
                for knob in ("coupling", "flip"):
                    yield Cell(of | {"copy": knob}, partial(several_copies, knob), own)
                for order, numbers in OF_SEVERAL:
                    turn = partial(several_turns, order, numbers)
                    yield Cell(of | {"order": order, "numbers": numbers}, turn, own)
            elif study == "one token":
                for sampler in (*IN_SPACE, *FLOWS):
                    yield Cell(of | {"sampler": sampler}, partial(one_token, sampler))
            elif study == "rounding":
                for level in LEVELS:
                    yield Cell(of | {"level": level}, partial(rounded, level))
            else:
                for sampler in (*ON_NOISE, *IN_SPACE, *FLOWS):
                    given = {"samples": self.samples, "seed": self.seed}
                    yield Cell(
                        of | {"sampler": sampler}, partial(sequence, sampler, self.samples, self.seed), given
                    )

    def reports(self, found: list[Ladder | Rounded]) -> Iterable[Report]:
        """Return a table of each."""
        for study in self.studies:
            for part in OF.get(study, (study,)):
                own = [one for one in found if isinstance(one, Ladder) and one.study == part]
                if own:
                    yield _report(part, own)
            levels = [one for one in found if isinstance(one, Rounded)]
            if study == "rounding" and levels:
                rows = [
                    {"read off": "the nearest"} | {f"sigma {r.level:g}": _shown(r.nearest) for r in levels},
                    {"read off": "a draw from the posterior"}
                    | {f"sigma {r.level:g}": "exact" for r in levels},
                ]
                table = {"mixed-rounding": pd.DataFrame([asdict(r) for r in levels])}
                yield Report("mixed-rounding", TITLES[study], pd.DataFrame(rows), [NOTES[study]], table)

    def figures(self, found: list[Ladder | Rounded]) -> Mapping[str, Any]:
        """Draw errors on their ladders."""
        from .figure import figure  # which is slow to import

        ladders = [one for one in found if isinstance(one, Ladder)]
        return {"mixed": figure(ladders)} if ladders else {}

    def verdicts(self, found: list[Ladder | Rounded]) -> Iterable[str]:
        """List those on what is claimed."""
        return [verdict(one) for one in found if isinstance(one, Ladder) and not np.isnan(one.claim)]


def verdict(one: Ladder) -> str:
    """Hold a ladder against its claim; "–" where there is none."""
    return NOTHING if np.isnan(one.claim) else judge(one.claim, one.slope)


def _report(study: str, own: list[Ladder]) -> Report:
    rows = []
    sizes = sorted({size for one in own for size in one.sizes})
    for one in own:
        at = dict(zip(one.sizes, one.errors, strict=True))
        row = {"sampler": one.sampler}
        row |= {str(n): _shown(at.get(n), one.uncertainty) for n in sizes}
        claim = NOTHING if np.isnan(one.claim) else "exact" if np.isinf(one.claim) else f"{one.claim:g}"
        rows.append(row | {"order": str(one.slope), "claim": claim, "verdict": verdict(one)})
    everything = pd.DataFrame([asdict(one) for one in own])
    slug = f"mixed-{study.replace(',', '').replace(' ', '-')}"
    against = " and ".join(dict.fromkeys(one.against for one in own))
    return Report(
        slug, f"{TITLES[study]} ({against})", pd.DataFrame(rows), [NOTES[study]], {slug: everything}
    )


def _shown(error: float | None, uncertainty: float = 0.0) -> str:
    if error is None:
        return NOTHING
    if error <= 4 * uncertainty and uncertainty < 1e-6:
        return "rounding"
    return f"{error:.2e}" if error > 4 * uncertainty else f"~{error:.1e}"
