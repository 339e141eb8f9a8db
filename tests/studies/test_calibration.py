"""The calibration study: a martingale is none the worse, what is known of wrong ones, tables of what was measured."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from analytic import targets
from studies.calibration.measured import at_levels, at_the_end, defect, of_learned
from studies.calibration.study import Calibration
from studies.cli import app
from studies.engine import run as measured
from studies.learned.networks import OrnsteinUhlenbeck, shipped
from studies.setting import Setting
from studies.wrong_scores import score_of

LINE, SETTING = targets.load("easy-1d"), Setting()


def test_the_exact_denoiser_is_a_martingale_and_a_constant_error_is_off_by_what_it_grows() -> None:
    wrong = score_of("constant(0.1, of='eps')", LINE)
    for now, then in (((1.0, 4.0), (1.0, 1.5)), ((0.6, 0.8), (0.8, 0.6)), ((1.0, 0.5), (1.0, 0.1))):
        assert defect(LINE, LINE, now, then) < 1e-12
        grown = 0.1 * abs(now[1] / now[0] - then[1] / then[0])
        assert defect(wrong, LINE, now, then) == pytest.approx(grown, rel=1e-10)
    (far, near) = at_levels("weights(0.7, 0.3)", LINE, SETTING, (-1.0, 0.5))
    assert far.defect > far.calibrated_defect > 0
    assert np.isnan(near.defect)
    for one in (far, near):
        assert one.error - one.calibrated == pytest.approx(one.eta**2, rel=1e-9)


def test_a_networks_mean_is_that_of_samples() -> None:
    # two means, beyond 5 standard errors: a false alarm of 1e-6
    (level,) = of_learned("score-matching", (0.5,))
    path, network = OrnsteinUhlenbeck(), shipped()["score-matching"]
    t = float(path.time_of_log_snr(0.5))
    x = targets.load("nine-2d").noised(float(path.alpha(t)), float(path.sigma(t))).sample(40_000, 3)
    score = network.score(x, t)
    error = 5 * np.linalg.norm(score.std(axis=0)) / np.sqrt(len(x))
    assert abs(np.linalg.norm(score.mean(axis=0)) - level.eta) < error
    assert level.error - level.calibrated == pytest.approx(level.eta**2, abs=1e-6)


def test_a_constant_error_is_cured_at_the_end_and_the_tables_show_it() -> None:
    (end,) = at_the_end("constant(0.1, of='eps')", "heun", LINE, SETTING, 16)
    assert end.calibrated_kl == pytest.approx(end.exact_kl, rel=1e-6)
    assert end.kl > 5 * end.exact_kl
    study = Calibration(("easy-1d", LINE), ("weights(0.7, 0.3)",), ("heun",), (), 8, (0.0, 1.0))
    levels, ends = study.reports(measured(study))
    assert list(levels.frame["what"]) == ["mean", "taken", "defect"]
    assert list(ends.frame["method"]) == ["heun"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--score", "exact"], "exact score has mean 0"),
        (["--target", "pair-2d"], "give one on the line"),
        (["--network", "nothing"], "network"),
        (["--steps", "1"], "give at least 2"),
    ],
)
def test_what_cannot_be_asked_is_one_line(arguments: list[str], said: str) -> None:
    found = CliRunner().invoke(app, ["calibration", *arguments])
    assert found.exit_code != 0
    assert said in str(found.exception)
