"""Every state of a short sequence at once: its evidence and its cavities at any time, by mode products."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar, cast

import numpy as np
import scipy
from numpy.typing import NDArray

from analytic import reprs, sequences

from ..flow import Array, Process, clock, noising, shown

Answer = TypeVar("Answer", bound=Callable[..., Any])
MOST_STATES = 1 << 17
FEW_STATES = 1 << 10
KEPT_NUMBERS = 1 << 22  # of each kind, 32 MB: laws of few states at every time of a ladder, of many at a few


class Tables:
    """The noised laws of short sequences over all S^L states, in C order, first site slowest.

    What it is asked, at a time or between two, it answers once and keeps, within `KEPT_NUMBERS`: all that ask about
    one process and one law do well to share one. Arrays it returns are its own, not to be written to.

    Parameters
    ----------
    process : SiteProcess
    data : SequenceLaw

    Raises
    ------
    ValueError
        More than 131072 states, or data of another vocabulary than the process.
    """

    __repr__ = reprs.brief

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
        sites, tokens = self.size * self.length, process.vocabulary
        self.evidence = _kept(self._evidence, self.size)
        self.possible = _kept(self._possible, self.size)
        self.cavities = _kept(self._cavities, sites * tokens)
        self.noising = _kept(self._noising, tokens * self.states)
        self.transition = _kept(self._transition, self.states**2)
        self.reverse_rows = _kept(self._reverse_rows, sites * self.states)
        self.joint = _kept(self._joint, self.size**2)
        self.total_correlation = _kept(self._total_correlation, 1)
        self.carried = _kept(self._carried, 2 * self.size)

    def _evidence(self, t: float) -> Array:
        """p_t of every state, (S^L,)."""
        return _through(self._pmf, self.noising(t), self.length).ravel()

    def _possible(self, t: float) -> NDArray[np.bool_]:
        """States at which the model is defined, (S^L,): those that some data could look like at t."""
        return np.asarray(_through(self._pmf, shown(self.process, t), self.length).ravel() > 0)

    def _cavities(self, t: float) -> Array:
        """Law of x_0 at each site given x_t at the others, (S^L, L, V); zero where the others are impossible."""
        told, length = shown(self.process, t), self.length
        out = np.empty((*(self.states,) * length, length, self.process.vocabulary))
        for site in range(length):
            others = [i for i in range(length) if i != site]
            table = _through(self._pmf.transpose(*others, site), told, length - 1)  # the site comes first now
            table = table.transpose(*range(1, length), 0)
            total = table.sum(axis=-1, keepdims=True)
            cavity = np.divide(table, total, out=np.zeros_like(table), where=total > 0)
            out[..., site, :] = np.expand_dims(cavity, site)
        return out.reshape(self.size, length, -1)

    def _noising(self, t: float) -> Array:
        """Law of a site's state at t for every token, (V, S)."""
        return noising(self.process, t)

    def _transition(self, s: float, t: float) -> Array:
        """Transition matrix of one site from s to a later t, (S, S)."""
        return self.process.transition(clock(self.process, s), clock(self.process, t))

    def _reverse_rows(self, t: float, s: float) -> Array:
        """Law of every site at s given all of x_t, (S^L, L, S); zero for impossible states."""
        start, back = self.noising(s), self.transition(s, t)
        weights = (self.cavities(t) @ start) * back.T[self.tokens]
        total = weights.sum(axis=2, keepdims=True)
        rows = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
        rows[self.evidence(t) == 0] = 0.0
        return rows

    def _joint(self, t: float, s: float) -> Array:
        """Joint law of x_t and x_s, (S^L, S^L)."""
        joint: Array = np.ones((1, 1))
        for _ in range(self.length):
            joint = np.asarray(np.kron(joint, self.transition(s, t).T), dtype=np.float64)
        return joint * self.evidence(s)

    def _total_correlation(self, t: float, s: float) -> float:
        """Expected total correlation of x_s given x_t, in nats: what a step pays for moving sites independently.

        The sum over sites of the entropy of x_s,i given x_t, less the joint entropy of x_s given x_t.
        """
        here, there = self.evidence(t), self.evidence(s)
        table = there.reshape((self.states,) * self.length)
        axes = range(self.length)
        singles = np.stack([table.sum(axis=tuple(j for j in axes if j != i)) for i in axes])
        joint = (
            scipy.special.entr(there).sum()
            - scipy.special.entr(here).sum()
            + (singles @ scipy.special.entr(self.transition(s, t)).sum(axis=1)).sum()
        )
        apart = (here[:, None] * scipy.special.entr(self.reverse_rows(t, s)).sum(axis=2)).sum()
        return float(apart - joint)

    def _carried(self, by: Callable[[Array, Tables], Array], weights: bytes) -> Array:
        """Weights (S^L,), given as bytes, carried by what is dear and compares equal where it does the same."""
        return by(np.frombuffer(weights).copy(), self)

    @property
    def threads(self) -> int | None:
        """Threads worth their meeting: one for few states, whose loops end before another thread has woken."""
        return 1 if self.size <= FEW_STATES else None

    def reverse(self, t: float, s: float, weights: Array) -> Array:
        """Carry weights (S^L,) over states at t to those at s by the exact, joint reverse kernel.

        The kernel is p_s(y) q_{t|s}(x | y)/p_t(x): the law of the time-reversed process itself.
        """
        here = self.evidence(t)
        ratio = np.divide(weights, here, out=np.zeros_like(here), where=here > 0)
        back = self.transition(s, t).T
        table = ratio.reshape((self.states,) * self.length)
        return self.evidence(s) * _through(table, back, self.length).ravel()

    def product(self, law: Array) -> Array:
        """Independent sites of one law, (S^L,)."""
        out = np.ones(1)
        for _ in range(self.length):
            out = np.multiply.outer(out, law).ravel()
        return out


def _kept(answer: Answer, numbers: int) -> Answer:
    """Return a function that keeps its last answers, of so many numbers each."""
    return cast(Answer, lru_cache(maxsize=max(2, KEPT_NUMBERS // numbers))(answer))


def _through(table: Array, matrix: Array, sites: int) -> Array:
    """Sum out the first axis with a matrix, whose other side becomes the last axis, for so many sites in turn."""
    for _ in range(sites):
        left = table.reshape(len(table), -1).T @ matrix
        table = left.reshape(*table.shape[1:], -1)
    return table


def check_pair(process: Process, data: Any) -> None:
    """Raise TypeError unless data is a law of sequences, ValueError unless the process speaks its vocabulary."""
    if not isinstance(data, sequences.SequenceLaw):
        raise TypeError(f"data is {data!r}: give a law of sequences, such as sequences.MarkovSequence")
    if data.vocabulary != process.vocabulary:
        raise ValueError(
            f"data has a vocabulary of {data.vocabulary} tokens and the kernel's noise {process!r} one of "
            f"{process.vocabulary}: build both for the same tokens"
        )
