"""Every state of a short sequence as a model of one's own sees it: exact laws of samplers that ask a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import sequences

from ..flow import Array, Process, shown
from .every_state import Tables

OFF = 1e-4  # that probabilities of a network in float32 may add up to other than 1


class NoModelError(ValueError):
    """A method asks the data for more than a model says."""


class AskedTables(Tables):
    """Tables whose cavities are those of a model; the law that is started from is the data's.

    A site's cavity is its posterior without what the site itself tells, p(x_0,i | x_t)/q_t(x_t,i | x_0,i), which leaves
    a token that is seen as it is.

    Parameters
    ----------
    process : SiteProcess
    data : SequenceLaw
    model : callable
        model(tokens, t) on (n, L) states returns the law of each token of x_0 given all of x_t, (n, L, V).

    Raises
    ------
    ValueError
        As `Tables`; what the model returns is no such law; a method that asks the data for more than cavities.
    """

    def __init__(
        self, process: Process, data: sequences.SequenceLaw, model: Callable[[NDArray[np.int64], float], Any]
    ) -> None:
        self._model = model
        super().__init__(process, data)

    @property
    def data(self) -> sequences.SequenceLaw:
        """Refuse: what asks it asks no model."""
        raise NoModelError("the method asks the target itself and no model: compare it without one")

    @data.setter
    def data(self, law: sequences.SequenceLaw) -> None:
        self._law = law

    def _possible(self, t: float) -> NDArray[np.bool_]:
        """Every state: a model answers at those too that no data could look like."""
        return np.ones(self.size, dtype=bool)

    def _cavities(self, t: float) -> Array:
        told = shown(self.process, t)
        answer = self._answer(t)
        own = told.T[self.tokens]
        cavity = np.divide(answer, own, out=np.zeros_like(answer), where=own > 0)
        total = cavity.sum(axis=2, keepdims=True)
        return np.divide(cavity, total, out=np.zeros_like(cavity), where=total > 0)

    def _answer(self, t: float) -> Array:
        answer = np.asarray(self._model(self.tokens.copy(), t), dtype=np.float64)
        wanted = (self.size, self.length, self.process.vocabulary)
        if answer.shape != wanted:
            raise ValueError(f"model returned {answer.shape} for {self.tokens.shape} tokens: give {wanted}")
        total = answer.sum(axis=2, keepdims=True)
        if not (np.all(answer >= 0) and np.all(np.abs(total - 1) < OFF)):
            raise ValueError(
                f"model returned no probabilities at t = {t:g}: give those of tokens, that add up to 1"
            )
        return np.asarray(answer / total)
