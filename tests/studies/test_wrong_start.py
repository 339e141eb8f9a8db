"""What is left of a wrong start: rates of contraction in closed form, and what a study of methods finds."""

from __future__ import annotations

import numpy as np
import pytest

from analytic import targets
from solvers import GaussianLaw, catalogue, law
from studies.engine import run as measured
from studies.gap.gaps import GAUSSIAN_ERROR, Plan, starts
from studies.gap.study import Gaps
from studies.gap.wrong_start import BEGAN, COPY, by_start
from studies.setting import Setting

NORMAL, LINE = targets.load("gaussian-1d"), targets.load("easy-1d")
SETTING = Setting()
PLAN = Plan("gaussian-1d", NORMAL, GAUSSIAN_ERROR, setting=SETTING)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0, 1.5])
def test_on_a_gaussian_noise_contracts_kl_by_the_power_eta_squared_of_the_variances(eta: float) -> None:
    # a mean off by d obeys d' = (1 + eta^2)/2 (log v)' d with v = 1/4 + sigma^2, so KL = d^2/(2 v) ~ v^(eta^2)
    nodes = SETTING.nodes(1024)
    begin, moved = (
        GaussianLaw(one.means[0], one.variances[0], None) for one in starts(PLAN, float(nodes[0]), 1.0)
    )
    for length in (200, 600, 1024):
        tableau = catalogue["stochastic-heun"].tableau(SETTING.path, nodes[: length + 1], eta=eta)
        off, right = law(tableau, NORMAL, moved), law(tableau, NORMAL, begin)
        ratio = (0.25 + tableau.end[1] ** 2) / (0.25 + tableau.start[1] ** 2)
        assert off.error_to(right).kl == pytest.approx(0.5 * ratio ** (eta**2), rel=2e-3)
        expected = np.sqrt(0.25 + tableau.start[1] ** 2) * ratio ** ((1 + eta**2) / 2)
        assert off.error_to(right).w2 == pytest.approx(expected, rel=2e-3)


def test_on_a_gaussian_copies_are_as_far_apart_as_laws() -> None:
    for method in ("heun", "ddpm", "edm-churn(s_churn=10.0)"):
        found = {(g.to, g.metric): g for g in by_start(PLAN, (method,), (32,))}
        assert found[COPY, "W2"].gap == pytest.approx(found[BEGAN, "W2"].gap, rel=1e-6)
        assert found[COPY, "W2"].uncertainty < 1e-9


def test_noise_forgets_a_start_that_a_flow_keeps_and_the_table_says_so() -> None:
    study = Gaps(Plan("easy-1d", LINE, setting=SETTING), ("start",))
    found = measured(study)
    at = {(g.of, g.value, g.to, g.metric): g for g in found}
    begin, moved = starts(study.plan, float(SETTING.nodes(8)[0]), 1.0)
    x = np.linspace(-300, 300, 60_001)[:, None]
    logs = moved.log_density(x) - begin.log_density(x)
    began = float(np.trapezoid(np.exp(moved.log_density(x)) * logs, x[:, 0]))
    for method in ("euler", "heun"):  # each step is a map of the line, which keeps KL however coarse
        assert at[method, 64, BEGAN, "KL"].gap == pytest.approx(began, rel=1e-8)
    assert at["ddpm", 64, BEGAN, "KL"].gap < 0.01
    for g in found:
        if g.to == COPY and g.status == at[g.of, g.value, BEGAN, "W2"].status:
            # a coupling is no closer than the best, but for what is sampled
            assert g.gap > at[g.of, g.value, BEGAN, "W2"].gap - 2 * g.uncertainty - 0.02
    (table,) = study.reports(found)
    assert list(table.frame["method"]) == list(dict.fromkeys(g.of for g in found))
    assert study.figures(found) == {}
