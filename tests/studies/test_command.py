"""What every verb shares: options that say where results go, what is loaded, what fails, and how to go on."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer

from studies import command
from studies.cli import spelled
from studies.command import verb
from tests.studies.made_up import Pi
from tests.studies.test_cli import Run, assay  # noqa: F401

ROOT = Path(__file__).parent.parent.parent


@verb(methods=False)
def pi(most: int = 32) -> Pi:
    """Sum series."""
    return Pi(tuple(2**k for k in range(2, 6) if 2**k <= most))


def called(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(pi)
    return app(list(arguments), standalone_mode=False)


def test_a_verb_is_its_options_and_its_study(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert not called(
        "--most", "8", "--jobs", "1", "--table", str(tmp_path / "t.csv"), "--out", str(tmp_path / "o")
    )
    printed = capsys.readouterr().out
    assert "Error of sums for pi" in printed
    assert printed.count("leibniz") == printed.count("euler") == 2
    frame = pd.read_csv(tmp_path / "t.csv")
    assert list(frame.columns[:3]) == ["series", "terms", "error"]
    assert {file.name for file in (tmp_path / "o").iterdir()} == {"finished", "pi.csv", "pi.md"}
    with pytest.raises(ValueError, match="nothing measured can be drawn"):
        called("--most", "4", "--plot", str(tmp_path / "p.png"))


def test_strict_exits_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        called("--most", "8", "--jobs", "1", "--strict=refuted") is None
    )  # nothing is expected of few terms
    assert called("--jobs", "1") is None
    assert called("--jobs", "1", "--strict=refuted") == 1
    capsys.readouterr()


OFF = """
from solvers import Claim, catalogue

def made(name, scale):
    @catalogue.method(name, claims=[Claim(1, "weak", "ours")], source="ours")
    def built(path, grid):
        from dataclasses import replace
        tableau = catalogue["ddpm"].tableau(path, grid)
        return replace(tableau, blocks=tuple(replace(b, H=scale * b.H) for b in tableau.blocks))

made("noise-right", 1.0)
made("noise-off", 1.01)
"""


@pytest.mark.parametrize("target", ["gaussian-1d", "easy-1d"])
def test_a_coefficient_off_by_one_in_a_hundred_fails_a_strict_run(
    assay: Run,  # noqa: F811
    tmp_path: Path,
    target: str,
) -> None:
    """Its error comes to stay, on either side of a sign change; what is right does not fail. Two processes load it."""
    file = tmp_path / "off.py"
    file.write_text(OFF)
    given = ("--load", str(file), "--target", target, "--strict", "--jobs", "2")
    code, out, _ = assay("order", "noise-off", *given)
    assert (code, "refuted: noise-off" in out) == (1, True)
    assert assay("order", "noise-right", *given)[0] == 0


def test_strict_alone_leaves_the_next_word_alone() -> None:
    assert spelled(["order", "--strict", "heun"]) == ["order", "--strict=refuted", "heun"]
    assert spelled(["--strict", "all", "--json"]) == ["--strict=all", "--json"]
    assert spelled(["--strict"]) == ["--strict=refuted"]


def test_methods_of_a_module_are_loaded_and_measured_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("")
    (tmp_path / "mine" / "methods.py").write_text(
        "from solvers import Claim, catalogue\n"
        "@catalogue.method('from-a-module', claims=[Claim(1, 'ode', 'me')], source='me')\n"
        "def mine(path, grid):\n"
        "    return catalogue['euler'].tableau(path, grid)\n"
    )
    done = subprocess.run(
        [
            Path(sys.executable).with_name("assay"),
            "order",
            "--load",
            "mine.methods",
            "--jobs",
            "2",
            "--limit",
            "64",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "from-a-module" in done.stdout


def test_a_stopped_run_says_how_to_go_on(tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(
        "import typer\nfrom studies.command import verb\nfrom tests.studies.made_up import Pi\n"
        "@verb(methods=False)\n"
        "def pi():\n"
        "    'Sum slowly.'\n"
        "    return Pi(wait=0.5)\n"
        "if __name__ == '__main__':\n"
        "    app = typer.Typer()\n    app.command()(pi)\n    app()\n"
    )
    out = tmp_path / "an out"
    process = subprocess.Popen(
        [sys.executable, script, "--out", out, "--jobs", "2"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background job, and so this test in one, ignores Ctrl-C: what it starts would too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not list(out.glob("finished/*.json")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"to go on: assay --out '{out}' --jobs 2" in said
    assert len(said.splitlines()) == 1


def test_methods_with_options_keep_their_names_apart(assay: Run, tmp_path: Path) -> None:  # noqa: F811
    words = ("ddim-eta(eta=0.1)", "ddim-eta(eta=0.9)")
    folder = tmp_path / "r"
    code, out, _ = assay("order", *words, "--target", "gaussian-1d", "--limit", "64", "--out", str(folder))
    assert code == 0
    for word in words:
        assert word in out
    for name in ("measurements", "verdicts"):
        assert set(pd.read_csv(folder / f"{name}.csv")["method"]) == set(words)


def test_data_in_the_plane_answer_by_error_against_evaluations(assay: Run, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "moons.csv"
    pd.DataFrame(np.random.default_rng(0).normal(size=(200, 2))).to_csv(file, index=False)
    code, out, _ = assay("order", "euler", "ddpm", "--target", str(file), "--samples", "128")
    assert code == 0
    assert "Energy distance of 128 samples" in out
    assert "exact draws" in out
    assert "NFE 64" in out


def test_defaults_that_verbs_write_out_are_those_of_their_studies() -> None:
    """Verbs are imported to be listed and their studies are not, so that a few words stand in both."""
    from studies.budget import parts
    from studies.budget import verb as budget
    from studies.gap import gaps
    from studies.gap import study as gap_study
    from studies.gap import verb as gap
    from studies.learned import measure
    from studies.scaling import needs
    from studies.scaling import verb as scaling

    def default(function: Any, name: str) -> Any:
        return inspect.signature(function).parameters[name].default

    def said(function: Any, name: str) -> str:
        (option,) = inspect.signature(function, eval_str=True).parameters[name].annotation.__metadata__
        return str(option.help)

    assert default(budget.budget, "samples") == parts.SAMPLES
    assert ", ".join(parts.PARTS) in said(budget.budget, "parts")
    assert re.findall(r"\d+", said(budget.budget, "steps")) == [str(N) for N in parts.STEPS]
    assert (scaling.SIZES, scaling.TARGETS) == (needs.AGAINST, needs.TARGETS)
    assert default(scaling.scaling, "limit") == needs.MOST
    assert default(scaling.scaling, "line_limit") == needs.MOST_ON_LINE
    assert (*gap_study.SERIES, gap.LEARNED) == gap.STUDIES
    assert (default(gap.gap, "ode"), default(gap.gap, "sde")) == (gaps.ODE, gaps.SDE)
    assert gap.LEARNED_TARGET == measure.TARGET


def test_cores_are_those_this_process_may_use() -> None:
    assert 1 <= command.cores() <= (os.cpu_count() or 1)
