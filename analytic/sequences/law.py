"""What every law over token sequences answers: the part that does not depend on how it is factorised."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

from analytic.mixture_parameters import Floats, frozen, whole_number
from analytic.sequences import checks
from analytic.sequences.weights import multiply, one_hot

if TYPE_CHECKING:
    from analytic.sequences.enumerated import Enumerated

CHUNK_BYTES = 2**27


def reveal(tokens: ArrayLike, vocabulary: int) -> Floats:
    """Likelihood of partly masked sequences: one-hot where a token is revealed, ones where it is masked.

    Parameters
    ----------
    tokens : (n, length) integer array_like
        From 0 to vocabulary; the value `vocabulary` is the mask.
    vocabulary : int

    Returns
    -------
    (n, length, vocabulary) float64 array

    Raises
    ------
    TypeError, ValueError
        If tokens are not integers, not two-dimensional or out of range.
    """
    vocabulary = whole_number(vocabulary, "vocabulary", least=1)
    length = np.shape(tokens)[1] if np.ndim(tokens) == 2 else 1
    array = checks.checked_tokens(tokens, length, vocabulary, f"{vocabulary} is the mask")
    rows = np.concatenate([np.eye(vocabulary), np.ones((1, vocabulary))])
    return rows[array]


class SequenceLaw(ABC):
    """A law of x_0 over {0, ..., vocabulary - 1}**length, with its exact posterior under any per-site noise.

    The noise enters only through `likelihood`, (n, length, vocabulary): entry [k, i, v] is the probability of
    what row k shows at site i if x_0 had the token v there. Its scale at a site is free, but `log_evidence`
    counts it. A masked site has ones. Everything is float64 with rescaled messages, so that no length
    underflows; rows are worked through in chunks of about 128 MB of messages.

    Attributes
    ----------
    vocabulary : int
    length : int
        Number of tokens.
    """

    def __init__(self, vocabulary: int, length: int) -> None:
        self.vocabulary = vocabulary
        self.length = length

    def __repr__(self) -> str:
        return f"{type(self).__name__}(vocabulary={self.vocabulary}, length={self.length})"

    # What a law has to bring ---------------------------------------------------------------------------------

    _uniforms: int  # how many uniform numbers one draw takes
    _floats: int  # how many floats of working memory one row takes

    @abstractmethod
    def _pass(self, likelihood: Floats, cavity: bool) -> tuple[Floats | None, Floats]:
        """Cavity (n, length, vocabulary), if asked for, and log evidence (n,), -inf for impossible rows."""

    @abstractmethod
    def _draw(self, uniforms: Floats) -> NDArray[np.int64]:
        """Draw one sequence per row of (n, _uniforms) numbers."""

    @abstractmethod
    def _draw_posterior(self, likelihood: Floats, uniforms: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Draw one sequence per row given the likelihood, with the log evidence as in `_pass`."""

    @abstractmethod
    def entropy(self) -> float:
        """Entropy in nats; a draw has expected log-probability -entropy()."""

    # Posteriors ----------------------------------------------------------------------------------------------

    def both(self, likelihood: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Posterior, cavity and log evidence in one pass.

        Parameters
        ----------
        likelihood : (n, length, vocabulary) array_like

        Returns
        -------
        posterior : (n, length, vocabulary) float64 array
            P(x_0,i = v | all sites observed).
        cavity : (n, length, vocabulary) float64 array
            P(x_0,i = v | all sites but i observed).
        log_evidence : (n,) float64 array
            log sum over x_0 of p(x_0) times the product of the likelihoods.

        Raises
        ------
        TypeError, ValueError
            If likelihood is not such an array, or a row has evidence zero; the message names the row.
        """
        array = checks.checked_likelihood(likelihood, self.length, self.vocabulary)
        posterior, cavity = np.empty(array.shape), np.empty(array.shape)
        log_evidence = np.empty(len(array))
        for rows, scaled, log_scale in self._chunks(array):
            cavity[rows], log_evidence[rows] = self._cavity(scaled, rows.start)
            log_evidence[rows] += log_scale
            posterior[rows], _ = multiply(cavity[rows], scaled)
        return posterior, cavity, log_evidence

    def posterior(self, likelihood: ArrayLike) -> Floats:
        """P(x_0,i = v | all sites observed), (n, length, vocabulary); raises as `both`."""
        array = checks.checked_likelihood(likelihood, self.length, self.vocabulary)
        posterior = np.empty(array.shape)
        for rows, scaled, _ in self._chunks(array):
            posterior[rows], _ = multiply(self._cavity(scaled, rows.start)[0], scaled)
        return posterior

    def cavity(self, likelihood: ArrayLike) -> Floats:
        """P(x_0,i = v | all sites but i observed), (n, length, vocabulary); raises as `both`."""
        array = checks.checked_likelihood(likelihood, self.length, self.vocabulary)
        cavity = np.empty(array.shape)
        for rows, scaled, _ in self._chunks(array):
            cavity[rows], _ = self._cavity(scaled, rows.start)
        return cavity

    def log_evidence(self, likelihood: ArrayLike) -> Floats:
        """Log sum over x_0 of p(x_0) times the product of the likelihoods, (n,); raises as `both`."""
        array = checks.checked_likelihood(likelihood, self.length, self.vocabulary)
        log_evidence = np.empty(len(array))
        for rows, scaled, log_scale in self._chunks(array):
            log_evidence[rows] = _possible(self._pass(scaled, cavity=False)[1], rows.start)
            log_evidence[rows] += log_scale
        return log_evidence

    def posterior_sample(self, likelihood: ArrayLike, seed: int = 0) -> NDArray[np.int64]:
        """Draw whole sequences from the joint law of x_0 given what is observed, one per row.

        With `reveal` as likelihood this is infilling: the law of the masked tokens given the others.

        Parameters
        ----------
        likelihood : (n, length, vocabulary) array_like
        seed : int
            The draw of row k depends on seed, k and its own likelihood alone, up to rounding.

        Returns
        -------
        (n, length) int64 array

        Raises
        ------
        TypeError, ValueError
            As `both`, and for a seed that is not an integer from 0 to 2**128 - 1.
        """
        array = checks.checked_likelihood(likelihood, self.length, self.vocabulary)
        # Another counter than `sample` has, so that the two are independent under one seed.
        bits = np.random.Philox(key=checks.checked_seed(seed), counter=[0, 0, 0, 1])
        generator = np.random.Generator(bits)
        tokens = np.empty(array.shape[:2], dtype=np.int64)
        for rows, scaled, _ in self._chunks(array):
            uniforms = generator.random((len(scaled), self._uniforms))
            tokens[rows], log_evidence = self._draw_posterior(scaled, uniforms)
            _possible(log_evidence, rows.start)
        return tokens

    def masked_posterior(self, tokens: ArrayLike) -> Floats:
        """Posterior when every site is either revealed exactly or fully masked.

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
        array = checks.checked_tokens(
            tokens, self.length, self.vocabulary, f"{self.vocabulary} is the mask"
        )
        return self.posterior(reveal(array, self.vocabulary))

    def score_ratios(self, tokens: ArrayLike, kernel: ArrayLike) -> Floats:
        """Ratios p_t(x with site i set to y) / p_t(x), the discrete score, for every site and state.

        With c_i the cavity, the ratio is sum_v c_i(v) q(y | v) / sum_v c_i(v) q(x_i | v).

        Parameters
        ----------
        tokens : (n, length) integer array_like
            Noisy sequences x, states 0 to S - 1.
        kernel : (vocabulary, S) array_like
            q(y | v), the law of a site's state at time t given its token at time 0; rows sum to one.

        Returns
        -------
        (n, length, S) float64 array
            One at y = x_i.

        Raises
        ------
        TypeError, ValueError
            If kernel is no such matrix, tokens are out of range, or a row of tokens has probability zero.
        """
        matrix = checks.probabilities(kernel, "kernel", ((self.vocabulary, "S"),))
        states = matrix.shape[1]
        array = checks.checked_tokens(tokens, self.length, states - 1, f"kernel has {states} states")
        ratios = self.cavity(matrix.T[array]) @ matrix
        ratios /= np.take_along_axis(ratios, array[..., None], axis=-1)
        return ratios

    # The law itself ------------------------------------------------------------------------------------------

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

    def sample(self, n: int, seed: int = 0) -> NDArray[np.int64]:
        """Draw independent sequences; a longer draw begins with a shorter one of the same seed.

        Parameters
        ----------
        n : int
        seed : int
            From 0 to 2**128 - 1.

        Returns
        -------
        (n, length) int64 array

        Raises
        ------
        TypeError, ValueError
            If n or seed is not an integer >= 0, or seed is 2**128 or more.
        """
        n = whole_number(n, "n")
        generator = np.random.Generator(np.random.Philox(key=checks.checked_seed(seed)))
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

    def as_enumerated(self) -> Enumerated:
        """Return the same law as an explicit table; raises as `pmf`."""
        from analytic.sequences.enumerated import Enumerated

        return Enumerated(self.pmf())

    # Statistics ----------------------------------------------------------------------------------------------

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
        windows = np.eye(self.vocabulary)[np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=1)]
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
        return float(entr(table).sum() - entr(table.sum(axis=-1)).sum())

    def entropy_rate(self) -> float:
        """Entropy per token in nats; minus the expected log-probability per token of a draw."""
        return self.entropy() / self.length

    # Chunks --------------------------------------------------------------------------------------------------

    def _chunks(self, likelihood: Floats) -> Iterator[tuple[slice, Floats, Floats]]:
        """Yield rows, their likelihood scaled to a largest entry of one per site, and the logarithm lost."""
        rows = max(1, CHUNK_BYTES // (8 * self._floats))
        for start in range(0, len(likelihood), rows):
            part = likelihood[start : start + rows]
            peak = part.max(axis=2)
            yield slice(start, start + len(part)), part / peak[..., None], np.log(peak).sum(axis=1)

    def _cavity(self, likelihood: Floats, first: int) -> tuple[Floats, Floats]:
        cavity, log_evidence = self._pass(likelihood, cavity=True)
        assert cavity is not None
        return cavity, _possible(log_evidence, first)


def _possible(log_evidence: Floats, first: int) -> Floats:
    """Return the log evidence if every row is possible; rows are counted from `first`."""
    impossible = np.flatnonzero(np.isneginf(log_evidence))
    if len(impossible):
        row = first + int(impossible[0])
        raise ValueError(
            f"row {row} is impossible: no sequence of positive probability can give what it shows "
            f"({len(impossible)} such rows in its chunk); leave it out, or use a law or noise without zeros"
        )
    return log_evidence
