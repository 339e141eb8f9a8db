"""Markov chains of order two over tokens."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike

from ..mixtures.parameters import Floats, whole_number
from . import checks
from .chain import Chain, Tokens
from .weights import draw


class SecondOrderMarkov(Chain):
    """Chain in which a token depends on the two before it.

    p(x) = initial[x_0] second[x_0, x_1] prod_i transition[x_i, x_i+1, x_i+2]. Inside, the state is the pair
    of the last two tokens; a pass costs O(n length vocabulary^3).

    Parameters
    ----------
    initial : (vocabulary,) array_like
        Law of the first token.
    second : (vocabulary, vocabulary) array_like
        Rows are laws of the second token given the first.
    transition : (vocabulary, vocabulary, vocabulary) array_like
        transition[a, b] is the law of the token after a, b.
    length : int
        At least 2.

    Attributes
    ----------
    initial, second, transition : read-only float64 arrays

    Raises
    ------
    TypeError, ValueError
        If a law does not sum to one within 1e-12 or has a negative entry, or shapes do not agree.
    """

    def __init__(self, initial: ArrayLike, second: ArrayLike, transition: ArrayLike, length: int) -> None:
        length = whole_number(length, "length", least=2)
        self.initial = checks.probabilities(initial, "initial", (("vocabulary",),))
        size = len(self.initial)
        self.second = checks.probabilities(second, "second", ((size, size),))
        self.transition = checks.probabilities(transition, "transition", ((size, size, size),))
        # The first token has no predecessor: its pair takes the token 0 for one.
        start = np.zeros((size, size))
        start[0] = self.initial
        super().__init__(size, length, size**2, start.ravel())
        # By middle token: [b, a, c] to move forward, [b, c, a] to move back, contiguous for the products.
        self._forward = np.ascontiguousarray(self.transition.transpose(1, 0, 2))
        self._backward = np.ascontiguousarray(self.transition.transpose(1, 2, 0))

    def _pairs(self, weights: Floats) -> Floats:
        return weights.reshape(len(weights), self.vocabulary, self.vocabulary)

    def _advance(self, step: int, weights: Floats) -> Floats:
        pairs = self._pairs(weights)
        if step == 0:
            return (pairs.sum(axis=1)[:, :, None] * self.second).reshape(len(weights), -1)
        moved = pairs.transpose(2, 0, 1) @ self._forward
        return moved.transpose(1, 0, 2).reshape(len(weights), -1)

    def _retreat(self, step: int, values: Floats) -> Floats:
        pairs = self._pairs(values)
        if step == 0:
            return np.tile((pairs * self.second).sum(axis=2), (1, self.vocabulary))
        moved = pairs.transpose(1, 0, 2) @ self._backward
        return moved.transpose(1, 2, 0).reshape(len(values), -1)

    def _columns(self, step: int, states: Tokens) -> Floats:
        if step == 0:
            return super()._columns(step, states)
        middle, last = np.divmod(states, self.vocabulary)
        result = np.zeros((len(states), self.vocabulary, self.vocabulary))
        result[np.arange(len(states)), :, middle] = self._backward[middle, last]
        return result.reshape(len(states), -1)

    def _absorb(self, likelihood: Floats) -> Floats:
        return np.tile(likelihood[:, 0], (1, self.vocabulary))

    def _emit(self, weights: Floats, likelihood: Floats) -> Floats:
        return self._pairs(weights).sum(axis=1)[:, None]

    def _tokens(self, states: Tokens, likelihood: Floats | None, uniforms: Floats) -> Tokens:
        return states % self.vocabulary

    def _draw(self, uniforms: Floats) -> Tokens:
        tokens = np.empty(uniforms.shape, dtype=np.int64)
        tokens[:, 0] = draw(np.broadcast_to(self.initial, (len(tokens), self.vocabulary)), uniforms[:, 0])
        tokens[:, 1] = draw(self.second[tokens[:, 0]], uniforms[:, 1])
        for site in range(2, self.length):
            weights = self.transition[tokens[:, site - 2], tokens[:, site - 1]]
            tokens[:, site] = draw(weights, uniforms[:, site])
        return tokens

    def _log_probability(self, tokens: Tokens) -> Floats:
        with np.errstate(divide="ignore"):
            first, second, later = np.log(self.initial), np.log(self.second), np.log(self.transition)
        steps = later[tokens[:, :-2], tokens[:, 1:-1], tokens[:, 2:]]
        return first[tokens[:, 0]] + second[tokens[:, 0], tokens[:, 1]] + steps.sum(axis=1)

    def _pair_laws(self) -> Floats:
        """Law of each two consecutive tokens, (length - 1, vocabulary, vocabulary)."""
        return self._state_marginals()[1:].reshape(-1, self.vocabulary, self.vocabulary)

    def entropy(self) -> float:
        """Entropy in nats, by the chain rule; a draw has expected log-probability -entropy()."""
        head = scipy.special.entr(self.initial).sum() + self.initial @ scipy.special.entr(self.second).sum(
            axis=1
        )
        return float(head + (self._pair_laws()[:-1] * scipy.special.entr(self.transition).sum(axis=2)).sum())

    def _ngram(self, order: int) -> Floats:
        if order == 1:
            return self.marginals.mean(axis=0)
        table = self._pair_laws()[: self.length - order + 1].mean(axis=0)
        for _ in range(order - 2):
            table = table[..., None] * self.transition
        return table
