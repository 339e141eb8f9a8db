"""Sequences of tokens as samplers reveal them, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import altair as alt
import numpy as np
import pandas as pd

from analytic import sequences
from solvers import sample

from ..order.on_tokens import TokenSetting
from ..output.report import Report
from ..output.theme import COLOURS
from ..setting import Job
from ..study import Cell, Plain

METHODS = ("tweedie-tau-leaping",)
SIDE = (9, 17)  # pixels of a token
HIDDEN = "·"


@dataclass(frozen=True)
class Shown:
    """One sequence after so many steps of a method; a mask is a token beyond the vocabulary."""

    method: str
    step: int
    t: float
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Revealed(Plain[Shown]):
    """One sample of each method at every step.

    Attributes
    ----------
    work : sequence of Job
    target : str
    data : SequenceLaw
    setting : TokenSetting
    steps, width, seed : int
        `width`: tokens shown.
    """

    work: Sequence[Job]
    target: str
    data: sequences.SequenceLaw
    setting: TokenSetting
    steps: int
    width: int
    seed: int = 0

    name: ClassVar[str] = "revealed"
    record: ClassVar[type] = Shown

    def cells(self) -> Iterable[Cell[Shown]]:
        """One for each method."""
        for job in self.work:
            given = {
                "job": job,
                "data": self.data,
                "setting": self.setting,
                "steps": self.steps,
                "seed": self.seed,
            }
            yield Cell({"method": job.text, "target": self.target}, partial(self._walked, job), given)

    def _walked(self, job: Job) -> list[Shown]:
        """Run the method to every node: draws are addressed by the step, so that each is the same walk's."""
        nodes = self.setting.nodes(self.steps)
        found = []
        for step in range(self.steps + 1):
            if step == 0:
                tokens = np.full((1, self.data.length), self.data.vocabulary)
            else:
                end = "posterior" if step == self.steps else None
                kernel = job.method.kernel(self.setting.process, nodes[: step + 1], end, **job.options)
                tokens = sample(kernel, self.data, 1, self.seed, "prior")
            row = tuple(int(v) for v in tokens[0, : self.width])
            found.append(Shown(job.text, step, float(nodes[step]), row))
        return found

    def reports(self, found: list[Shown]) -> Iterable[Report]:
        """Return the sequence after each step as text."""
        rows = [
            {"method": one.method, "step": one.step, "t": one.t, "tokens": "".join(self._letters(one))}
            for one in found
        ]
        table = pd.DataFrame(rows)
        yield Report("revealed", f"{self.target}, {self.setting.noise}, revealed step by step", table)

    def _letters(self, one: Shown) -> list[str]:
        letters = (
            sequences.LETTERS if self.data.vocabulary == len(sequences.LETTERS) else "0123456789abcdefghij"
        )
        return [HIDDEN if v >= self.data.vocabulary else letters[v] for v in one.tokens]

    def figures(self, found: list[Shown]) -> Mapping[str, Any]:
        """Draw a row for each step."""
        return {"revealed": self._drawn(found, self.steps)}

    def frames(self, found: list[Shown]) -> list[Any]:
        """Draw the same as far as it is after each step."""
        return [self._drawn(found, step) for step in range(self.steps + 1)]

    def _drawn(self, found: Sequence[Shown], until: int) -> Any:
        panels = []
        for method in dict.fromkeys(one.method for one in found):
            rows, before = [], [HIDDEN] * self.width
            for one in (one for one in found if one.method == method):
                letters = self._letters(one)
                rows += [
                    {"place": i, "step": one.step, "letter": v if one.step <= until else " ", "new": v != w}
                    for i, (v, w) in enumerate(zip(letters, before, strict=False))
                ]
                before = letters
            new = alt.condition("datum.new", alt.value(COLOURS[1]), alt.value("#495057"))
            panels.append(
                alt.Chart(pd.DataFrame(rows))
                .mark_text(font="monospace", fontSize=13)
                .encode(
                    x=alt.X("place:O", axis=None),
                    y=alt.Y("step:O", title="step", axis=alt.Axis(domain=False, ticks=False)),
                    text="letter:N",
                    color=new,
                )
                .properties(width=SIDE[0] * self.width, height=SIDE[1] * (self.steps + 1), title=method)
            )
        said = "A sequence of tokens revealed step by step from masks; orange: revealed in that step."
        return alt.vconcat(*panels, spacing=20, description=said)
