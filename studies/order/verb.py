"""`assay order`: claimed orders beside measured ones."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study


@verb()
def order(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="Methods, with options: heun, 'edm-churn(gamma=0.1)'. All by default."),
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            help="Target by name (see `assay list targets`) or a .npy, .csv, .parquet, .txt file; repeatable. "
            "By default gaussian-1d and easy-1d, and for tokens smooth and sharp.",
        ),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(
            help="Path: VP, 'VE(0.02, 20)', Linear, 'Langevin(8)', ..., or a scheduler_config.json. By default "
            "'VE(0.02, 20)', and for methods on another process its plain path."
        ),
    ] = None,
    noises: Annotated[
        list[str] | None,
        typer.Option(
            "--noise",
            help="Noise on tokens: Uniform, \"Absorbing('cosine')\", 'Hybrid(0.2)', ...; repeatable. "
            "By default masks and uniform noise.",
        ),
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(
            help="Grid of times by name (see `assay list grids`), or a file with sigmas (or times: FILE:time); karras "
            "by default, a scheduler's own with its file, geometric for tokens."
        ),
    ] = None,
    begin: Annotated[
        float | None, typer.Option(help="Time sampling starts at; the path's own by default.")
    ] = None,
    end: Annotated[
        float | None, typer.Option(help="Time sampling stops at; the path's own by default.")
    ] = None,
    initial: Annotated[str, typer.Option(help="marginal (exact start law) or prior.")] = "marginal",
    whole: Annotated[
        bool, typer.Option("--all", help="Also every set of options that a method has claims for.")
    ] = False,
    start: Annotated[
        str,
        typer.Option(
            help="Start of multistep methods: practical, single-step or exact; both is practical, and exact where a "
            "practical start may be what limits a method."
        ),
    ] = "both",
    limit: Annotated[
        int | None, typer.Option(help="Steps no ladder goes beyond; 4096 by default, 1024 for tokens.")
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            help="Samples where a target is measured by sampling: by default 100000 for orders, 1024 for data, whose "
            "distances take the square of it, 256 for text."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all noise.")] = 0,
    precision: Annotated[
        str,
        typer.Option(help="In which methods compute: float64, or float32, whose rounding is then a floor."),
    ] = "float64",
) -> list[Study[Any]]:
    """Measure convergence orders and hold each method's claim against them.

    A Gaussian target is measured by the sampler's exact law, a one-dimensional mixture by its density, another mixture
    by coupled samples, short token sequences by the exact law. On data (digits, text, or a file) the table is error
    against evaluations.

    Example: assay order heun dpm-solver++-2m --path VP --grid log-snr --plot orders.png
    """
    from solvers.catalogue import STARTS

    from ..setting import GAUSSIAN_LIMIT, Setting
    from . import request

    if start not in (*STARTS, "both"):
        raise ValueError(f"start is {start!r}: use {', '.join(map(repr, STARTS))} or 'both'")
    if limit is not None and limit < 16:
        raise ValueError(f"limit is {limit}: give at least 16 steps, a ladder needs rungs")
    if samples is not None and samples < 2:
        raise ValueError(f"samples is {samples}: give at least 2")
    if initial not in ("marginal", "prior"):
        raise ValueError(f"initial is {initial!r}: use 'marginal' or 'prior'")
    starts = ("practical", "exact") if start == "both" else (start,)
    continuous, tokens = request.methods_of(methods, starts, whole)
    # a noise alone says which half is meant
    only_tokens = noises is not None and not methods
    mixtures, laws = request.targets_of(targets, bool(continuous), bool(tokens), only_tokens)
    studies = []
    if mixtures:
        continuous, where, nodes = request.place(path, grid, continuous, bool(methods))
        setting = Setting(
            where,
            nodes,
            begin,
            end,
            initial,
            limit or GAUSSIAN_LIMIT,
            seed=seed,
            precision=precision,
        )
        studies.append(request.on_mixtures(continuous, mixtures, setting, samples))
    if laws:
        own = {"grid": grid, "start": begin, "stop": end, "initial": initial, "limit": limit}
        studies.append(request.on_tokens(tokens, laws, noises, samples, seed, bool(methods), **own))
    return studies
