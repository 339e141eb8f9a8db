"""A sampler of tokens on a grid: its moves, interval by interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from numpy.typing import ArrayLike

from analytic import reprs, sequences

from .. import grids
from .flow import Array, Process, bridge
from .moves.move import Move
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

    __repr__ = reprs.brief

    def evaluations(self, length: int) -> float:
        """Evaluations of the model (NFE) on sequences of that length, expected where they are random.

        Where moves count masks, from all sites masked.
        """
        masked, count = length, 0.0
        for move in self.moves:
            left = move.stay(masked, length)
            if left is None:
                count += move.evaluations(length)
            elif left < masked:
                count, masked = count + move.evaluations(length), left
        return count

    @property
    def moves(self) -> tuple[Move, ...]:
        """All moves in order."""
        return (*(move for step in self.steps for move in step), *self.final)

    def end(self, length: int) -> float:
        """Time whose marginal the sampler ends at, on sequences of that length: that of the last node.

        That of the data, whatever the grid, if moves that count masks reveal all sites.
        """
        masked: int | None = length
        for move in (move for step in self.steps for move in step):
            masked = None if masked is None else move.stay(masked, length)
        return 0.0 if masked == 0 else float(self.grid[-1])

    def aim(self, data: sequences.SequenceLaw) -> sequences.SequenceLaw:
        """Return the law that the sampler is meant to sample: the data, unless it is guided away from it."""
        return self.moves[0].aim(data) if self.moves else data

    def finalised(self, finalise: str | None) -> Kernel:
        """Return the kernel with the tokens settled at its end.

        Parameters
        ----------
        finalise : None, "posterior" or "argmax"
            Leave the tokens at the grid's end as they are; draw each from its posterior law; take its most
            probable value. Sites are settled independently, by one more evaluation, and guided as the steps are.

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
        plain = Sites(bridge(self.process, float(self.grid[-1]), 0.0), exit_kind)
        first, *_ = (*self.steps[-1], plain)  # a step's first move is its own, correctors come after it
        return replace(self, final=(first.settling(plain),))


def walk(
    name: str, process: Process, grid: ArrayLike, step: Callable[[float, float], Sequence[Move]]
) -> Kernel:
    """Build a kernel from the moves of one interval, given its two times."""
    times = grids.check(process, grid)
    pairs = zip(times[:-1].tolist(), times[1:].tolist(), strict=True)
    return Kernel(name, process, times, tuple(tuple(step(t, s)) for t, s in pairs))
