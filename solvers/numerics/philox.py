"""Normal deviates with an address: Philox keyed by the seed, counted by (sample, step, channel, dimension).

A deviate depends on its address alone, so results do not change with threads, chunks, batch order or device.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .jit import COMPILED, PARALLEL
from .primitives import log, sincospi

Array = NDArray[np.float64]
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _HALF, _ONE = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(1)
_EIGHTH, _REST = np.uint64(61), np.uint64((1 << 61) - 1)
MAX_CHANNELS, MAX_DIM = 256, 1 << 25
LANES = 64


@njit(inline="always", **COMPILED)
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Philox4x32-10 of a counter of four and a key of two uint32 words.

    Salmon et al. 2011, section 3.3 and table 2.
    """
    # the state is uint32; products and sums pass through uint64, from which nothing overflows when interpreted
    for _ in range(10):
        p0, p1 = _M0 * np.uint64(c0), _M1 * np.uint64(c2)
        c0, c1, c2, c3 = (
            np.uint32(np.uint32(p1 >> _HALF) ^ c1 ^ k0),
            np.uint32(p1 & _LOW),
            np.uint32(np.uint32(p0 >> _HALF) ^ c3 ^ k1),
            np.uint32(p0 & _LOW),
        )
        k0 = np.uint32((np.uint64(k0) + _W0) & _LOW)
        k1 = np.uint32((np.uint64(k1) + _W1) & _LOW)
    return c0, c1, c2, c3


@njit(inline="always", **COMPILED)
def in_quarter(quarter: Any, sine: Any, cosine: Any) -> tuple[Any, Any]:
    """Sine and cosine of an angle that lies so many quarter turns (int64) beyond the one given."""
    if quarter & np.int64(1):
        sine, cosine = cosine, sine
    if (quarter + np.int64(1)) & np.int64(2):
        cosine = -cosine
    if quarter & np.int64(2):
        sine = -sine
    return sine, cosine


@njit(inline="always", **COMPILED)
def box_muller(high: Any, low: Any, kind: Any) -> tuple[Any, Any]:
    """Two independent N(0, 1) of type `kind` from two uint64 words (Box and Muller 1958).

    The radius uses 63 bits, so its tail reaches 9.3 standard deviations in float32 too; the angle uses 64, of which
    the first three choose the octant, so that the rest is rounded relative to the nearest quarter turn.
    """
    u = (kind(np.int64(high >> _ONE)) + kind(0.5)) * kind(1.0842021724855044e-19)
    radius = kind(sqrt(kind(-2.0) * log(u)))
    octant = np.int64(low >> _EIGHTH)
    rest = np.int64(low & _REST) - ((octant & np.int64(1)) << np.int64(61))
    sine, cosine = sincospi(kind(rest) * kind(1.0842021724855044e-19))
    sine, cosine = in_quarter((octant + np.int64(1)) >> np.int64(1), sine, cosine)
    return radius * cosine, radius * sine


@njit(**COMPILED)
def fill_words(seed: Any, first: int, step: int, channel: int, pair: int, words: Any) -> None:
    """Fill words (2, lanes) uint64 for samples first, first + 1, ...

    The counter is (sample low, sample high, step, channel * 2^24 + pair).
    """
    k0, k1 = np.uint32(seed & _LOW), np.uint32(seed >> _HALF)
    place = np.uint32(np.uint32(channel) << np.uint32(24)) | np.uint32(pair)
    for lane in range(words.shape[1]):
        sample = np.uint64(first + lane)
        a, b, c, d = philox(
            np.uint32(sample & _LOW), np.uint32(sample >> _HALF), np.uint32(step), np.uint32(place), k0, k1
        )
        words[0, lane] = (np.uint64(a) << _HALF) | np.uint64(b)
        words[1, lane] = (np.uint64(c) << _HALF) | np.uint64(d)


@njit(**COMPILED)
def fill_normals(seed: Any, first: int, step: int, channel: int, words: Any, out: Any) -> None:
    """Fill out (dim, lanes), of either float type, with the deviates of samples first, ... at one (step, channel).

    Dimensions 2p and 2p + 1 come from the words of pair p. `words` (2, lanes) uint64 is scratch: integers and
    floats in loops of their own become vector instructions.
    """
    dim, lanes = out.shape
    kind = out.dtype.type
    for pair in range((dim + 1) // 2):
        fill_words(seed, first, step, channel, pair, words)
        if 2 * pair + 1 < dim:
            for lane in range(lanes):
                x, y = box_muller(words[0, lane], words[1, lane], kind)
                out[2 * pair, lane] = x
                out[2 * pair + 1, lane] = y
        else:
            for lane in range(lanes):
                out[2 * pair, lane] = box_muller(words[0, lane], words[1, lane], kind)[0]


@njit(**PARALLEL)
def _normals(seed: Any, first: int, step: int, channel: int, out: Any) -> None:
    n, dim = out.shape
    for block in prange((n + LANES - 1) // LANES):
        begin = block * LANES
        lanes = min(LANES, n - begin)
        words, buffer = np.empty((2, lanes), dtype=np.uint64), np.empty((dim, lanes))
        fill_normals(seed, first + begin, step, channel, words, buffer)
        for lane in range(lanes):
            for d in range(dim):
                out[begin + lane, d] = buffer[d, lane]


def check_seed(seed: object) -> np.uint64:
    """Return the seed as the stream's key. ValueError outside 0 .. 2^64 - 1, TypeError for non-integers."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed is {seed!r}: give an integer from 0 to 2^64 - 1")
    if not 0 <= int(seed) < 1 << 64:
        raise ValueError(f"seed is {seed}: give an integer from 0 to 2^64 - 1")
    return np.uint64(seed)


def normals(seed: int, n: int, dim: int, step: int, channel: int, first: int = 0) -> Array:
    """Return the (n, dim) standard normal deviates of samples first .. first + n - 1 at one (step, channel).

    `step` is the tableau's step index, `channel` the channel's index within the step.
    """
    out = np.empty((n, dim))
    _normals(check_seed(seed), first, step, channel, out)
    return out
