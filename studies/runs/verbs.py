"""`assay run`, `status`, `report`, `merge` and `diff`: studies in files and what they left in folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..command import Form, Jobs, Json, Plot, Strict, Table, checked_strict, conclude, cores, interrupted

FAIL_ON = ("worse", "changed")
Folder = Annotated[Path, typer.Argument(help="Folder of a run: the --out of a verb.")]


def run(
    study: Annotated[
        str,
        typer.Argument(help="A .toml file, or a study of the project by name (see `assay list studies`)."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of results; results/NAME by default. A run goes on in it.")
    ] = None,
    jobs: Jobs = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Measure on a Dask cluster instead: the address of its scheduler, or local, which starts one with "
            "--jobs workers."
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what there is to do and how long it takes, and end.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Measure again what failed before.")] = False,
    pack: Annotated[
        bool, typer.Option("--pack", help="Also write everything measured as Parquet, for pandas.")
    ] = False,
    table: Table = None,
    plot: Plot = None,
    form: Form = None,
    as_json: Json = False,
    strict: Strict = None,
) -> None:
    """Run studies that a TOML file declares into a folder, from where a stopped or killed run goes on.

    Cells that are done are never measured again: what a cell's key does not depend on may change in between. The folder
    gets tables, figures and report.html.

    Example: assay run small-budgets --plan
    """
    from ..output.report import Output
    from . import declared as files
    from .folder import RunFolder
    from .plan import plan as planned
    from .plan import told

    if cluster is not None and jobs is None and cluster != "local":
        jobs = 1
    workers = cores() if jobs is None else jobs
    output = Output(form, as_json, table, plot, out or Path("results") / Path(study).stem, pack, page=True)
    strict = checked_strict(strict)
    asked = files.read(study)
    studies = asked.studies()
    assert output.out is not None
    folder = RunFolder(output.out)
    known = folder.store if (output.out / "finished").is_dir() else None
    lines = told(planned(studies, known), workers)
    for line in lines:
        print(line, file=sys.stdout if plan else sys.stderr)
    if plan:
        return
    folder.begin(asked, studies)
    with interrupted(output.out):
        found = _measured(studies, folder, workers, cluster, retry)
    conclude(studies, found, output, strict, folder.head())


def _measured(studies: Any, folder: Any, jobs: int, cluster: str | None, retry: bool) -> Any:
    from ..engine import run_all

    if cluster is None:
        return run_all(studies, folder.store, jobs, retry=retry)
    from ..cluster import cluster as at

    with at(cluster, jobs) as executor:
        return run_all(studies, folder.store, executor=executor, retry=retry)


def status(folder: Folder, jobs: Jobs = None) -> None:
    """Say how far the run in a folder is.

    Example: assay status results/small-budgets
    """
    from .folder import RunFolder
    from .plan import plan as planned
    from .plan import told

    at = RunFolder.existing(folder)
    studies = at.declared().studies()
    parts = planned(studies, at.store)
    for line in told(parts, cores() if jobs is None else jobs):
        print(line)
    for one in at.found(studies):
        for failure in one.failures:
            print(f"failed: {failure}")
    if any(part.missing for part in parts):
        print(f"to go on: assay run {folder / 'study.toml'} --out {folder}")


def report(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs: the --out of verbs.")],
    pack: Annotated[bool, typer.Option("--pack", help="Also write everything as Parquet.")] = False,
    table: Table = None,
    plot: Plot = None,
    form: Form = None,
    as_json: Json = False,
) -> None:
    """Write the page and the tables of the runs in folders again.

    Of their last runs, as far as those came, whatever has changed since. Of several runs the folder that holds them all
    gets an index.html.

    Example: assay report results/small-budgets --format latex
    """
    from ..output.page import verdicts
    from ..output.report import Output
    from .folder import RunFolder

    entries, failed = [], False
    for folder in folders:
        at = RunFolder.existing(folder)
        studies = at.declared().studies()
        output = Output(form, as_json, table, plot, folder, pack, page=True)
        try:
            reports = conclude(studies, at.found(studies), output, None, at.head())
        except typer.Exit:  # something in it had failed, which is said
            reports, failed = [], True
        entries.append((folder, at.head(), verdicts(reports)))
    if len(entries) > 1:
        print(f"index: {_index(entries)}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def _index(entries: Sequence[tuple[Path, Any, Sequence[str]]]) -> Path:
    """Write a page that leads to those of runs, into the folder that they have in common."""
    from ..command import PAGE
    from ..output.files import write_whole
    from ..output.page import index

    common = Path(os.path.commonpath([folder.resolve() for folder, _, _ in entries]))
    places = [
        ((folder.resolve() / PAGE).relative_to(common).as_posix(), head, said)
        for folder, head, said in entries
    ]
    return write_whole(common / "index.html", index(places).encode())


def merge(
    into: Annotated[Path, typer.Argument(help="Folder that takes.")],
    others: Annotated[list[Path], typer.Argument(help="Folders that are read.")],
) -> None:
    """Take into a folder what others have finished.

    Folders of one study that was run on several machines become one, in which a run goes on. Exits with 1 where two
    have other numbers under one key, which says that something is not reproducible.

    Example: assay merge results/all results/here results/there
    """
    from .folder import RunFolder

    sources = [RunFolder.existing(folder) for folder in others]
    at, disagree = RunFolder(into), 0
    for source in sources:
        if not (into / "study.toml").is_file():
            declared = source.declared()
            at.begin(declared, declared.studies())
        taken, otherwise = at.store.merge(source.store)
        print(f"{source.folder}: {taken} records taken")
        for record in otherwise:
            what = ", ".join(map(str, record.about.values()))
            print(f"not reproducible: {what}: other numbers in {source.folder} than in {into}")
        disagree += len(otherwise)
    if disagree:
        raise typer.Exit(1)


def diff(
    before: Annotated[Path, typer.Argument(help="Folder of the run that is the measure.")],
    after: Annotated[Path, typer.Argument(help="Folder of the run that is held against it.")],
    fail_on: Annotated[
        str | None,
        typer.Option(
            help=f"Exit with 1 where a number is worse or gone, or has changed: {' or '.join(FAIL_ON)}."
        ),
    ] = None,
    form: Form = None,
    as_json: Json = False,
) -> None:
    """Hold two runs against each other: what is better, worse, or alike within intervals.

    Numbers by exact laws differ where they do so by more than 2 % and their bounds; sampled ones by Holm's procedure at
    1 % over all of them.

    Example: assay diff results/before results/after --fail-on worse
    """
    from ..output.report import Output, show
    from .compared import Runs

    if fail_on is not None and fail_on not in FAIL_ON:
        raise ValueError(f"fail-on is {fail_on!r}: use {' or '.join(FAIL_ON)}")
    runs = Runs.of(before, after)
    show([(runs, runs.differences)], Output(form, as_json))
    if fail_on is not None and runs.fails(fail_on):
        raise typer.Exit(1)
