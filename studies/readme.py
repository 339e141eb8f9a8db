"""Refresh the table in README.md: python -m studies.readme."""

from __future__ import annotations

from pathlib import Path

from . import frames, tables
from .files import write_whole
from .order import order

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->"


def main() -> None:
    """Write the order table between the markers."""
    text = README.read_text()
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    table = tables.render(frames.summary(*order()), "markdown")
    write_whole(README, f"{head}{BEGIN}\n{table}\n{END}{tail}".encode())


if __name__ == "__main__":
    main()
