"""Evaluations of the model that a sampler by events really makes, counted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytic import reprs, sequences

from ..flow import Array
from ..kernel import Kernel
from ..model.cavities import Model
from ..model.every_state import Tables
from ..moves.move import Move, Stream, Tokens
from .law_and_sample import sample


@dataclass(frozen=True)
class _Counted(Move):
    """A move that adds up its evaluations, sample by sample."""

    move: Move
    counts: NDArray[np.int64]
    first: int

    __repr__ = reprs.brief

    def push(self, weights: Array, tables: Tables) -> Array:
        return self.move.push(weights, tables)

    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        begin = stream.first - self.first
        part = self.counts[begin : begin + len(tokens)]
        part += self.move.count(tokens, model, stream)


def evaluations(
    kernel: Kernel,
    data: sequences.SequenceLaw,
    n: int,
    seed: int = 0,
    initial: str | ArrayLike = "marginal",
    *,
    first: int = 0,
    threads: int | None = None,
) -> NDArray[np.int64]:
    """Evaluations of the model (NFE) that each sample takes, (n,), those of `sample` with the same arguments.

    Raises what `sample` does.
    """
    counts = np.zeros(n, dtype=np.int64)
    steps = tuple(tuple(_Counted(move, counts, first) for move in step) for step in kernel.steps)
    final = tuple(_Counted(move, counts, first) for move in kernel.final)
    sample(replace(kernel, steps=steps, final=final), data, n, seed, initial, first=first, threads=threads)
    return counts
