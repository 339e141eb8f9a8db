"""Refresh the tables in README.md and docs: python -m studies.readme."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from analytic import sequences

from . import frames, precision, tables, token_text
from .files import write_whole
from .ladders import Measurement
from .order import order
from .token_ladders import measure
from .token_order import default_settings, pairs, token_jobs, token_order
from .token_scaling import scaling, summary
from .words import job_of

ROOT = Path(__file__).parent.parent
README, TOKENS = ROOT / "README.md", ROOT / "docs" / "tokens.md"
GUIDED = [
    f"{method}(gamma={gamma})"
    for method in ("guided-ancestral", "guided-tau-leaping")
    for gamma in (1.0, 2.0, 4.0)
]
ON_TEXT = ("tweedie-tau-leaping", "discrete-euler", "tau-leaping")


def between(text: str, name: str) -> str:
    """Return what stands between <!-- name --> and <!-- end of name -->."""
    return text.split(f"<!-- {name} -->\n")[1].split(f"<!-- end of {name} -->")[0]


def replaced(file: Path, **found: pd.DataFrame | list[pd.DataFrame]) -> None:
    """Write tables into a file, each between the marks of its name."""
    text = file.read_text()
    for name, frame in found.items():
        shown = frame if isinstance(frame, list) else [frame]
        content = "\n".join(tables.render(one, "markdown") for one in shown)
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
    measurements: list[Measurement] = []
    for job, setting in pairs(token_jobs(ON_TEXT), default_settings(data.vocabulary, long=True)):
        measurements += token_text.text_errors(job, "text", data, setting)[0]
    floor = token_text.exact_draws("text", data)
    return [token_text.text_summary(measurements, m, floor[m]) for m in ("log-likelihood", "bigram")]


def main() -> None:
    """Measure everything that the tables show, and write them."""
    on_tokens = token_order()
    replaced(README, table=frames.summary(*order()), tokens=frames.token_summary(*on_tokens))
    replaced(
        TOKENS,
        equal=frames.equal_cost(on_tokens[0], "tv", "smooth"),
        guided=guided_table(),
        scaling=summary(list(scaling())),
        text=text_tables(),
        precision=precision.summary(
            precision.precision(
                noises={precision.SHOWN_NOISE: precision.NOISES[precision.SHOWN_NOISE]},
                draws=precision.SHOWN_DRAWS,
            )
        ),
    )


if __name__ == "__main__":
    main()
