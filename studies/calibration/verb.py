"""`assay calibration`: what does taking the mean of a wrong score away gain?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study


@verb(expects=False)
def calibration(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="Methods that ask the scores; rk4 and stochastic-heun by default."),
    ] = None,
    scores: Annotated[
        list[str] | None,
        typer.Option("--score", help="Wrong score, repeatable, as `assay budget --score` names them."),
    ] = None,
    networks: Annotated[
        list[str] | None,
        typer.Option(
            "--network",
            help="Network that comes with the package, repeatable; with other scores none by default.",
        ),
    ] = None,
    target: Annotated[str, typer.Option(help="Target on the line.")] = "easy-1d",
    steps: Annotated[int, typer.Option(help="Steps of the methods.")] = 64,
    path: Annotated[str, typer.Option(help="Gaussian path.")] = "VE(0.02, 20)",
    grid: Annotated[
        str | None, typer.Option(help="Grid of times by name, or a file of sigmas; karras by default.")
    ] = None,
) -> Study[Any]:
    """Measure wrong scores as martingales, and what taking their mean away gains in error, KL and W2.

    On the line by quadrature over the exact reverse kernel and by density; networks of the plane at levels alone.

    Example: assay calibration heun --score "weights(0.7, 0.3)" --score "kernel(200, 0.1)"
    """
    from analytic import targets as named
    from analytic.names import unknown

    from .. import specifications, wrong_scores
    from ..learned.networks import CHECKPOINTS
    from ..setting import Setting
    from .study import METHODS, NETWORKS, SCORES, Calibration

    law = named.load(target)
    if law.dim != 1:
        raise ValueError(f"target is {target!r} in {law.dim} dimensions: give one on the line")
    if steps < 2:
        raise ValueError(f"steps is {steps}: give at least 2")
    known = [file.stem for file in sorted(CHECKPOINTS.glob("*.npz"))]
    for name in networks or ():
        if name not in known:
            raise unknown("network", name, known)
    for text in methods or ():
        specifications.job_of(text)  # complains before anything is measured
    for text in scores or ():
        wrong_scores.score_of(f"{wrong_scores.CALIBRATED}{text})", law)  # refuses the exact one
    return Calibration(
        (target, law),
        tuple(scores or SCORES),
        tuple(methods or METHODS),
        tuple(networks or (() if scores else NETWORKS)),
        steps,
        setting=Setting(*specifications.path_and_grid(path, grid, "karras")),
    )
