"""Laws of sequences with labels: a mixture, each of whose parts is the law given one label."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from ..mixtures.parameters import Floats, whole_number
from . import checks
from .enumerated import Enumerated
from .law import SequenceLaw
from .posterior import possible
from .weights import draw


class Labelled(SequenceLaw):
    """Law of sequences that carry a hidden label: `p(x) = sum_l weights[l] laws[l](x)`.

    As a law it is the mixture, label unseen; `condition` gives the law under one label, `label_posterior` the
    exact classifier at any noise. A pass costs what it costs the parts; a part that cannot have made a row
    costs `length` passes of its own for that row's cavities.

    Parameters
    ----------
    laws : sequence of SequenceLaw
        At least one, all of one vocabulary and length.
    weights : (labels,) array_like
        Probability of each label; sums to one within 1e-12.

    Attributes
    ----------
    laws : tuple of SequenceLaw
    weights : read-only (labels,) float64 array
    labels : int
        Number of labels.

    Raises
    ------
    TypeError, ValueError
        If laws are no such laws or weights no such array.
    """

    def __init__(self, laws: Sequence[SequenceLaw], weights: ArrayLike) -> None:
        self.laws = tuple(laws)
        for index, law in enumerate(self.laws):
            if not isinstance(law, SequenceLaw):
                raise TypeError(f"laws[{index}] is {law!r}; give laws of sequences, such as MarkovSequence")
        if not self.laws:
            raise ValueError("laws is empty; give at least one law")
        first = self.laws[0]
        for index, law in enumerate(self.laws):
            if (law.vocabulary, law.length) != (first.vocabulary, first.length):
                raise ValueError(
                    f"laws[{index}] is {law!r} and laws[0] {first!r}; give laws of one vocabulary and length"
                )
        super().__init__(first.vocabulary, first.length)
        self.weights = checks.probabilities(weights, "weights", ((len(self.laws),),))
        self._uniforms = 1 + max(law._uniforms for law in self.laws)
        own = 3 * len(self.laws) * self.length * self.vocabulary
        self._floats = own + max(law._floats for law in self.laws)

    @property
    def labels(self) -> int:
        """Number of labels."""
        return len(self.laws)

    def condition(self, label: int) -> SequenceLaw:
        """Law of x_0 given its label; TypeError or ValueError for a label that is none."""
        return self.laws[self._checked_label(label)]

    def _checked_label(self, label: object) -> int:
        index = whole_number(label, "label")
        if index >= self.labels:
            raise ValueError(f"label is {index}; labels run from 0 to {self.labels - 1}")
        return index

    def log_joint(self, likelihood: ArrayLike) -> Floats:
        """Log of weights[l] times the evidence under each label, (n, labels); -inf where impossible.

        Parameters
        ----------
        likelihood : (n, length, vocabulary) array_like
            As for `posterior`.

        Raises
        ------
        TypeError, ValueError
            If likelihood is no such array.
        """
        array = checks.checked_likelihood(likelihood, self.length, self.vocabulary)
        result = np.empty((len(array), self.labels))
        for rows, scaled, log_scale in self._chunks(array):
            result[rows] = self._log_joint(scaled) + log_scale[:, None]
        return result

    def _log_joint(self, likelihood: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        return log_weights + np.stack([law._pass(likelihood, False)[1] for law in self.laws], axis=1)

    def label_posterior(self, likelihood: ArrayLike) -> Floats:
        """P(label | all sites observed), (n, labels): the exact classifier; raises as `posterior`."""
        joint = self.log_joint(likelihood)
        return np.exp(joint - possible(scipy.special.logsumexp(joint, axis=1), 0)[:, None])

    def tilted(self, label: int, gamma: float) -> Enumerated:
        """Law proportional to p(x) p(label | x)^gamma: 0 leaves the label unseen, 1 is the law given the label.

        Parameters
        ----------
        label : int
        gamma : float
            Strength of the guidance, at least 0.

        Raises
        ------
        TypeError, ValueError
            If label is none, gamma is negative or not finite, or there are more than 2 million sequences.
        """
        part = self.condition(label).pmf()
        if not (isinstance(gamma, int | float | np.number) and math.isfinite(gamma) and gamma >= 0):
            raise ValueError(f"gamma is {gamma!r}; give a finite number, at least 0")
        whole = self.pmf()
        with np.errstate(divide="ignore", invalid="ignore"):
            # 0 to the power 0 is one: gamma = 0 asks nothing of the label
            pull = float(gamma) * (np.log(part) - np.log(whole)) if gamma else np.zeros(whole.shape)
            logs = np.where(whole > 0.0, np.log(whole) + pull, -np.inf)
        weights = np.exp(logs - logs.max())
        return Enumerated(weights / math.fsum(weights.ravel()))

    def _pass(self, likelihood: Floats, cavity: bool) -> tuple[Floats | None, Floats]:
        if not cavity:
            return None, scipy.special.logsumexp(self._log_joint(likelihood), axis=1)
        cavities = np.empty((self.labels, *likelihood.shape))
        others = np.empty((self.labels, *likelihood.shape[:2]))  # log weight of a label, a site left out
        joint = np.empty((len(likelihood), self.labels))
        with np.errstate(divide="ignore", invalid="ignore"):
            for label, law in enumerate(self.laws):
                own, log_evidence = law._pass(likelihood, True)
                assert own is not None
                cavities[label] = own
                joint[:, label] = np.log(self.weights[label]) + log_evidence
                seen = np.log(np.einsum("nlv,nlv->nl", own, likelihood))
                others[label] = joint[:, label, None] - seen
        log_evidence = scipy.special.logsumexp(joint, axis=1)
        for label in range(self.labels):
            # its evidence is 0 with all sites, which does not tell what it is without one of them
            lost = np.flatnonzero(np.isneginf(joint[:, label]) & ~np.isneginf(log_evidence))
            if len(lost) and self.weights[label] > 0.0:
                cavities[label, lost], others[label, lost] = self._left_out(label, likelihood[lost])
            elif len(lost):
                others[label, lost] = -np.inf
        others = np.where(np.isnan(others), -np.inf, others)
        top = others.max(axis=0)
        share = np.exp(others - np.where(np.isneginf(top), 0.0, top))
        total = share.sum(axis=0)
        mixed = np.einsum("knl,knlv->nlv", share, cavities)
        return np.divide(mixed, total[..., None], out=mixed, where=total[..., None] > 0), log_evidence

    def _left_out(self, label: int, likelihood: Floats) -> tuple[Floats, Floats]:
        """Cavities and log weights of one label, each site left out in a pass of its own."""
        cavities, others = np.empty(likelihood.shape), np.empty(likelihood.shape[:2])
        for site in range(self.length):
            open_site = likelihood.copy()
            open_site[:, site] = 1.0
            own, log_evidence = self.laws[label]._pass(open_site, True)
            assert own is not None
            cavities[:, site] = own[:, site]
            others[:, site] = math.log(self.weights[label]) + log_evidence
        cavities[np.isneginf(others)] = 0.0
        return cavities, others

    def _draw(self, uniforms: Floats) -> NDArray[np.int64]:
        labels = draw(np.broadcast_to(self.weights, (len(uniforms), self.labels)), uniforms[:, 0])
        tokens = np.empty((len(uniforms), self.length), dtype=np.int64)
        for label, law in enumerate(self.laws):
            rows = labels == label
            if rows.any():
                tokens[rows] = law._draw(uniforms[rows, 1 : 1 + law._uniforms])
        return tokens

    def _draw_posterior(self, likelihood: Floats, uniforms: Floats) -> tuple[NDArray[np.int64], Floats]:
        joint = self._log_joint(likelihood)
        log_evidence = scipy.special.logsumexp(joint, axis=1)
        tokens = np.zeros(likelihood.shape[:2], dtype=np.int64)
        if np.isneginf(log_evidence).any():
            return tokens, log_evidence
        labels = draw(np.exp(joint - log_evidence[:, None]), uniforms[:, 0])
        for label, law in enumerate(self.laws):
            rows = labels == label
            if rows.any():
                given = uniforms[rows, 1 : 1 + law._uniforms]
                tokens[rows], _ = law._draw_posterior(likelihood[rows], given)
        return tokens, log_evidence

    def _log_probability(self, tokens: NDArray[np.int64]) -> Floats:
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        return scipy.special.logsumexp(
            log_weights + np.stack([law._log_probability(tokens) for law in self.laws], axis=1), axis=1
        )

    def _ngram(self, order: int) -> Floats:
        tables = [law._ngram(order) for law in self.laws]
        return np.einsum("k,k...->...", self.weights, np.stack(tables))

    def entropy(self) -> float:
        """Entropy in nats of the mixture, which has no closed form: the sum over all sequences.

        Raises
        ------
        ValueError
            If there are more than 2 million sequences; average -log_probability(sample(n)) then.
        """
        if self.vocabulary**self.length > checks.MOST_STATES:
            raise ValueError(
                f"vocabulary**length is {self.vocabulary}**{self.length}: the entropy of a mixture is a sum over all "
                f"sequences, taken up to {checks.MOST_STATES} of them; average -log_probability(sample(n)) instead"
            )
        return float(scipy.special.entr(self.pmf()).sum())
