"""Tokens on the nodes of a tree."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from ..mixtures.parameters import Floats
from . import checks
from .law import SequenceLaw
from .weights import draw, multiply


class Tree(SequenceLaw):
    """Tokens on the nodes of a rooted tree: each depends on its parent alone.

    Parameters
    ----------
    parents : sequence of length ints
        Parent of each site; -1 for the root, which must be one site. Any numbering of the sites will do.
    root : (vocabulary,) array_like
        Law of the root's token.
    transitions : (vocabulary, vocabulary) array_like, or (length, vocabulary, vocabulary)
        Rows are laws of a site's token given its parent's: one matrix for all, or one per site. The root's
        matrix is not used, but must be given and have rows that sum to one (the identity, say).

    Attributes
    ----------
    parents : tuple of int
    root, transitions : read-only float64 arrays

    Raises
    ------
    TypeError, ValueError
        If parents do not form one tree, or a law does not sum to one or has the wrong shape.
    """

    def __init__(self, parents: Sequence[int], root: ArrayLike, transitions: ArrayLike) -> None:
        self.parents = _read_parents(parents)
        self.root = checks.probabilities(root, "root", (("vocabulary",),))
        size, length = len(self.root), len(self.parents)
        self.transitions = checks.probabilities(
            transitions, "transitions", ((size, size), (length, size, size))
        )
        super().__init__(size, length)
        self._children: list[list[int]] = [[] for _ in range(length)]
        for site, parent in enumerate(self.parents):
            if parent >= 0:
                self._children[parent].append(site)
        self._order = _from_the_root(self.parents.index(-1), self._children)
        self._uniforms = length
        self._floats = 5 * length * size

    def _matrix(self, site: int) -> Floats:
        return self.transitions if self.transitions.ndim == 2 else self.transitions[site]

    def _upward(self, likelihood: Floats) -> tuple[Floats, Floats, Floats]:
        """Messages from the leaves.

        Returns
        -------
        below : (length, n, vocabulary) float64 array
            Evidence of the site and all below it, for the site's token, normalised.
        reports : (length, n, vocabulary) float64 array
            The same evidence for the parent's token.
        log_evidence : (n,) float64 array
        """
        n = len(likelihood)
        below, reports = np.empty((2, self.length, n, self.vocabulary))
        log_evidence = np.zeros(n)
        for site in reversed(self._order):
            message = likelihood[:, site]
            for child in self._children[site]:
                message, log_total = multiply(message, reports[child])
                log_evidence += log_total
            if self.parents[site] < 0:
                _, log_total = multiply(self.root, message)
                log_evidence += log_total
            below[site] = message
            reports[site] = message @ self._matrix(site).T
        return below, reports, log_evidence

    def _pass(self, likelihood: Floats, cavity: bool) -> tuple[Floats | None, Floats]:
        _, reports, log_evidence = self._upward(likelihood)
        if not cavity:
            return None, log_evidence
        above = np.empty((self.length, len(likelihood), self.vocabulary))
        result = np.empty(likelihood.shape)
        for site in self._order:
            if self.parents[site] < 0:
                above[site] = self.root
            children = self._children[site]
            # Suffix products beside a running prefix leave each child out without a division by its message.
            suffixes = [np.ones((len(likelihood), self.vocabulary))]
            for child in reversed(children):
                suffixes.append(multiply(suffixes[-1], reports[child])[0])
            result[:, site], _ = multiply(above[site], suffixes[-1])
            prefix, _ = multiply(above[site], likelihood[:, site])
            for child, suffix in zip(children, reversed(suffixes[:-1]), strict=True):
                above[child] = multiply(prefix, suffix)[0] @ self._matrix(child)
                prefix, _ = multiply(prefix, reports[child])
        return result, log_evidence

    def _draw(self, uniforms: Floats) -> NDArray[np.int64]:
        tokens = np.empty(uniforms.shape, dtype=np.int64)
        for site in self._order:
            tokens[:, site] = draw(self._given_parent(site, tokens), uniforms[:, site])
        return tokens

    def _draw_posterior(self, likelihood: Floats, uniforms: Floats) -> tuple[NDArray[np.int64], Floats]:
        below, _, log_evidence = self._upward(likelihood)
        tokens = np.zeros(uniforms.shape, dtype=np.int64)
        if np.isneginf(log_evidence).any():
            return tokens, log_evidence
        for site in self._order:
            weights, _ = multiply(self._given_parent(site, tokens), below[site])
            tokens[:, site] = draw(weights, uniforms[:, site])
        return tokens, log_evidence

    def _given_parent(self, site: int, tokens: NDArray[np.int64]) -> Floats:
        parent = self.parents[site]
        if parent < 0:
            return np.broadcast_to(self.root, (len(tokens), self.vocabulary))
        return self._matrix(site)[tokens[:, parent]]

    def _log_probability(self, tokens: NDArray[np.int64]) -> Floats:
        total = np.zeros(len(tokens))
        with np.errstate(divide="ignore"):
            for site in self._order:
                law = self._given_parent(site, tokens)
                total += np.log(np.take_along_axis(law, tokens[:, site, None], axis=1)[:, 0])
        return total

    def entropy(self) -> float:
        """Entropy in nats, by the chain rule; a draw has expected log-probability -entropy()."""
        total = float(scipy.special.entr(self.root).sum())
        for site, parent in enumerate(self.parents):
            if parent >= 0:
                total += float(self.marginals[parent] @ scipy.special.entr(self._matrix(site)).sum(axis=1))
        return total


def _read_parents(parents: Sequence[int]) -> tuple[int, ...]:
    try:
        result = tuple(operator.index(parent) for parent in parents)
    except TypeError:
        raise TypeError(f"parents is {parents!r:.60}; give one integer per site, -1 for the root") from None
    for site, parent in enumerate(result):
        if not -1 <= parent < len(result):
            raise ValueError(
                f"parents[{site}] is {parent}; give a site from 0 to {len(result) - 1}, or -1 for the root"
            )
    if result.count(-1) != 1:
        raise ValueError(f"parents has {result.count(-1)} roots (entries of -1); give exactly one")
    children: list[list[int]] = [[] for _ in result]
    for site, parent in enumerate(result):
        if parent >= 0:
            children[parent].append(site)
    lost = set(range(len(result))) - set(_from_the_root(result.index(-1), children))
    if lost:
        raise ValueError(
            f"parents[{min(lost)}] is {result[min(lost)]}, on a cycle or below one; "
            "every site must lead to the root"
        )
    return result


def _from_the_root(root: int, children: list[list[int]]) -> list[int]:
    order = [root]
    for site in order:
        order.extend(children[site])
    return order
