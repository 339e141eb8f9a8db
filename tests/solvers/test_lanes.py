"""Lanes do what scalars do, each for itself; primitives and normals by lanes against plain forms."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numba
import numpy as np
import pytest
from numba import njit

from solvers.numerics import philox, primitives
from solvers.numerics.lanes import (
    BYTES,
    any_of,
    at,
    beyond,
    convert,
    fma,
    join,
    lane_of,
    larger,
    load,
    ordinals,
    reinterpret,
    root,
    select,
    spread,
    start_of,
    store,
)

FLOATS, WORDS = (np.float32, np.float64), (np.uint32, np.uint64)


@njit
def _arithmetic(x: Any, y: Any, out: Any) -> None:
    p, q, r = start_of(x), start_of(y), start_of(out)
    kind = x.dtype.type
    a, b, n = load(p, 0), load(q, 0), len(x)
    for i, value in enumerate(
        (
            a + b,
            a - b,
            a * b,
            a / b,
            -a,
            kind(2.0) - a,
            root(larger(a, kind(0.0))),
            fma(a, b, kind(-1.0)),
            select(a < b, a, b),
            select(a >= kind(0.25), b, kind(7.0)),
            spread(at(p, 1)) + load(beyond(q, 0), 0),
        )
    ):
        store(r, i * n, value)


@pytest.mark.parametrize("kind", FLOATS)
def test_arithmetic_is_that_of_each_lane(kind: Any) -> None:
    x, y = np.random.default_rng(0).standard_normal((2, BYTES // kind().itemsize)).astype(kind)
    out = np.empty((11, len(x)), kind)
    _arithmetic(x, y, out)
    exact = [
        kind(float(Fraction(float(a)) * Fraction(float(b)) - 1)) for a, b in zip(x, y, strict=True)
    ]  # rounded twice in float32, which shows in none of these
    wanted = [x + y, x - y, x * y, x / y, -x, 2 - x, np.sqrt(np.maximum(x, 0)), exact, np.minimum(x, y)]
    wanted += [np.where(x >= 0.25, y, 7), x[1] + y]
    for found, right in zip(out, wanted, strict=True):
        np.testing.assert_array_equal(found, np.asarray(right, kind))
    assert np.any(out[7] != (x * y - kind(1)))  # which is rounded twice


@njit
def _bits(x: Any, y: Any, out: Any) -> bool:
    p, q, r = start_of(x), start_of(y), start_of(out)
    kind = x.dtype.type
    a, b, n = load(p, 0), load(q, 0), len(x)
    values = (a + b, a * b, a & b, a | b, a ^ b, a << kind(3), a >> kind(5), select(a > b, a, b))
    for i, value in enumerate(values):
        store(r, i * n, value)
    return bool(any_of(a == b))


@pytest.mark.parametrize("kind", WORDS)
def test_bits_are_those_of_each_lane(kind: Any) -> None:
    most = np.iinfo(kind).max
    x, y = np.random.default_rng(0).integers(0, most, (2, BYTES // kind().itemsize), kind, endpoint=True)
    out = np.empty((8, len(x)), kind)
    assert not _bits(x, y, out)
    wanted = [x + y, x * y, x & y, x | y, x ^ y, x << kind(3), x >> kind(5), np.maximum(x, y)]
    np.testing.assert_array_equal(out, wanted)
    y[-1] = x[-1]
    assert _bits(x, y, out)


@njit
def _conversions(x: Any, halves: Any, floats: Any, signed: Any) -> Any:
    a = load(start_of(x), 0)
    store(start_of(halves), 0, join(convert(a, np.uint32), convert(a >> np.uint64(32), np.uint32)))
    store(start_of(floats), 0, reinterpret(ordinals(np.uint64(1 << 62)), np.float64))
    small = reinterpret(load(start_of(halves), 0), np.int32)
    store(start_of(signed), 0, convert(small, np.float32))
    return lane_of(a, 3)


def test_conversions_keep_numbers_and_reinterpretations_keep_bits() -> None:
    x = np.random.default_rng(0).integers(0, 2**64, 8, np.uint64)
    halves, floats, signed = np.empty(16, np.uint32), np.empty(8), np.empty(16, np.float32)
    assert _conversions(x, halves, floats, signed) == x[3]
    np.testing.assert_array_equal(halves, np.concatenate([x.astype(np.uint32), (x >> np.uint64(32))]))
    np.testing.assert_array_equal(
        floats, (np.uint64(1 << 62) + np.arange(8, dtype=np.uint64)).view(np.float64)
    )
    np.testing.assert_array_equal(signed, halves.view(np.int32).astype(np.float32))


def test_only_contiguous_arrays_have_a_start() -> None:
    with pytest.raises(numba.TypingError, match="give one that is contiguous"):
        njit(lambda a: at(start_of(a), 0))(np.zeros(8)[::2])


# ---------------------------------------------------------------- primitives


@njit
def _by_lanes(x: Any, exp: Any, exp2: Any, log: Any, sine: Any, cosine: Any) -> None:
    p = start_of(x)
    kind = x.dtype.type
    for i in range(0, len(x), BYTES // x.itemsize):
        a = load(p, i)
        store(start_of(exp), i, primitives.exp(-a))
        store(start_of(exp2), i, primitives.exp2(-a))
        store(start_of(log), i, primitives.log(a))
        s, c = primitives.sincospi(larger(kind(0.25) - a, kind(-0.25)))
        store(start_of(sine), i, s)
        store(start_of(cosine), i, c)


@njit
def _by_scalars(x: Any, exp: Any, exp2: Any, log: Any, sine: Any, cosine: Any) -> None:
    kind = x.dtype.type
    for i in range(len(x)):
        exp[i], exp2[i], log[i] = primitives.exp(-x[i]), primitives.exp2(-x[i]), primitives.log(x[i])
        sine[i], cosine[i] = primitives.sincospi(max(kind(0.25) - x[i], kind(-0.25)))


@pytest.mark.parametrize("kind", FLOATS)
def test_primitives_of_lanes_are_those_of_scalars_to_the_bit(kind: Any) -> None:
    x = np.concatenate([np.random.default_rng(0).random(4000), np.geomspace(1e-30, 2000, 96)]).astype(kind)
    found, right = np.empty((5, len(x)), kind), np.empty((5, len(x)), kind)
    _by_lanes(x, *found)
    _by_scalars(x, *right)
    np.testing.assert_array_equal(found, right)


def ulps(found: Any, exact: Any) -> float:
    """Largest error in units in the last place."""
    return float(
        np.max(np.abs(found - exact) / np.spacing(np.abs(exact).astype(found.dtype)).astype(np.longdouble))
    )


@pytest.mark.parametrize(
    ("kind", "least", "least_2"), [(np.float32, -87.0, -126), (np.float64, -708.0, -1022)]
)
def test_primitives_are_as_accurate_as_they_say_over_all_their_range(
    kind: Any, least: float, least_2: int
) -> None:
    """A dense scan: two million points, and both sides of every half power of two, where polynomials end."""
    halves = np.arange(0, -least_2, 0.5)
    x = np.concatenate([np.linspace(0, -least_2, 2**21 - 1), halves, np.nextafter(halves, 0)])
    x = np.abs(np.resize(x, -(-len(x) // 16) * 16)).astype(kind)
    found = np.empty((5, len(x)), kind)
    _by_lanes(x, *found)
    exact = x.astype(np.longdouble)
    assert 0.5 < ulps(found[1], np.exp2(-exact)) <= 1.0
    above = x <= -least
    assert 0.5 < ulps(found[0][above], np.exp(-exact[above])) <= 1.5

    u = np.concatenate([np.linspace(0, 1, 2**21 + 1)[1:], np.geomspace(1e-37, 1, 2**16)]).astype(kind)
    found = np.empty((5, len(u)), kind)
    _by_lanes(u, *found)
    exact = u.astype(np.longdouble)
    inside = u < 1
    assert 0.5 < ulps(found[2][inside], np.log(exact[inside])) <= 2.0
    quarter = np.maximum(kind(0.25) - u, kind(-0.25)).astype(np.longdouble) * np.arccos(np.longdouble(-1))
    off = {np.float32: 9e-8, np.float64: 1.5e-16}[kind]
    assert np.abs(found[3] - np.sin(quarter)).max() <= off
    assert np.abs(found[4] - np.cos(quarter)).max() <= off


@pytest.mark.parametrize("kind", FLOATS)
def test_what_is_no_number_stays_none(kind: Any) -> None:
    """Else a trajectory that overflows would end as a number like others."""
    x = np.full(16, np.nan, kind)
    for primitives_of in (_by_lanes, _by_scalars):
        found = np.empty((5, 16), kind)
        primitives_of(x, *found)
        assert np.all(np.isnan(found[:2]))


@njit
def _from_words(words: Any, out: Any) -> None:
    for lane in range(words.shape[1]):
        out[0, lane], out[1, lane] = philox.box_muller(words[0, lane], words[1, lane], out.dtype.type)


@pytest.mark.parametrize(("kind", "off"), [(np.float32, 4e-7), (np.float64, 8e-16)])
def test_normals_of_lanes_are_box_mullers_of_their_words(kind: Any, off: float) -> None:
    n, first, seed = (
        45,
        (5 << 32) - 20,
        np.uint64((9 << 32) + 3),
    )  # numbers of samples pass 2^32, lanes are not full
    out, words = np.empty((5, n), kind), np.empty((2, n), np.uint64)
    philox.fill_normals(seed, first, 17, 3, words, out)
    for pair in range(3):
        philox.fill_words(seed, first, 17, 3, pair, words)
        right = np.empty((2, n), kind)
        _from_words(words, right)
        rows = out[2 * pair : 2 * pair + 2]
        np.testing.assert_allclose(rows, right[: len(rows)], rtol=off, atol=off)
