"""Whole trajectories of tokens in compiled code, for Markov chains under mixture noise.

A block of sequences goes through all moves while its messages stay in the cache, and cavities are never stored.
A site's uniform number is drawn first; only where it reaches the most that can leave the present state is the
site's law formed, by the functions of `site` at the same addresses. So samples are those of the moves' own
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
from ...numerics.philox import fill_words
from ..model.cavities import Model
from ..model.messages_by_block import (
    LANES,
    WEAK,
    Likelihood,
    Transitions,
    absorb,
    overlap,
    predict,
    take_cavity,
    transmit,
)
from ..moves.move import Move
from ..moves.site import ARGMAX, PROBABILITY
from ..moves.sites import Sites
from .packed_moves import ROWS, SLACK, Packed, coefficients, outflow, pack, step_site, unit
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
    side: Any,
    before: Any,
    words: Any,
    cavity: Any,
    row: Any,
) -> Any:
    """Carry states (L, LANES) through move m; return the numbers of impossible rows and of laws that are none."""
    L, V = states.shape[0], cavity.shape[0]
    k = coefficients(packed, m)
    seen = Likelihood(packed.flat[m], packed.peak[m], packed.add[:0])
    rest, exit_kind, h = packed.rest[m], packed.exit_kind[m], packed.h[m]
    factor = 1.0 if exit_kind == PROBABILITY else h
    predict(model, seen, states, predicted, work, side)
    impossible, bad = 0, 0
    for lane in range(live):
        if not side[1, lane] > 0.0:
            impossible += 1
    if impossible > 0:
        return impossible, bad
    total = side[1]
    expected[:] = 1.0
    side[0] = 1.0
    for i in range(L - 1, -1, -1):
        if i % 2 == 1 or i == L - 1:
            fill_words(seed, first, m, 0, i // 2, words)
        overlap(predicted[i], expected, total)
        for lane in range(LANES):
            if not total[lane] > WEAK and lane < live:
                impossible += 1
            x, u = states[i, lane], unit(words[i % 2, lane])
            before[lane] = x
            at_x = predicted[i, x * LANES + lane] * expected[x * LANES + lane] / total[lane] if x < V else 0.0
            leave = factor * outflow(k, rest, x, at_x, 1.0 - at_x)
            if exit_kind != ARGMAX and u < 1.0 - leave - SLACK:
                continue
            take_cavity(predicted[i], expected, lane, total[lane], cavity)
            states[i, lane], wrong = step_site(k, exit_kind, h, x, u, cavity, row)
            bad += wrong if lane < live else 0
        if i > 0:
            absorb(seen, before, expected, side, work)
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
        side, states, before = np.empty((3, LANES)), np.empty((L, LANES), np.int64), np.empty(LANES, np.int64)
        words, cavity, row = np.empty((2, LANES), np.uint64), np.empty(V), np.empty(S)
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
                    side,
                    before,
                    words,
                    cavity,
                    row,
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
                raise self.moves[move].impossible(f"{impossible} such sites in a block")
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
