"""The evidence bound of ancestral sampling on a grid of times (D3PM)."""

from __future__ import annotations

from itertools import pairwise

from numpy.typing import ArrayLike

from ..chains import SiteProcess
from ..sequences import SequenceLaw
from .arguments import (
    as_evidence,
    initial_loss,
    read_average,
    read_grid,
    read_parametrisation,
    reconstruction_loss,
)
from .evidence import Evidence
from .site import step_loss


def discrete_time(
    noise: SiteProcess,
    grid: ArrayLike,
    data: SequenceLaw,
    tokens: ArrayLike,
    *,
    parametrisation: str = "average",
    initial: str = "prior",
    draws: int | None = None,
    seed: int = 0,
) -> Evidence:
    """Evidence bound of ancestral sampling with the exact posterior as the model, beside the exact log-likelihood.

        bound = E log p(x_0 | x_N) - sum_k E KL(q(x_{k+1} | x_k, x_0) | p(x_{k+1} | x_k)) - KL(q(x_{t_0} | x_0) | start)

    Expectations are over q(x_k | x_0), and p moves the sites independently given x_k. The mean of the gap over the
    data is the KL divergence of the sampler's whole path from the true one: with the average, the sum over steps of
    the expected total correlation of x_{k+1} given x_k, which is of first order in the step, plus that of the start.

    Parameters
    ----------
    noise : SiteProcess
        Any of `chains`.
    grid : (steps + 1,) array_like
        Strictly decreasing times from the noise to the data; whole numbers for `chains.D3PM`.
    data : SequenceLaw
    tokens : (n, length) integer array_like
        x_0, each row possible under data.
    parametrisation : str
        "average": each site's bridge q(x_s | x_t, x_0) averaged over the posterior, which is its exact law given
        x_t. "plug-in": the posterior mean of x_0 put into the bridge's formula, as D3PM writes it, biased unless
        the noise is a mask. x_0 itself is always drawn from the posterior.
    initial : str
        Law that sampling starts with: "prior", independent sites with `noise.prior`, or "marginal", the exact one.
    draws : int, optional
        Monte Carlo draws of x_k per sequence and step, at least 2, for sequences of any length; by default sums over
        all states, at most 131072.
    seed : int
        Of the draws.

    Returns
    -------
    Evidence
        The start's term is infinite where the prior excludes states that x_{t_0} may have, such as tokens that
        are not yet masked.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these, a row of tokens is impossible, or there are too many states.

    References
    ----------
    Austin et al. 2021 (D3PM), eq. 1 for the bound, eq. 4 for the plug-in.
    """
    plug_in = read_parametrisation(parametrisation)
    average, exact = read_average(noise, data, tokens, draws, seed)
    times = read_grid(noise, grid)
    path = [
        average.loss(t, step_loss(noise, t, s), plug_in, stream)
        for stream, (t, s) in enumerate(pairwise(times))
    ]
    start = initial_loss(average, times[0], initial, len(times))
    return as_evidence(average, exact, (start, path, reconstruction_loss(average, times[-1], len(path))))
