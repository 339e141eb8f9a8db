"""Every state of a short sequence at once: its evidence and its cavities at any time, by mode products."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import sequences

from ..flow import Array, Process, clock, noising, shown

MOST_STATES = 1 << 17
FEW_STATES = 1 << 10


class Tables:
    """The noised laws of short sequences over all S^L states, in C order, first site slowest.

    Parameters
    ----------
    process : SiteProcess
    data : SequenceLaw

    Raises
    ------
    ValueError
        More than 131072 states, or data of another vocabulary than the process.
    """

    def __init__(self, process: Process, data: sequences.SequenceLaw) -> None:
        check_pair(process, data)
        self.process, self.data = process, data
        self.length, self.states = data.length, process.states
        self.size = self.states**self.length
        if self.size > MOST_STATES:
            raise ValueError(
                f"data has {self.states}^{self.length} = {self.size} states, more than {MOST_STATES}: shorten the "
                "sequences for law, or draw samples"
            )
        shape = (self.states,) * self.length
        self.tokens: NDArray[np.int64] = np.stack(np.unravel_index(np.arange(self.size), shape), axis=1)
        self._pmf = np.asarray(data.pmf())
        self.evidence = lru_cache(maxsize=4)(self._evidence)
        self.cavities = lru_cache(maxsize=2)(self._cavities)
        self.possible = lru_cache(maxsize=2)(self._possible)

    def _evidence(self, t: float) -> Array:
        """p_t of every state, (S^L,)."""
        return _noised(self._pmf, self.noising(t), range(self.length)).ravel()

    def _possible(self, t: float) -> NDArray[np.bool_]:
        """States at which the model is defined, (S^L,): those that some data could look like at t."""
        return np.asarray(_noised(self._pmf, shown(self.process, t), range(self.length)).ravel() > 0)

    def _cavities(self, t: float) -> Array:
        """Law of x_0 at each site given x_t at the others, (S^L, L, V); zero where the others are impossible."""
        told, length = shown(self.process, t), self.length
        out = np.empty((*(self.states,) * length, length, self.process.vocabulary))
        for site in range(length):
            table = np.moveaxis(_noised(self._pmf, told, [i for i in range(length) if i != site]), site, -1)
            total = table.sum(axis=-1, keepdims=True)
            cavity = np.divide(table, total, out=np.zeros_like(table), where=total > 0)
            out[..., site, :] = np.expand_dims(cavity, site)
        return out.reshape(self.size, length, -1)

    @property
    def threads(self) -> int | None:
        """Threads worth their meeting: one for few states, whose loops end before another thread has woken."""
        return 1 if self.size <= FEW_STATES else None

    def transition(self, s: float, t: float) -> Array:
        """Transition matrix of one site from s to a later t, (S, S)."""
        return self.process.transition(clock(self.process, s), clock(self.process, t))

    def noising(self, t: float) -> Array:
        """Law of a site's state at t for every token, (V, S)."""
        return noising(self.process, t)

    def reverse(self, t: float, s: float, weights: Array) -> Array:
        """Carry weights (S^L,) over states at t to those at s by the exact, joint reverse kernel.

        The kernel is p_s(y) q_{t|s}(x | y)/p_t(x): the law of the time-reversed process itself.
        """
        here = self.evidence(t)
        ratio = np.divide(weights, here, out=np.zeros_like(here), where=here > 0)
        back = self.transition(s, t).T
        table = ratio.reshape((self.states,) * self.length)
        return self.evidence(s) * _noised(table, back, range(self.length)).ravel()

    def product(self, law: Array) -> Array:
        """Independent sites of one law, (S^L,)."""
        out = np.ones(1)
        for _ in range(self.length):
            out = np.multiply.outer(out, law).ravel()
        return out


def _noised(table: Array, matrix: Array, sites: Any) -> Array:
    for site in sites:
        table = np.moveaxis(np.tensordot(table, matrix, axes=(site, 0)), -1, site)
    return np.ascontiguousarray(table)


def check_pair(process: Process, data: Any) -> None:
    """Raise TypeError unless data is a law of sequences, ValueError unless the process speaks its vocabulary."""
    if not isinstance(data, sequences.SequenceLaw):
        raise TypeError(f"data is {data!r}: give a law of sequences, such as sequences.MarkovSequence")
    if data.vocabulary != process.vocabulary:
        raise ValueError(
            f"data has a vocabulary of {data.vocabulary} tokens and the kernel's noise {process!r} one of "
            f"{process.vocabulary}: build both for the same tokens"
        )
