"""Flows of tokens through space: Euler steps on the simplex, and along geodesics of its statistical manifold."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytic import sequences

from .. import grids
from ..catalogue import PATHS_OF
from ..protocols import process_of
from .loop import Outcome, catalogue, everyone

Floats = NDArray[np.float64]


@catalogue.loop(
    "simplex-euler",
    promise="the tokens of the flow as steps grow",
    source="Davis et al. 2024 (Fisher flow matching); Cheng et al. 2024; Stark et al. 2024 (Dirichlet flow matching)",
    process="simplex",
)
def simplex_euler(path: Any, grid: ArrayLike, model: Any, x: Any, seed: int = 0) -> Outcome:
    """Euler's method on the flow of tokens through space, by the path's own way to go along a tangent.

    On the sphere a step is an exponential map; on the simplex a sum. Order 1. One evaluation a step, P(token | x); the
    last step, to t = 0, goes to what it says. `path.round` reads tokens off the places.

    Parameters
    ----------
    path : path of process "simplex"
        `paths.FisherRao()`, `paths.Dirichlet()` or `paths.Straight()`.
    grid : (nodes,) array
        From 1, the noise, to 0.
    model : SequenceLaw, or callable
        Its posterior is exact; a callable gives P(token | x), (n, L, V), from x and t. TypeError for anything else.
    x : (n, L, V) array
        Places at the grid's start, such as `path.noise(n, L, V)`.
    seed : int
        Not used: the flow draws nothing.

    Returns
    -------
    Outcome
        Places.
    """
    if process_of(path) != "simplex":
        raise ValueError(
            f"path is {path!r}, a {process_of(path)} process, and this loop is for simplex ones: give "
            f"{PATHS_OF['simplex']}, or another loop (see assay list loops)"
        )
    times, places = grids.check(path, grid), np.asarray(x, dtype=np.float64)
    ask: Callable[[Floats, float], Any]
    if isinstance(model, sequences.SequenceLaw):
        if places.shape[1:] != (model.length, model.vocabulary):
            raise ValueError(f"x has shape {places.shape}: give (n, {model.length}, {model.vocabulary})")

        def ask(x: Floats, t: float) -> Any:
            return model.posterior(path.likelihood(x, t))
    elif callable(model):
        ask = model
    else:
        raise TypeError(
            f"model is {model!r}: give a law of analytic.sequences, or a callable P(token | x, t)"
        )
    if places.ndim != 3:
        raise ValueError(f"x has shape {places.shape}: give (n, L, V), a place on a simplex for each site")
    for t, s in pairwise(times.tolist()):
        tokens = np.asarray(ask(places, t), dtype=np.float64)
        if tokens.shape != places.shape:
            raise ValueError(f"model gave shape {tokens.shape}: give probabilities of shape {places.shape}")
        places = path.move(places, (t - s) * path.velocity(places, t, tokens))
    n, steps = len(places), len(times) - 1
    return Outcome(places, everyone(n, steps), everyone(n, steps), everyone(n, 0), times)
