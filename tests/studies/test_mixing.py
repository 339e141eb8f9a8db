"""The mixing study: its moments are the exact law's, its counts the fewest, its tables what was measured."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from analytic import GaussianMixture, paths
from solvers import GaussianLaw, catalogue, law, loops
from studies.cli import app
from studies.engine import run
from studies.mixing.corrected import Chains, clock, hmc_step, levels, mala_step, needs_of, zig_zag
from studies.mixing.needs import Bias, Gaussian, Least, Need, at_budgets, bias, needs
from studies.mixing.study import Mixing
from studies.mixing.tables import exponent
from studies.mixing.walks import METHODS, RANDOM, kinetic, walk_of

K = np.array([1.0, 3.0, 9.0])
TARGET = GaussianMixture([1.0], np.zeros((1, 3)), 1 / K[None])


def test_every_method_on_the_target_that_has_moments_is_studied() -> None:
    assert set(METHODS) - set(RANDOM) == set(catalogue.on("langevin"))
    assert set(RANDOM) <= set(loops.catalogue)


@pytest.mark.parametrize("name", sorted(set(METHODS) - set(RANDOM)))
def test_variances_are_those_of_the_exact_law_after_any_number_of_steps(name: str) -> None:
    h, friction = 0.11, 2.5
    walk = walk_of(name, h, friction, K)
    begin = GaussianLaw(1 / np.sqrt(K), np.zeros(3), None)
    options = {"friction": friction} if kinetic(name) else {}
    for steps in (2, 3, 4, 7, 33):
        tableau = catalogue[name].tableau(
            paths.Langevin(steps * h), np.linspace(steps * h, 0, steps + 1), **options
        )  # type: ignore[arg-type]
        exact, (mean, variances) = law(tableau, TARGET, begin), walk.law(steps)
        np.testing.assert_allclose(mean, exact.centre, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(variances, exact.variances, rtol=1e-10)
        assert walk.nfe(steps) == tableau.nfe
        assert walk.steps(tableau.nfe) == steps
    stays, factor = walk.stationary
    np.testing.assert_allclose(walk.law(3000)[1], stays, rtol=1e-10)
    assert factor < 1


def test_a_random_midpoint_comes_to_its_fixed_point_by_its_first_steps() -> None:
    for name in RANDOM:
        walk = walk_of(name, 0.11, 2.5, K)
        # one step after another by hand, the velocity N(0, 1)
        off = 1 / np.sqrt(K)
        second = np.stack([off**2, 0 * K, 0 * K, 0 * K + 1], axis=1) if kinetic(name) else off[:, None] ** 2
        first = np.stack([off, 0 * K], axis=1) if kinetic(name) else off[:, None]
        for _ in range(5):
            first = np.einsum("dij,dj->di", walk.middle.A, first)
            second = np.einsum("dij,dj->di", walk.middle.L, second) + walk.middle.q
        mean, variances = walk.law(5)
        np.testing.assert_allclose(mean, first[:, 0], rtol=1e-12)
        np.testing.assert_allclose(variances, second[:, 0] - first[:, 0] ** 2, rtol=1e-12)
        np.testing.assert_allclose(walk.law(3000)[1], walk.stationary[0], rtol=1e-10)
        assert walk.nfe(5) == 10


def _ula(h: float, steps: int) -> float:
    """W2 on N(0, 1) from one deviation off, in closed form."""
    kept = (1 - h) ** steps
    return float(np.hypot(kept, np.sqrt((1 - kept**2) / (1 - h / 2)) - 1))


def test_the_fewest_evaluations_are_those_of_a_search_through_all() -> None:
    # ULA on a sphere: all steps and numbers of steps tried
    dim, w2 = 100, 0.1
    fewest = np.inf
    for h in np.geomspace(1e-3, 0.9, 3000):
        for steps in range(2, 200):
            if np.sqrt(dim) * _ula(h, steps) <= w2:
                fewest = min(fewest, steps)
                break
    (found,) = needs("ula", 1, (dim,), w2)
    assert fewest <= found.nfe <= fewest + 1
    assert found.distance == pytest.approx(np.sqrt(2 * dim))
    (least,) = at_budgets("ula", 1, dim, (int(found.nfe),))
    assert 0.9 * w2 < least.error <= w2
    assert (least.nfe, least.dim, least.condition) == (found.nfe, dim, 1)
    # a walk of many steps is cut where the error is first small enough
    walk = walk_of("ula", 0.01, float("nan"), np.ones(1))
    target = Gaussian(1, 1)
    n = walk.least(lambda *moments: target.w2(*moments) > 0.02)
    assert n is not None
    assert target.w2(*walk.law(n)) <= 0.02 < target.w2(*walk.law(n - 1))
    assert walk.least(lambda *moments: target.w2(*moments) > 1e-3) is None  # its bias stays


def test_biases_have_the_orders_of_theory() -> None:
    found = {m: bias(m)[0] for m in METHODS}
    for name, order in (
        ("ula", 1),
        ("kinetic-euler", 1),
        ("exponential-langevin", 1),
        ("obabo", 2),
        ("ubu", 2),
    ):
        assert found[name].slope.value == pytest.approx(order, abs=0.01), name
    for name in RANDOM:
        assert found[name].slope.value == pytest.approx(3, abs=0.01), name
    for name in ("baoab", "leimkuhler-matthews"):  # exact on Gaussians
        assert found[name].slope.status == "exact"


def test_tables_figure_and_numbers_are_what_was_found() -> None:
    study = Mixing(
        ("ula", "ubu", "randomized-midpoint"), (1, 10, 100), (1, 10), (16, 64), w2=0.2, at=(10, 10)
    )
    found = run(study)
    assert [type(r) for r in found].count(Bias) == 3
    reports = {r.name: r for r in study.reports(found)}
    assert set(reports) == {
        "mixing-bias",
        "mixing-dimension-1",
        "mixing-dimension-10",
        "mixing-exponents",
        "mixing-condition",
        "mixing-budget",
    }
    need = {(n.method, n.condition, n.dim): n for n in found if isinstance(n, Need)}
    assert (need["ula", 1, 1].nfe, need["ula", 10, 100].nfe) == tuple(
        float(reports[f"mixing-dimension-{k}"].frame.set_index("method").loc["ula", f"d = {d}"])
        for k, d in ((1, 1), (10, 100))
    )
    assert ("ula", 10, 1) not in need  # one coordinate has no condition
    assert need["ubu", 10, 100].nfe < need["randomized-midpoint", 10, 100].nfe < need["ula", 10, 100].nfe
    exponents = reports["mixing-exponents"].frame.set_index("method")
    assert 0.4 < float(exponents.loc["ula", "k = 1"]) < 0.7
    assert exponents.loc["ubu", "bound"] == "0.25"
    errors = {(n.method, n.nfe): n.error for n in found if isinstance(n, Least)}
    assert errors["ula", 16] > errors["ula", 64] > errors["ubu", 64] > 0
    assert list(study.numbers(found))
    assert study.figures(found)["mixing"].to_dict()["concat"]
    assert np.isnan(exponent([10], [3.0]))
    assert exponent([10, 100, 1000], [2.0, 20.0, 200.0]) == pytest.approx(1)


def test_the_verb_prints_json_and_says_what_it_cannot_take() -> None:
    ran = CliRunner().invoke(
        app, ["mixing", "ula", "--dim", "10", "--condition", "1", "--budget", "16", "--json"]
    )
    assert ran.exit_code == 0, ran.output
    assert {row["method"] for row in json.loads(ran.stdout)["mixing"]} == {"ula"}
    for words, said in (
        (("ulaa",), "method is 'ulaa'"),
        (("--dim", "0"), "dim is 0: give 1 or more"),
        (("--w2", "0"), "w2 is 0.0: give a positive number"),
        (("--budget", "2"), "budget is 2: give 4 or more"),
    ):
        failed = CliRunner().invoke(app, ["mixing", *words])
        assert failed.exit_code != 0
        assert said in str(failed.exception) + failed.output


@pytest.mark.parametrize(
    ("name", "length", "options", "proposal"),
    [
        ("mala", 0.12, {}, lambda k: mala_step(k, 0.12)),
        ("hmc", 0.9, {"leapfrogs": 3}, lambda k: hmc_step(k, 0.3, 3)),
    ],
)
def test_two_numbers_of_a_chain_go_as_those_of_the_whole_chain(
    name: str, length: float, options: dict[str, int], proposal: Any
) -> None:
    """Moments after 5 steps from samples of both, at 5 standard errors of 4000 and 16,000 chains."""
    goal = Gaussian(30, 9)
    k, m = levels(goal)
    assert m.tolist() == [3.0] * 10
    whole = np.repeat(k, 3)
    target = GaussianMixture([1.0], np.zeros((1, 30)), 1 / whole[None])
    path, steps, n = paths.Langevin(5 * length), 5, 4000
    start = np.tile(1 / np.sqrt(whole), (n, 1))
    grid = np.linspace(steps * length, 0, steps + 1)
    found = loops.catalogue[name].solve(path, grid, target, start, seed=3, **options)
    of_loop = found.x.reshape(n, 10, 3)
    chains = Chains(k, m, 4 * n, seed=5)
    for _ in range(steps):
        chains.step(proposal(k))
    pairs = [
        (of_loop.sum(axis=2) / np.sqrt(3), chains.a),
        ((of_loop**2).sum(axis=2), chains.a**2 + chains.r**2),
        (of_loop.sum(axis=2) ** 2 / 3, chains.a**2),
    ]
    for one, other in pairs:
        error = np.sqrt(one.var(axis=0) / len(one) + other.var(axis=0) / len(other))
        assert np.all(np.abs(one.mean(axis=0) - other.mean(axis=0)) < 5 * error)
    share, expected = chains.accepted / (4 * n * steps), found.accepted.sum() / (n * steps)
    assert 0.1 < expected < 0.98
    assert abs(share - expected) < 5 * np.sqrt(0.25 / n)  # of steps of one chain, which are not independent
    squared, noise = chains.w2()
    assert found.nfe[0] == steps * proposal(k).nfe + 1
    a, narrow = pairs[0][0], 1 / np.sqrt(k)
    rest = np.sqrt((pairs[1][0] - a**2).mean(axis=0) / 2)  # of two coordinates across the start
    by_hand = a.mean(axis=0) ** 2 + (a.std(axis=0) - narrow) ** 2 + 2 * (rest - narrow) ** 2
    spread = 2 * np.sqrt(np.sum(a.mean(axis=0) ** 2 * a.var(axis=0)) * 1.25 / n)  # of both, by their means
    assert abs(squared - by_hand.sum()) < 5 * spread < 0.6 * squared
    assert noise < 0.01 * squared


def test_chains_keep_the_target() -> None:
    """From the exact law, 20 steps on: both moments at 5 standard errors of 20,000 chains, as the noise of W2 says."""
    k, m, n = np.array([1.0, 9.0]), np.array([1.0, 4.0]), 20_000
    for proposal in (mala_step(k, 0.15), hmc_step(k, 0.4, 3)):
        chains, rng = Chains(k, m, n, seed=1), np.random.default_rng(2)
        chains.a = rng.standard_normal((n, 2)) / np.sqrt(k)
        chains.r = np.where(m > 1, np.sqrt(rng.chisquare(np.maximum(m - 1, 1), (n, 2)) / k), 0.0)
        for _ in range(20):
            chains.step(proposal)
        assert np.all(np.abs(chains.a.mean(axis=0)) < 5 / np.sqrt(n * k))
        assert np.all(np.abs(k * (chains.a**2).mean(axis=0) - 1) < 5 * np.sqrt(2 / n))
        rest = k[1] * (chains.r[:, 1] ** 2).mean() / 3
        assert abs(rest - 1) < 5 * np.sqrt(2 / (3 * n))
        squared, noise = chains.w2()
        assert squared < 4 * noise
        assert chains.accepted < 0.97 * 20 * n


def test_the_zig_zag_s_clock_is_that_of_its_samples_and_it_is_scaled_for_each_precision() -> None:
    n, line = 40_000, GaussianMixture([1.0], [[0.0]], 1.0)
    for s in (0.8, 2.5):
        found = loops.catalogue["zig-zag"].solve(paths.Langevin(s), [s, 0.0], line, np.ones((n, 1)), seed=4)
        mean, variance, events = (float(v) for v in clock().at(np.array(s)))
        assert abs(found.x.mean() - mean) < 5 * np.sqrt(variance / n)
        assert abs(found.x.var() - variance) < 5 * np.sqrt(2.0 / n)
        turns = found.nfe - found.nfe.min()  # what a start costs is not an event
        assert abs(turns.mean() - events) < 5 * turns.std() / np.sqrt(n)
    once, twice = (zig_zag(Gaussian(dim, 1), 0.1 * np.sqrt(dim))[0] for dim in (10, 20))
    assert twice == pytest.approx(2 * once, rel=1e-9)
    assert zig_zag(Gaussian(1, 1), 5.0)[0] < 0.02  # there already


def test_needs_of_chains_are_those_of_whole_numbers_and_moderate_conditions() -> None:
    assert needs_of("mala", 4, (1,), 0.5) == []
    assert needs_of("hmc", 10_000, (10,), 0.5) == []
    (easy,) = needs_of("hmc", 1, (10,), 0.5)
    (hard,) = needs_of("hmc", 1, (10,), 0.05)
    assert 1 < easy.nfe < hard.nfe < 40
    (far,) = needs_of("zig-zag", 10_000, (15,), 0.1)
    assert far.nfe > 100
