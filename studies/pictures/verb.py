"""`assay pictures`: what samplers make of a plane."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study


@verb()
def pictures(
    methods: Annotated[
        list[str] | None, typer.Argument(help="Methods, with options; twelve of all kinds by default.")
    ] = None,
    target: Annotated[str, typer.Option(help="Target in the plane, by name or file.")] = "nine-2d",
    path: Annotated[str, typer.Option(help="Gaussian path.")] = "VE(0.02, 20)",
    grid: Annotated[
        str | None, typer.Option(help="Grid of times by name, or a file of sigmas; karras by default.")
    ] = None,
    nfe: Annotated[
        list[int] | None, typer.Option(help="Evaluations a sample, repeatable; 5, 10 and 20 by default.")
    ] = None,
    samples: Annotated[int, typer.Option(help="Samples in each picture.")] = 400,
    seed: Annotated[int, typer.Option(help="Seed of all noise.")] = 0,
) -> Study[Any]:
    """Draw samples over the target's density, and the ways there, at equal evaluations.

    Every picture starts from the same points. The table has the mean log-density of the samples beside that of the
    target's own, which tells samples that lie between modes from those that crowd on them.

    Example: assay pictures euler heun ddpm --target pair-2d --plot pictures.png
    """
    from analytic import targets as named

    from .. import specifications
    from ..setting import Setting
    from .study import BUDGETS, METHODS, Pictures

    law = named.load(target)
    if law.dim != 2:
        raise ValueError(
            f"target is {target!r} of dimension {law.dim}: give one in the plane, such as nine-2d"
        )
    budgets = tuple(nfe or BUDGETS)
    for budget in budgets:
        if budget < 2:
            raise ValueError(f"nfe is {budget}: give at least 2 evaluations")
    if samples < 2:
        raise ValueError(f"samples is {samples}: give at least 2")
    work = [specifications.job_of(text) for text in methods or METHODS]
    setting = Setting(*specifications.path_and_grid(path, grid, "karras"), samples=samples, seed=seed)
    return Pictures(work, target, law, setting, budgets)
