"""Reading and checking the arguments of the evidence bounds, and what both kinds of time share."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike

from ..chains import D3PM, SiteProcess
from ..mixtures.parameters import Floats, real_array, whole_number
from ..sequences import SequenceLaw
from ..sequences.checks import checked_seed, checked_tokens
from .averages import Average, OverDraws, OverStates
from .evidence import Evidence
from .site import step_loss


def read_average(
    noise: Any, data: Any, tokens: ArrayLike, draws: int | None, seed: int
) -> tuple[Average, Floats]:
    """Return the kind of average asked for and the exact log-likelihood (n,).

    Raises
    ------
    TypeError, ValueError
        If noise is no process, data no law of sequences over its vocabulary, or tokens hold what is not possible
        under the law; for draws below 2, and more states than a sum goes over.
    """
    if not isinstance(noise, SiteProcess):
        raise TypeError(f"noise is {noise!r}; give a noise process such as chains.Absorbing(vocabulary)")
    if not isinstance(data, SequenceLaw):
        raise TypeError(f"data is {data!r}; give a law of sequences, such as sequences.MarkovSequence")
    if data.vocabulary != noise.vocabulary:
        raise ValueError(
            f"data has a vocabulary of {data.vocabulary} tokens and noise {noise!r} one of {noise.vocabulary}; "
            "build both for the same tokens"
        )
    x0 = checked_tokens(tokens, data.length, data.vocabulary - 1, f"the vocabulary has {data.vocabulary}")
    exact = data.log_probability(x0)
    impossible = np.flatnonzero(np.isneginf(exact))
    if len(impossible):
        raise ValueError(
            f"tokens has probability 0 under data in row {int(impossible[0])} ({len(impossible)} such rows); leave it "
            "out: the exact posterior says nothing about it"
        )
    if draws is None:
        return OverStates(noise, data, x0), exact
    return OverDraws(noise, data, x0, whole_number(draws, "draws", least=2), checked_seed(seed)), exact


def read_parametrisation(parametrisation: object) -> bool:
    """Return True for the plug-in; ValueError for what is none."""
    if parametrisation not in ("average", "plug-in"):
        raise ValueError(f"parametrisation is {parametrisation!r}; use 'average' or 'plug-in'")
    return parametrisation == "plug-in"


def read_grid(noise: SiteProcess, grid: ArrayLike) -> list[Any]:
    """Return strictly decreasing times as numbers that the process takes, whole ones in discrete time.

    Raises
    ------
    TypeError, ValueError
        If grid is no such array of at least two times from 0 to the process's end.
    """
    times = real_array(grid, "grid")
    if times.ndim != 1 or len(times) < 2:
        raise ValueError(f"grid has shape {times.shape}; give at least two times, one after the other")
    if not (np.diff(times) < 0).all():
        index = int(np.argmax(np.diff(times) >= 0))
        raise ValueError(
            f"grid goes from {times[index]} to {times[index + 1]}; give strictly decreasing times, from the noise "
            "to the data"
        )
    if times[0] > noise.end or times[-1] < 0:
        raise ValueError(f"grid runs from {times[0]} to {times[-1]}; give times from 0 to {noise.end:g}")
    if not isinstance(noise, D3PM):
        return times.tolist()
    if (times != np.round(times)).any():
        raise ValueError(f"grid is {times.tolist()}; {noise!r} has whole times only, from 0 to {noise.steps}")
    return [int(t) for t in times]


def initial_loss(average: Average, t: Any, initial: object, stream: int) -> Floats:
    """KL divergence of q(x_t | x_0) from the law that the sampler starts with, (n, draws).

    Raises ValueError unless initial is "prior" or "marginal".
    """
    if initial == "marginal":
        return average.divergence(t, stream)
    if initial != "prior":
        raise ValueError(f"initial is {initial!r}; use 'prior' or 'marginal'")
    noise = average.noise
    by_token = scipy.special.rel_entr(noise.transition(0, t)[: noise.vocabulary], noise.prior).sum(axis=1)
    return by_token[average.tokens].sum(axis=1)[:, None]


def reconstruction_loss(average: Average, t: Any, stream: int) -> Floats:
    """-log of the product over sites of p(x_0,i | x_t), (n, draws)."""
    if t == 0:
        return np.zeros((len(average.tokens), 1))
    # A step to time 0 that averages over the posterior draws each token from it.
    return average.loss(t, step_loss(average.noise, t, t * 0), False, stream)


def as_evidence(
    average: Average, exact: Floats, terms: tuple[Floats, list[Floats], Floats], error: Floats | None = None
) -> Evidence:
    """Average the draws of the initial, path and reconstruction terms, and find the error from their spread."""
    initial, path, reconstruction = terms
    total = initial + sum(path) + reconstruction
    if error is None:
        draws = total.shape[1]
        error = total.std(axis=1, ddof=1) / np.sqrt(draws) if draws > 1 else np.zeros(len(exact))
    return Evidence(
        length=average.data.length,
        log_likelihood=exact,
        initial=initial.mean(axis=1),
        path=np.stack([part.mean(axis=1) for part in path], axis=1),
        reconstruction=reconstruction.mean(axis=1),
        error=error,
    )
