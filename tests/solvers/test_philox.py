"""The addressed noise: Philox's published answers, exact normal laws, independence, and the vector math below."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import mpmath
import numba
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from solvers.numerics import philox, primitives

Array = NDArray[np.float64]
FALSE_ALARM = 1e-6  # of each statistical test here
N = 1_000_000

# kat_vectors of Random123 (Salmon et al. 2011), philox4x32 with 10 rounds: counter, key, answer
ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), ANSWERS)
def test_philox_gives_the_known_answers(
    counter: tuple[int, ...], key: tuple[int, ...], answer: tuple[int, ...]
) -> None:
    words = [np.uint32(word) for word in (*counter, *key)]
    assert tuple(int(word) for word in _philox(*words)) == answer


@numba.njit
def _philox(c0: int, c1: int, c2: int, c3: int, k0: int, k1: int) -> tuple[int, int, int, int]:
    return philox.philox(c0, c1, c2, c3, k0, k1)


@numba.njit
def _box_muller(high: Array, low: Array, out: Array) -> None:
    for i in range(len(high)):
        out[i, 0], out[i, 1] = philox.box_muller(high[i], low[i], out.dtype.type)


@numba.njit
def _primitives(least: Array, x: Array, exp: Array, log: Array, sine: Array, cosine: Array) -> None:
    for i in range(len(x)):
        exp[i] = primitives.exp(least[0] * x[i])
        log[i] = primitives.log(x[i])
        sine[i], cosine[i] = primitives.sincospi(x[i] * x.dtype.type(0.25))


def test_the_counter_is_sample_step_channel_and_pair_under_the_seed_as_key() -> None:
    seed, sample, step, channel, pair = (7 << 32) + 5, (3 << 32) + 9, 11, 4, 2
    words = [sample & 0xFFFFFFFF, sample >> 32, step, (channel << 24) + pair, seed & 0xFFFFFFFF, seed >> 32]
    a, b, c, d = (int(word) for word in _philox(*(np.uint32(word) for word in words)))
    out = np.empty((1, 2))
    _box_muller(np.array([(a << 32) + b], np.uint64), np.array([(c << 32) + d], np.uint64), out)
    found = philox.normals(seed, 1, 2 * pair + 2, step, channel, first=sample)
    np.testing.assert_array_equal(found[0, 2 * pair :], out[0])


@pytest.mark.parametrize(("kind", "tolerance"), [(np.float64, 2e-15), (np.float32, 1e-6)])
def test_box_muller_is_the_textbook_map_up_to_its_extremes(kind: Any, tolerance: float) -> None:
    generator = np.random.default_rng(0)
    extremes = np.array([0, 2**64 - 1, 2**63], np.uint64)
    high, low = (np.concatenate([generator.integers(0, 2**64, 500, np.uint64), extremes]) for _ in range(2))
    out = np.empty((len(high), 2), kind)
    _box_muller(high, low, out)
    with mpmath.workdps(40):
        for h, l, pair in zip(high.tolist(), low.tolist(), out, strict=True):
            # u rounded to 53 bits takes radii below 1e-8 for zero: one deviate in 1e16
            radius = mpmath.sqrt(-2 * mpmath.log((float(kind(h >> 1) + kind(0.5))) / 2.0**63))
            angle = 2 * mpmath.pi * l / 2**64
            expected = [float(radius * mpmath.cos(angle)), float(radius * mpmath.sin(angle))]
            np.testing.assert_allclose(pair, expected, rtol=0, atol=tolerance)
    assert np.abs(out).max() == pytest.approx(np.sqrt(2 * 64 * np.log(2)), abs=tolerance)


# ---------------------------------------------------------------- law


def test_moments_tails_and_law_are_those_of_the_normal() -> None:
    x = philox.normals(17, N // 2, 2, 3, 1).ravel()
    checks = [(x**k).mean() for k in range(1, 7)]
    exact = [float(stats.norm.moment(k)) for k in range(1, 13)]
    spread = [np.sqrt((exact[2 * k - 1] - exact[k - 1] ** 2) / N) for k in range(1, 7)]
    comparisons = 6 + 10 + 1
    quantile = stats.norm.isf(FALSE_ALARM / 2 / comparisons)
    for k in range(6):
        assert abs(checks[k] - exact[k]) < 1.2 * quantile * spread[k], k + 1
    for bound in (1, 2, 3, 4, 4.5):
        for count in (np.sum(x > bound), np.sum(x < -bound)):
            low, high = stats.binom.interval(1 - FALSE_ALARM / comparisons, N, stats.norm.sf(bound))
            assert low <= count <= high, bound
    assert stats.kstest(x, "norm").pvalue > FALSE_ALARM / comparisons


def test_deviates_at_different_addresses_are_independent() -> None:
    n = N // 4
    base = {"seed": 1, "step": 2, "channel": 3, "first": 0}
    columns = [philox.normals(n=n, dim=3, **base)[:, d] for d in range(3)]
    for key, value in (
        ("seed", 2),
        ("seed", 1 << 32),
        ("step", 3),
        ("channel", 4),
        ("first", 1),
        ("first", 1 << 32),
    ):
        columns.append(philox.normals(n=n, dim=1, **(base | {key: value}))[:, 0])
    pairs = list(combinations(range(len(columns)), 2))
    # products, and products of squares, whose variance under independence is (3 - 1)^2
    quantile = stats.norm.isf(FALSE_ALARM / 2 / (2 * len(pairs))) / np.sqrt(n)
    for i, j in pairs:
        assert abs(np.mean(columns[i] * columns[j])) < 1.1 * quantile, (i, j)
        assert abs(np.mean((columns[i] ** 2 - 1) * (columns[j] ** 2 - 1))) < 2 * 1.1 * quantile, (i, j)


def test_a_range_of_samples_does_not_depend_on_where_it_is_cut() -> None:
    whole = philox.normals(5, 300, 3, 1, 0)
    np.testing.assert_array_equal(philox.normals(5, 130, 3, 1, 0, first=170), whole[170:])
    np.testing.assert_array_equal(philox.normals(5, 300, 2, 1, 0), whole[:, :2])
    assert len(np.unique(whole)) == whole.size


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), (1 << 64, ValueError), (1.0, TypeError), (True, TypeError)]
)
def test_a_bad_seed_is_refused(seed: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"seed is .*: give an integer from 0 to 2\^64 - 1"):
        philox.check_seed(seed)
    assert philox.check_seed((1 << 64) - 1) == np.uint64((1 << 64) - 1)


# ---------------------------------------------------------------- primitives


def _ulps(found: Any, x: Any, exact: Callable[[mpmath.mpf], mpmath.mpf]) -> float:
    """Largest error in units in the last place of the exact value."""
    worst = 0.0
    with mpmath.workdps(40):
        for value, at in zip(found.tolist(), x.tolist(), strict=True):
            truth = exact(mpmath.mpf(at))
            unit = float(np.spacing(abs(found.dtype.type(float(truth))))) or 1.0
            worst = max(worst, float(abs(mpmath.mpf(value) - truth)) / unit)
    return worst


@pytest.mark.parametrize(
    ("kind", "least", "angle"), [(np.float64, -708.0, 1.5e-16), (np.float32, -87.0, 9e-8)]
)
def test_exp_log_and_sincospi_are_as_accurate_as_they_say(kind: Any, least: float, angle: float) -> None:
    generator = np.random.default_rng(1)
    x = np.concatenate(
        [
            generator.random(2000),
            1 - np.geomspace(np.finfo(kind).eps, 0.5, 300),
            np.geomspace(1e-30 if kind == np.float32 else 1e-300, 1, 300),
            np.arange(1, 8) / 8,
            [np.sqrt(0.5), 2**-64],
        ]
    ).astype(kind)
    exp, log, sine, cosine = (np.empty_like(x) for _ in range(4))
    _primitives(np.array([least], kind), x, exp, log, sine, cosine)
    assert _ulps(exp, kind(least) * x, mpmath.exp) <= 1.5
    assert _ulps(log[x < 1], x[x < 1], mpmath.log) <= 2
    assert np.all(log[x == 1] == 0)
    with mpmath.workdps(40):
        for u, s, c in zip(x.tolist(), sine.tolist(), cosine.tolist(), strict=True):
            assert abs(s - mpmath.sin(mpmath.pi * mpmath.mpf(u) / 4)) <= angle
            assert abs(c - mpmath.cos(mpmath.pi * mpmath.mpf(u) / 4)) <= angle


@pytest.mark.parametrize(("kind", "last"), [(np.float64, 3.4e-308), (np.float32, 1.7e-38)])
def test_exp_ends_softly(kind: Any, last: float) -> None:
    x = np.array([0.0, 1.0, 1e3, 1e30, np.inf], kind)
    exp, rest = np.empty_like(x), np.empty_like(x)
    with np.errstate(all="ignore"):
        _primitives(np.array([-708.0], kind), x, exp, rest, rest.copy(), rest.copy())
    assert exp[0] == 1
    assert np.all(exp[1:] <= last)
    assert np.all(exp >= 0)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_interpreted_the_primitives_are_plain_mathematics(kind: Any) -> None:
    for x in (kind(0.2), kind(-0.13)):
        assert primitives.exp(-abs(x)) == np.exp(-abs(x))
        assert primitives.log(abs(x)) == np.log(abs(x))
        np.testing.assert_allclose(primitives.sincospi(x), (np.sin(np.pi * x), np.cos(np.pi * x)), rtol=3e-7)
        assert all(type(v) is kind for v in (*primitives.sincospi(x), primitives.exp(-abs(x))))
