"""Options that verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .files import FORMATS, PICTURES, SUFFIXES, suffix_of

TableOption = Annotated[
    Path | None, typer.Option(help="Also write everything measured: .csv, .md, .tex or .json.")
]
FormatOption = Annotated[str | None, typer.Option("--format", help="Print csv, markdown or latex.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print everything measured as JSON.")]


def check_output(form: str | None, table: Path | None, *pictures: Path | None) -> None:
    """Complain before anything is measured; ValueError for a format or a suffix that is none."""
    if form is not None and form not in FORMATS:
        raise ValueError(f"format is {form!r}: use one of {', '.join(FORMATS)}")
    if table is not None:
        suffix_of(table, SUFFIXES)
    for file in pictures:
        if file is not None:
            suffix_of(file, PICTURES)
