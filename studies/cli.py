"""The `assay` command: one verb a question, imported when it is asked."""

from __future__ import annotations

import codecs
import importlib
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

# The verbs, in the order they are listed in, with the first line of their help: none is imported to be listed.
VERBS = {
    "order": "Measure convergence orders and hold each method's claim against them.",
    "compare": "Compare methods at equal numbers of evaluations and say which to take, or that it is a tie.",
    "gap": "Measure how far ODE and SDE samplers with a wrong score are from each other and from the truth.",
    "calibration": "Measure wrong scores as martingales, and what taking their mean away gains in error, KL and W2.",
    "guidance": "Measure how far guided, posterior and composed samplers are from the laws that they aim at.",
    "kernels": "Measure samplers in a box, by what they do at its walls, and on Poisson flows, against their D.",
    "budget": "Split a sampler's W2 error by cause: initial law, truncation, discretisation, score, precision.",
    "scaling": "Measure how many evaluations an error costs, against the error and against the size of the target.",
    "schedules": "Compare grids by exact errors, optimise grids and solvers, vary the time, and end next to sigma = 0.",
    "likelihood": "Measure the order of log p(x) along the probability-flow ODE, with the exact divergence.",
    "mixing": "Measure what Langevin dynamics on Gaussians need, by exact moments: bias, evaluations, errors.",
    "mixed": "Measure Gibbs samplers of tokens and numbers, and tokens taken through space, against exact laws.",
    "draws": "Measure how far drawing tokens in float32 takes a sampler of many steps from its target.",
    "pictures": "Draw samples over the target's density, and the ways there, at equal evaluations.",
    "verify": "Ask a sampler all checks: its order by exact law on even and uneven grids, its levels and noise.",
    "bench": "Time samples beside what others use, in turn, and say how far from the machine's limit they are.",
    "run": "Run studies that a TOML file declares into a folder, from where a stopped or killed run goes on.",
    "status": "Say how far the run in a folder is.",
    "report": "Write the page and the tables of the runs in folders again.",
    "merge": "Take into a folder what others have finished.",
    "diff": "Hold two runs against each other: what is better, worse, or alike within intervals.",
    "list": "List what there is: methods with claims and sources, loops, targets, grids, paths, noises, studies, ...",
}
OF_RUNS = ("run", "status", "report", "merge", "diff")
ASKING = tuple(verb for verb in VERBS if verb not in (*OF_RUNS, "list"))  # those that ask a question
PLAIN: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
}


def function_of(verb: str) -> Any:
    """Import the function of a verb."""
    if verb == "list":
        return importlib.import_module("studies.listing").list_
    if verb in OF_RUNS:
        return getattr(importlib.import_module("studies.runs.verbs"), verb)
    return getattr(importlib.import_module(f"studies.{verb}.verb"), verb)


class Verbs(TyperGroup):
    """A group that knows its commands by name and imports one only when it is run."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name the verbs."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a verb; None for a name that is none."""
        if cmd_name not in VERBS:
            return None
        alone = typer.Typer(**PLAIN)
        alone.command(name=cmd_name)(function_of(cmd_name))
        return typer.main.get_command(alone)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


app = typer.Typer(cls=Verbs, no_args_is_help=True, **PLAIN)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"assay {version('assay')}")
        raise typer.Exit


@app.callback()
def assay(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Hold samplers against targets whose every quantity is known in closed form."""


def spelled(arguments: Sequence[str]) -> list[str]:
    """Return a command line as options are declared.

    --strict always has its word, so that what follows it alone is left alone, and numbers after an option that is
    repeatable, such as --nfe 10 20, have it repeated.
    """
    found: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--strict":
            word = f"--strict={rest.pop(0) if rest[:1] == ['all'] else 'refuted'}"
        found.append(word)
        if word in ("--nfe", "--steps", "--seed"):
            found += [rest.pop(0)] if rest else []
            while rest and rest[0].isdigit():
                found += [word, rest.pop(0)]
    return found


PLAINLY = {"±": "+-", "–": "-", "−": "-", "→": "->", "≤": "<=", "≥": ">=", "×": "x", "…": "..."}


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """Write what a terminal has no sign for in signs that every terminal has."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(PLAINLY.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def main() -> None:
    """Run the command; bad input is one line on stderr and exit code 2."""
    codecs.register_error("plainly", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plainly")
    try:
        app(spelled(sys.argv[1:]))
    except (ValueError, TypeError) as error:
        line = " ".join(str(error).split())
        print(f"assay: error: {line}", file=sys.stderr)
        sys.exit(2)
