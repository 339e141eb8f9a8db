"""Samplers without a bias in the mixing study: few numbers stand for whole chains, and say how far they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import quad

from analytic import GaussianMixture, paths, targets
from solvers import loops
from studies.mixing import corrected
from studies.mixing import unbiased as kept
from studies.mixing.bouncing import Particles
from studies.mixing.chains import Pairs, hmc_step, mala_step
from studies.mixing.corrected import Chain, climb, least_of, need_of, needs_of, within
from studies.mixing.needs import Gaussian, Least, Need
from studies.mixing.reduced import Reduced
from studies.mixing.study import Mixing
from studies.mixing.zig_zag import ZigZag, clock, from_normal

Array = NDArray[np.float64]
ON = Reduced(np.array([1.0, 2.0, 4.0, 9.0]), np.array([1.0, 2.0, 3.0, 6.0]))
WHOLE = np.repeat(ON.k, ON.m.astype(int))
TARGET = GaussianMixture([1.0], np.zeros((1, 12)), 1 / WHOLE[None])
FIRST = np.cumsum(ON.m).astype(int) - ON.m.astype(int)
SIGMAS = 5.0  # of some 150 z-scores
STEPS: dict[str, tuple[float, dict[str, Any], Any]] = {
    "mala": (0.12, {}, mala_step(ON.k, 0.12)),
    "hmc": (0.9, {"leapfrogs": 3}, hmc_step(ON.k, 0.3, 3)),
}


def reduced(x: Array) -> Array:
    """Return (a, r) of whole states, (n, 12)."""
    a = np.add.reduceat(x, FIRST, axis=1) / np.sqrt(ON.m)
    rest = np.add.reduceat(x**2, FIRST, axis=1) - a**2
    return np.concatenate([a, np.where(ON.m > 1, np.sqrt(np.maximum(rest, 0.0)), 0.0)], axis=1)


def scores(one: Array, other: Array) -> Array:
    """z-scores between samples of (a, r): of means, squares, and products with numbers of other precisions."""
    found = []
    for f in (lambda u: u, lambda u: u**2, lambda u: u[:, [3]] * u, lambda u: u[:, [6]] * u):
        a, b = f(one), f(other)
        error = np.sqrt(a.var(axis=0) / len(a) + b.var(axis=0) / len(b))
        found.append(np.delete((a.mean(axis=0) - b.mean(axis=0)) / np.where(error > 0, error, 1.0), 4))
    return np.concatenate(found)


@pytest.mark.parametrize("name", STEPS)
def test_few_numbers_go_as_those_of_whole_chains(name: str) -> None:
    length, options, by = STEPS[name]
    steps, n = 5, 8000
    start = np.tile(1 / np.sqrt(WHOLE), (n, 1))
    found = loops.catalogue[name].solve(
        paths.Langevin(steps * length), np.linspace(steps * length, 0, steps + 1), TARGET, start, 3, **options
    )
    pairs = Pairs(ON, n, seed=5)
    pairs.step(by, 2)
    pairs.step(by, 3)
    assert np.abs(scores(reduced(found.x), pairs.first)).max() < SIGMAS
    assert found.nfe[0] == Chain(pairs, by).cost
    share, expected = pairs.accepted / n, found.accepted.mean()
    assert 0.5 < expected < 4.9
    assert abs(share - expected) < SIGMAS * np.sqrt(2 / n) * found.accepted.std()
    # the other chain of a pair is the target's, on the same noise
    assert np.abs(scores(reduced(TARGET.sample(n, seed=8)), pairs.second)).max() < SIGMAS
    assert np.corrcoef(pairs.first[:, 3], pairs.second[:, 3])[0, 1] > 0.1


def test_few_numbers_go_as_those_of_whole_bouncing_particles() -> None:
    n, time, refresh = 8000, 2.0, 1.5
    start = np.tile(1 / np.sqrt(WHOLE), (n, 1))
    found = loops.catalogue["bouncy-particle"].solve(
        paths.Langevin(time), [time, 0.0], TARGET, start, seed=3, refresh=refresh
    )
    particles = Particles(ON, n, refresh, seed=5)
    for part in (0.7, 1.3):
        particles.go(part)
    assert np.abs(scores(reduced(found.x), particles.first)).max() < SIGMAS
    error = found.accepted.std() / np.sqrt(n / 2)
    assert abs(found.accepted.mean() - particles.bounces / n) < SIGMAS * error


def test_a_bouncing_particle_comes_to_the_right_length_long_after_its_coordinates_are_right() -> None:
    on = Reduced.of(Gaussian(1000, 1))
    particles = Particles(on, 2000, 2.0, seed=1)
    particles.go(16.0)
    a, r = particles.first.T
    coordinates = np.hypot(a.mean(), a.std() - 1), np.sqrt(999) * (np.sqrt(np.mean(r**2) / 999) - 1)
    assert np.hypot(*coordinates) < 0.1
    assert on.w2_squared(on.moments(particles.first))[0] == pytest.approx(0.53**2, rel=0.1)


def test_from_the_target_all_stay_there() -> None:
    n = 20_000
    exact = reduced(TARGET.sample(n, seed=8))
    for _, _, by in STEPS.values():
        pairs = Pairs(ON, n, seed=1, stationary=True)
        pairs.step(by, 20)
        assert np.abs(scores(exact, pairs.first)).max() < SIGMAS
        assert pairs.accepted < 0.97 * 20 * n
        value, error = ON.w2_squared(ON.moments(pairs.first))
        assert abs(value) < 4 * error < 0.01
    particles = Particles(ON, n, 1.5, seed=2, stationary=True)
    particles.go(3.0)
    assert np.abs(scores(exact, particles.first)).max() < SIGMAS


def test_mala_on_a_line_is_that_of_its_kernel_by_quadrature() -> None:
    h, steps = 0.5, 3
    x = np.linspace(-8, 8, 801)
    proposal = stats.norm.pdf(x, ((1 - h) * x)[:, None], np.sqrt(2 * h))
    ratio = stats.norm.pdf(x) * proposal.T / (stats.norm.pdf(x)[:, None] * proposal)
    kernel = proposal * np.minimum(1, ratio) * (x[1] - x[0])
    kernel += np.diag(1 - kernel.sum(axis=1))
    law = np.where(np.abs(x - 1) < 1e-9, 1.0, 0.0)
    for _ in range(steps):
        law = law @ kernel
    mean = float(law @ x)
    deviation = np.sqrt(float(law @ x**2) - mean**2)
    line = Reduced.of(Gaussian(1, 1))
    pairs = Pairs(line, 40_000, seed=2)
    pairs.step(mala_step(line.k, h), steps)
    value, error = line.w2_squared(pairs.moments())
    exact = mean**2 + (deviation - 1) ** 2
    assert abs(value - exact) < 4 * error < 0.2 * exact
    assert pairs.moments().mean[:, 0].mean() == pytest.approx(mean, abs=0.02)


def test_w2_of_few_numbers_is_that_of_all() -> None:
    for target in (Gaussian(1, 1), Gaussian(20, 1), Gaussian(1000, 100)):
        on = Reduced.of(target)
        there = on.start - on.centre
        assert np.sqrt(on.squared(there, np.outer(there, there))) == pytest.approx(target.distance, rel=1e-12)
    for m, k, r, variance in zip(ON.m[1:], ON.k[1:], ON.centre[5:], ON.variances[5:], strict=True):
        chi = stats.chi(m - 1, scale=1 / np.sqrt(k))
        assert (r, variance) == pytest.approx((chi.mean(), chi.var()), rel=1e-10)
    with pytest.raises(ValueError, match="dim is 15: give a multiple of 10"):
        Reduced.of(Gaussian(15, 4))


def test_pairs_show_small_distances_that_chains_alone_do_not() -> None:
    on = Reduced.of(Gaussian(100, 10))
    pairs, by = Pairs(on, 400, seed=0), mala_step(on.k, 0.03)
    pairs.step(by, 64)
    together, alone = on.w2_squared(pairs.moments()), on.w2_squared(on.moments(pairs.first))
    assert abs(together[0] - alone[0]) < 5 * np.hypot(together[1], alone[1])
    assert 0.4 < together[0] < 1.2
    pairs.step(by, 300)
    value, error = on.w2_squared(pairs.moments())
    assert 1e-8 < value < 1e-4
    assert error < 0.3 * value
    assert on.w2_squared(on.moments(pairs.first))[1] > 1e-4


def test_the_jackknife_takes_away_what_noise_adds() -> None:
    """Samples of a law of known distance: estimates are right on average, as their errors say."""
    on, rng, n = Reduced.of(Gaussian(20, 4)), np.random.default_rng(3), 400
    spread = np.sqrt(on.variances)
    wide = np.where(np.arange(20) < 10, 1.3, 1.0)  # r is 0 where only one coordinate is left
    exact = np.sum((0.2 * spread[:10]) ** 2) + np.sum(((wide - 1) * spread) ** 2)
    found = []
    for _ in range(200):
        u = on.centre + spread * wide * rng.standard_normal((n, 20))
        u[:, :10] += 0.2 * spread[:10]
        found.append(on.w2_squared(on.moments(u)))
    values, errors = np.array(found).T
    assert abs(values.mean() - exact) < 4 * values.std() / np.sqrt(len(values))
    assert 0.7 < errors.mean() / values.std() < 1.4


# ---------------------------------------------------------------- the zig-zag


def test_the_zig_zag_s_clock_is_that_of_its_samples_and_it_is_scaled_for_each_precision() -> None:
    n, line = 40_000, GaussianMixture([1.0], [[0.0]], 1.0)
    normal = stats.norm.ppf((np.arange(n) + 0.5) / n)
    for s in (0.8, 2.5):
        found = loops.catalogue["zig-zag"].solve(paths.Langevin(s), [s, 0.0], line, np.ones((n, 1)), seed=4)
        mean, variance, w2, events = (float(v) for v in clock().at(np.array(s)))
        assert abs(found.x.mean() - mean) < 5 * np.sqrt(variance / n)
        assert abs(found.x.var() - variance) < 5 * np.sqrt(2.0 / n)
        turns = found.nfe - found.nfe.min()  # what a start costs is not an event
        assert abs(turns.mean() - events) < 5 * turns.std() / np.sqrt(n)
        empirical = np.sqrt(np.mean((np.sort(found.x[:, 0]) - normal) ** 2))
        assert abs(empirical - w2) < 5 / np.sqrt(n)
        assert w2 > np.hypot(mean, np.sqrt(variance) - 1)
    once, twice = (ZigZag(Gaussian(dim, 1)).need(0.1 * np.sqrt(dim)) for dim in (10, 20))
    assert twice == pytest.approx(2 * once, rel=1e-9)
    law = ZigZag(Gaussian(20, 9))
    assert law.least(law.need(0.3)) == pytest.approx(0.3, rel=0.01)
    assert ZigZag(Gaussian(1, 1)).need(5.0) < 0.02  # there already


def test_w2_of_masses_from_the_normal_law_is_that_of_closed_forms() -> None:
    y = np.arange(-9, 9.001, 1 / 64)
    edges = np.append(y, y[-1] + 1 / 64) - 1 / 128
    for mean, deviation in ((0.3, 1.0), (0.0, 1.2), (-0.4, 0.7)):
        mass = np.diff(stats.norm.cdf(edges, mean, deviation))
        assert from_normal(y, mass) == pytest.approx(np.hypot(mean, deviation - 1), abs=3e-5)
    # two cells alone, by quadrature of quantiles
    two = np.where(np.abs(np.abs(y) - 0.5) < 1e-9, 0.5, 0.0)
    lower = quad(lambda u: (-0.5 + (2 * u - 0.5) / 64 - stats.norm.ppf(u)) ** 2, 0, 0.5)[0]
    assert from_normal(y, two) == pytest.approx(np.sqrt(2 * lower), rel=1e-7)


# ---------------------------------------------------------------- the search


class Falling:
    """W2^2 = 1/cost, except that it is small for a moment early on."""

    cost = 0.0

    def until(self, cost: float) -> None:
        self.cost = cost

    def w2_squared(self) -> tuple[float, float]:
        return (0.0 if 5 <= self.cost <= 6 else 1 / self.cost), 0.001


def test_evaluations_are_those_from_which_on_an_error_is_kept() -> None:
    low, nfe, high = within(Falling(), 0.2, 1e4)
    assert (low, nfe, high) == pytest.approx((1 / 0.042, 25, 1 / 0.038), rel=0.03)
    assert within(Falling(), 0.2, 10.0)[-1] == np.inf
    costs = [np.inf, 9.0, 5.0, 4.0, 6.0, np.inf]
    assert climb(lambda way: costs[way], [0, 1, 2, 3, 4, 5]) == 3  # type: ignore[arg-type, comparison-overlap]
    assert climb(lambda way: costs[5 - way], [0, 1, 2, 3, 4, 5]) == 2  # type: ignore[arg-type, comparison-overlap]


def test_needs_of_samples_are_those_of_whole_numbers_and_have_an_interval() -> None:
    assert needs_of("mala", 4, (1, 15), 0.5) == []
    (easy,) = needs_of("mala", 1, (10,), 0.5)
    (hard,) = needs_of("mala", 1, (10,), 0.05)
    assert 1 < easy.nfe < hard.nfe < 40
    assert easy.low <= easy.nfe <= easy.high < 1.5 * easy.nfe
    (far,) = needs_of("zig-zag", 10_000, (15,), 0.1)
    assert far.low == far.nfe > 100
    bouncy = need_of("bouncy-particle", Gaussian(10, 1), 0.5)
    assert 1 < bouncy.low <= bouncy.nfe <= bouncy.high < 20
    assert bouncy.friction > 0


def test_errors_at_equal_evaluations_fall_and_are_bounded_where_samples_do_not_show_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(corrected, "MOST", 2000)
    found = least_of("mala", 1, 10, (4, 8, 64))
    assert [n.nfe for n in found] == [4, 8, 64]
    assert found[0].low > found[1].high > 0.05 > found[2].high
    (few,) = least_of("bouncy-particle", 1, 10, (60,))
    assert few.low == 0 < few.high < 0.4
    assert least_of("mala", 4, 15, (8,)) == []


def test_tables_say_what_samples_do_not_show() -> None:
    study = Mixing(("mala", "zig-zag"), (10,), (1,), (8,), w2=0.3, at=(10, 1))
    (exact,) = least_of("zig-zag", 1, 10, (8,))
    sampled = [
        Need("mala", 10, 1, 0.3, 4.47, 40.0, 0.1, np.nan, np.nan, 37.0, 44.0),
        Least("mala", 10, 1, 8, 0.01, 0.1, np.nan, np.nan, 0.0, 0.03),
    ]
    reports = {r.name: r for r in study.reports([*sampled, exact])}
    assert reports["mixing-dimension-1"].frame["d = 10"][0] == "40\u00b14"
    assert reports["mixing-budget"].frame["8 NFE"][0] == "<3.0e-02"
    assert float(reports["mixing-budget"].frame["8 NFE"][1]) == pytest.approx(exact.error, rel=0.01)
    assert not list(study.skipped())
    ((what, why),) = replace(study, dims=(15,), conditions=(4,)).skipped()
    assert what == "mala, dim 15, condition 4"
    assert why == "give a dim that is a multiple of 10"


# ---------------------------------------------------------------- no bias


def test_what_is_said_to_be_seen_is_seen() -> None:
    target, n = targets.load(kept.TARGET), 20_000
    centre, off = float(target.mean()[0]), []
    for seed in range(40):
        x = target.sample(n, seed=seed)[:, 0]
        clean = kept.judged("mala", x, 1.0)
        assert not clean.biased  # each by accident in one of 4000
        size = clean.seen[1]
        off.append(
            kept.judged("mala", centre + np.sqrt(1 + size) * (x - centre), 1.0).scores[1] > clean.allowed
        )
        assert kept.judged("mala", x + 2 * clean.seen[0] * np.std(x), 1.0).biased
    assert sum(off) >= 37  # of 40 of probability 0.99: fewer in one of 1500
    assert kept.judged("mala", target.sample(n, seed=1)[:, 0], 1.0).seen[0] == pytest.approx(
        (3.935 + 2.326) / np.sqrt(n), rel=0.01
    )


def test_samplers_that_keep_the_target_pass_and_steps_that_are_not_corrected_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "SAMPLES", 20_000)
    found = {method: kept.unbiased(method)[0] for method in ("hmc", kept.CONTROL)}
    assert not found["hmc"].biased
    assert found[kept.CONTROL].biased
    report = next(iter(Mixing(("mala",)).reports(list(found.values()))))  # type: ignore[arg-type]
    assert report.frame["bias"].tolist() == ["none seen", "seen"]
