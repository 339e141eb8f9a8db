"""The exact law of masked tokens given the others: what infilling must draw from."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..mixtures.parameters import Floats
from ..sequences import SequenceLaw
from ..sequences.checks import MOST_STATES, checked_tokens


def conditional(data: SequenceLaw, tokens: ArrayLike) -> Floats:
    """Joint law of the masked tokens given the revealed ones, by enumeration of the masked sites.

    `data.posterior_sample(reveal(tokens[None], vocabulary))` draws from it.

    Parameters
    ----------
    data : SequenceLaw
    tokens : (length,) integer array_like
        From 0 to vocabulary; the value `vocabulary` is the mask.

    Returns
    -------
    (vocabulary,) * masked float64 array
        One axis per masked site, from left to right; sums to one.

    Raises
    ------
    TypeError, ValueError
        If tokens are out of range or of another shape, the revealed ones are impossible, or the masked ones have
        more than 2 million values.
    """
    mask = data.vocabulary
    row = checked_tokens(np.asarray(tokens)[None], data.length, mask, f"{mask} is the mask")[0]
    masked = np.flatnonzero(row == mask)
    shape = (data.vocabulary,) * len(masked)
    count = data.vocabulary ** len(masked)
    if count > MOST_STATES:
        raise ValueError(
            f"tokens has {len(masked)} masked sites, {count} ways to fill them, more than {MOST_STATES}; reveal more, "
            "or draw by posterior_sample"
        )
    filled = np.tile(row, (count, 1))
    filled[:, masked] = np.stack(np.unravel_index(np.arange(count), shape), axis=1) if len(masked) else 0
    logs = data.log_probability(filled)
    if np.isneginf(logs).all():
        raise ValueError(
            "tokens reveals what has probability 0 under data; reveal tokens that can occur together"
        )
    weights = np.exp(logs - logs.max())
    return (weights / weights.sum()).reshape(shape)
