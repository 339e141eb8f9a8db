"""The command's questions as calls: what they return shows itself in a notebook.

>>> import assay
>>> found = assay.compare("heun", "unipc", targets=["gaussian-1d"], nfe=[8])
>>> found.frame["error"].tolist() == sorted(found.frame["error"], reverse=True)
True

"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .output.report import Report, charts_of, everything_of, reports_of
from .study import Failure, Found, Study

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Result:
    """What a question found.

    Attributes
    ----------
    studies : sequence of Study
    found : sequence of Found
        Of each study, its records and failures.
    """

    studies: Sequence[Study[Any]]
    found: Sequence[Found[Any]]

    @property
    def records(self) -> list[Any]:
        """Everything measured, as the dataclasses of the studies."""
        return [record for one in self.found for record in one.records]

    @property
    def failures(self) -> list[Failure]:
        """Cells that could not be measured, with their reasons."""
        return [failure for one in self.found for failure in one.failures]

    @cached_property
    def reports(self) -> list[Report]:
        """Tables to read, with titles and notes; each shows itself."""
        return reports_of(self._with_records)

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Everything measured, as tables to compute with, by name."""
        return everything_of(self.reports)

    @property
    def frame(self) -> pd.DataFrame:
        """The first of these tables."""
        return next(iter(self.frames.values()))

    @cached_property
    def charts(self) -> dict[str, Any]:
        """Altair charts by name, in the project's theme where `altair.theme.enable("assay")` was called."""
        return charts_of(self._with_records)

    @property
    def _with_records(self) -> list[tuple[Study[Any], list[Any]]]:
        return [(s, f.records) for s, f in zip(self.studies, self.found, strict=True) if f.records]

    @property
    def chart(self) -> Any:
        """The first of them. Raises ValueError where there is nothing to draw."""
        if not self.charts:
            raise ValueError("chart is asked for, but nothing that was measured can be drawn")
        return next(iter(self.charts.values()))

    def __repr__(self) -> str:
        names = ", ".join(dict.fromkeys(study.name for study in self.studies))
        failed = f", {len(self.failures)} failures" if self.failures else ""
        return f"<{names}: {len(self.records)} records{failed}; .frame, .reports, .chart>"

    def _repr_html_(self) -> str:
        failed = "".join(f"<li>{escape(str(failure))}</li>" for failure in self.failures)
        return "".join(report._repr_html_() for report in self.reports) + (
            f"<ul>{failed}</ul>" if failed else ""
        )


def ask(
    verb: str,
    *methods: str,
    jobs: int = 1,
    out: str | Path | None = None,
    executor: Executor | None = None,
    **options: Any,
) -> Result:
    """Ask what a verb of the command asks, with the options that a study's file has for it.

    Parameters
    ----------
    verb : str
    *methods : str
        The command's arguments: methods with options, or of `verify` the sampler.
    jobs : int
        Processes that measure.
    out : path, optional
        Folder in which what is finished is kept, as of a run; a stopped call goes on from there.
    executor : concurrent.futures.Executor, optional
        Measures instead of processes of its own.
    **options
        As in a file: `targets=["easy-1d"]`, `nfe=[5, 10]`, ...

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        An option that the verb does not have, or one it refuses, with the near ones; what the first cell raised if none
        was measured.
    """
    from .engine import run_all
    from .runs.declared import Declared, asked
    from .runs.folder import RunFolder

    first = "sampler" if verb == "verify" else "methods"
    given: Mapping[str, Any] = {first: methods[0] if verb == "verify" else list(methods)} if methods else {}
    lists = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    declared = Declared([asked({"verb": verb, **given, **lists}, f"assay.{verb}")], source=f"assay.{verb}")
    studies = declared.studies()
    store = None
    if out is not None:
        folder = RunFolder(out)
        folder.begin(declared, studies)
        store = folder.store
    found = run_all(studies, store, jobs, executor)
    failures = [failure for one in found for failure in one.failures]
    if failures and not any(one.records for one in found):
        raise failures[0].error()
    return Result(studies, found)
