"""Markov chains over tokens, the exact target for long sequences."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from ..mixtures.parameters import Floats, whole_number
from . import checks
from .chain import MatrixChain, Tokens
from .posterior import CHUNK_BYTES, possible, reveal
from .weights import multiply


def read_chain(initial: ArrayLike, transition: ArrayLike, length: int) -> tuple[Floats, Floats, int]:
    """Check what `MarkovSequence` and `HiddenMarkov` share: first law, transitions, length.

    Raises
    ------
    TypeError, ValueError
        If they do not describe a chain of that length.
    """
    length = whole_number(length, "length", least=1)
    start = checks.probabilities(initial, "initial", (("states",),))
    states = len(start)
    matrices = checks.probabilities(
        transition, "transition", ((states, states), (length - 1, states, states))
    )
    return start, matrices, length


class MarkovSequence(MatrixChain):
    """Markov chain over tokens: p(x) = initial[x_0] prod_i transition[x_i, x_i+1].

    Posterior and cavity by forward-backward in O(n length vocabulary^2) at any length.

    Parameters
    ----------
    initial : (vocabulary,) array_like
        Law of the first token.
    transition : (vocabulary, vocabulary) array_like, or (length - 1, vocabulary, vocabulary)
        Rows are laws of the next token; one matrix for all steps, or one each.
    length : int

    Attributes
    ----------
    initial, transition : read-only float64 arrays

    Raises
    ------
    TypeError, ValueError
        If a law does not sum to one within 1e-12 or has a negative entry, or shapes do not agree.
    """

    def __init__(self, initial: ArrayLike, transition: ArrayLike, length: int) -> None:
        start, matrices, length = read_chain(initial, transition, length)
        super().__init__(len(start), length, start, matrices)
        self.initial = start

    @cached_property
    def _powers(self) -> Floats:
        """Powers of the transition matrix that were asked for so far, `_extend_powers` adds to them."""
        return np.eye(self.vocabulary)[None]

    def _absorb(self, likelihood: Floats) -> Floats:
        return likelihood[:, 0]

    def _emit(self, weights: Floats, likelihood: Floats) -> Floats:
        return weights[:, None]

    def _tokens(self, states: Tokens, likelihood: Floats | None, uniforms: Floats) -> Tokens:
        return states

    def _log_probability(self, tokens: Tokens) -> Floats:
        with np.errstate(divide="ignore"):
            start, matrices = np.log(self.initial), np.log(self.transition)
        before, after = tokens[:, :-1], tokens[:, 1:]
        steps = (
            matrices[before, after]
            if matrices.ndim == 2
            else matrices[np.arange(self.length - 1), before, after]
        )
        return start[tokens[:, 0]] + steps.sum(axis=1)

    def entropy(self) -> float:
        """Entropy in nats, by the chain rule; a draw has expected log-probability -entropy()."""
        rows = scipy.special.entr(self.transition).sum(axis=-1)
        return float(scipy.special.entr(self.initial).sum() + (self.marginals[:-1] * rows).sum())

    def _ngram(self, order: int) -> Floats:
        total = np.zeros((self.vocabulary,) * order)
        for weights, step in self._starts(order):
            table = weights
            for later in range(step, step + order - 1):
                table = table[..., None] * self._matrix(later)
            total += table
        return total

    def masked_posterior(self, tokens: ArrayLike) -> Floats:
        """Posterior when every site is either revealed exactly or fully masked.

        With one transition matrix P only the nearest revealed tokens a and b on both sides count: at
        distances j and k the law is proportional to P^j[a, v] P^k[v, b]. The powers are made once and kept,
        vocabulary^2 * (longest gap + 1) numbers; above 128 MB, or with a matrix per step, forward-backward
        takes over.

        Parameters
        ----------
        tokens : (n, length) integer array_like
            From 0 to vocabulary; the value `vocabulary` is the mask.

        Returns
        -------
        (n, length, vocabulary) float64 array

        Raises
        ------
        TypeError, ValueError
            If tokens are out of range or of another shape, or a row's revealed tokens have probability zero.
        """
        array = checks.checked_tokens(tokens, self.length, self.vocabulary, f"{self.vocabulary} is the mask")
        left, right = _nearest_revealed(array < self.vocabulary)
        gap = int(np.where(left >= 0, np.arange(self.length) - left, 0).max(initial=0))
        gap = max(gap, int(np.where(right < self.length, right - np.arange(self.length), 0).max(initial=0)))
        if self.transition.ndim == 3 or (gap + 1) * self.vocabulary**2 * 8 > CHUNK_BYTES:
            return self.posterior(reveal(array, self.vocabulary))
        self._extend_powers(gap)
        result = np.empty((*array.shape, self.vocabulary))
        rows = max(1, CHUNK_BYTES // (8 * 4 * self.length * self.vocabulary))
        for first in range(0, len(array), rows):
            part = slice(first, first + rows)
            law, log_total = multiply(*self._neighbours(array[part], left[part], right[part]))
            own = array[part] < self.vocabulary
            seen = array[part][own]
            # A revealed token that its neighbours forbid is the sign of an impossible row.
            log_total[own] = np.where(law[own, seen] > 0.0, 0.0, -np.inf)
            possible(log_total.min(axis=1), first)
            law[own] = np.eye(self.vocabulary)[seen]
            result[part] = law
        return result

    def _neighbours(self, tokens: Tokens, left: Tokens, right: Tokens) -> tuple[Floats, Floats]:
        """Weights (n, length, vocabulary) that the nearest revealed tokens on the left and right give."""
        sites = np.arange(self.length)
        # Where there is no revealed token on a side, any index will do: its weights are not used.
        known = np.minimum(tokens, self.vocabulary - 1)
        before = np.take_along_axis(known, np.maximum(left, 0), axis=1)
        after = np.take_along_axis(known, np.minimum(right, self.length - 1), axis=1)
        start = np.where(left >= 0, sites - left, 0)
        from_left = np.where((left >= 0)[..., None], self._powers[start, before], self.marginals)
        stop = np.where(right < self.length, right - sites, 0)
        into_right = self._powers.transpose(0, 2, 1)[stop, after]
        from_right = np.where((right < self.length)[..., None], into_right, 1.0)
        return from_left, from_right

    def _extend_powers(self, largest: int) -> None:
        """Hold the transition matrix to the powers 0 to `largest` at least."""
        powers = [*self._powers]
        while len(powers) <= largest:
            powers.append(powers[-1] @ self.transition)
        if len(powers) > len(self._powers):
            self._powers = np.stack(powers)


def _nearest_revealed(revealed: NDArray[np.bool_]) -> tuple[Tokens, Tokens]:
    """Nearest revealed site on the left (-1 for none) and on the right (length for none), the site itself left out."""
    n, length = revealed.shape
    sites = np.arange(length)
    left, right = np.full((n, length), -1), np.full((n, length), length)
    left[:, 1:] = np.maximum.accumulate(np.where(revealed, sites, -1), axis=1)[:, :-1]
    right[:, :-1] = np.minimum.accumulate(np.where(revealed, sites, length)[:, ::-1], axis=1)[:, ::-1][:, 1:]
    return left, right
