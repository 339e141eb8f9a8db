"""What the verbs of the command share: a verb is a function from its own options to a study, or to several."""

from __future__ import annotations

import inspect
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .study import Found, Study, verdicts_fail

if TYPE_CHECKING:
    from .output.page import Head
    from .output.report import Output, Report

STRICT, PAGE = ("refuted", "all"), "report.html"

Load = Annotated[
    list[str] | None,
    typer.Option(help="Python file or module that registers methods of your own, repeatable."),
]
Jobs = Annotated[
    int | None, typer.Option(help="Processes that measure; as many as there are cores by default.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder for tables, figure and finished work; a stopped or killed run goes on from there."
    ),
]
Table = Annotated[
    Path | None,
    typer.Option(help="Also write everything measured (.csv, .json) or the tables to read (.md, .tex)."),
]
Plot = Annotated[Path | None, typer.Option(help="Also draw what was measured: .png, .svg, .pdf or .html.")]
Form = Annotated[str | None, typer.Option("--format", help="Print csv, markdown or latex.")]
Json = Annotated[bool, typer.Option("--json", help="Print everything measured as JSON.")]
Strict = Annotated[
    str | None,
    typer.Option(
        help="Exit with 1 if a claim is refuted or not met; with --strict all, if one is not confirmed.",
        metavar="[all]",
    ),
]


def verb(
    *, plots: bool = True, methods: bool = True, expects: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Make a verb of a function from options to a Study or a sequence of them.

    Adds the options that say where results go, how many processes measure, what is loaded and what fails; then runs and
    shows. A function with an option `methods` gets those that a loaded file registers where the user names none, and
    one that wants to know one of the options added here, such as `out`, has a parameter of its name.

    Parameters
    ----------
    plots, methods, expects : bool
        Whether the studies draw a figure, take methods by name, and expect anything: without them the options --plot,
        --load and --strict are left out.
    """
    shared: dict[str, tuple[Any, Any]] = {"load": (Load, None)} if methods else {}
    shared |= {"jobs": (Jobs, None), "out": (Out, None), "table": (Table, None)}
    shared |= {"plot": (Plot, None)} if plots else {}
    shared |= {"form": (Form, None), "as_json": (Json, False)}
    shared |= {"strict": (Strict, None)} if expects else {}

    def made(build: Callable[..., Any]) -> Callable[..., None]:
        own = inspect.signature(build, eval_str=True)
        is_of_the_command = build.__module__ == f"studies.{build.__name__}.verb"
        kind = inspect.Parameter.KEYWORD_ONLY
        before = [p for p in own.parameters.values() if p.name not in shared]
        added = [
            inspect.Parameter(name, kind, default=default, annotation=annotation)
            for name, (annotation, default) in shared.items()
        ]

        @wraps(build)
        def command(**given: Any) -> None:
            from .output.report import Output

            asked = {name: given.pop(name) for name in shared}
            output = Output(asked["form"], asked["as_json"], asked["table"], asked.get("plot"), asked["out"])
            strict = checked_strict(asked.get("strict"))
            new = loaded_methods(asked.get("load") or ())
            if "methods" in own.parameters and new:
                given["methods"] = given["methods"] or new
            built = build(**given, **{name: asked[name] for name in shared if name in own.parameters})
            studies = [built] if not isinstance(built, Sequence) else built
            if output.out is not None and is_of_the_command:
                options = {n: v for n, v in given.items() if v is not None and v != own.parameters[n].default}
                _declare(output.out, build.__name__, options, asked.get("load") or (), studies)
            found = measured(studies, output.out, cores() if asked["jobs"] is None else asked["jobs"])
            conclude(studies, found, output, strict)

        command.__signature__ = own.replace(  # type: ignore[attr-defined]
            parameters=[*before, *added], return_annotation=None
        )
        command.__annotations__ = {p.name: p.annotation for p in [*before, *added]}
        return command

    return made


def _declare(
    out: Path, name: str, options: dict[str, Any], load: Sequence[str], studies: Sequence[Study[Any]]
) -> None:
    """Write into a folder what is asked, so that it can be looked at later."""
    from .runs.declared import Ask, Declared
    from .runs.folder import RunFolder

    RunFolder(out).begin(Declared([Ask(name, options)], load=tuple(load)), studies)


def conclude(
    studies: Sequence[Study[Any]],
    found: Sequence[Found[Any]],
    output: Output,
    strict: str | None,
    head: Head | None = None,
) -> list[Report]:
    """Show what studies found and what failed, and return the reports.

    Exits with 1 for failures, and for verdicts that a strict run minds.

    Raises what the first cell raised if no cell was measured.
    """
    from .output.report import everything_of, show

    failures = [failure for one in found for failure in one.failures]
    if failures and not any(one.records for one in found):
        raise failures[0].error()
    with_records = [(study, one.records) for study, one in zip(studies, found, strict=True) if one.records]
    reports, charts = show(with_records, output, failures)
    if head is not None and output.out is not None and output.page:
        from .output import page
        from .output.files import write_whole

        skipped = [skip for study, _ in with_records for skip in study.skipped()]
        tables = everything_of(reports)
        text = page.page(head, reports, charts, tables, failures, skipped)
        write_whole(output.out / PAGE, text.encode())
    verdicts = [v for study, records in with_records for v in study.verdicts(records)]
    if failures or verdicts_fail(verdicts, strict):
        raise typer.Exit(1)
    return reports


def measured(studies: Sequence[Study[Any]], out: Path | None, jobs: int) -> list[Found[Any]]:
    """Run studies together; Ctrl-C says how to go on."""
    from .engine import run_all
    from .store import Store

    with interrupted(out):
        return run_all(studies, None if out is None else Store(out / "finished"), jobs)


@contextmanager
def interrupted(out: Path | None) -> Iterator[None]:
    """On Ctrl-C, say how to go on and exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        again = shlex.join(["assay", *sys.argv[1:]])
        kept = (
            "nothing was kept: --out FOLDER keeps what is finished" if out is None else f"to go on: {again}"
        )
        print(f"assay: stopped; {kept}", file=sys.stderr)
        raise typer.Exit(130) from None


def loaded_methods(sources: Sequence[str]) -> list[str]:
    """Load files and modules and return the names of the methods that they registered."""
    if not sources:
        return []
    from solvers import catalogue

    from .specifications import load_methods

    before = set(catalogue)
    for source in sources:
        load_methods(source)
    return sorted(set(catalogue) - before)


def checked_strict(strict: str | None) -> str | None:
    """Return the word of --strict; ValueError for one that is none."""
    if strict is not None and strict not in STRICT:
        raise ValueError(f"strict is {strict!r}: use --strict alone, or --strict all")
    return strict


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
