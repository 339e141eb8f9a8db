"""`assay likelihood`: log-densities along the flow against the target's own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study

TARGETS = ("easy-1d", "pair-2d", "rotated-16")


@verb()
def likelihood(
    methods: Annotated[list[str] | None, typer.Argument(help="Runge-Kutta methods, all by default.")] = None,
    targets: Annotated[
        list[str] | None, typer.Option("--target", help="Target by name or file, repeatable.")
    ] = None,
    path: Annotated[str, typer.Option(help="Gaussian path.")] = "VE(0.02, 20)",
    grid: Annotated[
        str | None, typer.Option(help="Grid of times by name, or a file of sigmas; karras by default.")
    ] = None,
) -> Study[Any]:
    """Measure the order of log p(x) along the probability-flow ODE, with the exact divergence.

    Beside it the exact log-density of the discrete sampler's own map, the floor that the conventional prior leaves,
    and the spread of Hutchinson's estimator.

    Example: assay likelihood heun rk4 --target pair-2d --plot likelihood.png
    """
    from analytic import targets as named
    from solvers.continuous.executors.likelihood import BUTCHER

    from .. import specifications
    from ..setting import Setting
    from .study import Likelihoods

    work = [specifications.job_of(text) for text in methods or BUTCHER]
    for job in work:
        if job.method.name not in BUTCHER:
            raise ValueError(f"method is {job.method.name!r}: use a Runge-Kutta method, {', '.join(BUTCHER)}")
    chosen = {name: named.load(name) for name in targets or TARGETS}
    return Likelihoods(work, chosen, Setting(*specifications.path_and_grid(path, grid, "karras")))
