"""Steps of tokens in the plain form with one fault each, and the sound ones that they were made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Step = Callable[..., Any]


def masked(
    keep: float = 1.0, ask: str = "start", unmask: bool = False, ordered: bool = False, total: float = 1.0
) -> Step:
    """Ancestral step under masks, each site's probabilities.

    `keep`: factor of the share that stays masked; `ask`: where the posterior is asked; `unmask`: revealed tokens are
    masked again; `ordered`: the second site never moves together with the first; `total`: what probabilities sum to.
    """

    def step(posterior: Any, x: Any, t: float, s: float) -> Any:
        law = posterior(x, s if ask == "end" else t)
        V = law.shape[-1]
        stay = min(1.0, keep * s / t)
        rows = np.concatenate([law * (1 - stay), np.full((*x.shape, 1), stay)], axis=-1)
        rows = np.where((x == V)[..., None], rows, np.eye(V + 1)[x])
        if unmask:
            rows[x != V] = 0.95 * rows[x != V] + 0.05 * np.eye(V + 1)[V]
        if ordered and x.shape[1] > 1:
            both = (x[:, 0] == V) & (x[:, 1] == V)
            rows[both, 1] = np.eye(V + 1)[V]
        return rows * total

    return step


def uniform(ask: str = "start") -> Step:
    """Euler step on the reverse rates of uniform noise, from the posterior alone; `ask`: the time it is told."""

    def step(posterior: Any, x: Any, t: float, s: float) -> Any:
        law = posterior(x, {"start": t, "end": s, "middle": (t + s) / 2, "outside": 0.9 * s}[ask])
        V = law.shape[-1]
        alpha = 1 - t
        # the reverse rate to y is beta/V p_t(y)/p_t(x), and p_t(y)/p_t(x) the mean of q(y | v)/q(x | v)
        q = alpha * np.eye(V) + (1 - alpha) / V
        ratio = np.einsum("nlv,vy,nlv->nly", law, q, 1 / q[:, x].transpose(1, 2, 0))
        rows = (t - s) / (alpha * V) * ratio
        np.put_along_axis(rows, x[..., None], 0.0, axis=-1)
        np.put_along_axis(rows, x[..., None], 1 - rows.sum(axis=-1, keepdims=True), axis=-1)
        return rows

    return step


def drawn(how: str = "cumulated", rows: Step | None = None) -> Step:
    """Draw from a step's probabilities: by their sum, or by Gumbel numbers in float64 or, as torch draws, float32."""
    of = rows or masked()

    def cumulated(posterior: Any, x: Any, t: float, s: float, uniform: Any) -> Any:
        law = of(posterior, x, t, s)
        return (uniform(*x.shape, 1) > np.cumsum(law, axis=-1)[..., :-1]).sum(axis=-1)

    def gumbel(posterior: Any, x: Any, t: float, s: float) -> Any:
        dtype = torch.float32 if how == "float32" else torch.float64
        law = torch.from_numpy(of(posterior, x, t, s)).to(dtype)
        u = torch.rand(law.shape, dtype=dtype)
        return torch.argmax(torch.log(law) - torch.log(-torch.log(u)), dim=-1).numpy()

    return cumulated if how == "cumulated" else gumbel


def careless(how: str) -> Step:
    """The sound step with one careless habit."""
    calls = [0]

    def step(posterior: Any, x: Any, t: float, s: float) -> Any:
        calls[0] += 1
        if how == "twice":
            posterior(x, t)
        rows = masked()(posterior, x, t, s)
        if how == "input":
            x[0, 0] = 1
        if how == "batch":
            rows = rows * 0.99 + 0.01 * rows.mean(axis=0)
        if how == "state":
            rows = rows * (1 - 1e-6 * calls[0])
        return rows[..., :-1] if how == "shape" else rows

    return step


def gibbs(mean: bool = False) -> Step:
    """A corrector: one site after another is masked and revealed again with probability t; `mean`: all at once."""

    def step(posterior: Any, x: Any, t: float, s: float, uniform: Any) -> Any:
        x = np.array(x)
        V = posterior(x, t).shape[-1]
        seen = x.copy()
        for site in range(x.shape[1]):
            hidden = (seen if mean else x).copy()
            hidden[:, site] = V
            law = posterior(hidden, t)[:, site]
            rows = np.concatenate([law * (1 - t), np.full((len(x), 1), t)], axis=1)
            x[:, site] = (uniform(len(x), 1) > np.cumsum(rows, axis=1)[:, :-1]).sum(axis=1)
        return x

    return step
