"""A data frame as output: CSV and JSON for programs, Markdown, LaTeX and the terminal for people.

Programs get every digit, so that a number read back is the number written. People get four significant
digits, in one notation a column.
"""

from __future__ import annotations

import json
import math
import numbers
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .files import FORMATS, SUFFIXES, Format, suffix_of, write_whole

VERDICTS: Mapping[str, str] = {
    "confirmed": "green",
    "refuted": "bold red",
    "not met": "bold red",
    "limited": "yellow",
    "unresolved": "yellow",
}

MISSING = "–"
PLAIN_WIDTH = 160  # of output that is no terminal: a file or a pipe has no edge to run over
GAP = 2  # characters between two columns of the terminal's table
COMFORT = 16  # text columns wrap to no less than this


def render(frame: pd.DataFrame, format: Format) -> str:  # noqa: A002 (the word every caller knows)
    """Turn a data frame into text.

    A named index becomes the first columns; an unnamed one is left out.

    Parameters
    ----------
    frame : DataFrame
    format : str
        "csv" or "json" with every digit (JSON: a list of records in column order, NaN as null, an infinity as
        the string "inf" or "-inf"); "markdown" (GitHub's aligned table) or "latex" (a tabular that needs
        booktabs and siunitx), with four significant digits.

    Returns
    -------
    str
        Ends in a newline.

    Raises
    ------
    TypeError
        `frame` is not a DataFrame.
    ValueError
        Unknown format, or two columns of one name.
    """
    frame = _flat(frame)
    if format == "csv":
        return str(frame.to_csv(index=False, lineterminator="\n"))
    if format == "json":
        rows = frame.itertuples(index=False, name=None)
        records = [dict(zip(frame.columns, map(_plain, row), strict=True)) for row in rows]
        return json.dumps(records, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if format == "markdown":
        return _markdown(_columns(frame))
    if format == "latex":
        return _latex(_columns(frame))
    raise ValueError(f"format is {format!r}: use one of {', '.join(FORMATS)}")


def write(frame: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write a data frame to a file, whole or not at all, in the format of its suffix.

    Parameters
    ----------
    frame : DataFrame
    path : path
        Ends in .csv, .json, .parquet, .md, .markdown or .tex.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        Another suffix, a folder that does not exist, or what `render` refuses.
    """
    kind = SUFFIXES[suffix_of(path, SUFFIXES)]
    return write_whole(path, _parquet(frame) if kind == "parquet" else render(frame, kind).encode())


def table_cells(frame: pd.DataFrame) -> tuple[list[str], list[bool], list[list[str]]]:
    """Return a frame as it is shown to people: names of columns, which are of numbers, and rows of texts."""
    columns = _columns(_flat(frame))
    rows = [list(row) for row in zip(*(column.cells for column in columns), strict=True)]
    return [column.name for column in columns], [column.numeric for column in columns], rows


def to_html(frame: pd.DataFrame, title: str = "", notes: Sequence[str] = ()) -> str:
    """Return a table for a notebook, whose own style it takes."""
    names, numeric, rows = table_cells(frame)
    sides = ["right" if number else "left" for number in numeric]

    def line(cells: Sequence[str], tag: str) -> str:
        parts = (
            f'<{tag} style="text-align: {side}">{escape(cell)}</{tag}>'
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{''.join(parts)}</tr>"

    head = f"<caption><b>{escape(title)}</b></caption>" if title else ""
    body = "".join(line(row, "td") for row in rows)
    said = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return f"<table>{head}<thead>{line(names, 'th')}</thead><tbody>{body}</tbody></table>{said}"


def _parquet(frame: pd.DataFrame) -> bytes:
    """Return a frame as Parquet, columns of mixed types and of lists as text."""
    flat = _flat(frame)
    columns = {
        name: column if column.map(_simple).all() and column.map(type).nunique() <= 1 else column.map(str)
        for name, column in flat.items()
    }
    written: bytes = pd.DataFrame(columns).to_parquet(index=False)
    return written


def _simple(value: Any) -> bool:
    return isinstance(value, str | numbers.Number | None)


def to_terminal(
    frame: pd.DataFrame,
    title: str = "",
    console: Console | None = None,
    highlight: Mapping[str, str] = VERDICTS,
) -> None:
    """Print a data frame as a table.

    Where the console is too narrow, columns of text wrap first, and then the table is printed in parts that
    each repeat the first column. Numbers are never cut.

    Parameters
    ----------
    frame : DataFrame
        The first column names the rows.
    title : str
    console : Console, optional
        Standard output by default; if that is no terminal, plain and as wide as the table.
    highlight : mapping
        Words and the rich style they are shown in wherever they stand in a cell.
    """
    columns = _columns(_flat(frame))
    if console is None:
        plain = not sys.stdout.isatty() and "COLUMNS" not in os.environ
        natural = sum(column.width + GAP for column in columns)
        console = Console(width=max(PLAIN_WIDTH, natural)) if plain else Console()
    parts = _parts(columns, console.width)
    for number, part in enumerate(parts):
        if title:
            counter = f" ({number + 1} of {len(parts)})" if len(parts) > 1 else ""
            console.print(Text(title + counter, "bold"))
        console.print(_rich_table(part, console.width, highlight))


@dataclass(frozen=True)
class _Column:
    name: str
    cells: list[str]
    numeric: bool

    @property
    def width(self) -> int:
        """Columns of the terminal it takes if nothing wraps."""
        return max(cell_len(line) for text in (self.name, *self.cells) for line in (text.split("\n") or [""]))

    @property
    def least(self) -> int:
        """Columns it takes if what may wrap does: text, and the name of a column of numbers."""
        words = max(cell_len(word) for text in (self.name, *self.cells, "x") for word in text.split())
        return words if self.numeric else max(words, min(self.width, COMFORT))


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"frame is a {type(frame).__name__}: give a pandas DataFrame")
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    names = [" ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"frame has the column {twice[0]!r} more than once: rename one")
    return frame.set_axis(names, axis=1)


def _plain(value: Any) -> Any:
    """Return what JSON has for a value: null for a missing one, every digit of a number."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(entry) for entry in value]
    if _missing(value):
        return None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else str(float(value))
    return str(value)


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (_is_real(value) and math.isnan(value))


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)


def _columns(frame: pd.DataFrame) -> list[_Column]:
    return [_column(name, frame[name].tolist()) for name in frame.columns]


def _column(name: str, values: Sequence[Any]) -> _Column:
    present = [value for value in values if not _missing(value)]
    numeric = bool(present) and all(map(_is_real, present))
    show = _notation([float(value) for value in present]) if numeric else str
    return _Column(name, [MISSING if _missing(value) else show(value) for value in values], numeric)


def _notation(values: list[float]) -> Any:
    """Choose how a column of numbers is written: whole, with so many decimals, or scientific."""
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0]
    if not sizes or (max(sizes) < 1e6 and all(size.is_integer() for size in sizes)):
        return lambda value: f"{value:.0f}"
    if max(sizes) >= 1e6 or min(sizes) < 1e-3 or min(sizes) >= 1e4 or max(sizes) / min(sizes) >= 1e4:
        return lambda value: f"{value:.3e}" if value else "0"
    # As many decimals as four significant digits of any entry need, so that the points stand in line.
    decimals = max(len(f"{size:.4g}".partition(".")[2]) for size in sizes if size < 1e4)
    return lambda value: f"{value:.{decimals}f}"


def _markdown(columns: list[_Column]) -> str:
    def escape(text: str) -> str:
        return re.sub(r"([\\|*`<])", r"\\\1", text).replace("\n", "<br>")

    texts = [[escape(text) for text in (column.name, *column.cells)] for column in columns]
    widths = [max(3, *map(cell_len, column)) for column in texts]
    for column, entries, width in zip(columns, texts, widths, strict=True):
        entries.insert(1, "-" * (width - 1) + ":" if column.numeric else "-" * width)
    lines = []
    for row in zip(*texts, strict=True):
        cells = []
        for column, text, width in zip(columns, row, widths, strict=True):
            blank = " " * (width - cell_len(text))
            cells.append(blank + text if column.numeric else text + blank)
        lines.append("| " + " | ".join(cells) + " |\n")
    return "".join(lines)


_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\n": " ",
    "–": "--",
    "—": "---",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "≠": r"$\neq$",
    "→": r"$\to$",
    "∞": r"$\infty$",
    "²": "$^2$",
    "α": r"$\alpha$",
    "η": r"$\eta$",
    "λ": r"$\lambda$",
    "ρ": r"$\rho$",
    "σ": r"$\sigma$",
    "τ": r"$\tau$",
    "φ": r"$\varphi$",
}


# An entry that people read as a number, with what a table marks it by: the best of its column, and a tie with it.
_MARKED = re.compile(r"(?P<value>-?\d[\d.]*(e[+-]?\d+)?)(±(?P<spread>\d[\d.]*(e[+-]?\d+)?))?(?P<mark> [*=])?")
_MARKS = {None: "{}", " *": r"\textbf{{{}}}", " =": r"\underline{{{}}}"}


def _latex(columns: list[_Column]) -> str:
    """Write a tabular; numbers are siunitx's, in columns that align them where nothing else stands in one."""

    def escape(text: str) -> str:
        return "".join(_LATEX.get(sign, sign) for sign in text)

    def entry(text: str) -> str:
        found = _MARKED.fullmatch(text)
        if found is None:
            return escape(text)
        spread = f" +- {found['spread']}" if found["spread"] else ""
        return _MARKS[found["mark"]].format(f"\\num{{{found['value']}{spread}}}")

    def number(text: str) -> str:
        if text == MISSING:
            return f"{{{escape(text)}}}"
        return text if "inf" not in text else f"{{${text.replace('inf', chr(92) + 'infty')}$}}"

    def line(texts: Sequence[str]) -> str:
        return "  " + " & ".join(texts) + r" \\"

    kinds = "".join(_numbers_of(column.cells) if column.numeric else "l" for column in columns)
    heads = [f"{{{escape(c.name)}}}" if c.numeric else escape(c.name) for c in columns]
    body = zip(*([(number if c.numeric else entry)(text) for text in c.cells] for c in columns), strict=True)
    return "\n".join(
        [
            r"% \usepackage{booktabs, siunitx}",
            f"\\begin{{tabular}}{{{kinds}}}",
            r"  \toprule",
            line(heads),
            r"  \midrule",
            *map(line, body),
            r"  \bottomrule",
            "\\end{tabular}\n",
        ]
    )


def _numbers_of(cells: Sequence[str]) -> str:
    """Return siunitx's column for numbers that are written like these."""
    parts = [re.fullmatch(r"(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?", cell) for cell in cells]
    known = [part.groups(default="") for part in parts if part is not None]
    if not known:
        return "r"
    sign = "-" if any(part[0] for part in known) else ""
    whole, decimals = max(len(part[1]) for part in known), max(len(part[2]) for part in known)
    powers = [int(part[3]) for part in known if part[3]]
    power = (
        f"e{'-' if any(p < 0 for p in powers) else ''}{max(len(str(abs(p))) for p in powers)}"
        if powers
        else ""
    )
    return f"S[table-format={sign}{whole}{f'.{decimals}' if decimals else ''}{power}]"


def _parts(columns: list[_Column], width: int) -> list[list[_Column]]:
    """Split the columns after the first so that every part, led by the first, fits the width."""
    if not columns:
        return [[]]
    first, *rest = columns
    parts, used = [[first]], first.least + GAP
    for column in rest:
        if used + column.least + GAP > width and len(parts[-1]) > 1:
            parts.append([first])
            used = first.least + GAP
        parts[-1].append(column)
        used += column.least + GAP
    return parts


def _rich_table(columns: list[_Column], width: int, highlight: Mapping[str, str]) -> Table:
    # The box puts one blank between columns itself.
    padding = (0, GAP - 1, 0, 0)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=padding, header_style="bold")
    fits = sum(column.least + GAP for column in columns) <= width
    for column in columns:
        # Below the least width nothing is right; folding at least keeps every character.
        least = column.least if fits else None
        justify: Literal["left", "right"] = "right" if column.numeric else "left"
        table.add_column(Text(column.name), justify=justify, overflow="fold", min_width=least)
    for row in zip(*(column.cells for column in columns), strict=True):
        texts = [Text(cell) for cell in row]
        for text in texts:
            for word, style in highlight.items():
                text.highlight_regex(rf"\b{re.escape(word)}\b", style)
        table.add_row(*texts)
    return table
