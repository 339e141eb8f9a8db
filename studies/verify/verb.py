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
        typer.Argument(help="FILE.py, FILE.py:OBJECT, LIBRARY:NAME, or a method of the catalogue."),
    ],
    order: Annotated[
        float | None, typer.Option(help="Order that it claims; that of the file by default.")
    ] = None,
    sense: Annotated[
        str | None, typer.Option(help="Of the order: ode, along the flow, or weak, of the law.")
    ] = None,
    nfe: Annotated[float | None, typer.Option(help="Evaluations a step that it claims.")] = None,
    path: Annotated[
        str | None, typer.Option(help="Gaussian path that it is for; VP, or its library's, by default.")
    ] = None,
    noise: Annotated[str | None, typer.Option(help="Of a sampler of tokens: masked or uniform.")] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(help="Option of the sampler as NAME=VALUE, repeatable: the same as in brackets."),
    ] = None,
) -> Study[Any]:
    """Ask a sampler all checks: its order by exact law on even and uneven grids, its levels and noise.

    A function of a file is sampler(denoise, x, grid, normal) -> x: denoise(x, t) is the exact E[x_0 | x_t = x], x (n,
    dim) is at the grid's first level, grid.t, grid.alpha and grid.sigma are (steps + 1,) arrays, normal() is an N(0, I)
    like x. Of tokens it is step(posterior, x, t, s) or step(posterior, x, t, s, uniform). The file may say order,
    sense, nfe and path. LIBRARY is k_diffusion, diffusers, flow_matching, torchsde or diffrax. With --strict a
    failed check exits with 1.

    Example: assay verify diffusers:UniPCMultistepScheduler --config solver_order=3 --order 4 --strict
    """
    from ..specifications import path_of
    from .named import subject_of, with_options
    from .study import Verification

    named = with_options(sampler, config or [])
    where = None if path is None else path_of(path)
    return Verification(subject_of(named, where, order, sense, nfe, noise))
