"""`assay compare`: which method has the least error for as many evaluations."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study

METHODS = ("ddim-eta(eta=0.0)", "heun", "dpm-solver++-2m", "unipc", "ddpm", "sde-dpm-solver++-2m")
TARGETS = ("easy-1d", "spectrum-16")
BUDGETS = (5, 10, 20, 50)


@verb(expects=False)
def compare(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="Methods, with options: heun, 'unipc(order=3)'. Six by default."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Target by name or file, repeatable: by exact law where there is one, else by samples."
        ),
    ] = None,
    nfe: Annotated[
        list[int] | None,
        typer.Option(help="Evaluations of the model that a sample may take, repeatable; 5, 10, 20 and 50."),
    ] = None,
    path: Annotated[
        str, typer.Option(help="Gaussian path, or a scheduler_config.json, which brings its grid.")
    ] = "VP",
    grid: Annotated[
        str | None, typer.Option(help="Grid of times by name, or a file of sigmas; log-snr by default.")
    ] = None,
    begin: Annotated[
        float | None, typer.Option(help="Time sampling starts at; the path's own by default.")
    ] = None,
    end: Annotated[
        float | None, typer.Option(help="Time sampling stops at; the path's own by default.")
    ] = None,
    initial: Annotated[
        str, typer.Option(help="What is started from: marginal, the exact one, or prior, N(0, s^2 I).")
    ] = "marginal",
    samples: Annotated[int, typer.Option(help="Samples where no law reaches.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Seed of theirs.")] = 0,
) -> Study[Any]:
    """Compare methods at equal numbers of evaluations and say which to take, or that it is a tie.

    Each takes the most steps that the evaluations pay for. Errors are W2 by exact law on a Gaussian, TV by density on
    the line, and sliced W2 by samples elsewhere, to the exact marginal at the grid's end.

    Example: assay compare heun dpm-solver++-2m unipc --target pair-2d --nfe 10 --nfe 20 --plot compare.png
    """
    from analytic import targets as named

    from .. import specifications
    from ..setting import Setting
    from .study import Comparison

    for count in nfe or ():
        if count < 1:
            raise ValueError(f"nfe is {count}: give at least 1")
    if initial not in ("marginal", "prior"):
        raise ValueError(f"initial is {initial!r}: use marginal or prior")
    where, nodes = specifications.path_and_grid(path, grid, "log-snr")
    setting = Setting(where, nodes, begin, end, initial, samples=samples, seed=seed)
    setting.nodes(2)  # complains about begin and end before anything is measured
    work = [specifications.job_of(text) for text in methods or METHODS]
    for job in work:
        if job.method.half == "discrete":
            raise ValueError(
                f"method is {job.text!r}, of tokens: assay order compares those at equal evaluations"
            )
    chosen = {name: named.load(name) for name in target or TARGETS}
    return Comparison(work, chosen, setting, tuple(dict.fromkeys(nfe or BUDGETS)))
