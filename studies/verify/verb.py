"""`assay verify`: does a sampler keep the contract that samplers have?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study


@verb(plots=False, methods=False)
def verify(
    sampler: Annotated[
        str,
        typer.Argument(help="FILE.py, FILE.py:FUNCTION, k_diffusion:FUNCTION, or a method of the catalogue."),
    ],
    order: Annotated[
        float | None, typer.Option(help="Order that it claims; that of the file by default.")
    ] = None,
    sense: Annotated[
        str | None, typer.Option(help="Of the order: ode, along the flow, or weak, of the law.")
    ] = None,
    nfe: Annotated[float | None, typer.Option(help="Evaluations a step that it claims.")] = None,
    path: Annotated[str | None, typer.Option(help="Gaussian path that it is for; VP by default.")] = None,
) -> Study[Any]:
    """Ask a sampler all checks: its order by exact law on even and uneven grids, its levels and noise.

    The function is sampler(denoise, x, grid, normal) -> x: denoise(x, t) is the exact E[x_0 | x_t = x], x (n, dim) is
    at the grid's first level, grid.t, grid.alpha and grid.sigma are (steps + 1,) arrays, normal() is an N(0, I) like x.
    The file may say order, sense, nfe and path. With --strict a failed check exits with 1.

    Example: assay verify my_sampler.py:heun --order 2 --path "VE(0.02, 20)" --strict
    """
    from ..specifications import path_of
    from .study import Verification
    from .subject import subject_of

    return Verification(subject_of(sampler, None if path is None else path_of(path), order, sense, nfe))
