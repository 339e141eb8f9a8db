"""One site's part in an evidence bound: what it costs to believe the model instead of the true token."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy
from numpy.typing import NDArray

from ..chains import Chain, SiteProcess
from ..mixtures.parameters import Floats

Tokens = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SiteLoss:
    """Divergence of what follows for a site if its token had the model's law from what follows for the true token.

    For a law m of the token and the state x of the site at time t the answers are, over states y,

        step to s   p(y) proportional to (sum_v m(v) q_s(y | v)) q_{t|s}(x | y)
        rates at t  r(y) = (sum_v m(v) q_t(y | v)) / (sum_v m(v) q_t(x | v))

    With the cavity as m these are the exact law of the site at s given all of x_t, which is the posterior's average
    of q(x_s | x_t, x_0), and the exact ratios p_t(y)/p_t(x). The loss is the sum over y of weights[x, y] times
    (a log(a/b) - a + b), with a the answer for the token and b for the law.

    Attributes
    ----------
    noising : (V, S) float64 array
        q_t(x | v).
    target : (V, S) float64 array
        q_s(y | v), or q_t(y | v) for rates.
    back : (S, S) float64 array or None
        q_{t|s}(x | y) by [x, y]; None for rates.
    weights : (S, S) float64 array
        Ones, or the forward rates from y to x by [x, y].
    """

    noising: Floats
    target: Floats
    back: Floats | None
    weights: Floats

    def answers(self, states: Tokens, laws: Floats) -> Floats:
        """Answers (..., S) for states (...) and laws of the token (..., V); zero where the state is impossible."""
        mass = laws @ self.target
        if self.back is None:
            total = np.take_along_axis(mass, states[..., None], axis=-1)
        else:
            mass = mass * self.back[states]
            total = mass.sum(axis=-1, keepdims=True)
        return np.divide(mass, total, out=np.zeros_like(mass), where=total > 0)

    @cached_property
    def of_tokens(self) -> Floats:
        """Answers for every state and true token, (S, V, S)."""
        vocabulary, states = self.noising.shape
        every = np.broadcast_to(np.arange(states)[:, None], (states, vocabulary))
        return self.answers(every, np.broadcast_to(np.eye(vocabulary), (states, vocabulary, vocabulary)))

    def loss(self, states: Tokens, tokens: Tokens, answers: Floats) -> Floats:
        """Loss (...) of the model's answers (..., S) at states (...) where the true tokens are (...)."""
        return (self.weights[states] * scipy.special.kl_div(self.of_tokens[states, tokens], answers)).sum(
            axis=-1
        )


def step_loss(noise: SiteProcess, t: float, s: float) -> SiteLoss:
    """KL divergence of q(x_s | x_t, x_0) from a step t -> s of ancestral sampling.

    References
    ----------
    Austin et al. 2021 (D3PM), eq. 1.
    """
    vocabulary, ones = noise.vocabulary, np.ones((noise.states, noise.states))
    before, after = noise.transition(0, t)[:vocabulary], noise.transition(0, s)[:vocabulary]
    return SiteLoss(before, after, np.ascontiguousarray(noise.transition(s, t).T), ones)


def rate_loss(noise: Chain, t: float) -> SiteLoss:
    """Divergence per unit of time of the reverse jumps given x_0 from those of the model.

    References
    ----------
    Campbell et al. 2022, proposition 2; Lou, Meng and Ermon 2024 (SEDD), theorem 3.6.
    """
    noising = noise.transition(0, t)[: noise.vocabulary]
    # Staying weighs nothing: both ratios are one there.
    return SiteLoss(noising, noising, None, np.ascontiguousarray(noise.rates(t).T))
