"""Any law over short sequences, as a table."""

from __future__ import annotations

import math

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from ..mixtures.parameters import Floats, frozen, real_array
from . import checks
from .law import SequenceLaw
from .weights import draw, leave_one_out, log_contract, multiply, outer


class Enumerated(SequenceLaw):
    """Any law over {0, ..., vocabulary - 1}**length, given by the probability of every sequence.

    Parameters
    ----------
    pmf : (vocabulary,) * length array_like
        At least one axis, all of the same length; sums to one within 1e-12; at most 2 million entries.

    Raises
    ------
    TypeError, ValueError
        If pmf is no such array.
    """

    def __init__(self, pmf: ArrayLike) -> None:
        table = real_array(pmf, "pmf")
        if table.ndim == 0 or table.size == 0 or len(set(table.shape)) != 1:
            raise ValueError(
                f"pmf has shape {table.shape}; give shape (vocabulary,) * length: one axis per site, all alike"
            )
        if table.size > checks.MOST_STATES:
            raise ValueError(
                f"pmf has {table.size} entries, more than {checks.MOST_STATES}; "
                "give shorter sequences, or a law that factorises (MarkovSequence, Tree)"
            )
        if (table < 0.0).any():
            index = tuple(int(i) for i in np.argwhere(table < 0.0)[0])
            raise ValueError(f"pmf{list(index)} is {table[index]!r}; probabilities must be >= 0")
        total = math.fsum(table.ravel())
        if abs(total - 1.0) > checks.SUM_TOLERANCE:
            raise ValueError(
                f"pmf sums to {total!r}, not 1 (within {checks.SUM_TOLERANCE}); pass pmf / pmf.sum()"
            )
        super().__init__(table.shape[0], table.ndim)
        self._table = frozen(table)
        self._uniforms = 1
        self._floats = 2 * table.size

    def pmf(self) -> Floats:
        """Probability of every sequence, shape (vocabulary,) * length, read-only."""
        return self._table

    def _pass(self, likelihood: Floats, cavity: bool) -> tuple[Floats | None, Floats]:
        table = self._table.reshape(1, -1)
        return leave_one_out(table, likelihood) if cavity else None, log_contract(table, likelihood)

    def _unravel(self, states: NDArray[np.intp]) -> NDArray[np.int64]:
        return np.stack(np.unravel_index(states, self._table.shape), axis=1).astype(np.int64)

    def _draw(self, uniforms: Floats) -> NDArray[np.int64]:
        cumulative = np.cumsum(self._table)
        return self._unravel(np.searchsorted(cumulative, uniforms[:, 0] * cumulative[-1], side="right"))

    def _draw_posterior(self, likelihood: Floats, uniforms: Floats) -> tuple[NDArray[np.int64], Floats]:
        joint, log_evidence = multiply(self._table.reshape(1, -1), outer(likelihood))
        return self._unravel(draw(joint, uniforms[:, 0])), log_evidence

    def _log_probability(self, tokens: NDArray[np.int64]) -> Floats:
        with np.errstate(divide="ignore"):
            return np.log(self._table[tuple(tokens.T)])

    def entropy(self) -> float:
        """Entropy in nats; a draw has expected log-probability -entropy()."""
        return float(scipy.special.entr(self._table).sum())

    def _ngram(self, order: int) -> Floats:
        starts = self.length - order + 1
        total = np.zeros((self.vocabulary,) * order)
        for start in range(starts):
            others = tuple(site for site in range(self.length) if not start <= site < start + order)
            total += self._table.sum(axis=others)
        return total / starts
