"""A study is measured once a cell, on one process or several, and a stopped one goes on where it was."""

from __future__ import annotations

import importlib
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
import typer

from studies.engine import run, run_all
from studies.output.progress import Progress
from studies.store import Store
from studies.study import verdicts_fail
from tests.studies.made_up import Pi


def measured(diary: Path) -> list[str]:
    return [line.rsplit(" ", 1)[0] for line in diary.read_text().splitlines()]


def test_several_processes_find_what_one_does_and_measure_no_cell_twice(tmp_path: Path) -> None:
    study = Pi(wait=0.3, diary=tmp_path / "diary")
    assert run(study, jobs=3) == run(Pi())
    lines = study.diary.read_text().splitlines()  # type: ignore[union-attr]
    assert len(set(measured(tmp_path / "diary"))) == len(lines) == 8
    assert len({line.rsplit(" ", 1)[1] for line in lines}) > 1


def test_what_is_kept_is_not_measured_again(tmp_path: Path) -> None:
    store, diary = Store(tmp_path / "finished"), tmp_path / "diary"
    few = run(Pi(terms=(4, 8), diary=diary), store)
    assert run(Pi(terms=(4, 8), diary=diary), store) == few
    assert len(measured(diary)) == 4
    both = run(Pi(terms=(4, 8, 16), diary=diary), store, jobs=2)
    assert [d for d in both if d.terms < 16] == few
    assert len(measured(diary)) == 6


def test_all_that_a_cell_is_given_is_part_of_its_key(tmp_path: Path) -> None:
    from studies.study import Cell, key_of

    cell = Cell({"series": "euler"}, list, {"tolerance": 0.1})
    keys = {
        key_of(Pi(), cell),
        key_of(Pi(), replace(cell, of={"series": "leibniz"})),
        key_of(Pi(), replace(cell, given={"tolerance": 0.2})),
    }
    assert len(keys) == 3


def test_a_cell_that_ends_two_processes_has_failed_and_the_others_are_measured(tmp_path: Path) -> None:
    store, here, diary = Store(tmp_path / "finished"), os.getpid(), tmp_path / "diary"
    study = Pi(wait=0.3, spared=here, deadly=32, diary=diary)
    (found,) = run_all([study], store, jobs=2)
    assert [failure.of["series"] for failure in found.failures] == ["euler"]
    assert found.failures[0].kind == "DiedError"
    assert "exit code 7" in found.failures[0].reason
    assert len(found.records) == 7
    assert measured(diary).count("euler 32") == 2  # retried once
    (again,) = run_all([study], store, jobs=2)
    assert again == found
    assert len(measured(diary)) == 9
    (mended,) = run_all([replace(study, deadly=0)], store, retry=True)
    assert (len(mended.records), mended.failures) == (8, [])
    assert len(measured(diary)) == 10
    assert run_all([study], store)[0] == mended


def test_what_a_cell_raises_is_kept_and_shown_and_the_others_are_measured(tmp_path: Path) -> None:
    store = Store(tmp_path / "finished")
    study = Pi(terms=(4, 8), refused=8)
    for jobs in (1, 2, 1):
        (found,) = run_all([study], store, jobs)
        assert [d.terms for d in found.records] == [4, 4]
        assert [f.reason for f in found.failures] == ["terms is 8: give another number"] * 2
    with pytest.raises(ValueError, match="terms is 8"):
        run(study)
    (found,) = run_all([study])
    assert len(found.failures) == 2


def test_an_executor_finds_what_processes_do_and_its_records_are_kept_here(tmp_path: Path) -> None:
    store, diary = Store(tmp_path / "finished"), tmp_path / "diary"
    study = Pi(diary=diary)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert run(study, store, executor=pool) == run(Pi())
        assert run_all([Pi(terms=(4,), refused=4)], executor=pool)[0].failures
        assert len(measured(diary)) == 8
        assert run(study, store, executor=pool) == run(Pi())
    assert str(os.getpid()) not in diary.read_text()
    assert len(measured(diary)) == 8
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(RuntimeError, match="broke"),
    ):
        run(Pi(deadly=4, spared=os.getpid()), executor=pool)


def test_what_cannot_be_sent_is_refused_with_a_remedy() -> None:
    study = Pi()
    object.__setattr__(study, "hidden", lambda: None)
    with pytest.raises(ValueError, match="use 1 job"):
        run(study, jobs=2)


def test_progress_says_what_is_done_and_what_is_left() -> None:
    progress = Progress("pi", 5, 1)
    progress.now("euler, 4")
    assert "1 of 5" in progress.line
    assert "left" not in progress.line
    progress.done()
    assert "2 of 5" in progress.line
    assert "left; now euler, 4" in progress.line


@pytest.mark.parametrize(
    ("strict", "verdicts", "fails"),
    [
        (None, ["refuted"], False),
        ("refuted", ["confirmed", "unresolved"], False),
        ("refuted", ["confirmed", "refuted"], True),
        ("all", ["confirmed", "no claim"], False),
        ("all", ["confirmed", "unresolved"], True),
        ("all", ["limited by its start"], True),
    ],
)
def test_strict_minds_the_refuted_or_all_that_is_not_confirmed(
    strict: str | None, verdicts: list[str], fails: bool
) -> None:
    assert verdicts_fail(verdicts, strict) is fails


def test_the_study_of_contributing_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parent.parent.parent / "CONTRIBUTING.md").read_text("utf-8")
    snippet = text.split("## A study")[1].split("```python\n")[1].split("```")[0]
    (tmp_path / "pi_of_contributing.py").write_text(snippet)
    monkeypatch.syspath_prepend(str(tmp_path))
    app = typer.Typer()
    app.command()(importlib.import_module("pi_of_contributing").pi)
    app(["--most", "16", "--jobs", "1", "--out", str(tmp_path / "r")], standalone_mode=False)
    assert {file.name for file in (tmp_path / "r").iterdir()} == {"finished", "pi.csv", "pi.md", "pi.png"}
    assert len(list((tmp_path / "r" / "finished").glob("*.json"))) == 6
    assert "euler" in (tmp_path / "r" / "pi.md").read_text()
