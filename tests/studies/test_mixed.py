"""The mixed study: ladders are the laws they say, verdicts are read off them, the verb prints and draws."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from scipy import stats
from typer.testing import CliRunner

from analytic import Embedded, GaussianMixture, distances, paths, sequences, targets
from solvers import catalogue, grids, loops, run
from studies.mixed import measured
from studies.mixed.study import Mixed, verdict
from studies.mixed.verb import mixed

EASY = targets.load("easy-1d")


def test_the_strength_of_copies_is_measured_against_the_posterior() -> None:
    (numbers,), (token,) = measured.copies(EASY, "coupling"), measured.copies(EASY, "flip")
    assert (verdict(numbers), verdict(token)) == ("confirmed", "confirmed")
    # 1/flip = 4 by hand: the posterior's tokens, moved
    w, tilt = EASY.weights, np.exp([0.0, measured.REWARD])
    like = stats.norm(EASY.means[:, 0], np.sqrt(EASY.variances[:, 0] + measured.DEVIATION**2)).pdf(
        measured.SEEN
    )
    exact, moved = w * tilt * like, w * (0.75 * tilt + 0.25 * tilt.mean()) * like
    gap = np.abs(exact / exact.sum() - moved / moved.sum()).sum() / 2
    assert token.errors[1] == pytest.approx(gap, abs=1e-9)  # given the token the number is the same


def test_copies_of_several_tokens_are_measured_by_a_distance_that_quadrature_confirms() -> None:
    (numbers,), (tokens,) = measured.several_copies("coupling"), measured.several_copies("flip")
    assert (verdict(numbers), verdict(tokens)) == ("confirmed", "confirmed")
    one, other = (
        measured.SEVERAL,
        GaussianMixture(measured.SEVERAL.weights[::-1], measured.SEVERAL.means + 0.1, 0.3),
    )
    x = np.linspace(-7, 7, 401)
    places, area = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2), (x[1] - x[0]) ** 2
    overlap = sum(
        np.sqrt(
            a.weights[k]
            * b.weights[k]
            * np.exp(a.condition(k).log_density(places) + b.condition(k).log_density(places))
        ).sum()
        for a, b in ((one, other),)
        for k in range(6)
    )
    assert measured.hellinger(one, other) == pytest.approx(np.sqrt(1 - overlap * area), abs=1e-10)

    # the posterior's tokens moved, by hand: each by itself is kept, or drawn from its values alike
    def moved(flip: float) -> Any:
        q = np.kron((1 - flip) * np.eye(2) + flip / 2, (1 - flip) * np.eye(3) + flip / 3)
        reward = np.exp([0.0, 0.0, 0.3, 0.0, -0.4, measured.REWARD])
        law = one.given([[1.0, 0.5]], [measured.SEEN], measured.DEVIATION).weights * (q @ reward)
        return law / law.sum()

    gap = np.sqrt(1 - np.sqrt(moved(0.0) * moved(0.25)).sum())  # numbers given tokens are the same
    assert tokens.errors[1] == pytest.approx(gap, abs=1e-9)


def test_a_verdict_is_what_the_ladder_says() -> None:
    (ddpm,) = measured.prior_steps(EASY, "ddpm")
    (flow,) = measured.prior_steps(EASY, "heun")
    assert verdict(ddpm) == "confirmed"
    assert verdict(flow) == "–"
    assert verdict(replace(flow, claim=1.0)) == "refuted"
    assert verdict(replace(ddpm, claim=2.0)) == "refuted"


@pytest.mark.parametrize("flow", ["geodesics, noise uniform on the simplex", "Dirichlet path"])
def test_where_one_token_changes_is_found_exactly(flow: str) -> None:
    path, u = measured.FLOWS[flow], (np.arange(20_000) + 0.5) / 20_000
    x = np.stack([u, 1 - u], axis=1)[:, None, :]
    x = np.sqrt(x) if isinstance(path, paths.FisherRao) else x
    one = sequences.Product([measured.ONE])
    tokens = path.round(loops.catalogue["simplex-euler"].solve(path, grids.uniform(path, 8), one, x).x)
    assert measured._flow_of_one(path, 8) == pytest.approx(abs((tokens == 0).mean() - 0.3), abs=1e-4)


def test_tokens_read_off_places_are_confused_as_samples_are() -> None:
    (found,) = measured.rounded(0.3)
    data = sequences.load(measured.CHAIN)
    embedded = Embedded(data, [[-1.0], [0.0], [1.0]])
    x = embedded.sample(200_000, 1) + 0.3 * np.random.default_rng(0).standard_normal((200_000, 3))
    for how, error in (("nearest", found.nearest), ("posterior", found.posterior)):
        read = measured.counted(embedded.round(x, 1.0, 0.3, how), (3, 3, 3))  # type: ignore[arg-type]
        assert abs(distances.table_tv(read, data.pmf()) - error) < 4 * measured.blur_of(data.pmf(), 200_000)
    assert found.nearest > 0.05


def test_a_short_chain_is_drawn_by_the_mixture_as_by_its_messages() -> None:
    (ddim,) = measured.sequence("ddim", 32_768, 0)
    (masked,) = measured.sequence("masked", 32_768, 0)
    (flow,) = measured.sequence("straight lines", 32_768, 0)
    assert verdict(masked) == "confirmed"
    assert masked.errors[0] > masked.errors[-1] > 0
    assert 0.5 < flow.errors[0] / 0.091 < 2
    data, space = sequences.load(measured.CHAIN), measured.SPACE
    embedded = Embedded(data)
    z = 20 * np.random.default_rng(1).standard_normal((32_768, 9)) + embedded.sample(32_768, 2)
    x = run(catalogue["ddim"].tableau(space, grids.log_snr(space, 4)), embedded, z)
    tv = distances.table_tv(measured.counted(embedded.round(x), (3, 3, 3)), data.pmf())
    assert abs(tv - ddim.errors[0]) < 4 * ddim.uncertainty


def test_the_verb_prints_tables_and_json_and_draws(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(mixed)
    plot = tmp_path / "mixed.svg"
    short = ["--study", "copies", "--study", "rounding", "--jobs", "1"]
    result = CliRunner().invoke(app, [*short, "--json", "--plot", str(plot)])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert {row["against"] for row in found["mixed-copies"]} == {"1/rho", "1/flip"}
    assert len(found["mixed-rounding"]) == 5
    assert "strength of the copies" in plot.read_text("utf-8")
    for words, said in (
        (["--target", "gaussian-1d"], "two or more components"),
        (["--study", "copy"], "did you mean copies"),
        (["--samples", "50"], "32000 or more"),
    ):
        refused = CliRunner().invoke(app, words)
        assert isinstance(refused.exception, ValueError)
        assert said in str(refused.exception)


def test_every_study_has_its_cells() -> None:
    cells = list(Mixed(("easy-1d", EASY)).cells())
    assert len({json.dumps(dict(cell.of)) for cell in cells}) == len(cells) == 2 + 5 + 4 + 4 + 8 + 8 + 5 + 10
