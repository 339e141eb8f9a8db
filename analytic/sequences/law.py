"""What every law over token sequences answers: the part that does not depend on how it is factorised."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from ..mixtures.parameters import Floats, frozen, whole_number
from . import checks
from .posterior import CHUNK_BYTES, Posterior
from .weights import one_hot


class SequenceLaw(Posterior):
    """A law of x_0 over {0, ..., vocabulary - 1}**length, with its exact posterior under any per-site noise.

    The noise enters only through `likelihood`, (n, length, vocabulary): entry [k, i, v] is the probability of
    what row k shows at site i if x_0 had the token v there. Its scale at a site is free, but `log_evidence`
    counts it. A masked site has ones. Everything is float64 with rescaled messages, so that no length
    underflows; rows are worked through in chunks of about 128 MB of messages. What has probability below
    about 1e-300 given the part of the sequence already seen counts as impossible.

    Attributes
    ----------
    vocabulary : int
    length : int
        Number of tokens.
    """

    @abstractmethod
    def _draw(self, uniforms: Floats) -> NDArray[np.int64]:
        """Draw one sequence per row of (n, _uniforms) numbers."""

    @abstractmethod
    def entropy(self) -> float:
        """Entropy in nats; a draw has expected log-probability -entropy()."""

    def log_probability(self, tokens: ArrayLike) -> Floats:
        """Exact log-probability in nats, -inf for an impossible sequence.

        Parameters
        ----------
        tokens : (n, length) integer array_like

        Returns
        -------
        (n,) float64 array

        Raises
        ------
        TypeError, ValueError
            If tokens are not integers of that shape from 0 to vocabulary - 1.
        """
        top = self.vocabulary - 1
        array = checks.checked_tokens(tokens, self.length, top, f"the vocabulary has {self.vocabulary}")
        step = max(1, CHUNK_BYTES // (8 * self.length * self.vocabulary))
        parts = [self._log_probability(array[i : i + step]) for i in range(0, len(array), step)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _log_probability(self, tokens: NDArray[np.int64]) -> Floats:
        log_probability = np.empty(len(tokens))
        for rows, scaled, _ in self._chunks(one_hot(tokens, self.vocabulary)):
            _, log_probability[rows] = self._pass(scaled, cavity=False)
        return log_probability

    def sample(self, n: int, seed: int = 0, first: int = 0) -> NDArray[np.int64]:
        """Draw independent sequences; a longer draw begins with a shorter one of the same seed.

        Parameters
        ----------
        n : int
        seed : int
            From 0 to 2**128 - 1.
        first : int
            Number of sequences of the same draw to leave out before: `sample(5, first=3)` is `sample(8)[3:]`.

        Returns
        -------
        (n, length) int64 array

        Raises
        ------
        TypeError, ValueError
            If n, first or seed is not an integer >= 0, or seed is 2**128 or more.
        """
        n, first = whole_number(n, "n"), whole_number(first, "first")
        bits = np.random.Philox(key=checks.checked_seed(seed))
        # One count of Philox's counter is four numbers.
        bits.advance(first * self._uniforms // 4)
        generator = np.random.Generator(bits)
        generator.random(first * self._uniforms % 4)
        tokens = np.empty((n, self.length), dtype=np.int64)
        rows = max(1, min(8192, CHUNK_BYTES // (8 * self._uniforms)))
        for start in range(0, n, rows):
            # Rows take their numbers one after the other from one stream: this is what makes prefixes agree.
            uniforms = generator.random((min(rows, n - start), self._uniforms))
            tokens[start : start + rows] = self._draw(uniforms)
        return tokens

    def pmf(self) -> Floats:
        """Probability of every sequence, shape (vocabulary,) * length.

        Raises
        ------
        ValueError
            If there are more than 2 million sequences.
        """
        states = self.vocabulary**self.length
        if states > checks.MOST_STATES:
            raise ValueError(
                f"there are vocabulary**length = {self.vocabulary}**{self.length} sequences, more than "
                f"{checks.MOST_STATES}; use log_probability and ngram, or a shorter length"
            )
        shape = (self.vocabulary,) * self.length
        tokens = np.stack(np.unravel_index(np.arange(states), shape), axis=1)
        return np.exp(self.log_probability(tokens)).reshape(shape)

    @cached_property
    def marginals(self) -> Floats:
        """Law of each token by itself, (length, vocabulary), read-only."""
        cavity, _ = self._pass(np.ones((1, self.length, self.vocabulary)), cavity=True)
        assert cavity is not None
        return frozen(cavity[0].copy())

    def marginal(self, site: int) -> Floats:
        """Law (vocabulary,) of the token at a site, counted from the end if below zero."""
        return self.marginals[checks.checked_site(site, self.length)]

    def ngram(self, order: int) -> Floats:
        """Exact law of `order` consecutive tokens, averaged over all positions in the sequence.

        Parameters
        ----------
        order : int
            1 for single tokens, 2 for pairs, ...

        Returns
        -------
        (vocabulary,) * order float64 array
            Sums to one.

        Raises
        ------
        TypeError, ValueError
            If order is not an integer from 1 to length, or vocabulary**order is above 2 million.
        """
        return self._ngram(checks.checked_order(order, self.length, self.vocabulary))

    def _ngram(self, order: int) -> Floats:
        """Average the evidence of one-hot windows: right for every law, but slow for long ones."""
        shape = (self.vocabulary,) * order
        windows = np.eye(self.vocabulary)[
            np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=1)
        ]
        starts = self.length - order + 1
        at_once = max(1, CHUNK_BYTES // (8 * len(windows) * max(self._floats, self.length * self.vocabulary)))
        total = np.zeros(len(windows))
        for first in range(0, starts, at_once):
            group = range(first, min(starts, first + at_once))
            likelihood = np.ones((len(group), len(windows), self.length, self.vocabulary))
            for k, start in enumerate(group):
                likelihood[k, :, start : start + order] = windows
            _, logs = self._pass(likelihood.reshape(-1, self.length, self.vocabulary), cavity=False)
            total += np.exp(logs).reshape(len(group), -1).sum(axis=0)
        return (total / starts).reshape(shape)

    def conditional_entropy(self, order: int) -> float:
        """Entropy in nats of the last token of an n-gram given those before it, by the law of `ngram`.

        Raises
        ------
        TypeError, ValueError
            As `ngram`.
        """
        table = self.ngram(order)
        return float(scipy.special.entr(table).sum() - scipy.special.entr(table.sum(axis=-1)).sum())

    def entropy_rate(self) -> float:
        """Entropy per token in nats; minus the expected log-probability per token of a draw."""
        return self.entropy() / self.length
