"""The model as samplers see it: exact cavities of a batch of noisy sequences."""

from __future__ import annotations

import sys
from typing import Any

import numba
import numpy as np
from numba import njit
from numpy.typing import NDArray

from analytic import sequences

from ...numerics.jit import COMPILED, in_parallel
from ..flow import Array, Process, shown
from .every_state import check_pair
from .messages_by_block import Likelihood, Transitions, cavities_by_messages, likelihood, transitions

MOST_SUMMED = 4096  # entries of a table that are summed directly; a larger one is left to the law itself


class Model:
    """Cavities of sequences under a process, at any time; compiled for chains, products and small tables.

    Attributes
    ----------
    process : SiteProcess
    data : SequenceLaw
    transitions : Transitions or None
        The data laid out for compiled code, where they are a MarkovSequence.
    """

    def __init__(self, process: Process, data: sequences.SequenceLaw) -> None:
        check_pair(process, data)
        self.process, self.data = process, data
        self.transitions: Transitions | None = (
            transitions(data) if isinstance(data, sequences.MarkovSequence) else None
        )
        self._table: Array | None = None
        if isinstance(data, sequences.Product):
            self._table = np.array(data.marginals)
        elif isinstance(data, sequences.Enumerated) and data.vocabulary**data.length <= MOST_SUMMED:
            self._table = np.array(data.pmf()).ravel()
        self._buffer = np.empty(0)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Length of sequences, and numbers of tokens and of states."""
        return self.data.length, self.process.vocabulary, self.process.states

    def likelihood(self, t: float) -> Likelihood:
        """Likelihood of every state for the tokens, as compiled code takes it."""
        return likelihood(shown(self.process, t))

    def cavities(self, t: float, tokens: NDArray[Any]) -> Array:
        """Law of x_0 at each site given x_t at the others, (n, L, V).

        Raises FloatingPointError where the target gives a row probability zero.
        """
        if self.transitions is None and self._table is None:
            return self._by_law(t, tokens)
        states = np.ascontiguousarray(tokens)
        out = self._room((*states.shape, self.data.vocabulary))
        if self.transitions is not None:
            parts = numba.get_num_threads()
            likely = self.likelihood(t)
            if sum(in_parallel(cavities_by_messages, parts, self.transitions, likely, states, parts, out)):
                return self._by_law(t, states)
            impossible = 0
        else:
            fill = _product_cavities if isinstance(self.data, sequences.Product) else _table_cavities
            seen = _scaled(shown(self.process, t))
            impossible = sum(in_parallel(fill, len(states), self._table, seen, states, out))
        if impossible:
            raise undefined(t, f"{impossible} such rows")
        return out

    def _by_law(self, t: float, tokens: NDArray[Any]) -> Array:
        try:
            return self.data.cavity(np.ascontiguousarray(shown(self.process, t).T)[tokens])
        except ValueError as error:
            raise undefined(t, str(error)) from error

    def _room(self, shape: tuple[int, ...]) -> Array:
        """Return an array to write to, the last one if nobody holds it: fresh pages cost as much as the sums."""
        size = int(np.prod(shape))
        # one reference is this object's, one is getrefcount's argument; a view that a caller keeps is a third
        if len(self._buffer) < size or sys.getrefcount(self._buffer) > 2:
            self._buffer = np.empty(size)
        return self._buffer[:size].reshape(shape)


def undefined(t: float, why: str) -> FloatingPointError:
    """Return the error of a model that is asked about a row of probability zero."""
    return FloatingPointError(
        f"a sample has probability 0 at t = {t:g}, where the model is undefined: give a target without zeros, "
        f"or take more steps ({why})"
    )


def _scaled(noising: Array) -> Array:
    """Likelihood of every state, (S, V), each row scaled to a largest entry of one."""
    largest = noising.max(axis=0)
    return np.ascontiguousarray((noising / np.where(largest > 0, largest, 1.0)).T)


@njit(**COMPILED)
def _product_cavities(begin: int, end: int, table: Any, seen: Any, tokens: Any, out: Any) -> int:
    """Fill rows begin .. end - 1 of out (n, L, V) with the laws (L, V) of independent tokens.

    Returns the number of impossible rows.
    """
    L, V = table.shape
    impossible = 0
    for r in range(begin, end):
        possible = True
        for i in range(L):
            evidence = 0.0
            for v in range(V):
                out[r, i, v] = table[i, v]
                evidence += table[i, v] * seen[tokens[r, i], v]
            possible = possible and evidence > 0.0
        if not possible:
            impossible += 1
    return impossible


@njit(**COMPILED)
def _leave_one_out(table: Any, seen: Any, states: Any, head: Any, tail: Any, out: Any) -> bool:
    """Fill out (L, V) with the cavities of one row under a law (V^L,); False if the row is impossible.

    `head` and `tail` (V^L,) are scratch: what is left of the table with the sites before, and after, summed out.
    """
    L, V = out.shape
    size = table.shape[0]
    head[:] = table
    possible = True
    for i in range(L):
        count = size
        tail[:size] = head[:size]
        for j in range(L - 1, i, -1):
            count //= V
            for k in range(count):
                value = 0.0
                for v in range(V):
                    value += tail[k * V + v] * seen[states[j], v]
                tail[k] = value
        total, evidence = 0.0, 0.0
        for v in range(V):
            total += tail[v]
            evidence += tail[v] * seen[states[i], v]
        possible = possible and evidence > 0.0
        for v in range(V):
            out[i, v] = tail[v] / total
        size //= V
        for k in range(size):
            value = 0.0
            for v in range(V):
                value += head[v * size + k] * seen[states[i], v]
            head[k] = value
    return possible


@njit(**COMPILED)
def _table_cavities(begin: int, end: int, table: Any, seen: Any, tokens: Any, out: Any) -> int:
    """Fill rows begin .. end - 1 of out (n, L, V) with cavities under a law (V^L,).

    Returns the number of impossible rows.
    """
    head, tail = np.empty(table.shape[0]), np.empty(table.shape[0])
    impossible = 0
    for r in range(begin, end):
        if not _leave_one_out(table, seen, tokens[r], head, tail, out[r]):
            impossible += 1
    return impossible
