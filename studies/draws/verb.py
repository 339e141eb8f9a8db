"""`assay draws`: what drawing tokens in float32 does."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study


@verb(plots=False, methods=False, expects=False)
def draws(
    draws: Annotated[
        list[str] | None,
        typer.Option(
            "--draw",
            help="Draw by name, repeatable; float64 beside three in float32 by default, which takes a minute.",
        ),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(help="Bits of the uniform numbers of float32 draws; each draw's own by default."),
    ] = None,
) -> Study[Any]:
    """Measure how far drawing tokens in float32 takes a sampler of many steps from its target.

    By the exact law of the arithmetic, for inverse CDF, Gumbel and exponential race as libraries have them.

    Example: assay draws --table draws.csv
    """
    from .study import NOISES, SHOWN_DRAWS, SHOWN_NOISE, Draws

    return Draws(draws or SHOWN_DRAWS, {SHOWN_NOISE: NOISES[SHOWN_NOISE]}, bits=bits)
