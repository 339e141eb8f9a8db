"""`assay kernels`: what becomes of samplers whose noise is no Gaussian in all of space?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study

STUDIES = ("walls", "poisson")


@verb(methods=False)
def kernels(
    studies: Annotated[
        list[str] | None,
        typer.Option("--study", help=f"What to vary, repeatable: {', '.join(STUDIES)}; all by default."),
    ] = None,
    target: Annotated[
        str, typer.Option(help="Target on the line, whose quantiles are the data of Poisson flows.")
    ] = "easy-1d",
    augmented: Annotated[
        list[float] | None,
        typer.Option("--augmented", help="Augmented dimensions, repeatable; 1 to 256 and inf by default."),
    ] = None,
    nfe: Annotated[int, typer.Option(help="Evaluations on a flow.")] = 32,
) -> Study[Any]:
    """Measure samplers in a box, by what they do at its walls, and on Poisson flows, against their D.

    On the line, without samples: laws in [0, 1] by quadrature of the steps' kernels, reflected, projected or not taken
    at walls; PFGM++ by its distribution functions, for D from 1 (PFGM) to infinity (diffusion).

    Example: assay kernels --study walls --plot walls.png
    """
    from analytic import targets as named
    from analytic.names import unknown

    from .study import Kernels

    for name in studies or ():
        if name not in STUDIES:
            raise unknown("study", name, list(STUDIES))
    law = named.load(target)
    if law.dim != 1:
        raise ValueError(f"target is {target!r} in {law.dim} dimensions: give one on the line")
    if nfe < 4:
        raise ValueError(f"nfe is {nfe}: give at least 4")
    for number in augmented or ():
        if not number > 0:
            raise ValueError(f"augmented is {number}: give a number above 0, or inf")
    given = {"augmented": tuple(augmented)} if augmented else {}
    return Kernels(tuple(studies or STUDIES), (target, law), nfe=nfe, **given)  # type: ignore[arg-type]
