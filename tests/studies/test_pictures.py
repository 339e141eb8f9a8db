"""The picture study: equal starts, budgets kept, a panel for each method and budget."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import assay as calls
from analytic import chains, paths, sequences, targets
from solvers import catalogue, grids, sample
from solvers import run as run_on_arrays
from studies.cli import app
from studies.engine import run
from studies.pictures.figure import panels
from studies.pictures.study import WAYS, Pictures
from studies.setting import Setting
from studies.specifications import job_of
from tests.studies.test_cli import Run, assay  # noqa: F401

PAIR = targets.load("pair-2d")


def test_pictures_keep_their_budget_and_start_from_the_same_points() -> None:
    study = Pictures(
        [job_of(name) for name in ("euler", "heun", "ddpm")], "pair-2d", PAIR, Setting(samples=40), (5, 10)
    )
    found = run(study)
    assert [(p.method, p.budget, p.nfe) for p in found] == [
        ("euler", 5, 5),
        ("euler", 10, 10),
        ("heun", 5, 4),
        ("heun", 10, 10),
        ("ddpm", 5, 5),
        ("ddpm", 10, 10),
    ]
    starts = {p.ways[0][0] for p in found}
    assert len(starts) == 1
    for p in found:
        assert len(p.x) == len(p.y) == 40
        assert len(p.ways) == WAYS
        assert {len(way) for way in p.ways} == {p.steps + 1}
        np.testing.assert_allclose([w[-1] for w in p.ways], np.stack([p.x, p.y], axis=1)[:WAYS], rtol=1e-12)
        end = study._end()
        assert p.log_density == pytest.approx(float(end.log_density(np.stack([p.x, p.y], axis=1)).mean()))
    (report,) = study.reports(found)
    assert list(report.frame["method"]) == ["euler", "heun", "ddpm"]
    drawn = panels(found, study._end(), "title").to_dict()
    assert sum(len(one["hconcat"]) for row in drawn["vconcat"] for one in row["hconcat"]) == len(found)


def test_the_verb_prints_what_it_drew_and_refuses_other_dimensions() -> None:
    words = [
        "pictures",
        "euler",
        "--target",
        "pair-2d",
        "--samples",
        "20",
        "--nfe",
        "5",
        "--json",
        "--jobs",
        "1",
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "euler" in json.dumps(json.loads(done.stdout))
    done = CliRunner().invoke(app, ["pictures", "--target", "easy-1d"])
    assert "of dimension 1: give one in the plane" in str(done.exception or done.output)


def test_trajectories_are_those_of_run_and_end_at_the_samples() -> None:
    found = calls.pictures("heun", of="trajectories", steps=16, samples=5)
    (ways,) = found.records
    path = paths.VE(0.02, 20.0)
    tableau = catalogue["heun"].tableau(path, grids.log_snr(path, 16))
    target = targets.load("easy-1d")
    ends = run_on_arrays(tableau, target, target.noised(*tableau.start).sample(5, seed=0), 0)[:, 0]
    assert [way[-1] for way in ways.x] == pytest.approx(list(ends))
    assert len(ways.places) == len(ways.x[0]) == 17
    assert len(found.chart.hconcat) == 1
    (moved,) = calls.pictures("heun", of="trajectories", path="Interpolant", steps=4, samples=3).records
    assert moved.places == (1.0, 0.75, 0.5, 0.25, 0.0)  # which has no log-SNR


def test_tokens_are_revealed_once_and_stay() -> None:
    found = calls.pictures(of="revealed", steps=6, samples=40)
    rows = [one.tokens for one in found.records]
    mask = sequences.load("text").vocabulary
    assert set(rows[0]) == {mask}
    assert mask not in rows[-1]
    for before, after in itertools.pairwise(rows):
        assert all(b in (mask, a) for b, a in zip(before, after, strict=True))
    data, noise = sequences.load("text"), chains.Absorbing(mask, "linear")
    kernel = catalogue["tweedie-tau-leaping"].kernel(noise, grids.uniform(noise, 6)[:3])
    assert rows[2] == tuple(sample(kernel, data, 1, 0, "prior")[0, :40])
    hidden = [row.count(mask) for row in rows]
    assert hidden == sorted(hidden, reverse=True)


def test_pictures_of_a_walk_are_animated_and_others_are_not(assay: Run, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "r.gif"
    assert (
        assay("pictures", "--of", "revealed", "--steps", "3", "--samples", "20", "--plot", str(file))[0] == 0
    )
    with Image.open(file) as image:
        assert image.n_frames == 4
        assert image.info["duration"] == 120
    code, _, said = assay("pictures", "euler", "--nfe", "4", "--samples", "5", "--plot", str(file))
    assert code == 2
    assert "nothing is animated" in said
    assert assay("pictures", "--of", "films")[2].startswith("assay: error: of is 'films'")
    assert "on the line" in assay("pictures", "--of", "trajectories", "--target", "pair-2d")[2]
