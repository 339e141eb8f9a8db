"""What README.md and the site say is true: snippets, commands, tables, notebooks, and no link goes nowhere."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from analytic import sequences
from solvers import catalogue
from studies import notebooks
from studies.engine import run
from studies.order import tables
from studies.order.on_tokens import (
    TARGETS,
    TokenOrders,
    common_vocabulary,
    default_settings,
    pairs,
    token_jobs,
)
from studies.order.study import order
from studies.readme import CLAIMS, DOCS, README, ROOT, TOKEN_CLAIMS, between

TUTORIAL, LANGEVIN, BRIDGES, MIXED = (
    DOCS / f"{page}.md" for page in ("tutorial", "langevin", "bridges", "mixed")
)
PARTS = 12  # that the table of claims is measured in


@pytest.mark.parametrize(
    ("file", "least"),
    [(README, 3), (TUTORIAL, 20), (LANGEVIN, 8), (BRIDGES, 12), (MIXED, 12)],
    ids=["README", "tutorial", "langevin", "bridges", "mixed"],
)
def test_snippets_run_and_print_what_they_say(
    file: Path, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "_methods", dict(catalogue._methods))  # what they register is forgotten
    failed, tried = doctest.testfile(os.fspath(file), module_relative=False)
    assert tried >= least
    assert failed == 0


def test_the_users_method_is_under_15_lines() -> None:
    (snippet,) = re.findall(r">>> @catalogue\.method.*?(?=\n>>>)", TUTORIAL.read_text(), re.DOTALL)
    assert len(snippet.splitlines()) < 15


def test_the_readme_is_read_in_three_minutes() -> None:
    """Of 230 words a minute; a table is looked at, not read."""
    text = re.sub(r"^\|.*$|^- (refuted|limited).*$", "", README.read_text(), flags=re.MULTILINE)
    assert len(text.split()) < 690


METHOD = """
from solvers import Claim, catalogue
@catalogue.method("mine", claims=[Claim(1, "ode", "ours")], source="ours")
def mine(path, grid):
    return catalogue["euler"].tableau(path, grid)
"""
SAMPLER = """
order, nfe, path = 1, 1, "EDM(0.02, 20)"
def sampler(denoise, x, grid, normal):
    for i in range(len(grid.t) - 1):
        D = denoise(x, grid.t[i])
        x = D + grid.sigma[i + 1] / grid.sigma[i] * (x - D)
    return x
"""


@pytest.mark.slow
def test_its_commands_run(tmp_path: Path) -> None:
    (tmp_path / "my_method.py").write_text(METHOD)
    (tmp_path / "my_sampler.py").write_text(SAMPLER)
    block = README.read_text().split("## What you can ask")[1].split("```")[1]
    commands = [line.partition("#")[0].split() for line in block.splitlines() if line.startswith("assay")]
    assert len(commands) == 5
    for words in commands:
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert done.returncode == 0, (words, done.stderr)
        assert done.stdout
    assert (tmp_path / "results" / "small-budgets" / "report.html").stat().st_size > 100_000


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    fetched = r'<(?:script|img|link|iframe)[^>]*(?:src|href)="(https?://[^"]*)"'
    assert [url for page in pages for url in re.findall(fetched, page.read_text("utf-8"))] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(file.stem for file in notebooks.FOLDER.glob("*.ipynb")))
def test_a_notebook_runs_and_its_page_shows_its_cells(name: str) -> None:
    text, figures = notebooks.page(name, notebooks.executed(name))
    page = (notebooks.FOLDER / f"{name}.md").read_text("utf-8")
    for cell in re.findall(r"```python\n.*?```", text, re.DOTALL):
        assert cell in page
    for file in figures:
        assert f"figures/notebooks/{file}" in page
        assert (notebooks.FOLDER.parent / "figures" / "notebooks" / file).is_file()


def rows_of(file: Path, name: str) -> list[list[str]]:
    lines = between(file.read_text(), name).strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_the_table_is_what_the_command_prints(part: int) -> None:
    """Of every few methods one; all are those that have rows."""
    rows = rows_of(CLAIMS, "table")
    names = [*catalogue.continuous, *catalogue.beyond]
    assert {row[0].split(" (")[0] for row in rows} == set(names)
    own = names[part::PARTS]
    summary = tables.summary(*order(own))
    assert [r[:4] + r[-1:] for r in rows if r[0].split(" (")[0] in own] == [
        [str(v) for v in row[:4]] + [str(row[-1])] for row in summary.itertuples(index=False)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_the_table_of_tokens_is_what_the_command_prints(part: int) -> None:
    rows, names = rows_of(TOKEN_CLAIMS, "tokens"), list(catalogue.discrete)
    # blackout has rows of its own where its noise does
    assert {row[0].split("(")[0] for row in rows} >= {
        n for n in names if "blackout" not in n and "guided" not in n
    }
    own = [job for job in token_jobs() if job.method.name in names[part::PARTS]]
    laws = {name: sequences.load(name) for name in TARGETS}
    study = TokenOrders(list(pairs(own, default_settings(common_vocabulary(laws)))), laws)
    found = run(study)
    summary = tables.token_summary(found, study.judged(found))
    assert [r for r in rows if r[0].split("(")[0] in names[part::PARTS]] == [
        [str(v) for v in row] for row in summary.itertuples(index=False)
    ]
