"""The picture study: equal starts, budgets kept, a panel for each method and budget."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from analytic import targets
from studies.cli import app
from studies.engine import run
from studies.pictures.figure import panels
from studies.pictures.study import WAYS, Pictures
from studies.setting import Setting
from studies.specifications import job_of

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
