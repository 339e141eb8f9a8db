"""Sampling by rows in addressable blocks, so that a longer draw begins with a shorter one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .parameters import Floats

BLOCK_ROWS = 8192


def draw(block: Callable[[Floats, Floats, slice], Floats], n: int, dim: int, seed: int) -> Floats:
    """Fill (n, dim) rows block by block, each block from its own Philox stream.

    Parameters
    ----------
    block : callable
        Takes (BLOCK_ROWS,) uniforms, (BLOCK_ROWS, dim) standard normals and the slice of rows they are for,
        which may end beyond n; gives at least the rows of the slice below n.
    n, dim : int
    seed : int
        Key of the stream, below 2**128; block b starts at counter b * 2**192.

    Returns
    -------
    (n, dim) float64 array

    Raises
    ------
    ValueError
        If seed is 2**128 or more.
    """
    if seed >= 2**128:
        raise ValueError(f"seed is {seed}; give an integer below 2**128")
    samples = np.empty((n, dim))
    for start in range(0, n, BLOCK_ROWS):
        generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, start // BLOCK_ROWS]))
        # Whole blocks are drawn whatever n is: this is what makes prefixes agree.
        uniforms, normals = generator.random(BLOCK_ROWS), generator.standard_normal((BLOCK_ROWS, dim))
        rows = block(uniforms, normals, slice(start, start + BLOCK_ROWS))
        samples[start : start + BLOCK_ROWS] = rows[: n - start]
    return samples
