"""Posterior, cavity and evidence of token sequences under per-site noise: the part that all laws share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..mixtures.parameters import Floats, whole_number
from . import checks
from .weights import multiply

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


class Posterior(ABC):
    """A law over token sequences as seen through per-site noise; the public laws derive from `SequenceLaw`."""

    def __init__(self, vocabulary: int, length: int) -> None:
        self.vocabulary = vocabulary
        self.length = length

    def __repr__(self) -> str:
        return f"{type(self).__name__}(vocabulary={self.vocabulary}, length={self.length})"

    _uniforms: int  # how many uniform numbers one draw takes
    _floats: int  # how many floats of working memory one row takes

    @abstractmethod
    def _pass(self, likelihood: Floats, cavity: bool) -> tuple[Floats | None, Floats]:
        """Cavity (n, length, vocabulary), if asked for, and log evidence (n,), -inf for impossible rows."""

    @abstractmethod
    def _draw_posterior(self, likelihood: Floats, uniforms: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Draw one sequence per row given the likelihood, with the log evidence as in `_pass`."""

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
            log_evidence[rows] = possible(self._pass(scaled, cavity=False)[1], rows.start)
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
            possible(log_evidence, rows.start)
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
        array = checks.checked_tokens(tokens, self.length, self.vocabulary, f"{self.vocabulary} is the mask")
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
        return cavity, possible(log_evidence, first)


def possible(log_evidence: Floats, first: int) -> Floats:
    """Return the log evidence if every row is possible; rows are counted from `first`."""
    impossible = np.flatnonzero(np.isneginf(log_evidence))
    if len(impossible):
        row = first + int(impossible[0])
        raise ValueError(
            f"row {row} is impossible: no sequence of positive probability can give what it shows "
            f"({len(impossible)} such rows in its chunk); leave it out, or use a law or noise without zeros"
        )
    return log_evidence
