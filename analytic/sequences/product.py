"""Independent tokens."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from ..mixtures.parameters import Floats
from . import checks
from .law import SequenceLaw
from .weights import draw, multiply


class Product(SequenceLaw):
    """Independent tokens, each with a law of its own; the cavity is the prior.

    Parameters
    ----------
    pmf : (length, vocabulary) array_like
        Rows sum to one within 1e-12.

    Raises
    ------
    TypeError, ValueError
        If pmf is no such array.
    """

    def __init__(self, pmf: ArrayLike) -> None:
        self._table = checks.probabilities(pmf, "pmf", (("length", "vocabulary"),))
        super().__init__(self._table.shape[1], self._table.shape[0])
        self._uniforms = self.length
        self._floats = 2 * self._table.size

    def _pass(self, likelihood: Floats, cavity: bool) -> tuple[Floats | None, Floats]:
        _, log_total = multiply(self._table, likelihood)
        return np.broadcast_to(self._table, likelihood.shape) if cavity else None, log_total.sum(axis=1)

    def _draw(self, uniforms: Floats) -> NDArray[np.int64]:
        columns = [
            draw(np.broadcast_to(law, (len(uniforms), self.vocabulary)), column)
            for law, column in zip(self._table, uniforms.T, strict=True)
        ]
        return np.stack(columns, axis=1)

    def _draw_posterior(self, likelihood: Floats, uniforms: Floats) -> tuple[NDArray[np.int64], Floats]:
        laws, log_total = multiply(self._table, likelihood)
        columns = [draw(laws[:, site], uniforms[:, site]) for site in range(self.length)]
        return np.stack(columns, axis=1), log_total.sum(axis=1)

    def _log_probability(self, tokens: NDArray[np.int64]) -> Floats:
        with np.errstate(divide="ignore"):
            return np.log(self._table)[np.arange(self.length), tokens].sum(axis=1)

    def entropy(self) -> float:
        """Entropy in nats; a draw has expected log-probability -entropy()."""
        return float(scipy.special.entr(self._table).sum())

    def _ngram(self, order: int) -> Floats:
        starts = self.length - order + 1
        total = np.zeros((self.vocabulary,) * order)
        for start in range(starts):
            table = self._table[start]
            for law in self._table[start + 1 : start + order]:
                table = table[..., None] * law
            total += table
        return total / starts
