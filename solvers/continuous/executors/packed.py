"""A tableau padded to rectangular arrays, for the compiled executors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..tableau import Tableau

Array = NDArray[np.float64]


class Packed(NamedTuple):
    """All steps of a tableau with zeros where a step has fewer stages, channels or registers.

    Shapes: U (N, S, R), A (N, S, S), G (N, S, C), V (N, R, R), B (N, R, S), H (N, R, C), levels (N, S, 2),
    asks (N, S, 2) weights of denoiser and score, counts (N, 4): stages, channels, registers in and out,
    first_channel (N,): index of a step's first channel in tableau order.
    """

    U: Array
    A: Array
    G: Array
    V: Array
    B: Array
    H: Array
    levels: Array
    asks: Array
    counts: NDArray[np.int64]
    first_channel: NDArray[np.int64]


def pack(tableau: Tableau) -> Packed:
    """Pad a tableau."""
    blocks = tableau.blocks
    n = len(tableau)
    S = max(block.stages for block in blocks)
    C = max(len(block.functionals) for block in blocks)
    R = max(max(block.registers_in, block.registers_out) for block in blocks)
    packed = Packed(
        U=np.zeros((n, S, R)),
        A=np.zeros((n, S, S)),
        G=np.zeros((n, S, C)),
        V=np.zeros((n, R, R)),
        B=np.zeros((n, R, S)),
        H=np.zeros((n, R, C)),
        levels=np.ones((n, S, 2)),
        asks=np.zeros((n, S, 2)),
        counts=np.zeros((n, 4), dtype=np.int64),
        first_channel=np.zeros(n, dtype=np.int64),
    )
    first = 0
    for block in blocks:
        rows = slice(first, first + len(block))
        for name in ("U", "A", "G", "V", "B", "H"):
            part = getattr(block, name)
            getattr(packed, name)[rows, : part.shape[1], : part.shape[2]] = part
        packed.levels[rows, : block.stages] = block.levels
        packed.asks[rows, : block.stages] = block.asks
        packed.counts[rows] = (block.stages, len(block.functionals), block.registers_in, block.registers_out)
        first += len(block)
    packed.first_channel[1:] = np.cumsum(packed.counts[:-1, 1])
    return packed
