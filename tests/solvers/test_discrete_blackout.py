"""Blackout diffusion and the chains of ordered tokens, against plain loops, slopes and draws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analytic import chains, sequences
from solvers import catalogue, grids
from solvers.discrete import Tables, law, sample

ALARM = 1e-7  # false-alarm rate of each check by samples; there are fewer than ten in this file

SMOOTH = np.array(
    [[0.4, 0.3, 0.2, 0.1], [0.2, 0.4, 0.2, 0.2], [0.15, 0.25, 0.4, 0.2], [0.3, 0.15, 0.15, 0.4]]
)
SHARP = np.array([[0.97 if y == (x + 1) % 4 else 0.01 for y in range(4)] for x in range(4)])
NOISE = chains.PureDeath(4, "cosine")


def chain(step: np.ndarray, length: int = 3) -> sequences.MarkovSequence:
    return sequences.MarkovSequence([0.3, 0.2, 0.2, 0.3], step, length)


def errors(
    name: str, noise: chains.Chain, data: sequences.SequenceLaw, ladder: list[int], **options: object
) -> np.ndarray:
    """TV between the sampler's law and the data noised to the grid's end, for each number of steps."""
    tables, start = Tables(noise, data), options.pop("start", None)
    result = []
    for steps in ladder:
        grid = grids.uniform(noise, steps, start=start)
        kernel = catalogue[name].kernel(noise, grid, **options)
        end = tables.evidence(float(grid[-1]))
        result.append(0.5 * np.abs(law(kernel, data, tables=tables).ravel() - end).sum())
    return np.array(result)


def slopes(found: np.ndarray) -> np.ndarray:
    return np.log2(found[:-1] / found[1:])


def births_by_loops(rule: str, t: float, s: float, pmf: np.ndarray, start: np.ndarray) -> np.ndarray:
    """One step from the published formulas: means by enumeration of x_0, binomials by `math.comb`."""
    alpha_t, alpha_s = float(NOISE.alpha(t)), float(NOISE.alpha(s))
    p = (alpha_s - alpha_t) / (1 - alpha_t)
    end = np.zeros_like(start)

    def binomial(n: int, k: int) -> float:
        return math.comb(n, k) * p**k * (1 - p) ** (n - k)

    def shown(v: int, x: int) -> float:
        return math.comb(v, x) * alpha_t**x * (1 - alpha_t) ** (v - x)

    for x in itertools.product(range(4), repeat=start.ndim):
        total, mean = 0.0, np.zeros(start.ndim)
        for v in itertools.product(range(4), repeat=start.ndim):
            weight = pmf[v] * math.prod(shown(a, b) for a, b in zip(v, x, strict=True))
            total += weight
            mean += weight * (np.array(v) - np.array(x))
        rows = np.zeros((start.ndim, 4))
        for site, missing in enumerate(mean / total):
            low = math.floor(missing)
            for k in range(4 - x[site]):
                if rule == "nearest":
                    rows[site, x[site] + k] = binomial(round(missing), k)
                elif rule == "random":
                    share = missing - low
                    rows[site, x[site] + k] = (1 - share) * binomial(low, k) + share * binomial(low + 1, k)
                elif x[site] + k < 3:
                    rows[site, x[site] + k] = stats.poisson.pmf(k, missing * p)
            if rule == "poisson":
                rows[site, 3] = 1 - rows[site].sum()
        for y in itertools.product(range(4), repeat=start.ndim):
            end[y] += start[x] * math.prod(rows[i, v] for i, v in enumerate(y))
    return end


CASES = [
    ("blackout-as-published", {}, "nearest"),
    ("blackout", {"births": "mean"}, "random"),
    ("blackout", {"births": "poisson"}, "poisson"),
]


@pytest.mark.parametrize(("name", "options", "rule"), CASES)
@pytest.mark.parametrize(("t", "s"), [(0.7, 0.55), (0.5, 0.05)])  # births less and more likely than one half
def test_one_step_is_that_of_the_published_formula(
    name: str, options: dict, rule: str, t: float, s: float
) -> None:
    data = chain(SMOOTH, 2)
    start = np.random.default_rng(1).random((4, 4))
    start /= start.sum()
    kernel = catalogue[name].kernel(NOISE, grids.explicit(NOISE, [t, s]), **options)
    expected = births_by_loops(rule, t, s, data.pmf(), start)
    np.testing.assert_allclose(law(kernel, data, initial=start), expected, atol=1e-13)


def test_bridge_is_ancestral_sampling() -> None:
    data, grid = chain(SMOOTH), grids.uniform(NOISE, 6)
    other = catalogue["tweedie-tau-leaping"].kernel(NOISE, grid)
    np.testing.assert_array_equal(law(catalogue["blackout"].kernel(NOISE, grid), data), law(other, data))


@pytest.mark.parametrize("births", ["bridge", "mean", "poisson"])
def test_blackout_is_of_order_one(births: str) -> None:
    found = slopes(errors("blackout", NOISE, chain(SMOOTH), [32, 64, 128], births=births))
    np.testing.assert_allclose(found, 1.0, atol=0.06)


@pytest.mark.parametrize(("step", "floor"), [(SMOOTH, 0.22), (SHARP, 0.15)])
def test_rounding_to_the_nearest_count_leaves_a_bias(step: np.ndarray, floor: float) -> None:
    found = errors("blackout-as-published", NOISE, chain(step), [64, 128])
    assert (found > floor).all()
    assert found[1] > 0.95 * found[0]


def test_nothing_is_born_where_less_than_half_a_unit_is_missing() -> None:
    data = sequences.Product([[0.6, 0.4]])
    noise = chains.PureDeath(2, "cosine")
    grid = grids.uniform(noise, 5)
    np.testing.assert_array_equal(
        law(catalogue["blackout-as-published"].kernel(noise, grid), data), [1.0, 0.0]
    )
    for births in ("bridge", "mean"):
        # With one unit at most the mean is the whole posterior: both are exact.
        exact = Tables(noise, data).evidence(float(grid[-1]))
        p = law(catalogue["blackout"].kernel(noise, grid, births=births), data)
        np.testing.assert_allclose(p, exact, atol=1e-14)


def test_many_counts_keep_their_mean_and_sum_to_one() -> None:
    noise = chains.PureDeath(600, "cosine")
    data = sequences.Product(stats.binom.pmf(np.arange(600), 599, 0.7)[None])
    for name, options in (("blackout", {"births": "mean"}), ("blackout", {"births": "poisson"})):
        p = law(catalogue[name].kernel(noise, grids.explicit(noise, [1.0, 0.4, 0.05]), **options), data)
        assert p.sum() == pytest.approx(1.0, abs=1e-11)
        mean = float(noise.alpha(0.05)) * 0.7 * 599
        assert p @ np.arange(600) == pytest.approx(mean, rel=1e-9 if options["births"] == "mean" else 1e-3)


@pytest.mark.parametrize(
    "noise", [chains.GaussianOrdinal(4, 1.2, "cosine"), chains.BirthDeath(4, "cosine")], ids=lambda n: n.name
)
@pytest.mark.parametrize("method", ["tweedie-tau-leaping", "tau-leaping", "poisson-tau-leaping"])
def test_general_methods_are_of_order_one_on_ordered_tokens(noise: chains.Chain, method: str) -> None:
    found = slopes(errors(method, noise, chain(SMOOTH, 2), [32, 64, 128], start=0.98))
    np.testing.assert_allclose(found, 1.0, atol=0.08)


def check_draws(n: int) -> None:
    data, grid = chain(SMOOTH), grids.uniform(NOISE, 5)
    for name, options, _ in CASES:
        kernel = catalogue[name].kernel(NOISE, grid, **options)
        z = sample(kernel, data, n, seed=5).astype(np.int64)
        p = law(kernel, data).ravel()
        counts = np.bincount(np.ravel_multi_index(tuple(z.T), (4,) * 3), minlength=64)
        few = n * p < 5.0
        seen = np.append(counts[~few], counts[few].sum())
        expected = np.append(n * p[~few], n * p[few].sum())
        assert stats.chisquare(seen[expected > 0], expected[expected > 0]).pvalue > ALARM, (name, options)
        assert seen[expected == 0].sum() == 0


def test_draws_follow_the_law() -> None:
    check_draws(100_000)


@pytest.mark.slow
def test_many_draws_follow_the_law() -> None:
    check_draws(200_000)


def test_draws_do_not_depend_on_threads_or_cuts() -> None:
    data = chain(SMOOTH, 5)
    kernel = catalogue["blackout-as-published"].kernel(NOISE, grids.uniform(NOISE, 4))
    z = sample(kernel, data, 300, seed=2)
    np.testing.assert_array_equal(sample(kernel, data, 300, seed=2, threads=1), z)
    np.testing.assert_array_equal(sample(kernel, data, 100, seed=2, first=150), z[150:250])


def test_bad_input_is_one_clear_error() -> None:
    grid = grids.uniform(NOISE, 4)
    for name in ("blackout", "blackout-as-published"):
        with pytest.raises(ValueError, match=r"noise is BirthDeath.*use tweedie-tau-leaping"):
            catalogue[name].kernel(chains.BirthDeath(4), grid)
    with pytest.raises(ValueError, match="births is 'binomial': use 'bridge', 'mean' or 'poisson'"):
        catalogue["blackout"].kernel(NOISE, grid, births="binomial")
