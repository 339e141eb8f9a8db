"""Averages over x_t given x_0 of what each site costs: over all states, or over draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import scipy

from ..chains import SiteProcess
from ..mixtures.parameters import Floats
from ..sequences import SequenceLaw
from ..sequences.posterior import CHUNK_BYTES
from ..sequences.weights import draw
from .site import SiteLoss, Tokens

MOST_STATES = 1 << 17
# States less likely than this change no average, and their posteriors would underflow.
NEGLIGIBLE = 1e-280


def believed(data: SequenceLaw, likelihood: Floats, plug_in: bool) -> tuple[Floats, Floats]:
    """Return the law of each token that steps are made of, (m, L, V), and the log evidence, (m,)."""
    posterior, cavity, log_evidence = data.both(likelihood)
    return posterior if plug_in else cavity, log_evidence


class Average(ABC):
    """Averages over x_t given x_0 for the rows of tokens (n, L).

    Each result is (n, draws), with one column where the average is exact. Draws of one stream are the same.
    """

    def __init__(self, noise: SiteProcess, data: SequenceLaw, tokens: Tokens) -> None:
        self.noise, self.data, self.tokens = noise, data, tokens

    @abstractmethod
    def loss(self, t: float, loss: SiteLoss, plug_in: bool, stream: int) -> Floats:
        """Sum over sites of a loss at time t."""

    @abstractmethod
    def divergence(self, t: float, stream: int) -> Floats:
        """Log q(x_t | x_0) - log p(x_t), whose average is the KL divergence from the marginal."""


class OverStates(Average):
    """Exact averages, by a sum over all S^L states.

    Raises
    ------
    ValueError
        If there are more than 131072 states.
    """

    def __init__(self, noise: SiteProcess, data: SequenceLaw, tokens: Tokens) -> None:
        super().__init__(noise, data, tokens)
        self.shape = (noise.states,) * data.length
        size = noise.states**data.length
        if size > MOST_STATES:
            raise ValueError(
                f"data has {noise.states}^{data.length} = {size} noisy states, more than {MOST_STATES}: give draws=, a "
                "number of Monte Carlo draws per sequence, or shorten the sequences"
            )
        self.states: Tokens = np.stack(np.unravel_index(np.arange(size), self.shape), axis=1)

    def loss(self, t: float, loss: SiteLoss, plug_in: bool, stream: int) -> Floats:
        size, length, vocabulary = len(self.states), self.data.length, self.data.vocabulary
        kept, laws, _ = self._laws(t, plug_in)
        table = np.zeros((vocabulary,) * length)
        for site in range(length):
            states, law = self.states[kept, site], laws[:, site]
            answers = loss.answers(states, law)
            costs = np.zeros((size, vocabulary))
            for token in range(vocabulary):
                # A token impossible beside the others has weight zero, whatever it would cost.
                true = np.where((law[:, token] > 0) & (loss.noising[token, states] > 0))[0]
                cost = loss.loss(states[true], np.array(token), answers[true])
                costs[kept[true], token] = loss.noising[token, states[true]] * cost
            # The site's own sum over states is weighted already, and its token takes its place.
            own = np.moveaxis(costs.reshape(*self.shape, vocabulary).sum(axis=site), -1, site)
            table += self._averaged(own, loss.noising, [i for i in range(length) if i != site])
        return self._rows(table)

    def divergence(self, t: float, stream: int) -> Floats:
        kept, _, log_evidence = self._laws(t, False)
        noising = self.noise.transition(0, t)[: self.data.vocabulary]
        logs = np.zeros(len(self.states))
        logs[kept] = log_evidence
        cross = self._averaged(logs.reshape(self.shape), noising, range(self.data.length))
        return -scipy.special.entr(noising).sum(axis=1)[self.tokens].sum(axis=1)[:, None] - self._rows(cross)

    def _laws(self, t: float, plug_in: bool) -> tuple[Tokens, Floats, Floats]:
        """Return the numbers of the states that matter at time t, their believed laws and log evidence."""
        noising = self.noise.transition(0, t)[: self.data.vocabulary]
        evidence = np.asarray(self.data.pmf())
        for site in range(self.data.length):
            evidence = np.moveaxis(np.tensordot(evidence, noising, axes=(site, 0)), -1, site)
        kept = np.flatnonzero(evidence.ravel() > NEGLIGIBLE)
        return kept, *believed(self.data, noising.T[self.states[kept]], plug_in)

    def _averaged(self, table: Floats, noising: Floats, sites: Sequence[int]) -> Floats:
        """Average over the states of some sites given their tokens: axes of S become axes of V."""
        for site in sites:
            table = np.moveaxis(np.tensordot(table, noising, axes=(site, 1)), -1, site)
        return table

    def _rows(self, table: Floats) -> Floats:
        return table[tuple(self.tokens.T)][:, None]


class OverDraws(Average):
    """Averages by Monte Carlo, at any length.

    The draws of row r in stream k depend on seed, r and k alone, and more draws begin with fewer.
    """

    def __init__(self, noise: SiteProcess, data: SequenceLaw, tokens: Tokens, draws: int, seed: int) -> None:
        super().__init__(noise, data, tokens)
        self.draws, self.seed = draws, seed

    def loss(self, t: float, loss: SiteLoss, plug_in: bool, stream: int) -> Floats:
        uniforms = self.uniforms(stream, self.data.length)
        return self.sums([loss] * (len(self.tokens) * self.draws), uniforms, plug_in)

    def divergence(self, t: float, stream: int) -> Floats:
        noising = self.noise.transition(0, t)[: self.data.vocabulary]
        result = np.empty((len(self.tokens), self.draws))
        for row, uniforms in enumerate(self.uniforms(stream, self.data.length)):
            tokens = self.tokens[row]
            states = _noised(noising, tokens, uniforms)
            result[row] = np.log(noising[tokens, states]).sum(axis=1)
            result[row] -= self.data.log_evidence(noising.T[states])
        return result

    def uniforms(self, stream: int, count: int) -> Floats:
        """Return the uniform numbers of every row's draws, (n, draws, count)."""
        # The last word of the counter keeps them apart from the draws of sequences.
        bits = (np.random.Philox(key=self.seed, counter=[0, r, stream, 2]) for r in range(len(self.tokens)))
        drawn = [np.random.Generator(b).random((self.draws, count)) for b in bits]
        return np.stack(drawn) if drawn else np.empty((0, self.draws, count))

    def sums(self, losses: Sequence[SiteLoss], uniforms: Floats, plug_in: bool) -> Floats:
        """Draw x_t with uniform numbers (n, draws, L) and sum each draw's own loss over its sites, (n, draws)."""
        flat = uniforms.reshape(-1, self.data.length)
        truth = np.repeat(self.tokens, self.draws, axis=0)
        result = np.empty(len(flat))
        at_once = max(1, CHUNK_BYTES // (8 * 4 * self.data.length * self.noise.states))
        for first in range(0, len(flat), at_once):
            chunk = range(first, min(len(flat), first + at_once))
            parts = [slice(a, b) for a, b in pairwise(_changes(losses, chunk))]
            states = [_noised(losses[p.start].noising, truth[p], flat[p]) for p in parts]
            likelihood = [losses[p.start].noising.T[x] for p, x in zip(parts, states, strict=True)]
            laws, _ = believed(self.data, np.concatenate(likelihood), plug_in)
            for p, x in zip(parts, states, strict=True):
                loss = losses[p.start]
                answers = loss.answers(x, laws[p.start - first : p.stop - first])
                result[p] = loss.loss(x, truth[p], answers).sum(axis=1)
        return result.reshape(uniforms.shape[:2])


def _noised(noising: Floats, tokens: Tokens, uniforms: Floats) -> Tokens:
    """Draw x_t (m, L) given x_0 = tokens, (L,) or (m, L), by inversion of uniform numbers (m, L)."""
    states = noising.shape[1]
    laws = np.broadcast_to(noising[tokens], (*uniforms.shape, states))
    return draw(laws.reshape(-1, states), uniforms.ravel()).reshape(uniforms.shape)


def _changes(losses: Sequence[SiteLoss], chunk: range) -> list[int]:
    """Return where a chunk of draws starts, where its losses change from one draw to the next, and where it ends."""
    inside = [k for k in chunk[1:] if losses[k] is not losses[k - 1]]
    return [chunk.start, *inside, chunk.stop]
