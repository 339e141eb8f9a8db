"""`assay pictures`: what samplers make of a plane."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study

KINDS = ("samples", "trajectories", "revealed")
TARGETS = {"samples": "nine-2d", "trajectories": "easy-1d", "revealed": "text"}


@verb()
def pictures(
    methods: Annotated[
        list[str] | None, typer.Argument(help="Methods, with options; some of all kinds by default.")
    ] = None,
    of: Annotated[
        str,
        typer.Option(
            help="samples in the plane, trajectories on the line over the marginal's density, or tokens revealed step "
            "by step. The last two are animated by --plot FILE.gif."
        ),
    ] = "samples",
    target: Annotated[
        str | None,
        typer.Option(
            help="Target by name or file: in the plane, on the line, or of tokens; nine-2d, easy-1d, text."
        ),
    ] = None,
    path: Annotated[str, typer.Option(help="Gaussian path.")] = "VE(0.02, 20)",
    grid: Annotated[
        str | None, typer.Option(help="Grid of times by name, or a file of sigmas; karras by default.")
    ] = None,
    nfe: Annotated[
        list[int] | None, typer.Option(help="Evaluations a sample, repeatable; 5, 10 and 20 by default.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of trajectories, 64, and of tokens, 12.")] = None,
    samples: Annotated[
        int | None, typer.Option(help="Samples in each picture, 400; 24 trajectories; tokens shown, 60.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all noise.")] = 0,
) -> Study[Any]:
    """Draw samples over the target's density, and the ways there, at equal evaluations.

    Every picture starts from the same points. The table has the mean log-density of the samples beside that of the
    target's own, which tells samples that lie between modes from those that crowd on them.

    Example: assay pictures euler heun ddpm --target pair-2d --plot pictures.png
    """
    from analytic.names import unknown

    from . import request

    if of not in KINDS:
        raise unknown("of", of, KINDS)
    for name, value, least in (
        ("samples", samples, 2),
        ("steps", steps, 1),
        *(("nfe", n, 2) for n in nfe or ()),
    ):
        if value is not None and value < least:
            raise ValueError(f"{name} is {value}: give at least {least}")
    name = target or TARGETS[of]
    if of == "revealed":
        return request.revealed(methods, name, steps or 12, samples or 60, seed)
    if of == "trajectories":
        return request.trajectories(methods, name, path, grid, steps or 64, samples or 24, seed)
    return request.samples(methods, name, path, grid, nfe, samples or 400, seed)
