"""Writing output files: whole or not at all, in the format their name asks for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, get_args

Format = Literal["csv", "markdown", "latex", "json", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)[:-1]  # those that can be printed
SUFFIXES: Mapping[str, Format] = {
    ".csv": "csv",
    ".json": "json",
    ".md": "markdown",
    ".markdown": "markdown",
    ".tex": "latex",
    ".parquet": "parquet",
}
PICTURES = (".png", ".svg", ".pdf", ".html", ".json", ".gif")  # suffixes that charts can be written to


def suffix_of(path: str | os.PathLike[str], known: Iterable[str]) -> str:
    """Return the file name's suffix in lower case.

    Raises
    ------
    ValueError
        The suffix is none of the known ones.
    """
    suffix, known = Path(path).suffix.lower(), tuple(known)
    if suffix not in known:
        end = f"ends in {suffix!r}" if suffix else "has no suffix"
        raise ValueError(f"path is {os.fspath(path)!r}, which {end}: use one of {', '.join(known)}")
    return suffix


def write_whole(path: str | os.PathLike[str], content: bytes, lasting: bool = False) -> Path:
    """Write a file so that readers see the old content or the new, never a part; `lasting` waits for the disk.

    Raises
    ------
    ValueError
        The folder does not exist, or the path is a folder.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"path is '{path}', whose folder '{path.parent}' does not exist: make it first")
    if path.is_dir():
        raise ValueError(f"path is '{path}', which is a folder: give a file name in it")
    # Beside the target, since os.replace is atomic only within one file system.
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(content)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path
