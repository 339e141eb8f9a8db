"""The command as its user meets it: output, exit codes, one line for bad input."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from solvers import catalogue
from studies import cli, specifications

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def assay(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the command in this process; returns exit code, stdout, stderr. What it registers is forgotten."""
    monkeypatch.setattr(catalogue, "_methods", dict(catalogue._methods))
    monkeypatch.setattr(specifications, "_loaded", [])
    monkeypatch.delenv("COLUMNS", raising=False)  # as wide as the table, whatever ran before

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["assay", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


KEPT = ("finished", "run.json", "study.toml")


def test_order_prints_claim_measurement_and_verdict(assay: Run) -> None:
    code, out, _ = assay("order", "euler", "dpm-solver++-3m-as-published")
    assert code == 0
    (euler,) = [line for line in out.splitlines() if line.startswith("euler")]
    assert "1 ode" in euler
    assert euler.rstrip().endswith("confirmed")
    assert "refuted: dpm-solver++-3m-as-published" in out


def test_json_holds_every_rung_and_every_verdict(assay: Run) -> None:
    code, out, _ = assay("order", "heun", "--target", "gaussian-1d", "--json", "--limit", "64")
    assert code == 0
    found = json.loads(out)
    assert {v["method"] for v in found["verdicts"]} == {"heun"}
    w2 = [m for m in found["measurements"] if m["metric"] == "w2"]
    assert [m["steps"] for m in w2] == [16, 32, 64]
    assert w2[0]["local slope"] is None
    assert w2[2]["local slope"] == pytest.approx(2, abs=0.1)


def test_strict_exits_with_one_exactly_when_a_claim_is_refuted(assay: Run) -> None:
    assert assay("order", "dpm-solver++-3m-as-published", "--start", "exact", "--strict")[0] == 1
    assert assay("order", "euler", "--strict")[0] == 0


@pytest.mark.parametrize("form", ["csv", "markdown", "latex"])
def test_formats_are_printed_bare(assay: Run, form: str) -> None:
    code, out, _ = assay("order", "euler", "--target", "gaussian-1d", "--format", form)
    assert code == 0
    start = {"csv": "method,", "markdown": "| method", "latex": "% "}[form]
    assert out.startswith(start)


def test_options_reach_the_method_and_a_users_file_is_loaded(assay: Run, tmp_path: Path) -> None:
    code, out, _ = assay("order", "ddim-eta(eta=0.0)", "--target", "gaussian-1d", "--json", "--limit", "64")
    ode = assay("order", "euler", "--target", "gaussian-1d", "--json", "--limit", "64")[1]
    errors = [[m["error"] for m in json.loads(o)["measurements"] if m["metric"] == "w2"] for o in (out, ode)]
    assert code == 0
    assert errors[0] == pytest.approx(errors[1], rel=1e-9)
    file = tmp_path / "mine.py"
    file.write_text(
        "from solvers import Claim, Trace, catalogue\n"
        "@catalogue.method('from-a-file', claims=[Claim(1, 'ode', 'me')], source='me')\n"
        "def mine(path, grid):\n"
        "    return catalogue['heun'].tableau(path, grid)\n"
    )
    code, out, _ = assay("order", "--load", str(file), "--target", "easy-1d")
    assert code == 0
    assert "from-a-file" in out


def test_out_keeps_finished_work_tables_and_a_plot(assay: Run, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    code, first, _ = assay("order", "euler", "heun", "--out", str(folder))
    assert code == 0
    names = {f.name for f in folder.iterdir()}
    assert names == {*KEPT, "measurements.csv", "verdicts.csv", "order.md", "order.png"}
    frame = pd.read_csv(folder / "measurements.csv")
    assert set(frame["method"]) == {"euler", "heun"}
    stamps = {f: f.stat().st_mtime_ns for f in (folder / "finished").iterdir()}
    assert assay("order", "euler", "heun", "--out", str(folder))[1] == first
    assert {f: f.stat().st_mtime_ns for f in (folder / "finished").iterdir()} == stamps


def test_other_points_in_a_file_of_the_same_name_are_measured_anew(assay: Run, tmp_path: Path) -> None:
    file, out = tmp_path / "d.npy", tmp_path / "r"
    words = (
        "gap",
        "--target",
        str(file),
        "--study",
        "pulse",
        "--steps",
        "4",
        "--samples",
        "2000",
        "--out",
        str(out),
    )
    printed = []
    for scale in (1.0, 2.0, 1.0):
        np.save(file, scale * np.array([[0.0, 1.0], [1.0, 0.0], [-1.0, -0.5]]))
        code, text, _ = assay(*words)
        assert code == 0
        printed.append(text)
    assert printed[0] == printed[2] != printed[1]
    assert len(list((out / "finished").glob("*.json"))) == 6  # three series of the two targets


def test_digits_give_error_against_nfe_with_a_floor_and_pictures(assay: Run, tmp_path: Path) -> None:
    plot = tmp_path / "digits.png"
    code, out, _ = assay("order", "euler", "--target", "digits", "--samples", "64", "--plot", str(plot))
    assert code == 0
    assert "NFE 64" in out
    assert "exact draws" in out
    for file in (plot, tmp_path / "digits-samples.png"):
        assert file.read_bytes().startswith(b"\x89PNG")


def test_users_own_data_is_a_target(assay: Run, tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    pd.DataFrame([[0.0, 1.0, 2.0], [1.0, 0.0, 0.5], [0.3, 0.2, 0.1]]).to_csv(file, index=False)
    code, out, _ = assay("order", "euler", "--target", str(file), "--samples", "64")
    assert code == 0
    assert "Energy distance" in out


def test_order_of_tokens_prints_slopes_and_equal_cost(assay: Run, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    code, out, _ = assay(
        "order",
        "tweedie-tau-leaping",
        "plug-in-posterior",
        "gillespie",
        "--limit",
        "64",
        "--out",
        str(folder),
    )
    assert code == 0
    assert "no claim: plug-in-posterior (uniform): 1 tv is claimed for fed = 'cavity' alone" in out
    assert "Total variation on smooth at equal NFE" in out
    names = {f.name for f in folder.iterdir()}
    assert names == {
        *KEPT,
        "measurements.csv",
        "verdicts.csv",
        "tokens.md",
        "tokens.png",
        "tokens-cost.md",
        "tokens-cost.csv",
    }
    assert set(pd.read_csv(folder / "measurements.csv")["metric"]) == {"tv", "kl", "path-kl"}


def test_one_noise_alone_means_tokens(assay: Run) -> None:
    code, out, _ = assay("order", "--noise", "Uniform", "--target", "independent", "--limit", "16", "--json")
    assert code == 0
    found = json.loads(out)
    assert {m["start"] for m in found["measurements"]} == {"Uniform"}
    assert {m["target"] for m in found["measurements"]} == {"independent"}


def test_text_gives_log_likelihood_and_bigrams_and_a_plot(assay: Run, tmp_path: Path) -> None:
    text, plot = tmp_path / "mine.txt", tmp_path / "text.png"
    text.write_text(
        "It is a truth universally acknowledged, that a single man in possession of a good fortune"
    )
    code, out, _ = assay(
        "order", "tweedie-tau-leaping", "--target", str(text), "--samples", "8", "--plot", str(plot)
    )
    assert code == 0
    assert "nats per token" in out
    assert "bigrams" in out
    assert "exact draws" in out
    for file in (plot, tmp_path / "text-bigram.png"):
        assert file.read_bytes().startswith(b"\x89PNG")


def test_list_shows_both_names_and_claims(assay: Run) -> None:
    code, out, _ = assay("list")
    assert code == 0
    for word in (
        "dpm-solver-1",
        "2 weak",
        "nine-2d",
        "karras",
        "Trigonometric",
        "tau-leaping",
        "smooth",
        "Hybrid",
    ):
        assert word in out
    found: dict[str, Any] = json.loads(assay("list", "methods", "--json")[1])
    assert {"euler", "ddpm"} <= {m["method"] for m in found["methods"]}


BAD = {
    "unknown method": (["order", "huen"], "huen", "heun"),
    "unknown target": (["order", "--target", "easy-1"], "easy-1", "easy-1d"),
    "unknown path": (["order", "--path", "VPP"], "VPP", "VP"),
    "path argument": (["order", "--path", "VE(20, 0.02)"], "20", "sigma"),
    "path syntax": (["order", "--path", "VE(0.02"], "VE(0.02", "option=value"),
    "path keyword": (["order", "--path", "VP(beta=1)"], "beta", "unexpected"),
    "unknown grid": (["order", "--grid", "karas"], "karas", "karras"),
    "unknown start": (["order", "--start", "cold"], "cold", "practical"),
    "unknown initial": (["order", "--initial", "noise"], "noise", "marginal"),
    "method option": (["order", "heun(order=2)"], "order", "clock"),
    "method option value": (["order", "ddim-eta(eta=2)"], "2", "between 0 and 1"),
    "method argument": (["order", "heun(2)"], "heun(2)", "option=value"),
    "limit": (["order", "--limit", "8"], "8", "at least 16"),
    "samples": (["order", "euler", "--target", "pair-2d", "--samples", "10"], "10", "at least"),
    "seed": (["order", "euler", "--target", "pair-2d", "--seed", "-1"], "-1", "0 to"),
    "begin below end": (["order", "euler", "--begin", "0.1", "--end", "0.5"], "0.1", "start"),
    "missing file": (["order", "--target", "nothing.npy"], "nothing.npy", "file"),
    "file kind": (["order", "--target", "data.xls"], "data.xls", ".npy"),
    "missing text": (["order", "--target", "data.txt"], "data.txt", "existing"),
    "unknown noise": (["order", "tau-leaping", "--noise", "Unifrom"], "Unifrom", "Uniform"),
    "noise argument": (["order", "tau-leaping", "--noise", "Absorbing('cosin')"], "cosin", "cosine"),
    "noise keyword": (["order", "tau-leaping", "--noise", "Uniform(beta=1)"], "beta", "unexpected"),
    "noise the method refuses": (["order", "poisson-tau-leaping", "--noise", "Absorbing"], "mask", "reject"),
    "methods of the other half": (["order", "heun", "--target", "smooth"], "smooth", "one half"),
    "two long targets": (
        ["order", "tau-leaping", "--target", "text", "--target", "text-2"],
        "text",
        "on its own",
    ),
    "two vocabularies": (
        ["order", "tau-leaping", "--target", "smooth", "--target", "text"],
        "27",
        "together",
    ),
    "grid of noise levels": (
        ["order", "tau-leaping", "--grid", "karras"],
        "Absorbing",
        "use the grids uniform",
    ),
    "token begin": (["order", "tau-leaping", "--begin", "1.5"], "1.5", "start"),
    "token option": (["order", "plug-in-posterior(fed=1)"], "1", "'mean' or 'cavity'"),
    "guided without labels": (["order", "guided-ancestral"], "guided", "Labelled"),
    "bits of draws": (["draws", "--bits", "60"], "60", "bits"),
    "scaling format": (["scaling", "--format", "xml"], "xml", "csv"),
    "format": (["order", "--format", "xml"], "xml", "csv"),
    "table suffix": (["order", "euler", "--target", "gaussian-1d", "--table", "t.xml"], "t.xml", ".csv"),
    "plot suffix": (["order", "euler", "--target", "gaussian-1d", "--plot", "p.bmp"], "p.bmp", ".png"),
    "strict": (["order", "--strict=some"], "some", "--strict all"),
    "jobs": (["order", "euler", "--jobs", "0"], "0", "at least 1"),
    "missing module": (["order", "--load", "no.such.module"], "no.such.module", "package.module"),
    "load": (["order", "--load", "nothing.py"], "nothing.py", "existing"),
    "list": (["list", "method"], "method", "methods"),
    "noising path": (["order", "heun", "ula", "--path", "VP"], "VP", "paths.Langevin"),
    "path of dynamics": (["order", "heun", "--path", "Langevin"], "Langevin", "paths.VP"),
    "bridge of no path": (["order", "dbim", "--path", "Bridge('Foo')"], "Foo", "assay list paths"),
    "bridge without endpoint": (["order", "dbim", "--path", "VP"], "VP", "paths.Bridge()"),
    "plain on a bridge": (["order", "heun", "--path", "Bridge('EDM(0.002, 10)')"], "bridge", "paths.VP()"),
    "verified dynamics": (["verify", "ula"], "ula", "assay order"),
    "compared dynamics": (["budget", "sscs", "--target", "gaussian-1d"], "VP", "paths.CLD"),
    "path of places": (["order", "heun", "--path", "FisherRao"], "FisherRao", "paths.VP"),
    "no mixture": (["mixed", "--target", "gaussian-1d"], "gaussian-1d", "two or more components"),
    "no condition": (["guidance", "--target", "gaussian-1d"], "gaussian-1d", "two or more components"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_names_value_and_remedy(assay: Run, case: str) -> None:
    arguments, value, remedy = BAD[case]
    code, out, err = assay(*arguments)
    assert code == 2
    assert out == ""
    (line,) = err.strip().splitlines()
    assert line.startswith("assay: error: ")
    assert value in line
    assert remedy in line


def test_help_has_an_example_for_every_verb() -> None:
    for verb, line in cli.VERBS.items():
        assert inspect.getdoc(cli.function_of(verb)).split("\n")[0] == line  # type: ignore[union-attr]
        result = CliRunner().invoke(cli.app, [verb, "--help"])
        assert result.exit_code == 0
        assert f"Example: assay {verb}" in " ".join(result.output.split())


def test_the_installed_command_runs() -> None:
    command = Path(sys.executable).with_name("assay")
    done = subprocess.run([command, "order", "huen"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def imported_by(*arguments: str) -> set[str]:
    """The modules that a command line imports."""
    code = (
        "import sys\nfrom assay import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_nothing_is_imported_that_is_not_used() -> None:
    helped = imported_by("--help")
    assert not helped & {"numpy", "numba", "scipy", "pandas", "rich", "solvers", "analytic"}
    verb = imported_by("order", "--help")
    assert not verb & {
        "numba",
        "scipy",
        "pandas",
        "altair",
        "vl_convert",
        "torch",
        "sklearn",
        "ot",
        "solvers",
    }
    run = imported_by("order", "heun", "--target", "gaussian-1d", "--limit", "32", "--jobs", "1")
    assert "solvers" in run
    unused = {
        "altair",
        "vl_convert",
        "torch",
        "sklearn",
        "ot",
        "scipy.stats",
        "scipy.integrate",
    }
    assert not run & unused


def test_the_version_is_printed(assay: Run) -> None:
    code, out, _ = assay("--version")
    assert code == 0
    assert out.startswith("assay 0.")


@pytest.mark.parametrize("words", [["list"], ["order", "heun", "--target", "gaussian-1d", "--limit", "128"]])
def test_a_terminal_of_plain_signs_is_enough(words: list[str]) -> None:
    environment = os.environ | {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "",
    }
    command = [sys.executable, "-c", "from assay import main; main()", *words]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert words[0] == "list" or b"+-" in done.stdout


def test_a_folder_that_shadows_a_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "solvers").mkdir()
    (tmp_path / "solvers" / "__init__.py").write_text("")
    here = Path(__file__).parent.parent.parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(here)])}
    command = [sys.executable, "-c", "from assay import main; main()", "list"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "the package 'solvers' is found in" in line
    assert str(tmp_path) in line
    assert "PYTHONPATH" in line


def test_the_installed_command_runs_in_any_folder(tmp_path: Path) -> None:
    """It finds the packages beside its own module, which an editable install must not have copied away from them."""
    command = Path(sys.executable).parent / "assay"
    if not command.exists():
        pytest.skip("assay is not installed")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [command, "list", "studies"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "small-budgets" in done.stdout
