"""Revealing moves against plain loops, the data, and samples. False alarms: 1e-6 over all chi-square tests here."""

from __future__ import annotations

import math
from functools import cache
from itertools import combinations, permutations, product

import numpy as np
import pytest
from scipy.stats import chi2

from analytic import chains, distances, sequences
from solvers import catalogue, grids
from solvers.discrete import Tables, law, sample

NOISE = chains.Absorbing(3, "cosine")
SMOOTH = sequences.MarkovSequence([0.5, 0.3, 0.2], [[0.7, 0.15, 0.15], [0.2, 0.3, 0.5], [0.4, 0.4, 0.2]], 4)
SHARP = sequences.MarkovSequence(
    [0.5, 0.3, 0.2], [[0.01, 0.98, 0.01], [0.01, 0.01, 0.98], [0.98, 0.01, 0.01]], 4
)
# Two sites that are alike: every confidence has a tie.
TIED = sequences.Enumerated(np.array([[0.4, 0.1], [0.1, 0.4]]))
CASES = [
    ("any-order-autoregressive", {}),
    ("any-order-autoregressive", {"sites": 2}),
    ("any-order-autoregressive", {"sites": None}),
    ("any-order-autoregressive", {"order": "left-to-right", "sites": 2}),
    ("confidence-top-k", {}),
    ("confidence-top-k", {"sites": 2}),
    ("maskgit", {"temperature": 0.0}),
    ("maskgit", {}),
    ("maskgit", {"temperature": 4.5}),
]
STARTS = ([3, 1, 3, 3], [3, 3, 0, 2], [2, 3, 3, 1])


def kernel(name, steps=8, noise=NOISE, start=None, stop=None, **options):
    return catalogue[name].kernel(noise, grids.uniform(noise, steps, start=start, stop=stop), **options)


def all_revealed(data, states):
    """Law of the data over states with a mask."""
    out = np.zeros((states,) * data.length)
    out[(slice(data.vocabulary),) * data.length] = data.pmf()
    return out


def given(data, shown):
    """Law of the data given the tokens shown, by enumeration; the value V is the mask."""
    V = data.vocabulary
    out = np.zeros((V + 1,) * data.length)
    for x in product(range(V), repeat=data.length):
        if all(b in (a, V) for a, b in zip(x, shown, strict=True)):
            out[x] = data.pmf()[x]
    return out / out.sum()


def point(shown, states):
    out = np.zeros((states,) * len(shown))
    out[tuple(shown)] = 1.0
    return out


def tv(p, q):
    return float(abs(p - q).sum() / 2)


@cache
def posteriors(data, x):
    """P(x_0 at each site = v | tokens shown), by enumeration."""
    law_given = given(data, x)
    V, L = data.vocabulary, data.length
    return [
        [sum(law_given[y] for y in product(range(V), repeat=L) if y[i] == v) for v in range(V)]
        for i in range(L)
    ]


def one_step(data, x, how, stay, heat):
    """Law after one step from x that leaves `stay` sites masked, as plain loops."""
    V = data.vocabulary
    c, masked = posteriors(data, tuple(x)), [i for i, v in enumerate(x) if v == V]
    k, out = len(masked) - stay, {}

    def put(sites, tokens, p):
        y = list(x)
        for i, v in zip(sites, tokens, strict=True):
            y[i] = v
        out[tuple(y)] = out.get(tuple(y), 0.0) + p

    def order(key):
        return sorted(masked, key=lambda i: (-round(key[i] * 2**40), i))[:k]

    if how == "maskgit":
        for tokens in product(range(V), repeat=len(masked)):
            drawn = dict(zip(masked, tokens, strict=True))
            confidence = {i: c[i][v] for i, v in drawn.items()}
            p = math.prod(confidence.values())
            if heat == 0:
                sites = order(confidence)
                put(sites, [drawn[i] for i in sites], p)
                continue
            weight = {i: confidence[i] ** (1 / heat) for i in masked}
            for ranked in permutations(masked, k):  # Plackett-Luce
                chance, left = p, sum(weight.values())
                for i in ranked:
                    chance, left = chance * weight[i] / left, left - weight[i]
                put(ranked, [drawn[i] for i in ranked], chance)
        return out
    if how == "random":
        subsets = list(combinations(masked, k))
    elif how == "left-to-right":
        subsets = [masked[:k]]
    else:
        subsets = [order({i: max(c[i]) for i in masked})]
    for sites in subsets:
        for tokens in product(range(V), repeat=k):
            p = math.prod(c[i][v] for i, v in zip(sites, tokens, strict=True))
            put(sites, tokens, p / len(subsets))
    return out


def left_masked(name, options, m, L, share, last):
    """How many of m masked sites stay masked."""
    sites = options.get("sites", 1 if name == "any-order-autoregressive" else None)
    if name == "maskgit":
        return 0 if last else min(m, max(1, min(m - 1, math.floor(L * share))))
    if sites is not None:
        return max(0, m - sites)
    return min(m, round(L * share))


@pytest.mark.parametrize("data", [SMOOTH, SHARP])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_one_step_law_is_that_of_plain_loops_from_every_state(name, options, data):
    steps, number = 5, 2  # a step in the middle, with some heat left
    built = kernel(name, steps, **options)
    (move,) = built.steps[number]
    tables = Tables(NOISE, data)
    share = 1 - float(NOISE.alpha(built.grid[number + 1]))
    how = options.get("order", {"maskgit": "maskgit", "confidence-top-k": "top-k"}.get(name, "random"))
    heat = options.get("temperature", 1.0) * (1 - (number + 1) / steps)
    found = move.matrix(tables, np.ones(tables.size, bool))
    for index, x in enumerate(tables.tokens.tolist()):
        if index % 3 and x.count(3) < 3:  # a third of the states, and all with many masks
            continue
        m = x.count(3)
        stay = left_masked(name, options, m, data.length, share, last=False)
        expected = np.zeros((4,) * 4)
        for y, p in one_step(data, x, how, stay, heat).items():
            expected[y] = p
        assert np.allclose(found[index], expected.ravel(), rtol=0, atol=1e-12)


def test_maskgit_masks_as_published_and_cools_to_zero():
    noise, steps, L = chains.Absorbing(2, "linear"), 6, 5
    data = sequences.MarkovSequence([0.6, 0.4], [[0.7, 0.3], [0.2, 0.8]], L)
    built = catalogue["maskgit"].kernel(noise, grids.cosine(noise, steps, stop=0.0), temperature=2.0)
    nodes = law(built, data, at="all")
    masks = (np.indices(nodes.shape[1:]) == 2).sum(axis=0)
    left = L
    for number in range(1, steps + 1):
        left = (
            max(1, min(left - 1, math.floor(L * math.cos(math.pi / 2 * number / steps))))
            if number < steps
            else 0
        )
        assert nodes[number][masks == left].sum() == pytest.approx(1, abs=1e-12)
    heats = [move.temperature for move in built.moves]
    assert heats == pytest.approx([2 * (1 - n / steps) for n in range(1, steps + 1)], abs=1e-15)
    assert heats[-1] == 0


@pytest.mark.parametrize("data", [SMOOTH, SHARP])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("any-order-autoregressive", {}),
        ("any-order-autoregressive", {"order": "left-to-right"}),
        ("any-order-autoregressive", {"sites": None}),
        ("confidence-top-k", {"sites": 1}),
    ],
)
def test_one_site_a_step_is_exact(name, options, data):
    # eight steps of the grid's rule reveal one site at a time, too
    for steps in (4, 8) if options != {"sites": None} else (8, 32):
        assert tv(law(kernel(name, steps, **options), data), all_revealed(data, 4)) < 1e-13


def test_several_sites_a_step_and_competing_tokens_are_biased():
    exact = all_revealed(SMOOTH, 4)
    for name, options in CASES:
        if options not in ({}, {"sites": None}) or name == "maskgit":
            assert tv(law(kernel(name, 32, **options), SMOOTH), exact) > 0.03


def test_sites_out_of_steps_stay_masked_until_finalised():
    built = kernel("any-order-autoregressive", 3)
    p = law(built, SMOOTH)
    assert p[(np.indices(p.shape) == 3).sum(axis=0) == 1].sum() == pytest.approx(1, abs=1e-14)
    settled = law(kernel("any-order-autoregressive", 3, finalise="posterior"), SMOOTH)
    assert tv(settled, all_revealed(SMOOTH, 4)) < 1e-13


def test_evaluations_count_the_steps_that_reveal():
    assert kernel("any-order-autoregressive", 32).evaluations(4) == 4
    assert kernel("any-order-autoregressive", 3).evaluations(8) == 3
    assert kernel("any-order-autoregressive", 32, sites=3).evaluations(4) == 2
    assert kernel("any-order-autoregressive", 3, finalise="posterior").evaluations(8) == 4
    assert kernel("confidence-top-k", 32).evaluations(4) == 4
    assert kernel("maskgit", 3).evaluations(8) == 3


def test_ties_go_to_the_first_site_in_law_and_samples():
    noise = chains.Absorbing(2, "cosine")
    for name, options in (("confidence-top-k", {"sites": 1}), ("maskgit", {"temperature": 0.0})):
        (move,) = kernel(name, 8, noise, **options).steps[3]
        tables = Tables(noise, TIED)
        p = move.push(np.eye(9)[8], tables).reshape(3, 3)
        assert p[:2, 2] == pytest.approx([0.5, 0.5], abs=1e-15)
        x = sample(
            kernel(name, 1, noise, start=0.7, stop=0.5, **options), TIED, 100, initial=np.full((100, 2), 2)
        )
        assert (x[:, 0] < 2).all()


@pytest.mark.parametrize("n", [100_000, pytest.param(200_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("data", [SMOOTH, SHARP])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_samples_have_the_law(name, options, data, n):
    # from a marginal with different numbers of masks, half way
    built = kernel(name, 3, start=0.8, stop=0.1, **options)
    expected = n * law(built, data).ravel()
    counts = np.bincount(np.ravel_multi_index(sample(built, data, n, seed=11).T, (4,) * 4), minlength=256)
    assert not counts[expected < 1e-9 * n].any()
    rare = expected < 10
    cells = np.append(expected[~rare], expected[rare].sum())
    seen = np.append(counts[~rare], counts[rare].sum())
    if cells[-1] < 10:  # too rare for the statistic; their mass is added to the largest cell
        largest = int(np.argmax(cells))
        cells[largest] += cells[-1]
        seen[largest] += seen[-1]
        cells, seen = cells[:-1], seen[:-1]
    statistic = ((seen - cells) ** 2 / cells).sum()
    assert chi2.sf(statistic, len(cells) - 1) > 1e-6 / (2 * 2 * len(CASES))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_samples_depend_on_neither_threads_nor_cuts(name, options):
    built = kernel(name, 3, **options)
    whole = sample(built, SMOOTH, 500, seed=5)
    assert (sample(built, SMOOTH, 500, seed=5, threads=1) == whole).all()
    assert (sample(built, SMOOTH, 300, seed=5, first=200) == whole[200:]).all()
    assert (sample(built, SMOOTH, 500, seed=6) != whole).any()


@pytest.mark.parametrize("data", [SMOOTH, SHARP])
@pytest.mark.parametrize("shown", STARTS)
def test_infilling_one_site_a_step_is_the_conditional_law(data, shown):
    exact = given(data, shown)
    marginals = data.masked_posterior([shown])[0]
    for i in range(4):
        sites = tuple(j for j in range(4) if j != i)
        assert exact[:3, :3, :3, :3].sum(axis=sites) == pytest.approx(marginals[i], abs=1e-13)
    for name, options in (
        ("any-order-autoregressive", {}),
        ("any-order-autoregressive", {"order": "left-to-right"}),
        ("confidence-top-k", {"sites": 1}),
    ):
        built = kernel(name, 4, **options)  # from t = 1, where all of the data is masked
        assert tv(law(built, data, initial=point(shown, 4)), exact) < 1e-13
        x = sample(built, data, 50, initial=np.tile(shown, (50, 1)))
        assert all((x[:, i] == v).all() for i, v in enumerate(shown) if v < 3)


def test_infilling_by_maskgit_keeps_what_is_shown_and_is_biased():
    for shown in STARTS:
        p = law(kernel("maskgit", 8), SMOOTH, initial=point(shown, 4))
        keeps = all_revealed(SMOOTH, 4) > 0
        for i, v in enumerate(shown):
            keeps &= (v == 3) | (np.indices(p.shape)[i] == v)
        assert p[keeps].sum() == pytest.approx(1, abs=1e-13)
        assert tv(p, given(SMOOTH, shown)) > 0.02


@pytest.mark.parametrize("shown", STARTS[:2])
def test_infilling_by_ancestral_sampling_has_order_one(shown):
    # Just below t = 1, where tokens can be seen; masks do not know the time.
    errors = []
    for steps in (8, 16, 32, 64, 128):
        built = kernel("tweedie-tau-leaping", steps, start=0.999, stop=0.0)
        errors.append(tv(law(built, SMOOTH, initial=point(shown, 4)), given(SMOOTH, shown)))
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert slopes == pytest.approx(np.ones(4), abs=0.1)
    assert slopes[-1] == pytest.approx(1, abs=0.02)


def test_states_the_target_forbids_are_an_error_only_where_the_model_is_asked():
    table = np.zeros((2, 2, 2))
    table[0, 0, 0] = table[1, 1, 1] = 0.5
    data, noise = sequences.Enumerated(table), chains.Absorbing(2, "cosine")
    built = kernel("any-order-autoregressive", 3, noise)
    assert law(built, data)[0, 0, 0] == pytest.approx(0.5, abs=1e-15)
    with pytest.raises(FloatingPointError, match="probability 0"):
        law(built, data, initial=point([0, 1, 2], 3))
    with pytest.raises(FloatingPointError, match="probability 0"):
        sample(built, data, 5, initial=np.tile([0, 1, 2], (5, 1)))
    # all three at once are independent, and nothing is left to ask of the impossible ones
    at_once = kernel("any-order-autoregressive", 3, noise, sites=3)
    assert law(at_once, data)[0, 1, 0] == pytest.approx(0.125, abs=1e-15)
    assert len(np.unique(sample(at_once, data, 1000, seed=2), axis=0)) == 8


@pytest.mark.parametrize("name", ["any-order-autoregressive", "confidence-top-k", "maskgit"])
def test_noises_that_are_no_masks_are_refused(name):
    for noise in (chains.Uniform(3, "cosine"), chains.Hybrid(3, 0.2)):
        with pytest.raises(ValueError, match=r"use chains\.Absorbing"):
            kernel(name, 4, noise)


@pytest.mark.parametrize(
    ("name", "options", "kind", "message"),
    [
        ("any-order-autoregressive", {"order": "right"}, ValueError, "order is 'right': use 'random'"),
        ("any-order-autoregressive", {"sites": 0}, ValueError, "sites is 0: give at least 1"),
        ("any-order-autoregressive", {"sites": 1.5}, TypeError, "sites is 1.5: give a whole number"),
        ("confidence-top-k", {"sites": True}, TypeError, "sites is True"),
        ("maskgit", {"temperature": -1.0}, ValueError, "temperature is -1.0: give a finite number"),
        ("maskgit", {"temperature": math.nan}, ValueError, "temperature is nan"),
        ("maskgit", {"temperature": "hot"}, TypeError, "temperature is 'hot': give a number"),
    ],
)
def test_bad_options_name_themselves(name, options, kind, message):
    with pytest.raises(kind, match=message):
        kernel(name, 4, **options)


@pytest.mark.parametrize("schedule", ["linear", "polynomial"])
def test_infilling_may_start_where_all_sites_would_be_masked(schedule: str) -> None:
    """At t = 1 no noise shows a token, yet a revealed one tells what it is: TV to the conditional law is order 1.

    Samples: the law of a site by 4 * 10^4 draws, |z| < 5 at each of its 3 tokens, false-alarm rate 2e-6.
    """
    data = sequences.load("smooth")
    noise = chains.Absorbing(3, schedule)
    start = np.zeros((4,) * 3)
    start[1, 3, 3] = 1.0
    given = np.zeros((3,) * 3)
    given[1] = data.pmf()[1]
    given /= given.sum()
    errors = []
    for steps in (64, 128):
        kernel = catalogue["tweedie-tau-leaping"].kernel(noise, grids.uniform(noise, steps, stop=0.0))
        p = law(kernel, data, initial=start)[:3, :3, :3]
        errors.append(distances.table_tv(given, p))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.02)
    n = 40_000
    tokens = sample(kernel, data, n, seed=5, initial=np.tile([1, 3, 3], (n, 1)))
    assert (tokens[:, 0] == 1).all()
    expected = p.sum(axis=(0, 1))
    counts = np.bincount(tokens[:, 2], minlength=3)
    assert np.abs((counts - n * expected) / np.sqrt(n * expected * (1 - expected))).max() < 5
