"""The mixing study: its moments are the exact law's, its counts the fewest, its tables what was measured."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from analytic import GaussianMixture, paths
from solvers import GaussianLaw, catalogue, law, loops
from studies.cli import app
from studies.engine import run
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
    assert exponents.loc["ubu", "theory"] == "0.25"
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
