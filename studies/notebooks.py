"""Notebooks of docs/notebooks, run and written as pages: python -m studies.notebooks [NAME ...].

A notebook is kept without what it printed; its page has that, with figures beside it.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from analytic.names import unknown

from .output.files import write_whole

FOLDER = Path(__file__).parent.parent / "docs" / "notebooks"


def executed(name: str) -> Any:
    """Run a notebook in a folder of its own and return it with what it printed.

    Raises nbclient.exceptions.CellExecutionError for a cell that raises, ValueError for an unknown name.
    """
    known = sorted(file.stem for file in FOLDER.glob("*.ipynb"))
    if name not in known:
        raise unknown("notebook", name, known)
    notebook = nbformat.reads((FOLDER / f"{name}.ipynb").read_text("utf-8"), as_version=4)  # type: ignore[no-untyped-call]  # theirs
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    return notebook


def page(name: str, notebook: Any) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and its figures by the names of their files."""
    parts, figures = [], dict[str, bytes]()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            for kind, content in _shown(output):
                if kind == "png":
                    file = f"{name}-{len(figures) + 1}.png"
                    figures[file] = base64.b64decode(content)
                    parts.append(f"![Output of the cell above](../figures/notebooks/{file})")
                else:
                    parts.append(content if kind == "html" else f"```text\n{content.rstrip()}\n```")
    return "\n\n".join(parts) + "\n", figures


def _shown(output: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a reader sees of an output: a picture, a table, or text."""
    if output["output_type"] == "stream":
        if output["name"] == "stdout":
            yield "text", output["text"]
        return
    data = output.get("data", {})
    if "image/png" in data:
        yield "png", data["image/png"]
    elif "text/html" in data:
        yield "html", f'<div class="output">{"".join(data["text/html"]).strip()}</div>'
    elif (
        "text/plain" in data
        and "RendererRegistry" not in data["text/plain"]
        and "ThemeRegistry" not in data["text/plain"]
    ):
        yield "text", "".join(data["text/plain"])


def main() -> None:
    """Run the notebooks named, all by default, and write their pages."""
    pictures = FOLDER.parent / "figures" / "notebooks"
    pictures.mkdir(exist_ok=True)
    for name in sys.argv[1:] or sorted(file.stem for file in FOLDER.glob("*.ipynb")):
        text, figures = page(name, executed(name))
        for file, content in figures.items():
            write_whole(pictures / file, content)
        write_whole(FOLDER / f"{name}.md", text.encode())
        print(name, flush=True)


if __name__ == "__main__":
    main()
