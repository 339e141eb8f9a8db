"""The `assay` command: one verb a question."""

from __future__ import annotations

import sys

import typer

from .verbs.budget import budget
from .verbs.gap import gap
from .verbs.likelihood import likelihood
from .verbs.list import list_
from .verbs.order import order
from .verbs.precision import precision
from .verbs.scaling import scaling
from .verbs.schedules import schedules

app = typer.Typer(
    help="Hold samplers against targets whose every quantity is known in closed form.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for verb in (order, gap, budget, scaling, schedules, likelihood, precision):
    app.command()(verb)
app.command(name="list")(list_)


def main() -> None:
    """Run the command; bad input is one line on stderr and exit code 2."""
    try:
        app()
    except (ValueError, TypeError) as error:
        line = " ".join(str(error).split())
        print(f"assay: error: {line}", file=sys.stderr)
        sys.exit(2)
