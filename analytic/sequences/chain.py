"""Forward-backward passes and draws for every law that hangs on a hidden Markov chain."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from ..mixtures.parameters import Floats
from .law import SequenceLaw
from .weights import draw, multiply, one_hot

Tokens = NDArray[np.int64]


class Chain(SequenceLaw):
    """Law whose tokens come, `block` at a step, from the state of a Markov chain with `states` states.

    A subclass says how weights over states move along the chain and how they meet the tokens; this class
    makes posteriors, cavities, evidence and draws of it, in O(n steps) calls of those.
    """

    def __init__(self, vocabulary: int, steps: int, states: int, start: Floats, block: int = 1) -> None:
        super().__init__(vocabulary, steps * block)
        self._steps, self._states, self._block = steps, states, block
        self._start = start
        self._floats = steps * (states + 2 * block * vocabulary)
        self._uniforms = steps

    @abstractmethod
    def _advance(self, step: int, weights: Floats) -> Floats:
        """Law (n, states) of the state at step + 1, from that at step."""

    @abstractmethod
    def _retreat(self, step: int, values: Floats) -> Floats:
        """Expectation (n, states), given the state at step, of a function of the state at step + 1."""

    @abstractmethod
    def _absorb(self, likelihood: Floats) -> Floats:
        """Likelihood (n, states) of a step's state, from that of its tokens (n, block, vocabulary)."""

    @abstractmethod
    def _emit(self, weights: Floats, likelihood: Floats) -> Floats:
        """Cavity (n, block, vocabulary) of a step's tokens, from state weights without their evidence."""

    @abstractmethod
    def _tokens(self, states: Tokens, likelihood: Floats | None, uniforms: Floats) -> Tokens:
        """Tokens (n, length) given states (n, steps), and the likelihood where something is observed."""

    def _rows(self, step: int, states: Tokens) -> Floats:
        """Transition probabilities (n, states) out of the given states."""
        return self._advance(step, one_hot(states, self._states))

    def _columns(self, step: int, states: Tokens) -> Floats:
        """Transition probabilities (n, states) into the given states."""
        return self._retreat(step, one_hot(states, self._states))

    def _blocks(self, likelihood: Floats) -> Floats:
        """Likelihood with the step first, (steps, n, block, vocabulary), contiguous."""
        shape = (len(likelihood), self._steps, self._block, self.vocabulary)
        return np.ascontiguousarray(likelihood.reshape(shape).swapaxes(0, 1))

    def _pass(self, likelihood: Floats, cavity: bool) -> tuple[Floats | None, Floats]:
        n = len(likelihood)
        blocks = self._blocks(likelihood)
        predicted = np.empty((self._steps if cavity else 0, n, self._states))
        weights = np.broadcast_to(self._start, (n, self._states))
        log_evidence = np.zeros(n)
        for step in range(self._steps):
            if cavity:
                predicted[step] = weights
            filtered, log_total = multiply(weights, self._absorb(blocks[step]))
            log_evidence += log_total
            if step + 1 < self._steps:
                weights = self._advance(step, filtered)
        if not cavity:
            return None, log_evidence
        result = np.empty(blocks.shape)
        values = np.ones((n, self._states))
        for step in range(self._steps - 1, -1, -1):
            own, _ = multiply(predicted[step], values)
            result[step] = self._emit(own, blocks[step])
            if step:
                absorbed, _ = multiply(values, self._absorb(blocks[step]))
                values = self._retreat(step - 1, absorbed)
        return result.swapaxes(0, 1).reshape(likelihood.shape), log_evidence

    def _draw(self, uniforms: Floats) -> Tokens:
        states = np.empty((len(uniforms), self._steps), dtype=np.int64)
        weights = np.broadcast_to(self._start, (len(uniforms), self._states))
        for step in range(self._steps):
            states[:, step] = draw(weights, uniforms[:, step])
            if step + 1 < self._steps:
                weights = self._rows(step, states[:, step])
        return self._tokens(states, None, uniforms[:, self._steps :])

    def _draw_posterior(self, likelihood: Floats, uniforms: Floats) -> tuple[Tokens, Floats]:
        """Forward filtering, backward sampling."""
        n = len(likelihood)
        blocks = self._blocks(likelihood)
        filtered = np.empty((self._steps, n, self._states))
        weights = np.broadcast_to(self._start, (n, self._states))
        log_evidence = np.zeros(n)
        for step in range(self._steps):
            filtered[step], log_total = multiply(weights, self._absorb(blocks[step]))
            log_evidence += log_total
            if step + 1 < self._steps:
                weights = self._advance(step, filtered[step])
        if np.isneginf(log_evidence).any():
            return np.zeros((n, self.length), dtype=np.int64), log_evidence
        states = np.empty((n, self._steps), dtype=np.int64)
        weights = filtered[-1]
        for step in range(self._steps - 1, -1, -1):
            states[:, step] = draw(weights, uniforms[:, step])
            if step:
                weights, _ = multiply(filtered[step - 1], self._columns(step - 1, states[:, step]))
        return self._tokens(states, likelihood, uniforms[:, self._steps :]), log_evidence

    def _state_marginals(self) -> Floats:
        """Law of the state at each step, (steps, states)."""
        marginals = np.empty((self._steps, self._states))
        marginals[0] = self._start
        for step in range(self._steps - 1):
            marginals[step + 1] = self._advance(step, marginals[step : step + 1])[0]
        return marginals


class MatrixChain(Chain):
    """Chain with explicit transition matrices, one for all steps or one each."""

    def __init__(self, vocabulary: int, steps: int, start: Floats, transition: Floats) -> None:
        super().__init__(vocabulary, steps, len(start), start)
        self.transition = transition

    def _matrix(self, step: int) -> Floats:
        return self.transition if self.transition.ndim == 2 else self.transition[step]

    def _advance(self, step: int, weights: Floats) -> Floats:
        return weights @ self._matrix(step)

    def _retreat(self, step: int, values: Floats) -> Floats:
        return values @ self._matrix(step).T

    def _rows(self, step: int, states: Tokens) -> Floats:
        return self._matrix(step)[states]

    def _columns(self, step: int, states: Tokens) -> Floats:
        return self._matrix(step).T[states]

    def _starts(self, order: int) -> list[tuple[Floats, int]]:
        """State laws (states,) with the step they stand for, whose windows' mean is the mean over all windows.

        One matrix for all steps makes the law of a window linear in its first state's: one mean is enough.
        """
        marginals = self._state_marginals()[: self._steps - order + 1]
        if self.transition.ndim == 2:
            return [(marginals.mean(axis=0), 0)]
        return [(marginal / len(marginals), step) for step, marginal in enumerate(marginals)]
