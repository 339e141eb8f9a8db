"""Options that verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import render
from .files import PICTURES, suffix_of

TableOption = Annotated[
    Path | None, typer.Option(help="Also write everything measured: .csv, .md, .tex or .json.")
]
FormatOption = Annotated[str | None, typer.Option("--format", help="Print csv, markdown or latex.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print everything measured as JSON.")]


def check_output(form: str | None, table: Path | None, *pictures: Path | None) -> None:
    """Complain before anything is measured; ValueError for a format or a suffix that is none."""
    if form is not None and form not in render.FORMATS:
        raise ValueError(f"format is {form!r}: use one of {', '.join(render.FORMATS)}")
    if table is not None:
        suffix_of(table, render.SUFFIXES)
    for file in pictures:
        if file is not None:
            suffix_of(file, PICTURES)
