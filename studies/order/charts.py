"""Convergence plots of the order study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..ladder import long
from ..output import figures
from ..output.report import Report, _own

_DRAWN = {
    "w2": "W2 error",
    "weak": "Weak error",
    "tv": "Total variation",
    "shortfall": "Log-likelihood per token below that of the data",
    "bigram": "Bigram total variation",
    "energy": "Energy distance",
}


def drawable(report: Report) -> bool:
    """Return True if the report measured something with a picture."""
    return any(m.metric in _DRAWN for m in report.measurements)


def write_plots(reports: Sequence[Report], where: Callable[[Report], str], file: Path) -> None:
    """Draw each report that has a picture; those after the first get their name added to the file's.

    Raises ValueError if none has.
    """
    pictured = [report for report in reports if drawable(report)] or reports[:1]
    for place, report in enumerate(pictured):
        write_plot(report, where(report), _own(file, report, place))


def write_plot(report: Report, where: str, file: Path) -> None:
    """Draw the ladder worth a picture: the last target, W2 or what stands for it there.

    Raises ValueError if there is none.
    """
    last = report.measurements[-1].target if report.measurements else "it"
    for metric, title in _DRAWN.items():
        chosen = [m for m in report.measurements if m.target == last and m.metric == metric]
        if chosen:
            frame = long(chosen)
            if metric in ("energy", "bigram", "shortfall"):
                # mostly noise by then: no claimed slope belongs beside it
                frame = frame.drop(columns="claim")
            figures.save(figures.convergence(frame, f"{title} on {last}, {where}"), file)
            return
    raise ValueError(f"plot is '{file}', but nothing on {last} can be drawn: measure another target")
