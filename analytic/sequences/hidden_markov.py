"""Hidden Markov models over tokens."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike

from ..mixtures.parameters import Floats
from . import checks
from .chain import MatrixChain, Tokens
from .markov import read_chain
from .weights import draw


class HiddenMarkov(MatrixChain):
    """Tokens emitted by a hidden Markov chain: x_i has law emission[state_i].

    Parameters
    ----------
    initial : (states,) array_like
        Law of the first hidden state.
    transition : (states, states) array_like, or (length - 1, states, states)
        Rows are laws of the next state.
    emission : (states, vocabulary) array_like
        Rows are laws of the token.
    length : int

    Attributes
    ----------
    initial, transition, emission : read-only float64 arrays

    Raises
    ------
    TypeError, ValueError
        If a law does not sum to one within 1e-12 or has a negative entry, or shapes do not agree.
    """

    def __init__(self, initial: ArrayLike, transition: ArrayLike, emission: ArrayLike, length: int) -> None:
        start, matrices, length = read_chain(initial, transition, length)
        self.emission = checks.probabilities(emission, "emission", ((len(start), "vocabulary"),))
        super().__init__(self.emission.shape[1], length, start, matrices)
        self.initial = start
        self._uniforms = 2 * length

    def _absorb(self, likelihood: Floats) -> Floats:
        return likelihood[:, 0] @ self.emission.T

    def _emit(self, weights: Floats, likelihood: Floats) -> Floats:
        return (weights @ self.emission)[:, None]

    def _tokens(self, states: Tokens, likelihood: Floats | None, uniforms: Floats) -> Tokens:
        tokens = np.empty(states.shape, dtype=np.int64)
        for site in range(self.length):
            weights = self.emission[states[:, site]]
            if likelihood is not None:
                weights = weights * likelihood[:, site]
            tokens[:, site] = draw(weights, uniforms[:, site])
        return tokens

    def entropy(self) -> float:
        """Entropy in nats of the tokens, which has no closed form: the sum over all sequences.

        Raises
        ------
        ValueError
            If there are more than 2 million sequences; average -log_probability(sample(n)) then.
        """
        if self.vocabulary**self.length > checks.MOST_STATES:
            raise ValueError(
                f"vocabulary**length is {self.vocabulary}**{self.length}: the entropy of a hidden Markov model "
                f"is a sum over all sequences, taken up to {checks.MOST_STATES} of them; "
                "average -log_probability(sample(n)) instead"
            )
        return float(scipy.special.entr(self.pmf()).sum())

    def _ngram(self, order: int) -> Floats:
        total = np.zeros((self.vocabulary,) * order)
        for start, step in self._starts(order):
            table = start[None]
            for later in range(step, step + order - 1):
                table = (table[:, None] * self.emission.T).reshape(-1, self._states) @ self._matrix(later)
            total += (table @ self.emission).reshape(total.shape)
        return total
