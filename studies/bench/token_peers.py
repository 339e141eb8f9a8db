"""Token samplers as one writes them in torch: posteriors of a Markov chain as batched tensors, and a loop of steps.

Every step evaluates the posterior of all sites, as one does with a network.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from analytic import chains, sequences


def described_by(data: sequences.MarkovSequence) -> tuple[np.ndarray, np.ndarray]:
    """Return first law (V,) and transition (V, V). ValueError for a chain with a matrix for each step."""
    if data.transition.ndim == 3:
        raise ValueError(f"data is {data!r} with a matrix for each step: give one transition matrix")
    return np.array(data.initial), np.array(data.transition)


def posterior_of(
    noise: chains.Mixture, data: sequences.MarkovSequence, dtype: Any = None
) -> Callable[[Any, float], Any]:
    """Return posterior(x, alpha): p(x_0,i | x_t) of tokens x (n, L), as an (n, L, V) tensor.

    Parameters
    ----------
    noise : Absorbing or Uniform
    data : MarkovSequence
        With one transition matrix.
    dtype : torch.dtype, optional
        float32 by default.

    Raises
    ------
    ImportError
        Without torch.
    ValueError
        Another noise, or a chain with a matrix for each step.
    """
    if isinstance(noise, chains.Absorbing):
        return _nearest_revealed(data, dtype)
    if isinstance(noise, chains.Uniform):
        return _forward_backward(data, dtype)
    raise ValueError(f"noise is {noise!r}: give Absorbing or Uniform")


def _nearest_revealed(data: sequences.MarkovSequence, dtype: Any) -> Callable[[Any, float], Any]:
    """Read the posterior under a mask from powers of the transition matrix, at the nearest tokens that are seen.

    A token of its own stands before and after the sequence: V, the mask.
    """
    import torch
    from torch.nn.functional import embedding, pad

    _, P = described_by(data)
    V, L = data.vocabulary, data.length
    powers = [np.eye(V)]
    for _ in range(L):
        powers.append(powers[-1] @ P)
    before_all = np.concatenate([np.ones((1, V)), data.marginals])  # i + 1 sites after the beginning
    ahead = np.concatenate([powers, before_all[:, None]], axis=1)  # (L + 1, V + 1, V): distance, token
    back = np.concatenate([np.transpose(powers, (0, 2, 1)), np.ones((L + 1, 1, V))], axis=1)
    from_left, from_right = (
        torch.as_tensor(table.reshape(-1, V), dtype=dtype or torch.float32) for table in (ahead, back)
    )
    sites = torch.arange(L)

    def posterior(x: Any, alpha: float) -> Any:
        seen = x < V
        left = torch.where(seen, sites, -1).cummax(1).values
        right = torch.where(seen, sites, L).flip(1).cummin(1).values.flip(1)
        padded = pad(x, (0, 1), value=V)  # place L, which is -1 too
        before, after = padded.gather(1, left % (L + 1)), padded.gather(1, right)
        weights = embedding((sites - left) * (V + 1) + before, from_left)
        weights *= embedding((right - sites) * (V + 1) + after, from_right)
        return weights.div_(weights.sum(-1, keepdim=True))

    return posterior


def _forward_backward(data: sequences.MarkovSequence, dtype: Any) -> Callable[[Any, float], Any]:
    """Pass messages along the chain in both directions, for all sequences at once."""
    import torch
    from torch.nn.functional import embedding

    kind = dtype or torch.float32
    first, P = (torch.as_tensor(part, dtype=kind) for part in described_by(data))
    turned, L = P.T.contiguous(), data.length

    def posterior(x: Any, alpha: float) -> Any:
        seen = embedding(x.T.contiguous(), _kept(data.vocabulary, alpha, kind))  # (L, n, V)
        forward, backward = torch.empty_like(seen), torch.empty_like(seen)
        forward[0], backward[-1] = first, 1.0
        for i in range(L - 1):
            message = forward[i] * seen[i]
            torch.matmul(message / message.sum(-1, keepdim=True), P, out=forward[i + 1])
            message = backward[-1 - i] * seen[-1 - i]
            torch.matmul(message / message.sum(-1, keepdim=True), turned, out=backward[-2 - i])
        weights = forward.mul_(backward).mul_(seen)
        weights /= weights.sum(-1, keepdim=True)
        return weights.transpose(0, 1).contiguous()

    return posterior


def _kept(V: int, alpha: float, dtype: Any) -> Any:
    """Return q(x_t | x_0) under uniform noise, (V, V)."""
    import torch

    return alpha * torch.eye(V, dtype=dtype) + (1 - alpha) / V


def drawn(probabilities: Any) -> Any:
    """Draw a category from the last axis by the inverse of its sums: one uniform number each, the fastest way."""
    import torch

    sums = probabilities.cumsum(-1)
    at = torch.rand_like(sums[..., :1]) * sums[..., -1:]
    return torch.searchsorted(sums, at, right=True).squeeze(-1)


def drawn_by_categorical(probabilities: Any) -> Any:
    """Draw as `torch.distributions.Categorical` does, which many write: a number for each category."""
    import torch

    kind: Any = torch.distributions.Categorical
    return kind(probabilities, validate_args=False).sample()


def torch_ancestral(
    noise: chains.Mixture,
    grid: ArrayLike,
    data: sequences.MarkovSequence,
    draw: Callable[[Any], Any] = drawn,
    dtype: Any = None,
) -> Callable[[Any], Any]:
    """Return sample(x) of ancestral sampling, x (n, L) a tensor of integers: `tweedie-tau-leaping` in plain torch.

    Under a mask a draw from the posterior is kept where a token is revealed in the step; under uniform noise the
    bridge is averaged over the posterior.

    Parameters
    ----------
    noise, data, dtype
        As for `posterior_of`, which says what is raised.
    grid : (steps + 1,) array_like
    draw : callable
        Probabilities (n, L, V) -> tokens (n, L).
    """
    import torch
    from torch.nn.functional import embedding

    posterior, V, kind = posterior_of(noise, data, dtype), data.vocabulary, dtype or torch.float32
    levels = [float(noise.alpha(t)) for t in np.asarray(grid, dtype=np.float64)]

    def reveal(x: Any, p: Any, alpha_t: float, alpha_s: float) -> Any:
        shown = (x == V) & (torch.rand(x.shape) < (alpha_s - alpha_t) / (1 - alpha_t))
        return torch.where(shown, draw(p), x)

    def bridge(x: Any, p: Any, alpha_t: float, alpha_s: float) -> Any:
        # q(x_s | x_t, x_0) = q(x_t | x_s) q(x_s | x_0) / q(x_t | x_0)
        weights = p / embedding(x, _kept(V, alpha_t, kind))
        mean = alpha_s * weights + (1 - alpha_s) / V * weights.sum(-1, keepdim=True)
        return draw(embedding(x, _kept(V, alpha_t / alpha_s, kind)) * mean)

    step = reveal if isinstance(noise, chains.Absorbing) else bridge

    def sample(x: Any) -> Any:
        with torch.no_grad():
            for alpha_t, alpha_s in pairwise(levels):
                x = step(x, posterior(x, alpha_t), alpha_t, alpha_s)
        return x

    return sample
