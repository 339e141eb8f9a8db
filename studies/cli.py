"""The `assay` command: one verb a question."""

from __future__ import annotations

import sys

import typer

from .budget.verb import budget
from .command import spelled
from .draws.verb import draws
from .gap.verb import gap
from .likelihood.verb import likelihood
from .listing import list_
from .order.verb import order
from .scaling.verb import scaling
from .schedules.verb import schedules

app = typer.Typer(
    help="Hold samplers against targets whose every quantity is known in closed form.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for verb in (order, gap, budget, scaling, schedules, likelihood, draws):
    app.command()(verb)
app.command(name="list")(list_)


def main() -> None:
    """Run the command; bad input is one line on stderr and exit code 2."""
    try:
        app(spelled(sys.argv[1:]))
    except (ValueError, TypeError) as error:
        line = " ".join(str(error).split())
        print(f"assay: error: {line}", file=sys.stderr)
        sys.exit(2)
