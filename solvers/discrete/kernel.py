"""A sampler of tokens on a grid: its moves, interval by interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from numpy.typing import ArrayLike

from analytic import sequences

from .. import grids
from .flow import Array, Process, bridge
from .moves.guided import Guided, labelled
from .moves.move import Move
from .moves.reveal import Reveal
from .moves.sites import Sites

FINALISERS = (None, "posterior", "argmax")


@dataclass(frozen=True, eq=False)
class Kernel:
    """What `law` and `sample` run: a noise process, a grid and the moves of every interval.

    Attributes
    ----------
    name : str
    process : SiteProcess
    grid : (steps + 1,) array
        Decreasing times.
    steps : tuple of tuple of Move
    final : tuple of Move
        What settles the tokens that are still noisy at the grid's end.
    """

    name: str
    process: Process
    grid: Array
    steps: tuple[tuple[Move, ...], ...]
    final: tuple[Move, ...] = ()

    def evaluations(self, length: int) -> float:
        """Evaluations of the model (NFE) on sequences of that length, expected where they are random."""
        return sum(move.evaluations(length) for move in self.moves)

    @property
    def moves(self) -> tuple[Move, ...]:
        """All moves in order."""
        return (*(move for step in self.steps for move in step), *self.final)

    def end(self, length: int) -> float:
        """Time whose marginal the sampler ends at, on sequences of that length: that of the last node."""
        return float(self.grid[-1])

    def aim(self, data: sequences.SequenceLaw) -> sequences.SequenceLaw:
        """Return the law that the sampler is meant to sample: the data, unless it is guided away from it."""
        return data

    def finalised(self, finalise: str | None) -> Kernel:
        """Return the kernel with the tokens settled at its end.

        Parameters
        ----------
        finalise : None, "posterior" or "argmax"
            Leave the tokens at the grid's end as they are; draw each from its posterior law; take its most
            probable value. Sites are settled independently, by one more evaluation.

        Raises
        ------
        ValueError
            Another word.
        """
        if finalise not in FINALISERS:
            raise ValueError(f"finalise is {finalise!r}: use None, 'posterior' or 'argmax'")
        if finalise is None or self.grid[-1] == 0:
            return self
        exit_kind = "probability" if finalise == "posterior" else "argmax"
        return replace(self, final=(Sites(bridge(self.process, float(self.grid[-1]), 0.0), exit_kind),))


def walk(
    name: str, process: Process, grid: ArrayLike, step: Callable[[float, float], Sequence[Move]]
) -> Kernel:
    """Build a kernel from the moves of one interval, given its two times."""
    times = grids.check(process, grid)
    pairs = zip(times[:-1].tolist(), times[1:].tolist(), strict=True)
    return Kernel(name, process, times, tuple(tuple(step(t, s)) for t, s in pairs))


@dataclass(frozen=True, eq=False)
class GuidedKernel(Kernel):
    """A kernel whose last tokens are settled by the same guide as its steps."""

    def aim(self, data: sequences.SequenceLaw) -> sequences.SequenceLaw:
        """Return the law tilted towards the label, p(x) p(label | x)^gamma normalised."""
        move = self.steps[0][0]
        assert isinstance(move, Guided)
        return labelled(data).tilted(move.label, move.gamma)

    def finalised(self, finalise: str | None) -> Kernel:
        """Return the kernel with the tokens settled at its end, as `Kernel.finalised` does, but guided."""
        plain, move = super().finalised(finalise), self.steps[-1][-1]
        final = tuple(
            replace(move, flow=last.flow, exit=last.exit)
            for last in plain.final
            if isinstance(last, Sites) and isinstance(move, Guided)
        )
        return replace(plain, final=final)


@dataclass(frozen=True, eq=False)
class RevealKernel(Kernel):
    """A kernel of `Reveal` moves, which cost nothing where they reveal nothing."""

    def end(self, length: int) -> float:
        """Time whose marginal the sampler ends at: that of the data if it reveals all sites, whatever the grid."""
        masked = length
        for (move,) in self.steps:
            assert isinstance(move, Reveal)
            masked = int(move.after(length)[masked])
        return 0.0 if masked == 0 else float(self.grid[-1])

    def evaluations(self, length: int) -> float:
        """Evaluations of the model (NFE) from sequences of that length with all sites masked."""
        masked, count = length, sum(move.evaluations(length) for move in self.final)
        for (move,) in self.steps:
            assert isinstance(move, Reveal)
            left = int(move.after(length)[masked])
            count += left < masked
            masked = left
        return count
