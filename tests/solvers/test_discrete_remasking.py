"""ReMDM against plain loops, marginals and samples. False alarms: 1e-6 over all chi-square tests here."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import pytest
from scipy.stats import chi2

from analytic import chains, sequences
from solvers import catalogue, grids
from solvers.discrete import Tables, law, sample

NOISE = chains.Absorbing(3, "cosine")
SMOOTH = sequences.MarkovSequence([0.5, 0.3, 0.2], [[0.7, 0.15, 0.15], [0.2, 0.3, 0.5], [0.4, 0.4, 0.2]], 4)
SHARP = sequences.MarkovSequence(
    [0.5, 0.3, 0.2], [[0.01, 0.98, 0.01], [0.01, 0.01, 0.98], [0.98, 0.01, 0.01]], 4
)
TINY = chains.Absorbing(2, "cosine")
PAIR = sequences.MarkovSequence([0.6, 0.4], [[0.8, 0.2], [0.3, 0.7]], 2)
CASES = [
    {},
    {"eta": 0.3},
    {"strategy": "rescale", "eta": 0.4},
    {"strategy": "rescale", "eta": 1.0},
    {"strategy": "loop", "eta": 0.05},
    {"strategy": "current-confidence"},
]


def kernel(steps=8, noise=NOISE, start=None, stop=None, **options):
    return catalogue["remdm"].kernel(noise, grids.uniform(noise, steps, start=start, stop=stop), **options)


def tv(p, q):
    return float(abs(p - q).sum() / 2)


def error(built, tables):
    p = law(built, tables.data, tables=tables).ravel()
    return tv(p, tables.evidence(float(built.grid[-1])))


def remasked(data, x, alpha_t, alpha_s, sigma_of):
    """Law of z_s given z_t = x, summing q_sigma(z_s | z_t, x_0) of the paper over x_0, as plain loops."""
    V, L = data.vocabulary, data.length
    table = data.pmf()
    shown = [y for y in product(range(V), repeat=L) if all(b in (a, V) for a, b in zip(y, x, strict=True))]
    total = sum(table[y] for y in shown)
    rows = []
    for i in range(L):
        sigma, row = sigma_of(i, x), [0.0] * (V + 1)
        for y in shown:
            p = table[y] / total
            if x[i] != V:
                row[y[i]] += p * (1 - sigma)
                row[V] += p * sigma
            else:
                row[y[i]] += p * (alpha_s - (1 - sigma) * alpha_t) / (1 - alpha_t)
                row[V] += p * (1 - alpha_s - sigma * alpha_t) / (1 - alpha_t)
        rows.append(row)
    out = np.zeros((V + 1,) * L)
    for y in product(range(V + 1), repeat=L):
        out[y] = math.prod(row[v] for row, v in zip(rows, y, strict=True))
    return out.ravel()


def leave_one_out(data, x, i):
    """P(x_0 at site i = its token | the other tokens shown), by enumeration."""
    V, table = data.vocabulary, data.pmf()
    fits = [
        y
        for y in product(range(V), repeat=data.length)
        if all(x[j] in (y[j], V) for j in range(data.length) if j != i)
    ]
    return sum(table[y] for y in fits if y[i] == x[i]) / sum(table[y] for y in fits)


@pytest.mark.parametrize("data", [SMOOTH, SHARP])
@pytest.mark.parametrize("options", CASES)
def test_one_step_law_is_that_of_plain_loops(options, data):
    built, number = kernel(10, **options), 6  # inside the loop, between 0.55 and 0.05
    (move,) = built.steps[number]
    t, s = built.grid[number], built.grid[number + 1]
    alpha_t, alpha_s = float(NOISE.alpha(t)), float(NOISE.alpha(s))
    bound, eta = min(1, (1 - alpha_s) / alpha_t), options.get("eta", 0.008)
    strategy = options.get("strategy", "cap")
    if strategy == "loop":
        assert alpha_t == alpha_s == pytest.approx(0.9, abs=1e-15)

    def sigma_of(i, x):
        if strategy == "current-confidence":
            weight = {j: math.exp(-leave_one_out(data, x, j)) for j in range(4) if x[j] < 3}
            return bound * weight[i] / sum(weight.values()) if i in weight else 0.0
        return {"cap": min(eta, bound), "rescale": eta * bound, "loop": eta}[strategy]

    tables = Tables(NOISE, data)
    for index in range(0, 256, 7):
        x = tables.tokens[index].tolist()
        found = move.push(np.eye(256)[index], tables)
        assert np.allclose(found, remasked(data, x, alpha_t, alpha_s, sigma_of), rtol=0, atol=1e-12)


@pytest.mark.parametrize("data", [SMOOTH, SHARP])
@pytest.mark.parametrize("options", CASES[:5])
def test_a_step_from_the_exact_law_keeps_every_marginal_but_not_the_joint(options, data):
    tables, built = Tables(NOISE, data), kernel(10, **options)
    for (move,), t, s in zip(built.steps, built.grid[:-1], built.grid[1:], strict=True):
        joint = move.push(tables.evidence(t), tables)
        exact = tables.evidence(s)
        for site in range(4):
            others = tuple(j for j in range(4) if j != site)
            found, wanted = (p.reshape((4,) * 4).sum(axis=others) for p in (joint, exact))
            assert np.allclose(found, wanted, rtol=0, atol=1e-13)
        assert tv(joint, exact) > 1e-7


def test_confidence_of_each_token_keeps_no_marginal():
    tables, built = Tables(NOISE, SMOOTH), kernel(10, strategy="current-confidence")
    (move,) = built.steps[5]
    joint = move.push(tables.evidence(built.grid[5]), tables).reshape((4,) * 4)
    masks = joint.sum(axis=(1, 2, 3))[3]
    # masks come back and none is revealed for them
    assert masks > 1 - float(NOISE.alpha(built.grid[6])) + 0.05


def test_without_remasking_it_is_ancestral_sampling():
    plain = law(catalogue["tweedie-tau-leaping"].kernel(NOISE, grids.uniform(NOISE, 8)), SMOOTH)
    for strategy in ("cap", "rescale", "current-confidence"):
        assert np.allclose(law(kernel(8, strategy=strategy, eta=0.0), SMOOTH), plain, rtol=0, atol=1e-14)


def test_cap_never_exceeds_its_bound():
    # at eta = 1 both are the bound: all that can be remasked is
    assert (law(kernel(8, eta=1.0), SMOOTH) == law(kernel(8, strategy="rescale", eta=1.0), SMOOTH)).all()
    # and the last step of a grid down to the data masks nothing
    p = law(kernel(8, eta=1.0, stop=0.0), SMOOTH)
    assert p[:3, :3, :3, :3].sum() == pytest.approx(1, abs=1e-13)


def test_loop_has_the_published_levels_where_its_times_are_nodes():
    noise, steps = chains.Absorbing(2, "linear"), 20
    t_on, t_off, on = 0.55, 0.05, 0.9
    times = np.linspace(1, 0, steps + 1)
    built = catalogue["remdm"].kernel(noise, times, strategy="loop")
    for number, (t, s) in enumerate(pairwise(times)):
        if t > t_on + 1e-9:
            level = [1 - (1 - u) * on / (1 - t_on) for u in (t, s)]
        elif t <= t_off + 1e-9:
            level = [u * (1 - on) / t_off for u in (t, s)]
        else:
            level = [1 - on, 1 - on]
        assert built.grid[number : number + 2] == pytest.approx(level, abs=1e-15)
        sigma = built.steps[number][0].flow.coefficients.free[-1]
        assert sigma == (0.02 if level[0] == pytest.approx(level[1]) else 0.0)


def test_loop_between_nodes_oversteps_no_level():
    built = kernel(7, strategy="loop")
    alpha = np.asarray(NOISE.alpha(built.grid))
    assert (np.diff(built.grid) <= 0).all()
    inside = (np.linspace(1, 0.001, 8) <= 0.55) & (np.linspace(1, 0.001, 8) >= 0.05)
    assert inside.sum() == 3
    assert alpha[inside] == pytest.approx(np.full(3, 0.9), abs=1e-14)


def test_many_short_steps_follow_the_stationary_law_of_remasking():
    tables, steps = Tables(TINY, PAIR), (128, 256, 512)
    errors = np.array([error(kernel(N, TINY, stop=1e-5, strategy="rescale", eta=1.0), tables) for N in steps])
    early, late = np.log2(errors[:-1] / errors[1:])
    # TV falls with steps^(-1/2); what is left of order one goes with the steps
    assert 0.5 < late < early < 0.57
    kept = [error(kernel(N, TINY, stop=1e-5, strategy="loop", eta=0.1), tables) for N in steps[1:]]
    assert kept[1] > 0.01
    assert kept[1] == pytest.approx(kept[0], rel=0.02)


def test_at_the_published_eta_tv_falls_with_order_one_at_first():
    tables = Tables(NOISE, SMOOTH)
    errors = [error(kernel(N), tables) for N in (8, 16, 32)]
    assert np.log2(np.array(errors[:-1]) / errors[1:]) == pytest.approx([1, 1], abs=0.1)


@pytest.mark.parametrize("n", [100_000, pytest.param(200_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("data", [SMOOTH, SHARP])
@pytest.mark.parametrize("options", CASES)
def test_samples_have_the_law(options, data, n):
    built = kernel(6, stop=0.1, **options)
    expected = n * law(built, data).ravel()
    counts = np.bincount(np.ravel_multi_index(sample(built, data, n, seed=12).T, (4,) * 4), minlength=256)
    assert not counts[expected < 1e-9 * n].any()
    rare = expected < 10
    cells = np.append(expected[~rare], max(expected[rare].sum(), 1e-300))
    seen = np.append(counts[~rare], counts[rare].sum())
    if cells[-1] < 10:  # too rare for the statistic; their mass is added to the largest cell
        largest = int(np.argmax(cells))
        cells[largest] += cells[-1]
        seen[largest] += seen[-1]
        cells, seen = cells[:-1], seen[:-1]
    statistic = ((seen - cells) ** 2 / cells).sum()
    assert chi2.sf(statistic, len(cells) - 1) > 1e-6 / (2 * 2 * len(CASES))


@pytest.mark.parametrize("options", CASES)
def test_samples_depend_on_neither_threads_nor_cuts(options):
    built = kernel(6, **options)
    whole = sample(built, SMOOTH, 500, seed=5)
    assert (sample(built, SMOOTH, 500, seed=5, threads=1) == whole).all()
    assert (sample(built, SMOOTH, 300, seed=5, first=200) == whole[200:]).all()
    assert (sample(built, SMOOTH, 500, seed=6) != whole).any()


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"strategy": "caps"}, ValueError, "strategy is 'caps': use one of 'cap'"),
        ({"strategy": "conf"}, ValueError, "see current-confidence"),
        ({"eta": 1.5}, ValueError, "eta is 1.5: give a number from 0 to 1"),
        ({"eta": "much"}, TypeError, "eta is 'much'"),
        ({"strategy": "loop", "eta": 0.2}, ValueError, "eta is 0.2, more than"),
        ({"strategy": "loop", "t_on": 0.04}, ValueError, "t_off is 0.05 and t_on is 0.04"),
        ({"strategy": "loop", "alpha_on": 1.0}, ValueError, "alpha_on is 1.0: give a number between"),
    ],
)
def test_bad_options_name_themselves(options, kind, message):
    with pytest.raises(kind, match=message):
        kernel(4, **options)


def test_noises_that_are_no_masks_are_refused():
    with pytest.raises(ValueError, match=r"use chains\.Absorbing"):
        kernel(4, chains.Uniform(3, "cosine"))
