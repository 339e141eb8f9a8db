"""Verification: sound samplers pass, each fault is found by the check that it belongs to, and files are taken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from analytic import paths
from solvers import catalogue
from studies.cli import app
from studies.verify import CHECKS, TOKEN_CHECKS, Subject, drawn, parametrize_with_checks
from studies.verify.contract import FAILED, NOT_ASKED, PASSED
from studies.verify.named import subject_of
from tests.studies import broken_samplers as broken
from tests.studies.score import of_method

EDM = paths.EDM(0.02, 20)
ROOT = Path(__file__).parent.parent.parent
SOUND = [
    Subject("ddim", paths.VP(), 1, given=broken.ddim(), nfe=1),
    Subject("heun", paths.VP(), 2, given=broken.heun(), nfe=2),
    Subject("two-step", paths.VP(), 2, given=broken.two_step()),
    Subject("third-order", paths.VP(), 3, given=broken.third_order()),
    Subject("stochastic-heun", paths.VP(), 2, "weak", given=broken.stochastic_heun()),
    Subject("ancestral", paths.Linear(), 1, "weak", given=broken.ancestral()),
    Subject("churned", EDM, 2, "weak", given=broken.churned()),
]
LAWS = {"order, log-snr", "order, karras", "order, uneven"}
FAULTS: list[tuple[Any, float, str, Any, set[str], str]] = [
    # off by one in time: the order stays, the levels do not
    (broken.ddim(ask=1), 1, "ode", paths.VP(), {"levels"}, "look at where the loop begins"),
    (broken.ddim(last=1), 1, "ode", paths.VP(), {"frozen model"}, "level of node 255 of 256"),
    (broken.stochastic_heun(last=1), 2, "weak", paths.VP(), {"order, log-snr"}, "level of node 255 of 256"),
    (broken.ddim(lift=0.99), 1, "ode", paths.VP(), {*LAWS, "frozen model", "order, mixture"}, ""),
    (broken.heun(wrong_end=True), 2, "ode", paths.VP(), {*LAWS, "frozen model", "order, mixture"}, ""),
    (
        broken.stochastic_heun(redrawn=True),
        2,
        "weak",
        paths.VP(),
        {"order, log-snr"},
        "should have been used",
    ),
    (broken.two_step(equal=True), 2, "ode", paths.VP(), {"order, uneven"}, "a ratio of steps"),
    (broken.third_order(0.5), 3, "ode", paths.VP(), {"order, log-snr"}, "a coefficient"),
    (broken.ancestral(straight=True), 1, "weak", paths.Linear(), LAWS, ""),
    # a grid that ends above zero, and an order that is not lowered where the last step is infinite in log-SNR
    (broken.ddim(last=1), 1, "ode", paths.VP(), {"last step to the data"}, "look at the last level"),
    (broken.two_step(lowered=False), 2, "ode", paths.VP(), {"last step to the data"}, "log-SNR is infinite"),
    # the model is asked before the churn, at the level and about the samples of then
    (broken.churned(before=True), 2, "weak", EDM, LAWS, ""),
    (broken.careless("input"), 1, "ode", paths.VP(), {"inputs"}, "written to"),
    (broken.careless("grid"), 1, "ode", paths.VP(), {"inputs"}, "written to"),
    (broken.careless("batch"), 1, "ode", paths.VP(), {"batch"}, "a mean"),
    (broken.careless("noise"), 1, "ode", paths.VP(), {"noise"}, ""),
    (broken.careless("state"), 1, "ode", paths.VP(), {"reproducible"}, "kept between calls"),
    (broken.careless("coordinates"), 1, "ode", paths.VP(), {"rotation"}, ""),
    (broken.careless("shape"), 1, "ode", paths.VP(), {"result"}, ""),
]


@parametrize_with_checks(SOUND)
def test_sound_samplers_pass(subject: Subject, check: Any) -> None:
    finding = check(subject)
    assert finding.result != FAILED, f"{finding.found}; {finding.means}"
    assert finding.result == PASSED or finding.found or finding.means


@pytest.mark.parametrize(("sampler", "order", "sense", "path", "by", "hint"), FAULTS, ids=range(len(FAULTS)))
def test_each_fault_is_found(
    sampler: Any, order: float, sense: str, path: Any, by: set[str], hint: str
) -> None:
    subject = Subject("broken", path, order, sense, given=sampler)
    for name in by:
        finding = CHECKS[name](subject)
        assert finding.result == FAILED, f"{name}: {finding.found}"
        assert hint in finding.means


def test_evaluations_are_counted_and_exceptions_are_findings() -> None:
    twice = Subject("twice", paths.VP(), 2, given=broken.heun(), nfe=1)
    finding = CHECKS["evaluations"](twice)
    assert (finding.result, finding.found) == (FAILED, "48 in 24 steps, claimed 1 a step")

    def raising(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        return denoise(x, grid.t[:2])

    finding = CHECKS["result"](Subject("raising", paths.VP(), given=raising))
    assert "ValueError: raising: denoise is given 2 times at once" in finding.found


def test_expected_failures_must_be_checks() -> None:
    with pytest.raises(ValueError, match=r"expected_failures has \['ordr'\]"):
        parametrize_with_checks(SOUND, {"ordr": "a slip"})


# What published code loses, and claims that are made for steps that vary smoothly.
LOST = {
    "dpm-solver++-3m-as-published",
    "dpm-solver-fast",
    "er-sde-2-as-published",
    "er-sde-3-as-published",
    "ipndm",
    "ipndm-v-as-published",
    "pndm",
    "rex-rk4-as-published",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(catalogue.continuous))
def test_no_check_gives_a_false_alarm_over_the_catalogue(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "EXAMPLES", 4)
    method = catalogue[name]
    text = f"{name}(start='exact')" if method.multistep else name
    path = paths.VE(0.02, 20) if name in ("edm-churn", "restart") else paths.VP()
    subject = subject_of(text, path)
    # the table of claims has the orders on an even grid, of every method
    even = ("order, karras", "order, log-snr")
    found = [check(subject) for check in CHECKS.values() if check.name not in even]
    if name in LOST:
        assert any(f.result != PASSED for f in found if f.check.startswith("order"))
    else:
        assert not [f for f in found if f.result == FAILED]


def test_a_users_file_is_verified_by_the_command(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "order, nfe, path = 1, 1, 'EDM(0.02, 20)'\n\n"
        "def sampler(denoise, x, grid, normal):\n"
        "    for i in range(len(grid.t) - 1):\n"
        "        D = denoise(x, grid.t[i])\n"
        "        x = D + grid.sigma[i + 1] / grid.sigma[i] * (x - D)\n"
        "    return x\n\n"
        "def late(denoise, x, grid, normal):\n"
        "    for i in range(len(grid.t) - 1):\n"
        "        D = denoise(x, grid.t[i + 1])\n"
        "        x = D + grid.sigma[i + 1] / grid.sigma[i] * (x - D)\n"
        "    return x\n"
    )
    runner = CliRunner()
    sound = runner.invoke(app, ["verify", str(file), "--json", "--strict=refuted", "--jobs", "1"])
    assert sound.exit_code == 0, sound.output
    found = {row["check"]: row for row in json.loads(sound.stdout)["verify"]}
    assert set(found) == set(CHECKS)
    assert found["order, uneven"]["result"] == PASSED
    late = runner.invoke(app, ["verify", f"{file}:late", "--strict=refuted", "--jobs", "1"])
    assert late.exit_code == 1
    assert "levels: the model is asked at another level" in late.output
    for text, complaint in ((f"{file}:none", "no function 'none'"), (str(tmp_path / "no.py"), "no file")):
        refused = runner.invoke(app, ["verify", text])
        assert complaint in str(refused.exception)


def test_the_checks_run_in_another_projects_tests(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "from analytic import paths\n"
        "from studies.verify import Subject, parametrize_with_checks\n\n"
        "def ddim(denoise, x, grid, normal):\n"
        "    for i in range(len(grid.t) - 1):\n"
        "        ratio = grid.sigma[i + 1] / grid.sigma[i]\n"
        "        x = ratio * x + (grid.alpha[i + 1] - ratio * grid.alpha[i]) * denoise(x, grid.t[i])\n"
        "    return x + normal() * 0\n\n"
        "@parametrize_with_checks([Subject('ddim', paths.VP(), order=1, given=ddim)], {'noise': 'drawn in vain'})\n"
        "def test_ddim(subject, check):\n"
        "    finding = check(subject)\n"
        "    assert finding.result != 'failed', finding.means\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)),
            *("-m", "verify", "--strict-markers", "--junitxml", str(tmp_path / "found.xml")),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert f"{len(CHECKS) - 1} passed, 1 xfailed" in done.stdout, done.stdout
    assert f'tests="{len(CHECKS)}"' in (tmp_path / "found.xml").read_text()


def test_the_page_lists_every_check_and_its_sampler_passes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "verify.md").read_text()
    continuous, _, tokens = (part.split("\n\n")[0] for part in page.split("| --- | --- |\n")[1:4])
    for table, checks in ((continuous, CHECKS), (tokens, TOKEN_CHECKS)):
        listed = {name.strip() for row in table.splitlines() for name in row.split("|")[1].split(";")}
        assert listed == set(checks)
    file = tmp_path / "shown.py"
    file.write_text(page.split("```python\n")[1].split("```")[0])
    subject = subject_of(str(file))
    assert (subject.order, subject.sense, subject.nfe) == (2, "ode", 2)
    assert not [f for check in CHECKS.values() if (f := check(subject)).result == FAILED]
    file.write_text(page.split("```python\n")[2].split("```")[0])
    step = subject_of(str(file))
    assert (step.order, step.nfe, step.noise, step.exact) == (1, 1, "masked", True)
    assert not [f for check in TOKEN_CHECKS.values() if (f := check(step)).result == FAILED]


def test_counterexamples_are_simple_and_can_be_pasted(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "def sampler(denoise, x, grid, normal):\n"
        "    if len(x) > 1 and (grid.t[0] - grid.t[1]) > 2 * (grid.t[1] - grid.t[2]):\n"
        "        x = x + 1e-3 * x.mean(axis=0)\n"
        "    return x\n"
    )
    finding = CHECKS["drawn problems"](subject_of(str(file)))
    assert finding.result == FAILED
    assert "depends on" in finding.found
    code = finding.means.split("show it again by: ")[1]
    assert "weights=(1,), means=((0.0,),)" in code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == finding.found


def test_what_is_not_linear_is_asked_by_samples() -> None:
    """Clipped samples have no law by probing, and another one than the mixture's."""

    def clipped(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        return np.clip(broken.stochastic_heun()(denoise, x, grid, normal), -0.8, 0.8)

    subject = Subject("clipped", paths.VP(), 2, "weak", given=clipped)
    assert CHECKS["order, log-snr"](subject).result == NOT_ASKED
    finding = CHECKS["law, mixture"](subject)
    assert finding.result == FAILED
    assert "by chance" in finding.found


def test_a_ratio_upside_down_telescopes() -> None:
    """DPM-Solver++(2M) with its ratio of steps upside down: order 2 on uneven grids, and a larger error."""

    def upside_down(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        lam, before = np.log(grid.alpha / grid.sigma), None
        for i in range(len(grid.t) - 1):
            D, h = denoise(x, grid.t[i]), lam[i + 1] - lam[i]
            use = D if before is None else D + (D - before) * (lam[i] - lam[i - 1]) / (2 * h)
            x = grid.sigma[i + 1] / grid.sigma[i] * x - grid.alpha[i + 1] * np.expm1(-h) * use
            before = D
        return x

    subject = Subject("upside-down", paths.VP(), 2, given=upside_down)
    assert CHECKS["order, uneven"](subject).result == PASSED


# Mutants that are no faults: noise is as good with the other sign, and with its two weights exchanged Heun's method
# still has the sum of weights and, since they differ by O(h^2), order 2.
EQUIVALENT = {("ddpm", "-H[0, 0]"), ("heun", "B columns 0 and 1 swapped")}


@pytest.mark.parametrize(
    "name", ["euler", *(pytest.param(n, marks=pytest.mark.slow) for n in ("ddpm", "heun"))]
)
def test_mutants_are_caught_but_for_those_that_are_no_faults(name: str) -> None:
    found = list(of_method(name))
    assert len(found) > 5
    left = {(name, fault) for fault, caught in found if not caught}
    assert left == {known for known in EQUIVALENT if known[0] == name}
