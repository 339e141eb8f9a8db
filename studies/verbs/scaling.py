"""`assay scaling`: how many steps accuracy costs."""

from __future__ import annotations

from .. import tables, token_scaling
from ..report import Report, progress, show
from .options import FormatOption, JsonOption, TableOption, check_output


def scaling(
    table: TableOption = None,
    form: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how many steps ancestral sampling of tokens needs, against length and vocabulary.

    Masks beside uniform noise by exact law on short chains; masks to a length of 1000 by the information profile,
    with even and with optimal schedules.

    Example: assay scaling --table steps.csv
    """
    check_output(form, table)
    found = []
    with progress() as bar:
        task = bar.add_task("steps needed", total=token_scaling.LADDERS)
        for one in token_scaling.scaling():
            found.append(one)
            bar.advance(task)
    everything = token_scaling.frame(found)
    summary = everything if as_json else token_scaling.summary(found)
    show([Report("scaling", "Steps that ancestral sampling of tokens needs", summary)], form, as_json)
    if table is not None:
        tables.write(everything, table)
