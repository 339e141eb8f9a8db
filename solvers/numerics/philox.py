"""Normal deviates with an address: Philox keyed by the seed, counted by (sample, step, channel, dimension).

A deviate depends on its address alone, so results do not change with threads, chunks, batch order or device.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy.typing import NDArray

from .jit import COMPILED, INLINED, in_parallel
from .lanes import convert, fma, join, lane_of, ordinals, reinterpret, root, select, start_of, store
from .primitives import log, sincospi

Array = NDArray[np.float64]
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _HALF, _ONE, _ELEVEN = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(1), np.uint64(11)
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

    Dimensions 2p and 2p + 1 come from the words of pair p. `words` (2, lanes) uint64 is scratch.
    """
    for pair in range((out.shape[0] + 1) // 2):
        fill_pair(seed, first, step, channel, pair, words, out)


def fill_pair(seed: Any, first: Any, step: Any, channel: Any, pair: Any, words: Any, out: Any) -> Any:
    """Fill rows 2 pair and 2 pair + 1 of out (dim, lanes), or the one that there is, see `fill_normals`."""
    kind = out.dtype.type
    fill_words(seed, first, step, channel, pair, words)
    for lane in range(out.shape[1]):
        x, y = box_muller(words[0, lane], words[1, lane], kind)
        out[2 * pair, lane] = x
        if 2 * pair + 1 < out.shape[0]:
            out[2 * pair + 1, lane] = y


# on the CPU the same for several samples at once

_HIGH_BITS, _TURN, _SIGNED = np.uint64(29), np.uint64((1 << 29) - 1), np.uint64(0x4338000000000000)
_AT_MAGIC, _MAGIC, _MAGIC_SIGNED = np.uint64(0x4330000000000000), 4503599627370496.0, 6755399441055744.0
_TO_32, _TO_63, _TO_31, _TO_53 = 2.0**-32, 2.0**-63, 2.0**-31, 2.0**-53
_ONE_32, _HIGH_BITS_32, _TURN_32 = np.uint32(1), np.uint32(29), np.uint32((1 << 29) - 1)
_TO_31_32, _TO_62_32, _HALF_32 = np.float32(2.0**-31), np.float32(2.0**-62), np.float32(0.5)
_SIGN, _SIGN_32, _TWO, _TWO_32 = np.uint64(62), np.uint32(30), np.uint64(2), np.uint32(2)


@njit(**INLINED)
def _two_rounds(words: Any, k0: Any, k1: Any) -> Any:
    """Rounds of Philox4x32 by a key and the next, on lanes of four words, of which the low halves count."""
    c0, c1, c2, c3 = words
    p0, p1 = _M0 * (c0 & _LOW), _M1 * (c2 & _LOW)
    c0, c1, c2, c3 = (p1 >> _HALF) ^ (c1 ^ k0), p1, (p0 >> _HALF) ^ (c3 ^ k1), p0
    p0, p1 = _M0 * (c0 & _LOW), _M1 * (c2 & _LOW)
    return (p1 >> _HALF) ^ (c1 ^ (k0 + _W0)), p1, (p0 >> _HALF) ^ (c3 ^ (k1 + _W1)), p0


@njit(**INLINED)
def words_of(seed: Any, samples: Any, step: Any, place: Any) -> Any:
    """Philox4x32-10 for lanes of samples (uint64) at (step, place): four words each, in the low halves of uint64.

    What is above them is not cleared before the end: a product takes the low halves alone.
    """
    k0, k1 = seed & _LOW, seed >> _HALF
    zero = samples ^ samples
    words = samples, samples >> _HALF, zero + step, zero + place
    # no loop: the keys of a round are then no work of the lanes, and the next lanes begin before these have ended
    words = _two_rounds(words, k0, k1)
    words = _two_rounds(words, k0 + np.uint64(2) * _W0, k1 + np.uint64(2) * _W1)
    words = _two_rounds(words, k0 + np.uint64(4) * _W0, k1 + np.uint64(4) * _W1)
    words = _two_rounds(words, k0 + np.uint64(6) * _W0, k1 + np.uint64(6) * _W1)
    c0, c1, c2, c3 = _two_rounds(words, k0 + np.uint64(8) * _W0, k1 + np.uint64(8) * _W1)
    return c0 & _LOW, c1 & _LOW, c2 & _LOW, c3 & _LOW


@njit(**INLINED)
def unit_of(high: Any, low: Any) -> Any:
    """The uniform numbers in [0, 1) that `uniforms` makes of lanes of two words, each 32 bits of a uint64."""
    first = reinterpret(high | _AT_MAGIC, np.float64) - _MAGIC
    return fma(reinterpret((low >> _ELEVEN) | _AT_MAGIC, np.float64) - _MAGIC, _TO_53, first * _TO_32)


@njit(**INLINED)
def _pair_64(a: Any, b: Any, c: Any, d: Any) -> Any:
    """`box_muller` of lanes of words, each 32 bits of a uint64, in float64."""
    high = reinterpret(a | _AT_MAGIC, np.float64) - _MAGIC
    low = reinterpret((b >> _ONE) | _AT_MAGIC, np.float64) - (_MAGIC - 0.5)
    radius = root(-2.0 * log(fma(low, _TO_63, high * _TO_32)))
    octant = c >> _HIGH_BITS
    rest = (c & _TURN) - ((octant & _ONE) << _HIGH_BITS) + _SIGNED  # a whole number, negative in odd octants
    turn = reinterpret(rest, np.float64) - _MAGIC_SIGNED
    fine = reinterpret(d | _AT_MAGIC, np.float64) - _MAGIC
    sine, cosine = sincospi(fma(fine, _TO_63, turn * _TO_31))
    quarter = (octant + _ONE) >> _ONE
    odd = (quarter & _ONE) > (quarter ^ quarter)
    sine, cosine = select(odd, cosine, sine), select(odd, sine, cosine)
    cosine = reinterpret(reinterpret(cosine, np.uint64) ^ (((quarter + _ONE) & _TWO) << _SIGN), np.float64)
    sine = reinterpret(reinterpret(sine, np.uint64) ^ ((quarter & _TWO) << _SIGN), np.float64)
    return radius * cosine, radius * sine


@njit(**INLINED)
def _pair_32(a: Any, b: Any, c: Any, d: Any) -> Any:
    """`box_muller` of lanes of words (uint32), in float32."""
    high = convert(reinterpret(a >> _ONE_32, np.int32), np.float32)
    low = convert(reinterpret(b >> _ONE_32, np.int32), np.float32) + _HALF_32
    radius = root(np.float32(-2.0) * log(fma(low, _TO_62_32, high * _TO_31_32)))
    octant = c >> _HIGH_BITS_32
    rest = (c & _TURN_32) - ((octant & _ONE_32) << _HIGH_BITS_32)
    fine = convert(reinterpret(d >> _ONE_32, np.int32), np.float32)
    turn = convert(reinterpret(rest, np.int32), np.float32)
    sine, cosine = sincospi(fma(fine, _TO_62_32, turn * _TO_31_32))
    quarter = (octant + _ONE_32) >> _ONE_32
    odd = (quarter & _ONE_32) > (quarter ^ quarter)
    sine, cosine = select(odd, cosine, sine), select(odd, sine, cosine)
    cosine = reinterpret(
        reinterpret(cosine, np.uint32) ^ (((quarter + _ONE_32) & _TWO_32) << _SIGN_32), np.float32
    )
    sine = reinterpret(reinterpret(sine, np.uint32) ^ ((quarter & _TWO_32) << _SIGN_32), np.float32)
    return radius * cosine, radius * sine


@njit(**INLINED)
def pair_of_64(seed: Any, first: Any, step: Any, place: Any) -> Any:
    """Lanes of deviates of samples first, first + 1, ... in float64: those of two dimensions."""
    a, b, c, d = words_of(seed, ordinals(first), step, place)
    return _pair_64(a, b, c, d)


@njit(**INLINED)
def pair_of_32(seed: Any, first: Any, step: Any, place: Any) -> Any:
    """The same in float32, of which twice as many are lanes."""
    a, b, c, d = words_of(seed, ordinals(first), step, place)
    e, f, g, h = words_of(seed, ordinals(first + 8), step, place)
    return _pair_32(_both(a, e), _both(b, f), _both(c, g), _both(d, h))


@njit(**INLINED)
def _both(a: Any, b: Any) -> Any:
    return join(convert(a, np.uint32), convert(b, np.uint32))


@njit(**INLINED)
def place_of(channel: Any, pair: Any) -> Any:
    """The counter's last word: where a pair of dimensions lies in the noise of a step."""
    return (np.uint64(channel) << np.uint64(24)) | np.uint64(pair)


def _fill_pair_in(width: int, pair_of: Any) -> Any:
    def fill(seed: Any, first: Any, step: Any, channel: Any, pair: Any, words: Any, out: Any) -> Any:
        place, two = place_of(channel, pair), 2 * pair + 1 < out.shape[0]
        lanes, start = out.shape[1], start_of(out)
        for lane in range(0, lanes, width):
            x, y = pair_of(seed, first + lane, np.uint64(step), place)
            if lane + width <= lanes:
                store(start, 2 * pair * lanes + lane, x)
                if two:
                    store(start, (2 * pair + 1) * lanes + lane, y)
            else:
                for rest in range(lanes - lane):
                    out[2 * pair, lane + rest] = lane_of(x, rest)
                    if two:
                        out[2 * pair + 1, lane + rest] = lane_of(y, rest)

    return fill


_fill_pair_64, _fill_pair_32 = _fill_pair_in(8, pair_of_64), _fill_pair_in(16, pair_of_32)


@overload(fill_pair, target="cpu")
def _(seed: Any, first: Any, step: Any, channel: Any, pair: Any, words: Any, out: Any) -> Any:
    if out.layout != "C":  # lanes are read from memory at once
        return fill_pair
    return _fill_pair_32 if out.dtype == types.float32 else _fill_pair_64


@njit(**COMPILED)
def _normals(begin: int, end: int, seed: Any, first: int, step: int, channel: int, out: Any) -> None:
    """Fill blocks begin .. end - 1 of the rows of out (n, dim)."""
    n, dim = out.shape
    for block in range(begin, end):
        row = block * LANES
        lanes = min(LANES, n - row)
        words, buffer = np.empty((2, lanes), dtype=np.uint64), np.empty((dim, lanes))
        fill_normals(seed, first + row, step, channel, words, buffer)
        for lane in range(lanes):
            for d in range(dim):
                out[row + lane, d] = buffer[d, lane]


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
    in_parallel(_normals, -(-n // LANES), check_seed(seed), first, step, channel, out)
    return out
