"""The likelihood study: orders, bits per dimension, and the verb."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from analytic import targets
from solvers import catalogue
from solvers.continuous.executors.likelihood import flow_log_density
from studies.likelihood import study
from studies.likelihood.verb import likelihood
from studies.setting import Job, Setting


def test_orders_are_those_claimed_and_a_linear_score_hides_one_of_midpoints_map():
    found = {
        m.metric: m
        for m in study.likelihood(
            Job(catalogue["midpoint"], "practical"), "g", targets.load("gaussian-1d"), Setting()
        )
    }
    assert found[study.FLOW].slope.value == pytest.approx(2, abs=0.02)
    assert found[study.MAP].slope.value == pytest.approx(3, abs=0.02)


def test_errors_are_in_bits_per_dimension():
    target, setting = targets.load("rotated-16"), Setting()
    (flow, *_) = study.likelihood(Job(catalogue["euler"], "practical"), "r", target, setting)
    path, nodes = setting.path, setting.nodes(16)
    law = target.noised(float(path.alpha(nodes[-1])), float(path.sigma(nodes[-1])))
    x = law.sample(study.POINTS, 0)
    nats = flow_log_density("euler", path, nodes[::-1], target, x).log_density - law.log_density(x)
    assert flow.errors[1] == pytest.approx(np.sqrt(np.mean(nats**2)) / (16 * np.log(2)), rel=1e-12)


def test_rademacher_probes_are_exact_in_one_dimension():
    found = study.probes("easy", targets.load("easy-1d"), Setting())
    spreads = {(s.probe, s.drawn): s.deviation for s in found}
    assert spreads["rademacher", "once"] == pytest.approx(0, abs=1e-12)
    assert spreads["gaussian", "once"] > 8 * spreads["gaussian", "at each evaluation"] > 0


def test_the_verb_prints_json_and_refuses_other_methods():
    app = typer.Typer()
    app.command()(likelihood)
    result = CliRunner().invoke(app, ["heun", "--target", "gaussian-1d", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["likelihood"][0]["metric"] == study.FLOW
    refused = CliRunner().invoke(app, ["ddpm", "--target", "gaussian-1d"])
    assert isinstance(refused.exception, ValueError)
    assert "ddpm" in str(refused.exception)
