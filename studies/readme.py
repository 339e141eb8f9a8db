"""Refresh the tables and figures in README.md and docs: python -m studies.readme [name ...].

A block <!-- name: assay ... --> holds what that command prints; a few others are made by functions here.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from analytic import sequences
from analytic.names import unknown

from .cli import app
from .command import cores
from .engine import run
from .order import tables as frames
from .order.on_text import STATISTICS, TextErrors, text_summary
from .order.on_tokens import default_settings, measure, pairs, token_jobs, token_order
from .order.study import order
from .output import render
from .output.files import write_whole
from .specifications import job_of

ROOT = Path(__file__).parent.parent
README, DOCS = ROOT / "README.md", ROOT / "docs"
CLAIMS, TOKEN_CLAIMS, TOKENS, GPU = (DOCS / f"{n}.md" for n in ("claims", "token-claims", "tokens", "gpu"))
SAMPLERS = DOCS / "samplers.md"
GUIDED = [
    f"{method}(gamma={gamma})"
    for method in ("guided-ancestral", "guided-tau-leaping")
    for gamma in (1.0, 2.0, 4.0)
]
MARK = re.compile(r"<!-- ([\w-]+): (assay [^>]*?) -->")
ON_TEXT = ("tweedie-tau-leaping", "discrete-euler", "tau-leaping")


def between(text: str, name: str) -> str:
    """Return what stands between <!-- name --> and <!-- end of name -->."""
    return text.split(f"<!-- {name} -->\n")[1].split(f"<!-- end of {name} -->")[0]


def replaced(file: Path, **found: pd.DataFrame | list[pd.DataFrame]) -> None:
    """Write tables into a file, each between the marks of its name."""
    text = file.read_text()
    for name, frame in found.items():
        shown = frame if isinstance(frame, list) else [frame]
        content = "\n".join(render.render(one, "markdown") for one in shown)
        text = text.replace(f"<!-- {name} -->\n{between(text, name)}", f"<!-- {name} -->\n\n{content}\n")
    write_whole(file, text.encode())


def guided_table() -> pd.DataFrame:
    """Total variation of guided methods from the tilted law, at three numbers of steps."""
    data = sequences.load("two-classes")
    rows: list[dict[str, Any]] = []
    for text in GUIDED:
        job = job_of(text)
        for setting in default_settings(data.vocabulary):
            found = next(measure(job.method, job.options, "two-classes", data, setting))
            at = dict(zip(found.steps, found.errors, strict=True))
            cells = {f"{N} steps": f"{at[N]:.3g}" for N in (16, 64, 128)}
            rows.append({"method": found.method, "noise": found.start} | cells | {"order": str(found.slope)})
    return pd.DataFrame(rows)


def text_tables() -> list[pd.DataFrame]:
    """Log-likelihood and bigram error of samples of text."""
    data = sequences.load("text")
    work = list(pairs(token_jobs(ON_TEXT), default_settings(data.vocabulary, long=True)))
    found = run(TextErrors(work, "text", data))
    return [text_summary([m for m in found if m.metric == metric], metric) for metric in STATISTICS]


def _orders() -> None:
    on_tokens = token_order()
    replaced(CLAIMS, table=frames.summary(*order()))
    replaced(TOKEN_CLAIMS, tokens=frames.token_summary(*on_tokens))
    replaced(TOKENS, equal=frames.equal_cost(on_tokens[0], "tv", "smooth"))


def _guided() -> None:
    replaced(TOKENS, guided=guided_table())


def _text() -> None:
    replaced(TOKENS, text=text_tables())


def _kernels() -> None:
    from .gpu import resources  # which needs the extra gpu

    replaced(GPU, kernels=resources.table())


def _estimates() -> None:
    from .gpu import estimates

    replaced(GPU, estimates=estimates.estimates())


def _samplers(library: str) -> None:
    from .verify import libraries

    replaced(SAMPLERS, **{library: libraries.table(library, cores())})


PARTS: dict[str, Callable[[], None]] = {
    "orders": _orders,
    "guided": _guided,
    "text": _text,
    "kernels": _kernels,
    "estimates": _estimates,
    "diffusers": partial(_samplers, "diffusers"),
    "torchsde": partial(_samplers, "torchsde"),
    "diffrax": partial(_samplers, "diffrax"),
}
# of a library that the extras leave out, so that it is measured where it is installed and named
ASIDE: dict[str, Callable[[], None]] = {"k_diffusion": partial(_samplers, "k_diffusion")}


def commands() -> dict[str, tuple[Path, str]]:
    """Return the blocks <!-- name: assay ... --> of README and docs: file and command by name."""
    found = {}
    for file in (README, *sorted(DOCS.glob("*.md"))):
        for name, command in MARK.findall(file.read_text()):
            found[name] = (file, command)
    return found


def output_of(command: str) -> str:
    """Run an `assay` command here, from the project's folder, and return the Markdown it prints."""
    words = shlex.split(command)[1:]
    printed = io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(printed):
        app([*words, "--format", "markdown"], standalone_mode=False)
    return printed.getvalue()


def written(file: Path, name: str, content: str) -> None:
    """Put content between the marks of a command's block."""
    text = file.read_text()
    head, rest = text.split(f"<!-- {name}: ", 1)
    mark, rest = rest.split("-->\n", 1)
    _, tail = rest.split(f"<!-- end of {name} -->", 1)
    write_whole(file, f"{head}<!-- {name}: {mark}-->\n\n{content}\n<!-- end of {name} -->{tail}".encode())


def main() -> None:
    """Measure what the named tables show, all by default, and write each as soon as it is there.

    Raises ValueError for a name that no table has.
    """
    blocks = commands()
    names = sys.argv[1:] or [*PARTS, *blocks]
    for name in names:
        if name not in PARTS | ASIDE and name not in blocks:
            raise unknown("table", name, [*PARTS, *ASIDE, *blocks])
    for name in names:
        print(name, flush=True)
        if name in PARTS | ASIDE:
            (PARTS | ASIDE)[name]()
        else:
            written(blocks[name][0], name, output_of(blocks[name][1]))


if __name__ == "__main__":
    main()
