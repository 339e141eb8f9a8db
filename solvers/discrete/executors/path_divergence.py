"""How far a sampler's path is from the exact reverse process: path KL, step by step."""

from __future__ import annotations

import numpy as np
import scipy

from analytic import sequences

from ...numerics.jit import using_threads
from ..flow import Array
from ..kernel import Kernel
from ..model.every_state import Tables
from ..moves.move import Move

MOST_MATRIX_STATES = 1024


def path_kl(kernel: Kernel, data: sequences.SequenceLaw, tables: Tables | None = None) -> Array:
    """Kullback-Leibler divergence of the sampler's path from that of the exact reverse process, (steps,).

    Paths are the states at the nodes of the grid, both started from the exact marginal, so that by the chain
    rule the divergence is a sum over steps of E_{x ~ p_t} KL(exact law of x_s given x | sampler's law). A step
    whose sites move independently costs what any such step must, the expected total correlation of the exact
    step, plus the divergences of its sites; other steps are compared state by state.

    Parameters
    ----------
    kernel : Kernel
        Its finaliser is left out.
    data : SequenceLaw
    tables : Tables, optional
        Tables of the same process and data, to share them between calls.

    Returns
    -------
    (steps,) array
        Nats per step; infinite where the sampler cannot go where the exact process does, nan where a step
        is a signed measure, and for moves that go from event to event inside a step.

    Raises
    ------
    ValueError
        Too many states: more than 131072, or than 1024 for steps whose sites do not move independently.
    """
    tables = tables or Tables(kernel.process, data)
    times = kernel.grid.tolist()
    with using_threads(tables.threads):
        return np.array(
            [
                _step_kl(step, t, s, tables)
                for step, t, s in zip(kernel.steps, times[:-1], times[1:], strict=True)
            ]
        )


def _step_kl(step: tuple[Move, ...], t: float, s: float, tables: Tables) -> float:
    if any(move.by_events for move in step):
        return float("nan")
    rows = step[0].rows(tables) if len(step) == 1 else None
    if rows is not None:
        return tables.total_correlation(t, s) + _sites_kl(rows, t, s, tables)
    if tables.size > MOST_MATRIX_STATES:
        raise ValueError(
            f"data has {tables.size} states: the path of a step that is no product over sites is compared for at most "
            f"{MOST_MATRIX_STATES}; shorten the sequences"
        )
    here = tables.evidence(t)
    reached = here > 0
    sampled = np.diag(reached.astype(np.float64))
    for move in step:
        sampled = sampled @ move.matrix(tables, reached)
        reached = (sampled != 0).any(axis=0)
    if (sampled < 0).any():
        return float("nan")
    return float(scipy.special.rel_entr(tables.joint(t, s), here[:, None] * sampled).sum())


def _sites_kl(rows: Array, t: float, s: float, tables: Tables) -> float:
    here = tables.evidence(t)
    held = here > 0
    exact, given = tables.reverse_rows(t, s)[held], rows[held]
    if (given < -1e-12).any():
        return float("nan")
    return float(
        (here[held][:, None] * scipy.special.rel_entr(exact, np.maximum(given, 0.0)).sum(axis=2)).sum()
    )
