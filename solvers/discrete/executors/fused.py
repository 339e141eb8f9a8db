"""Whole trajectories of tokens in compiled code, for Markov chains under mixture noise.

A block of sequences goes through all moves while its messages stay in the cache, and cavities are never stored.
Laws of sites are those of `site`, and uniform numbers have the same addresses. So samples are those of the moves' own
`draw`, but for comparisons that rounding decides.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import njit
from numpy.typing import NDArray

from analytic import chains, sequences

from ...numerics.jit import COMPILED, in_parallel
from ..model.cavities import Model
from ..model.messages_by_block import LANES, Likelihood, Transitions, absorb, predict, transmit
from ..moves.move import Move
from ..moves.site import REJECT
from ..moves.sites import Sites
from .draw_block import draw_block, one_by_one
from .packed_moves import ROWS, Packed, fill_units, pack
from .through_neighbours import neighbours, through_neighbours


@njit(**COMPILED)
def _by_messages(
    packed: Packed,
    m: int,
    model: Transitions,
    states: Any,
    live: int,
    seed: Any,
    first: int,
    predicted: Any,
    expected: Any,
    work: Any,
    scale: Any,
    before: Any,
    units: Any,
    scratch: Any,
) -> Any:
    """Carry states (L, LANES) through move m; return the numbers of impossible rows and of laws that are none."""
    L = states.shape[0]
    seen = Likelihood(packed.flat[m], packed.peak[m], packed.add[:0])
    at_once = packed.exit_kind[m] <= REJECT
    predict(model, seen, states, predicted, work, scale)
    impossible, bad = 0, 0
    for lane in range(live):
        if not scale[lane] > 0.0:
            impossible += 1
    if impossible > 0:
        return impossible, bad
    expected[:] = 1.0
    scale[:] = 1.0
    for i in range(L - 1, -1, -1):
        if i % 2 == 1 or i == L - 1:
            fill_units(seed, first, m, i // 2, units)
        before[:] = states[i]
        if at_once:
            weak, wrong = draw_block(
                packed, m, predicted[i], expected, before, units[i % 2], states[i], scratch
            )
        else:
            weak, wrong = one_by_one(
                packed, m, predicted[i], expected, before, units[i % 2], states[i], scratch
            )
        impossible += weak
        bad += wrong
        if i > 0:
            absorb(seen, before, expected, scale, work)
            transmit(model.retreat[i - 1 if model.retreat.shape[0] > 1 else 0], work, expected)
    return impossible, bad


@njit(**COMPILED)
def through_messages(
    begin: int,
    end: int,
    packed: Packed,
    model: Transitions,
    tokens: Any,
    parts: int,
    seed: Any,
    first: int,
    failed: Any,
) -> None:
    """Carry parts begin .. end - 1 of tokens (n, L) through all moves.

    `failed` (parts, 3) gets the last move and its two numbers of failures.
    """
    n, L = tokens.shape
    V, S = model.start.shape[0], packed.add.shape[1]
    for part in range(begin, end):
        predicted, work, expected = np.empty((L, V * LANES)), np.empty(V * LANES), np.empty(V * LANES)
        scale, states, before = np.empty(LANES), np.empty((L, LANES), np.int64), np.empty(LANES, np.int64)
        units, scratch = np.empty((2, LANES)), np.empty(S + V)
        for block in range(part, (n + LANES - 1) // LANES, parts):
            start = block * LANES
            live = min(LANES, n - start)
            for lane in range(LANES):
                for i in range(L):
                    states[i, lane] = tokens[start + min(lane, live - 1), i]
            for m in range(packed.keep.shape[0]):
                if failed[part, 1] > 0 or failed[part, 2] > 0:
                    break
                failed[part, 0] = m
                failed[part, 1], failed[part, 2] = _by_messages(
                    packed,
                    m,
                    model,
                    states,
                    live,
                    seed,
                    first + start,
                    predicted,
                    expected,
                    work,
                    scale,
                    before,
                    units,
                    scratch,
                )
            for lane in range(live):
                for i in range(L):
                    tokens[start + lane, i] = states[i, lane]


class Trajectories:
    """All moves of a kernel on one model, run in one compiled loop.

    Parameters
    ----------
    moves : sequence of Sites
        See `trajectories`.
    model : Model
        Of a MarkovSequence.

    Attributes
    ----------
    near : Neighbours or None
        What replaces messages where tokens are either masked or known.
    """

    def __init__(self, moves: tuple[Sites, ...], model: Model) -> None:
        self.moves, self.model = moves, model
        self.packed = pack(moves, model)
        data = model.data
        self.near = neighbours(data) if isinstance(data, sequences.MarkovSequence) and self._known() else None

    def _known(self) -> bool:
        """Return True if a token that is no mask is certain."""
        process = self.model.process
        return process.mask is not None and not self.packed.add[:, : process.vocabulary].any()

    def draw(self, tokens: NDArray[np.int64], seed: Any, first: int) -> None:
        """Carry tokens (n, L) through all moves in place. Raises FloatingPointError as the moves' own `draw`."""
        parts = numba.get_num_threads()
        failed = np.zeros((parts, 3), dtype=np.int64)
        if self.near is not None:
            in_parallel(through_neighbours, parts, self.packed, self.near, tokens, parts, seed, first, failed)
        else:
            model = self.model.transitions
            in_parallel(through_messages, parts, self.packed, model, tokens, parts, seed, first, failed)
        if failed[:, 1:].any():
            move, impossible, bad = failed[failed[:, 1:].any(axis=1)][0]
            if impossible:
                raise self.moves[move].impossible(f"in {impossible} places of a block")
            raise self.moves[move].no_law(bad)


def trajectories(moves: tuple[Move, ...], model: Model) -> Trajectories | None:
    """Return the moves as one compiled loop, or None where some move has to draw by itself.

    They can be run if the data are a MarkovSequence and all moves are `Sites` with flows of mixture noise without
    minus signs.
    """
    if model.transitions is None or not isinstance(model.process, chains.Mixture):
        return None
    sites: list[Sites] = []
    for move in moves:
        if type(move) is not Sites or move.flow.dense or move.flow.process != model.process:
            return None
        k = move.flow.coefficients
        if min(k.own, k.direct, *(getattr(k, name).min() for name in ROWS)) < 0:
            return None
        sites.append(move)
    return Trajectories(tuple(sites), model) if sites else None
